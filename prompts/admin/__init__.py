"""Where staff write prompts, release them and look at what came of it."""

from prompts.admin import (
    datasets,
    experiments,
    label_moves,
    label_rules,
    prompts,
    runs,
    versions,
)

__all__ = [
    "datasets",
    "experiments",
    "label_moves",
    "label_rules",
    "prompts",
    "runs",
    "versions",
]
