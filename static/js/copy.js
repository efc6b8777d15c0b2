// A button that copies the text of an element: <button data-copy="id of the element" hidden>.

for (const button of document.querySelectorAll("[data-copy]")) {
  const source = document.getElementById(button.dataset.copy);
  const told = document.querySelector("[data-copied]");
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(source.textContent);
      told.textContent = "Copied.";
    } catch {
      // Browsers give the clipboard to secure pages only.
      getSelection().selectAllChildren(source);
      told.textContent = "It is selected: copy it with your keyboard.";
    }
  });
}
