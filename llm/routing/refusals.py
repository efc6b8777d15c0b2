"""Why nobody can take a request, in words for whoever asked."""

from collections.abc import Sequence

from core.errors import AppError, InvalidRequest
from llm.errors import ContextTooLong, ModelNotFound, ModelUnpriced, UnsupportedParameter
from llm.providers import untaken
from llm.routing.fitting import Candidate, Lack, needed
from llm.routing.routes import Route
from llm.types import ChatRequest

ABILITIES = {Lack.IMAGES: "images", Lack.TOOLS: "tools", Lack.SCHEMA: "a JSON schema"}
PARAMS = {Lack.IMAGES: "messages", Lack.TOOLS: "tools", Lack.SCHEMA: "response_format"}


def refusal(request: ChatRequest, route: Route, candidates: Sequence[Candidate]) -> AppError:
    """Return the error to raise: what those lack that came closest."""
    if not candidates:
        return _nobody_asked(route)
    lack = max(candidate.lack or 0 for candidate in candidates)
    closest = [candidate for candidate in candidates if candidate.lack == lack]
    match lack:
        case Lack.PARAMETER:
            return _untaken(request, route, closest)
        case Lack.OUTPUT:
            return _too_much_output(request, closest)
        case Lack.PRICE:
            return ModelUnpriced(f"The model {route.alias} has no price yet.", param="model")
        case Lack.CONTEXT:
            return _too_long(request, route, closest)
    abilities = " and ".join(ABILITIES[ability] for ability in needed(request))
    return InvalidRequest(
        f"No model behind {route.alias} takes {abilities}.", param=PARAMS[Lack(lack)]
    )


def why_not(candidate: Candidate, lack: Lack) -> str:
    """Say for staff what a deployment lacks."""
    deployment, fitting = candidate.step.deployment, candidate.fitting
    match lack:
        case Lack.PARAMETER:
            return "does not take all parameters of the request"
        case Lack.OUTPUT:
            return f"gives at most {deployment.max_output_tokens:,} tokens of output"
        case Lack.PRICE:
            return "has no price, and models without one are refused here"
        case Lack.CONTEXT:
            return (
                f"has room for {deployment.context_tokens:,} tokens; "
                f"the messages alone have about {fitting.input_tokens:,}"
            )
    return f"does not take {ABILITIES[lack]}"


def _nobody_asked(route: Route) -> AppError:
    tasks = sorted({task for step in route.steps for task in step.tasks})
    if not tasks:
        return ModelNotFound(f"{route.alias} has no model for such a call yet.", param="model")
    return InvalidRequest(
        f"{route.alias} answers only calls for a task: {', '.join(tasks)}.", param="task"
    )


def _untaken(
    request: ChatRequest, route: Route, closest: Sequence[Candidate]
) -> UnsupportedParameter:
    kinds = [candidate.step.deployment.connections[0].kind for candidate in closest]
    param, why = next(found for kind in kinds if (found := untaken(kind, request)))
    return UnsupportedParameter(
        f"`{param}` is taken by no model behind {route.alias}. {why}", param=param
    )


def _too_much_output(request: ChatRequest, closest: Sequence[Candidate]) -> InvalidRequest:
    most = max(candidate.step.deployment.max_output_tokens for candidate in closest)
    return InvalidRequest(
        f"max_tokens is too large: {request.max_tokens}. This model gives at most {most}.",
        param="max_tokens",
    )


def _too_long(request: ChatRequest, route: Route, closest: Sequence[Candidate]) -> ContextTooLong:
    most = max(candidate.step.deployment.context_tokens or 0 for candidate in closest)
    counted = max(candidate.fitting.input_tokens for candidate in closest)
    output = f" and {request.max_tokens} tokens of output" if request.max_tokens else ""
    return ContextTooLong(
        f"The messages have about {counted} tokens{output}, "
        f"more than the {most} tokens of context that {route.alias} has.",
        param="messages",
    )
