"""All tensors of a gradient measured at once, where no entry is beyond its bound.

The same numbers, to the bit, as `verdict.measure` gives tensor by tensor; the entries of all
tensors lie side by side, so that a small network does not pay for each of its tensors.
"""

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from crosscheck import ulp
from crosscheck.formats import FloatFormat
from crosscheck.values import Array, Enclosure


def flat(tensors: Sequence[Array]) -> Array:
    """The entries of all tensors side by side, in float64."""
    return np.concatenate([tensor.ravel() for tensor in tensors]).astype(np.float64, copy=False)


def median(values: Array) -> float:
    """np.median of a vector that holds no NaN, to the bit, at a tenth of its cost."""
    half = len(values) // 2
    if len(values) % 2:
        return float(np.partition(values, half)[half])
    ordered = np.partition(values, (half - 1, half))
    return float((ordered[half - 1] + ordered[half]) / 2)


class Ruler:
    """What gradients of one case are measured by: the exact values, side by side, and ulps."""

    def __init__(self, enclosure: Enclosure, shapes: Sequence[tuple[int, ...]], of: FloatFormat):
        self.shapes, self.format = shapes, of
        self.sizes = [math.prod(shape) for shape in shapes]
        self.starts = np.cumsum([0, *self.sizes[:-1]])
        self.hi, self.lo = flat(enclosure.hi), flat(enclosure.lo)
        self.radius = flat(enclosure.radius)

    @cached_property
    def magnitude(self) -> Array:
        """|exact|, and ∞ where it is zero, so that relative errors there are zero."""
        magnitude = np.abs(self.hi)
        return np.where(magnitude == 0, np.inf, magnitude)

    @cached_property
    def unit(self) -> Array:
        return ulp.ulp(self.hi, self.format)

    @cached_property
    def nonzero(self) -> list[Array | None]:
        """For each tensor where exact ≠ 0, or None where that is everywhere."""
        parts = self.parts(self.hi != 0)
        return [None if part.all() else part for part in parts]

    def parts(self, entries: Array) -> list[Array]:
        """The entries of each tensor."""
        return [
            entries[start : start + size]
            for start, size in zip(self.starts.tolist(), self.sizes, strict=True)
        ]

    def largest_differences(
        self, one: Sequence[Array], other: Sequence[Array]
    ) -> tuple[float, Array]:
        """The largest |a - b| of all entries, and the largest in ulps of each tensor."""
        with np.errstate(invalid="ignore", over="ignore"):
            difference = np.abs(flat(one) - flat(other))
            difference[np.isnan(difference)] = np.inf
            in_ulps = np.maximum.reduceat(difference / self.unit, self.starts)
        return float(difference.max()), in_ulps


class Scale:
    """A ruler with the bound of one arithmetic."""

    def __init__(self, ruler: Ruler, allowed: Sequence[Array]) -> None:
        self.ruler, self.allowed = ruler, flat(allowed)

    @cached_property
    def power(self) -> list[float]:
        """For each tensor, the median B / |g| over g ≠ 0."""
        ruler = self.ruler
        exact = np.abs(ruler.hi)
        counted = (ruler.hi != 0) | (exact + ruler.radius > self.allowed)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            share = self.allowed / exact
        kept = zip(ruler.parts(share), ruler.parts(counted), strict=True)
        return [
            median(share if where.all() else share[where]) if where.any() else math.nan
            for share, where in kept
        ]

    def measure(self, tensors: Sequence[Array]) -> "list[tuple[dict[str, Any], bool]] | None":
        """For each tensor its columns, and whether it is proved to lie within the bound.

        None where an entry is beyond its bound, or is no finite number.
        """
        ruler = self.ruler
        got = flat(tensors)
        with np.errstate(all="ignore"):
            error = np.abs((got - ruler.hi) - ruler.lo)
            fine = error - ruler.radius <= self.allowed
            if not (fine.all() and np.isfinite(error).all()):
                return None
            within = np.logical_and.reduceat(error + ruler.radius <= self.allowed, ruler.starts)
            relative, distance = error / ruler.magnitude, error / ruler.unit
            use = np.where(error == 0, 0.0, error / self.allowed)
            tops = [np.fmax.reduceat(of, ruler.starts).tolist() for of in (relative, distance, use)]
        parts = map(ruler.parts, (got, error, relative, distance))
        rows = []
        for which, (g, e, r, d) in enumerate(zip(*parts, strict=True)):
            known = ruler.nonzero[which]
            middle = r if known is None else r[known]
            row = self._row(which, g, e, [top[which] for top in tops], middle)
            row["median_ulp"] = median(d)
            rows.append((row, bool(within[which])))
        return rows

    def _row(
        self, which: int, got: Array, error: Array, tops: Sequence[float], relative: Array
    ) -> dict[str, Any]:
        ruler = self.ruler
        worst = int(error.argmax())
        place = int(ruler.starts[which]) + worst
        value, exact = float(got[worst]), float(ruler.hi[place])
        most_relative, middle = (tops[0], median(relative)) if len(relative) else (math.nan,) * 2
        return {
            "entries": len(error),
            "mismatched": 0,
            "max_abs_error": float(error[worst]),
            "max_rel_error": most_relative,
            "max_ulp": tops[1],
            "effective_bits": ulp.effective_bits(most_relative, ruler.format),
            "correct_digits": ulp.effective_bits(middle, ruler.format) * DIGITS_A_BIT,
            "bound_use": tops[2],
            "worst_index": _index(worst, ruler.shapes[which]),
            "got": value,
            "exact": exact,
            "bound": float(self.allowed[place]),
            "radius": math.ulp(abs(exact)) / 2 + float(ruler.radius[place]),
            "got_hex": value.hex(),
            "exact_hex": exact.hex(),
        }


DIGITS_A_BIT = float(np.log10(2))


def _index(place: int, shape: tuple[int, ...]) -> str:
    """A place among the entries as an index, such as [6, 1]."""
    return f"[{place}]" if len(shape) == 1 else str(list(divmod(place, shape[1])))
