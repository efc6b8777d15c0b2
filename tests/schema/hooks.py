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

# What a stranger may be told all the same: who, of which operations, and the status.
SHARED = [
    ("foreigner|colleague", "GET /v1/models/{model}", 200, "The names of models are everybody's."),
    ("colleague", "GET /api/prompts/.*", 200, "An organization's prompts are all its people's."),
    ("colleague", "POST /api/prompts/{name}/render/", 200, "The same."),
    ("colleague", "(POST|PUT|DELETE) /api/prompts/.*", 403, "For staff, whatever the prompt is."),
    ("colleague", "GET /api/experiments/.*", 200, "As the prompts that they are about."),
    ("foreigner|colleague", "POST /api/experiments/.*", 403, "For staff, whatever the id."),
    ("foreigner|colleague", "(PATCH|DELETE) /api/budgets/.*", 403, "For staff, whatever the id."),
    (
        "foreigner|colleague",
        "POST /v1/batches",
        400,
        "As for a file that nobody has: a wrong field.",
    ),
]

# What is refused although the schema allows it, by what no schema can tell: the operation, the
# field and the words of the refusal, as patterns, and the rule.
CALLS = "POST /v1/(chat/completions|responses|messages|messages/count_tokens)"
MESSAGES = "POST /v1/messages(/count_tokens)?"
RULES = [
    (
        "POST /v1/.*",
        ".*",
        ".*Expected `int.*got `float`.*",
        "JSON Schema takes 1.0 for an integer.",
    ),
    (
        "POST /v1/.*",
        ".*",
        ".*(taken by no model|is too large|Nobody is left).*",
        "The model's own.",
    ),
    (CALLS, "messages|input", ".*(missing|at least one).*", "`parley.prompt` may give the words."),
    (CALLS, "model", ".*is missing.*", "`parley.prompt` may name it."),
    (CALLS, "stream_options", ".*", "It needs `stream: true`."),
    (CALLS, r"parley\.prompt.*", ".*", "A label or a version; the variables that the prompt has."),
    (CALLS, r"tools\[\d+\].*", ".*", "The type says what it must have."),
    ("POST /v1/chat/completions", "logprobs|n", ".*", "They are those of one answer."),
    ("POST /v1/chat/completions", r"messages\[\d+\].*", ".*", "The role says what it must have."),
    ("POST /v1/responses", r"input\[\d+\].*", ".*", "The type says what it must have."),
    (MESSAGES, r"messages\[\d+\].*", ".*", "The role says what it may have."),
    (MESSAGES, "tool_choice", ".*", "It needs `tools`."),
    (MESSAGES, r"thinking\.budget_tokens", ".*", "It belongs to one type of thinking."),
    (MESSAGES, "output_format", ".*", "It is another name of `output_config.format`."),
    ("POST /v1/embeddings", "input.*", ".*", "Numbers are tokens of a text, all of them."),
    (
        "POST /v1/.*",
        "Idempotency-Key",
        ".*(another body|resumes a request).*",
        "It is of one request; `Last-Event-ID` needs it.",
    ),
    ("POST /v1/files", "file", ".*is empty.*", "No schema tells how long a binary file is."),
    ("POST /v1/files", "expires_after.*", ".*", "Both, or none of them."),
    ("POST /v1/batches", "input_file_id", ".*", "A file that one has, with requests in it."),
    ("[A-Z]+ /api/.*", ".*", ".*Null characters.*", "A zero character is in no text."),
    ("[A-Z]+ /api/budgets/.*", "api_key|organization|user|time_zone|tag", ".*", "It exists."),
    ("PATCH /api/budgets/.*", ".*", ".*cannot be changed later.*", "What it counts is fixed."),
    ("[A-Z]+ /api/keys/.*", "allowed_.*", ".*", "One a line; it can be used."),
    ("[A-Z]+ /api/keys/.*", "expires_at", ".*wrong format.*", "Schemathesis sends an empty time."),
    ("POST /api/keys/{id}/rotate/", "", ".*revoked.*", "A revoked key gets no new secret."),
    ("POST /api/feedback/", "value", ".*The value of .* is .*", "The kind says which there are."),
    ("POST /api/experiments/", "arms|label|ramp", ".*", "Versions there are; steps that grow."),
    ("POST /api/experiments/{id}/start/", "arms|label", ".*", "What was planned is complete."),
    ("GET /api/usage/summary/", "from|to|group_by|currency", ".*", "So many days, since 1970."),
    ("POST /api/prompts/{name}/render/", "variables", ".*", "Those that the prompt has."),
    ("POST /api/prompts/import/", "files|labels", ".*", "Files of prompts, and a label there is."),
    ("PUT /api/prompts/{name}/labels/{label}/", "due_at", ".*", "A time to come, and none empty."),
    (
        "POST /api/prompts/{name}/versions/",
        "|variables",
        ".*",
        "Its text uses the variables it has.",
    ),
]

# Other failures that are none: the operation, the kind of failure, what is said of it, and why.
LEFT_OUT = [
    # The method and not the request is wrong: without a key there is nothing to get.
    ("GET /v1/.*", "MissingHeaderNotRejected", ".*Got 405 .*'Idempotency-Key'.*", "Use POST."),
    (CALLS, "ServerError", ".*not_cached.*", "504 is HTTP's answer to `only_if_cached`."),
    ("POST /v1/batches", "AcceptedNegativeData", ".*input_file_id.*", "`map_body` names a file."),
    (CALLS, "AcceptedNegativeData", ".*Missing required property: type.*", "It can be one thing."),
]

_asked: dict[str, dict[str, int]] = {}


def _credentials() -> dict[str, dict[str, str]]:
    who = json.loads(Path(os.environ["PARLEY_WHO"]).read_text())["auth"]
    return {
        one["name"]: {header["name"]: header["value"] for header in one["fixedHeaders"]}
        for one in who
    }


CREDENTIALS = _credentials()
WORLD = json.loads(Path(os.environ["PARLEY_WORLD"]).read_text())
NAMED: dict[str, dict[str, Any]] = WORLD["named"]  # what bodies may name
IDS_IN_BODIES: list[str] = WORLD["ids_in_bodies"]
OWN_KEYS: dict[str, list[int]] = WORLD["own_keys"]  # of the strangers


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    """Name what there is, where something is named as it may be."""
    if not isinstance(body, dict):
        return body
    known = NAMED.get(context.operation.path, {})
    return {
        name: known[name] if name in known and type(value) is type(known[name]) else value
        for name, value in body.items()
    }


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
    if not told or not 200 <= response.status_code < 300:
        return
    with Path(os.environ["PARLEY_REACHED"]).open("a") as file:
        file.write(f"{case.operation.label}\n")
    for name, status in told.items():
        if status == 404 or _is_shared(name, case.operation.label, status):
            continue
        if not _is_own_key(name, case, response):
            raise AssertionError(f"{name} got {status}, and not 404, for what is Alice's.")


def _is_own_key(name: str, case: Any, response: Any) -> bool:
    """Return whether Alice, who manages the organization, was shown a key of the stranger."""
    if not case.operation.path.startswith("/api/keys/"):
        return False
    return response.json()["id"] in OWN_KEYS[name]


def _is_shared(name: str, label: str, status: int) -> bool:
    return any(
        re.fullmatch(who, name) and re.fullmatch(_escaped(operation), label) and status == told
        for who, operation, told, _ in SHARED
    )


def _escaped(operation: str) -> str:
    return operation.replace("{", r"\{").replace("}", r"\}")


@schemathesis.hook
def filter_failure(context: Any, failure: Any, case: Any, response: Any) -> bool:
    """Drop a refusal of what the schema allows where a rule says why; keep a list of them."""
    kind, said = type(failure).__name__, f"{failure.message}\n{response.text}"
    if kind != "RejectedPositiveData":
        return not any(
            re.fullmatch(_escaped(operation), case.operation.label)
            and kind == name
            and re.fullmatch(words, said, re.DOTALL)
            for operation, name, words, _ in LEFT_OUT
        )
    label, fields, text = case.operation.label, _fields(response), response.text
    rules = [_rule(label, field, text) for field in fields]
    with Path(os.environ["PARLEY_RULES"]).open("a") as file:
        file.write(f"{label}\t{', '.join(fields)}\t{rules}\t{text[:300]}\n")
    return None in rules


def _rule(label: str, field: str, text: str) -> str | None:
    """Return the rule by which the field was refused."""
    for operation, fields, words, rule in RULES:
        pairs = ((_escaped(operation), label), (fields, field), (words, text))
        if all(re.fullmatch(pattern, found, re.DOTALL) for pattern, found in pairs):
            return rule
    return None


def _fields(response: Any) -> list[str]:
    """Return the fields that a refusal names; one without a name where it names none."""
    error = response.json().get("error", {})
    one = error.get("param") or error.get("details", {}).get("param") or ""
    return sorted(error.get("fields", {})) or [one]
