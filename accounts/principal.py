"""Who pays for a call and on whose behalf it is made."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller, as every layer below an edge sees it: plain values, no models, no request."""

    organization_id: int
    user_id: int | None = None  # None: a key that belongs to the organization, not to a person
    user_name: str = ""
    api_key_id: int | None = None  # None: a person in the browser
    api_key_prefix: str = ""
    cache_mode: str = "on"  # "on", "read", "write" or "off": what a key allows at most
    allowed_models: tuple[str, ...] = ()  # patterns like "gpt-*"; empty: all
    scopes: tuple[str, ...] = ()  # what a key may be used for ("chat", "embeddings"); empty: all
    on_disconnect: str = "stop"  # what becomes of an answer whose client has left: "stop", "drain"
    allowed_addresses: tuple[str, ...] = ()  # addresses and networks; empty: any
