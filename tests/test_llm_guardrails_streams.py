"""An answer in pieces: however it is cut, the same is found, and no more is held than needed."""

from collections import Counter
from typing import Any

import pytest

from llm.guardrails import pii, secrets
from llm.guardrails.blocked import Blocked
from llm.guardrails.rules import Rule
from llm.guardrails.window import Window
from tests.guardrails_support import a_rule

PEM = (
    "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\n"
    + "\n".join(["MIIEpAIBAAKCAQEA75KXLbGLgRwlp8GfnWZC9RCDgR+z5h/Xk2Zv" * 2] * 14)
    + "\nab==\n-----END RSA PRIVATE KEY-----"
)
JWT = "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxMjM0NTY3ODkwIn0" * 60 + ".dozjgNryP4J3jVmNHl0w5N"
RULES = (
    a_rule("pii", region="DE"),
    a_rule("secrets"),
    a_rule("words", words=("Project Zeus", "hush")),
)
CASES = [
    ("email", "ada.lovelace+news@mail.example.co.uk"),
    ("phone", "+49 30 1234567"),
    ("phone", "(030) 1234-567"),
    ("card", "4111 1111 1111 1111"),
    ("card", "378282246310005"),
    ("iban", "DE89 3704 0044 0532 0130 00"),
    ("iban", "GB82WEST12345698765432"),
    ("ssn", "123-45-6789"),
    ("openai_key", "sk-proj-" + "aB3_-x" * 20),
    ("anthropic_key", "sk-ant-api03-" + "Zz9_" * 23),
    ("aws_key", "AKIAIOSFODNN7EXAMPLE"),
    ("github_token", "ghp_" + "a1B2" * 9),
    ("github_token", "github_pat_" + "a1B2_" * 16),
    ("slack_token", "xoxb-123456789012-abcdefABCDEF"),
    ("google_key", "AIza" + "SyA-_" * 7),
    ("jwt", JWT[:90] + ".c2lnbmF0dXJl"),
    ("parley_key", "pk-" + "aB3_-" * 8 + "xyz"),
    ("word", "project zeus"),
    ("word", "HUSH"),
]
CHECKS = (
    {"word": "words"} | dict.fromkeys(pii.KINDS, "pii") | dict.fromkeys(secrets.KINDS, "secrets")
)
BEFORE, AFTER = "Well, it is: ", ", so keep it 12 months. Bye"


def through(pieces: list[str], rules: tuple[Rule, ...] = RULES) -> str:
    window = Window(rules, Counter())
    return "".join([*(window.feed(piece) for piece in pieces), window.finish()])


def alone(kind: str) -> tuple[Rule, ...]:
    """Return the rule that looks for the kind, without help of others."""
    rule = next(rule for rule in RULES if rule.check_name == CHECKS[kind])
    settings = _settings(rule) | ({} if kind == "word" else {"kinds": (kind,)})
    return (a_rule(rule.check_name, **settings),)


def cut_up(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def named(kind: str) -> str:
    return "[removed]" if kind == "word" else f"[{kind.replace('_', ' ')}]"


@pytest.mark.parametrize(("kind", "secret"), CASES)
def test_a_secret_is_found_wherever_it_is_cut(kind: str, secret: str) -> None:
    text = BEFORE + secret + AFTER
    expected = BEFORE + named(kind) + AFTER

    for cut in range(len(text) + 1):
        assert through([text[:cut], text[cut:]]) == expected
        assert through([text[:cut], text[cut:]], alone(kind)) == expected
    for size in (1, 2, 3, 5, 7, 11):
        pieces = cut_up(text, size)
        assert through(pieces) == through(pieces, alone(kind)) == expected


@pytest.mark.parametrize(("kind", "secret"), CASES)
def test_a_secret_at_the_very_end_is_found(kind: str, secret: str) -> None:
    text = BEFORE + secret

    for cut in range(len(text) + 1):
        assert through([text[:cut], text[cut:]]) == BEFORE + named(kind)
    assert through(list(text)) == BEFORE + named(kind)


@pytest.mark.parametrize(("kind", "secret"), [("private_key", PEM), ("jwt", JWT)])
def test_a_match_longer_than_the_window_is_replaced_as_a_whole(kind: str, secret: str) -> None:
    text = BEFORE + secret + AFTER

    for size in (1, 4, 50, 333, 5000):
        pieces = cut_up(text, size)
        expected = BEFORE + named(kind) + AFTER
        assert through(pieces) == through(pieces, alone(kind)) == expected


@pytest.mark.parametrize(("kind", "secret"), CASES)
def test_a_blocked_answer_shows_nothing_of_what_blocks_it(kind: str, secret: str) -> None:
    rules = tuple(a_rule(r.check_name, "block", **_settings(r)) for r in RULES)

    for cut in range(len(BEFORE), len(BEFORE) + len(secret)):
        window = Window(rules, Counter())
        shown = window.feed((BEFORE + secret)[:cut])
        with pytest.raises(Blocked) as caught:
            shown += window.feed((BEFORE + secret + AFTER)[cut:]) + window.finish()
        assert BEFORE.startswith(shown)
        assert secret not in caught.value.message


TEXT = """The moon is about 384,400 km away, and it orbits the Earth in 27.3 days. Since 1969,
twelve people have walked on it: the last ones, in 1972, stayed for three days. Ask me (or e-mail @
the office) about task-based plans, e.g. C:\\temp, a/b/c or x = [1, 2, 3, 40, 500]; prices are
$1,299.00 now. Naïve café, Привет мир, 你好世界 👩\u200d👩\u200d👧 — and so on. ghost, sketch,
skipping, AKI, -- dashes --- and "pk". """


def test_ordinary_text_is_not_changed_and_hardly_waits() -> None:
    tokens = cut_up(TEXT, 4)
    window = Window(RULES, Counter())
    out, held = "", []

    for number, token in enumerate(tokens):
        out += window.feed(token)
        held.append(len("".join(tokens[: number + 1])) - len(out))

    assert out + window.finish() == TEXT
    assert sum(held) / len(held) < 6  # characters: a word
    assert max(held) < 60


def test_a_long_run_that_is_nothing_flows_on_behind_the_window() -> None:
    window = Window(RULES, Counter())
    out = "".join(window.feed("x9_") for _ in range(1000))

    assert 3000 - len(out) <= 256
    assert out + window.finish() == "x9_" * 1000


def test_what_follows_a_header_of_a_key_in_prose_is_not_lost() -> None:
    text = "A file begins with -----BEGIN PRIVATE KEY----- and then there is more.\n\nThat is all."

    assert through(list(text)) == text.replace("-----BEGIN PRIVATE KEY-----", "[private key]")


def test_the_same_value_has_the_same_name_throughout() -> None:
    text = "a@example.com, b@example.com, A@Example.com; +49 30 1234567 or +49-30-1234567."

    assert through(list(text)) == "[email], [email 2], [email]; [phone] or [phone]."


def test_a_pattern_of_staff_is_found_wherever_it_is_cut() -> None:
    rules = (a_rule("words", patterns=(r"PRJ-\d{4}", r"key\s+\w{3,20}")),)
    text = "See " + "PRJ-1234" + " and " * 100 + "KEY  abcdef."

    for cut in range(len(text) + 1):
        out = through([text[:cut], text[cut:]], rules)
        assert out == "See [removed]" + " and " * 100 + "[removed]."


def _settings(rule: Rule) -> dict[str, Any]:
    return {name: getattr(rule.settings, name) for name in rule.settings.__struct_fields__}
