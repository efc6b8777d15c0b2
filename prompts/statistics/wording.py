"""Figures as people read them: percentages, shares, counts."""

import math


def percent(share: float) -> str:
    """Return "18%", "4.2%" or "0.3%": two digits are enough to decide by."""
    figure = abs(share) * 100
    if figure >= 9.95:
        return f"{figure:,.0f}%"
    return f"{figure:.2g}%" if figure >= 0.005 else "under 0.01%"


def two_shares(first: float, second: float) -> tuple[str, str]:
    """Return two shares with as many decimals as it takes to tell them apart, and from 0."""
    for decimals in (0, 1, 2, 3):
        told = [round(share * 100, decimals) for share in (first, second)]
        if told[0] != told[1] and all(told) == all((first, second)):
            break
    return _share(first, decimals), _share(second, decimals)


def _share(share: float, decimals: int) -> str:
    return f"{share * 100:.{decimals}f}%" if share else "0%"


def roughly(count: int) -> str:
    """Return a count rounded up to two digits: nobody knows a forecast more exactly."""
    step = 10 ** max(0, len(str(count)) - 2)
    return f"{math.ceil(count / step) * step:,}"


def joined(parts: list[str], last: str) -> str:
    """Return "a, b or c"."""
    return f" {last} ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))
