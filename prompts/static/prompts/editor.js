// The page that writes a version: rows come and go in place, and what is typed is previewed.
// Without this file, each button loads the page anew and does the same.

import { LivePreview } from "./editor-live.js";
import { goTo, showLine } from "./editor-lines.js";

const form = document.getElementById("editor");
const preview = new LivePreview(form);
let hasChanges = "changed" in form.dataset;
let isLeaving = false;

form.addEventListener("input", (event) => {
  hasChanges ||= !event.target.closest("#samples");
  preview.typed(event.target);
});
form.addEventListener("click", onClick);
form.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  preview.now();
});
form.addEventListener("submit", () => { isLeaving = true; });
document.addEventListener("selectionchange", showLine);
addEventListener("beforeunload", (event) => {
  if (hasChanges && !isLeaving) event.preventDefault();
});
// The page may come back from the browser's memory after a save.
addEventListener("pageshow", () => { isLeaving = false; });
preview.now();

function onClick(event) {
  const link = event.target.closest(".editor-mistakes a");
  if (link) {
    event.preventDefault();
    goTo(link.hash.slice(1), link.parentElement.textContent);
    return;
  }
  const button = event.target.closest("button[name=do]");
  if (button?.value === "preview") {
    event.preventDefault();
    preview.now();
  } else if (button?.closest("[data-part]")) {
    event.preventDefault();
    changeRows(button);
  }
}

/** Let the server change the rows around the button, and show that part of its answer. */
async function changeRows(button) {
  const parts = partsAround(button);
  const sent = new FormData(form);
  sent.set("do", button.value);
  document.getElementById("trouble")?.remove();
  parts.at(-1).inert = true; // what is typed meanwhile would be lost
  try {
    const answer = await fetch(location.href, { method: "POST", body: sent });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (!replaced(parts, page)) throw new Error(answer.statusText);
    hasChanges = true;
    preview.now();
  } catch {
    button.after(trouble());
  } finally {
    parts.at(-1).inert = false;
  }
}

/** What to do where the server does not answer as it should: nothing typed is lost. */
function trouble() {
  const told = document.createElement("p");
  told.id = "trouble";
  told.className = "errornote";
  told.role = "alert";
  told.textContent = "That did not work. Look in another tab whether you are still signed in, and try again.";
  return told;
}

/** The parts of the page that a button is in, the smallest first. */
function partsAround(element) {
  const found = [];
  for (let part = element.closest("[data-part]"); part; part = part.parentElement.closest("[data-part]")) {
    found.push(part);
  }
  return found;
}

/** Show the smallest part that the page still has; return whether there was one. */
function replaced(parts, page) {
  for (const part of parts) {
    const changed = page.querySelector(`[data-part="${CSS.escape(part.dataset.part)}"]`);
    if (!changed) continue; // it is gone: what it was in is shown anew
    part.replaceWith(changed);
    parts.at(-1).inert = false; // or nothing in it takes the focus
    (changed.querySelector("[autofocus]") ?? [...changed.querySelectorAll("button")].at(-1)).focus();
    return true;
  }
  return false;
}
