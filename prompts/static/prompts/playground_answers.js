// The answers beside each other. Text is shown as text, so nothing that a model says can do harm.

const WORDS = { done: "Done", stopped: "Stopped", failed: "Failed" };
const ANNOUNCED_TOGETHER = 300; // milliseconds

export class Answers {
  /** `onStop(column)`; `onExpect(text)` for a test case. */
  constructor(form, handlers) {
    this.handlers = handlers;
    this.section = form.querySelector("#playground-answers");
    this.box = form.querySelector("[data-answers]");
    this.total = form.querySelector("[data-total]");
    this.status = form.querySelector("[data-announce]");
    this.template = document.getElementById("playground-answer").content.firstElementChild;
    this.shown = new Map();
    this.news = [];
  }

  get isRunning() {
    return [...this.shown.values()].some((card) => !card.dataset.ended);
  }

  /** Show an empty answer for each column. */
  begin(places, columns) {
    this.section.hidden = false;
    this.total.textContent = "";
    this.shown = new Map(places.map((place) => [place, this.card(place, columns.title(place))]));
    this.box.replaceChildren(...this.shown.values());
    this.announce(`${places.length} ${places.length === 1 ? "column has" : "columns have"} been asked.`);
  }

  /** Do what an event of a column says. */
  take(name, [place, ...rest]) {
    const card = this.shown.get(place);
    if (!card) return;
    if (name === "started") this.started(card, place, rest[1]);
    else if (name === "spoke") part(card, "ttft").textContent = seconds(rest[0]);
    else if (name === "delta") append(card, rest[0], rest[1]);
    else if (name === "ended") this.ended(card, place, rest);
  }

  /** End what was running when the connection went away. */
  lose(message) {
    for (const [place, card] of this.shown) {
      if (!card.dataset.ended) this.end(card, place, "failed", message);
    }
  }

  showTotal(input, output, cost) {
    this.total.textContent = `Together: ${input} tokens in, ${output} out, ${cost}.`;
    this.announce(`All have ended: ${cost}.`);
  }

  card(place, title) {
    const card = this.template.cloneNode(true);
    part(card, "title").textContent = title;
    const stop = part(card, "stop");
    stop.setAttribute("aria-label", `Stop column ${place + 1}`);
    stop.addEventListener("click", () => this.handlers.onStop(place));
    const expect = part(card, "expect");
    expect.addEventListener("click", () => this.handlers.onExpect(said(card)));
    return card;
  }

  started(card, place, model) {
    part(card, "word").textContent = "Answering";
    part(card, "model").textContent = model;
    this.announce(`Column ${place + 1} answers.`);
  }

  ended(card, place, [state, message, ttft, duration, input, output, cost, isEstimated]) {
    part(card, "ttft").textContent = seconds(ttft);
    part(card, "duration").textContent = seconds(duration);
    part(card, "cost").textContent = cost;
    if (input !== null) {
      const note = isEstimated ? " (counted by us)" : "";
      part(card, "tokens").textContent = `${input}, ${output}${note}`;
    }
    this.end(card, place, state, message);
  }

  end(card, place, state, message) {
    card.dataset.state = state;
    card.dataset.ended = "yes";
    part(card, "word").textContent = WORDS[state];
    part(card, "note").textContent = message;
    part(card, "note").hidden = !message;
    const stop = part(card, "stop");
    if (document.activeElement === stop) part(card, "title").focus();
    stop.hidden = true;
    part(card, "expect").hidden = !said(card);
    this.announce(`Column ${place + 1}: ${WORDS[state].toLowerCase()}. ${message}`);
  }

  /** Say it to those who hear the page, with what else happens at the same moment. */
  announce(text) {
    this.news.push(text);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.status.textContent = this.news.join(" ");
      this.news = [];
    }, ANNOUNCED_TOGETHER);
  }
}

function part(card, name) {
  return card.querySelector(`[data-${name}]`);
}

function append(card, kind, text) {
  const box = card.querySelector(`[data-kind=${kind}]`);
  box.hidden = false;
  if (kind === "thought") part(card, "thought").hidden = false;
  box.append(text);
}

function said(card) {
  return card.querySelector("[data-kind=text]").textContent;
}

function seconds(milliseconds) {
  return milliseconds === null ? "–" : `${(milliseconds / 1000).toFixed(2)} s`;
}
