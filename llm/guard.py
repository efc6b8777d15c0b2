"""What is checked before anything is paid for: the request itself, and who can take it."""

from dataclasses import dataclass

from django.conf import settings

from core.errors import InvalidRequest
from llm import tokens
from llm.errors import ContextTooLong
from llm.providers import Deployment
from llm.routing import Route
from llm.types import ChatRequest, Message, TextPart


@dataclass(frozen=True, slots=True)
class Fitting:
    """A deployment that can take the request, and how much of it that is at most."""

    deployment: Deployment
    input_tokens: int
    max_output_tokens: int


async def check(request: ChatRequest, route: Route) -> tuple[Fitting, ...]:
    """Return the route's deployments that fit the request, in order, or raise why none does.

    A limit on output above what a model gives is refused, as OpenAI does: a client that asks for
    100,000 tokens and silently gets 4,096 would take a cut answer for a whole one.
    """
    _check_request(request)
    _check_output(request, route)
    fitting = []
    for deployment in route.deployments:
        input_tokens = await tokens.count_request_soon(request, deployment.model)
        room = _room(request, deployment, input_tokens)
        if room is not None:
            fitting.append(Fitting(deployment, input_tokens, room))
    if not fitting:
        raise ContextTooLong(_too_long(input_tokens, request, route), param="messages")
    return tuple(fitting)


def _check_request(request: ChatRequest) -> None:
    if not request.messages:
        raise InvalidRequest("There must be at least one message.", param="messages")
    if sum(map(_size, request.messages)) > settings.MAX_BODY_BYTES:
        raise InvalidRequest(
            f"The messages are longer than {settings.MAX_BODY_BYTES} bytes.", param="messages"
        )
    if request.max_tokens is not None and request.max_tokens < 1:
        raise InvalidRequest("max_tokens must be at least 1.", param="max_tokens")
    if request.extra.get("n") not in (None, 1):
        raise InvalidRequest("A request has one answer: n must be 1.", param="n")


def _size(message: Message) -> int:
    """Return the content's length; in characters, which is cheap and never above its bytes."""
    if message.content is None or isinstance(message.content, str):
        return len(message.content or "")
    return sum(
        len(part.text if isinstance(part, TextPart) else part.image_url.url)
        for part in message.content
    )


def _check_output(request: ChatRequest, route: Route) -> None:
    most = max(deployment.max_output_tokens for deployment in route.deployments)
    if request.max_tokens is not None and request.max_tokens > most:
        raise InvalidRequest(
            f"max_tokens is too large: {request.max_tokens}. This model gives at most {most}.",
            param="max_tokens",
        )


def _room(request: ChatRequest, deployment: Deployment, input_tokens: int) -> int | None:
    """Return the output to ask the deployment for; `None` where the request does not fit it."""
    wanted = request.max_tokens or deployment.max_output_tokens
    if wanted > deployment.max_output_tokens:
        return None
    if deployment.context_tokens is None:
        return wanted
    room = deployment.context_tokens - input_tokens
    if room < 1 or (request.max_tokens is not None and request.max_tokens > room):
        return None
    return min(wanted, room)


def _too_long(input_tokens: int, request: ChatRequest, route: Route) -> str:
    most = max(deployment.context_tokens or 0 for deployment in route.deployments)
    output = f" and {request.max_tokens} tokens of output" if request.max_tokens else ""
    return (
        f"The messages have about {input_tokens} tokens{output}, "
        f"more than the {most} tokens of context that {route.alias} has."
    )
