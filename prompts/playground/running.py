"""All columns to their end at once, for a page without a script."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from accounts.principal import Principal
from prompts.playground import costs, events
from prompts.playground.columns import Column
from prompts.playground.events import Ended, Kind, Total
from prompts.playground.questions import Question

MOST_SECONDS = 60.0  # that somebody waits for a page


@dataclass(slots=True)
class Answer:
    """What one column has come to."""

    question: Question
    model: str = ""  # who answered
    said: dict[Kind, str] = field(default_factory=lambda: defaultdict(str))
    end: Ended | None = None

    async def take(self, event: events.Event) -> None:
        """Note what there is to see."""
        if isinstance(event, events.Started):
            self.model = event.model
        elif isinstance(event, events.Delta):
            self.said[event.kind] += event.text


async def run_all(
    questions: Sequence[Question], principal: Principal, ip: str = ""
) -> tuple[list[Answer], Total]:
    """Return the answers, and what they took; what is too slow is stopped."""
    answers = [Answer(question) for question in questions]
    columns = [Column(one.question, principal, one.take, ip) for one in answers]
    running = [asyncio.create_task(column.run()) for column in columns]
    try:
        await asyncio.wait(running, timeout=MOST_SECONDS)
    finally:  # it is time, or nobody waits any more
        for column in columns:
            column.stop()
        ends = await asyncio.gather(*running)
    for answer, end in zip(answers, ends, strict=True):
        answer.end = end
    return answers, costs.total(column.took for column in columns)
