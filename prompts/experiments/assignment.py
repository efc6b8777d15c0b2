"""Which arm of a running experiment a unit gets: drawn once, and kept for ever."""

import dataclasses
import time
from bisect import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from itertools import accumulate
from typing import NamedTuple

import msgspec
from asgiref.sync import sync_to_async
from django.db.models import Q

from core.batching import Batcher
from core.cached import Cached
from core.database import translate_outage
from core.loop_local import LoopLocal
from prompts.content import ModelSettings
from prompts.experiments.ramp import Ramp, percent_after, read_ramp
from prompts.labelled import RenderedPrompt
from prompts.models import Arm, Experiment, Exposure

MOST_KEPT = 100_000  # units whose arm a process remembers


@dataclass(frozen=True, slots=True)
class LiveArm:
    """An arm as calls need it."""

    pk: int
    name: str
    version: int
    weight: int
    model: str
    settings: ModelSettings

    def over(self, settings: ModelSettings) -> ModelSettings:
        """Return a version's settings with the arm's own instead, where it has some."""
        own = msgspec.structs.asdict(self.settings)
        said = {name: value for name, value in own.items() if value not in (None, ())}
        return msgspec.structs.replace(settings, **said)


@dataclass(frozen=True)
class Running:
    """An experiment as calls need it."""

    pk: int
    name: str
    label: str
    unit: str
    salt: bytes
    started_at: float  # seconds since the epoch
    ramp: Ramp
    arms: Mapping[int, LiveArm]  # by primary key, in its order

    def includes(self, unit: str) -> bool:
        """Return whether the unit takes part by now; who once does is never left out again."""
        hours = (time.time() - self.started_at) / 3600
        return _fraction(self.salt, b"included", unit) * 100 < percent_after(self.ramp, hours)

    def draw(self, unit: str) -> LiveArm:
        """Return the arm that the unit's hash falls upon, each as wide as its weight."""
        point = _fraction(self.salt, b"arm", unit) * self._ends[-1]
        return self._in_turn[bisect(self._ends, point)]

    def shares(self) -> dict[str, float]:
        """Return what share of new units each arm gets."""
        total = sum(arm.weight for arm in self.arms.values())
        return {arm.name: arm.weight / total for arm in self.arms.values()}

    @cached_property
    def _in_turn(self) -> list[LiveArm]:
        return list(self.arms.values())

    @cached_property
    def _ends(self) -> list[int]:
        """Where each arm's stretch ends, all of them laid side by side."""
        return list(accumulate(arm.weight for arm in self._in_turn))


class Drawn(NamedTuple):
    """The arm of one call."""

    experiment: str
    unit: str
    arm: LiveArm

    def applied(self, rendered: RenderedPrompt) -> RenderedPrompt:
        """Return the words of the arm's version as the arm has them sent."""
        return dataclasses.replace(
            rendered,
            settings=self.arm.over(rendered.settings),
            experiment=self.experiment,
            arm=self.arm.name,
            unit=self.unit,
            arm_model=self.arm.model,
        )


async def arm_for(prompt_id: int, label: str, units: Mapping[str, str]) -> Drawn | None:
    """Return the arm that the call's unit keeps; `None` where the call is in no experiment.

    `units` says whom the call can be counted for, by the kind of unit.
    """
    experiment = (await running.get(EVERYWHERE)).get(prompt_id)
    if experiment is None or experiment.label != label:
        return None
    unit = units.get(experiment.unit)
    if unit is None:
        return None
    arm_id = _kept.get((experiment.pk, unit))
    if arm_id is None:
        if not experiment.includes(unit):
            return None
        arm_id = await _exposures.get().submit(_First(experiment, unit))
    return Drawn(experiment.name, unit, experiment.arms[arm_id])


class _First(NamedTuple):
    """A unit that this process does not know yet."""

    experiment: Running
    unit: str

    @property
    def key(self) -> tuple[int, str]:
        return self.experiment.pk, self.unit

    def exposure(self) -> Exposure:
        return Exposure(
            experiment_id=self.experiment.pk,
            unit=self.unit,
            arm_id=self.experiment.draw(self.unit).pk,
            shares=self.experiment.shares(),
        )


def forget() -> None:
    """Forget whose arm is known, as a process that has just begun."""
    _kept.clear()


async def _expose(firsts: Sequence[_First]) -> Sequence[int]:
    return await sync_to_async(_write, thread_sensitive=False)(firsts)


def _write(firsts: Sequence[_First]) -> Sequence[int]:
    """Return the arm that each unit has for good: of two processes, the first one's draw counts."""
    # In one order everywhere: two processes that wait for each other's rows would never end.
    wanted = {first.key: first for first in sorted(firsts, key=lambda first: first.key)}
    with translate_outage():
        Exposure.objects.bulk_create(
            [first.exposure() for first in wanted.values()], ignore_conflicts=True
        )
        found = Exposure.objects.filter(_any_of(wanted)).order_by()
        arms = {(pk, unit): arm for pk, unit, arm in found.values_list("experiment", "unit", "arm")}
    if len(_kept) + len(arms) > MOST_KEPT:
        _kept.clear()
    _kept.update(arms)
    return [arms[first.key] for first in firsts]


def _any_of(keys: Mapping[tuple[int, str], object]) -> Q:
    units: dict[int, list[str]] = {}
    for experiment, unit in keys:
        units.setdefault(experiment, []).append(unit)
    found = Q()
    for experiment, theirs in units.items():
        found |= Q(experiment=experiment, unit__in=theirs)
    return found


def _fraction(salt: bytes, purpose: bytes, unit: str) -> float:
    """Return a number from 0 up to 1 that is always the same, and looks drawn at random."""
    digest = blake2b(unit.encode(), digest_size=8, salt=salt, person=purpose).digest()
    # Of the 64 bits, 53 fit into a float: more would round up to 1.
    return (int.from_bytes(digest) >> 11) / 2**53


def _load(_: str) -> Mapping[int, Running]:
    """Return what is running, by prompt: there is one on each at most."""
    found = Experiment.objects.running().prefetch_related("arms__version")
    return {experiment.prompt_id: _running_of(experiment) for experiment in found}


def _running_of(experiment: Experiment) -> Running:
    """Return a started experiment as calls need it."""
    assert experiment.started_at is not None  # noqa: S101 - what runs has started
    arms = sorted(experiment.arms.all(), key=lambda arm: arm.pk)
    return Running(
        pk=experiment.pk,
        name=experiment.name,
        label=experiment.label,
        unit=experiment.unit,
        salt=bytes.fromhex(experiment.salt),
        started_at=experiment.started_at.timestamp(),
        ramp=read_ramp(experiment.ramp),
        arms={arm.pk: live_arm_of(arm) for arm in arms},
    )


def live_arm_of(arm: Arm) -> LiveArm:
    """Return an arm as calls need it."""
    return LiveArm(
        pk=arm.pk,
        name=arm.name,
        version=arm.version.number,
        weight=arm.weight,
        model=arm.model,
        settings=msgspec.convert(arm.settings, ModelSettings),
    )


EVERYWHERE = ""  # the one key: a query a second finds all that is running
running: Cached[str, Mapping[int, Running]] = Cached(_load)
_kept: dict[tuple[int, str], int] = {}  # (experiment, unit) to arm; never changes
_exposures: LoopLocal[Batcher[_First, int]] = LoopLocal(lambda: Batcher(_expose))
