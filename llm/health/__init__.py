"""How deployments are doing, as all processes see it together: breakers and figures."""

from collections.abc import Mapping

from llm.health.figures import DeploymentHealth
from llm.health.monitor import Monitor, Refusal
from llm.health.ticket import Ticket

__all__ = [
    "DeploymentHealth",
    "Refusal",
    "Ticket",
    "close",
    "enter",
    "is_open",
    "reset",
    "snapshot",
    "usual_wait",
]

_monitor = Monitor()


async def enter(deployment_id: int, *, is_streamed: bool) -> Ticket | Refusal:
    """Return leave to call the deployment now, or for how long there is none.

    It costs no round trip while the breaker is closed and Redis was read within the last second.
    """
    return await _monitor.enter(deployment_id, is_streamed=is_streamed)


def is_open(deployment_id: int) -> bool:
    """Return whether the deployment's breaker keeps calls away, as far as is known here."""
    return _monitor.is_open(deployment_id)


def snapshot() -> Mapping[int, DeploymentHealth]:
    """Return how the deployments do that were called lately, by id; about a second old at most."""
    return _monitor.snapshot()


def usual_wait(deployment_id: int, *, is_streamed: bool) -> float | None:
    """Return the seconds within which 95% of the last calls spoke; `None`: too few to say."""
    return _monitor.usual_wait(deployment_id, is_streamed=is_streamed)


def reset(deployment_id: int) -> None:
    """Close the deployment's breaker in all processes, within a second; call it from a thread."""
    _monitor.reset(deployment_id)


async def close() -> None:
    """Tell the other processes what is left to tell, when this one ends."""
    await _monitor.close()
