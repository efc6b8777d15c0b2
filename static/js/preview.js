// How the block that is still being written looks until the server sends it finished: the marks of
// Markdown are shown as what they will be. Only text is set, so nothing here can do harm.

const INLINE = /(\*\*|__)(?=\S)(.+?)(?:\1|$)|`([^`]+)(?:`|$)/g;
const FENCE = /^ {0,3}(`{3,}|~{3,})\s*(\S*)[^\n]*\n?/;

/** Show the open text in `element`. */
export function preview(element, text) {
  const fence = FENCE.exec(text);
  element.replaceChildren(fence ? code(fence[2], text.slice(fence[0].length)) : lines(text));
}

function code(language, source) {
  const box = make("pre");
  if (language) box.dataset.language = language;
  box.append(make("code", "", source));
  return box;
}

function lines(text) {
  const all = document.createDocumentFragment();
  for (const line of text.split("\n")) {
    if (line.trim()) all.append(shownLine(line));
  }
  return all;
}

function shownLine(line) {
  const heading = /^#{1,6}\s+(.*)/.exec(line);
  if (heading) return withInline(make("p", "open-heading"), heading[1]);
  const item = /^(\s*)([-*+]|\d+[.)])\s+(.*)/.exec(line);
  if (!item) return withInline(make("p", "open-line"), line.replace(/^>\s?/, ""));
  const shown = make("p", item[1].length > 1 ? "open-item open-nested" : "open-item");
  shown.dataset.mark = /\d/.test(item[2]) ? item[2] : "•";
  return withInline(shown, item[3]);
}

function withInline(element, text) {
  let from = 0;
  for (const found of text.matchAll(INLINE)) {
    element.append(text.slice(from, found.index));
    element.append(found[2] ? make("strong", "", found[2]) : make("code", "", found[3]));
    from = found.index + found[0].length;
  }
  element.append(text.slice(from));
  return element;
}

function make(name, className = "", text = "") {
  const element = document.createElement(name);
  if (className) element.className = className;
  element.append(text);
  return element;
}
