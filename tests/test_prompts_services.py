"""Versions never change, labels move, and what is wrong is said in one sentence."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection

from accounts.models import Organization
from core.errors import InvalidRequest, NotFound
from llm.types import Message
from prompts import demo, services
from prompts.content import MessageTemplate, ModelSettings, PromptContent, Variable
from prompts.errors import (
    PromptContentInvalid,
    PromptExists,
    PromptNotFound,
    PromptVariablesInvalid,
)
from prompts.models import Prompt, PromptVersion, VersionIsImmutable
from prompts.releases import services as releases


@pytest.fixture
def organization(db: None) -> Organization:
    return Organization.objects.create(name="Acme", slug="acme")


@pytest.fixture
def prompt(organization: Organization) -> Prompt:
    return services.create_prompt(organization=organization, name="greeting")


def saying(text: str, *variables: Variable, **settings: Any) -> PromptContent:
    return PromptContent(
        messages=(MessageTemplate(role="system", template=text),),
        variables=variables,
        settings=ModelSettings(**settings),
    )


def publish(prompt: Prompt, content: PromptContent) -> PromptVersion:
    version = services.add_version(prompt=prompt, content=content)
    releases.move_label(prompt=prompt, number=version.number)
    return version


def test_a_published_version_is_rendered_with_its_number_and_settings(prompt: Prompt) -> None:
    publish(prompt, saying("Greet {{ name }}.", Variable(name="name"), temperature=0.2))

    rendered = services.render(
        organization_id=prompt.organization_id, name="greeting", variables={"name": "Ada"}
    )

    assert (rendered.name, rendered.version) == ("greeting", 1)
    assert rendered.messages == (Message(role="system", content="Greet Ada."),)
    assert rendered.settings == ModelSettings(temperature=0.2)


def test_versions_count_up_and_keep_what_they_said(prompt: Prompt) -> None:
    first = services.add_version(prompt=prompt, content=saying("One."), note="start")
    second = services.add_version(prompt=prompt, content=saying("Two."))

    assert (first.number, second.number) == (1, 2)
    assert PromptVersion.objects.get(pk=first.pk).content == saying("One.")
    assert first.content_hash != second.content_hash


def test_a_version_cannot_be_changed(prompt: Prompt) -> None:
    version = services.add_version(prompt=prompt, content=saying("One."))
    version.note = "another"

    with pytest.raises(VersionIsImmutable):
        version.save()
    with pytest.raises(VersionIsImmutable):
        PromptVersion.objects.filter(pk=version.pk).update(note="another")


def test_the_same_content_twice_in_a_row_is_no_new_version(prompt: Prompt) -> None:
    services.add_version(prompt=prompt, content=saying("One."))

    with pytest.raises(PromptContentInvalid, match="Nothing has changed since version 1"):
        services.add_version(prompt=prompt, content=saying("One."), note="again")


@pytest.mark.django_db(transaction=True)
def test_people_who_save_at_once_get_numbers_of_their_own() -> None:
    organization = Organization.objects.create(name="Acme", slug="acme")
    prompt = services.create_prompt(organization=organization, name="greeting")

    def save(number: int) -> int:
        try:
            return services.add_version(prompt=prompt, content=saying(f"Text {number}.")).number
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        numbers = list(pool.map(save, range(8)))

    assert sorted(numbers) == list(range(1, 9))


def test_a_name_is_taken_once_in_an_organization(prompt: Prompt) -> None:
    other = Organization.objects.create(name="Other", slug="other")

    with pytest.raises(PromptExists):
        services.create_prompt(organization=prompt.organization, name="greeting")

    assert services.create_prompt(organization=other, name="greeting").pk != prompt.pk


def test_a_name_has_no_spaces(organization: Organization) -> None:
    with pytest.raises(InvalidRequest):
        services.create_prompt(organization=organization, name="two words")


def test_a_label_moves_back_to_an_older_version(prompt: Prompt) -> None:
    publish(prompt, saying("One."))
    publish(prompt, saying("Two."))

    releases.move_label(prompt=prompt, number=1)

    rendered = services.render(
        organization_id=prompt.organization_id, name="greeting", variables={}
    )
    assert rendered.version == 1
    assert prompt.labels.count() == 1


def test_a_label_needs_a_version_of_the_prompt_and_a_proper_name(prompt: Prompt) -> None:
    services.add_version(prompt=prompt, content=saying("One."))

    with pytest.raises(NotFound, match="no version 7"):
        releases.move_label(prompt=prompt, number=7)
    with pytest.raises(InvalidRequest):
        releases.move_label(prompt=prompt, number=1, name="Not a label")


def test_a_prompt_belongs_to_its_organization(prompt: Prompt) -> None:
    publish(prompt, saying("One."))
    stranger = Organization.objects.create(name="Other", slug="other")

    with pytest.raises(PromptNotFound) as caught:
        services.render(organization_id=stranger.pk, name="greeting", variables={})

    assert (caught.value.code, caught.value.http_status) == ("prompt_not_found", 404)


def test_a_label_that_nothing_carries_is_not_found(prompt: Prompt) -> None:
    publish(prompt, saying("One."))

    with pytest.raises(PromptNotFound, match="“staging”"):
        services.render(
            organization_id=prompt.organization_id, name="greeting", label="staging", variables={}
        )


@pytest.mark.django_db(transaction=True)
async def test_a_moved_label_is_seen_by_running_calls_within_a_second(
    a_second_later: Callable[[], None],
) -> None:
    organization = await Organization.objects.acreate(name="Acme", slug="acme")
    prompt = await asyncio.to_thread(
        services.create_prompt, organization=organization, name="greeting"
    )
    await asyncio.to_thread(publish, prompt, saying("One."))

    async def version() -> int:
        rendered = await services.render_for_call(
            organization_id=organization.pk, name="greeting", variables={}
        )
        return rendered.version

    assert await version() == 1
    await asyncio.to_thread(publish, prompt, saying("Two."))
    a_second_later()

    assert await version() == 2


def test_all_that_is_wrong_with_the_values_is_named_at_once(prompt: Prompt) -> None:
    content = saying(
        "{{ name }} {{ age }} {{ tags }}",
        Variable(name="name"),
        Variable(name="age", type="number"),
        Variable(name="tags", type="list"),
    )
    publish(prompt, content)

    with pytest.raises(PromptVariablesInvalid) as caught:
        services.render(
            organization_id=prompt.organization_id,
            name="greeting",
            variables={"age": "40", "tags": "a", "colour": "red"},
        )

    assert caught.value.http_status == 400
    assert caught.value.details == {
        "missing": "missing name",
        "unknown": "unknown colour",
        "wrong_type": "age must be a number, tags must be a list",
    }


def test_the_demo_prompt_is_seeded_once_and_works(organization: Organization) -> None:
    demo.seed(organization)
    demo.seed(organization)

    rendered = services.render(
        organization_id=organization.pk,
        name="chat-system",
        variables={"user_name": "Ada", "today": "1 May 2030"},
    )

    assert rendered.version == 1
    assert "You talk with Ada; today is 1 May 2030." in str(rendered.messages[0].content)
