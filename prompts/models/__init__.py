"""Which words are sent: prompts and versions, labels, experiments, feedback, tests."""

from prompts.models.experiments import Arm, Experiment, ExperimentState, Exposure, Metric, Unit
from prompts.models.feedback import Feedback, FeedbackKind
from prompts.models.labels import (
    LABEL_NAME,
    PRODUCTION,
    WRONG_LABEL,
    LabelMove,
    LabelRule,
    MoveState,
    PromptLabel,
)
from prompts.models.prompts import Prompt, PromptVersion, VersionIsImmutable
from prompts.models.testing import Case, CaseResult, Dataset, DatasetRun, RunState

__all__ = [
    "LABEL_NAME",
    "PRODUCTION",
    "WRONG_LABEL",
    "Arm",
    "Case",
    "CaseResult",
    "Dataset",
    "DatasetRun",
    "Experiment",
    "ExperimentState",
    "Exposure",
    "Feedback",
    "FeedbackKind",
    "LabelMove",
    "LabelRule",
    "Metric",
    "MoveState",
    "Prompt",
    "PromptLabel",
    "PromptVersion",
    "RunState",
    "Unit",
    "VersionIsImmutable",
]
