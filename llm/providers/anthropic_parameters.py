"""OpenAI's further parameters at Anthropic: translated, without effect, or not taken."""

from collections.abc import Mapping
from typing import Any

from llm.providers.base import Untaken
from llm.types import ChatRequest

# Parameters of its own, which a caller may give beside OpenAI's.
OWN = ("cache_control", "context_management", "output_config", "thinking", "top_k")
# Hints to OpenAI's cache of prompts: without them the answer is the same. Anthropic caches what
# `cache_control` marks.
HINTS = ("prompt_cache_key", "prompt_cache_options", "prompt_cache_retention")
EFFORTS = {
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "xhigh",
    "max": "max",
}
NO_EFFORT = "none"
TIERS = {"auto": "auto", "default": "standard_only", "standard_only": "standard_only"}
USER = "user_id"

# Values that ask for nothing: what Anthropic does without the parameter.
NOTHING: Mapping[str, tuple[object, ...]] = {
    "frequency_penalty": (0,),
    "logit_bias": ({},),
    "logprobs": (False,),
    "modalities": (["text"], ("text",)),
    "presence_penalty": (0,),
    "store": (False,),
    "top_logprobs": (0,),
    "verbosity": ("medium",),
}
WHY = {
    "frequency_penalty": "Anthropic has no penalties.",
    "logit_bias": "Anthropic does not let callers weigh tokens.",
    "logprobs": "Anthropic gives no probabilities of tokens.",
    "metadata": "Anthropic takes `metadata.user_id` alone.",
    "prediction": "Anthropic takes no predicted output.",
    "presence_penalty": "Anthropic has no penalties.",
    "reasoning_effort": f"Anthropic takes {', '.join([NO_EFFORT, *EFFORTS])}.",
    "seed": "Anthropic's answers cannot be made repeatable.",
    "service_tier": "Anthropic takes `auto` and `default`.",
    "store": "Anthropic does not store answers.",
    "top_logprobs": "Anthropic gives no probabilities of tokens.",
    "verbosity": "Anthropic has no such setting.",
}
UNKNOWN = "Anthropic's API has no such parameter."
TRANSLATED = ("parallel_tool_calls", "safety_identifier", "user")


def untaken(request: ChatRequest) -> Untaken | None:
    """Return a parameter that would be dropped; `None`: there is none."""
    if request.seed is not None:
        return Untaken("seed", WHY["seed"])
    for name, value in request.extra.items():
        if not _is_taken(name, value):
            return Untaken(name, WHY.get(name, UNKNOWN))
    return None


def translated(extra: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters in Anthropic's words; its own are as the caller gave them."""
    found: dict[str, Any] = {name: extra[name] for name in OWN if name in extra}
    if user := _user(extra):
        found["metadata"] = {USER: user}
    if tier := TIERS.get(extra.get("service_tier", "")):
        found["service_tier"] = tier
    effort = extra.get("reasoning_effort")
    if effort == NO_EFFORT:
        found.setdefault("thinking", {"type": "disabled"})
    elif effort is not None:
        found["output_config"] = {"effort": EFFORTS[effort], **found.get("output_config", {})}
    return found


def _is_taken(name: str, value: Any) -> bool:
    match name:
        case "metadata":
            return set(value) <= {USER}
        case "reasoning_effort":
            return value == NO_EFFORT or value in EFFORTS
        case "service_tier":
            return value in TIERS
    return name in OWN or name in HINTS or name in TRANSLATED or value in NOTHING.get(name, ())


def _user(extra: Mapping[str, Any]) -> str | None:
    named: str | None = extra.get("metadata", {}).get(USER)
    return named or extra.get("safety_identifier") or extra.get("user")
