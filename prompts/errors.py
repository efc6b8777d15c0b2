"""Why a prompt cannot be saved, found or rendered."""

from core.errors import AppError


class PromptNotFound(AppError):
    """There is no such prompt, or nothing carries the label."""

    code = "prompt_not_found"
    http_status = 404


class PromptExists(AppError):
    """The organization already has a prompt of this name."""

    code = "prompt_exists"
    http_status = 409


class PromptContentInvalid(AppError):
    """The new version cannot be kept: a template, variable or setting is wrong."""

    code = "prompt_content_invalid"
    http_status = 400


class PromptVariablesInvalid(AppError):
    """The values do not fit the variables of the version: missing, unknown or of a wrong type."""

    code = "prompt_variables_invalid"
    http_status = 400


class PromptRenderFailed(AppError):
    """The template does not work with these values, or says too much."""

    code = "prompt_render_failed"
    http_status = 400
