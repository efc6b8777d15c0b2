"""Prompts of a demo, so that whoever looks around finds something to edit, test and release."""

from django.db import transaction

from accounts.models import Organization
from prompts import services
from prompts.content import MessageTemplate, ModelSettings, PromptContent, Variable
from prompts.experiments import services as experiments
from prompts.experiments.plans import ArmPlan, Plan
from prompts.models import Prompt, Unit
from prompts.releases import services as releases
from prompts.testing import datasets

STYLE = "house-style"
REPLY = "support-reply"
RULES = """\
Write short sentences. Promise nothing that the guidelines do not promise.
If you do not know, say so and offer to ask a colleague."""
SYSTEM = """\
You answer customers of {{ organization }}. Today is {{ today }}.
{% include "house-style" %}
Write {% if tone == "formal" %}politely, without small talk{% else %}in a friendly way{% endif %}.
{% if guidelines %}
Guidelines:
{{ guidelines|bullets }}
{% endif %}"""
SYSTEM_DE = """\
Du antwortest Kunden von {{ organization }}. Heute ist {{ today }}.
Schreibe {% if tone == "formal" %}höflich und in der Sie-Form{% else %}freundlich{% endif %}.
{% if guidelines %}
Richtlinien:
{{ guidelines|bullets }}
{% endif %}"""
QUESTION = "{{ customer }} writes:\n\n{{ question }}"
QUESTION_DE = "{{ customer }} schreibt:\n\n{{ question }}"
VARIABLES = (
    Variable(name="customer", may_be_empty=False, max_length=100),
    Variable(name="question", may_be_empty=False, max_length=5_000),
    Variable(
        name="tone",
        type="choice",
        required=False,
        default="friendly",
        options=("friendly", "formal"),
    ),
    Variable(name="guidelines", type="list", required=False, default=[]),
    Variable(name="organization", required=False, default="our company"),
    Variable(name="today", required=False, default=""),
)
CASES = {
    "A late parcel": "Where is my parcel? It should have come on Monday.",
    "A refund": "The lamp arrived broken. Can I have my money back?",
    "A question in capitals": "WHY DOES NOBODY ANSWER THE PHONE?",
}


@transaction.atomic
def seed(organization: Organization) -> None:
    """Make a prompt with two versions, a dataset and a planned experiment; safe to run twice."""
    if Prompt.objects.filter(organization=organization, name=REPLY).exists():
        return
    _release(organization, STYLE, "What all our prompts include.", _style())
    reply = _release(organization, REPLY, "Demo: how we answer customers.", _reply(SYSTEM))
    shorter = services.add_version(
        prompt=reply,
        content=_reply(f"{SYSTEM}\nAnswer in at most three sentences.", max_tokens=200),
        note="Answers of three sentences at most.",
    )
    releases.move_label(prompt=reply, number=shorter.number, name="staging")
    _add_cases(reply)
    experiments.create(prompt=reply, plan=_plan(shorter.number))


def _release(
    organization: Organization, name: str, description: str, content: PromptContent
) -> Prompt:
    prompt = services.create_prompt(organization=organization, name=name, description=description)
    version = services.add_version(prompt=prompt, content=content, note="The first version.")
    releases.move_label(prompt=prompt, number=version.number)
    return prompt


def _style() -> PromptContent:
    return PromptContent(messages=(MessageTemplate("system", RULES),))


def _reply(system: str, max_tokens: int | None = None) -> PromptContent:
    return PromptContent(
        messages=(MessageTemplate("system", system), MessageTemplate("user", QUESTION)),
        variables=VARIABLES,
        settings=ModelSettings(temperature=0.2, max_tokens=max_tokens),
        locales={
            "de": (MessageTemplate("system", SYSTEM_DE), MessageTemplate("user", QUESTION_DE))
        },
    )


def _add_cases(prompt: Prompt) -> None:
    """Add cases of which the demo's models pass one check and fail the other."""
    dataset = datasets.dataset_named(
        prompt=prompt, name="everyday-questions", description="Demo: what customers ask every day."
    )
    for name, question in CASES.items():
        datasets.add_case(
            dataset=dataset,
            name=name,
            variables={"customer": "Ada Lovelace", "question": question},
            checks=[
                {"kind": "contains", "text": question[:20]},
                {"kind": "contains", "text": "sorry"},
            ],
        )


def _plan(shorter: int) -> Plan:
    return Plan(
        name="shorter-replies",
        hypothesis="Short answers cost less, and people like them as much.",
        unit=Unit.CONVERSATION,
        arms=(
            ArmPlan(name="today", version=shorter - 1, is_control=True),
            ArmPlan(name="shorter", version=shorter),
        ),
    )
