// One answer on the page, and what each event of the socket does to it.

import { fragment } from "./html.js";
import { preview } from "./preview.js";

const SMOOTH_LENGTH = 4000; // characters of an open block; a longer one is shown as it comes
const stillness = matchMedia("(prefers-reduced-motion: reduce)");

export class Answer {
  /** `onGrown()` is called when the page has become longer. */
  constructor(element, onGrown) {
    this.element = element;
    this.onGrown = onGrown;
    this.blocks = element.querySelector(".answer-blocks");
    this.open = element.querySelector(".answer-open");
    this.notice = element.querySelector(".answer-notice");
    this.foot = element.querySelector(".answer-foot");
    reachable(this.blocks);
    this.showAll(this.open.textContent);
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
    this.rest += text;
    const isSmooth = !stillness.matches && !document.hidden && this.rest.length < SMOOTH_LENGTH;
    if (isSmooth) this.reveal();
    else this.showAll(this.rest);
  }

  block(html, rest, isWhole) {
    if (isWhole) this.blocks.replaceChildren();
    const fresh = fragment(html);
    reachable(fresh);
    this.blocks.append(fresh);
    this.showAll(rest);
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

  showAll(text) {
    this.rest = text;
    this.shown = text.length;
    preview(this.open, text);
    this.onGrown();
  }

  /** Let the words that have come together appear one after the other. */
  reveal() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = undefined;
      if (this.shown >= this.rest.length) return;
      this.shown += Math.ceil((this.rest.length - this.shown) / 12);
      preview(this.open, this.rest.slice(0, this.shown));
      this.onGrown();
      this.reveal();
    });
  }
}

/** What scrolls sideways can be reached with the keyboard. */
function reachable(root) {
  for (const box of root.querySelectorAll("pre, .table-scroll")) box.tabIndex = 0;
}

/** Return an amount as the server writes it: in cents, and a small one with two digits that count. */
function dollars(cost) {
  if (cost === null) return "no price";
  const amount = Number(cost);
  const isSmall = amount !== 0 && amount < 1;
  const places = isSmall ? Math.max(4, 1 - Math.floor(Math.log10(amount))) : 2;
  return `$${amount.toFixed(places).replace(/(\.\d\d\d*?)0+$/, "$1")}`;
}
