"""Tags: words by which callers sort what they spend."""

import re

from django.core.exceptions import ValidationError

LONGEST_TAG = 50  # characters
MOST_TAGS = 10  # of one call
RULE = f"up to {LONGEST_TAG} letters, digits and `_`, `.`, `:`, `-`"

_tag = re.compile(rf"[A-Za-z0-9_.:-]{{1,{LONGEST_TAG}}}")


def is_tag(text: str) -> bool:
    """Return whether calls may carry it."""
    return _tag.fullmatch(text) is not None


def validate_tag(text: str) -> None:
    """Raise `ValidationError` where no call can carry the tag."""
    if not is_tag(text):
        raise ValidationError(f"A tag has {RULE}.")
