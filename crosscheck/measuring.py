"""All tensors of several gradients of a case measured at once, where no entry is beyond its bound.

The same numbers, to the bit, as `tensor_errors.measure` gives tensor by tensor; the entries of
all tensors lie side by side, a row for each gradient, so that a small network does not pay for
each of its tensors.
"""

import math
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np

from crosscheck import ulp
from crosscheck.formats import FloatFormat
from crosscheck.values import Array, Enclosure

Measured = tuple[dict[str, Any], bool]
"""The columns of a tensor's row, and whether the tensor is proved to lie within the bound."""


def flat(gradients: Sequence[Sequence[Array]]) -> Array:
    """A row for each gradient: the entries of all its tensors side by side, in float64."""
    count = sum(tensor.size for tensor in gradients[0])
    rows = np.empty((len(gradients), count))
    for row, tensors in zip(rows, gradients, strict=True):
        np.concatenate([tensor.ravel() for tensor in tensors], out=row)
    return rows


def medians(values: Array) -> Array:
    """np.median along the last axis of what holds no NaN, to the bit, at a tenth of its cost."""
    count = values.shape[-1]
    half = count // 2
    ordered = np.sort(values) if count < LEAST_PARTITIONED else np.partition(values, half)
    upper: Array = ordered[..., half]
    if count % 2:
        return upper
    lower = ordered[..., :half].max(-1)
    mean: Array = (lower + upper) / 2
    return mean


LEAST_PARTITIONED = 64
"""Numbers from which on to find the middle one is faster than to sort."""


class Ruler:
    """What gradients of one case are measured by: the exact values, side by side, and ulps."""

    def __init__(self, enclosure: Enclosure, shapes: Sequence[tuple[int, ...]], of: FloatFormat):
        self.shapes, self.format = shapes, of
        self.sizes = [math.prod(shape) for shape in shapes]
        self.starts = [0]
        for size in self.sizes[:-1]:
            self.starts.append(self.starts[-1] + size)
        self.hi, self.lo, self.radius = flat([enclosure.hi, enclosure.lo, enclosure.radius])

    @cached_property
    def magnitude(self) -> Array:
        """|exact|, and ∞ where it is zero, so that relative errors there are zero."""
        magnitude = np.abs(self.hi)
        magnitude[magnitude == 0] = np.inf
        return magnitude

    @cached_property
    def unit(self) -> Array:
        return ulp.ulp(self.hi, self.format)

    @cached_property
    def nonzero(self) -> list[Array | None]:
        """For each tensor where exact ≠ 0, or None where that is everywhere."""
        if self.hi.all():
            return [None] * len(self.sizes)
        parts = self.parts(self.hi != 0)
        return [None if part.all() else part for part in parts]

    def parts(self, entries: Array) -> list[Array]:
        """The entries of each tensor, along the last axis."""
        places = zip(self.starts, self.sizes, strict=True)
        return [entries[..., start : start + size] for start, size in places]

    def differences(self, got: Array) -> Iterator[tuple[int, int, float, Array]]:
        """For each two rows of `got` their places, the largest |a - b| of all entries, and the
        largest in ulps of each tensor."""
        pairs = list(combinations(range(len(got)), 2))
        if not pairs:
            return
        one, other = np.array(pairs).T
        with np.errstate(invalid="ignore", over="ignore"):
            difference = np.abs(got[one] - got[other])
            difference[np.isnan(difference)] = np.inf
            in_ulps = np.maximum.reduceat(difference / self.unit, self.starts, axis=1)
        for (a, b), largest, of_tensors in zip(pairs, difference.max(1), in_ulps, strict=True):
            yield a, b, float(largest), of_tensors

    def powers(self, allowed: Array) -> list[list[float]]:
        """For each row of bounds and each tensor, the median B / |g| over g ≠ 0."""
        exact = np.abs(self.hi)
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            counted = (self.hi != 0) | (exact + self.radius > allowed)
            shares = allowed / exact
        if counted.all():
            middles = [medians(part) for part in self.parts(shares)]
            return [list(of) for of in zip(*(m.tolist() for m in middles), strict=True)]
        return [
            [
                float(medians(part[of])) if of.any() else math.nan
                for part, of in zip(self.parts(row), self.parts(kept), strict=True)
            ]
            for row, kept in zip(shares, counted, strict=True)
        ]

    def measure(self, got: Array, allowed: Array) -> "list[list[Measured] | None]":
        """For each row of `got`, bounded by that of `allowed`, what is to say of its tensors.

        None where an entry is beyond its bound, or is no finite number.
        """
        with np.errstate(all="ignore"):
            error = np.abs((got - self.hi) - self.lo)
            sound = (error - self.radius <= allowed).all(1) & np.isfinite(error).all(1)
            if not sound.all():
                got, allowed, error = got[sound], allowed[sound], error[sound]
            found = iter(self._columns(got, allowed, error) if len(got) else ())
        return [next(found) if of else None for of in sound.tolist()]

    def _columns(self, got: Array, allowed: Array, error: Array) -> list[list[Measured]]:
        within = np.logical_and.reduceat(error + self.radius <= allowed, self.starts, axis=1)
        shares = np.empty((3, *error.shape))
        np.divide(error, self.magnitude, out=shares[0])
        np.divide(error, self.unit, out=shares[1])
        np.divide(error, allowed, out=shares[2])
        shares[2][error == 0] = 0.0
        tops = np.fmax.reduceat(shares, self.starts, axis=2)
        rows: list[list[Measured]] = [[] for _ in got]
        parts = zip(self.parts(error), self.parts(shares[:2]), strict=True)
        for which, (errors, of_tensor) in enumerate(parts):
            worst = errors.argmax(1).tolist()
            middles = self._middles(which, of_tensor).T.tolist()
            most = tops[:, :, which].T.tolist()
            proved = within[:, which].tolist()
            for place, mine in enumerate(rows):
                numbers = (*most[place], *middles[place])
                row = self._row(which, worst[place], numbers, got[place], error[place])
                row["bound"] = allowed.item(place, self.starts[which] + worst[place])
                mine.append((row, proved[place]))
        return rows

    def _middles(self, which: int, shares: Array) -> Array:
        """Medians of the relative error, where exact ≠ 0, and of the distance in ulps."""
        known = self.nonzero[which]
        if known is None:
            return medians(shares)
        relative = medians(shares[0][:, known]) if known.any() else np.full(shares.shape[1], np.nan)
        return np.stack([relative, medians(shares[1])])

    def _row(
        self, which: int, worst: int, numbers: Sequence[float], got: Array, error: Array
    ) -> dict[str, Any]:
        """The columns but `bound`; `numbers` are the largest relative error, distance and use,
        and the medians of the first two."""
        most_relative, distance, use, relative, median_distance = numbers
        place = self.starts[which] + worst
        value, exact = got.item(place), self.hi.item(place)
        known = self.nonzero[which]
        if known is not None and not known.any():
            most_relative = math.nan
        return {
            "entries": self.sizes[which],
            "mismatched": 0,
            "max_abs_error": error.item(place),
            "max_rel_error": most_relative,
            "max_ulp": distance,
            "median_ulp": median_distance,
            "effective_bits": ulp.effective_bits(most_relative, self.format),
            "correct_digits": ulp.effective_bits(relative, self.format) * DIGITS_A_BIT,
            "bound_use": use,
            "worst_index": _index(worst, self.shapes[which]),
            "got": value,
            "exact": exact,
            "radius": math.ulp(exact) / 2 + self.radius.item(place),
            "got_hex": value.hex(),
            "exact_hex": exact.hex(),
        }


DIGITS_A_BIT = float(np.log10(2))


def _index(place: int, shape: tuple[int, ...]) -> str:
    """A place among the entries as an index, such as [6, 1]."""
    if len(shape) == 1:
        return f"[{place}]"
    row, column = divmod(place, shape[1])
    return f"[{row}, {column}]"
