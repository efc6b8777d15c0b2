// The parts of the form that the server writes: variables of other versions, cost, the saved case.

const FAILED = "Parley did not answer. Try again in a moment.";

export class Sheet {
  constructor(form) {
    this.form = form;
    this.problem = document.getElementById("playground-problem");
    this.asked = 0;
    this.newest = new Map(); // by part, the request that shows it
  }

  /** Return the form as a browser sends it. */
  encoded() {
    const fields = new FormData(this.form);
    fields.delete("csrfmiddlewaretoken");
    return new URLSearchParams(fields).toString();
  }

  /** Send the form, and show these parts of the page as the newest answer has them. */
  async update(parts, action = "update") {
    const fields = new FormData(this.form);
    fields.set("action", action);
    this.asked += 1;
    const mine = this.asked;
    for (const id of parts) this.newest.set(id, mine);
    const page = await this.fetched(fields);
    if (!page) return;
    for (const id of parts) {
      if (this.newest.get(id) === mine) replace(id, page, action !== "save");
    }
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

/** Show a part anew, with what was typed since it was asked for; what has the focus keeps it. */
function replace(id, page, keepsValues) {
  const old = document.getElementById(id);
  const fresh = page.getElementById(id);
  if (!old || !fresh) return;
  const focused = old.contains(document.activeElement) ? document.activeElement.id : "";
  if (keepsValues) keepValues(old, fresh);
  old.replaceWith(document.adoptNode(fresh));
  if (focused) document.getElementById(focused)?.focus();
}

function keepValues(old, fresh) {
  for (const field of old.querySelectorAll("input:not([type=hidden]), select, textarea")) {
    const twin = fresh.querySelector(`#${CSS.escape(field.id)}`);
    if (twin && (twin.localName !== "select" || offers(twin, field.value))) twin.value = field.value;
  }
}

function offers(select, value) {
  return [...select.options].some((option) => option.value === value);
}
