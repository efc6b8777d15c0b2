"""One case asked of one version and model, and looked at: a result, whatever comes of it."""

import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

import msgspec
import structlog
from asgiref.sync import sync_to_async

from accounts.principal import Principal
from core.durations import milliseconds_since
from core.errors import AppError
from llm import service
from llm.patience import when_there_is_room
from llm.tools.calls import joined
from llm.types import Call, ChatRequest, Delta, Finished, ToolCallDelta
from prompts.models import CaseResult
from prompts.testing import checks, judging
from prompts.testing.asks import Ask, Question, call_of
from prompts.testing.checks import AnyCheck, Judge, Similar, Verdict

logger = structlog.get_logger(__name__)

LONGEST_ERROR = 500


@dataclass(slots=True)
class Answer:
    """What a model has said, and what it took."""

    began_at: float = field(default_factory=time.monotonic)
    texts: list[str] = field(default_factory=list)
    tool_calls: list[ToolCallDelta] = field(default_factory=list)
    ttft_ms: int | None = None
    duration_ms: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    @property
    def text(self) -> str:
        """Return the words; of an answer that only calls tools, the calls as JSON."""
        text = "".join(self.texts)
        if text.strip() or not self.tool_calls:
            return text
        calls = [call.function for call in joined(self.tool_calls)]
        return msgspec.json.encode(calls).decode()

    def take(self, delta: Delta) -> None:
        if self.ttft_ms is None:
            self.ttft_ms = milliseconds_since(self.began_at)
        self.texts.append(delta.text)
        self.tool_calls += delta.tool_calls


def result_of(ask: Ask, *, error: str = "") -> CaseResult:
    """Return a result that is not saved; with an error, the case has failed."""
    return CaseResult(
        run=ask.run,
        case=ask.case,
        case_name=ask.case.name,
        version=ask.version,
        model=ask.model,
        request_id=ask.request_id,
        error=checks.keepable(error)[:LONGEST_ERROR],
        passed=False if error else None,
    )


async def result(ask: Ask, question: Question, principal: Principal) -> CaseResult:
    """Return what came of an ask, without its cost; only being cancelled is raised."""
    try:
        call = call_of(ask, principal, question.used)
        answer = await when_there_is_room(lambda: _answer(question.request, call))
        verdicts = await _verdicts(question, answer.text, call_of(ask, principal))
    except AppError as error:
        return result_of(ask, error=error.message)
    except Exception:  # the edge: one case that we fail at must not end the run
        logger.exception("prompts.test_failed", request_id=ask.request_id)
        return result_of(ask, error="Parley failed at this case; its log says why.")
    return _seen(ask, answer, verdicts)


async def _answer(request: ChatRequest, call: Call) -> Answer:
    answer = Answer()
    async with aclosing(service.stream(request, call)) as events:
        async for event in events:
            if isinstance(event, Delta):
                answer.take(event)
            elif isinstance(event, Finished):
                answer.duration_ms = milliseconds_since(answer.began_at)
                answer.input_tokens = event.usage.total_input
                answer.output_tokens = event.usage.total_output
    return answer


async def _verdicts(question: Question, answer: str, call: Call) -> list[tuple[AnyCheck, Verdict]]:
    """Put the answer to each check of the case, one after the other."""
    return [
        (check, await _verdict(check, question.text, answer, call))
        for check in question.content.checks
    ]


async def _verdict(check: AnyCheck, question: str, answer: str, call: Call) -> Verdict:
    if isinstance(check, Similar | Judge):
        return await judging.verdict(check, question=question, answer=answer, call=call)
    # A pattern or a schema may take a while.
    return await sync_to_async(checks.look, thread_sensitive=False)(check, answer)


def _seen(ask: Ask, answer: Answer, verdicts: Sequence[tuple[AnyCheck, Verdict]]) -> CaseResult:
    seen = result_of(ask)
    seen.output = checks.keepable(answer.text)
    seen.checks = checks.stored(verdicts)
    seen.passed = all(verdict.passed for _, verdict in verdicts) if verdicts else None
    seen.ttft_ms, seen.duration_ms = answer.ttft_ms, answer.duration_ms
    seen.input_tokens, seen.output_tokens = answer.input_tokens, answer.output_tokens
    return seen
