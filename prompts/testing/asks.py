"""What a run asks: each case of its dataset, of each version and model."""

from collections.abc import Sequence
from dataclasses import dataclass

from accounts.principal import Principal
from core.database import translate_outage
from llm.types import CacheWish, Call, ChatRequest, PromptUsed
from prompts import applying
from prompts.models import Case, CaseResult, DatasetRun
from prompts.services import render_for_call
from prompts.testing import cases
from prompts.testing.cases import CaseContent
from prompts.testing.costs import SURFACE

TAGS = ("test",)
NOBODY = "Tester"  # who asks, where the organization itself pays


@dataclass(frozen=True, slots=True)
class Ask:
    """One case for one version and model."""

    run: DatasetRun
    case: Case
    version: int
    model: str

    @property
    def key(self) -> tuple[str, int, str]:
        """Return what there is one result of in a run."""
        return self.case.name, self.version, self.model

    @property
    def request_id(self) -> str:
        """Return the id of its calls, the same for whoever goes on with the run."""
        place = self.run.model_names.index(self.model)
        return f"test-{self.run.pk}-{self.case.pk}-{self.version}-{place}"


@dataclass(frozen=True, slots=True)
class Question:
    """What is put to the model, and what must come of it."""

    request: ChatRequest
    used: PromptUsed
    content: CaseContent

    @property
    def text(self) -> str:
        """Return what was said, for a judge."""
        messages = self.request.messages
        return "\n\n".join(f"{message.role}: {message.content}" for message in messages)


def all_of(run: DatasetRun) -> list[Ask]:
    """Return all that the run asks, case by case."""
    with translate_outage():
        kept = list(run.dataset.cases.all())
    return [
        Ask(run, case, version, model)
        for case in kept
        for version in run.versions
        for model in run.model_names
    ]


def missing(run: DatasetRun, asks: Sequence[Ask]) -> list[Ask]:
    """Return those that have no result yet."""
    with translate_outage():
        results = CaseResult.objects.filter(run=run)
        done = set(results.values_list("case_name", "version", "model"))
    return [ask for ask in asks if ask.key not in done]


def call_of(ask: Ask, principal: Principal, used: PromptUsed | None = None) -> Call:
    """Return around what the calls of an ask are made; judges use no prompt."""
    return Call(
        principal=principal,
        surface=SURFACE,
        request_id=ask.request_id,
        prompt=used,
        cache=CacheWish(mode="off"),
        tags=TAGS,
    )


async def question_of(ask: Ask, principal: Principal) -> Question:
    """Return what is put to the model; raise where the case does not fit the version."""
    content = cases.content_of(ask.case)
    prompt = ask.run.dataset.prompt
    rendered = await render_for_call(
        organization_id=prompt.organization_id,
        name=prompt.name,
        number=ask.version,
        variables=content.variables,
        context={"user_name": principal.user_name or NOBODY},
        locale=content.locale,
    )
    said = tuple(message.as_message() for message in content.messages)
    request = applying.applied(ChatRequest(model=ask.model, messages=said), rendered)
    return Question(request, rendered.used(), content)
