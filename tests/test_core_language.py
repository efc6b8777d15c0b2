"""The language that a browser asks for first."""

import pytest
from django.test import RequestFactory

from core import language


@pytest.mark.parametrize(
    ("header", "tag"),
    [
        ("de-AT,de;q=0.8,en;q=0.5", "de-at"),
        ("en;q=0.5, fr", "fr"),
        ("*", ""),
        ("", ""),
        ("no language at all", ""),
        ("x" * 10_000, ""),
    ],
)
def test_the_first_language_counts(header: str, tag: str) -> None:
    request = RequestFactory().get("/", headers={"Accept-Language": header})
    scope = {"headers": [(b"accept-language", header.encode())]}

    assert language.of_request(request) == tag
    assert language.of_scope(scope) == tag


def test_who_asks_for_none_has_none() -> None:
    assert language.of_scope({"headers": []}) == ""
