"""What a request says with `Idempotency-Key` and `Last-Event-ID`."""

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256

import msgspec

from core import redis
from core.errors import InvalidRequest

Header = Callable[[bytes], str]

KEY_HEADER = b"idempotency-key"
RESUME_HEADER = b"last-event-id"
KEY = re.compile(r"[ -~]{1,255}")
NUMBER = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Asked:
    """Which answer is asked for."""

    record: str  # where it is kept in Redis
    fingerprint: str  # of the body; "": whatever it was
    after: int  # the event that the client has seen last
    may_begin: bool  # whether a call is made where there is no answer


def is_asked(header: Header) -> bool:
    """Return whether the request is to be made only once; raise `InvalidRequest` if it is unclear.

    A client that resumes without a key would be charged a second time for a new answer.
    """
    if header(KEY_HEADER):
        return True
    if header(RESUME_HEADER):
        raise InvalidRequest(
            "`Last-Event-ID` resumes a request that had an `Idempotency-Key`; send it again.",
            param="Idempotency-Key",
        )
    return False


def is_resumption(method: str, header: Header) -> bool:
    """Return whether a key is asked for its answer, without the request."""
    return method == "GET" and header(KEY_HEADER) != ""


def asked(*, api_key_id: int | None, path: str, header: Header, fingerprint: str) -> Asked:
    """Return what is asked for, or raise `InvalidRequest` by the header.

    Without a fingerprint the answer is asked for, whatever the request was.
    """
    key, last = header(KEY_HEADER), header(RESUME_HEADER)
    if not KEY.fullmatch(key):
        raise InvalidRequest(
            "`Idempotency-Key` may have 1 to 255 printable ASCII characters.",
            param="Idempotency-Key",
        )
    if last and not NUMBER.fullmatch(last):
        raise InvalidRequest(
            "`Last-Event-ID` is the number after `id:` of an event.", param="Last-Event-ID"
        )
    name = sha256(f"{path}\n{key}".encode()).hexdigest()
    return Asked(
        record=redis.key("idempotency", api_key_id, name),
        fingerprint=fingerprint,
        after=int(last or 0),
        may_begin=bool(fingerprint) and not last,
    )


def fingerprint_of(body: bytes) -> str:
    """Return what two bodies share that say the same, in whichever order of fields."""
    # What is no JSON will be refused, by the name of what is wrong with it.
    with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        body = msgspec.json.encode(msgspec.json.decode(body), order="sorted")
    return sha256(body).hexdigest()
