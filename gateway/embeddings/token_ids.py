"""Texts that a client has already turned into tokens, as LangChain's does."""

from collections.abc import Sequence
from itertools import product

from core.errors import InvalidRequest
from llm import tokens

# Of all embedding models of OpenAI, and what its clients take for a model they have not heard of.
ENCODING = "cl100k_base"
VOCABULARY = 100_256  # ids of words; the few above them stand for no text
# Tokens of a character that was cut in two, because a client splits long texts by tokens alone.
CUTS = sorted(product(range(4), repeat=2), key=sum)


def text_of(token_ids: Sequence[int], *, param: str) -> str:
    """Return the text; raise `InvalidRequest` for what are no tokens.

    Where it begins or ends within a character, that character is left out.
    """
    if unknown := [one for one in token_ids if not 0 <= one < VOCABULARY]:
        raise InvalidRequest(
            f"`{param}` has {unknown[0]}, which is no token of {ENCODING}; send the text instead.",
            param=param,
        )
    for start, end in CUTS:
        if start + end >= len(token_ids) > 0:
            continue
        try:
            return tokens.decode(token_ids[start : len(token_ids) - end], ENCODING)
        except ValueError:
            continue
    raise InvalidRequest(
        f"The tokens of `{param}` make no text in {ENCODING}; send the text instead.", param=param
    )
