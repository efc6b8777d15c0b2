"""Which service tier a call asks for, and which ones vendors choose where it asks for none.

Without a choice OpenAI serves a call as its project is set, which Parley cannot see; nearly always
that is the ordinary tier. So the ordinary worst case is held until a vendor has served such a call
in another way: from then on that tier's is held too. The first such call may be an overrun.
"""

from billing.pricing import ORDINARY

# How the ordinary tier is asked for, and how it is left to the vendor.
ORDINARY_ASKED = ("default", "standard", "standard_only")
LEFT_TO_THE_VENDOR = (None, "auto")
LONGEST = 20  # characters

_seen: dict[tuple[str, str], frozenset[str]] = {}


def asked_for(asked: object) -> str | None:
    """Return the tier that a call asks for; `None` where it leaves it to the vendor."""
    if asked in LEFT_TO_THE_VENDOR:
        return None
    return ORDINARY if asked in ORDINARY_ASKED else str(asked)[:LONGEST]


def learn(provider: str, model: str, served: str) -> None:
    """Remember how a vendor has served a call that chose no tier."""
    known = seen(provider, model)
    if served != ORDINARY and served not in known:
        _seen[provider, model] = known | {served}


def seen(provider: str, model: str) -> frozenset[str]:
    """Return the tiers, beside the ordinary one, that calls have met which chose none."""
    return _seen.get((provider, model), frozenset())


def forget() -> None:
    """Forget what was seen."""
    _seen.clear()
