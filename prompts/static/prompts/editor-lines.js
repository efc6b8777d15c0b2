// Lines of a text area: which one the cursor is on, and how to get to one.

const LINE = /\bLine (\d+):/;

/** Say beside the text area in which line the cursor is. */
export function showLine() {
  const area = document.activeElement;
  if (!area?.matches?.("textarea.editor-text")) return;
  const shown = document.querySelector(`.editor-line[data-for="${CSS.escape(area.id)}"]`);
  const line = area.value.slice(0, area.selectionStart).split("\n").length;
  if (shown) shown.textContent = `Line ${line}`;
}

/** Put the cursor into the field; in a text area, on the line that `text` names. */
export function goTo(id, text) {
  const field = document.getElementById(id);
  if (!field) return;
  field.closest("details")?.setAttribute("open", "");
  field.focus();
  const line = LINE.exec(text);
  if (line && field.matches("textarea")) selectLine(field, Number(line[1]));
}

function selectLine(area, number) {
  const lines = area.value.split("\n");
  const start = lines.slice(0, number - 1).reduce((sum, line) => sum + line.length + 1, 0);
  area.setSelectionRange(start, start + (lines[number - 1] ?? "").length);
}
