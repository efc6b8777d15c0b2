"""Server-sent events, however the bytes are cut."""

import random
import subprocess
import sys

import msgspec
import pytest

from llm.errors import MalformedAnswer
from llm.providers import sse
from llm.providers.openai_stream import ChunkReader
from llm.providers.sse import SseParser, encode

STREAM = (
    ": a comment\n\n"
    'data: {"a": "grüße 😀"}\n\n'
    "event: ping\nid: 7\ndata:{}\nretry: 10\n\n"
    'data: {"two":\ndata: "lines"}\n\n'
    "event: nothing\n\n"
    "\n\n\n"
    "data: [DONE]\n\n"
).encode()
EVENTS = ['{"a": "grüße 😀"}'.encode(), b"{}", b'{"two":\n"lines"}', b"[DONE]"]


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_every_cut_gives_the_same_events(line_end: bytes) -> None:
    stream = STREAM.replace(b"\n", line_end)
    for cut in range(len(stream) + 1):
        parser = SseParser()
        assert parser.feed(stream[:cut]) + parser.feed(stream[cut:]) + parser.end() == EVENTS


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_many_cuts_give_the_same_events(line_end: bytes) -> None:
    stream = STREAM.replace(b"\n", line_end)
    draw = random.Random(7)
    for _ in range(300):
        parser, events, position = SseParser(), [], 0
        while position < len(stream):
            size = draw.choice([1, 1, 2, 3, 7, 40])
            events += parser.feed(stream[position : position + size])
            position += size
        assert events + parser.end() == EVENTS


def test_a_last_event_without_its_empty_line_is_not_lost() -> None:
    parser = SseParser()

    assert parser.feed(b"data: [DONE]\n") == []
    assert parser.end() == [b"[DONE]"]


def test_an_event_without_end_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "LONGEST_EVENT", 1000)
    parser = SseParser()

    parser.feed(b"x" * 900)

    with pytest.raises(MalformedAnswer):
        parser.feed(b"x" * 200)


def test_an_event_sent_byte_by_byte_costs_no_more_for_each_byte() -> None:
    """A million bytes took half an hour when each was joined to all before it."""
    program = (
        "import django\n"
        "django.setup()\n"
        "from llm.providers.sse import SseParser\n"
        "parser = SseParser()\n"
        "events = [event for _ in range(1_000_000) for event in parser.feed(b'x')]\n"
        "events += parser.feed(b'\\n') + parser.feed(b'data: 1\\n') + parser.feed(b'\\n')\n"
        "print(events)\n"
    )

    ended = subprocess.run(
        [sys.executable, "-c", program], timeout=120, capture_output=True, text=True
    )

    assert ended.stdout == "[b'1']\n", ended.stderr


def test_what_is_written_again_is_one_line_an_event() -> None:
    assert encode([b'{"a":\n1}', b"{}"]) == b'data: {"a": 1}\n\ndata: {}\n\n'


def test_an_answer_survives_every_cut() -> None:
    stream = (
        'data: {"choices":[{"delta":{"role":"assistant","content":""}}]}\r\n\r\n'
        'data: {"choices":[{"delta":{"content":"Grüße "}}]}\n\n'
        ": keep-alive\n\n"
        'data: {"choices":[{"delta":{"content":"an 😀"}}]}\n\n'
        'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
        'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}\n\n'
        "data: [DONE]\n\n"
    ).encode()
    for cut in range(len(stream) + 1):
        reader = ChunkReader("vendor")
        deltas = [reader.read(part) for part in (stream[:cut], stream[cut:])]

        assert "".join(delta.text for delta in deltas if delta) == "Grüße an 😀"
        assert reader.end().finish_reason == "stop"
        assert reader.is_done


def test_a_character_cut_into_two_chunks_is_put_together() -> None:
    reader = ChunkReader("vendor")
    first = reader.read(b'data: {"choices":[{"delta":{"content":"smile \\ud83d"}}]}\n\n')
    second = reader.read(b'data: {"choices":[{"delta":{"content":"\\ude00!"}}]}\n\n')

    assert first is not None
    assert second is not None
    assert (first.text, second.text) == ("smile ", "😀!")
    assert b"\\ud83d" in (first.raw or b"")


def test_a_burst_of_any_length_is_given_whole() -> None:
    """A loop that was held up reads hundreds of chunks at once, the end with them."""
    reader = ChunkReader("x")
    words = [f"word-{number} " for number in range(500)]
    chunks: list[object] = [{"choices": [{"delta": {"content": word}}]} for word in words]
    chunks.append({"choices": [{"delta": {}, "finish_reason": "stop"}]})
    received = b"".join(b"data: " + msgspec.json.encode(chunk) + b"\n\n" for chunk in chunks)

    delta = reader.read(received + b"data: [DONE]\n\n")

    assert delta is not None
    assert delta.text == "".join(words)
    assert delta.raw is not None
    assert delta.raw.count(b"word-") == 500
    end = reader.end()
    assert end.raw is not None
    assert b"stop" in end.raw
