"""A prompt includes others by name, under the label that the whole was asked for by."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from accounts.models import Organization
from prompts import includes, services
from prompts.content import MessageTemplate, PromptContent, Variable
from prompts.engine.rendering import compile_content
from prompts.errors import PromptContentInvalid, PromptRenderFailed, PromptVariablesInvalid
from prompts.labelled import LabelKey, labelled, load
from prompts.models import Prompt
from prompts.releases import services as releases


@pytest.fixture
def organization(db: None) -> Organization:
    return Organization.objects.create(name="Acme", slug="acme")


def saying(text: str, *variables: Variable, **more: Any) -> PromptContent:
    messages = (MessageTemplate(role="system", template=text),)
    return PromptContent(messages=messages, variables=variables, **more)


def publish(
    organization: Organization, name: str, content: PromptContent | str, label: str = "production"
) -> int:
    """Point the label of the prompt at a new version; return its number."""
    if isinstance(content, str):
        content = saying(content)
    prompt = Prompt.objects.filter(organization=organization, name=name).first()
    prompt = prompt or services.create_prompt(organization=organization, name=name)
    version = services.add_version(prompt=prompt, content=content)
    releases.move_label(prompt=prompt, number=version.number, name=label)
    return version.number


def words(organization: Organization, name: str = "whole", **more: Any) -> str:
    rendered = services.render(organization_id=organization.pk, name=name, **more)
    return "\n--\n".join(str(message.content) for message in rendered.messages)


def refused(organization: Organization, content: PromptContent | str, name: str = "whole") -> str:
    with pytest.raises(PromptContentInvalid) as caught:
        publish(organization, name, content)
    return caught.value.message


def test_an_included_prompt_is_the_text_of_all_its_messages(organization: Organization) -> None:
    rules = PromptContent(
        messages=(
            MessageTemplate(role="system", template="Be kind."),
            MessageTemplate(role="user", template="{% if False %}x{% endif %} "),
            MessageTemplate(role="user", template="Be brief."),
        )
    )
    publish(organization, "rules", rules)
    publish(organization, "whole", "Rules: {% include 'rules' %}!")

    assert words(organization) == "Rules: Be kind.\n\nBe brief.!"


def test_the_variables_of_what_is_included_are_those_of_the_whole(
    organization: Organization,
) -> None:
    greeting = saying("Greet {{ name }} {{ tone }}.", Variable(name="name"), tone("kindly"))
    publish(organization, "greeting", greeting)
    own = (Variable(name="topic"), tone("briskly"))
    publish(organization, "whole", saying('{% include "greeting" %} On {{ topic }}.', *own))

    assert words(organization, variables={"name": "Ada", "topic": "tea"}) == (
        "Greet Ada briskly. On tea."
    )
    with pytest.raises(PromptVariablesInvalid, match="missing topic, name"):
        words(organization)
    whole = load(LabelKey(organization.pk, "whole", "production")).whole
    assert [variable.name for variable in whole.content.variables] == ["topic", "tone"]
    assert [variable.name for variable in includes.included_variables(whole)] == ["name"]


def tone(default: str) -> Variable:
    return Variable(name="tone", required=False, default=default)


ROW = saying(
    "{{ item }} {{ unit }};",
    Variable(name="item"),
    Variable(name="unit", required=False, default="pieces"),
)
LOOP = "{%% for one in items %%}{%% include 'row' with item=one%s %%}{%% endfor %%}"


@pytest.mark.parametrize(("only", "text"), [("", "a kg;b kg;"), (" only", "a pieces;b pieces;")])
def test_values_can_be_given_to_what_is_included(
    organization: Organization, only: str, text: str
) -> None:
    publish(organization, "row", ROW)
    variables = (Variable(name="items", type="list"), Variable(name="unit"))
    publish(organization, "whole", saying(LOOP % only, *variables))

    assert words(organization, variables={"items": ["a", "b"], "unit": "kg"}) == text


def test_what_is_given_has_to_fit(organization: Organization) -> None:
    publish(organization, "row", ROW)
    publish(organization, "whole", saying(LOOP % "", Variable(name="items", type="list")))

    with pytest.raises(PromptRenderFailed, match="“item” must be a text"):
        words(organization, variables={"items": [1]})


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("Hi\n{% include 'nobody' %}", "line 2: there is no prompt “nobody” in production"),
        ("{% include 'row' with itm=1 %}", "“row” has no variable “itm”"),
        ("{% include 'row' only %}", "“row” needs its variable “item”"),
        ("{% include 'whole' %}", "a prompt cannot include itself: whole → whole"),
        ("{% include 'row' %}{{ item }}", "“item” of “row” is text there and number here"),
        ("{% include item %}", "include takes the name of a prompt in quotes"),
        ("{% include 'row' with %}", "after its name, include takes"),
        ("{% include 'row' item=1 %}", "after its name, include takes"),
        ("{% include %}", "include takes the name of a prompt in quotes"),
    ],
)
def test_an_include_that_cannot_be_is_told_with_its_line(
    organization: Organization, template: str, problem: str
) -> None:
    publish(organization, "row", ROW)

    assert problem in refused(organization, saying(template, Variable(name="item", type="number")))


def test_a_circle_is_refused_with_its_chain(organization: Organization) -> None:
    publish(organization, "a", "Hi")
    publish(organization, "b", "{% include 'a' %}")
    publish(organization, "c", "{% include 'b' %}")

    problem = refused(organization, "{% include 'c' %}", name="a")

    assert "a prompt cannot include itself: a → c → b → a" in problem


def test_a_circle_that_a_moved_label_makes_is_told_to_callers(organization: Organization) -> None:
    publish(organization, "a", "Hi")
    publish(organization, "b", "{% include 'a' %}")
    publish(organization, "b", "Nothing")
    publish(organization, "a", "{% include 'b' %}")
    b = Prompt.objects.get(name="b")
    releases.move_label(prompt=b, number=1)

    with pytest.raises(PromptRenderFailed, match="a → b → a"):
        words(organization, "a")


def test_prompts_include_each_other_five_deep_and_no_deeper(organization: Organization) -> None:
    publish(organization, "p0", "Deep")
    for depth in range(1, 6):
        publish(organization, f"p{depth}", f"{{% include 'p{depth - 1}' %}}")

    assert words(organization, "p5") == "Deep"
    assert "5 deep: p6 → p5 → p4 → p3 → p2 → p1 → p0" in refused(
        organization, "{% include 'p5' %}", name="p6"
    )


def test_what_is_included_has_the_label_of_the_whole_or_is_in_production(
    organization: Organization,
) -> None:
    publish(organization, "both", "production")
    publish(organization, "both", "staging", label="staging")
    publish(organization, "one", "only production")
    publish(organization, "whole", "{% include 'both' %}, {% include 'one' %}")
    publish(organization, "whole", "{% include 'both' %} and {% include 'one' %}", label="staging")

    assert words(organization) == "production, only production"
    assert words(organization, label="staging") == "staging and only production"


def test_what_nobody_has_released_yet_can_be_included_already(organization: Organization) -> None:
    piece = services.create_prompt(organization=organization, name="piece")
    services.add_version(prompt=piece, content=saying("Piece"))
    content = saying("{% include 'piece' %}")

    publish(organization, "whole", content)

    assert services.preview(organization_id=organization.pk, content=content).messages
    with pytest.raises(PromptRenderFailed, match="no prompt “piece” in production"):
        words(organization)


def test_prompts_of_others_cannot_be_included(organization: Organization) -> None:
    other = Organization.objects.create(name="Other", slug="other")
    publish(other, "secret", "Secret")

    assert "no prompt “secret”" in refused(organization, "{% include 'secret' %}")


def test_the_whole_speaks_one_language_where_it_can(organization: Organization) -> None:
    def in_german(text: str) -> dict[str, tuple[MessageTemplate, ...]]:
        return {"de": (MessageTemplate(role="system", template=text),)}

    publish(organization, "bye", saying("Bye", locales=in_german("Tschüss")))
    publish(organization, "name", "Parley")
    content = saying(
        "Hello {% include 'name' %}. {% include 'bye' %}",
        locales=in_german("Hallo {% include 'name' %}. {% include 'bye' %}"),
    )
    publish(organization, "whole", content)

    assert words(organization, locale="de-AT") == "Hallo Parley. Tschüss"
    assert words(organization, locale="fr") == "Hello Parley. Bye"


def test_includes_upon_includes_do_not_run_for_ever(organization: Organization) -> None:
    publish(organization, "p0", "Deep")
    for depth in range(1, 6):
        publish(organization, f"p{depth}", f"{{% include 'p{depth - 1}' %}}" * 100)

    with pytest.raises(PromptRenderFailed, match="longer than"):
        words(organization, "p5")


def test_a_preview_says_what_a_version_would_say(organization: Organization) -> None:
    publish(organization, "piece", saying("for {{ name }}", Variable(name="name")))
    content = saying("Tea {% include 'piece' %}", tools=(), default_locale="en")

    rendered = services.preview(
        organization_id=organization.pk, content=content, variables={"name": "Ada"}
    )

    assert (rendered.name, rendered.version) == ("", 0)
    assert rendered.messages[0].content == "Tea for Ada"


def test_content_alone_knows_what_it_includes() -> None:
    compiled = compile_content(saying("{% include 'a' %}\n{% include 'b' %}{% include 'a' %}"))

    assert compiled.included == {"a", "b"}
    assert [(one.place, one.tag.line) for one in compiled.includes] == [
        ("messages[0]", 1),
        ("messages[0]", 2),
        ("messages[0]", 2),
    ]


@pytest.mark.django_db(transaction=True)
async def test_a_moved_label_of_what_is_included_is_seen_within_a_second_and_costs_no_query(
    a_second_later: Callable[[], None],
) -> None:
    organization = await Organization.objects.acreate(name="Acme", slug="acme")
    await asyncio.to_thread(publish, organization, "piece", "One")
    await asyncio.to_thread(publish, organization, "whole", "{% include 'piece' %}")

    async def said() -> object:
        rendered = await services.render_for_call(organization_id=organization.pk, name="whole")
        return rendered.messages[0].content

    before = await said()
    await asyncio.to_thread(publish, organization, "piece", "Two")
    a_second_later()

    assert (before, await said()) == ("One", "Two")
    assert labelled.knows(LabelKey(organization.pk, "whole", "production"))


def test_a_prompt_included_again_and_again_is_checked_in_no_time(
    organization: Organization,
) -> None:
    publish(organization, "inner", saying("{{ a }}", Variable(name="a")))

    for name, included in (("middle", "inner"), ("outer", "middle"), ("whole", "outer")):
        publish(organization, name, f"{{% include '{included}' %}}" * 1000)

    with pytest.raises(PromptRenderFailed, match="as much work"):
        words(organization, variables={"a": "b"})
