"""A label that one process moves is used by every other, soon."""

import time
from collections.abc import Iterator
from dataclasses import replace

import httpx2
import pytest

from prompts import services
from prompts.content import MessageTemplate, PromptContent
from prompts.releases import services as releases
from tests.gateway import Program, eventually, program
from tests.servers import PATIENCE, Site, running_server
from tests.vendor import FakeVendor

pytestmark = pytest.mark.processes


@pytest.fixture
def two(site: Site, vendor: FakeVendor) -> Iterator[list[Program]]:
    """Programs that call two servers, each a process of its own, on one database."""
    with program(site, vendor) as caller, running_server() as other:
        headers = caller.http.headers
        with httpx2.Client(base_url=f"{other.url}/v1", headers=headers, timeout=PATIENCE) as http:
            yield [caller, replace(caller, http=http)]


def said(caller: Program) -> str:
    """Return the words that the vendor got for a call."""
    caller.post(parley={"prompt": {"name": "greeting"}}).raise_for_status()
    words: str = caller.vendor.requests[-1].body["messages"][0]["content"]
    return words


def test_a_moved_label_is_used_by_two_processes(two: list[Program], site: Site) -> None:
    prompt = services.create_prompt(organization=site.organization, name="greeting")
    for text in ("One.", "Two."):
        content = PromptContent(messages=(MessageTemplate("system", text),))
        services.add_version(prompt=prompt, content=content)
    releases.move_label(prompt=prompt, number=1)
    assert [said(caller) for caller in two] == ["One.", "One."]

    since = time.monotonic()
    releases.move_label(prompt=prompt, number=2)
    for caller in two:
        eventually(lambda caller=caller: said(caller) == "Two.")  # type: ignore[misc]  # bound now

    print(f"used after {time.monotonic() - since:.2f} s")
    assert [said(caller) for caller in two] == ["Two.", "Two."]
