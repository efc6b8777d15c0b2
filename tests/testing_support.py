"""A prompt with two versions, a dataset of cases, and runs over them."""

import asyncio
from decimal import Decimal
from typing import Any

from asgiref.sync import sync_to_async

from accounts.models import Organization, User
from llm.closing import until_stopped
from prompts import services
from prompts.content import MessageTemplate, ModelSettings, PromptContent, Variable
from prompts.models import CaseResult, Dataset, DatasetRun, Prompt
from prompts.releases import services as releases
from prompts.testing import datasets, leases, running, runs

MODEL = "test-model"
HELLO = {"kind": "contains", "text": "hello"}  # what the fake vendor says
GOODBYE = {"kind": "contains", "text": "goodbye"}


def make_prompt(organization: Organization, **settings: Any) -> Prompt:
    """Return a prompt whose version 1 is in production, and version 2 is not."""
    prompt = services.create_prompt(organization=organization, name="greeting")
    for text in ("Greet {{ name }}.", "Greet {{ name }} warmly."):
        content = PromptContent(
            messages=(MessageTemplate("user", text),),
            variables=(Variable("name"),),
            settings=ModelSettings(**{"max_tokens": 100, **settings}),
        )
        services.add_version(prompt=prompt, content=content)
    releases.move_label(prompt=prompt, number=1)
    return prompt


def make_dataset(prompt: Prompt, *checks: list[dict[str, Any]], name: str = "smoke") -> Dataset:
    """Return a dataset with a case for each list of checks: "Case 1", "Case 2" and so on."""
    dataset = datasets.dataset_named(prompt=prompt, name=name)
    for one in checks:
        datasets.add_case(dataset=dataset, variables={"name": "Ada"}, checks=one)
    return dataset


def begin(dataset: Dataset, **fields: Any) -> DatasetRun:
    """Return a new run of version 1, which waits for a worker."""
    by = fields.pop("by", None)
    asked = {"versions": [1], "models": [MODEL], "cap_usd": Decimal(1), **fields}
    return runs.start(dataset=dataset, by=by, **asked)


async def finished(run: DatasetRun) -> DatasetRun:
    """Return the run when a worker has done what it could."""
    held = await sync_to_async(leases.claim)()
    assert held == run
    await running.do(held)
    await run.arefresh_from_db()
    return run


def ran(dataset: Dataset, **fields: Any) -> DatasetRun:
    """Return a run that a worker has done."""
    run = begin(dataset, **fields)
    asyncio.run(until_stopped(_finish(run)))
    return run


async def _finish(run: DatasetRun) -> None:
    await finished(run)


def results(run: DatasetRun) -> list[CaseResult]:
    return list(run.results.order_by("case_name", "version", "model"))


def member(organization: Organization, name: str = "ada") -> User:
    """Return a person of the organization."""
    user = User.objects.create_user(name)
    user.organizations.add(organization)
    return user
