"""Every address there is, asked by those who may not: a new one that is not in the table fails."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple, get_args

import pytest
from asgiref.sync import sync_to_async
from channels.testing import HttpCommunicator
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from accounts import keys
from accounts.models import ApiKey, Membership, Organization, Role, User
from billing.models import Budget
from chat.events import Command
from chat.models import Conversation, Message
from chat.routing import websocket_urlpatterns
from config.asgi import application
from gateway.methods import ByClient, ByMethod
from gateway.routing import http_urlpatterns
from prompts import services
from prompts.content import MessageTemplate, PromptContent
from prompts.experiments import plans
from prompts.experiments import services as experiments
from prompts.models import (
    Case,
    Dataset,
    DatasetRun,
    Experiment,
    Feedback,
    LabelMove,
    PromptLabel,
    PromptVersion,
)
from prompts.playground.events import Command as PlaygroundCommand
from prompts.playground.routing import websocket_urlpatterns as playground_urlpatterns
from prompts.releases import services as releases
from prompts.testing import datasets
from tests.chat_support import Person

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("chat_loop")]

MARK = "only-alice-may-read-this"
STRANGERS = ("nobody", "colleague", "foreigner", "clerk", "narrow")
METHODS = ("get", "post", "put", "patch", "delete")


class Row(NamedTuple):
    """An address with something of Alice's in it, and whom it is for."""

    kind: str
    address: str


# What is open to all; one's own page; a page about an object; the same over REST; a prompt of the
# organization; what needs a permission of staff.
TABLE = {
    "": Row("page", "/"),
    "chat/<uuid:conversation_id>/": Row("object page", "/chat/{conversation}/"),
    "chat/stop/<uuid:message_id>/": Row("object page", "/chat/stop/{answer}/"),
    "accounts/sign-in/": Row("open", "/accounts/sign-in/"),
    "accounts/sign-out/": Row("open", "/accounts/sign-out/"),
    "accounts/password/": Row("page", "/accounts/password/"),
    "usage/": Row("page", "/usage/"),
    "keys/": Row("page", "/keys/"),
    "keys/<int:pk>/change/": Row("object page", "/keys/{key}/change/"),
    "keys/<int:pk>/revoke/": Row("object page", "/keys/{key}/revoke/"),
    "keys/<int:pk>/rotate/": Row("object page", "/keys/{key}/rotate/"),
    "docs": Row("open", "/docs"),
    "healthz": Row("open", "/healthz"),
    "admin/login/": Row("open", "/admin/login/"),
    "api/schema/": Row("open", "/api/schema/"),
    "api/^keys/$": Row("rest", "/api/keys/"),
    "api/^keys/(?P<pk>[^/.]+)/$": Row("rest object", "/api/keys/{key}/"),
    "api/^keys/(?P<pk>[^/.]+)/revoke/$": Row("rest object", "/api/keys/{key}/revoke/"),
    "api/^keys/(?P<pk>[^/.]+)/rotate/$": Row("rest object", "/api/keys/{key}/rotate/"),
    "api/usage/": Row("rest", "/api/usage/"),
    "api/usage/summary/": Row("rest", "/api/usage/summary/"),
    "api/^budgets/$": Row("budgets", "/api/budgets/"),
    "api/^budgets/(?P<pk>[^/.]+)/$": Row("rest object", "/api/budgets/{budget}/"),
    "api/^conversations/$": Row("rest", "/api/conversations/"),
    "api/^conversations/(?P<pk>[^/.]+)/$": Row("rest object", "/api/conversations/{conversation}/"),
    "api/conversations/<uuid:pk>/messages/": Row(
        "rest object", "/api/conversations/{conversation}/messages/"
    ),
    "api/cache/wrong-hit/": Row("rest", "/api/cache/wrong-hit/"),
    "api/^prompts/$": Row("rest", "/api/prompts/"),
    "api/^prompts/(?P<name>[-a-zA-Z0-9_]+)/$": Row("prompt", "/api/prompts/hers/"),
    "api/^prompts/(?P<name>[-a-zA-Z0-9_]+)/render/$": Row("prompt", "/api/prompts/hers/render/"),
    "api/prompts/import/": Row("budgets", "/api/prompts/import/"),
    "api/prompts/<slug:name>/export/": Row("prompt", "/api/prompts/hers/export/"),
    "api/prompts/<slug:name>/versions/": Row("prompt", "/api/prompts/hers/versions/"),
    "api/prompts/<slug:name>/versions/<int:number>/": Row(
        "prompt", "/api/prompts/hers/versions/1/"
    ),
    "api/prompts/<slug:name>/labels/": Row("prompt", "/api/prompts/hers/labels/"),
    "api/prompts/<slug:name>/labels/<slug:label>/": Row(
        "prompt", "/api/prompts/hers/labels/production/"
    ),
    "api/prompts/<slug:name>/labels/<slug:label>/rollback/": Row(
        "prompt", "/api/prompts/hers/labels/production/rollback/"
    ),
    "api/prompts/<slug:name>/label-moves/": Row("prompt", "/api/prompts/hers/label-moves/"),
    "api/prompts/<slug:name>/label-moves/<int:pk>/": Row(
        "prompt", "/api/prompts/hers/label-moves/{move}/"
    ),
    **{
        f"api/prompts/<slug:name>/label-moves/<int:pk>/{decision}/": Row(
            "prompt", f"/api/prompts/hers/label-moves/{{move}}/{decision}/"
        )
        for decision in ("confirm", "refuse", "withdraw")
    },
    "api/^feedback/$": Row("rest", "/api/feedback/"),
    "api/^feedback/(?P<pk>[^/.]+)/$": Row("rest object", "/api/feedback/{feedback}/"),
    "api/^datasets/$": Row("budgets", "/api/datasets/"),
    "api/^datasets/(?P<pk>[^/.]+)/$": Row("prompt", "/api/datasets/{dataset}/"),
    "api/datasets/<int:pk>/cases/": Row("prompt", "/api/datasets/{dataset}/cases/"),
    "api/datasets/<int:pk>/cases/<int:case_id>/": Row(
        "prompt", "/api/datasets/{dataset}/cases/{case}/"
    ),
    "api/^test-runs/$": Row("budgets", "/api/test-runs/"),
    "api/^test-runs/(?P<pk>[^/.]+)/$": Row("prompt", "/api/test-runs/{run}/"),
    "api/^test-runs/(?P<pk>[^/.]+)/cancel/$": Row("prompt", "/api/test-runs/{run}/cancel/"),
    "api/test-runs/<int:pk>/results/": Row("prompt", "/api/test-runs/{run}/results/"),
    "api/^experiments/$": Row("budgets", "/api/experiments/"),
    "api/^experiments/(?P<pk>[^/.]+)/$": Row("prompt", "/api/experiments/{experiment}/"),
    **{
        f"api/^experiments/(?P<pk>[^/.]+)/{action}/$": Row(
            "prompt", "/api/experiments/{experiment}/" + f"{action}/"
        )
        for action in ("start", "stop", "promote")
    },
}
# Of the admin: what any staff may open. Everything else needs a permission.
FREE_FOR_STAFF = {
    *("admin/", "admin/login/", "admin/logout/", "admin/password_change/"),
    *("admin/password_change/done/", "admin/jsi18n/"),
}


class World:
    """What is Alice's, and those who are not Alice."""

    def __init__(self, alice: Person) -> None:
        self.turn = alice.begin(MARK)
        Person("colleague", alice.organization)
        Person("foreigner", Organization.objects.create(name="Other", slug="other"))
        Person("clerk", alice.organization)
        User.objects.filter(username="clerk").update(is_staff=True)
        Membership.objects.filter(user__username="foreigner").update(role=Role.OWNER)
        self.key, self.secret = keys.create(
            organization=alice.organization, name=MARK, user=alice.user
        )
        _, narrow = keys.create(
            organization=alice.organization, name="narrow", user=alice.user, scopes=["models"]
        )
        self.narrow = narrow
        self.budget = Budget.objects.create(
            organization=alice.organization, user=alice.user, name=MARK, limit_usd=5
        )
        prompt = services.create_prompt(organization=alice.organization, name="hers")
        content = PromptContent(messages=(MessageTemplate("system", "Be kind."),))
        services.add_version(prompt=prompt, content=content)
        self.move = releases.move_label(prompt=prompt, number=1)
        plan = plans.read({"name": "hers", "arms": [{"name": "A", "version": 1}]})
        self.experiment = experiments.create(prompt=prompt, plan=plan)
        dataset = datasets.dataset_named(prompt=prompt, name="hers")
        self.case = datasets.add_case(dataset=dataset)
        self.run = DatasetRun.objects.create(
            dataset=dataset, versions=[1], model_names=["demo-small"], cap_usd=1
        )
        self.feedback = Feedback.objects.create(
            organization=alice.organization,
            request_id="hers",
            kind="thumb",
            value=1,
            reason=MARK,
            user=alice.user,
        )
        self.before = self.state()

    def browser(self, who: str) -> Client:
        if who == "nobody":
            return Client()
        if who == "narrow":
            return Client(headers={"authorization": f"Bearer {self.narrow}"})
        browser = Client()
        browser.force_login(User.objects.get(username=who))
        return browser

    def address(self, row: Row) -> str:
        return row.address.format(
            conversation=self.turn.conversation,
            answer=self.turn.answer,
            key=self.key.pk,
            budget=self.budget.pk,
            experiment=self.experiment.pk,
            dataset=self.case.dataset_id,
            case=self.case.pk,
            run=self.run.pk,
            feedback=self.feedback.pk,
            move=self.move.pk,
        )

    def state(self) -> object:
        """Return what a stranger must not have changed."""
        key = ApiKey.objects.filter(name=MARK).values().first()
        message = Message.objects.filter(pk=self.turn.answer).values().first()
        talk = Conversation.objects.filter(pk=self.turn.conversation).values().first()
        labels = [*PromptLabel.objects.values(), *LabelMove.objects.values()]
        tried = [*Experiment.objects.values(), *Feedback.objects.values()]
        tested = [*Dataset.objects.values(), *Case.objects.values(), *DatasetRun.objects.values()]
        prompts = labels, PromptVersion.objects.count(), tried, tested
        return key, message, talk, prompts, Budget.objects.values().get()


@pytest.fixture
def world(alice: Person) -> World:
    return World(alice)


def consumers_at(pattern: URLPattern) -> list[Any]:
    """Return what answers at an address of `/v1`, each for a method."""
    found: Any = pattern.callback
    if isinstance(found, ByMethod | ByClient):
        return list(found.consumers.values())
    return [found.consumer_class]


def walk(resolver: Any = None, prefix: str = "") -> Iterator[str]:
    """Return every route that Django knows."""
    for found in (resolver or get_resolver()).url_patterns:
        route = prefix + str(found.pattern)
        if isinstance(found, URLResolver):
            yield from walk(found, route)
        else:
            yield route


ADMIN = sorted({route for route in walk() if route.startswith("admin/")} - {"admin/(?P<url>.*)$"})
PAGES = sorted({route for route in walk() if not route.startswith("admin/")} | {"admin/login/"})


def test_every_address_is_in_the_table() -> None:
    assert set(PAGES) <= set(TABLE)


def test_every_command_of_a_socket_is_tested() -> None:
    # As tests/test_config_access.py has them.
    assert {command.__name__ for command in get_args(Command)} == {"Subscribe", "Send", "Stop"}
    assert {command.__name__ for command in get_args(PlaygroundCommand)} == {"Run", "Stop"}
    assert len(websocket_urlpatterns) == len(playground_urlpatterns) == 1


# What a stranger may be answered; 405 is as good as a refusal.
OPEN = {200, 302, 400, 403, 405}
READ_ONLY = {200, 400, 403, 405}
OWN = {200, 201, 302, 400, 404, 405}  # one's own page or list, in which nothing is Alice's
HIDDEN = {403, 404, 405}
EXPECTED: dict[str, dict[str, set[int]]] = {
    "open": dict.fromkeys(STRANGERS, OPEN),
    "page": {**dict.fromkeys(STRANGERS, OWN), "nobody": {302}, "narrow": {302}},
    "object page": {**dict.fromkeys(STRANGERS, HIDDEN), "nobody": {302}, "narrow": {302}},
    "rest": {**dict.fromkeys(STRANGERS, OWN), "nobody": {401}, "narrow": {403}},
    "budgets": {**dict.fromkeys(STRANGERS, READ_ONLY), "nobody": {401}, "narrow": {403}},
    "rest object": {**dict.fromkeys(STRANGERS, HIDDEN), "nobody": {401}, "narrow": {403}},
    # It is their organization's, and they may not write.
    "prompt": {
        **dict.fromkeys(STRANGERS, READ_ONLY),
        **{"nobody": {401}, "narrow": {403}, "foreigner": HIDDEN},
    },
}


@pytest.mark.parametrize("who", STRANGERS)
def test_no_stranger_reads_or_changes_what_is_alices(world: World, who: str) -> None:
    for route in PAGES:
        row = TABLE[route]
        for method in METHODS:
            asked = getattr(world.browser(who), method)
            response = asked(world.address(row), {}, **_as_json(row, method))

            label = f"{who} {method} {route}: {response.status_code}"
            assert response.status_code in EXPECTED[row.kind][who], label
            assert MARK not in response.content.decode(), label
            if row.kind.endswith("page") and who in ("nobody", "narrow"):
                assert response["Location"].startswith("/accounts/sign-in/"), label
    assert world.state() == world.before


def test_alice_reads_what_is_hers(world: World) -> None:
    browser = world.browser("alice")
    for route in ("chat/<uuid:conversation_id>/", "keys/", "keys/<int:pk>/revoke/", "api/^keys/$"):
        response = browser.get(world.address(TABLE[route]))

        assert response.status_code == 200
        assert MARK in response.content.decode()


@pytest.mark.parametrize("who", ["nobody", "colleague", "foreigner", "narrow"])
def test_the_administration_lets_in_staff_alone(world: World, who: str) -> None:
    browser = world.browser(who)
    for route in ADMIN:
        response = browser.get(_filled(route))
        if route == "admin/login/":
            continue
        is_sent_away = response.status_code == 302 and "/admin/" in response["Location"]
        assert is_sent_away or response.status_code == 404, f"{route}: {response.status_code}"


def test_staff_without_permission_open_nothing_in_the_administration(world: World) -> None:
    browser = world.browser("clerk")
    for route in ADMIN:
        if route in FREE_FOR_STAFF:
            continue
        for method in ("get", "post"):
            response = getattr(browser, method)(_filled(route, world.key.pk))
            label = f"{method} {route}: {response.status_code}"
            assert response.status_code in {403, 404, 405, 302}, label
            if response.status_code == 302:  # there is no such object
                assert response["Location"] == "/admin/" or "change" in response["Location"], label
            assert MARK not in response.content.decode(), label
    assert world.state() == world.before


SERVED = [(pattern, consumer) for pattern in http_urlpatterns for consumer in consumers_at(pattern)]


def test_every_address_of_v1_needs_a_scope() -> None:
    for _, consumer in SERVED:
        assert consumer.scope_needed or consumer.__name__ == "Nothing", consumer.__name__


@pytest.mark.parametrize(
    ("pattern", "consumer"), SERVED, ids=lambda one: getattr(one, "__name__", "at")
)
async def test_no_address_of_v1_opens_without_the_right_key(
    world: World, pattern: Any, consumer: Any
) -> None:
    needed = "" if consumer.__name__ == "Nothing" else consumer.scope_needed
    end = "" if needed else "/nothing"
    path = "/" + _filled(str(pattern.pattern)).strip("/") + end
    other = "models" if needed != "models" else "chat"
    _, secret = await sync_to_async(keys.create)(
        organization=await Organization.objects.aget(slug="acme"),
        name="other",
        user=await User.objects.aget(username="alice"),
        scopes=[other],
    )

    assert (await _status(consumer, path, b""))[0] == 401
    assert (await _status(consumer, path, b"Bearer pk-wrong"))[0] == 401
    status, body = await _status(consumer, path, f"Bearer {secret}".encode())
    if needed:
        assert (status, needed in json.dumps(body)) == (403, True)
    else:
        assert status in (403, 404)


def _as_json(row: Row, method: str) -> dict[str, str]:
    is_form = method == "get" or not row.address.startswith("/api/")
    if is_form and method in ("get", "post"):
        return {}
    return {"content_type": "application/json"}


def _filled(route: str, pk: int = 1) -> str:
    """Return an address that a route takes."""
    address = route
    for name in ("<int:pk>", "<path:object_id>", "<int:prompt_id>", "<id>"):
        address = address.replace(name, str(pk))
    address = address.replace("^", "").replace("$", "")
    if "(?P<app_label>" in address:
        address = "admin/accounts/"
    while "<" in address:
        before, _, rest = address.partition("<")
        address = f"{before}1{rest.partition('>')[2]}"
    return "/" + address.replace("(/|)", "/nothing").lstrip("/")


async def _status(consumer: Any, path: str, authorization: bytes) -> tuple[int, Any]:
    headers = [(b"authorization", authorization)] if authorization else []
    method = consumer.method or "GET"
    asked = HttpCommunicator(application, method, path, headers=headers)
    answer = await asked.get_response(60)
    return answer["status"], json.loads(answer["body"])
