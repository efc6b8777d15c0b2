"""What a program says its calls are for: tags, by which spending is sorted and budgeted."""

from billing.tags import MOST_TAGS, RULE, is_tag
from core.errors import InvalidRequest

HEADER = "X-Parley-Tags"


def tags_of(header: str) -> tuple[str, ...]:
    """Return the tags of a header, each once; what is no tag is refused, not left out."""
    if not header.strip():
        return ()
    tags = tuple(dict.fromkeys(tag.strip() for tag in header.split(",")))
    if len(tags) > MOST_TAGS or not all(map(is_tag, tags)):
        raise InvalidRequest(
            f"`{HEADER}` takes up to {MOST_TAGS} tags with commas between; a tag has {RULE}.",
            param=HEADER,
        )
    return tags
