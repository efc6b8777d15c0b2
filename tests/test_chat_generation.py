"""A generation: it outlives its viewers, and each end is honest."""

import asyncio
import random
import uuid
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.utils import timezone

from billing.models import Outcome, UsageRecord
from chat import events, generation, log, markdown, reader, services, writer
from chat.blocks import Blocks
from chat.models import Message, Status
from chat.pace import FRAME_BYTES, Pace
from core import redis
from tests import llm_support
from tests.chat_support import Person, ended, eventually, question
from tests.vendor import Answer, FakeVendor, Gate

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("chat_loop")]

PARAGRAPHS = """\
## Part {number}

Some **words** of part {number}, with `code`, 😀 and $x_{number}$ for $5 or $6.

- one
- two

```python
def part():
    return {number}
```

"""
LONG = "".join(PARAGRAPHS.format(number=number) for number in range(60)).rstrip()
LONG_BLOCKS = "\n\n".join(
    ["- An item of a long list\n" * 240, "Between.", "1. One\n" * 800, "End."]
)

# Text, lists and code in about the measure in which models write them.
USUAL = (
    """\
## How a hold becomes a price

The worst case of a call is **held** on every budget that applies before `stream` asks a model, \
and when the last word is out the true cost is booked, so that nobody spends more than they may.

- A budget without room refuses, and says until when: a person can plan with that.
- A call that breaks off is settled with what was sent and received by then.

```python
def settle(hold, usage):
    cost = price.of(usage)
    return books.add(hold.period, cost)
```

That is all there is to it; the next part builds upon it and explains what was left open here.

"""
    * 100
)[:40_000]


class Page:
    """What one viewer knows of an answer; it may be opened, cut off and reloaded at any moment."""

    def __init__(self, answer: uuid.UUID) -> None:
        self.answer = answer
        self.cursor = 0
        self.html = ""
        self.rest = ""
        self.status = "running"

    async def load(self) -> None:
        """Do what the server does for a page that is loaded."""
        message = await Message.objects.aget(pk=self.answer)
        self.html, self.rest = reader.halves(message)
        self.cursor, self.status = message.cursor, message.status

    async def follow(self, count: int) -> None:
        """Take so many events, then lose the connection."""
        async for event in reader.follow_answer(self.answer, self.cursor):
            self._take(event)
            count -= 1
            if count == 0:
                return

    def _take(self, event: events.Event) -> None:
        match event:
            case events.Snapshot(_, cursor, html, rest, status):
                self.cursor, self.html, self.rest, self.status = cursor, html, rest, status
                return
            case events.Delta(_, text):
                self.rest += text
            case events.Block(_, html, rest, is_whole):
                self.html = html if is_whole else self.html + html
                self.rest = rest
            case events.Status(_, status):
                self.status = status
        self.cursor = getattr(event, "cursor", self.cursor)


@pytest.mark.parametrize("text", [LONG, LONG_BLOCKS])
async def test_pages_reloaded_at_any_moment_end_alike(
    alice: Person, vendor: FakeVendor, text: str
) -> None:
    turn = await begun(alice, vendor, Answer(text=text, pause=0.001))
    dice = random.Random(7)

    async def restless() -> Page:
        page = Page(turn.answer)
        while page.status == "running":
            await asyncio.sleep(dice.uniform(0, 0.2))
            if dice.random() < 0.6:
                await page.load()
            await page.follow(dice.randint(1, 30))
        return page

    pages = await asyncio.gather(*(restless() for _ in range(25)))

    message = await ended(turn.answer)
    assert message.text == text
    assert message.html == markdown.render(text)
    assert {(page.html, page.rest) for page in pages} == {(message.html, "")}


async def test_an_answer_goes_on_when_nobody_looks(alice: Person, vendor: FakeVendor) -> None:
    turn = await begun(alice, vendor, Answer(pause=0.01))

    message = await ended(turn.answer)

    assert (message.status, message.text) == (Status.COMPLETE, Answer().text)
    usage = await usage_of(message)
    assert (usage.cost_usd, usage.surface) == (message.cost_usd, "chat")


async def test_a_stop_in_the_middle_ends_the_model_and_keeps_what_was_said(
    alice: Person, vendor: FakeVendor
) -> None:
    turn = await begun(alice, vendor, Answer(text="word " * 500, gate=Gate(), gate_after=50))
    await eventually(turn.answer, lambda message: message.text.startswith("word word"))

    message = await stopped(alice, turn)

    assert message.status == Status.STOPPED
    assert message.text.startswith("word word")
    assert len(message.text) <= len("word " * 50)
    assert message.html == markdown.render(message.text)
    usage = await usage_of(message)
    assert (usage.outcome, usage.is_estimated) == (Outcome.STOPPED, True)
    assert message.cost_usd == usage.cost_usd
    await llm_support.eventually(lambda: vendor.cancelled == 1)


async def test_a_stop_before_the_first_word_ends_the_model_too(
    alice: Person, vendor: FakeVendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generation, "SAVE_SECONDS", 3600)  # no other way than to be told
    turn = await begun(alice, vendor, Answer(fault="stall"))
    await llm_support.eventually(lambda: bool(vendor.requests))

    message = await stopped(alice, turn)

    assert (message.status, message.text) == (Status.STOPPED, "")
    await llm_support.eventually(lambda: vendor.cancelled == 1)


async def test_a_stop_is_remembered_until_a_process_writes_the_answer(alice: Person) -> None:
    turn = await alice.begins(model="fault-stall")
    await sync_to_async(services.stop)(principal=alice.principal, message_id=turn.answer)

    await generation.start(turn)

    assert (await ended(turn.answer)).status == Status.STOPPED


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        (Answer(finish_reason="length"), Status.LIMITED, "length"),
        (Answer(finish_reason="content_filter"), Status.FAILED, "content_filtered"),
        (Answer(text=""), Status.FAILED, "empty_answer"),
        (Answer(fault="close", after=2), Status.FAILED, "provider_connection_failed"),
        (Answer(status=400), Status.FAILED, "invalid_request"),
    ],
)
async def test_what_is_not_complete_says_why(
    alice: Person, vendor: FakeVendor, answer: Answer, status: Status, code: str
) -> None:
    turn = await begun(alice, vendor, answer)

    message = await ended(turn.answer)

    assert (message.status, message.error_code) == (status, code)
    assert message.error_message


async def test_an_unknown_model_is_told_to_the_person(alice: Person) -> None:
    turn = await alice.begins(model="nonsense")
    await generation.start(turn)

    message = await ended(turn.answer)

    assert (message.status, message.error_code) == (Status.FAILED, "model_not_found")


async def test_a_process_that_ends_leaves_what_it_wrote(alice: Person, vendor: FakeVendor) -> None:
    turn = await begun(alice, vendor, Answer(text="word " * 500, gate=Gate(), gate_after=50))
    await eventually(turn.answer, lambda message: message.text.startswith("word word"))

    await generation.shut_down()

    message = await Message.objects.aget(pk=turn.answer)
    assert message.status == Status.INTERRUPTED
    assert message.text.startswith("word word")
    assert message.cost_usd is not None


async def test_the_reaper_ends_what_a_dead_process_left_with_the_text_of_its_log(
    alice: Person,
) -> None:
    turn = await alice.begins()
    dying = writer.Writer(turn.answer)
    for words in ("Some words ", "that were never saved."):
        dying.add(words)
        await dying.flush()
    await Message.objects.filter(pk=turn.answer).aupdate(
        text="Some words ", cursor=1, heartbeat_at=timezone.now() - timedelta(seconds=60)
    )
    page = Page(turn.answer)
    await page.load()
    await page.follow(1)

    assert await sync_to_async(services.reap)() == 1
    await page.follow(100)

    message = await Message.objects.aget(pk=turn.answer)
    assert message.status == page.status == Status.INTERRUPTED
    assert message.text == "Some words that were never saved."
    assert page.html == message.html
    assert await sync_to_async(services.reap)() == 0


async def test_an_answer_that_is_being_written_is_not_reaped(
    alice: Person, vendor: FakeVendor
) -> None:
    turn = await begun(alice, vendor, Answer(text="word word " * 10 + "end", pause=0.02))
    await eventually(turn.answer, lambda message: bool(message.text))

    assert await sync_to_async(services.reap)() == 0
    assert (await ended(turn.answer)).status == Status.COMPLETE


async def test_without_redis_the_answer_is_saved_and_seen(
    alice: Person, vendor: FakeVendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "REDIS_URL", "redis://127.0.0.1:1")
    monkeypatch.setattr(reader, "LOOK_SECONDS", 0.1)
    await redis.close()
    turn = await begun(alice, vendor, Answer(text="word word " * 10 + "end", pause=0.01))
    page = Page(turn.answer)

    await page.follow(1000)

    message = await ended(turn.answer)
    assert (message.status, message.text) == (Status.COMPLETE, "word word " * 10 + "end")
    assert (page.html, page.status) == (message.html, Status.COMPLETE)
    await redis.close()


async def test_a_gap_in_the_log_is_closed_from_the_row(alice: Person) -> None:
    turn = await alice.begins()
    await log.append(turn.answer, [events.Delta(1, "One "), events.Delta(3, "three.")])
    await Message.objects.filter(pk=turn.answer).aupdate(text="One two three.", cursor=3)
    page = Page(turn.answer)

    await page.follow(2)

    assert (page.rest, page.cursor) == ("One two three.", 3)


@pytest.mark.parametrize("tokens_per_second", [60, 100, 1000])
def test_a_long_answer_takes_at_most_three_times_its_text_on_the_wire(
    tokens_per_second: int,
) -> None:
    """Ten thousand tokens at the pace of a model, in the events that a writer makes of them."""
    tokens = [USUAL[start : start + 4] for start in range(0, len(USUAL), 4)]
    blocks, pace, sent, cursor, waiting = Blocks(), Pace(), 0, 0, ""
    for number, token in enumerate(tokens):
        waiting += token
        now = 1 + number / tokens_per_second
        if not pace.is_due(len(waiting), now):
            continue
        before, source = blocks.open, blocks.feed(waiting)
        new = writer.around_block(cursor, before, waiting, source, markdown.render(source))
        pace.sent(new, waiting, now)
        sent += sum(len(events.encode(event)) + FRAME_BYTES for event in new)
        cursor, waiting = new[-1].cursor, ""

    assert len(tokens) == 10_000
    assert sent <= 3 * len(USUAL.encode())


async def test_a_window_gets_a_long_answer_once(alice: Person, vendor: FakeVendor) -> None:
    turn = await begun(alice, vendor, Answer(text=USUAL.rstrip()))

    async with alice.window(turn.conversation) as page:
        await page.command("subscribe", message=str(turn.answer), cursor=0)
        await page.until("status")

    assert page.text == USUAL.rstrip()
    assert page.bytes <= 3 * len(USUAL.encode())


async def test_the_model_is_told_the_conversation_so_far(alice: Person, vendor: FakeVendor) -> None:
    turn = await begun(alice, vendor, Answer(text="First."))
    await ended(turn.answer)
    following = await sync_to_async(services.send_message)(
        principal=alice.principal,
        conversation_id=turn.conversation,
        question=question("And now?"),
    )
    await generation.start(following)
    await ended(following.answer)

    said = vendor.requests[-1].body["messages"]
    assert [(message["role"], message["content"]) for message in said] == [
        ("user", "Hello"),
        ("assistant", "First."),
        ("user", "And now?"),
    ]


async def begun(person: Person, vendor: FakeVendor, answer: Answer) -> services.Turn:
    """Return a turn whose answer the vendor is asked for just now."""
    vendor.script(answer)
    await vendor.aserve()
    turn = await person.begins(model="test-model")
    await generation.start(turn)
    return turn


async def stopped(person: Person, turn: services.Turn) -> Message:
    """Stop the answer as an edge does, and return it when it has ended."""
    await sync_to_async(services.stop)(principal=person.principal, message_id=turn.answer)
    await generation.stop(turn.answer)
    return await ended(turn.answer)


async def usage_of(message: Message) -> UsageRecord:
    assert message.usage_id is not None
    return await UsageRecord.objects.aget(pk=message.usage_id)
