"""Who gets which arm: by the weights, the same for ever, and in every process."""

import asyncio
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import OperationalError, connections

from accounts.models import Organization
from core.errors import DependencyDown
from prompts import services as prompts
from prompts.content import ModelSettings
from prompts.experiments import assignment, services
from prompts.experiments.assignment import LiveArm, Running, arm_for
from prompts.experiments.ramp import Step, percent_after
from prompts.models import Exposure, Prompt
from tests.experiments_support import (
    CHALLENGER,
    CONTROL,
    begun_earlier,
    changed,
    draft,
    make_prompt,
    started,
)
from tests.servers import environment

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("tidy_loop")]

MANY = 100_000


@pytest.fixture
def prompt(acme: Organization) -> Prompt:
    assignment.forget()
    return make_prompt(acme)


def running(*weights: int, percent: float = 100) -> Running:
    return Running(
        pk=1,
        name="brevity",
        label="production",
        unit="user",
        salt=bytes(range(16)),
        started_at=0.0,
        ramp=(Step(0, percent),) if percent != 100 else (),
        arms={
            number: LiveArm(number, f"arm-{number}", number, weight, "", ModelSettings())
            for number, weight in enumerate(weights, 1)
        },
    )


def user(number: int) -> dict[str, str]:
    return {"user": f"user:{number}", "key": "key:1"}


async def arms_of(prompt: Prompt, numbers: range) -> dict[int, str]:
    found = await asyncio.gather(*(arm_for(prompt.pk, "production", user(n)) for n in numbers))
    return {n: drawn.arm.name for n, drawn in zip(numbers, found, strict=True) if drawn}


@pytest.mark.django_db(transaction=False)
def test_units_fall_as_the_weights_say() -> None:
    experiment = running(1, 2, 0, 7)

    found = Counter(experiment.draw(f"user:{n}").name for n in range(MANY))

    assert found["arm-3"] == 0
    for name, share in (("arm-1", 0.1), ("arm-2", 0.2), ("arm-4", 0.7)):
        assert abs(found[name] / MANY - share) < 0.005


@pytest.mark.django_db(transaction=False)
def test_a_ramp_takes_as_many_as_it_says_evenly_over_the_arms_and_only_ever_more() -> None:
    units = [f"user:{n}" for n in range(20_000)]
    steps = {percent: running(1, 1, percent=percent) for percent in (1, 10, 50, 100)}

    taken = {percent: set(filter(step.includes, units)) for percent, step in steps.items()}

    assert taken[1] < taken[10] < taken[50] < taken[100] == set(units)
    assert abs(len(taken[10]) / len(units) - 0.1) < 0.008
    arms = Counter(steps[100].draw(unit).name for unit in taken[10])
    assert abs(arms["arm-1"] / len(taken[10]) - 0.5) < 0.04


@pytest.mark.django_db(transaction=False)
@pytest.mark.parametrize(
    ("hours", "percent"), [(0, 5), (23.9, 5), (24, 50), (47, 50), (48, 100), (10_000, 100)]
)
def test_a_ramp_goes_by_the_hours_since_the_start(hours: float, percent: float) -> None:
    ramp = (Step(0, 5), Step(24, 50), Step(48, 100))

    assert percent_after(ramp, hours) == percent
    assert percent_after((), hours) == 100


async def test_without_an_experiment_nothing_is_drawn_or_written(prompt: Prompt) -> None:
    await sync_to_async(draft)(prompt)

    assert await arm_for(prompt.pk, "production", user(1)) is None
    assert not await Exposure.objects.aexists()


async def test_a_unit_keeps_its_arm_whatever_becomes_of_weights_and_ramp(
    prompt: Prompt, a_second_later: Callable[[], None]
) -> None:
    experiment = await sync_to_async(started)(prompt, ramp=[{"hours": 0, "percent": 60}])
    before = await arms_of(prompt, range(100))

    changes: list[dict[str, Any]] = [
        {"weights": {"A": 1, "B": 99}},
        {"weights": {"A": 0}},
        {"ramp": []},
    ]
    for change in changes:
        await sync_to_async(changed)(experiment, **change)
        a_second_later()
        assignment.forget()
        after = await arms_of(prompt, range(100))

        assert {n: after[n] for n in before} == before
    assert 40 < len(before) < 80
    assert {after[n] for n in after if n not in before} == {"B"}


async def test_a_new_unit_goes_by_the_weights_of_now_and_their_shares_are_kept(
    prompt: Prompt, a_second_later: Callable[[], None]
) -> None:
    experiment = await sync_to_async(started)(prompt)
    await arms_of(prompt, range(20))
    await sync_to_async(changed)(experiment, weights={"A": 0, "B": 4})
    a_second_later()

    later = await arms_of(prompt, range(20, 40))

    assert set(later.values()) == {"B"}
    shares = [exposure.shares async for exposure in Exposure.objects.all()]
    assert shares == [{"A": 0.5, "B": 0.5}] * 20 + [{"A": 0.0, "B": 1.0}] * 20


async def test_first_calls_at_once_are_one_exposure_and_cost_no_query_later(
    prompt: Prompt,
) -> None:
    await sync_to_async(started)(prompt)

    found = await asyncio.gather(*(arm_for(prompt.pk, "production", user(7)) for _ in range(50)))

    assert len({drawn and drawn.arm.name for drawn in found}) == 1
    assert await Exposure.objects.acount() == 1
    await Exposure.objects.all().adelete()
    assert await arm_for(prompt.pk, "production", user(7)) == found[0]


@pytest.mark.parametrize("units", [{}, {"key": "key:5"}, {"conversation": "conversation:1"}])
async def test_a_call_without_the_unit_is_not_in_the_experiment(
    prompt: Prompt, units: dict[str, str]
) -> None:
    await sync_to_async(started)(prompt, unit="user")

    assert await arm_for(prompt.pk, "production", units) is None


async def test_a_call_has_the_version_model_and_settings_of_its_arm(prompt: Prompt) -> None:
    arm = {**CHALLENGER, "model": "small", "settings": {"max_tokens": 20}}
    await sync_to_async(started)(prompt, arms=[{**CONTROL, "weight": 0}, arm])
    asked = {"organization_id": prompt.organization_id, "name": "greeting", "units": user(3)}

    rendered = await prompts.render_for_call(**asked)  # type: ignore[arg-type]

    assert (rendered.version, rendered.arm_model) == (2, "small")
    assert rendered.settings == ModelSettings(temperature=0.5, max_tokens=20)
    used = rendered.used()
    assert (used.experiment, used.arm, used.unit) == ("brevity", "B", "user:3")
    numbered = await prompts.render_for_call(**asked, number=1)  # type: ignore[arg-type]
    assert (numbered.version, numbered.experiment) == (1, "")


async def test_a_database_that_is_away_is_said_so(
    prompt: Prompt, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sync_to_async(started)(prompt)
    await arm_for(prompt.pk, "production", user(1))

    def no_cursor(*args: object) -> None:
        raise OperationalError("the connection is closed")

    monkeypatch.setattr(type(connections["default"]), "cursor", no_cursor)

    with pytest.raises(DependencyDown):
        await arm_for(prompt.pk, "production", user(2))
    assert await arm_for(prompt.pk, "production", user(1)) is not None


async def test_only_calls_for_the_label_are_split(prompt: Prompt) -> None:
    await sync_to_async(started)(prompt)

    assert await arm_for(prompt.pk, "staging", user(1)) is None
    assert await arm_for(prompt.pk + 1, "production", user(1)) is None


async def test_start_and_stop_are_in_force_within_a_second(
    prompt: Prompt, a_second_later: Callable[[], None]
) -> None:
    assert await arms_of(prompt, range(1)) == {}
    experiment = await sync_to_async(started)(prompt)
    a_second_later()
    assert await arms_of(prompt, range(1)) != {}

    await sync_to_async(services.stop)(experiment=experiment, reason="Enough.")
    a_second_later()

    assert await arms_of(prompt, range(1)) == {}


async def test_steps_of_a_ramp_are_taken_by_the_clock(prompt: Prompt) -> None:
    steps = [{"hours": 0, "percent": 20}, {"hours": 10, "percent": 100}]
    experiment = await sync_to_async(started)(prompt, ramp=steps)
    early = await arms_of(prompt, range(100))

    await sync_to_async(begun_earlier)(experiment, hours=11)
    assignment.running.clear()
    late = await arms_of(prompt, range(100))

    assert len(early) < 40
    assert len(late) == 100
    assert early.items() <= late.items()


async def test_a_process_forgets_when_it_knows_too_many(
    prompt: Prompt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assignment, "MOST_KEPT", 10)
    await sync_to_async(started)(prompt)

    found = [await arms_of(prompt, range(n, n + 4)) for n in (0, 4, 8, 0)]

    assert len(assignment._kept) <= 10
    assert found[0] == found[3]


ANOTHER_PROCESS = """
import asyncio, json, sys, django
django.setup()
from prompts.experiments.assignment import arm_for
async def main(prompt, first, last):
    units = [{"user": f"user:{n}"} for n in range(first, last)]
    found = await asyncio.gather(*(arm_for(prompt, "production", each) for each in units))
    print(json.dumps([drawn.arm.name for drawn in found]))
asyncio.run(main(*map(int, sys.argv[1:])))
"""


@pytest.mark.processes
async def test_two_processes_that_meet_a_unit_at_once_give_it_the_same_arm(
    prompt: Prompt,
) -> None:
    await sync_to_async(started)(prompt)

    found = await asyncio.gather(*(asyncio.to_thread(ask_elsewhere, prompt) for _ in range(2)))

    assert found[0] == found[1]
    assert await Exposure.objects.acount() == 300
    assert list((await arms_of(prompt, range(300))).values()) == found[0]


def ask_elsewhere(prompt: Prompt) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", ANOTHER_PROCESS, str(prompt.pk), "0", "300"],
        capture_output=True,
        check=True,
        text=True,
        cwd=settings.BASE_DIR,
        env=environment(DJANGO_SETTINGS_MODULE="config.settings"),
    )
    names: list[str] = json.loads(done.stdout)
    return names
