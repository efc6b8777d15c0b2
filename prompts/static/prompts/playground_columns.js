// What is compared: the columns that are used, and buttons to add and remove one.

export class Columns {
  /** `onChange()` when a column was added or removed. */
  constructor(form, onChange) {
    this.form = form;
    this.onChange = onChange;
    form.addEventListener("click", (event) => {
      if (event.target.closest("[data-add]")) this.add();
      const remove = event.target.closest("[data-remove]");
      if (remove) this.remove(remove.closest("[data-column]"));
    });
  }

  get all() {
    return [...this.form.querySelectorAll("[data-column]")];
  }

  get used() {
    return this.all.filter((column) => version(column).value);
  }

  /** Hide what is not used. */
  show() {
    const used = this.used.length ? this.used : this.all.slice(0, 1);
    for (const column of this.all) {
      column.hidden = !used.includes(column);
      column.querySelector("[data-remove]").hidden = used.length < 2;
    }
    this.form.querySelector("[data-add]").hidden = used.length === this.all.length;
  }

  add() {
    const column = this.all.find((one) => one.hidden);
    const last = this.used.at(-1);
    version(column).value = last ? version(last).value : version(column).options[1].value;
    this.show();
    version(column).focus();
    this.onChange();
  }

  remove(column) {
    version(column).value = "";
    this.show();
    this.form.querySelector("[data-add]").focus();
    this.onChange();
  }

  /** Return what a column asks, in words. */
  title(place) {
    const column = this.all[place];
    const model = column.querySelector("[name$=-model]");
    return `Version ${version(column).value}, ${model.selectedOptions[0].text}`;
  }
}

function version(column) {
  return column.querySelector("[name$=-version]");
}
