"""Which deployments can take a request, and what the others lack for it."""

from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from operator import attrgetter

from django.conf import settings
from msgspec import Struct

from billing.pricing import PriceSnapshot
from llm import tokens
from llm.providers import Deployment, untaken
from llm.routing.routes import Step
from llm.tokens import Counted
from llm.types import ChatRequest, ImagePart

Prices = Mapping[int, PriceSnapshot | None]  # by deployment; empty where nobody needs them


class Lack(IntEnum):
    """What a deployment lacks, in the order in which it is looked at."""

    IMAGES = 1
    TOOLS = 2
    SCHEMA = 3
    PARAMETER = 4
    OUTPUT = 5
    PRICE = 6
    CONTEXT = 7


TAKES: Mapping[Lack, Callable[[Deployment], bool]] = {
    Lack.IMAGES: attrgetter("takes_images"),
    Lack.TOOLS: attrgetter("takes_tools"),
    Lack.SCHEMA: attrgetter("takes_schema"),
}


class Fitting(Struct, frozen=True):
    """A deployment that can take the request, and how much of it that is at most."""

    deployment: Deployment
    input_tokens: int
    max_output_tokens: int
    comparable_tokens: int = 0  # of input, uncorrected; see `tokens.learn`


class Candidate(Struct, frozen=True):
    """A step of the route, measured against a request."""

    step: Step
    fitting: Fitting
    lack: Lack | None  # None: it fits


async def fit(request: ChatRequest, steps: Sequence[Step], prices: Prices) -> tuple[Candidate, ...]:
    """Return the steps in their order, each with what it lacks for the request.

    The words are counted once for each encoding, which is most of what a plan costs.
    """
    abilities = needed(request)
    counted: dict[str, Counted] = {}
    candidates = []
    for step in steps:
        model = step.deployment.model
        encoding = tokens.encoding_name(model)
        if encoding not in counted:
            counted[encoding] = await tokens.measure_soon(request, model)
        candidates.append(_measure(request, step, abilities, counted[encoding], prices))
    return tuple(candidates)


def needed(request: ChatRequest) -> tuple[Lack, ...]:
    """Return what a model must be able to take for this request."""
    abilities = []
    if any(_has_image(message.content) for message in request.messages):
        abilities.append(Lack.IMAGES)
    if request.tools:
        abilities.append(Lack.TOOLS)
    if request.response_format and request.response_format.get("type") == "json_schema":
        abilities.append(Lack.SCHEMA)
    return tuple(abilities)


def _has_image(content: object) -> bool:
    return isinstance(content, tuple) and any(isinstance(part, ImagePart) for part in content)


def _measure(
    request: ChatRequest,
    step: Step,
    abilities: tuple[Lack, ...],
    counted: Counted,
    prices: Prices,
) -> Candidate:
    deployment = step.deployment
    input_tokens = counted.by(deployment.model)
    room = _room(request, deployment, input_tokens)
    lack: Lack | None = None
    missing = [ability for ability in abilities if not TAKES[ability](deployment)]
    if missing:
        lack = missing[0]
    elif untaken(deployment.connections[0].kind, request) is not None:
        lack = Lack.PARAMETER
    elif request.max_tokens is not None and request.max_tokens > deployment.max_output_tokens:
        lack = Lack.OUTPUT
    elif settings.UNPRICED_MODELS == "refuse" and prices.get(deployment.id) is None:
        lack = Lack.PRICE
    elif room < 1:
        lack = Lack.CONTEXT
    return Candidate(step, Fitting(deployment, input_tokens, room, counted.comparable), lack)


def _room(request: ChatRequest, deployment: Deployment, input_tokens: int) -> int:
    """Return the output to ask the deployment for; 0 where the request does not fit into it."""
    wanted = request.max_tokens or deployment.max_output_tokens
    if deployment.context_tokens is None:
        return wanted
    room = deployment.context_tokens - input_tokens
    if request.max_tokens is not None and request.max_tokens > room:
        return 0
    return max(0, min(wanted, room))
