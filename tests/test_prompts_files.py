"""Prompts as files: written the same each time, and read back as they were."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from accounts.models import Organization, User
from core.errors import InvalidRequest
from llm.types import FunctionDefinition, Tool
from prompts import services
from prompts.content import (
    MessageTemplate,
    ModelSettings,
    OutputSchema,
    PromptContent,
    Variable,
)
from prompts.files import documents
from prompts.files.archives import read_folder
from prompts.files.documents import Block, DocumentInvalid
from prompts.files.errors import ImportChanged, ImportInvalid
from prompts.files.exporting import export_document, export_folder
from prompts.files.importing import import_bundle
from prompts.files.layout import version_value
from prompts.files.reading import read_files
from prompts.models import LabelMove, LabelRule, Prompt, PromptVersion
from prompts.releases import services as releases
from tests.prompt_files_support import bring, make, plan, said

pytestmark = pytest.mark.django_db

ALL_PARTS = PromptContent(
    messages=(
        MessageTemplate("system", "You are kind.  \n\n\tToday is {{ today }}.\n"),
        MessageTemplate("user", "{{ question }}"),
    ),
    variables=(
        Variable("today", required=False),
        Variable("question", max_length=100, may_be_empty=False),
        Variable("tone", "choice", required=False, default="yes", options=("yes", "no")),
    ),
    settings=ModelSettings(model="fast", temperature=0.5, stop=("END", "1e5")),
    tools=(Tool(FunctionDefinition("look_up", parameters={"type": "object", "on": "2026-11-21"})),),
    output_schema=OutputSchema("answer", {"type": "object", "required": ["a"]}, strict=False),
    locales={"de": (MessageTemplate("system", "Sei nett."),)},
    default_locale="en-GB",
)


@pytest.fixture
def acme(db: None) -> Organization:
    return Organization.objects.create(name="Acme", slug="acme")


@pytest.fixture
def other(db: None) -> Organization:
    return Organization.objects.create(name="Other", slug="other")


def test_a_prompt_is_a_folder_of_readable_files(acme: Organization) -> None:
    greeting = said("Hello.\nBe kind.")
    make(acme, "greeting", greeting, ALL_PARTS, production=2, staging=1)

    files = export_folder(acme)

    assert files["greeting/prompt.yaml"] == "description: What for\n"
    assert files["greeting/labels.yaml"] == (
        f"production:\n  version: production\n  hash: {ALL_PARTS.digest()}\n"
        f"staging:\n  version: staging\n  hash: {greeting.digest()}\n"
    )
    assert files["greeting/versions/staging.yaml"] == (
        "note: Note 1\nmessages:\n- role: system\n  template: |-\n    Hello.\n    Be kind.\n"
    )
    assert files["greeting/versions/production.yaml"].startswith(
        "note: Note 2\ndefault_locale: en-GB\nmessages:\n- role: system\n  template: |\n"
        "    You are kind.  \n\n    \tToday is {{ today }}.\n- role: user\n"
    )
    assert len(files) == 4


def test_a_change_of_the_words_is_a_change_of_just_these_lines(acme: Organization) -> None:
    prompt = make(acme, "greeting", said("One.\nTwo."), said("One.\nThree."), production=1)
    before = export_folder(acme)
    releases.move_label(prompt=prompt, number=2)

    after = export_folder(acme)

    changed = {path for path in after if after[path] != before[path]}
    assert changed == {"greeting/labels.yaml", "greeting/versions/production.yaml"}
    lines = after["greeting/versions/production.yaml"].splitlines()
    old = before["greeting/versions/production.yaml"].splitlines()
    assert [line for line in lines if line not in old] == ["note: Note 2", "    Three."]


@pytest.mark.parametrize("all_versions", [False, True])
def test_what_is_exported_is_imported_and_exported_the_same(
    acme: Organization, other: Organization, all_versions: bool
) -> None:
    contents = [said("A"), ALL_PARTS, said("A"), said("B {{ x }}", "x")]
    make(acme, "first", *contents, production=2, staging=3, canary=1)
    make(acme, "second", said('{% include "first" %}', "question", "x"), said("C"), production=2)
    files = export_folder(acme, all_versions=all_versions)

    bring(other, files)

    assert export_folder(other, all_versions=all_versions) == files
    assert not plan(other, files).changed
    assert not bring(other, files).changed


def test_one_file_has_the_whole_prompt(acme: Organization, other: Organization) -> None:
    prompt = make(acme, "greeting", said("A"), ALL_PARTS, production=2)
    text = export_document(prompt, all_versions=True)

    bring(other, {"anything.yaml": text})

    again = Prompt.objects.get(organization=other)
    assert export_document(again, all_versions=True) == text
    assert export_folder(other) == export_folder(acme)


TEXTS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0{}")
    | st.sampled_from(" \t\n\r:#-|>'\"\x85\u2028\ufeff")
)
WORDS = TEXTS.filter(str.strip)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
MESSAGES = st.lists(
    st.builds(MessageTemplate, st.sampled_from(["system", "user"]), WORDS), min_size=1, max_size=3
).map(tuple)
CONTENTS = st.builds(
    PromptContent,
    messages=MESSAGES,
    variables=st.builds(
        lambda value: (Variable("v", "json", required=False, default=value),), JSON
    ),
    settings=st.builds(ModelSettings, temperature=st.none() | st.floats(0, 2)),
    locales=st.dictionaries(st.sampled_from(["de", "fr-CH"]), MESSAGES),
    default_locale=st.just("en"),
)


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@example([ALL_PARTS])
@example([said("yes"), said(" \n x\n\n"), said("\x85\u2028\ufeff")])
@given(st.lists(CONTENTS, min_size=1, max_size=3, unique_by=PromptContent.digest))
def test_whatever_a_version_says_comes_back(
    acme: Organization, other: Organization, contents: list[PromptContent]
) -> None:
    with transaction.atomic():
        make(acme, "drawn", *contents, production=len(contents), staging=1)
        files = export_folder(acme, all_versions=True)

        bring(other, files)

        assert export_folder(other, all_versions=True) == files
        versions = PromptVersion.objects.filter(prompt__organization=other).order_by("number")
        assert [version.content for version in versions] == contents
        transaction.set_rollback(True)


@settings(max_examples=50, deadline=None)
@example({"on": "yes", "0003": "1e5", "~": "", "long" * 40: Block("x"), "<<": ["*a", "!b", "&c"]})
@example({"": {"a": [[], {}, None, True, -0.5, 1e22, "2026-11-21"]}})
@given(st.dictionaries(TEXTS, JSON))
def test_every_value_is_read_as_it_was_written(value: Any) -> None:
    assert documents.read(documents.write(value).encode()).value == value


@pytest.mark.parametrize(
    ("text", "line", "said_why"),
    [
        (b"a: &x 1\nb: *x\n", 1, "Write it out"),
        (b"a: 1\nb: !!python/object/apply:os.system [id]\n", 2, "begins with !"),
        (b"%TAG ! tag:x,2000:\n---\n!foo a\n", 3, "begins with !"),
        (b"a: 1\nb: 2\na: 3\n", 3, "stands here twice"),
        (b'a: "\\0"\n', 1, "zero character"),
        (b"a: 1\nb: \0\n", 2, "not YAML"),
        (b'a: "\\ud800"\n', 1, "Half of a character"),
        (b"[" * 100_000, 1, "too deep"),
        (b"- - " * 200, 1, "too deep"),
        (b"a: 1\n---\nb: 2\n", 2, "second document"),
        (b"? [a]\n: b\n", 1, "A key is a text"),
        (b"a: 9" + b"9" * 5_000, 1, "too large"),
        (b"a: 1e999", 1, "too large"),
        (b"a: [1", 1, "not YAML"),
        (b"\xff\xfe", None, "UTF-8"),
        (b"# nothing\n", None, "empty"),
        (b"a" * (documents.MAX_BYTES + 1), None, "bytes"),
    ],
)
def test_a_hostile_document_is_refused(text: bytes, line: int | None, said_why: str) -> None:
    with pytest.raises(DocumentInvalid) as refused:
        documents.read(text)

    assert refused.value.line == line
    assert said_why in refused.value.text


def test_a_document_says_so_much_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MAX_NODES", 50)

    with pytest.raises(DocumentInvalid, match="more than 50 things"):
        documents.read(b"- 1\n" * 51)


def test_a_long_key_over_many_children_takes_no_memory() -> None:
    key = "k" * 300_000
    children = "".join(f"  c{number}: 1\n" for number in range(3_000))

    with pytest.raises(DocumentInvalid, match="or too deep"):
        documents.read(f"? {key}\n:\n{children}".encode())


def test_a_file_that_is_edited_by_hand_is_a_new_version(acme: Organization) -> None:
    make(acme, "greeting", said("Hello.\nBe kind."), production=1)
    files = export_folder(acme)
    path = "greeting/versions/production.yaml"
    files[path] = files[path].replace("Be kind", "Be brief")

    planned = plan(acme, files)
    nothing_yet = PromptVersion.objects.count()
    outcome = bring(acme, files, expected=planned.fingerprint)

    [prompt] = outcome.changed
    [version], [move] = prompt.new_versions, prompt.moves
    assert (nothing_yet, version.number, move.label, move.before, move.number) == (
        *(1, 2, "production", 1, 2),
    )
    assert "edited" in outcome.notes[0].text
    assert PromptVersion.objects.get(number=2).messages[0]["template"] == "Hello.\nBe brief."


def test_a_version_that_is_there_already_gets_the_label_again(acme: Organization) -> None:
    prompt = make(acme, "greeting", said("A"), said("B"), production=1)
    files = export_folder(acme)
    releases.move_label(prompt=prompt, number=2)

    bring(acme, files)

    assert prompt.versions.count() == 2
    assert prompt.labels.get().version.number == 1


@pytest.mark.parametrize(
    ("labels", "moved"), [("staging", {"staging": 1}), ("none", {}), ("files", {"production": 1})]
)
def test_labels_move_as_asked(
    acme: Organization, other: Organization, labels: str, moved: dict[str, int]
) -> None:
    make(acme, "greeting", said("A"), production=1)

    bring(other, export_folder(acme), labels=labels)

    found = Prompt.objects.get(organization=other).labels.values_list("name", "version__number")
    assert dict(found) == moved


def test_a_protected_label_becomes_a_proposal(acme: Organization, other: Organization) -> None:
    make(acme, "greeting", said("A"), production=1)
    files = export_folder(acme)
    LabelRule.objects.create(organization=other, label="production", needs_second_person=True)
    User.objects.create_user("ada")
    folder = {path: text.encode() for path, text in files.items()}

    ada = User.objects.get()
    for _ in range(2):
        outcome = import_bundle(organization=other, bundle=read_files(folder), by=ada)

    assert outcome.prompts[0].labels[0].state == "waits"
    move = LabelMove.objects.get(prompt__organization=other)
    assert (move.state, move.proposed_by) == ("proposed", ada)
    assert not Prompt.objects.get(organization=other).labels.exists()


def test_a_rule_that_refuses_a_move_keeps_the_whole_import_out(
    acme: Organization, other: Organization
) -> None:
    make(acme, "greeting", said("A"), production=1)
    LabelRule.objects.create(organization=other, label="production", required_pass_rate=1)

    with pytest.raises(ImportInvalid, match=r"needs passed tests.*labels can be left out"):
        bring(other, export_folder(acme))
    nothing = Prompt.objects.filter(organization=other).count()
    bring(other, export_folder(acme), labels="none")

    assert (nothing, Prompt.objects.filter(organization=other).count()) == (0, 1)


def test_a_folder_is_read_without_what_is_hidden_and_without_links(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "a.yaml").write_text("a: 1\n")
    (tmp_path / "README.md").write_text("Words\n")
    (tmp_path / "greeting.yaml").write_text("a: 1\n")

    found = read_folder(tmp_path)
    (tmp_path / "passwords.yaml").symlink_to("/etc/passwd")

    assert found == {"greeting.yaml": b"a: 1\n"}
    with pytest.raises(InvalidRequest, match="is a link"):
        read_folder(tmp_path)


def test_what_is_imported_together_may_include_each_other(
    acme: Organization, other: Organization
) -> None:
    make(acme, "z-rules", said("Be {{ mood }}.", "mood"), production=1)
    make(acme, "a-greeting", said('{% include "z-rules" %}'), production=1)

    bring(other, export_folder(acme))

    assert export_folder(other) == export_folder(acme)


WRONG = {
    "one/versions/production.yaml": (
        "messages:\n- role: system\n  template: |\n    Hi\n    {{ nobody }}\n"
        "settings:\n  top_p: 3\n  speed: 1\n"
    ),
    "two/versions/production.yaml": "messages:\n- role: robot\n  template: x\nmodel: fast\n",
    "three/versions/production.yaml": "messages:\n- role: user\n  template: '{{ nobody }}'\n",
    "four/labels.yaml": "production:\n  version: production\n",
    "five.yaml": "versions: {}\n",
}


def test_all_that_is_wrong_is_told_with_its_file_and_line(acme: Organization) -> None:
    with pytest.raises(ImportInvalid) as refused:
        bring(acme, WRONG)
    with pytest.raises(ImportInvalid) as later:
        bring(acme, {path: WRONG[path] for path in ["three/versions/production.yaml"]})

    told = {(one.file.split("/")[0], one.line, one.place) for one in refused.value.problems}
    assert told >= {
        ("one", 5, "messages[0].template"),
        ("one", 7, "settings"),
        ("two", 2, "messages[0].role"),
        ("two", 4, "model"),
        ("four", 2, "production.version"),
        ("five.yaml", 1, ""),
    }
    [problem] = later.value.problems
    assert (problem.line, problem.place) == (3, "messages[0].template")
    assert "three/versions/production.yaml:3 (messages[0].template): the variable" in (
        later.value.message
    )
    assert not Prompt.objects.exists()


def test_a_problem_in_a_template_has_the_line_of_the_file(acme: Organization) -> None:
    text = "note: x\nmessages:\n- role: system\n  template: |\n    Hi\n    {{ nobody }}\n"
    with pytest.raises(ImportInvalid) as refused:
        bring(acme, {"one/versions/production.yaml": text, "two.json": "[]"})

    [problem] = refused.value.problems
    assert problem.line == 6


def test_one_wrong_prompt_keeps_all_others_out(acme: Organization) -> None:
    good = "messages:\n- role: user\n  template: Hi\n"
    missing = "messages:\n- role: user\n  template: '{% include \"gone\" %}'\n"
    with pytest.raises(ImportInvalid, match="there is no prompt “gone”"):
        bring(
            acme, {"good/versions/production.yaml": good, "bad/versions/production.yaml": missing}
        )

    assert not Prompt.objects.exists()


def test_a_plan_that_no_longer_holds_is_not_carried_out(acme: Organization) -> None:
    prompt = make(acme, "greeting", said("A"), production=1)
    files = export_folder(acme)
    files["greeting/versions/production.yaml"] = "messages:\n- role: user\n  template: New\n"
    planned = plan(acme, files)
    services.add_version(prompt=prompt, content=said("Meanwhile"))

    with pytest.raises(ImportChanged):
        bring(acme, files, expected=planned.fingerprint)
    assert prompt.versions.count() == 2


def test_commands_export_show_and_import(
    acme: Organization, other: Organization, tmp_path: Any, capsys: Any
) -> None:
    make(acme, "greeting", said("One.\nTwo."), production=1)
    make(other, "greeting", said("One.\nThree."), production=1)
    (tmp_path / "greeting" / "versions").mkdir(parents=True)
    (tmp_path / "greeting" / "versions" / "old.yaml").write_text("gone: 1\n")

    call_command("export_prompts", str(tmp_path), organization="acme")
    call_command("import_prompts", str(tmp_path), organization="other", dry_run=True)
    shown = capsys.readouterr().out
    assert Prompt.objects.get(organization=other).versions.count() == 1
    call_command("import_prompts", str(tmp_path), organization="other", label="staging")

    assert not (tmp_path / "greeting" / "versions" / "old.yaml").exists()
    assert "    -    Three.\n    +    Two.\n" in shown
    assert "“production” moves from version 1 to version 2" in shown
    assert "Nothing was written" in shown
    labels = Prompt.objects.get(organization=other).labels.values_list("name", "version__number")
    assert dict(labels) == {"production": 1, "staging": 2}
    with pytest.raises(CommandError, match="no organization"):
        call_command("export_prompts", str(tmp_path), organization="nobody")
    with pytest.raises(CommandError, match="no prompt “x”"):
        call_command("export_prompts", str(tmp_path), organization="acme", prompt=["x"])


def test_each_part_of_a_version_has_its_place_in_a_file() -> None:
    assert set(version_value(ALL_PARTS)) == {*PromptContent.__struct_fields__}
    assert set(msgspec.to_builtins(ALL_PARTS)) == {*PromptContent.__struct_fields__}
