"""Why an experiment cannot be kept, started, stopped or promoted."""

from core.errors import AppError


class ExperimentInvalid(AppError):
    """The plan of an experiment is wrong: an arm, a version, a weight."""

    code = "experiment_invalid"
    http_status = 400


class ExperimentExists(AppError):
    """The prompt already has an experiment of this name."""

    code = "experiment_exists"
    http_status = 409


class ExperimentNotDraft(AppError):
    """What was drawn stays drawn: after the start only weights and ramp may change."""

    code = "experiment_not_draft"
    http_status = 409


class ExperimentNotRunning(AppError):
    """It has not been started, or has been stopped."""

    code = "experiment_not_running"
    http_status = 409


class AnotherIsRunning(AppError):
    """Two experiments on one prompt would disturb each other's figures."""

    code = "experiment_another_running"
    http_status = 409
