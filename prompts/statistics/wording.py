"""Figures as people read them: percentages, shares, counts."""

import math


def percent(share: float) -> str:
    """Return "18%", "4.2%" or "0.03%": two digits are enough to decide by."""
    figure = abs(share) * 100
    if figure >= 9.95:
        return f"{figure:,.0f}%"
    if figure >= 0.095:
        return f"{figure:.1f}%"
    return f"{figure:.2f}%" if figure >= 0.005 else "under 0.01%"


def two_shares(first: float, second: float) -> tuple[str, str]:
    """Return two shares with as many decimals as it takes to tell them apart."""
    for decimals in (0, 1, 2):
        told = f"{first * 100:.{decimals}f}%", f"{second * 100:.{decimals}f}%"
        if len({*told, "0%"}) == 3 or decimals == 2:
            break
    return told


def roughly(count: int) -> str:
    """Return a count rounded up to two digits: nobody knows a forecast more exactly."""
    step = 10 ** max(0, len(str(count)) - 2)
    return f"{math.ceil(count / step) * step:,}"


def joined(parts: list[str], last: str) -> str:
    """Return "a, b or c"."""
    return f" {last} ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))
