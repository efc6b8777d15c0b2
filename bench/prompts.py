"""`python bench/prompts.py`: what it takes to render a prompt from the process's cache.

The prompt has 20 variables and includes two others; it is asked for as a call asks for it, with a
user whom an experiment could be for.
"""

import asyncio
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench import installation  # noqa: E402 - the root is on the path only now

if TYPE_CHECKING:
    from accounts.models import Organization

NOWHERE = "http://127.0.0.1:9/v1"  # nobody is called
RENDERINGS = 20_000
VARIABLES = [f"value_{number}" for number in range(19)]  # and a list
TEXT = (
    "You help {{{{ {0} }}}} with {{{{ {1} }}}}.\n"
    "{{% if {2} %}}Mind {{{{ {2}|lower }}}}.{{% endif %}}\n"
)
VALUES = {name: f"What is said for {name}" for name in VARIABLES} | {
    "tags": ["one", "two", "three"]
}


def main() -> None:
    with installation.fresh(NOWHERE):
        organization_id = _publish()
        times = asyncio.run(_measure(organization_id))
    quantiles = statistics.quantiles(times, n=100)
    print(f"{statistics.median(times):.0f} µs a rendering, p50; {quantiles[98]:.0f} µs, p99")


async def _measure(organization_id: int) -> list[float]:
    from prompts.services import render_for_call  # noqa: PLC0415 - settings are set only now

    times = []
    for _ in range(RENDERINGS):
        started = time.perf_counter()
        await render_for_call(
            organization_id=organization_id,
            name="whole",
            variables=VALUES,
            units={"user": "user:1", "key": "key:1"},
        )
        times.append((time.perf_counter() - started) * 1e6)
    return times


def _publish() -> int:
    """Write the three prompts; return whose they are."""
    from accounts.models import Organization  # noqa: PLC0415

    organization = Organization.objects.get()
    listed = "{% for tag in tags %}- {{ tag }}\n{% endfor %}"
    _save(organization, "rules", VARIABLES[:6], listed, "tags")
    _save(organization, "manners", VARIABLES[6:12])
    both = "{% include 'rules' %}\n{% include 'manners' %}"
    _save(organization, "whole", VARIABLES[12:19], both)
    return organization.pk


def _save(
    organization: "Organization", name: str, names: list[str], more: str = "", a_list: str = ""
) -> None:
    from prompts import services  # noqa: PLC0415
    from prompts.content import MessageTemplate, PromptContent, Variable  # noqa: PLC0415
    from prompts.releases.services import move_label  # noqa: PLC0415

    text = "".join(TEXT.format(*names[at : at + 3]) for at in (0, 2, 4) if at + 3 <= len(names))
    variables = [Variable(name=one) for one in names]
    if a_list:
        variables.append(Variable(name=a_list, type="list"))
    messages = (MessageTemplate("system", text), MessageTemplate("user", more or text))
    prompt = services.create_prompt(organization=organization, name=name)
    version = services.add_version(
        prompt=prompt, content=PromptContent(messages=messages, variables=tuple(variables))
    )
    move_label(prompt=prompt, number=version.number)


if __name__ == "__main__":
    main()
