"""What a model would be sent for what is typed now, and what that costs; nothing is saved."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from asgiref.sync import async_to_sync

from accounts.models import Organization, User
from accounts.principal import Principal
from billing import prices
from billing.pricing import TokenUsage, cost_usd
from core import request_id
from core.errors import AppError
from llm import service as llm
from llm.routing import dry_run
from llm.routing.dry_run import Row, When
from llm.types import Call, ChatRequest, ModelOffer
from prompts import services
from prompts.admin.editing.reading import Reading
from prompts.admin.editing.samples import SampleForm
from prompts.applying import THE_PROMPTS_MODEL, applied
from prompts.content import PromptContent
from prompts.labelled import RenderedPrompt
from prompts.models import Prompt

LONGEST_SHOWN = 20_000  # characters of a message
USUAL = "default"  # the model that is counted for where the prompt names none


@dataclass(frozen=True, slots=True)
class ShownMessage:
    role: str
    text: str
    left_out: int = 0  # characters


@dataclass(frozen=True, slots=True)
class Figures:
    """How long the input is, and what a call costs."""

    model: str  # the name that is asked for
    tokens: int | None = None
    input_usd: Decimal | None = None
    output_tokens: int | None = None  # at most
    output_usd: Decimal | None = None
    refusal: str = ""  # what a caller would be told


@dataclass(frozen=True, slots=True)
class Preview:
    """What the panel shows; without messages it says why in `problem`."""

    samples: SampleForm
    tags: tuple[str, ...]
    locale: str
    messages: tuple[ShownMessage, ...] = ()
    figures: Figures | None = None
    problem: str = ""

    @property
    def said(self) -> str:
        """Return the whole in a sentence, for those who hear the page."""
        if self.problem:
            return f"No preview: {self.problem}"
        tokens = self.figures.tokens if self.figures else None
        counted = "" if tokens is None else f", {tokens:,} tokens"
        return f"The preview has {len(self.messages)} messages{counted}."


def model_names(prompt: Prompt) -> list[str]:
    """Return the names of models that callers of the prompt can ask for."""
    return [offer.id for offer in _offers(prompt.organization_id)]


def preview(prompt: Prompt, reading: Reading, sent: Mapping[str, Any], user: User) -> Preview:
    """Return what the forms make of the sample values that were sent."""
    content = reading.content
    offered = {
        "user_name": user.get_full_name() or user.get_username(),
        "organization": Organization.objects.get(pk=prompt.organization_id).name,
    }
    declared = reading.whole.variables if reading.whole else content.variables
    tags = (content.default_locale, *content.locales)
    locale = str(sent.get("preview-locale", ""))
    samples = SampleForm(declared, offered, sent)
    nothing = Preview(samples, tags, locale if locale in tags else tags[0])
    if not content.messages:
        return _without(nothing, "write a message first.")
    if not reading.is_valid:
        reasons = reading.other or ["something is wrong with the version; it is marked."]
        return _without(nothing, " ".join(reasons))
    return _rendered(prompt, content, nothing)


def _rendered(prompt: Prompt, content: PromptContent, nothing: Preview) -> Preview:
    samples = nothing.samples
    try:
        rendered = services.preview(
            organization_id=prompt.organization_id,
            content=content,
            variables=samples.values(),
            context=samples.offered,
            locale=nothing.locale,
        )
    except AppError as error:
        return _without(nothing, error.message)
    if samples.errors:
        return _without(nothing, "a sample value cannot be read; it is marked.")
    if not rendered.messages:
        return _without(nothing, "with these values, every message is blank.")
    shown = tuple(_shown(message.role, str(message.content)) for message in rendered.messages)
    return Preview(samples, nothing.tags, nothing.locale, shown, _figures(prompt, rendered))


def _without(nothing: Preview, problem: str) -> Preview:
    return Preview(nothing.samples, nothing.tags, nothing.locale, problem=problem)


def _shown(role: str, text: str) -> ShownMessage:
    return ShownMessage(role, text[:LONGEST_SHOWN], max(0, len(text) - LONGEST_SHOWN))


def _figures(prompt: Prompt, rendered: RenderedPrompt) -> Figures:
    model = rendered.settings.model or _usual_model(prompt)
    if not model:
        return Figures("", refusal="There is no model yet that could be asked.")
    asked = model if rendered.settings.model is None else THE_PROMPTS_MODEL
    request = applied(ChatRequest(model=asked, messages=()), rendered)
    call = Call(
        principal=Principal(prompt.organization_id),
        surface="admin",
        request_id=request_id.current(),
    )
    explained = dry_run.explain(request, call)
    first = next((row for row in explained.rows if row.when == When.ORDINARY), None)
    if explained.refusal or first is None:
        return Figures(model, refusal=explained.refusal)
    return _priced(model, first)


def _priced(model: str, row: Row) -> Figures:
    deployment, tokens, output = row.deployment, row.input_tokens or 0, row.max_output_tokens
    price = prices.in_force(deployment.provider, deployment.model)
    if price is None:
        return Figures(model, tokens, output_tokens=output)
    input_usd = cost_usd(price, TokenUsage(input_tokens=tokens))
    if output is None:
        return Figures(model, tokens, input_usd)
    whole = cost_usd(price, TokenUsage(input_tokens=tokens, output_tokens=output))
    return Figures(model, tokens, input_usd, output, whole - input_usd)


def _usual_model(prompt: Prompt) -> str:
    names = model_names(prompt)
    return USUAL if USUAL in names else next(iter(names), "")


def _offers(organization_id: int) -> list[ModelOffer]:
    return async_to_sync(llm.models)(Principal(organization_id))
