"""What calls in an experiment leave behind, written directly."""

import random
from decimal import Decimal
from typing import Any

from billing.models import UsageRecord
from prompts.models import Experiment, Exposure, Feedback
from tests.usage_support import record


class Calls:
    """Writes what calls in an experiment leave behind."""

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.records: list[UsageRecord] = []
        self.feedback: list[Feedback] = []

    def call(self, arm: str, unit: str, **fields: Any) -> str:
        prompt = self.experiment.prompt
        request_id = fields.pop("request_id", f"r{len(self.records)}")
        of_prompt = {"prompt_name": prompt.name, "experiment": self.experiment.name}
        named = {"request_id": request_id, "arm": arm, "unit": unit, **of_prompt}
        self.records.append(record(prompt.organization, **{**named, **fields}))
        return str(request_id)

    def say(self, request_id: str, kind: str, value: int) -> None:
        prompt = self.experiment.prompt
        self.feedback.append(
            Feedback(
                organization=prompt.organization,
                request_id=request_id,
                kind=kind,
                value=value,
                prompt_name=prompt.name,
                experiment=self.experiment.name,
            )
        )

    def expose(self, arm: str, units: int, shares: dict[str, float] | None = None) -> None:
        """Let so many units have come to the arm, each with a call."""
        found = self.experiment.arms.get(name=arm)
        Exposure.objects.bulk_create(
            Exposure(
                experiment=self.experiment,
                unit=f"user:{arm}{number}",
                arm=found,
                shares=shares or {"A": 0.5, "B": 0.5},
            )
            for number in range(units)
        )

    def save(self) -> None:
        UsageRecord.objects.bulk_create(self.records)
        Feedback.objects.bulk_create(self.feedback)


def spread(calls: Calls, units: int = 200, *, cheaper: float = 0.8, harm: float = 0.02) -> None:
    """Let B cost a fifth less than A and fail as often, or as often as said."""
    chance, pace = random.Random(7), random.Random(8)
    for arm, factor, failing in (("A", 1.0, 0.02), ("B", cheaper, harm)):
        for number in range(units):
            for _ in range(chance.randint(1, 4)):
                cost = Decimal(round(chance.lognormvariate(0, 0.4) * 0.002 * factor, 6))
                outcome = "failed" if chance.random() < failing else "success"
                request = calls.call(
                    arm,
                    f"user:{arm}{number}",
                    cost_usd=cost,
                    outcome=outcome,
                    ttft_ms=pace.randint(100, 400),
                    output_tokens=pace.randint(20, 90),
                )
                if chance.random() < 0.3:
                    calls.say(request, "thumb", 1 if chance.random() < 0.8 else -1)
        calls.expose(arm, units)
    calls.save()
