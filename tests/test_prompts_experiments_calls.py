"""Calls over /v1 in an experiment: the arm's words, the record that says so, and feedback."""

import time
from collections.abc import Iterator

import pytest

from core.cached import MAX_AGE
from prompts.experiments.results import report_of
from prompts.models import Experiment
from tests.experiments_support import CHALLENGER, CONTROL, make_prompt, started
from tests.gateway import MESSAGES, Program, program, record
from tests.servers import Site
from tests.vendor import FakeVendor

pytestmark = pytest.mark.processes


@pytest.fixture
def caller(site: Site, vendor: FakeVendor) -> Iterator[Program]:
    with program(site, vendor) as running:
        yield running


@pytest.fixture
def experiment(site: Site) -> Experiment:
    """Everybody new gets version 2, with a setting of the arm's own."""
    challenger = {**CHALLENGER, "settings": {"temperature": 0.1}}
    made = started(make_prompt(site.organization), arms=[{**CONTROL, "weight": 0}, challenger])
    time.sleep(MAX_AGE)  # until the server has heard of it
    return made


def test_a_call_is_answered_with_its_arm_counted_and_judged(
    caller: Program, experiment: Experiment
) -> None:
    asked = {"name": "greeting", "user": "ann"}

    answer = caller.post(parley={"prompt": asked})

    sent = caller.vendor.requests[0].body
    assert sent["messages"] == [{"role": "system", "content": "Be brief."}, *MESSAGES]
    assert sent["temperature"] == 0.1
    row = record()
    assert (row.prompt_version, row.experiment, row.arm) == (2, "brevity", "B")
    assert row.unit == "caller:ann"
    thumb = {"request_id": answer.headers["x-request-id"], "kind": "thumb", "value": 1}
    judged = caller.http.post(f"{caller.site.url}/api/feedback/", json=thumb)
    assert (judged.status_code, judged.json()["arm"]) == (201, "B")
    counted = {arm.name: arm for arm in report_of(experiment).arms}
    assert (counted["A"].units, counted["B"].units) == (0, 1)
    assert counted["B"].values["thumbs"] == 1
