"""The functions of probability that the rest of the package needs.

scipy is imported where it is used: a web process that shows no results never loads it.
"""

from collections.abc import Callable


def normal_quantile(share: float) -> float:
    """Return the value below which a standard normal variable lies with this probability."""
    from scipy import special  # noqa: PLC0415

    return float(special.ndtri(share))


def chi_square_tail(value: float, freedom: int) -> float:
    """Return the probability that a chi-square variable is beyond the value."""
    from scipy import special  # noqa: PLC0415

    return float(special.chdtrc(freedom, value))


def log_beta(weights: tuple[float, ...]) -> float:
    """Return the logarithm of the beta function of several variables."""
    from scipy import special  # noqa: PLC0415

    return float(sum(map(special.gammaln, weights)) - special.gammaln(sum(weights)))


def root(function: Callable[[float], float], low: float, high: float) -> float:
    """Return where the function is 0 between two values of different sign (Brent 1973)."""
    from scipy import optimize  # noqa: PLC0415

    return float(optimize.brentq(function, low, high, xtol=1e-9, rtol=1e-12))
