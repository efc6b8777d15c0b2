"""A page that shows who would be asked for a request, without asking anybody."""

from typing import Any

from django import forms

from accounts.models import Organization
from accounts.principal import Principal
from core import request_id
from llm.admin import words
from llm.admin.words import number
from llm.models.routes import TASK
from llm.routing.dry_run import Row, When
from llm.types import (
    Call,
    ChatRequest,
    FunctionDefinition,
    ImagePart,
    ImageUrl,
    Message,
    TextPart,
    Tool,
)

MOST_TOKENS = 2_000_000
WORD = " a"  # one token in every encoding
PICTURE = ImagePart(ImageUrl("https://example.com/picture.png"))
TOOL = Tool(FunctionDefinition("tool"))
SCHEMA = {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}}}

COLUMNS = (
    *("Order", "Deployment", "Why here", "Input, tokens", "Output, tokens", "Window, tokens"),
    *("Costs at most", "Breaker", "First token, p50", "Running"),
)


class DryRunForm(forms.Form):
    """A made-up request. It is sent with GET: it changes nothing, and can be kept as a link."""

    organization = forms.ModelChoiceField(
        Organization.objects.filter(is_active=True),
        label="Asked by",
        help_text="The organization that pays.",
    )
    message = forms.CharField(
        max_length=4000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="What is asked. Or say below how long it is.",
    )
    tokens = forms.IntegerField(
        label="Or tokens of input",
        min_value=1,
        max_value=MOST_TOKENS,
        required=False,
        help_text="About so many, instead of a message.",
    )
    max_tokens = forms.IntegerField(
        label="Tokens of output, at most",
        min_value=1,
        max_value=2**31 - 1,
        required=False,
        help_text="Empty: as much as each model gives.",
    )
    task = forms.RegexField(
        TASK,
        required=False,
        help_text="Like classify.",
        error_messages={"invalid": "A task has up to 50 letters, digits, _ and -."},
    )
    has_images = forms.BooleanField(label="With a picture", required=False)
    has_tools = forms.BooleanField(label="With tools", required=False)
    has_schema = forms.BooleanField(label="With a JSON schema for the answer", required=False)

    def clean(self) -> dict[str, Any]:
        """Ask for one of the two ways to say how long the request is."""
        fields: dict[str, Any] = super().clean() or self.cleaned_data
        if not self.errors and bool(fields["message"]) == bool(fields["tokens"]):
            self.add_error("message", "Write a message, or say how many tokens it has.")
        return fields

    def as_request(self, alias: str) -> ChatRequest:
        """Return the request that the fields describe."""
        fields = self.cleaned_data
        text = fields["message"] or WORD * fields["tokens"]
        parts = (TextPart(text), PICTURE) if fields["has_images"] else text
        return ChatRequest(
            model=alias,
            messages=(Message("user", parts),),
            max_tokens=fields["max_tokens"],
            tools=(TOOL,) if fields["has_tools"] else (),
            response_format=SCHEMA if fields["has_schema"] else None,
        )

    def as_call(self) -> Call:
        """Return the call that the fields describe: of somebody in the organization."""
        return Call(
            principal=Principal(self.cleaned_data["organization"].pk),
            surface="admin",
            request_id=request_id.current(),
            task=self.cleaned_data["task"],
        )


def cells(row: Row) -> list[tuple[str, str]]:
    """Return what the table says of a step, column by column."""
    has_place = row.when != When.NEVER
    order = [str(row.place)] if has_place else []
    order += [row.when] if row.when != When.ORDINARY else []
    output = number(row.max_output_tokens) if has_place else words.NOTHING
    texts = (
        ", ".join(order),
        f"{row.deployment.provider} {row.deployment.model}",
        row.reason,
        number(row.input_tokens),
        output,
        number(row.deployment.context_tokens),
        _cost(row) if has_place else words.NOTHING,
        words.breaker(row.health),
        words.milliseconds(row.health.p50_ttft_ms),
        number(row.health.running),
    )
    return list(zip(COLUMNS, texts, strict=True))


def _cost(row: Row) -> str:
    return "no price" if row.most_usd is None else f"${row.most_usd.normalize():f}"
