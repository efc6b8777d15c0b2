"""`/v1/models` in the form of whoever asks, and keys in the header of either vendor."""

from collections.abc import Iterator

import anthropic
import pytest
from anthropic import Anthropic

from tests.gateway import Program, program
from tests.servers import Site
from tests.vendor import FakeVendor

pytestmark = pytest.mark.processes


@pytest.fixture
def caller(site: Site, vendor: FakeVendor) -> Iterator[Program]:
    with program(site, vendor) as running:
        yield running


@pytest.fixture
def client(site: Site) -> Iterator[Anthropic]:
    with Anthropic(base_url=site.url, api_key=site.api_key, max_retries=0) as made:
        yield made


def test_anthropics_client_lists_all_models_page_by_page(
    caller: Program, client: Anthropic
) -> None:
    names = [model["id"] for model in caller.http.get("/models").json()["data"]]

    forwards = list(client.models.list(limit=2))
    backwards = client.models.list(limit=2, before_id=names[-1])

    assert [model.id for model in forwards] == names
    assert {model.type for model in forwards} == {"model"}
    assert [model.id for model in backwards.data] == names[-3:-1]
    assert (backwards.first_id, backwards.last_id) == (names[-3], names[-2])
    assert backwards.has_more


def test_anthropics_client_finds_a_model(caller: Program, client: Anthropic) -> None:
    found = client.models.retrieve(caller.model)
    created = caller.openai.models.retrieve(caller.model).created

    assert (found.id, found.display_name, found.lifecycle) == (
        *(caller.model, caller.model, "active"),
    )
    assert int(found.created_at.timestamp()) == created
    type(found).model_validate_json(found.model_dump_json(warnings="error"))


def test_anthropics_client_understands_a_refusal(caller: Program, client: Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError) as unknown:
        client.models.retrieve("nobody-has-this")
    with pytest.raises(anthropic.BadRequestError) as wrong:
        client.models.list(after_id="nobody-has-this")

    assert unknown.value.type == "not_found_error"
    assert "after_id" in wrong.value.message


@pytest.mark.parametrize("path", ["models", "models/default", "files", "batches"])
def test_a_key_is_read_from_either_header(caller: Program, path: str) -> None:
    headers = {"x-api-key": caller.site.api_key, "Authorization": ""}

    assert caller.http.get(f"/{path}", headers=headers).status_code == 200
    refused = caller.http.get(f"/{path}", headers={**headers, "x-api-key": ""})
    assert refused.status_code == 401
    assert "x-api-key" in refused.json()["error"]["message"]
