// One answer on the page, and what each event of the socket does to it.

import { fragment } from "./html.js";
import { preview } from "./preview.js";

export class Answer {
  constructor(element) {
    this.element = element;
    this.blocks = element.querySelector(".answer-blocks");
    this.open = element.querySelector(".answer-open");
    this.notice = element.querySelector(".answer-notice");
    this.foot = element.querySelector(".answer-foot");
    this.rest = this.open.textContent;
    if (this.rest) preview(this.open, this.rest);
  }

  get id() {
    return this.element.dataset.message;
  }

  get cursor() {
    return Number(this.element.dataset.cursor);
  }

  get isRunning() {
    return this.element.dataset.status === "running";
  }

  /** Do what the event says, unless it was done before. */
  apply([name, ...values]) {
    if (name === "snapshot") {
      this.snapshot(values);
    } else if (values[0] > this.cursor) {
      this.element.dataset.cursor = values[0];
      this[name](...values.slice(1));
    }
  }

  snapshot([, cursor, html, rest, status]) {
    this.element.dataset.cursor = cursor;
    // The events "usage" and "status" follow, with the same positions.
    if (status !== "running") this.element.dataset.cursor = 0;
    this.block(html, rest, true);
  }

  delta(text) {
    this.showOpen(this.rest + text);
  }

  block(html, rest, isWhole) {
    if (isWhole) this.blocks.replaceChildren();
    this.blocks.append(fragment(html));
    this.showOpen(rest);
  }

  usage(model, input, output, cost) {
    this.foot.textContent = `${model} · ${input} in, ${output} out · ${dollars(cost)}`;
    this.foot.hidden = false;
  }

  status(status, code, message) {
    this.element.dataset.status = status;
    this.notice.textContent = message;
    this.notice.hidden = !message;
  }

  showOpen(text) {
    this.rest = text;
    preview(this.open, text);
  }
}

/** Return an amount as the server writes it: cents, or as many digits as a small one needs. */
function dollars(cost) {
  if (cost === null) return "no price";
  const amount = Number(cost);
  return amount === 0 || amount >= 0.01 ? `$${amount.toFixed(2)}` : `$${cost.replace(/0+$/, "")}`;
}
