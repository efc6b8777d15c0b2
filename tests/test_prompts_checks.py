"""What is checked of an answer, without a model."""

from typing import Any

import pytest

from core.errors import InvalidRequest
from prompts.testing import checks

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def verdict(stored: dict[str, Any], answer: str) -> checks.Verdict:
    (check,) = checks.read([stored])
    assert isinstance(check, checks.Exact)
    return checks.look(check, answer)


@pytest.mark.parametrize(
    ("check", "answer"),
    [
        ({"kind": "contains", "text": "paris"}, "It is Paris."),
        ({"kind": "contains", "text": "paris", "is_absent": True}, "It is Rome."),
        ({"kind": "contains", "text": "Straße"}, "in der STRASSE"),
        ({"kind": "regex", "pattern": r"\bO-\d{4}\b"}, "Order O-1234 is on its way."),
        ({"kind": "regex", "pattern": "sorry", "is_absent": True}, "Here you are."),
        ({"kind": "equals", "text": "billing"}, " billing\n"),
        ({"kind": "equals", "text": "Billing", "ignores_case": True}, "BILLING"),
        ({"kind": "json_schema", "schema": CITY}, '{"city": "Paris"}'),
        ({"kind": "json_schema", "schema": CITY}, '```json\n{"city": "Paris"}\n```'),
        ({"kind": "number", "value": 0.3}, "That is 0.30000000000000004."),
        ({"kind": "number", "value": 1250, "tolerance": 5}, "Of 3 boxes: 1,248.5 grams"),
        ({"kind": "number", "value": -4}, "It is -4"),
    ],
)
def test_an_answer_passes(check: dict[str, Any], answer: str) -> None:
    assert verdict(check, answer) == checks.Verdict(passed=True)


@pytest.mark.parametrize(
    ("check", "answer", "why"),
    [
        ({"kind": "contains", "text": "Paris"}, "Rome", "“Paris” is not in the answer."),
        (
            {"kind": "contains", "text": "Paris", "is_absent": True},
            "paris",
            "“Paris” is in the answer.",
        ),
        (
            {"kind": "contains", "text": "Paris", "ignores_case": False},
            "paris",
            "“Paris” is not in the answer.",
        ),
        ({"kind": "regex", "pattern": r"^\d+$"}, "12 a", r"The pattern ^\d+$ does not match."),
        (
            {"kind": "regex", "pattern": "sorry", "is_absent": True},
            "sorry",
            "The pattern sorry matches.",
        ),
        (
            {"kind": "regex", "pattern": "a"},
            "a" * 10_001,
            "The answer is longer than the 10,000 characters for patterns.",
        ),
        ({"kind": "equals", "text": "billing"}, "Billing", "The answer is not “billing”."),
        ({"kind": "json_schema", "schema": CITY}, "Paris", "The answer is not JSON."),
        (
            {"kind": "json_schema", "schema": CITY},
            '{"city": 5}',
            "The answer['city'] does not fit: 5 is not of type 'string'.",
        ),
        ({"kind": "number", "value": 3}, "none", "There is no number in the answer."),
        ({"kind": "number", "value": 3, "tolerance": 0.5}, "3.6", "The number is 3.6, not 3."),
    ],
)
def test_an_answer_fails_and_it_says_why(check: dict[str, Any], answer: str, why: str) -> None:
    assert verdict(check, answer) == checks.Verdict(passed=False, why=why)


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        ([{"kind": "shorter"}], "Invalid value 'shorter'"),
        ([{"kind": "contains"}], "missing required field `text`"),
        ([{"kind": "contains", "text": ""}], "length >= 1"),
        ([{"kind": "contains", "text": "a", "tekst": "b"}], "unknown field `tekst`"),
        ([{"kind": "regex", "pattern": "(?=a)"}], "Check 1: The pattern '(?=a)' is not one"),
        ([{"kind": "json_schema", "schema": {"type": 5}}], "Check 1: This is no JSON schema"),
        ([{"kind": "number", "value": 1, "tolerance": -1}], ">= 0"),
        ([{"kind": "judge", "rubric": "kind", "model": ""}], "Name the model that is asked."),
        ([{"kind": "equals", "text": "a"}] * 21, "at most 20 checks"),
        ("contains", "Expected `array`"),
    ],
)
def test_a_check_that_is_none_is_refused(stored: Any, message: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        checks.read(stored)

    assert message in refusal.value.message
    assert refusal.value.param == "checks"


def test_a_result_keeps_what_came_of_each_check() -> None:
    contains, judge = checks.read(
        [
            {"kind": "contains", "text": "a"},
            {"kind": "judge", "rubric": "Is it kind?", "model": "judge"},
        ]
    )

    kept = checks.stored(
        [(contains, checks.Verdict(True)), (judge, checks.Verdict(False, "It is rude.", 0.2))]
    )

    assert kept == [
        {"kind": "contains", "passed": True, "why": ""},
        {"kind": "judge", "passed": False, "why": "It is rude.", "score": 0.2},
    ]
