"""Who asks, and what is theirs."""

from typing import Any

import httpx2
import msgspec
from django.contrib.auth.models import Permission
from django.test import Client

from accounts import keys
from accounts.models import Membership, Organization, Role, Scope, User
from accounts.services import principal_for
from billing.models import Budget, UsageRecord
from chat import services
from config import demo
from llm.models import SemanticHit
from prompts import feedback
from prompts import services as prompts
from prompts.content import ModelSettings
from prompts.experiments import plans
from prompts.experiments import services as experiments
from prompts.models import Feedback, FeedbackKind, Prompt
from prompts.releases import services as releases
from tests.batch_support import jsonl, line
from tests.chat_support import question
from tests.vendor import FakeVendor

MODEL = "test-model"
WRITES_PROMPTS = [
    *("add_promptversion", "change_promptlabel", "delete_promptlabel", "change_labelmove"),
]
IMPORTED = "name: imported\nversions: {a: {messages: [{role: user, template: Hi}]}}\n"
SPARE_LABELS = ["staging", "canary", "trial"]
HOW_MANY = 4  # of each, because some requests end what they are about


class World:
    """A demo in which everything is Alice's.

    The foreigner owns another organization, and is staff who may write prompts; the colleague is in
    Alice's own organization.
    """

    def __init__(self, vendor: FakeVendor) -> None:
        vendor.serve(MODEL)
        vendor.serve("0", model="other-model")  # the name that Schemathesis makes first
        self.demo = demo.seed()
        self.organization = self.demo.organization
        self.alice = User.objects.get(username=self.demo.staff_username)
        # Its limit may be made anything, and then nobody would be answered any more.
        Budget.objects.all().delete()
        other = Organization.objects.create(name="Other", slug="other")
        self.elsewhere = Organization.objects.create(name="Elsewhere", slug="elsewhere")
        self.people = {
            "alice": (self.alice, self.organization),
            "foreigner": (_person("foreigner", other, Role.OWNER), other),
            "colleague": (_person("colleague", self.organization, Role.MEMBER), self.organization),
        }
        self.people["foreigner"][0].user_permissions.set(
            Permission.objects.filter(codename__in=WRITES_PROMPTS)
        )
        self.secrets = {
            name: keys.create(
                organization=organization, name=name, user=user, scopes=list(Scope.values)
            )[1]
            for name, (user, organization) in self.people.items()
        }
        self.files: list[str] = []
        self.batches: list[str] = []

    def use(self, url: str) -> None:
        """Have Alice make something of every kind."""
        headers = {"Authorization": f"Bearer {self.secrets['alice']}"}
        with httpx2.Client(base_url=url, headers=headers, timeout=60) as http:
            for _ in range(HOW_MANY):
                self.files.append(_made(http.post("/v1/files", **_upload())))
                spent = _made(http.post("/v1/files", **_upload()))
                self.batches.append(_made(http.post("/v1/batches", json=_batch(spent))))
            http.post("/v1/chat/completions", json=line(1, model=MODEL)["body"]).raise_for_status()
        for number in range(HOW_MANY):
            Budget.objects.create(organization=self.elsewhere, name=f"Hers {number}", limit_usd=5)
            keys.create(organization=self.organization, name=f"spare {number}", user=self.alice)
        self.conversation = services.start_conversation(
            principal=principal_for(self.alice), question=question("Hello", model=MODEL)
        ).conversation
        self.hit = self._hit()
        self.proposals = self._release()
        self.experiments = self._compare()
        self.judged = self._judge()

    def credentials(self, part: str) -> list[dict[str, Any]]:
        """Return what each of them sends with a request."""
        found = _keys(self.secrets) if part == "keys" else _sessions(self.people)
        return [
            {
                "name": name,
                "fixedHeaders": [{"name": key, "value": text} for key, text in headers.items()],
            }
            for name, headers in found.items()
        ]

    def known(self) -> dict[str, dict[str, list[Any]]]:
        """Return the ids of what is Alice's, by where they stand in addresses."""
        spare = self.alice.api_keys.filter(name__startswith="spare")
        others = self.proposals["colleague"]
        return {
            "/api/keys/": {"id": [key.pk for key in spare]},
            "/api/budgets/": {"id": [budget.pk for budget in Budget.objects.all()]},
            "/api/conversations/": {"id": [str(self.conversation)]},
            "/api/experiments/": {"id": self.experiments},
            "/api/feedback/": {"id": [one.pk for one in Feedback.objects.all()]},
            "/api/prompts/": {"name": ["chat-system"]},
            "/api/prompts/.*/labels/": {"label": ["production", *SPARE_LABELS]},
            "/api/prompts/.*/label-moves/": {"id": [*self.proposals["alice"], *others]},
            "/api/prompts/.*/label-moves/.*/(confirm|refuse)/": {"id": others},
            "/api/prompts/.*/versions/.": {"number": [1]},
            "/v1/models/": {"model": [MODEL]},
            "/v1/files/": {"file_id": self.files},
            "/v1/batches/": {"batch_id": self.batches},
        }

    def named(self) -> dict[str, dict[str, Any]]:
        """Return what bodies may name, by address and field."""
        calls = ("chat/completions", "responses", "messages", "messages/count_tokens", "embeddings")
        # Budgets are made where they count nobody's calls: what they refuse would tell nothing.
        budget = {"organization": self.elsewhere.slug, "time_zone": "UTC"}
        return {
            **{f"/v1/{call}": {"model": MODEL} for call in calls},
            "/v1/batches": {"input_file_id": self.files[0]},
            "/api/budgets/": budget,
            "/api/budgets/{id}/": budget,
            "/api/cache/wrong-hit/": {"usage_id": str(self.hit.usage_id)},
            "/api/experiments/": {"prompt": "chat-system", "label": "production"},
            "/api/experiments/{id}/promote/": {"arm": "A"},
            "/api/feedback/": {"request_id": self.judged},
            "/api/prompts/{name}/labels/{label}/": {"version": 1},
            "/api/prompts/import/": {"files": {"imported.yaml": IMPORTED}},
            "/api/prompts/{name}/render/": {
                "label": "production",
                "variables": {"user_name": "Ann", "today": "Monday"},
            },
        }

    def keys_of_strangers(self) -> dict[str, list[int]]:
        """Return the ids of the keys that the others have; Alice may manage a colleague's."""
        return {
            name: [key.pk for key in person.api_keys.all()]
            for name, (person, _) in self.people.items()
            if person != self.alice
        }

    def _release(self) -> dict[str, list[int]]:
        """Give the demo's prompt labels to move and take away; return the moves that are open."""
        prompt = Prompt.objects.get(organization=self.organization, name="chat-system")
        first = prompt.versions.get()
        other = msgspec.structs.replace(first.content, settings=ModelSettings(temperature=0.5))
        prompts.add_version(prompt=prompt, content=other)
        for name in ("production", *SPARE_LABELS):
            for number in (2, 1):
                releases.move_label(prompt=prompt, number=number, name=name)
        return {
            name: [
                releases.propose_move(
                    prompt=prompt, number=1, by=self.people[name][0], name=f"{name}-{number}"
                ).pk
                for number in range(HOW_MANY)
            ]
            for name in ("alice", "colleague")
        }

    def _compare(self) -> list[int]:
        """Plan experiments on the demo's prompt; return them."""
        prompt = Prompt.objects.get(organization=self.organization, name="chat-system")
        arms = [{"name": "A", "version": 1, "is_control": True}, {"name": "B", "version": 2}]
        drafts = [plans.read({"name": f"e{number}", "arms": arms}) for number in range(HOW_MANY)]
        return [experiments.create(prompt=prompt, plan=plan).pk for plan in drafts]

    def _judge(self) -> str:
        """Have Alice judge a request in every way; return it."""
        record = UsageRecord.objects.filter(user_id=self.alice.pk).earliest("started_at")
        for kind in FeedbackKind:
            feedback.record(
                principal=principal_for(self.alice),
                request_id=record.request_id,
                kind=kind,
                value=1,
            )
        return record.request_id

    def _hit(self) -> SemanticHit:
        record = UsageRecord.objects.filter(user_id=self.alice.pk).earliest("started_at")
        return SemanticHit.objects.create(
            usage_id=record.pk,
            organization=self.organization,
            prompt_name="chat-system",
            prompt_version=1,
            alias=MODEL,
            embedding_model="e",
            similarity=0.95,
            threshold=0.9,
        )


def _person(name: str, organization: Organization, role: Role) -> User:
    person = User.objects.create_user(name, is_staff=name == "foreigner")
    Membership.objects.create(organization=organization, user=person, role=role)
    return person


def _keys(secrets: dict[str, str]) -> dict[str, dict[str, str]]:
    return {name: {"Authorization": f"Bearer {secret}"} for name, secret in secrets.items()}


def _sessions(people: dict[str, tuple[User, Organization]]) -> dict[str, dict[str, str]]:
    found = {}
    for name, (user, _) in people.items():
        browser = Client()
        browser.force_login(user)
        browser.get("/accounts/password/")  # a page with a form gives the other half
        cookies = {one: browser.cookies[one].value for one in ("sessionid", "csrftoken")}
        found[name] = {
            "Cookie": "; ".join(f"{one}={value}" for one, value in cookies.items()),
            "X-CSRFToken": cookies["csrftoken"],
        }
    return found


def _upload() -> dict[str, Any]:
    file = ("requests.jsonl", jsonl(line(1, model=MODEL)))
    return {"files": {"file": file}, "data": {"purpose": "batch"}}


def _batch(file: str) -> dict[str, str]:
    return {
        "input_file_id": file,
        "endpoint": "/v1/chat/completions",
        "completion_window": "24h",
    }


def _made(response: httpx2.Response) -> str:
    response.raise_for_status()
    return str(response.json()["id"])
