"""A version speaks several languages, and each caller hears the nearest one."""

import pytest

from accounts.models import Organization
from prompts import services, translations
from prompts.content import MessageTemplate, PromptContent, Variable
from prompts.engine.rendering import compile_content
from prompts.errors import PromptContentInvalid
from prompts.releases import services as releases


def said(text: str) -> tuple[MessageTemplate, ...]:
    return (MessageTemplate(role="system", template=text),)


HELLO = PromptContent(
    messages=said("Hello {{ name }}"),
    variables=(Variable(name="name"),),
    locales={"de": said("Hallo {{ name }}"), "de-AT": said("Servus {{ name }}")},
)


@pytest.mark.parametrize(
    ("asked", "locale", "text"),
    [
        ("", "en", "Hello Ada"),
        ("en", "en", "Hello Ada"),
        ("de", "de", "Hallo Ada"),
        ("de-at", "de-AT", "Servus Ada"),
        ("de-CH", "de", "Hallo Ada"),
        ("de-Latn-CH", "de", "Hallo Ada"),
        ("fr", "en", "Hello Ada"),
        ("not a tag", "en", "Hello Ada"),
    ],
)
def test_a_caller_hears_the_nearest_language(asked: str, locale: str, text: str) -> None:
    prompt = compile_content(HELLO)

    [message] = prompt.render({"name": "Ada"}, asked)

    assert (prompt.locale(asked), message.content) == (locale, text)


@pytest.mark.parametrize(
    ("content", "place", "line", "sentence"),
    [
        ({"locales": {"de-at": said("x")}}, "locales.de-at", None, "as de-AT."),
        ({"locales": {"german!": said("x")}}, "locales.german!", None, "is not a language"),
        ({"locales": {"en": said("x")}}, "locales.en", None, "themselves are in en"),
        ({"locales": {"de": said(" ")}}, "locales.de", None, "The prompt in de says nothing"),
        ({"default_locale": "EN"}, "default_locale", None, "Write the language “EN” as en."),
        (
            {"locales": {"de": said("Hallo\n{{ wer }}")}},
            "locales.de[0]",
            2,
            "Message 1 in de, line 2: the variable “wer” is not declared.",
        ),
        (
            {"locales": {"de": said("{% if %}")}},
            "locales.de[0]",
            1,
            "Message 1 in de, line 1: ",
        ),
    ],
)
def test_a_wrong_variant_is_told_with_its_language(
    content: dict[str, object], place: str, line: int | None, sentence: str
) -> None:
    with pytest.raises(PromptContentInvalid) as caught:
        compile_content(PromptContent(**{"messages": said("Hi"), **content}))  # type: ignore[arg-type]

    [problem] = caught.value.problems
    assert (problem.place, problem.line) == (place, line)
    assert sentence in problem.sentence


@pytest.mark.django_db
def test_a_page_can_tell_which_languages_are_missing() -> None:
    organization = Organization.objects.create(name="Acme", slug="acme")
    contents = {
        "both": PromptContent(messages=said("Hi"), locales={"de-AT": said("Servus")}),
        "english": PromptContent(messages=said("Hi")),
        "german": PromptContent(messages=said("Hallo"), default_locale="de"),
    }
    for name, content in contents.items():
        prompt = services.create_prompt(organization=organization, name=name)
        services.add_version(prompt=prompt, content=content)
        releases.move_label(prompt=prompt, number=1)

    found = translations.missing_locales(organization_id=organization.pk)

    assert found == [
        ("both", 1, ("en", "de-AT"), ("de",)),
        ("english", 1, ("en",), ("de", "de-AT")),
        ("german", 1, ("de",), ("en",)),
    ]
    assert translations.missing_locales(organization_id=organization.pk, label="staging") == []
