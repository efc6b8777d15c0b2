// What is typed now, as a model would get it: asked of the server whenever somebody pauses.

const PAUSE = 400; // milliseconds

export class LivePreview {
  #form;
  #timer = 0;
  #running = null;
  #isTouched = false;

  constructor(form) {
    this.#form = form;
  }

  /** Ask again when the typing pauses. */
  typed(field) {
    if (field.closest("#samples")) this.#remember();
    else this.#isTouched = true;
    const row = field.closest("[data-found]");
    if (row) delete row.dataset.found; // somebody wants it: it stays
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.now(), PAUSE);
  }

  /** Ask at once; an answer that is still awaited is of no use any more. */
  async now() {
    clearTimeout(this.#timer);
    this.#running?.abort();
    const request = new AbortController();
    this.#running = request;
    try {
      const options = { method: "POST", body: new FormData(this.#form), signal: request.signal };
      const answer = await fetch(this.#form.dataset.live, options);
      if (!answer.ok) throw new Error(answer.statusText);
      this.#show(await answer.json());
    } catch (error) {
      if (error.name !== "AbortError") say("The preview cannot be made now.", element("result"));
    }
  }

  #show(answer) {
    if (this.#isTouched) showMistakes(this.#form, answer.mistakes);
    for (const [key, text] of Object.entries(answer.lacking)) {
      const shown = this.#form.querySelector(`[data-lack="${CSS.escape(key)}"]`);
      if (shown) shown.textContent = text;
    }
    if (answer.used) this.#showVariables(answer);
    element("result").innerHTML = answer.result;
    element("includes").innerHTML = answer.includes;
    if (element("said").textContent !== answer.said) say(answer.said, element("said"));
  }

  #showVariables(answer) {
    for (const row of this.#form.querySelectorAll("[data-found]")) {
      if (!answer.used.includes(row.dataset.found)) row.remove();
    }
    const names = new Set([...this.#form.querySelectorAll("#variables [name$=-name]")].map((one) => one.value));
    for (const row of answer.found.flatMap(parsed)) {
      if (!names.has(row.dataset.found)) element("variables").append(row);
    }
    const asked = this.#merged(element("samples"), parsed(answer.samples));
    if (asked) this.now(); // what was remembered for it counts now
  }

  /** Show the fields, but leave those alone that are there already; return whether one was filled. */
  #merged(box, fresh) {
    const there = new Map([...box.children].map((one) => [one.dataset.key, one]));
    const wanted = fresh.map((one) => there.get(one.dataset.key) ?? one);
    for (const one of there.values()) {
      if (!wanted.includes(one)) one.remove();
    }
    wanted.forEach((one, place) => {
      if (box.children[place] !== one) box.insertBefore(one, box.children[place] ?? null);
    });
    return wanted.filter((one) => fresh.includes(one)).map((one) => this.#fill(one)).includes(true);
  }

  #fill(box) {
    const field = box.querySelector("[name]");
    const value = this.#remembered()[field.name];
    if (!value || field.value === value) return false;
    field.value = value;
    return field.value === value; // a choice may have lost the option
  }

  #remember() {
    const values = { ...this.#remembered() };
    for (const field of element("samples").querySelectorAll("[name]")) values[field.name] = field.value;
    try {
      sessionStorage.setItem(this.#form.dataset.samples, JSON.stringify(values));
    } catch {
      // It is full or forbidden: then nothing is remembered.
    }
  }

  #remembered() {
    try {
      return JSON.parse(sessionStorage.getItem(this.#form.dataset.samples)) ?? {};
    } catch {
      return {};
    }
  }
}

/** Show what is wrong beside each field, and nothing else. */
function showMistakes(form, mistakes) {
  for (const list of form.querySelectorAll("ul.errorlist")) list.remove();
  for (const field of form.querySelectorAll("[aria-invalid]")) mark(field, false);
  for (const [id, texts] of Object.entries(mistakes)) {
    const field = id && document.getElementById(id);
    if (!field) continue;
    const list = document.createElement("ul");
    list.className = "errorlist";
    list.id = `${id}_error`;
    for (const text of texts) list.append(Object.assign(document.createElement("li"), { textContent: text }));
    field.after(list);
    mark(field, true);
  }
  if (!Object.keys(mistakes).length) form.querySelector(".editor-mistakes")?.remove();
}

function mark(field, isWrong) {
  const error = `${field.id}_error`;
  const others = (field.getAttribute("aria-describedby") ?? "").split(" ").filter((id) => id && id !== error);
  if (isWrong) others.push(error);
  if (others.length) field.setAttribute("aria-describedby", others.join(" "));
  else field.removeAttribute("aria-describedby");
  field.toggleAttribute("aria-invalid", isWrong);
  if (isWrong) field.setAttribute("aria-invalid", "true");
  field.closest(".prompt-field, .editor-tag")?.classList.toggle("errors", isWrong);
}

function say(text, place) {
  place.textContent = text;
}

function parsed(html) {
  const box = document.createElement("template");
  box.innerHTML = html;
  return [...box.content.children];
}

function element(id) {
  return document.getElementById(id);
}
