"""A vendor's cost export against the books: every difference is found, and said why."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from billing import prices
from billing.corrections import reconciling
from billing.corrections.exports import reading
from billing.corrections.exports.lines import Cost, ExportUnreadable
from billing.corrections.reconciling import Reconciliation, Row
from billing.entries import Hold, Settle
from billing.models import Adjustment, UsageRecord
from billing.pricing import TokenUsage
from tests.billing_support import attempt, book, make_tenant, settlement

DAY = date(2026, 11, 3)
MODEL = "gpt-4o-2024-08-06"

OPENAI_JSON = {
    "object": "page",
    "data": [
        {
            "object": "bucket",
            "start_time": 1793664000,
            "end_time": 1793750400,
            "results": [
                {
                    "object": "organization.costs.result",
                    "amount": {"value": 0.06, "currency": "usd"},
                    "line_item": "gpt-4o-2024-08-06, cached input",
                    "project_id": None,
                },
                {
                    "object": "organization.costs.result",
                    "amount": {"value": 1, "currency": "usd"},
                    "line_item": "file search tool calls",
                    "project_id": None,
                },
            ],
        }
    ],
    "has_more": False,
    "next_page": None,
}
OPENAI_CSV = """\
start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,line_item,project_id
1793577600,1793664000,2026-11-02T00:00:00+00:00,2026-11-03T00:00:00+00:00,,,,
1793664000,1793750400,2026-11-03T00:00:00+00:00,2026-11-04T00:00:00+00:00,0.06000000000,usd,\
"gpt-4o-2024-08-06, cached input",proj_a
1793664000,1793750400,2026-11-03T00:00:00+00:00,2026-11-04T00:00:00+00:00,1.0,usd,\
file search tool calls,proj_a
"""
ANTHROPIC_JSON = {
    "data": [
        {
            "starting_at": "2026-11-03T00:00:00Z",
            "ending_at": "2026-11-04T00:00:00Z",
            "results": [
                {
                    "amount": "123.45",
                    "currency": "USD",
                    "cost_type": "tokens",
                    "model": "claude-haiku-4-5-20251001",
                    "token_type": "output_tokens",
                },
                {"amount": "100", "currency": "USD", "cost_type": "web_search", "model": None},
            ],
        }
    ],
    "has_more": False,
    "next_page": None,
}
ANTHROPIC_CSV = """\
usage_date_utc,model,workspace,api_key,usage_type,context_window,token_type,cost_usd,\
list_price_usd,cost_type,inference_geo,speed
2026-11-03,Claude Haiku 4.5,Default,key,message,≤ 200k,output,1.23,1.23,token,not_available,
"""


def as_bytes(document: Any) -> bytes:
    return (document if isinstance(document, str) else json.dumps(document)).encode()


@pytest.mark.parametrize("document", [OPENAI_JSON, OPENAI_CSV])
def test_both_exports_of_openai_say_the_same(document: Any) -> None:
    export = reading.read(as_bytes(document))

    assert export.vendor == "OpenAI"
    assert export.costs == (
        Cost(DAY, MODEL, Decimal("0.06"), "cached input"),
        Cost(DAY, "", Decimal(1), "file search tool calls"),
    )


def test_anthropics_report_is_in_cents() -> None:
    export = reading.read(as_bytes(ANTHROPIC_JSON))

    assert export.vendor == "Anthropic"
    assert export.costs == (
        Cost(DAY, "claude-haiku-4-5-20251001", Decimal("1.2345"), "output_tokens"),
        Cost(DAY, "", Decimal(1), "web_search"),
    )


def test_the_consoles_file_is_in_dollars_and_names_models_for_people() -> None:
    export = reading.read(as_bytes(ANTHROPIC_CSV))

    assert export.costs == (Cost(DAY, "claude-haiku-4-5", Decimal("1.23"), "output"),)


def test_pages_may_be_put_together_in_a_list() -> None:
    assert len(reading.read(as_bytes([OPENAI_JSON, OPENAI_JSON])).costs) == 4


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\xff\xfe\x00", "not text in UTF-8"),
        (b"a,b\n1,2\n", "none of the exports"),
        (b'{"data": []}', "none of the exports"),
        (b'{\n"data": [\n', "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (as_bytes(OPENAI_CSV.replace("1.0,usd", "1.0,eur")), "Line 4: the currency is 'eur'"),
        (as_bytes(OPENAI_CSV.replace("1.0,usd", "much,usd")), "Line 4: 'much' is not an amount"),
        (as_bytes(OPENAI_CSV.replace("1.0,usd", "1e999999,usd")), "Line 4: .* is not an amount"),
        (as_bytes(OPENAI_CSV.replace("1.0,usd", "NaN,usd")), "Line 4: 'NaN' is not an amount"),
        (as_bytes(ANTHROPIC_CSV.replace("2026-11-03", "3/11")), "Line 2: '3/11' is not a day"),
        (as_bytes(ANTHROPIC_CSV + "2026-11-04,x\n"), "Line 3: it has 2 values instead of 12"),
        (as_bytes({"data": [{"start_time": 1}]}), "Bucket 1: “results” is missing"),
        (b" " * (reading.MOST_BYTES + 1), "larger than 20 MB"),
    ],
)
def test_what_cannot_be_read_is_said_with_its_line(content: bytes, words: str) -> None:
    with pytest.raises(ExportUnreadable, match=words):
        reading.read(content)


def call(cost_usd: str | None, **changes: Any) -> None:
    """Have one settled attempt at the model on the day."""
    ending = {
        name: changes.pop(name) for name in ("usage", "is_estimated", "outcome") if name in changes
    }
    values = {"provider": "openai", "model_served": MODEL, **changes}
    made = attempt(make_tenant(), "0.20", **values)
    for entry in (Hold(made), Settle(settlement(made, cost_usd, **ending))):
        book(entry)
    UsageRecord.objects.filter(pk=made.id).update(started_at=datetime(2026, 11, 3, 12, tzinfo=UTC))


def reconcile(*amounts: str, model: str = MODEL, day: str = "2026-11-03") -> Reconciliation:
    lines = [f'0,0,{day}T00:00:00+00:00,,{amount},usd,"{model}, output",p' for amount in amounts]
    content = "\n".join([OPENAI_CSV.splitlines()[0], *lines])
    return reconciling.reconcile(reading.read(content.encode()), "openai")


def why(row: Row) -> list[tuple[str, Decimal]]:
    return [(part.cause.value, part.amount_usd) for part in row.parts]


@pytest.mark.django_db(transaction=True)
class TestCauses:
    def test_what_agrees_has_no_cause(self) -> None:
        call("0.0012")
        call("0.0012", provider="other")

        (row,) = reconcile("0.0012").rows

        assert (row.charged_usd, row.booked_usd, row.attempts) == (
            Decimal("0.0012"),
            Decimal("0.0012"),
            1,
        )
        assert why(row) == []

    def test_amounts_that_the_vendor_rounds(self) -> None:
        call("0.0612")

        (row,) = reconcile("0.06").rows

        assert why(row) == [("Rounding", Decimal("-0.0012"))]

    def test_attempts_that_are_not_in_the_books(self) -> None:
        call("0.0012")
        call("0", usage=TokenUsage(), outcome="failed")

        (row,) = reconcile("0.5000000").rows

        assert why(row) == [("Missing attempts", Decimal("0.4988"))]
        assert "1 ended early and were booked as free" in row.parts[0].words

    def test_tokens_that_were_estimated(self) -> None:
        call("0.0500", is_estimated=True)

        (row,) = reconcile("0.0610000").rows

        assert why(row) == [("Estimated tokens", Decimal("0.011"))]

    def test_a_price_that_is_another_now(self) -> None:
        call("0.0012")
        prices.set_price(
            provider="openai", model="gpt-4o", input_usd=Decimal(2), output_usd=Decimal(8)
        )

        (row,) = reconcile("0.0024000").rows

        assert why(row) == [("Other price", Decimal("0.0012"))]

    def test_a_model_without_a_price(self) -> None:
        call(None, price=None)

        (row,) = reconcile("0.0024000").rows

        assert why(row) == [("Other price", Decimal("0.0024"))]
        assert "have no price here" in row.parts[0].words

    def test_several_causes_add_up(self) -> None:
        call("0.0012")
        prices.set_price(
            provider="openai", model=MODEL, input_usd=Decimal(2), output_usd=Decimal(8)
        )

        (row,) = reconcile("0.1000000").rows

        assert why(row) == [
            ("Other price", Decimal("0.0012")),
            ("Missing attempts", Decimal("0.0976")),
        ]
        assert row.difference_usd == Decimal("0.0988")

    def test_a_model_that_nobody_called_here(self) -> None:
        call("0.0012")

        other, known = reconcile("0.0012").rows[0], reconcile("2", model="o3").rows

        assert why(other) == []
        assert ("Not ours", Decimal(2)) in [why(row)[0] for row in known]
        assert ("Not in the export", Decimal("-0.0012")) in [why(row)[0] for row in known]

    def test_what_was_corrected_counts(self) -> None:
        from accounts.models import User
        from billing.corrections import posting

        call("0.0012")
        row = Adjustment(
            organization=make_tenant().organization,
            day=DAY,
            amount_usd=Decimal("0.1"),
            provider="openai",
            model_served=MODEL,
        )
        ann, bob = (User.objects.create_user(name) for name in ("ann", "bob"))
        posting.post(posting.propose(by=ann, reason="Bill", adjustments=[row]), by=bob)

        assert reconcile("0.1012").difference_usd == 0

    def test_an_export_without_models_is_compared_by_day(self) -> None:
        call("0.0012")
        call("0.0012", model_served="o3")
        page = json.loads(json.dumps(OPENAI_JSON))
        page["data"][0]["results"] = [{"amount": {"value": 0.0024, "currency": "usd"}}]

        found = reconciling.reconcile(reading.read(as_bytes(page)), "openai")

        assert [(row.model, row.difference_usd) for row in found.rows] == [
            (f"{MODEL}, o3", Decimal(0))
        ]

    def test_the_command_says_each_difference_and_the_total(self, tmp_path: Path) -> None:
        call("0.0012")
        file = tmp_path / "costs.json"
        file.write_bytes(as_bytes(OPENAI_JSON))
        said = StringIO()

        call_command("reconcile", file, "--provider=openai", stdout=said)

        assert "Not ours +1.000000" in said.getvalue()
        assert said.getvalue().splitlines()[-1].split() == [
            *("total", "OpenAI", "1.060000", "0.001200", "+1.058800")
        ]
        assert not Adjustment.objects.exists()

    def test_the_command_says_what_is_wrong_with_a_file(self, tmp_path: Path) -> None:
        file = tmp_path / "notes.txt"
        file.write_text("a,b\n")

        with pytest.raises(CommandError, match="none of the exports"):
            call_command("reconcile", file, "--provider=openai")
