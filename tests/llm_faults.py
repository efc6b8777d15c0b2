"""How vendors fail, as a table: what happens, what the caller sees, what is in the books.

Each wire has a test that plays the whole table on its own wire; a row differs by wire only where
the vendors' words do. How often a vendor is asked follows from the retry policy and the error.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from typing import Any, Literal

from llm import attempts, errors
from llm.errors import ProviderError
from tests.vendor import Answer

Form = Literal["streamed", "whole"]

NOTHING = Decimal(0)
QUESTION = Decimal("0.000009")  # nine tokens of input at $1 per million
QUESTION_AND_TWO_WORDS = Decimal("0.000013")  # and two of output at $2
TEXT = "one two three"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
BOTH: tuple[Form, ...] = ("streamed", "whole")
STREAMED: tuple[Form, ...] = ("streamed",)
WHOLE: tuple[Form, ...] = ("whole",)
# Long enough for a busy machine to have sent the call by then.
SHORT = {"first_token_seconds": 2.0, "idle_seconds": 2.0, "total_seconds": 2.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One way to fail."""

    answer: Answer = field(default_factory=Answer)
    error: type[ProviderError]  # what the caller sees, and what each attempt is recorded with
    cost: Decimal = NOTHING  # what each attempt is billed; above 0 it is an estimate
    is_at_least: bool = False  # more than `cost`, by a matter of luck
    forms: tuple[Form, ...] = BOTH
    has_spoken: bool = False  # there was content: nobody is asked again
    is_passed_over: bool = False  # it wants a wait that is longer than anybody's patience
    retry_after: float | None = None  # what the caller is told, in seconds
    place: Literal["vendor", "refused", "deaf"] = "vendor"
    timeouts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def outcome(self) -> str:
        return "filtered" if self.error is errors.ContentFiltered else "failed"

    @property
    def attempts(self) -> int:
        """How often the vendor is asked."""
        if not self.error.is_retryable or self.has_spoken or self.is_passed_over:
            return 1
        return 1 + attempts.POLICY.retries


Table = Mapping[str, Fault]


def _status(status: int, error: type[ProviderError], **body: Any) -> Fault:
    # A vendor that says it took too long may have worked; those who refuse do not charge.
    cost = QUESTION if error is errors.TimedOut else NOTHING
    return Fault(answer=Answer(status=status, error=body or None), error=error, cost=cost)


def _limited(said: str, name: str = "Retry-After", **more: Any) -> Fault:
    answer = Answer(status=429, headers={name: said})
    return Fault(answer=answer, error=errors.RateLimited, **more)


def _date(days: int) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(days=days), usegmt=True)


def _body(text: bytes, error: type[ProviderError], forms: tuple[Form, ...] = WHOLE) -> Fault:
    return Fault(answer=Answer(body=text), error=error, cost=QUESTION, forms=forms)


def _after_two_words(fault: Any, error: type[ProviderError], **more: Any) -> Fault:
    return Fault(
        answer=Answer(text=TEXT, fault=fault, after=2),
        error=error,
        cost=QUESTION_AND_TWO_WORDS,
        forms=STREAMED,
        has_spoken=True,
        **more,
    )


CONNECTION = {
    "refused": Fault(place="refused", error=errors.ConnectionFailed),
    "slow to connect": Fault(
        place="deaf", error=errors.TimedOut, timeouts={"connect_seconds": 0.1}
    ),
    "reset before headers": Fault(
        answer=Answer(fault="reset"), error=errors.ConnectionFailed, cost=QUESTION
    ),
    "hung up before headers": Fault(
        answer=Answer(fault="close"), error=errors.ConnectionFailed, cost=QUESTION
    ),
    "reset after headers": Fault(
        answer=Answer(wire=HEAD, fault="reset"), error=errors.ConnectionFailed, cost=QUESTION
    ),
    "no HTTP": Fault(
        answer=Answer(wire=b"220 mail.example.com ESMTP\r\n\r\n"),
        error=errors.MalformedAnswer,
        cost=QUESTION,
    ),
    "no first byte": Fault(
        answer=Answer(fault="stall"), error=errors.TimedOut, cost=QUESTION, timeouts=SHORT
    ),
    "nothing after headers": Fault(
        answer=Answer(wire=HEAD, fault="stall"),
        error=errors.TimedOut,
        cost=QUESTION,
        timeouts=SHORT,
    ),
}

STATUSES = {
    "302": _status(302, errors.ServerError),
    "400": _status(400, errors.RequestRefused),
    "401": _status(401, errors.AuthenticationFailed),
    "402": _status(402, errors.ProviderPermissionDenied),
    "403": _status(403, errors.ProviderPermissionDenied),
    "404": _status(404, errors.ModelMissing),
    "408": _status(408, errors.TimedOut),
    "413": _status(413, errors.RequestRefused),
    "422": _status(422, errors.RequestRefused),
    "429": _status(429, errors.RateLimited),
    "500": _status(500, errors.ServerError),
    "502": _status(502, errors.ServerError),
    "503": _status(503, errors.Overloaded),
    "504": _status(504, errors.TimedOut),
    "529": _status(529, errors.Overloaded),
}

RETRY_AFTER = {
    "wait in seconds": _limited("0.01", retry_after=0.01),
    "wait in milliseconds": _limited("15", "Retry-After-Ms", retry_after=0.015),
    "wait until a moment that is over": _limited(_date(days=-1), retry_after=0.0),
    "wait of an hour": _limited("3600", is_passed_over=True, retry_after=3600.0),
    "wait of a year": _limited("31536000", is_passed_over=True, retry_after=86_400.0),
    "wait until next year": _limited(_date(days=365), is_passed_over=True, retry_after=86_400.0),
    "negative wait": _limited("-5"),
    "wait of not a number": _limited("nan"),
    "infinite wait": _limited("inf"),
    "wait in words": _limited("soon"),
    "wait on the 99th": _limited("Wed, 99 Oct 2025 07:28:00 GMT"),
}

WHOLE_ANSWERS = {
    "not JSON": _body(b"{this is not JSON", errors.MalformedAnswer),
    "a page": _body(b"<html>Welcome to nginx!</html>", errors.MalformedAnswer),
    "no body": _body(b"", errors.MalformedAnswer),
    "null": _body(b"null", errors.MalformedAnswer),
    "nothing in it": _body(b"{}", errors.MalformedAnswer),
    "of another type": _body(b'{"choices": 7, "content": 7}', errors.MalformedAnswer),
    "deeper than anybody reads": _body(b"[" * 100_000, errors.MalformedAnswer),
    "error under 200": _body(
        b'{"error": {"code": "rate_limit_exceeded", "message": "slow down"}}', errors.RateLimited
    ),
    "error in a word": _body(b'{"error": "out of memory"}', errors.ServerError),
    "cut in the middle": Fault(
        answer=Answer(fault="close", after=1),
        error=errors.ConnectionFailed,
        cost=QUESTION,
        forms=WHOLE,
    ),
    "stalled in the middle": Fault(
        answer=Answer(fault="stall", after=1),
        error=errors.TimedOut,
        cost=QUESTION,
        forms=WHOLE,
        timeouts=SHORT,
    ),
}

STREAMS = {
    "nothing at all": _body(b"", errors.ConnectionFailed, STREAMED),
    "a page instead of events": _body(b"<html></html>", errors.ConnectionFailed, STREAMED),
    "cut before content": Fault(
        answer=Answer(fault="close", after=0),
        error=errors.ConnectionFailed,
        cost=QUESTION,
        forms=STREAMED,
    ),
    "stalled before content": Fault(
        answer=Answer(fault="stall", after=0),
        error=errors.TimedOut,
        cost=QUESTION,
        forms=STREAMED,
        timeouts=SHORT,
    ),
    "nonsense at once": Fault(
        answer=Answer(fault="malformed", after=0),
        error=errors.MalformedAnswer,
        cost=QUESTION,
        forms=STREAMED,
    ),
    "error at once": Fault(
        answer=Answer(fault="error", after=0, error={"type": "overloaded_error", "message": "-"}),
        error=errors.Overloaded,
        cost=QUESTION,
        forms=STREAMED,
    ),
    "cut after two words": _after_two_words("close", errors.ConnectionFailed),
    "reset after two words": _after_two_words("reset", errors.ConnectionFailed),
    "ended without an end": _after_two_words("end", errors.ConnectionFailed),
    "stalled after two words": _after_two_words(
        "stall", errors.TimedOut, timeouts={"idle_seconds": 1.0}
    ),
    "nonsense after two words": _after_two_words("malformed", errors.MalformedAnswer),
    "error after two words": _after_two_words("error", errors.ServerError),
    "endless": Fault(
        answer=Answer(text="word " * 200, pause=0.05, fault="end", after=200),
        error=errors.TimedOut,
        cost=QUESTION,
        is_at_least=True,
        forms=STREAMED,
        has_spoken=True,
        timeouts={"total_seconds": 1.5},
    ),
}

COMMON: Mapping[str, Table] = {
    "connection": CONNECTION,
    "status": STATUSES,
    "retry after": RETRY_AFTER,
    "whole": WHOLE_ANSWERS,
    "stream": STREAMS,
}

OPENAI_WORDS: Table = {
    "context overflow": _status(
        400, errors.ContextTooLong, code="context_length_exceeded", message="too long"
    ),
    "context overflow, llama.cpp": _status(
        400, errors.ContextTooLong, message="the request exceeds the available context size"
    ),
    "filtered": _status(400, errors.ContentFiltered, code="content_filter", message="no"),
    "empty account": _status(
        429, errors.ProviderPermissionDenied, code="insufficient_quota", message="pay"
    ),
    "no choices": _body(b'{"choices": []}', errors.MalformedAnswer),
    "an end and no answer": _body(b"data: [DONE]\n\n", errors.MalformedAnswer, STREAMED),
    "vLLM's error in a stream": _body(
        b'data: {"object": "error", "message": "boom", "code": 500}\n\n',
        errors.ServerError,
        STREAMED,
    ),
}

AZURE_WORDS: Table = {
    "filtered by policy": _status(
        400,
        errors.ContentFiltered,
        code="content_filter",
        message="no",
        innererror={"code": "ResponsibleAIPolicyViolation"},
    ),
    "deployment missing": _status(
        404, errors.ModelMissing, code="DeploymentNotFound", message="no such deployment"
    ),
    "wrong subscription": _status(
        401, errors.AuthenticationFailed, code="401", message="Access denied"
    ),
}

GEMINI_LIMIT = b"""[{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "quota",
    "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7200s"}]}}]"""

# Gemini speaks OpenAI's wire, but puts its errors into lists.
GEMINI_WORDS: Table = {
    "limited, with the wait in the body": Fault(
        answer=Answer(status=429, body=GEMINI_LIMIT),
        error=errors.RateLimited,
        is_passed_over=True,
        retry_after=7200.0,
    ),
    "wrong key": Fault(
        answer=Answer(
            status=400, body=b'[{"error": {"code": 400, "message": "API key not valid."}}]'
        ),
        error=errors.AuthenticationFailed,
    ),
    "context overflow": Fault(
        answer=Answer(
            status=400,
            body=b'[{"error": {"code": 400, "status": "INVALID_ARGUMENT", "message":'
            b' "The input token count (9) exceeds the maximum number of tokens allowed (8)."}}]',
        ),
        error=errors.ContextTooLong,
    ),
    "error in a stream": _body(
        b'data: [{"error": {"code": 503, "status": "UNAVAILABLE", "message": "busy"}}]\n\n',
        errors.Overloaded,
        STREAMED,
    ),
    "error under 200": _body(b'[{"error": {"code": 500, "message": "-"}}]', errors.ServerError),
}

ANTHROPIC_WORDS: Table = {
    "context overflow": _status(
        400,
        errors.ContextTooLong,
        type="invalid_request_error",
        message="prompt is too long: 9 tokens > 8 maximum",
    ),
    "context overflow with the output": _status(
        400,
        errors.ContextTooLong,
        type="invalid_request_error",
        message="input length and `max_tokens` exceed context limit: 9 + 9 > 8",
    ),
    "empty account": _status(
        400,
        errors.ProviderPermissionDenied,
        type="invalid_request_error",
        message="Your credit balance is too low to access the Anthropic API.",
    ),
    "overloaded under another status": _status(
        500, errors.Overloaded, type="overloaded_error", message="Overloaded"
    ),
    "body too large": _status(
        413, errors.RequestRefused, type="request_too_large", message="over 32 MB"
    ),
    "an end and no answer": _body(
        b'event: message_stop\ndata: {"type": "message_stop"}\n\n',
        errors.MalformedAnswer,
        STREAMED,
    ),
}

OPENAI = {**COMMON, "words": OPENAI_WORDS, "Gemini": GEMINI_WORDS}
AZURE = {**COMMON, "words": {**OPENAI_WORDS, **AZURE_WORDS}}
ANTHROPIC = {**COMMON, "words": ANTHROPIC_WORDS}
