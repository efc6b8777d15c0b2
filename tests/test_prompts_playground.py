"""The playground's socket: columns that answer side by side, at whose expense, and who may."""

import asyncio
from collections.abc import Callable
from decimal import Decimal

import pytest
from asgiref.sync import sync_to_async
from django.test import Client

from accounts.models import Organization, User
from billing.models import Budget, UsageRecord
from billing.money import as_text
from prompts import services
from prompts.content import MessageTemplate, PromptContent, Variable
from prompts.models import Prompt
from tests.chat_support import PATIENCE, Person
from tests.playground_support import RIGHTS, fields, make_prompt, make_staff, tried
from tests.vendor import Answer, FakeVendor, Gate

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("chat_loop")]


@pytest.fixture
def staff(alice: Person) -> Person:
    """Alice, who may write versions."""
    make_staff(alice, *RIGHTS)
    return alice


@pytest.fixture
def prompt(staff: Person) -> Prompt:
    return make_prompt(staff)


async def test_columns_stream_side_by_side_and_their_caller_pays(
    staff: Person, prompt: Prompt, vendor: FakeVendor
) -> None:
    await vendor.aserve()
    sent = fields((1, "test-model"), (2, "test-model"), name="Ada")

    async with tried(prompt.pk, staff.browser) as page:
        await page.run(sent)
        running = await page.event()
        total = await page.until("total")

    assert running == ["running", [0, 1]]
    assert page.texts == {0: Answer().text, 1: Answer().text}
    assert [end[0] for end in page.ends.values()] == ["done", "done"]
    records = [one async for one in UsageRecord.objects.order_by("prompt_version")]
    assert [(one.prompt_name, one.prompt_version) for one in records] == [
        ("orders", 1),
        ("orders", 2),
    ]
    for one in records:
        assert (one.surface, one.tags) == ("playground", ["playground"])
        assert (one.user_id, one.organization_id) == (staff.user.pk, staff.organization.pk)
    costs = [one.cost_usd for one in records if one.cost_usd is not None]
    assert {end[6] for end in page.ends.values()} == {as_text(cost) for cost in costs}
    assert total[3] == as_text(sum(costs, Decimal(0)))
    words = {one.body["messages"][0]["content"] for one in vendor.requests}
    assert words == {"Be kind to Ada.", "Be brief with Ada."}


async def test_four_columns_answer_and_five_are_refused(
    staff: Person, prompt: Prompt, vendor: FakeVendor
) -> None:
    await vendor.aserve()
    column = (1, "test-model")

    async with tried(prompt.pk, staff.browser) as page:
        await page.run(fields(*[column] * 5, name="Ada"))
        refusal = await page.event()
        await page.run(fields(*[column] * 4, name="Ada"))
        await page.until("total")

    assert refusal[:2] == ["error", "invalid_request"]
    assert len(page.ends) == len(vendor.requests) == 4


@pytest.mark.parametrize(
    ("answer", "first"),
    [(Answer(gate=Gate()), "running"), (Answer(gate=Gate(), gate_after=2), "delta")],
    ids=["before the first token", "in the middle"],
)
@pytest.mark.parametrize("column", [{"column": 0}, {}], ids=["one", "all"])
async def test_a_stop_ends_the_vendors_work_and_is_charged_once(
    staff: Person,
    prompt: Prompt,
    vendor: FakeVendor,
    answer: Answer,
    first: str,
    column: dict[str, int],
) -> None:
    vendor.script(answer)
    await vendor.aserve()

    async with tried(prompt.pk, staff.browser) as page:
        await page.run(fields((1, "test-model"), name="Ada"))
        await page.until(first)
        await comes_true(lambda: bool(vendor.requests))
        await page.command("stop", **column)
        await page.until("total")

    await comes_true(lambda: vendor.cancelled == 1)
    assert page.ends[0][0] == "stopped"
    record = await UsageRecord.objects.aget()
    assert (record.state, record.outcome) == ("settled", "stopped")
    assert page.ends[0][6] == as_text(record.cost_usd or Decimal(0))


async def test_one_column_is_stopped_and_the_other_goes_on(
    staff: Person, prompt: Prompt, vendor: FakeVendor
) -> None:
    gate = Gate()
    vendor.script(Answer(gate=gate, gate_after=1))
    await vendor.aserve()

    async with tried(prompt.pk, staff.browser) as page:
        await page.run(fields((1, "test-model"), (2, "test-model"), name="Ada"))
        await comes_true(lambda: len(vendor.requests) == 2)
        await page.command("stop", column=1)
        await page.until("ended")
        gate.open()
        await page.until("total")

    assert {place: end[0] for place, end in page.ends.items()} == {0: "done", 1: "stopped"}
    assert page.texts[0] == Answer().text


async def test_whoever_leaves_stops_what_still_answers(
    staff: Person, prompt: Prompt, vendor: FakeVendor
) -> None:
    vendor.script(Answer(gate=Gate(), gate_after=1))
    await vendor.aserve()

    async with tried(prompt.pk, staff.browser) as page:
        await page.run(fields((1, "test-model"), (2, "test-model"), name="Ada"))
        await comes_true(lambda: len(vendor.requests) == 2)

    await comes_true(lambda: vendor.cancelled == 2)
    states = [one.state async for one in UsageRecord.objects.all()]
    assert states == ["settled", "settled"]


async def test_a_second_run_waits_for_the_end_of_the_first(
    staff: Person, prompt: Prompt, vendor: FakeVendor
) -> None:
    gate = Gate()
    vendor.script(Answer(gate=gate))
    await vendor.aserve()
    sent = fields((1, "test-model"), name="Ada")

    async with tried(prompt.pk, staff.browser) as page:
        await page.run(sent)
        await page.until("running")
        await page.run(sent)
        refusal = await page.event()
        gate.open()
        await page.until("total")
        await page.run(sent)
        await page.until("total")

    assert refusal[:2] == ["error", "already_running"]
    assert len(vendor.requests) == 2


async def test_a_budget_without_room_fails_its_column_in_words(
    staff: Person, prompt: Prompt, vendor: FakeVendor
) -> None:
    await vendor.aserve()
    await Budget.objects.acreate(
        organization=staff.organization,
        user=staff.user,
        name="Tiny",
        limit_usd=Decimal("0.000001"),
    )

    async with tried(prompt.pk, staff.browser) as page:
        await page.run(fields((1, "test-model"), name="Ada"))
        total = await page.until("total")

    state, message, *_ = page.ends[0]
    assert state == "failed"
    assert "Tiny" in message
    assert total[1:] == [0, 0, "$0.00"]
    assert vendor.requests == []


async def test_a_model_without_a_price_is_said_to_be_unpriced(
    staff: Person, prompt: Prompt, vendor: FakeVendor
) -> None:
    await vendor.aserve(prices_usd=None)

    async with tried(prompt.pk, staff.browser) as page:
        await page.run(fields((1, "test-model"), name="Ada"))
        total = await page.until("total")

    assert (page.ends[0][0], page.ends[0][6], total[3]) == ("done", "unpriced", "unpriced")


async def test_thoughts_and_calls_of_tools_are_told_apart(
    staff: Person, prompt: Prompt, vendor: FakeVendor
) -> None:
    call = {"id": "call-1", "name": "weather", "arguments": '{"city": "Bonn"}'}
    vendor.script(Answer(text="", reasoning="Let me see.", tool_calls=[call]))
    await vendor.aserve()
    kinds: dict[str, str] = {}

    async with tried(prompt.pk, staff.browser) as page:
        await page.run(fields((1, "test-model"), name="Ada"))
        while (event := await page.event())[0] != "total":
            if event[0] == "delta":
                kinds[event[2]] = kinds.get(event[2], "") + event[3]

    assert page.ends[0][:2] == ["done", ""]
    assert kinds["thought"] == "Let me see."
    assert kinds["tool"].strip() == 'weather {"city": "Bonn"}'


@pytest.mark.parametrize(
    "frame",
    [
        "nonsense",
        "[]",
        '{"type": "dance"}',
        '{"type": "run"}',
        '{"type": "run", "form": 5}',
        '{"type": "run", "form": ""}',
        '{"type": "run", "form": "%00%ff&&=&columns-TOTAL_FORMS=-1"}',
        '{"type": "stop", "column": 4}',
        '{"type": "stop", "column": "0"}',
        '{"type": "run", "form": "' + "a&" * 2_000 + '"}',
        '{"type": "run", "form": "' + "a" * 1_000_001 + '"}',
    ],
    ids=lambda frame: frame[:40],
)
async def test_what_cannot_be_read_is_told_and_the_socket_stays(
    staff: Person, prompt: Prompt, frame: str
) -> None:
    async with tried(prompt.pk, staff.browser) as page:
        await page.raw(frame)

        assert (await page.event())[:2] == ["error", "invalid_request"]
        await page.command("stop")
        await page.raw("again")
        assert (await page.event())[:2] == ["error", "invalid_request"]


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (fields(("", "demo-small")), "Choose a version for at least one column."),
        (fields((9, "demo-small"), name="Ada"), "Column 1, Version"),
        (fields((1, "secret-model"), name="Ada"), "Column 1, Model"),
        (fields((1, "demo-small"), name="Ada\0"), "name: Null characters"),
        (fields((1, "demo-small"), name="Ada") | {"locale": "../de"}, "Language:"),
        (fields((1, "demo-small"), name="Ada") | {"columns-0-temperature": "9"}, "Temperature"),
        (fields((1, "demo-small"), name="Ada") | {"columns-0-max_tokens": "0"}, "Most tokens"),
        (fields((1, "demo-small"), name="Ada") | {"messages-0-role": "system"}, "Role"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
async def test_a_form_that_is_wrong_says_where(
    staff: Person, prompt: Prompt, sent: dict[str, str], said: str
) -> None:
    async with tried(prompt.pk, staff.browser) as page:
        await page.run(sent)
        error = await page.event()

    assert error[:2] == ["error", "invalid_request"]
    assert said in error[2]
    assert not await UsageRecord.objects.aexists()


async def test_values_have_the_types_that_each_version_declares(
    staff: Person, vendor: FakeVendor
) -> None:
    await vendor.aserve()
    made = await sync_to_async(make_typed_prompt)(staff)
    sent = fields(
        (1, "test-model"),
        count="3",
        is_new="true",
        tone="warm",
        items="one\r\ntwo",
        facts='{"a": 1}',
    )

    async with tried(made.pk, staff.browser) as page:
        await page.run(sent)
        await page.until("total")
        await page.run(sent | {"variable-count": "three", "variable-tone": ""})
        error = await page.event()

    assert page.ends[0][0] == "done"
    assert vendor.requests[0].body["messages"][0]["content"] == "3.0 new warm one,two 1 alice"
    assert "count: Line 1: this is not JSON" in error[2]
    assert "tone: This needs a value." in error[2]


class TestWhoMay:
    """Who is let in, and who is told what."""

    @pytest.mark.parametrize("rights", [(), ("view_prompt",), ("add_promptversion",)])
    async def test_staff_without_both_permissions_are_refused(
        self, staff: Person, prompt: Prompt, rights: tuple[str, ...]
    ) -> None:
        await sync_to_async(make_staff)(staff, *rights)

        async with tried(prompt.pk, staff.browser) as page:
            assert (await page.event())[:2] == ["error", "permission_denied"]
            assert await page.event() == ["close", 4403]

    async def test_permissions_are_of_no_use_to_whoever_is_not_staff(
        self, staff: Person, prompt: Prompt
    ) -> None:
        await User.objects.filter(pk=staff.user.pk).aupdate(is_staff=False)

        async with tried(prompt.pk, staff.browser) as page:
            assert (await page.event())[:2] == ["error", "permission_denied"]

    async def test_nobody_gets_in_without_signing_in(self, staff: Person, prompt: Prompt) -> None:
        async with tried(prompt.pk, Client()) as page:
            assert (await page.event())[:2] == ["error", "signed_out"]
            assert await page.event() == ["close", 4401]

    async def test_staff_of_another_organization_have_no_budget_here(
        self, staff: Person, prompt: Prompt
    ) -> None:
        other = await Organization.objects.acreate(name="Other", slug="other")
        bob = await sync_to_async(Person)("bob", other)
        await sync_to_async(make_staff)(bob, *RIGHTS)

        async with tried(prompt.pk, bob.browser) as page:
            error = await page.event()
            close = await page.event()

        assert error[1] == "permission_denied"
        assert "paid by Acme, and you are not a member" in error[2]
        assert close == ["close", 4403]

    async def test_there_is_nothing_at_the_address_of_no_prompt(self, staff: Person) -> None:
        async with tried(0, staff.browser) as page:
            assert (await page.event())[:2] == ["error", "not_found"]
            assert await page.event() == ["close", 4404]

    async def test_whoever_loses_the_right_runs_nothing_more(
        self, staff: Person, prompt: Prompt
    ) -> None:
        async with tried(prompt.pk, staff.browser) as page:
            await page.raw("{}")
            await page.event()
            await sync_to_async(make_staff)(staff, "view_prompt")
            await page.run(fields((1, "demo-small"), name="Ada"))
            refusal = await page.event()
            await sync_to_async(staff.browser.logout)()
            await page.run(fields((1, "demo-small"), name="Ada"))

            assert refusal[:2] == ["error", "permission_denied"]
            assert (await page.event())[:2] == ["error", "signed_out"]
            assert await page.event() == ["close", 4401]

    @pytest.mark.parametrize("origin", [None, b"null", b"https://evil.example"])
    async def test_only_our_own_pages_open_the_socket(
        self, staff: Person, prompt: Prompt, origin: bytes | None
    ) -> None:
        async with tried(prompt.pk, staff.browser, origin=origin) as page:
            assert not page.is_open

    async def test_a_page_of_another_version_is_closed(self, staff: Person, prompt: Prompt) -> None:
        async with tried(prompt.pk, staff.browser, words="parley.playground.v9") as page:
            assert await page.event() == ["close", 4406]


def make_typed_prompt(person: Person) -> Prompt:
    """Return a prompt with a variable of each type."""
    made = services.create_prompt(organization=person.organization, name="typed")
    template = (
        "{{ count|floatformat:1 }} {% if is_new %}new{% endif %} {{ tone }} "
        '{{ items|join:"," }} {{ facts.a }} {{ user_name }}'
    )
    content = PromptContent(
        messages=(MessageTemplate("system", template),),
        variables=(
            Variable("count", type="number"),
            Variable("is_new", type="boolean"),
            Variable("tone", type="choice", options=("warm", "dry")),
            Variable("items", type="list"),
            Variable("facts", type="json"),
            Variable("user_name"),
        ),
    )
    services.add_version(prompt=made, content=content)
    return made


async def comes_true(is_so: Callable[[], bool]) -> None:
    """Return as soon as it is so."""
    async with asyncio.timeout(PATIENCE):
        while not is_so():  # noqa: ASYNC110 - a thread makes it true
            await asyncio.sleep(0.01)
