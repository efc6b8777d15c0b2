// The playground: columns answer over a socket while the form stays as it is. Without this script
// the same form is sent, and the server answers with the whole page.

import { Answers } from "./playground_answers.js";
import { Columns } from "./playground_columns.js";
import { Sheet } from "./playground_sheet.js";
import { RunSocket } from "./playground_socket.js";

const form = document.querySelector(".playground");
const runButton = form.querySelector("button[value=run]");
const stopButton = form.querySelector("[data-stop-all]");

const sheet = new Sheet(form);
const columns = new Columns(form, () => sheet.update(["playground-values", "playground-estimate"]));
const answers = new Answers(form, {
  onStop: (column) => socket.send({ type: "stop", column }),
  onExpect: expect,
});
const socket = new RunSocket(form.dataset.socket, { onEvent: handle, onLost: lost });

function run() {
  setRunning(true);
  sheet.showProblem("");
  socket.run({ type: "run", form: sheet.encoded() });
}

function handle(event) {
  const [name, ...rest] = event;
  if (name === "running") answers.begin(rest[0], columns);
  else if (name === "error") refused(rest[1]);
  else if (name === "total") ended(rest);
  else answers.take(name, rest);
}

function ended([input, output, cost]) {
  answers.showTotal(input, output, cost);
  setRunning(false);
  sheet.update(["playground-estimate"]);
}

async function refused(message) {
  if (answers.isRunning) return;
  setRunning(false);
  await sheet.update(["playground-compare", "playground-values", "playground-messages"], "check");
  columns.show();
  sheet.showProblem(message);
}

function lost(message) {
  if (!isRunning()) return;
  answers.lose(message);
  setRunning(false);
  sheet.showProblem(message);
}

function isRunning() {
  return runButton.hasAttribute("aria-disabled");
}

function setRunning(isAsked) {
  if (isAsked) runButton.setAttribute("aria-disabled", "true");
  else runButton.removeAttribute("aria-disabled");
  stopButton.hidden = !isAsked;
}

async function save() {
  await sheet.update(["playground-case"], "save");
  form.querySelector("#playground-case [tabindex='-1']")?.focus();
}

function expect(text) {
  const box = form.querySelector("#playground-case details");
  box.open = true;
  const kind = form.elements["case-check_kind"];
  if (!kind.value) kind.value = "contains";
  form.elements["case-expected"].value = text;
  form.elements["case-expected"].focus();
}

form.addEventListener("submit", (event) => {
  const action = event.submitter?.value ?? "run";
  event.preventDefault();
  if (action === "save") save();
  else if (!isRunning()) run();
});
stopButton.addEventListener("click", () => {
  socket.send({ type: "stop" });
  runButton.focus();
});
form.querySelector("[data-without-script]").hidden = true;
form.addEventListener("change", (event) => {
  if (event.target.name.startsWith("case-")) return;
  const isVersion = event.target.name.endsWith("-version");
  sheet.update([...(isVersion ? ["playground-values"] : []), "playground-estimate"]);
});
columns.show();
sheet.update(["playground-estimate"]);
