"""What the scripts of this folder share: they run on a client's packages alone."""

import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

Error = TypeVar("Error", bound=Exception)

URL = os.environ.get("PARLEY_URL", "")
KEY = os.environ.get("PARLEY_KEY", "")
WRONG_KEY = "pk-" + "0" * 43
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}


def raised(expected: type[Error], action: Callable[[], Any]) -> Error:
    """Return the error that `action` ends with; whatever else it does is a failure."""
    try:
        answer = action()
    except expected as error:
        return error
    raise AssertionError(f"no error, but {answer}")


def run(checks: Mapping[str, Callable[[], None]]) -> None:
    """Do each check, and print a JSON object: "ok" or what went wrong, by name."""
    results = {}
    for name, check in checks.items():
        try:
            check()
            results[name] = "ok"
        except Exception:  # whatever a client does: the others go on
            results[name] = traceback.format_exc()
    json.dump(results, sys.stdout)
