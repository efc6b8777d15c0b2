"""One rendering: the values that templates see, and how much they may still do."""

import time
from collections.abc import Mapping, Set
from typing import Any, Protocol

from django.template import Context, Template

from prompts.errors import PromptRenderFailed

MAX_OUTPUT = 1_000_000  # characters written, and work that would have written as many
A_STEP = 5  # characters: a value looked up, a filter, a turn of a loop
MADE_IN_A_STEP = 300  # characters or items that a filter makes
MAX_SECONDS = 2.0  # for what steps do not tell, like long lists compared again and again
A_LONG_TEXT = 4096  # characters; to look through it may take a while

clock = time.perf_counter


class Part(Protocol):
    """A prompt that others include."""

    def text(self, shared: Mapping[str, Any], given: Set[str], filling: "Filling") -> str: ...


class Filling:
    """What one rendering may include, and its room and time, which all its templates share."""

    def __init__(self, parts: Mapping[str, Part], locales: tuple[str, ...]) -> None:
        self.parts = parts
        self.locales = locales  # to speak, the first that there is
        self._room = MAX_OUTPUT
        self._deadline = clock() + MAX_SECONDS

    def take(self, amount: int) -> None:
        """Count what is written or done; raise when it gets too much."""
        self._room -= amount
        if self._room < 0:
            raise PromptRenderFailed(
                f"The prompt is longer than {MAX_OUTPUT:,} characters, or takes as much work."
            )

    def finish(self) -> None:
        """Raise what `{% if %}`, which takes every error for a no, has kept to itself."""
        self.take(0)
        self.check_time()

    def check_time(self) -> None:
        """Raise where the rendering takes too long."""
        if clock() > self._deadline:
            raise PromptRenderFailed(f"The prompt takes more than {MAX_SECONDS:g} seconds.")


class Values(Context):
    """The variables of one template in one rendering."""

    def __init__(self, values: Mapping[str, Any], filling: Filling, template: Template) -> None:
        super().__init__(dict(values), autoescape=False, use_l10n=False, use_tz=False)
        self.shared = values  # what includes see: not the names of loops around them
        self.filling = filling
        self.take = filling.take
        self.template = template  # Django's nodes ask it whether to explain errors

    def counted(self, value: Any) -> Any:
        """Return a value that is looked at, having counted that."""
        self.take(A_STEP)
        if isinstance(value, list | dict) or (isinstance(value, str) and len(value) > A_LONG_TEXT):
            self.filling.check_time()
        return value

    def made(self, value: Any) -> Any:
        """Return what a filter has made, having counted its size."""
        if isinstance(value, str | list | dict):
            self.take(len(value) * A_STEP // MADE_IN_A_STEP)
        return self.counted(value)

    def __getitem__(self, key: Any) -> Any:
        for values in reversed(self.dicts):
            if key in values:
                return values[key]
        # The parser finds all but `{% for item in item %}`.
        raise PromptRenderFailed(f"The prompt uses “{key}”, which has no value there.")

    def __setitem__(self, key: Any, value: Any) -> None:
        self.take(A_STEP)
        super().__setitem__(key, value)

    def update(self, other_dict: Any) -> Any:
        self.take(A_STEP)
        return self.push(other_dict)
