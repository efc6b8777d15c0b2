"""Several questions at once: p-values that take into account how many were asked."""

from collections.abc import Sequence


def adjusted(p_values: Sequence[float]) -> list[float]:
    """Return the p-values after Holm ("A Simple Sequentially Rejective ... Procedure", 1979).

    Whoever calls "certain" what is at most alpha is wrong about any of them with probability alpha.
    """
    ascending = sorted(range(len(p_values)), key=lambda index: p_values[index])
    result = [1.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(ascending):
        highest = max(highest, min(1.0, p_values[index] * (len(p_values) - rank)))
        result[index] = highest
    return result
