"""The tags that programs send with their calls."""

import pytest

from billing.models import UsageRecord
from core.errors import InvalidRequest
from gateway.tags import tags_of
from tests.gateway import program
from tests.servers import Site
from tests.vendor import FakeVendor


@pytest.mark.parametrize(
    ("header", "tags"),
    [
        ("", ()),
        ("  ", ()),
        ("nightly", ("nightly",)),
        ("team:search, Nightly ,v1.2-x_y", ("team:search", "Nightly", "v1.2-x_y")),
        ("a,b,a", ("a", "b")),
        (",".join(map(str, range(10))), tuple(map(str, range(10)))),
        ("x" * 50, ("x" * 50,)),
    ],
)
def test_tags_are_read(header: str, tags: tuple[str, ...]) -> None:
    assert tags_of(header) == tags


@pytest.mark.parametrize(
    "header",
    ["a,,b", ",", "two words", "ü", "x" * 51, "a;b", 'a"b', "a\x00", ",".join(map(str, range(11)))],
)
def test_what_is_no_tag_is_refused_by_name(header: str) -> None:
    with pytest.raises(InvalidRequest, match="X-Parley-Tags") as caught:
        tags_of(header)

    assert caught.value.param == "X-Parley-Tags"


def test_a_call_is_recorded_with_its_tags(site: Site, vendor: FakeVendor) -> None:
    with program(site, vendor) as caller:
        caller.http.headers["X-Parley-Tags"] = "team:search, nightly"
        assert caller.post().status_code == 200
        caller.http.headers["X-Parley-Tags"] = "two words"
        refused = caller.post()

    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "X-Parley-Tags"
    record = UsageRecord.objects.latest("started_at")
    assert record.tags == ["team:search", "nightly"]
    assert len(vendor.requests) == UsageRecord.objects.filter(tags__len=2).count() == 1
