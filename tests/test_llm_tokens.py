"""Counting tokens offline."""

from collections.abc import Iterator

import pytest

from llm import tokens
from llm.types import ChatRequest, FunctionDefinition, ImagePart, ImageUrl, Message, TextPart, Tool


@pytest.mark.parametrize(
    ("model", "count"),
    [
        ("gpt-4o-mini", 6),
        ("gpt-4.1", 6),
        ("gpt-5", 6),
        ("o3", 6),
        ("gpt-4", 8),
        ("gpt-4-turbo", 8),
        ("gpt-3.5-turbo", 8),
        ("gpt-35-turbo", 8),
        ("openai/gpt-4", 8),
        ("claude-sonnet-5-5", 6),
        ("llama-3", 6),
    ],
)
def test_a_model_is_counted_with_its_encoding(model: str, count: int) -> None:
    assert tokens.count("Привет, как дела?", model) == count


def test_words_that_mean_something_to_a_model_are_plain_text() -> None:
    assert tokens.count("<|endoftext|>", "gpt-4o") > 1


@pytest.mark.parametrize("length", [999_999, 1_000_000, 2_500_000])
def test_a_very_long_text_is_counted(length: int) -> None:
    text = ("word " * (length // 5 + 1))[:length]

    assert tokens.count(text, "gpt-4o") == pytest.approx(length / 5, rel=0.01)


def test_one_long_word_does_not_take_for_ever() -> None:
    assert tokens.count("a" * 300_000, "gpt-4o") > 1000


def test_half_a_character_is_counted() -> None:
    assert tokens.count("half \ud83d", "gpt-4o") >= 1


def test_pictures_tools_and_roles_are_counted() -> None:
    words = ChatRequest(model="m", messages=(Message("user", "Hello"),))
    picture = ImagePart(ImageUrl("data:image/png;base64," + "A" * 100_000))
    more = ChatRequest(
        model="m",
        messages=(Message("user", (TextPart("Hello"), picture)),),
        tools=(Tool(FunctionDefinition("weather", "Tell the weather", {"type": "object"})),),
    )

    assert tokens.count_request(words, "gpt-4o") == 8
    difference = tokens.count_request(more, "gpt-4o") - 8
    assert tokens.PER_IMAGE < difference < tokens.PER_IMAGE + 60


async def test_a_long_text_is_counted_off_the_event_loop() -> None:
    text = "word " * 20_000

    assert await tokens.count_soon(text, "gpt-4o") == tokens.count(text, "gpt-4o")


@pytest.mark.parametrize("text", ["a\n" * 150_000, "\U0002a6b2" * 60_000])
def test_a_text_of_nothing_but_short_tokens_is_counted(text: str) -> None:
    assert tokens.count(text, "gpt-4o") > 100_000


@pytest.fixture
def fresh_ratios() -> Iterator[None]:
    tokens.forget()
    yield
    tokens.forget()


HUNDRED = ChatRequest(model="m", messages=(Message("user", " word" * 93),))  # with what is around


@pytest.mark.usefixtures("fresh_ratios")
async def test_an_estimate_is_corrected_by_what_the_vendor_reports() -> None:
    assert tokens.count_request(HUNDRED, "claude-x") == 100

    tokens.learn("claude-x", 100, 121)

    assert tokens.count_request(HUNDRED, "claude-x") == 121
    assert (await tokens.measure_soon(HUNDRED, "claude-x")).by("claude-x") == 121
    assert tokens.corrected(3, "claude-x") == 4  # 3.63, rounded up
    assert tokens.count_request(HUNDRED, "another") == 100


@pytest.mark.usefixtures("fresh_ratios")
def test_the_correction_is_quick_at_first_and_steady_later() -> None:
    for reported in (100, 140):
        tokens.learn("claude-x", 100, reported)
    assert tokens.corrected(1000, "claude-x") == 1200

    for _ in range(100):
        tokens.learn("claude-x", 100, 120)
    tokens.learn("claude-x", 100, 220)

    assert tokens.corrected(1000, "claude-x") == 1250


@pytest.mark.usefixtures("fresh_ratios")
@pytest.mark.parametrize(("reported", "estimate"), [(1, 50), (100_000, 300)])
def test_an_absurd_report_corrects_only_so_far(reported: int, estimate: int) -> None:
    tokens.learn("claude-x", 100, reported)

    assert tokens.corrected(100, "claude-x") == estimate


@pytest.mark.usefixtures("fresh_ratios")
@pytest.mark.parametrize(
    ("model", "counted", "reported"),
    [
        ("gpt-4o", 100, 150),
        ("openai/o3-mini", 100, 150),
        ("ft:gpt-4o:acme::1", 100, 150),
        ("claude-x", 49, 100),  # too short to say much
        ("claude-x", 100, 0),  # the vendor says nothing
    ],
)
def test_nothing_is_learned_where_there_is_nothing_to_learn(
    model: str, counted: int, reported: int
) -> None:
    tokens.learn(model, counted, reported)

    assert tokens.corrected(1000, model) == 1000


@pytest.mark.usefixtures("fresh_ratios")
def test_pictures_are_not_corrected_with_the_words() -> None:
    picture = ImagePart(ImageUrl("data:image/png;base64,AAAA"))
    request = ChatRequest(model="m", messages=(Message("user", (TextPart(" word" * 93), picture)),))

    tokens.learn("claude-x", 100, 200)

    assert tokens.count_request(request, "claude-x") == 200 + tokens.PER_IMAGE
