"""What a call may say beside OpenAI's parameters: the key `parley` of its body."""

from typing import Annotated, Any

from msgspec import Meta, Struct
from msgspec.structs import replace

from accounts.principal import Principal
from billing.tags import LONGEST_TAG, MOST_TAGS, RULE, is_tag
from core.errors import AppError, InvalidRequest, own
from gateway.cache_control import LONGEST
from llm.types import CacheMode, CacheWish, Call, ChatRequest, RoutingWish
from prompts import applying
from prompts.content import LONGEST_LOCALE
from prompts.labelled import RenderedPrompt
from prompts.models import PRODUCTION
from prompts.services import render_for_call

MOST_NAMES = 50  # of who may answer

Name = Annotated[str, Meta(min_length=1, max_length=400)]  # `provider` or `provider/model`
Names = Annotated[tuple[Name, ...], Meta(max_length=MOST_NAMES)]
# `check` refuses what is none, so that its words say what a tag is.
Tag = Annotated[str, Meta(extra_json_schema={"pattern": f"^[A-Za-z0-9_.:-]{{1,{LONGEST_TAG}}}$"})]
Tags = Annotated[tuple[Tag, ...], Meta(extra_json_schema={"maxItems": MOST_TAGS})]
Seconds = Annotated[int, Meta(ge=0, le=LONGEST)]
Task = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{0,50}\Z")]
Locale = Annotated[str, Meta(pattern=r"^[A-Za-z0-9-]*\Z", max_length=LONGEST_LOCALE)]
Whom = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.:-]{1,50}\Z")]


class PromptWish(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Words that staff keep, put before the caller's own."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,100}\Z")]
    label: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_-]{0,49}\Z")] | None = None
    version: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    variables: dict[str, Any] = {}
    locale: Locale = ""  # a language tag; empty: as the version is written
    # Whom the caller asks for, by names of its own: experiments give each their arm.
    user: Whom | None = None
    conversation: Whom | None = None

    def units(self, principal: Principal) -> dict[str, str]:
        """Return those whom the call is for, as experiments know them."""
        named = {
            "user": self.user and f"caller:{self.user}",
            "conversation": self.conversation and f"conversation:{self.conversation}",
            "key": principal.api_key_id and f"key:{principal.api_key_id}",
        }
        if not self.user and principal.user_id:
            named["user"] = f"user:{principal.user_id}"
        return {unit: str(name) for unit, name in named.items() if name}


class Caching(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    mode: CacheMode = "on"
    ttl: Seconds | None = None
    max_age: Seconds | None = None
    only_if_cached: bool = False

    def wish(self) -> CacheWish:
        return CacheWish(
            mode=self.mode,
            seconds=self.ttl,
            max_age=self.max_age,
            only_if_cached=self.only_if_cached,
        )


class Routing(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    only: Names = ()
    ignore: Names = ()

    def wish(self) -> RoutingWish:
        return RoutingWish(only=self.only, ignore=self.ignore)


class Extensions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is `None` is as the headers say it, or as for every call."""

    prompt: PromptWish | None = None
    cache: Caching | None = None
    tags: Tags | None = None
    task: Task | None = None
    routing: Routing | None = None

    @property
    def unique_tags(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.tags or ()))


def check(said: Extensions | None, model: str) -> None:
    """Refuse what the types cannot tell, with `InvalidRequest`; a prompt may bring the `model`."""
    if not model and not (said and said.prompt):
        raise InvalidRequest("`model` is missing.", param="model")
    if said is None:
        return
    tags = said.tags or ()
    if len(tags) > MOST_TAGS or not all(map(is_tag, tags)):
        raise InvalidRequest(
            f"`parley.tags` takes up to {MOST_TAGS} tags; a tag has {RULE}.", param="parley.tags"
        )
    prompt = said.prompt
    if prompt is not None and prompt.label is not None and prompt.version is not None:
        raise InvalidRequest(
            "`parley.prompt` takes a label or a version, not both.", param="parley.prompt.version"
        )


async def applied(
    said: Extensions | None, request: ChatRequest, call: Call
) -> tuple[ChatRequest, Call]:
    """Return both as the body wants them; an error names the field it is about."""
    if said is None:
        return request, call
    if said.prompt is not None:
        prompt = await _prompt(said.prompt, call.principal)
        request = applying.applied(request, prompt)
        call = replace(call, prompt=prompt.used())
    return request, _as_said(call, said)


def _as_said(call: Call, said: Extensions) -> Call:
    return replace(
        call,
        cache=said.cache.wish() if said.cache else call.cache,
        tags=call.tags if said.tags is None else said.unique_tags,
        task=call.task if said.task is None else said.task,
        routing=said.routing.wish() if said.routing else call.routing,
    )


async def _prompt(wish: PromptWish, principal: Principal) -> RenderedPrompt:
    try:
        return await render_for_call(
            organization_id=principal.organization_id,
            name=wish.name,
            label=wish.label or PRODUCTION,
            number=wish.version,
            variables=wish.variables,
            context={"user_name": principal.user_name} if principal.user_name else {},
            locale=wish.locale,
            units=wish.units(principal),
        )
    except AppError as error:
        raise _placed(error) from error


def _placed(error: AppError) -> AppError:
    """Return the error as one about this call's body; what was raised may be told to others too."""
    twin = own(error)
    twin.param = ".".join(filter(None, ("parley.prompt", error.param)))
    return twin
