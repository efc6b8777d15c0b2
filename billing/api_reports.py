"""Sums of a caller's own usage, for programs."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api import principal_of
from billing.models import RollupProgress
from billing.money import PLACES
from billing.reports import spans
from billing.reports.adjusting import add_adjustments, adjustments_of
from billing.reports.dimensions import COLUMNS, as_parameter, as_query, parse_filters, rows_of
from billing.reports.grouping import Group
from billing.reports.queries import NOTHING, Figures, Latency, Times, figures, latency
from billing.reports.rates import Rates, rates_of
from billing.reports.rollup_sql import SUMS
from billing.reports.spans import Span
from billing.reports.tables import to_csv
from core.errors import InvalidRequest

TIMES = ("day", "hour")
GROUPS = (*TIMES, *COLUMNS)
KNOWN = {"from", "to", "period", "group_by", "format", "currency", *COLUMNS}
AMOUNTS = ("cost_usd", "adjusted_usd", "together_usd", "saved_usd")
MOST_ROWS = 10_000


class CsvRenderer(BaseRenderer):
    """The rows of a summary as a table; all else stays JSON."""

    media_type = "text/csv"
    format = "csv"
    charset = "utf-8"

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> Any:
        if "results" not in data:  # a refusal, or what OPTIONS says
            if renderer_context is not None:
                renderer_context["response"]["Content-Type"] = JSONRenderer.media_type
            return JSONRenderer().render(data)
        rows = [_flat(row) for row in data["results"]]
        head = [*data["group_by"], *_flat(data["total"])]
        return to_csv(head, [[row[name] for name in head] for row in rows]).encode()


class UsageSummary(APIView):
    """Add the caller's own usage up by any dimensions."""

    renderer_classes = [JSONRenderer, CsvRenderer]

    @extend_schema(
        description=f"`group_by` takes some of {', '.join(GROUPS)}; most are filters too.",
        parameters=[
            *(OpenApiParameter(name, OpenApiTypes.DATE) for name in ("from", "to")),
            OpenApiParameter("period", str, enum=list(spans.PRESETS)),
            *(OpenApiParameter(name, str) for name in ("group_by", "currency")),
        ],
        responses={
            (200, "application/json"): OpenApiTypes.OBJECT,
            (200, "text/csv"): OpenApiTypes.STR,
        },
    )
    def get(self, request: Request) -> Response:
        query = request.query_params.dict()
        if unknown := sorted(set(query) - KNOWN):
            raise InvalidRequest(f"There is no parameter “{unknown[0]}”.", param=unknown[0])
        span, filters, names = spans.parse(query), parse_filters(query), _group(query)
        by_hour = "hour" in names
        if by_hour and span.days > spans.MOST_DAYS_BY_HOUR * 31:
            raise InvalidRequest("By the hour, ask for 93 days at most.", param="group_by")
        rates, principal = _rates(query, span), principal_of(request)
        mine = rows_of(span, filters, by_hour=by_hour).visible_to(principal)
        group: Group = tuple("time" if name in TIMES else name for name in names)
        sums, times = figures(mine, [(), group], rates), latency(mine, [(), group])
        adjusted = adjustments_of(span, filters, by_hour=by_hour, principal=principal)
        add_adjustments(sums, adjusted, [(), group], rates)
        if len(sums[group]) > MOST_ROWS:
            raise InvalidRequest(
                f"These are more than {MOST_ROWS:,} rows: ask for less time or for fewer groups.",
                param="group_by",
            )
        results = [
            {
                **_names(names, values),
                **_figures(found, times[group].get(values, NOTHING), rates),
            }
            for values, found in sorted(sums[group].items(), key=lambda one: str(one[0]))
        ]
        total, all_times = sums[()].get((), Figures()), times[()].get((), NOTHING)
        return Response(
            {
                **_about(span, filters, names, rates),
                "results": results,
                "total": _figures(total, all_times, rates),
            }
        )


def _rates(query: Mapping[str, str], span: Span) -> Rates | None:
    """Return the rates of the currency that is asked for beside US dollars."""
    code = query.get("currency", "")
    if code in ("", "USD"):
        return None
    rates = rates_of(span)
    if rates is None or rates.code != code:
        known = " or ".join(["USD", *([rates.code] if rates else [])])
        raise InvalidRequest(f"“currency” is {known}.", param="currency")
    return rates


def _group(query: Mapping[str, str]) -> list[str]:
    names = [name for name in query.get("group_by", "").split(",") if name]
    for name in names:
        if name not in GROUPS:
            raise InvalidRequest(
                f"There is no group “{name}”; there are {', '.join(GROUPS)}.", param="group_by"
            )
    if len(set(names)) < len(names) or {"day", "hour"} <= set(names):
        raise InvalidRequest("Name each group once, and one of day and hour.", param="group_by")
    return names


def _about(
    span: Span, filters: Mapping[str, Any], group: Sequence[str], rates: Rates | None
) -> dict[str, Any]:
    progress = RollupProgress.objects.first()
    return {
        "from": span.first,
        "to": span.last,
        "time_zone": timezone.get_current_timezone_name(),
        "as_of": progress and progress.updated_at,
        "filters": as_query(filters),
        "group_by": group,
        **({"currency": rates.code, "currency_note": rates.note} if rates else {}),
    }


def _names(group: Sequence[str], values: Sequence[Any]) -> dict[str, Any]:
    return {name: _name(name, value) for name, value in zip(group, values, strict=True)}


def _name(name: str, value: Any) -> Any:
    if name == "day":
        return timezone.localtime(value).date().isoformat()
    if name == "hour":
        return timezone.localtime(value).isoformat()
    return as_parameter(name, value) if name == "cache" else value


def _figures(found: Figures, times: Latency, rates: Rates | None) -> dict[str, Any]:
    """Return the figures of a row; amounts are text, so that they stay exact."""
    counts = {name: getattr(found, name) for name in (*SUMS[:-2], "errors", "cache_hits")}
    amounts = {name: _amount(getattr(found, name)) for name in AMOUNTS}
    worth = [name.replace("_usd", "_worth") for name in AMOUNTS] if rates else []
    return {
        **counts,
        **amounts,
        **{name: _amount(getattr(found, name)) for name in worth},
        "ttft_ms": _times(times.ttft),
        "duration_ms": _times(times.duration),
    }


def _amount(amount: Decimal) -> str:
    return f"{amount.quantize(PLACES):f}"


def _times(times: Times) -> dict[str, int | None]:
    return {"p50": times.p50, "p95": times.p95, "p99": times.p99}


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row without rows in it: `ttft_ms_p50` and so on."""
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, dict):
            flat |= {f"{name}_{share}": time for share, time in value.items()}
        else:
            flat[name] = value
    return flat
