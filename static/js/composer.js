// Where a question is written. Without a socket it is the plain form that it looks like.

export class Composer {
  /** `onSend(question)` returns whether it took the question; else the form is sent. */
  constructor(form, onSend) {
    this.form = form;
    this.text = form.elements.text;
    this.error = form.querySelector("[role=alert]");
    this.onSend = onSend;
    this.text.addEventListener("input", () => this.fit());
    this.text.addEventListener("keydown", (event) => this.key(event));
    form.addEventListener("submit", (event) => this.submit(event));
    // A page that comes back from the browser's memory would send its old question's id.
    addEventListener("pageshow", (event) => event.persisted && this.renew());
    this.fit();
  }

  /** Empty the composer for the next question. */
  taken(clientRequestId) {
    if (this.form.elements.client_request_id.value !== clientRequestId) return;
    this.text.value = "";
    this.renew();
    this.refuse("");
    this.fit();
  }

  renew() {
    this.form.elements.client_request_id.value = newId();
  }

  /** Say why the question was not taken; it stays where it is. */
  refuse(message) {
    this.error.textContent = message;
    this.error.hidden = !message;
  }

  key(event) {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    this.form.requestSubmit();
  }

  submit(event) {
    if (!this.text.value.trim()) {
      event.preventDefault();
      return;
    }
    const { text, client_request_id: id, model } = this.form.elements;
    const question = { text: text.value, client_request_id: id.value, model: model.value };
    if (this.onSend(question)) event.preventDefault();
  }

  fit() {
    this.text.rows = 1;
    const line = parseFloat(getComputedStyle(this.text).lineHeight);
    const room = Math.floor((innerHeight * 0.4) / line);
    this.text.rows = Math.max(1, Math.min(room, Math.round(this.text.scrollHeight / line)));
  }
}

/** Return a random UUID; `crypto.randomUUID` exists only on https and localhost. */
function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
