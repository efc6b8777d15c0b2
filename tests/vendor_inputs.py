"""What the fake vendor makes of texts that it does not answer: vectors and verdicts."""

import base64
import struct
from collections.abc import Mapping, Sequence
from typing import Any

from tests.vendor_wire import Answer

KEY_REFUSED = {"message": "Incorrect API key provided.", "code": "invalid_api_key"}
TOKENS_PER_TEXT = 10


def vector_of(text: str) -> Sequence[float]:
    """Return the vector that the vendor makes of a text: how long it is and how it begins."""
    return [float(len(text)), float(ord(text[0])), 0.5]


def embeddings_whole(body: Mapping[str, Any], answer: Answer) -> Mapping[str, Any]:
    """Return the answer to a request for embeddings, the last vector first."""
    texts, is_text = body["input"], body["encoding_format"] == "base64"
    made = [
        {"object": "embedding", "index": index, "embedding": _written(vector_of(text), is_text)}
        for index, text in enumerate(texts)
    ]
    usage = {"prompt_tokens": TOKENS_PER_TEXT * len(texts)} if answer.usage else None
    return {"object": "list", "data": made[::-1], "model": answer.model, "usage": usage}


def moderation_whole(body: Mapping[str, Any], answer: Answer) -> Mapping[str, Any]:
    """Return a verdict: it flags what has the word in it that stands for harm here."""
    is_harmful = "harm" in body["input"]
    categories = {"violence": is_harmful, "harassment": False, "hate": is_harmful}
    result = {"flagged": is_harmful, "categories": categories, "category_scores": {}}
    return {"id": "modr-1", "model": answer.model, "results": [result]}


def _written(vector: Sequence[float], is_text: bool) -> str | Sequence[float]:
    if not is_text:
        return vector
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
