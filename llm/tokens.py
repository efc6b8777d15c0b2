"""How many tokens a text is, counted offline.

Exact for OpenAI's models, as far as words go: they are counted with their own encodings, and what
the chat format puts around a message is known. Pictures are a guess (`PER_IMAGE`). Tools and
schemas are counted as the JSON that is sent; vendors put them to their models in their own words.

Other vendors keep their tokenizers to themselves. Their models are counted with `o200k_base`, which
is within about 20% of the truth for English and further off for other languages and for code. So
the count is corrected by the ratio seen in the vendor's own reports (`learn`): a moving average for
each model in each process, of requests that are nothing but words. After some calls the estimate is
off by what one text differs from the next, a few percent. It decides what fits, what is held, and
what is booked where a vendor reports nothing; its report replaces the estimate where there is one.
"""

import importlib.util
import math
from collections.abc import Sequence
from functools import cache
from importlib.machinery import ExtensionFileLoader, PathFinder
from typing import Any, NamedTuple, Protocol

import msgspec
from asgiref.sync import sync_to_async

from llm.types import ChatRequest, ImagePart, Message

# The longest prefix that fits wins; what fits none is counted with DEFAULT.
ENCODINGS = {
    "gpt-4": "cl100k_base",
    "gpt-4o": "o200k_base",
    "gpt-4.": "o200k_base",
    "gpt-3.5": "cl100k_base",
    "gpt-35": "cl100k_base",  # Azure's spelling
    "text-embedding-": "cl100k_base",
}
DEFAULT = "o200k_base"
# OpenAI's own models: what they report is what we count.
EXACT = ("gpt-", "o1", "o3", "o4", "chatgpt-", "text-embedding-", "ft:")
PIECE = 50_000  # characters: at most the 200,000 tokens that the tokenizer takes at once
LONG = 20_000  # characters; below, counting takes less than a switch to a thread is worth
PER_MESSAGE = 4  # what the chat format puts around a message
PER_REQUEST = 3  # and before the answer
PER_IMAGE = 1_100  # OpenAI's 765 to 1,445 for a large picture in high detail
LEAST_LEARNED = 50  # tokens; in fewer, what the vendor adds to every request weighs too much
RATIOS = (0.5, 3.0)  # what is outside says that something else was counted
SLOWEST = 0.05  # the weight of a report when many have been seen


class Encoding(Protocol):
    def count(self, text: str) -> int:
        """Return the tokens; words that mean something to a model are taken as plain text."""
        ...

    def decode(self, token_ids: Sequence[int]) -> str:
        """Return the text; raise `ValueError` where the ids begin or end within a character."""
        ...


def count(text: str, model: str) -> int:
    """Return how many tokens `text` is to `model`."""
    encoding = _encoding_for(model)
    if len(text) <= PIECE:
        return _count(text, encoding)
    pieces = (text[start : start + PIECE] for start in range(0, len(text), PIECE))
    return sum(_count(piece, encoding) for piece in pieces)


class Counted(NamedTuple):
    """A request in tokens of one encoding, before any correction."""

    words: int  # and what is around them
    pictures: int
    is_only_words: bool

    @property
    def comparable(self) -> int:
        """What the vendor's report can be compared with (`learn`); 0 where it cannot."""
        return self.words if self.is_only_words else 0

    def by(self, model: str) -> int:
        """Return how many tokens of input that is to `model`, which has this encoding."""
        return corrected(self.words, model) + self.pictures


def count_request(request: ChatRequest, model: str) -> int:
    """Return how many tokens of input `request` is to `model`, pictures and tools included."""
    text, around, pictures = _flatten(request)
    return corrected(count(text, model) + around, model) + pictures


async def measure_soon(request: ChatRequest, model: str) -> Counted:
    """Return the request in tokens of the model's encoding, for all models that share it."""
    text, around, pictures = _flatten(request)
    words = await count_soon(text, model) + around
    # Tools and schemas are put to the model in the vendor's own words.
    is_only_words = not (pictures or request.tools or request.response_format)
    return Counted(words, pictures, is_only_words)


def decode(token_ids: Sequence[int], encoding: str) -> str:
    """Return the text of ordinary token ids; raise `ValueError` where they do not make one."""
    return _encoding(encoding).decode(token_ids)


def learn(model: str, counted: int, reported: int) -> None:
    """Remember what a vendor reported for what was `counted`, to correct the next estimates."""
    if counted < LEAST_LEARNED or reported <= 0 or is_exact(model):
        return
    least, most = RATIOS
    ratio = min(most, max(least, reported / counted))
    known, seen = _ratios.get(model, (1.0, 0))
    weight = max(1 / (seen + 1), SLOWEST)  # quick at first
    _ratios[model] = (known + weight * (ratio - known), seen + 1)


def corrected(counted: int, model: str) -> int:
    """Return the estimate for what was `counted`, rounded up; for exact models, the count."""
    known = _ratios.get(model)
    # Rounded first: 1.1 times 100 is a little more than 110 in floating point.
    return counted if known is None else math.ceil(round(counted * known[0], 6))


def forget() -> None:
    """Forget every ratio, for tests."""
    _ratios.clear()


@cache
def is_exact(model: str) -> bool:
    """Return whether what we count is what the vendor counts."""
    return model.rpartition("/")[2].lower().startswith(EXACT)


async def count_soon(text: str, model: str) -> int:
    """Return `count` without holding up the event loop over a long text."""
    if len(text) < LONG:
        return count(text, model)
    return await sync_to_async(count, thread_sensitive=False)(text, model)


@cache
def encoding_name(model: str) -> str:
    """Return what the model's tokens are counted with; models that share it count alike."""
    name = model.rpartition("/")[2].removeprefix("ft:").lower()
    fitting = [prefix for prefix in ENCODINGS if name.startswith(prefix)]
    return ENCODINGS[max(fitting, key=len)] if fitting else DEFAULT


def preload() -> None:
    """Read the tables that every model needs; that takes half a second each."""
    _encoding(DEFAULT)


def _flatten(request: ChatRequest) -> tuple[str, int, int]:
    """Return all words of a request as one text, the tokens around them, those of pictures."""
    words: list[str] = []
    pictures = 0
    for message in request.messages:
        pictures += _add_words(message, words)
    if request.tools:
        words.append(msgspec.json.encode(request.tools).decode())
    if request.response_format:
        words.append(msgspec.json.encode(request.response_format).decode())
    return "\n".join(words), PER_REQUEST + PER_MESSAGE * len(request.messages), pictures


def _add_words(message: Message, words: list[str]) -> int:
    """Append the message's words; return the tokens of its pictures."""
    images = 0
    if isinstance(message.content, str):
        words.append(message.content)
    for part in message.content or () if not isinstance(message.content, str) else ():
        if isinstance(part, ImagePart):
            images += 1
        else:
            words.append(part.text)
    if message.name:
        words.append(message.name)
    for call in message.tool_calls or ():
        words += (call.function.name, call.function.arguments)
    if message.anthropic is not None:
        words += [thought.text for thought in message.anthropic.thoughts]
    return images * PER_IMAGE


_ratios: dict[str, tuple[float, int]] = {}  # by model: reported to counted, and how often seen


@cache
def _encoding_for(model: str) -> Encoding:
    return _encoding(encoding_name(model))


def _count(text: str, encoding: Encoding) -> int:
    try:
        return encoding.count(text)
    except UnicodeEncodeError:  # half of a character that was cut in two
        return encoding.count(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))


@cache
def _encoding(name: str) -> Encoding:
    encoding: Encoding = _bindings().tokenizer_for_encoding(name)
    return encoding


@cache
def _bindings() -> Any:
    """Return the compiled part of `bpe_openai` alone.

    Importing the package reads the tables of all encodings a second time, for what its Python part
    does beside: 60 MB and 0.4 s in every process, for nothing that is used here.
    """
    package = importlib.util.find_spec("bpe_openai")
    folders = package.submodule_search_locations if package else None
    spec = PathFinder.find_spec("_bindings", folders)
    if spec is None or not isinstance(spec.loader, ExtensionFileLoader):
        raise ImportError("bpe-openai is not installed as it is pinned.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
