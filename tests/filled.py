"""What a browser sends for a form of a page, whether somebody has typed into it or not."""

from html.parser import HTMLParser

Fields = dict[str, list[str]]


def fields_of(page: str, form_id: str) -> Fields:
    """Return the fields of the form as they stand in the page, by name."""
    reader = _Reader(form_id)
    reader.feed(page)
    reader.close()
    return reader.fields


class _Reader(HTMLParser):
    def __init__(self, form_id: str) -> None:
        super().__init__()
        self.form_id = form_id
        self.fields: Fields = {}
        self.is_inside = False
        self.area: str | None = None  # the text area that is being read
        self.choice: str | None = None
        self.options: list[tuple[str, bool]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        name, value = found.get("name") or "", found.get("value") or ""
        if tag == "form":
            self.is_inside = found.get("id") == self.form_id
        elif tag == "textarea":
            self.area = name
            self._add(name, "")
        elif tag == "select":
            self.choice, self.options = name, []
        elif tag == "option":
            self.options.append((value, "selected" in found))
        elif tag == "input" and found.get("type") in ("checkbox", "radio"):
            self._add(name, value or "on") if "checked" in found else None
        elif tag == "input":
            self._add(name, value)

    def handle_data(self, data: str) -> None:
        if self.area and self.is_inside:
            self.fields[self.area][-1] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self.is_inside = False
        elif tag == "textarea" and self.area and self.is_inside:
            # A browser drops the line end that the page puts first, and sends line ends of its own.
            text = self.fields[self.area][-1].removeprefix("\n")
            self.fields[self.area][-1] = text.replace("\n", "\r\n")
            self.area = None
        elif tag == "select" and self.choice:
            chosen = [value for value, is_chosen in self.options if is_chosen]
            self._add(self.choice, (chosen or [self.options[0][0]])[0])
            self.choice = None

    def _add(self, name: str, value: str) -> None:
        if self.is_inside and name:
            self.fields.setdefault(name, []).append(value)
