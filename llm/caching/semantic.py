"""Answers given before to a question of the same meaning, for prompts that opted in.

All but the question must be equal: tenant, prompt and version, model, settings, tools, every
message before it, and the numbers in it: no embedding tells order 123 from order 124.
"""

import hashlib
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import structlog
from asgiref.sync import sync_to_async
from django.utils import timezone
from msgspec.structs import replace
from pgvector.django import CosineDistance

from core.database import translate_outage
from core.errors import AppError, DependencyDown
from llm import embeddings
from llm.caching import exact, kept
from llm.caching.lookup import Answer, Lookup
from llm.models import SemanticAnswer, SemanticHit
from llm.types import Event, Finished, KeptAnswer, PromptCache, TextPart

logger = structlog.get_logger(__name__)

LONGEST_QUESTION = 8_000  # characters; beyond it, one vector says too little
HITS_KEPT = timedelta(days=30)  # those that nobody has reported
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")

_canonical = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, as a vector, and a hash of all that must be equal."""

    lookup: Lookup
    scope: str
    vector: Sequence[float]

    @property
    def settings(self) -> PromptCache:
        return _settings(self.lookup)


@dataclass(frozen=True, slots=True)
class Found:
    """An answer to a question of the same meaning."""

    answer: KeptAnswer
    similarity: float  # of the two questions; 1 is the same


async def question_of(lookup: Lookup) -> Question | None:
    """Return the question; `None` where the prompt did not opt in or it cannot be compared."""
    settings = _settings(lookup)
    text = _text_of(lookup) if settings.semantic_threshold is not None else ""
    if not text or len(text) > LONGEST_QUESTION:
        return None
    try:
        embedded = await embeddings.embed([text], model=settings.semantic_model, call=lookup.call)
    except AppError as error:
        _skip(lookup, error)
        return None
    return Question(lookup, _scope(lookup, text), embedded.vectors[0])


async def find(question: Question, usage_id: UUID) -> Found | None:
    """Return the answer to the most similar question, and record that `usage_id` is given it."""
    try:
        return await sync_to_async(_find, thread_sensitive=False)(question, usage_id)
    except DependencyDown as error:
        _skip(question.lookup, error)
        return None


def keeping(question: Question, answer: Answer) -> Answer:
    """Return `answer`, which then keeps what it makes for questions like this one."""

    async def made() -> AsyncGenerator[Event, None]:
        events: list[Event] = []
        async with aclosing(answer()) as coming:
            async for event in coming:
                events.append(event)
                if isinstance(event, Finished):
                    await _keep(question, events)
                yield event

    return made


def remove_expired() -> int:
    """Delete answers whose time is up and old records of hits; return how many of both."""
    expired, _ = SemanticAnswer.objects.filter(expires_at__lte=timezone.now()).delete()
    old = SemanticHit.objects.filter(created_at__lt=timezone.now() - HITS_KEPT, reported_at=None)
    return expired + old.delete()[0]


async def _keep(question: Question, events: Sequence[Event]) -> None:
    entry = exact.entry_of(question.lookup, events)
    if entry is None:
        return
    try:
        await sync_to_async(_put, thread_sensitive=False)(question, entry)
    except DependencyDown as error:
        _skip(question.lookup, error)


def _put(question: Question, entry: exact.Entry) -> None:
    lookup = question.lookup
    assert lookup.call.prompt is not None  # noqa: S101 - it has opted in
    with translate_outage():
        SemanticAnswer.objects.create(
            organization_id=lookup.call.principal.organization_id,
            scope=question.scope,
            prompt_name=lookup.call.prompt.name,
            prompt_version=lookup.call.prompt.version,
            alias=lookup.route.alias,
            embedding_model=question.settings.semantic_model,
            dimensions=len(question.vector),
            embedding=list(question.vector),
            answer=entry.encoded,
            expires_at=timezone.now() + timedelta(seconds=entry.seconds),
        )


def _find(question: Question, usage_id: UUID) -> Found | None:
    threshold = question.settings.semantic_threshold or 1.0
    with translate_outage():
        rows = SemanticAnswer.objects.alive().filter(
            scope=question.scope, dimensions=len(question.vector)
        )
        if (max_age := question.lookup.policy.max_age) is not None:
            rows = rows.filter(created_at__gte=timezone.now() - timedelta(seconds=max_age))
        distance = CosineDistance("embedding", list(question.vector))
        nearest: Any = rows.annotate(distance=distance).order_by("distance").first()
        answer = kept.decode(bytes(nearest.answer)) if nearest else None
        if answer is None or 1 - nearest.distance < threshold:
            return None
        _note(nearest, usage_id, 1 - nearest.distance, threshold)
    return Found(answer, 1 - nearest.distance)


def _note(given: SemanticAnswer, usage_id: UUID, similarity: float, threshold: float) -> None:
    SemanticHit.objects.create(
        usage_id=usage_id,
        organization_id=given.organization_id,
        answer=given,
        prompt_name=given.prompt_name,
        prompt_version=given.prompt_version,
        alias=given.alias,
        embedding_model=given.embedding_model,
        similarity=similarity,
        threshold=threshold,
    )


def _scope(lookup: Lookup, text: str) -> str:
    """Return the hash of all that must be equal, which is the exact key without the question."""
    before = replace(lookup.request, messages=lookup.request.messages[:-1])
    key = exact.key_for(before, lookup.call, lookup.route, purge=lookup.purge)
    numbers = NUMBER.findall(text)
    whole = (key, lookup.request.messages[-1].name, numbers, _settings(lookup).semantic_model)
    return hashlib.sha256(_canonical(whole)).hexdigest()


def _text_of(lookup: Lookup) -> str:
    """Return the text of the question; "" where the last word is not a person's, or has images."""
    last = lookup.request.messages[-1]
    if last.role != "user" or last.content is None:
        return ""
    if isinstance(last.content, str):
        return last.content.strip()
    texts = [part.text for part in last.content if isinstance(part, TextPart)]
    return "\n".join(texts).strip() if len(texts) == len(last.content) else ""


def _settings(lookup: Lookup) -> PromptCache:
    return lookup.call.prompt.cache if lookup.call.prompt else PromptCache()


def _skip(lookup: Lookup, error: AppError) -> None:
    """Say that a call goes on without a comparison: it is a saving, not a need."""
    request_id = lookup.call.request_id
    logger.warning("llm.semantic_skipped", error=type(error).__name__, request_id=request_id)
