"""Routes and deployments in the admin: what staff set, and how they are doing."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from redis.exceptions import ConnectionError as RedisGone

from accounts.models import ApiKey, Organization, User
from core import redis
from llm import health
from llm.errors import ConnectionFailed
from llm.health import DeploymentHealth
from llm.health.monitor import Monitor
from llm.models import Deployment, Route, RouteDeployment
from llm.routing import routes
from tests.routing_support import deploy, route

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def fresh_routes() -> Iterator[None]:
    routes.forget()
    yield
    routes.forget()


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("boss", password="secret"))
    return client


@pytest.fixture
def acme() -> Organization:
    return Organization.objects.create(name="Acme", slug="acme")


@pytest.fixture
def doing(monkeypatch: pytest.MonkeyPatch) -> dict[int, DeploymentHealth]:
    """What the processes have seen of deployments; a test says it by id."""
    figures: dict[int, DeploymentHealth] = {}
    monkeypatch.setattr(health, "snapshot", lambda: figures)
    return figures


def viewer(client: Client, *codenames: str) -> Client:
    user = User.objects.create_user("viewer", password="secret", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client.force_login(user)
    return client


def page(name: str, *args: Any) -> str:
    return reverse(f"admin:llm_{name}", args=args)


def route_form(**more: Any) -> dict[str, Any]:
    return {
        "alias": "new",
        "strategy": "priority",
        "is_active": "on",
        "is_listed": "on",
        "is_for_all": "on",
        "steps-TOTAL_FORMS": "0",
        "steps-INITIAL_FORMS": "0",
        **more,
    }


def step_form(deployment: Deployment, tasks: str) -> dict[str, Any]:
    return {
        "steps-TOTAL_FORMS": "1",
        "steps-0-deployment": deployment.pk,
        "steps-0-role": "answer",
        "steps-0-position": "0",
        "steps-0-weight": "1",
        "steps-0-tasks": tasks,
    }


def test_staff_make_a_route_and_find_its_dry_run(staff: Client) -> None:
    form = route_form(**step_form(deploy("usual"), "classify, extract"))

    answer = staff.post(page("route_add"), form)

    assert answer.status_code == 302, answer.context["errors"]
    made = Route.objects.get(alias="new")
    assert RouteDeployment.objects.get(route=made).task_names == {"classify", "extract"}
    address = page("route_dry_run", made.pk)
    assert address in staff.get(page("route_change", made.pk)).content.decode()


def test_a_task_that_no_call_could_name_is_refused(staff: Client) -> None:
    answer = staff.post(page("route_add"), route_form(**step_form(deploy("usual"), "two words")))

    assert "A task has up to 50 letters" in answer.content.decode()


def test_a_route_is_for_everybody_or_for_those_it_names(staff: Client, acme: Organization) -> None:
    both = staff.post(page("route_add"), route_form(organizations=[acme.pk]))
    neither = staff.post(page("route_add"), route_form(is_for_all=""))
    named = staff.post(page("route_add"), route_form(is_for_all="", organizations=[acme.pk]))

    assert "Take the tick away" in both.content.decode()
    assert "Choose one" in neither.content.decode()
    assert named.status_code == 302
    assert "Acme" in staff.get(page("route_changelist")).content.decode()


def test_staff_keep_a_new_key_to_some_models(staff: Client, acme: Organization) -> None:
    chosen = {"cache_mode": "on", "on_disconnect": "stop", "allowed_models": "gpt-*"}
    form = {"organization": acme.pk, "name": "ci", **chosen}

    answer = staff.post(reverse("admin:accounts_apikey_add"), form)

    assert answer.status_code == 302, answer.context["errors"]
    assert ApiKey.objects.get().allowed_models == "gpt-*"


@pytest.mark.parametrize("name", ["route", "deployment"])
def test_a_list_takes_the_same_queries_however_long_it_is(
    staff: Client, acme: Organization, name: str
) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as made:
            assert staff.get(page(f"{name}_changelist")).status_code == 200
        return len(made)

    route(deploy("a"), alias="a")
    before = queries()
    for alias in ("b", "c", "d"):
        restricted = route(deploy(alias), deploy(f"{alias}2"), alias=alias, is_for_all=False)
        restricted.organizations.add(acme)

    assert queries() == before


def test_the_deployments_say_how_they_are_doing(
    staff: Client, doing: dict[int, DeploymentHealth]
) -> None:
    doing[deploy("fine").pk] = DeploymentHealth(
        calls=1200, error_rate=0.015, p50_ttft_ms=250.0, p95_ttft_ms=1900.0, running=7
    )
    doing[deploy("broken").pk] = DeploymentHealth(state="open", calls=20, error_rate=1.0)
    doing[deploy("tried").pk] = DeploymentHealth(state="half_open")
    deploy("new")

    text = staff.get(page("deployment_changelist")).content.decode()

    for shown in ("1,200", "1.5%", "250 ms", "1.9 s", ">closed<", "none lately"):
        assert shown in text
    for shown in (">open<", ">half-open<", "100.0%", "Reload"):
        assert shown in text
    assert text.count("/reset/") == 2  # where there is something to reset
    assert "Redis does not answer" not in text


def test_the_list_can_be_narrowed_to_a_provider(staff: Client) -> None:
    made = deploy("usual")
    deploy("other", by="another")

    found = staff.get(page("deployment_changelist"), {"provider__id__exact": made.provider_id})

    assert [str(one) for one in found.context["cl"].result_list] == ["maker usual"]


def break_down(deployment: Deployment) -> None:
    """Let calls fail until the breaker opens."""

    async def fail() -> None:
        for _ in range(20):
            ticket = await health.enter(deployment.pk, is_streamed=True)
            if isinstance(ticket, health.Ticket):
                ticket.ended(ConnectionFailed("gone"))
        await health.close()
        await redis.close()

    asyncio.run(fail())


def test_a_reset_closes_the_breaker(staff: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_monitor", Monitor())
    made = deploy("broken")
    break_down(made)
    address = page("deployment_reset", made.pk)
    assert address in staff.get(page("deployment_changelist")).content.decode()

    answer = staff.post(f"{address}?is_active__exact=1", follow=True)

    assert answer.redirect_chain == [(f"{page('deployment_changelist')}?is_active__exact=1", 302)]
    text = answer.content.decode()
    assert "is tried again, within a second" in text
    assert address not in text
    assert health.snapshot()[made.pk].state == "closed"


def test_a_reset_is_a_post_of_those_who_may_change_deployments(client: Client) -> None:
    made = deploy("broken")
    address = page("deployment_reset", made.pk)
    limited = viewer(client, "view_deployment")

    assert limited.post(address).status_code == 403
    assert "/reset/" not in limited.get(page("deployment_changelist")).content.decode()
    User.objects.all().delete()
    assert viewer(client, "change_deployment").get(address).status_code == 405


def test_without_redis_the_list_says_so(staff: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    deploy("usual")

    def gone(alias: str) -> Any:
        raise RedisGone("refused")

    monkeypatch.setattr("llm.admin.deployments.get_redis_connection", gone)

    assert "Redis does not answer" in staff.get(page("deployment_changelist")).content.decode()
