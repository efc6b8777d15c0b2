"""The geometry of small charts; templates draw them as SVG, and the style sheet colours them.

Only shapes are in the SVG, which is stretched to the page's width; words stay text of the page, so
they are as large on a phone. pygal was looked at: it writes styles and scripts into each chart,
which the Content-Security-Policy forbids.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from django.utils.html import escape
from django.utils.safestring import mark_safe

WIDTH, HEIGHT = 1000, 200
GAP = 0.25  # of a bar's room

Number = int | float | Decimal


class Segment(NamedTuple):
    y: float
    height: float
    series: int


class Bar(NamedTuple):
    x: float
    width: float
    segments: list[Segment]
    title: str
    room_x: float
    room_width: float


class Line(NamedTuple):
    series: int
    points: list[str]  # each an unbroken part
    dots: list[tuple[float, float, str]]


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars or lines over time, with a scale from 0."""

    title: str
    summary: str  # what it shows, in words
    top: str  # how the scale's ends and middle are called
    middle: str
    ticks: list[str]
    legend: list[str]
    bars: Sequence[Bar] = ()
    lines: Sequence[Line] = ()
    width: int = WIDTH
    height: int = HEIGHT

    @property
    def shapes(self) -> str:
        """Return the bars and lines as SVG: written here, for hundreds of them on a page."""
        return mark_safe("".join([*map(_drawn_bar, self.bars), *map(_drawn_line, self.lines)]))  # noqa: S308 - numbers, and titles that are escaped


def _drawn_bar(bar: Bar) -> str:
    parts = "".join(
        f'<rect class="fill-{part.series}" x="{bar.x}" y="{part.y}" width="{bar.width}" '
        f'height="{part.height}"/>'
        for part in bar.segments
    )
    return (
        f'<g class="bar"><title>{escape(bar.title)}</title><rect class="room" x="{bar.room_x}" '
        f'y="0" width="{bar.room_width}" height="{HEIGHT}"/>{parts}</g>\n'
    )


def _drawn_line(line: Line) -> str:
    unbroken = "".join(
        f'<polyline class="line line-{line.series}" points="{points}"/>' for points in line.points
    )
    dots = "".join(
        f'<path class="dot line-{line.series}" d="M{x} {y}h0"><title>{escape(title)}</title></path>'
        for x, y, title in line.dots
    )
    return f"{unbroken}{dots}\n"


def bars(stacks: Sequence[Sequence[Number]], titles: Sequence[str], top: float) -> list[Bar]:
    """Return a bar for each stack of values; `top` is the scale's end."""
    room = WIDTH / max(1, len(stacks))
    return [
        Bar(
            round(at * room + room * GAP / 2, 2),
            round(room * (1 - GAP), 2),
            _segments(stack, top),
            title,
            round(at * room, 2),
            round(room, 2),
        )
        for at, (stack, title) in enumerate(zip(stacks, titles, strict=True))
    ]


def lines(
    series: Sequence[Sequence[Number | None]], titles: Sequence[str], top: float
) -> list[Line]:
    """Return a line for each series; an unknown value breaks it."""
    result = []
    for number, values in enumerate(series):
        room = WIDTH / max(1, len(values))
        parts: list[list[str]] = [[]]
        dots = []
        for at, value in enumerate(values):
            if value is None:
                parts.append([])
                continue
            x, y = round((at + 0.5) * room, 2), round(HEIGHT * (1 - float(value) / top), 2)
            parts[-1].append(f"{x},{y}")
            dots.append((x, y, titles[at]))
        result.append(Line(number, [" ".join(part) for part in parts if len(part) > 1], dots))
    return result


def nice_top(values: Sequence[Number]) -> float:
    """Return a round number that is at least the greatest value; 1 without any above 0."""
    greatest = float(max(values, default=0))
    if greatest <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(greatest))
    return next(step * power for step in (1, 2, 4, 5, 8, 10) if step * power >= greatest * 0.999999)


def ticks(labels: Sequence[str]) -> list[str]:
    """Return the labels of the first, the middle and the last."""
    if len(labels) < 3:
        return list(labels)
    return [labels[0], labels[len(labels) // 2], labels[-1]]


def _segments(stack: Sequence[Number], top: float) -> list[Segment]:
    segments, below = [], 0.0
    for series, value in enumerate(stack):
        height = HEIGHT * float(value) / top
        below += height
        if height > 0:
            segments.append(Segment(round(HEIGHT - below, 2), round(height, 2), series))
    return segments
