"""What Schemathesis is told of Parley: loaded by it, in an environment that has no Parley.

`RULES` and `SHARED` are all that its checks leave out, each with the reason.
"""

import json
import os
import re
from pathlib import Path
from typing import Any

import schemathesis

STRANGERS = ("foreigner", "colleague")
MODEL = "test-model"
NAME = re.compile(r"[^\x00-\x1f\x7f]{1,200}")
# Budgets are made where they count nobody's calls: with a limit of 0 the rest would be refused.
ELSEWHERE = "elsewhere"

# Ids that stand in a body, which strangers must not use either.
IDS_IN_BODIES = {"POST /v1/batches", "POST /api/cache/wrong-hit/"}

# What a stranger may be told all the same: who, of which operations, and the status.
SHARED = [
    ("foreigner|colleague", "GET /v1/models/{model}", 200, "The names of models are everybody's."),
    ("colleague", "GET /api/prompts/.*", 200, "An organization's prompts are all its people's."),
    ("colleague", "POST /api/prompts/{name}/render/", 200, "The same."),
    ("colleague", "(POST|PUT) /api/prompts/.*", 403, "For staff, whatever the prompt is."),
    ("foreigner|colleague", "(PATCH|DELETE) /api/budgets/.*", 403, "For staff, whatever the id."),
    (
        "foreigner|colleague",
        "POST /v1/batches",
        400,
        "As for a file that nobody has: a wrong field.",
    ),
]

# What is refused although the schema allows it: operation, field, and the rule.
RULES: list[tuple[str, str, str]] = []

_asked: dict[str, dict[str, int]] = {}


def _credentials() -> dict[str, dict[str, str]]:
    who = json.loads(Path(os.environ["PARLEY_WHO"]).read_text())["auth"]
    return {
        one["name"]: {header["name"]: header["value"] for header in one["fixedHeaders"]}
        for one in who
    }


CREDENTIALS = _credentials()


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    """Ask for a model that there is, where one is asked for as it may be."""
    if not isinstance(body, dict):
        return body
    changed = dict(body)
    if isinstance(model := body.get("model"), str) and NAME.fullmatch(model):
        changed["model"] = MODEL
    if "budgets" in context.operation.path and isinstance(body.get("organization"), str):
        changed["organization"] = ELSEWHERE
    return changed


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Let the strangers ask the same first: what they may not do, they must not have done."""
    label = case.operation.label
    if "{" not in case.operation.path and label not in IDS_IN_BODIES:
        return
    if case.method.upper() != case.operation.method.upper():
        return  # OPTIONS and the like tell of addresses, not of what is there
    if case.headers.get("Authorization") != CREDENTIALS["alice"].get("Authorization"):
        return
    _asked[case.id] = {}
    for name in STRANGERS:
        probe = case.derive(headers={**case.headers, **CREDENTIALS[name]})
        response = case.operation.schema.transport.send(probe, **kwargs)
        _asked[case.id][name] = response.status_code


@schemathesis.check
def what_is_anothers_is_not_found(ctx: Any, response: Any, case: Any) -> None:
    """What Alice could do, a stranger found nothing to do it with."""
    told = _asked.pop(case.id, {})
    if not 200 <= response.status_code < 300:
        return
    for name, status in told.items():
        if status != 404 and not _is_shared(name, case.operation.label, status):
            raise AssertionError(f"{name} got {status}, and not 404, for what is Alice's.")


def _is_shared(name: str, label: str, status: int) -> bool:
    return any(
        re.fullmatch(who, name) and re.fullmatch(_escaped(operation), label) and status == told
        for who, operation, told, _ in SHARED
    )


def _escaped(operation: str) -> str:
    return operation.replace("{", r"\{").replace("}", r"\}")


@schemathesis.hook
def filter_failure(context: Any, failure: Any, case: Any, response: Any) -> bool:
    """Drop what a rule of `RULES` says."""
    if type(failure).__name__ != "RejectedPositiveData":
        return True
    with Path(os.environ["PARLEY_RULES"]).open("a") as file:
        file.write(f"{case.operation.label}\t{_field(response)}\t{response.text[:300]}\n")
    field = _field(response)
    return not any(
        re.fullmatch(_escaped(operation), case.operation.label) and re.fullmatch(names, field)
        for operation, names, _ in RULES
    )


def _field(response: Any) -> str:
    """Return the field that a refusal names; the fields of several, in order."""
    error = response.json().get("error", {})
    if fields := error.get("fields"):
        return ",".join(sorted(fields))
    return str(error.get("param") or error.get("details", {}).get("param") or "")
