// The parts of the form that the server writes: variables of other versions, cost, the saved case.

const FAILED = "Parley did not answer. Try again in a moment.";

export class Sheet {
  constructor(form) {
    this.form = form;
    this.problem = document.getElementById("playground-problem");
    this.asked = 0;
  }

  /** Return the form as a browser sends it. */
  encoded() {
    const fields = new FormData(this.form);
    fields.delete("csrfmiddlewaretoken");
    return new URLSearchParams(fields).toString();
  }

  /** Send the form, and show these parts of the page as the answer has them. */
  async update(parts, action = "update") {
    const fields = new FormData(this.form);
    fields.set("action", action);
    this.asked += 1;
    const mine = this.asked;
    const page = await this.fetched(fields);
    if (!page) return;
    // What was asked since will show a newer cost, but nobody else shows the other parts.
    const wanted = parts.filter((id) => id !== "playground-estimate" || mine === this.asked);
    for (const id of wanted) replace(id, page);
  }

  showProblem(text) {
    this.problem.replaceChildren();
    if (!text) return;
    const note = document.createElement("p");
    note.className = "errornote";
    note.setAttribute("role", "alert");
    note.textContent = text;
    this.problem.append(note);
    const wrong = this.form.querySelector(".errors :is(input, select, textarea)");
    (wrong ?? this.problem).focus();
  }

  async fetched(fields) {
    try {
      const response = await fetch(location.href, { method: "POST", body: fields });
      if (!response.ok) throw new Error(response.statusText);
      return new DOMParser().parseFromString(await response.text(), "text/html");
    } catch {
      this.showProblem(FAILED);
      return undefined;
    }
  }
}

/** Show a part anew; what has the focus in it keeps it. */
function replace(id, page) {
  const old = document.getElementById(id);
  const fresh = page.getElementById(id);
  if (!old || !fresh) return;
  const focused = old.contains(document.activeElement) ? document.activeElement.id : "";
  old.replaceWith(document.adoptNode(fresh));
  if (focused) document.getElementById(focused)?.focus();
}
