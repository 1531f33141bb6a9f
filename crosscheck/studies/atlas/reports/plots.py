"""A picture of a function: right decimal digits against x, and where errors begin."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise

WIDTH, HEIGHT, FLOOR = 480.0, 120.0, 96.0
"""Of the drawing; FLOOR is where no digit is right."""

COLUMNS = 120
"""Places along x, of each the worst point is drawn."""

DIGITS = 17.0

Curve = Sequence[tuple[float, float]]
"""(x, right digits), by x."""

KNEES = ((-1080.0, 0.0), (-60.0, 0.12), (20.0, 0.9), (1024.0, 1.0))
"""log₂|x| to the share of half of the axis: most of it for 2^-60 … 2^20."""


def place(x: float) -> float:
    """Where x stands on the axis, from 0 to 1, with 0 in the middle."""
    if x == 0:
        return 0.5
    exponent = math.log2(abs(x))
    for (low, start), (high, end) in pairwise(KNEES):
        if exponent <= high:
            share = start + (end - start) * max(0.0, exponent - low) / (high - low)
            break
    else:
        share = 1.0
    return 0.5 + math.copysign(share, x) / 2


def picture(curves: Mapping[str, Curve], thresholds: Sequence[float], label: str) -> str:
    """An <svg> with a line for each engine, in the page's colours."""
    lines = [_line(curve, number) for number, curve in enumerate(curves.values()) if curve]
    marks = [_threshold(x) for x in dict.fromkeys(thresholds)]
    head = f'<svg viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" aria-label="{escape(label)}">'
    return "".join([head, *_axes(), *marks, *lines, "</svg>"])


def _line(curve: Curve, number: int) -> str:
    """The worst point of each column, joined."""
    worst: dict[int, float] = {}
    for x, digits in curve:
        column = min(int(place(x) * COLUMNS), COLUMNS - 1)
        worst[column] = min(digits, worst.get(column, DIGITS))
    points = " ".join(
        f"{(column + 0.5) / COLUMNS * WIDTH:.0f},{_height(worst[column]):.0f}"
        for column in sorted(worst)
    )
    dashes = ("", "6 2", "2 2", "8 2 2 2")[number % 4]
    return (
        f'<polyline points="{points}" fill="none" stroke="var(--e{number % 8})" '
        f'stroke-width="1.5" stroke-dasharray="{dashes}"/>'
    )


def _height(digits: float) -> float:
    return FLOOR - digits / DIGITS * (FLOOR - 6)


TICKS = (-1e300, -1e4, -1.0, -1e-9, 0.0, 1e-9, 1.0, 1e4, 1e300)


def _axes() -> list[str]:
    """Ticks along x, and lines at 0, 8 and 16 digits."""
    parts = []
    for digits in (0, 8, 16):
        y = _height(digits)
        parts.append(f'<path d="M0,{y:.0f}H{WIDTH:g}" stroke="var(--line)"/>')
        parts.append(f'<text x="2" y="{y - 2:.0f}" {_FONT}>{digits}</text>')
    for x in TICKS:
        at = min(max(place(x) * WIDTH, 16), WIDTH - 16)
        parts.append(
            f'<text x="{at:.0f}" y="{HEIGHT - 8:g}" text-anchor="middle" {_FONT}>{x:g}</text>'
        )
    return parts


_FONT = 'font-size="9" fill="var(--muted)"'


def _threshold(x: float) -> str:
    """A line where an error begins, with its number for who points at it."""
    at = place(x) * WIDTH
    return (
        f'<path d="M{at:.0f},4V{FLOOR:g}" stroke="var(--bad)" stroke-dasharray="1 2">'
        f"<title>{x!r}</title></path>"
    )
