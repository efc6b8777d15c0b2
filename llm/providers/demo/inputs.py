"""What the demo provider makes of texts without answering them: vectors and verdicts."""

import math
import re
from array import array
from collections.abc import Sequence
from hashlib import blake2b

from llm.providers.base import Vectors, Verdict

DIMENSIONS = 256
PLACES = 8  # of the vector, in which a word leaves its mark
WORD = re.compile(r"\w+")
# What a real model knows of the world, the demo knows of these words.
FLAGGED = {
    "violence": frozenset(["kill", "murder", "massacre"]),
    "self-harm": frozenset(["suicide"]),
    "hate": frozenset(["subhuman"]),
    "illicit": frozenset(["bomb"]),
}


def embed(texts: Sequence[str], dimensions: int | None) -> Vectors:
    """Return vectors of length 1: the more words two texts share, the nearer they are."""
    size = dimensions or DIMENSIONS
    return Vectors(vectors=tuple(_vector(text, size) for text in texts))


def moderate(text: str) -> Verdict:
    """Return the categories of which the text has a word."""
    words = set(WORD.findall(text.casefold()))
    found = tuple(sorted(name for name, flagged in FLAGGED.items() if words & flagged))
    return Verdict(is_flagged=bool(found), categories=found)


def _vector(text: str, size: int) -> "array[float]":
    vector = [0.0] * size
    for word in WORD.findall(text.casefold()) or [text]:
        digest = blake2b(word.encode("utf-8", "surrogatepass"), digest_size=4 * PLACES).digest()
        for start in range(0, len(digest), 4):
            number = int.from_bytes(digest[start : start + 4], "big")
            vector[(number >> 1) % size] += 1.0 if number & 1 else -1.0
    length = math.hypot(*vector)
    if not length:  # words that undo each other
        vector[0] = length = 1.0
    return array("f", [value / length for value in vector])
