"""Budgets with rules, channels, a receiver that really listens, and a clock that can be set."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from billing.alerts import channels
from billing.models import AlertChannel, AlertRule, Budget, BudgetPeriod, ChannelKind
from billing.periods import period_at
from tests.billing_support import make_tenant

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
HALFWAY = datetime(2026, 11, 16, tzinfo=UTC)  # of November


@dataclass(slots=True)
class SetClock:
    """A clock that stands still until it is moved."""

    now: datetime = HALFWAY

    def __call__(self) -> datetime:
        return self.now

    def move(self, **by: float) -> None:
        self.now += timedelta(**by)


@dataclass(slots=True)
class Request:
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Receiver:
    """What others run: it answers `status`, and keeps what it has taken."""

    url: str
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    silence: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.silence.set()  # cleared: it takes a request and does not answer


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Run a receiver on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.requests.append(Request(self.path, headers, body))
            receiver.silence.wait(60)
            self.send_response(receiver.status)
            for name, value in receiver.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver = Receiver(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield receiver
        finally:
            receiver.silence.set()
            server.shutdown()
            thread.join()


def make_budget(limit_usd: str = "100", **fields: Any) -> Budget:
    return make_tenant(limit_usd, **fields).budget


def spend(budget: Budget, spent_usd: str, at: datetime = HALFWAY) -> BudgetPeriod:
    """Set what is spent in the budget's period of the moment."""
    span = period_at(at, kind=budget.period, time_zone=budget.time_zone)
    period, _ = BudgetPeriod.objects.update_or_create(
        budget=budget,
        starts_at=span.starts_at,
        defaults={
            "ends_at": span.ends_at,
            "spent_usd": Decimal(spent_usd),
            "peak_usd": Decimal(spent_usd),
        },
    )
    return period


def webhook(url: str, name: str = "Pager", **fields: Any) -> AlertChannel:
    return _with_url(ChannelKind.WEBHOOK, url, name, fields)


def slack(url: str, name: str = "Slack", **fields: Any) -> AlertChannel:
    return _with_url(ChannelKind.SLACK, url, name, fields)


def email(addresses: str = "boss@example.com", name: str = "Boss", **fields: Any) -> AlertChannel:
    return AlertChannel.objects.create(
        name=name, kind=ChannelKind.EMAIL, addresses=addresses, **fields
    )


def add_rule(
    budget: Budget,
    *to: AlertChannel,
    thresholds: tuple[int, ...] = (50, 80, 100),
    on_forecast: bool = False,
) -> AlertRule:
    rule = AlertRule.objects.create(
        budget=budget, thresholds=list(thresholds), on_forecast=on_forecast
    )
    rule.channels.set(to)
    # It was there before what the tests' clock says.
    AlertRule.objects.filter(pk=rule.pk).update(changed_at=HALFWAY - timedelta(days=365))
    return rule


def _with_url(kind: str, url: str, name: str, fields: dict[str, Any]) -> AlertChannel:
    channel = AlertChannel(name=name, kind=kind, **fields)
    channels.set_secrets(channel, url=url, signing_secret=SECRET)
    channel.save()
    return channel
