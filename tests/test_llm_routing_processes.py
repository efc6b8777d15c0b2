"""Edits of routes are in force within a second, in every process; a task comes by header."""

from collections.abc import Iterator

import httpx2
import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import User
from llm.models import Deployment, Route, RouteDeployment
from tests.gateway import MESSAGES, PATIENCE, Program, eventually, program
from tests.servers import Site, running_server
from tests.vendor import FakeVendor

pytestmark = pytest.mark.processes


@pytest.fixture
def caller(site: Site, vendor: FakeVendor) -> Iterator[Program]:
    with program(site, vendor) as running:
        yield running


def served_by(url: str, caller: Program, **headers: str) -> str:
    """Return which model answers; "" where the caller may ask for none."""
    answer = httpx2.post(
        f"{url}/v1/chat/completions",
        json={"model": caller.model, "messages": MESSAGES},
        headers={"Authorization": f"Bearer {caller.site.api_key}", **headers},
        timeout=PATIENCE,
    )
    assert answer.status_code in (200, 404), answer.text
    return answer.headers.get("x-parley-model", "")


def edit(client: Client, route: Route, **changes: str) -> None:
    """Change a route as staff do, in the admin."""
    step = route.steps.get()
    form = {
        "alias": route.alias,
        "strategy": "priority",
        "is_active": "on",
        "is_listed": "on",
        "is_for_all": "on",
        "steps-TOTAL_FORMS": "1",
        "steps-INITIAL_FORMS": "1",
        "steps-0-id": str(step.pk),
        "steps-0-route": str(route.pk),
        "steps-0-deployment": str(step.deployment_id),
        "steps-0-role": "answer",
        "steps-0-position": "0",
        "steps-0-weight": "1",
        **changes,
    }
    answer = client.post(reverse("admin:llm_route_change", args=[route.pk]), form)
    assert answer.status_code == 302, answer.context["errors"]


def test_an_edit_in_the_admin_is_in_force_within_a_second_in_all_processes(
    caller: Program, client: Client
) -> None:
    client.force_login(User.objects.get(username=caller.site.staff.username))
    route = Route.objects.get(alias=caller.model)
    other = Deployment.objects.create(provider=route.deployments.get().provider, model="other")

    with running_server() as second:
        urls = (caller.site.url, second.url)
        assert [served_by(url, caller) for url in urls] == ["vendor-model"] * 2
        edit(client, route, **{"steps-0-deployment": str(other.pk)})
        eventually(lambda: all(served_by(url, caller) == "other" for url in urls))
        edit(client, route, is_active="")
        eventually(lambda: not any(served_by(url, caller) for url in urls))


def test_a_task_is_named_in_a_header(caller: Program) -> None:
    route = Route.objects.get(alias=caller.model)
    small = Deployment.objects.create(provider=route.deployments.get().provider, model="small")
    RouteDeployment.objects.create(route=route, deployment=small, position=9, tasks="classify")
    task = {"X-Parley-Task": "classify"}
    eventually(lambda: served_by(caller.site.url, caller, **task) == "small")

    assert served_by(caller.site.url, caller) == "vendor-model"
    assert served_by(caller.site.url, caller, **{"X-Parley-Task": "poetry"}) == "vendor-model"


@pytest.mark.parametrize("task", ["two words", "x" * 51, "a,b", "ä"])
def test_a_task_that_no_route_can_have_is_refused(caller: Program, task: str) -> None:
    answer = caller.http.post(
        "/chat/completions",
        json={"model": caller.model, "messages": MESSAGES},
        headers={b"X-Parley-Task": task.encode()},
    )

    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, "X-Parley-Task")
    assert caller.vendor.requests == []
