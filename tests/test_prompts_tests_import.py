"""Cases from files, with what is wrong by line."""

import json

import pytest

from core.errors import InvalidRequest
from prompts.content import Variable
from prompts.testing import importing
from prompts.testing.cases import SaidMessage
from prompts.testing.checks import Contains, Equals

DECLARED = [Variable("name"), Variable("age", "number"), Variable("vip", "boolean")]


def read(text: str, *, is_table: bool) -> importing.Read:
    return importing.read(text.encode(), is_table=is_table, variables=DECLARED)


def test_a_table_has_a_column_for_each_variable() -> None:
    text = (
        "\ufeffcase,name,age,vip,variables.case,contains,message,locale\n"
        'first,Ada,36,TRUE,odd,"Hello, Ada",How are you?,de\n'
        ",Bo,,,,,,\n"
    )

    found = read(text, is_table=True)

    first, second = found.contents
    assert found.problems == []
    assert first.name == "first"
    assert first.variables == {"name": "Ada", "age": 36, "vip": True, "case": "odd"}
    assert first.checks == (Contains(text="Hello, Ada"),)
    assert first.messages == (SaidMessage("user", "How are you?"),)
    assert (first.locale, second.name, second.variables) == ("de", "Line 3", {"name": "Bo"})


def test_json_lines_are_cases_as_they_are_kept() -> None:
    case = {"variables": {"name": "Ada"}, "checks": [{"kind": "equals", "text": "Hi"}]}

    found = read(f"{json.dumps(case)}\n\n", is_table=False)

    (one,) = found.contents
    assert (one.name, one.variables, one.checks) == (
        "Line 1",
        {"name": "Ada"},
        (Equals(text="Hi"),),
    )


@pytest.mark.parametrize(
    ("text", "is_table", "problems"),
    [
        ('{"name": "a"}\nnonsense\n{"nmae": "b"}', False, {2: "not JSON", 3: "nmae"}),
        ('{"name": "a"}\n{"name": "a"}\n[]', False, {2: "two cases “a”", 3: "an object"}),
        ("name,age\na,young\nb,1,2\n", True, {2: "“age” is not JSON: young", 3: "more cells"}),
        ("name,checks\na,{}\n", True, {2: "“checks” is a list"}),
        ('name\n"a', True, {2: "cannot be read"}),
        ("", True, {1: "no case"}),
        ("", False, {1: "no case"}),
        ('{"name": "a", "checks": [{"kind": "regex", "pattern": "("}]}', False, {1: "Check 1"}),
    ],
)
def test_what_is_wrong_is_told_by_line(text: str, is_table: bool, problems: dict[int, str]) -> None:
    found = read(text, is_table=is_table)

    assert [one.line for one in found.problems] == list(problems)
    for one in found.problems:
        assert problems[one.line] in one.text


@pytest.mark.parametrize("data", [b"\xff\xfe", b"x" * (importing.MOST_BYTES + 1)])
def test_what_is_no_text_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidRequest):
        importing.read(data, is_table=True, variables=[])
