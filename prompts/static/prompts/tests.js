// Pages of tests: checks show the fields that count, runs keep themselves up to date.

const FIELDS = {
  "": [],
  contains: ["value", "is_absent", "ignores_case"],
  regex: ["value", "is_absent"],
  equals: ["value", "ignores_case"],
  json_schema: ["value"],
  number: ["value", "tolerance"],
  similar: ["value", "threshold", "model"],
  judge: ["value", "threshold", "model"],
};
const ASKED = {
  contains: "The text",
  regex: "The pattern",
  equals: "The text",
  json_schema: "The JSON schema",
  number: "The number",
  similar: "The text",
  judge: "The rubric: what a good answer is",
};

function showFields(check) {
  const kind = check.querySelector(".test-field-kind select").value;
  for (const name of ["value", "is_absent", "ignores_case", "tolerance", "threshold", "model"]) {
    check.querySelector(`.test-field-${name}`).hidden = !FIELDS[kind].includes(name);
  }
  if (ASKED[kind]) {
    check.querySelector(".test-field-value label").textContent = ASKED[kind];
  }
}

for (const check of document.querySelectorAll(".test-check")) {
  showFields(check);
  check.querySelector(".test-field-kind select").addEventListener("change", () => showFields(check));
}

async function load(address) {
  const response = await fetch(address, { headers: { Accept: "text/html" } });
  if (!response.ok || response.redirected) {
    throw new Error(`${address}: ${response.status}`);
  }
  return new DOMParser().parseFromString(await response.text(), "text/html").body.childNodes;
}

async function showAnswer(details) {
  if (details.open && details.dataset.source) {
    const address = details.dataset.source;
    delete details.dataset.source;
    try {
      const summary = details.querySelector("summary");
      details.replaceChildren(summary, ...(await load(address)));
    } catch {
      details.dataset.source = address; // the link to the answer stays
    }
  }
}

const run = document.querySelector("#run");
run?.addEventListener("toggle", (event) => showAnswer(event.target), true);

async function refresh() {
  const address = new URL(location.href);
  address.searchParams.set("part", "1");
  const parts = [...(await load(address))];
  const open = [...run.querySelectorAll("details[open]")];
  const focused = document.activeElement?.id;
  const scrolled = [...run.querySelectorAll(".tests-scroll")].map((one) => one.scrollLeft);
  run.replaceChildren(...parts);
  for (const old of open) {
    run.querySelector(`#${old.id}`)?.replaceWith(old);
  }
  run.querySelectorAll(".tests-scroll").forEach((one, i) => (one.scrollLeft = scrolled[i] ?? 0));
  if (focused) {
    document.getElementById(focused)?.focus({ preventScroll: true });
  }
  return ["waiting", "running"].includes(run.firstElementChild?.dataset.state);
}

async function keepUpToDate(seconds) {
  let isOpen = true;
  while (isOpen) {
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    // What somebody is about to press stays where it is.
    if (!document.hidden && !run.contains(document.activeElement?.closest("button, a"))) {
      try {
        isOpen = await refresh();
      } catch {
        // The server is away for a moment.
      }
    }
  }
}

if (run?.dataset.refresh) {
  keepUpToDate(Number(run.dataset.refresh));
}
