"""Where to look: a grid over all magnitudes, dense where something may happen; bisection.

All points are float64 numbers that the format on trial holds exactly.
"""

import math
from collections.abc import Callable, Iterable
from itertools import pairwise

import numpy as np

from crosscheck.arithmetic.formats import FORMATS, Array, FloatFormat
from crosscheck.studies.atlas.definition import Definition, Interval

DENSITIES = ("quick", "default", "exhaustive")

_NEAR, _EVERY = (-40, 12), {"quick": 48, "default": 16, "exhaustive": 4}
"""Exponents of which each is taken, and beyond them every so many."""

_MANTISSAS = {
    "quick": (1.0,),
    "default": (1.0, 1.3125),
    "exhaustive": (1.0, 1.125, 1.3125, 1.5, 1.6875, 1.875),
}


def grid(definition: Definition, format: FloatFormat, density: str = "default") -> Array:
    """Sorted points of a definition's domain; all of a 16-bit format where it is exhaustive."""
    if density == "exhaustive" and format.digits <= 11:
        points = every(format)
    else:
        parts = [_magnitudes(format, density), _line(density)]
        parts += [_around(point, format, density) for point in _special(definition)]
        points = held(np.concatenate(parts), format)
    return inside(points, definition.domain)


def sample(definition: Definition, count: int = 4) -> list[float]:
    """A few points of the domain in the middle of things, none of them special."""
    low, high = (float(np.clip(end, -3.1, 3.1)) for end in definition.domain)
    if low >= high:
        low, high = (float(np.clip(end, -1e3, 1e3)) for end in definition.domain)
    return [
        low + (high - low) * share for share in (0.171875, 0.390625, 0.609375, 0.828125)[:count]
    ]


def _special(definition: Definition) -> set[float]:
    """The definition's special points, and the finite ends of its domain."""
    ends = (end for end in definition.domain if np.isfinite(end))
    return {0.0, *definition.special, *ends}


def held(points: Array, format: FloatFormat) -> Array:
    """The points rounded to the format, sorted, each once, finite; -0 is 0."""
    with np.errstate(over="ignore"):
        rounded = np.asarray(points, np.float64).astype(format.numpy).astype(np.float64)
    return np.unique(rounded[np.isfinite(rounded)]) + 0.0


def inside(points: Array, domain: Interval) -> Array:
    """Those in the domain, an open interval: its ends are poles, or have one side only."""
    chosen: Array = points[(points > domain[0]) & (points < domain[1])]
    return chosen


def every(format: FloatFormat) -> Array:
    """All finite numbers of a 16-bit format, -0 left out."""
    numbers = np.arange(2**16, dtype=np.uint16).view(format.numpy).astype(np.float64)
    return np.unique(numbers[np.isfinite(numbers)]) + 0.0


def _magnitudes(format: FloatFormat, density: str) -> Array:
    """Powers of two times a few mantissas, of both signs, subnormal to overflow."""
    least = format.exponent_min - format.digits + 1
    most = math.frexp(format.largest)[1]
    low, high = _NEAR
    step = 2 if density == "quick" else 1
    exponents = {
        *range(least, most, _EVERY[density]),
        *range(low, high, step),
        *(least, least + 1, format.exponent_min - 1, format.exponent_min, most - 1),
    }
    powers = np.ldexp(1.0, sorted(exponents))
    sizes = np.outer(powers, _MANTISSAS[density]).ravel()
    return np.concatenate([sizes, -sizes, [format.largest, -format.largest, 0.0]])


def _line(density: str) -> Array:
    """Evenly spaced points where exponentials saturate."""
    if density == "quick":
        return np.concatenate([np.arange(-20, 20, 0.5), np.arange(-760, 760, 16.0)])
    return np.concatenate([np.arange(-24, 24, 0.125), np.arange(-760, 760, 2.0)]) + 0.03125


def _around(point: float, format: FloatFormat, density: str) -> Array:
    """A point, its neighbours in the format, and points that approach it from both sides."""
    centre = float(np.float64(point).astype(format.numpy))
    scale = abs(centre) or 1.0
    steps = np.ldexp(scale, -np.arange(1, format.digits, 4 if density == "quick" else 1))
    near = [centre + k * 2.0 ** (-format.digits) * scale for k in (-2, -1, 1, 2)]
    return np.concatenate([[centre], near, centre + steps, centre - steps])


def order(points: Array, format: FloatFormat) -> np.ndarray:
    """The place of each number among all numbers of the format, as int64; 0 of 0."""
    width = format.numpy.itemsize * 8
    bits = points.astype(format.numpy).view(f"u{width // 8}").astype(object)
    top = 1 << (width - 1)
    return np.array([b if b < top else top - b for b in bits], dtype=object).astype(np.int64)


def at_order(places: np.ndarray, format: FloatFormat) -> Array:
    """The numbers at these places."""
    width = format.numpy.itemsize * 8
    top = 1 << (width - 1)
    bits = [int(p) if p >= 0 else top - int(p) for p in places]
    return np.array(bits, f"u{width // 8}").view(format.numpy).astype(np.float64) + 0.0


def bisect(
    jumps: Iterable[tuple[float, float]],
    format: FloatFormat,
    same: Callable[[Array, Array], Array],
) -> Array:
    """For each (a, b), of which b is of another kind than a, the last number like b towards a.

    `same(points, b)` says of each point whether it is of the kind of its b.
    """
    pairs = np.array(list(jumps), np.float64).reshape(-1, 2)
    other, like = (order(pairs[:, k], format) for k in (0, 1))
    for _ in range(format.numpy.itemsize * 8):
        middle = other + (like - other) // 2
        apart = (middle != other) & (middle != like)
        if not apart.any():
            break
        alike = same(at_order(middle, format), pairs[:, 1])
        like = np.where(apart & alike, middle, like)
        other = np.where(apart & ~alike, middle, other)
    return at_order(like, format)


def between(points: Array, format: FloatFormat, each: int) -> Array:
    """Numbers evenly spread among those of the format between neighbouring points."""
    places = order(points, format)
    new = [np.linspace(a, b, each + 2)[1:-1].astype(np.int64) for a, b in pairwise(places)]
    return held(at_order(np.concatenate(new), format), format) if new else points[:0]


FORMAT_NAMES = tuple(FORMATS)
