// A conversation: the socket's events become answers on the page, the composer's text commands.

import { Answer } from "./answer.js";
import { Composer } from "./composer.js";
import { Scroll } from "./scroll.js";
import { Socket } from "./socket.js";

const ENDS = {
  complete: "The answer is complete.",
  stopped: "The answer was stopped.",
  limited: "A limit was reached.",
  failed: "The answer has failed.",
  interrupted: "The answer was interrupted.",
};

const find = (id) => document.getElementById(id);
const transcript = find("transcript");
const statusLine = find("status");
const buttons = { send: find("send"), stop: find("stop") };
const scroll = new Scroll(find("jump"));
const composer = new Composer(find("composer"), ask);
let answer = new Answer(transcript.querySelector(".answer:last-child"), () => scroll.grown());

const socket = new Socket(`/ws/chat/${find("chat").dataset.conversation}/`, {
  onOpen: subscribe,
  onEvent: take,
  onLost: lost,
});

find("stop-form").addEventListener("submit", (event) => {
  if (!socket.isOpen) return;
  event.preventDefault();
  socket.send({ type: "stop", message: answer.id });
  say("Stopping …");
});

showState();
scroll.toEnd();

function subscribe() {
  socket.send({ type: "subscribe", message: answer.id, cursor: answer.cursor });
  showState();
}

function ask(question) {
  if (answer.isRunning) {
    composer.refuse("Wait for the answer that is being written, or stop it.");
    return true;
  }
  if (!socket.isOpen) return false;
  socket.send({ type: "send", ...question });
  return true;
}

function take(event) {
  const [name, ...values] = event;
  if (name === "error") {
    composer.refuse(values[1]);
  } else if (name === "turn") {
    begin(...values);
  } else {
    answer.apply(event);
    if (name === "status") showState();
    scroll.grown();
  }
}

function begin(questionId, text, answerId, clientRequestId) {
  const question = find("question-template").content.cloneNode(true);
  question.querySelector(".question-text").textContent = text;
  const shown = find("answer-template").content.cloneNode(true).querySelector(".answer");
  Object.assign(shown.dataset, { message: answerId, cursor: 0, status: "running" });
  transcript.append(question, shown);
  answer = new Answer(shown, () => scroll.grown());
  composer.taken(clientRequestId);
  showState();
  scroll.toEnd();
}

function showState() {
  const { status } = answer.element.dataset;
  // A button that goes takes the keyboard's place with it; the composer is what comes next.
  const losesPlace = document.activeElement === (answer.isRunning ? buttons.send : buttons.stop);
  buttons.stop.hidden = !answer.isRunning;
  buttons.send.hidden = answer.isRunning;
  if (losesPlace) composer.text.focus();
  find("stop-form").action = `/chat/stop/${answer.id}/`;
  say(answer.isRunning ? "An answer is being written." : ENDS[status]);
}

function lost(isFinal) {
  // The error before it has said what is the matter; a question that is half written stays.
  say(isFinal ? "Load the page again to go on." : "The connection is lost; trying again …");
}

function say(text) {
  statusLine.textContent = text;
}
