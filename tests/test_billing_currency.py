"""A display currency: pages show it at the day's rate; the books stay in US dollars."""

from collections.abc import Iterator
from datetime import UTC, date, timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import IntegrityError
from django.template import Context, Template
from django.utils import timezone

from billing import currency
from billing.models import DisplayCurrency, ExchangeRate

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def fresh_rates() -> Iterator[None]:
    currency.forget()
    yield
    currency.forget()


def use_euro(rate: str = "0.92", day: date = date(2026, 11, 20)) -> None:
    DisplayCurrency.objects.update_or_create(id=1, defaults={"code": "EUR", "symbol": "€"})
    currency.set_rate(code="EUR", day=day, rate=Decimal(rate), by=None)


def rendered(amount: Decimal | None, day: date | None = None) -> str:
    template = Template("{% load billing_money %}{{ amount|money:day }} {% money_note %}")
    return template.render(Context({"amount": amount, "day": day}))


def test_without_a_currency_pages_show_dollars_and_no_note() -> None:
    assert rendered(Decimal("12.3")) == "$12.30 "


def test_a_page_shows_the_currency_with_dollars_on_hover_and_the_days_rate() -> None:
    use_euro(day=timezone.now().astimezone(UTC).date() - timedelta(days=1))

    page = rendered(Decimal("12.3"))

    yesterday = timezone.now().astimezone(UTC).date() - timedelta(days=1)
    assert f'title="$12.30, at 0.92 EUR of {yesterday}">€11.32<' in page
    assert f"$1 was €0.92 on {yesterday}. The books are in US dollars." in page


def test_each_day_has_its_own_rate_and_a_day_without_one_has_the_last() -> None:
    use_euro("0.5", date(2026, 11, 2))
    use_euro("2", date(2026, 11, 4))

    shown = [rendered(Decimal(1), date(2026, 11, day)).split(">")[1][:5] for day in (2, 3, 4)]

    assert shown == ["€0.50", "€0.50", "€2.00"]
    assert rendered(Decimal(1), date(2026, 11, 1)).startswith("$1.00")  # no rate was known


def test_small_negative_and_unknown_amounts() -> None:
    use_euro("0.5", date(2026, 1, 1))

    assert ">€0.00002<" in rendered(Decimal("0.00004"))
    assert ">-€1.00<" in rendered(Decimal(-2))
    assert rendered(None).startswith("–")


def test_a_symbol_is_text_and_no_markup() -> None:
    use_euro(day=date(2026, 1, 1))
    DisplayCurrency.objects.update(symbol="<b>")
    currency.forget()

    assert "&lt;b&gt;0.92" in rendered(Decimal(1))


def test_a_file_of_rates_is_entered_and_may_be_entered_again(tmp_path: Path) -> None:
    file = tmp_path / "rates.csv"
    file.write_text("day,currency,rate\n2026-11-19,EUR,0.91\n2026-11-20,EUR,0.92\n")
    said = StringIO()

    call_command("exchange_rates", file, stdout=said)
    file.write_text("day,currency,rate\n2026-11-20,EUR,0.93\n")
    call_command("exchange_rates", file, stdout=said)

    assert list(ExchangeRate.objects.values_list("rate", flat=True)) == [
        Decimal("0.93"),
        Decimal("0.91"),
    ]
    assert "2 rates are entered" in said.getvalue()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("2026-11-20,EUR,0", "Line 3: .*greater than"),
        ("2026-11-20,euro,1", "Line 3: .*capital letters"),
        ("20.11.2026,EUR,1", "Line 3: it should read like"),
        ("2026-11-20,EUR,much", "Line 3: it should read like"),
        ("2026-11-20,EUR,NaN", "Line 3: "),
        ("2026-11-20,EUR", "Line 3: it has 2 values"),
    ],
)
def test_a_wrong_file_is_refused_as_a_whole_with_its_line(
    tmp_path: Path, line: str, words: str
) -> None:
    file = tmp_path / "rates.csv"
    file.write_text(f"day,currency,rate\n2026-11-19,EUR,0.91\n{line}\n")

    with pytest.raises(CommandError, match=words):
        call_command("exchange_rates", file)

    assert not ExchangeRate.objects.exists()


def test_there_is_one_display_currency_and_it_is_not_the_dollar() -> None:
    with pytest.raises(ValidationError):
        DisplayCurrency(code="USD", symbol="$").full_clean()
    use_euro()
    with pytest.raises(IntegrityError, match="display_currency_is_one"):
        DisplayCurrency.objects.create(id=2, code="GBP", symbol="£")
