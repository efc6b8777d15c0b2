"""What is kept of an arm and a metric: sums over its units, and what follows from them.

A unit (a person, a conversation, a key) may make many requests, and these are not independent of
each other. So everything is summed up by unit first, and units are what is counted (Deng, Knoblich
and Lu 2018, "Applying the Delta Method in Metric Analytics").
"""

from dataclasses import dataclass
from typing import Self

# Sums of floats are exact to about 1e-16: a variance this far below the squares is none.
ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums over units of a numerator y (say, dollars) and a denominator x (say, requests).

    Over all units of the arm: who has never voted is one with a denominator of 0. That changes no
    figure, but "so many more conversations" then means conversations and not voters.
    """

    units: int
    y: float
    yy: float
    x: float
    xx: float
    xy: float

    @classmethod
    def per_unit(cls, units: int, y: float, yy: float) -> Self:
        """Return the sums of a mean per unit: each unit counts once."""
        return cls(units=units, y=y, yy=yy, x=units, xx=units, xy=y)

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(
            units=self.units + other.units,
            y=self.y + other.y,
            yy=self.yy + other.yy,
            x=self.x + other.x,
            xx=self.xx + other.xx,
            xy=self.xy + other.xy,
        )

    @property
    def remainder(self) -> "Sums":
        """The sums of x - y: of a share, what is not part of it."""
        return Sums(
            units=self.units,
            y=self.x - self.y,
            yy=self.xx - 2 * self.xy + self.yy,
            x=self.x,
            xx=self.xx,
            xy=self.xx - self.xy,
        )

    @property
    def ratio(self) -> float | None:
        """The metric itself, y / x: None where nothing has been counted."""
        return self.y / self.x if self.units > 0 and self.x > 0 else None

    @property
    def unit_variance(self) -> float:
        """How much one unit moves the ratio: its variance is this, divided by the units.

        The delta method for a ratio of means (Deng, Knoblich and Lu 2018, equation 3):
        (var(y) - 2 r cov(x, y) + r² var(x)) / mean(x)². As the sum of y - r x is 0, that is the sum
        of (y - r x)², which keeps more digits. Where x is 1, it is the sample variance of y.
        """
        if self.ratio is None or self.units < 2:
            return 0.0
        squares = self.yy - 2 * self.ratio * self.xy + self.ratio**2 * self.xx
        if squares <= ROUNDING * (self.yy + self.ratio**2 * self.xx):
            return 0.0
        return squares / (self.units - 1) / (self.x / self.units) ** 2

    @property
    def evenness_of_y(self) -> float:
        """How evenly the units share y: 1 is evenly, 1 / units is one unit that has it all."""
        return _evenness(self.units, self.y, self.yy)

    @property
    def evenness_of_x(self) -> float:
        """How evenly the units share x."""
        return _evenness(self.units, self.x, self.xx)


def _evenness(units: int, total: float, squares: float) -> float:
    """Return the effective share of units (Kish 1965, "Survey Sampling", on unequal weights)."""
    return total**2 / (units * squares) if units and squares > 0 else 0.0
