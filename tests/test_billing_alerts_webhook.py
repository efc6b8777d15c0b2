"""What goes out by HTTP: signed, in time, to nowhere that it must not go, and telling no secret."""

import base64
import hashlib
import hmac
import json
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from billing.alerts import post, webhook
from billing.alerts.message import DeliveryFailed, Destination, Message
from billing.alerts.sending import send
from billing.models import ChannelKind
from tests.alerts_support import HALFWAY, SECRET, Receiver, receiving

MESSAGE = Message(id="1234", type="test", title="A title", text="A text", at=HALFWAY)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


def send_to(url: str, kind: str = ChannelKind.WEBHOOK) -> None:
    send(MESSAGE, Destination(kind=kind, url=url, signing_secret=SECRET), HALFWAY)


def failure(url: str, kind: str = ChannelKind.WEBHOOK) -> str:
    with pytest.raises(DeliveryFailed) as failed:
        send_to(url, kind)
    return str(failed.value)


def test_the_signature_is_that_of_the_specification() -> None:
    sent_at = datetime.fromtimestamp(1614265330, UTC)

    headers = webhook.headers(
        "msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}', secret=SECRET, now=sent_at
    )

    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_a_receiver_can_check_what_it_gets(receiver: Receiver) -> None:
    send_to(f"{receiver.url}/hook?token=t")

    [request] = receiver.requests
    assert request.path == "/hook?token=t"
    assert request.headers["content-type"] == "application/json"
    said = request.headers
    signed = f"{said['webhook-id']}.{said['webhook-timestamp']}.".encode() + request.body
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    digest = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert said["webhook-signature"] == f"v1,{digest}"
    assert json.loads(request.body) == {
        **{"id": "1234", "type": "test", "timestamp": "2026-11-16T00:00:00Z"},
        **{"title": "A title", "text": "A text", "data": {}},
    }


@pytest.mark.parametrize("status", [200, 201, 204])
def test_every_2xx_is_an_arrival(receiver: Receiver, status: int) -> None:
    receiver.status = status

    send_to(receiver.url)

    assert len(receiver.requests) == 1


@pytest.mark.parametrize("status", [301, 307, 400, 404, 410, 429, 500])
def test_every_other_answer_is_a_failure_and_no_redirect_is_followed(
    receiver: Receiver, status: int
) -> None:
    receiver.status = status
    receiver.headers["Location"] = f"{receiver.url}/elsewhere"

    assert failure(receiver.url) == f"The receiver answered {status}."

    assert [request.path for request in receiver.requests] == ["/"]


def test_a_receiver_that_does_not_answer_is_waited_for_so_long(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.silence.clear()
    monkeypatch.setattr(post, "TIMEOUT", 0.3)

    assert failure(receiver.url) == "No answer within 0.3 seconds."


def test_a_receiver_that_is_not_there_is_said_in_words() -> None:
    with receiving() as gone:
        url = gone.url

    assert failure(url) == "There is no connection (ClientConnectorError)."


def test_a_receiver_that_speaks_no_http_is_said_in_words() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"https://127.0.0.1:{server.getsockname()[1]}/"
        server.settimeout(60)

        def hang_up() -> None:
            connection, _ = server.accept()
            connection.sendall(b"not TLS\r\n")
            connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        said = failure(url)
        thread.join()

    assert said.startswith(("The connection is not safe", "There is no connection"))


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://[fe80::1]/",
        "http://[::ffff:169.254.169.254]/",
        "http://[fd00:ec2::254]/",
        "http://[64:ff9b::169.254.169.254]/",
        "http://[2002:a9fe:a9fe::1]/",
        "http://168.63.129.16/",
        "http://224.0.0.1/",
        "http://0xa9fea9fe/",  # a name that leads to 169.254.169.254
    ],
)
def test_nothing_is_sent_to_where_machines_tell_their_secrets(url: str) -> None:
    assert failure(url) == "Nothing is sent to this address: it is closed."


@pytest.mark.parametrize("kind", [ChannelKind.WEBHOOK, ChannelKind.SLACK])
@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/T0/B0/hidden", "http://hidden:99999/", "hidden"]
)
def test_a_failure_names_no_part_of_the_address(kind: str, url: str) -> None:
    assert "hidden" not in failure(url, kind)


def test_a_destination_does_not_show_its_secrets() -> None:
    assert "hidden" not in repr(Destination(kind="slack", url="hidden", signing_secret="hidden"))


def test_secrets_are_what_receivers_libraries_read() -> None:
    assert webhook.is_secret(SECRET)
    assert webhook.is_secret(webhook.new_secret())
    assert webhook.new_secret() != webhook.new_secret()
    for wrong in ("", "whsec_", "hunter2", "whsec_c2hvcnQ=", "whsec_***", SECRET[6:]):
        assert not webhook.is_secret(wrong)
