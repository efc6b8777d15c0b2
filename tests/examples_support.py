"""The examples of the documentation: what stands in a block of code and asks a running Parley.

Each is a program of its own, which takes the address and the key from `PARLEY_URL` and
`PARLEY_API_KEY`, as the pages tell their readers. A new one is found, and so tested, by itself.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from tests.servers import Site

BLOCK = re.compile(r"^```(sh|python|js)\n(.*?)^```", re.DOTALL | re.MULTILINE)
ASKS = re.compile(r"PARLEY_URL(?!=)")
ONLY_SETS_VARIABLES = re.compile(r"export ")
CLIENTS_OF_OTHERS = ("langchain", "@ai-sdk")  # `make test-clients` has them


@dataclass(frozen=True, slots=True)
class Example:
    """A block of code that asks Parley."""

    page: str
    line: int
    language: str
    code: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def is_for_clients_of_others(self) -> bool:
        return any(name in self.code for name in CLIENTS_OF_OTHERS)


def pages() -> list[Path]:
    root = Path(settings.BASE_DIR)
    return [root / "README.md", *sorted(root.glob("docs/*.md"))]


def examples(*languages: str) -> list[Example]:
    """Return all examples in these languages, in the order of the pages."""
    return [
        Example(page.name, text.count("\n", 0, block.start()) + 1, block[1], block[2])
        for page in pages()
        for text in [page.read_text()]
        for block in BLOCK.finditer(text)
        if block[1] in languages and ASKS.search(block[2])
        if not ONLY_SETS_VARIABLES.match(block[2])
    ]


def variables(site: Site) -> dict[str, str]:
    """Return what the pages tell their readers to set."""
    return {"PARLEY_URL": site.url, "PARLEY_API_KEY": site.api_key}
