"""All tensors of many gradients measured at once against the exact ones.

The entries of all tensors of many cases lie end to end, a row for each engine: what small networks
cost is calls, not arithmetic.
"""

import math
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from crosscheck.arithmetic.formats import FloatFormat
from crosscheck.networks.buffers import kept
from crosscheck.networks.network import Array, Enclosure, Tensors
from crosscheck.verdicts import ulp

DIGITS_A_BIT = float(np.log10(2))


def flat(rows: Sequence[Sequence[Sequence[Array]]]) -> Array:
    """A row for each list of gradients: all entries of their tensors end to end, in float64."""
    pieces = [[piece for tensors in row for piece in _pieces(tensors)] for row in rows]
    together = kept.empty((len(rows), sum(piece.size for piece in pieces[0])))
    for row, of_row in zip(together, pieces, strict=True):
        np.concatenate(of_row, out=row)
    return together


def end_to_end(tensors: Sequence[Array]) -> Array:
    """All entries in one vector of float64, which is not to be written to: it may be theirs."""
    one: Array = tensors.flat if isinstance(tensors, Tensors) else flat([[tensors]])[0]
    return one


def _pieces(tensors: Sequence[Array]) -> list[Array]:
    """Vectors that are the tensors' entries, end to end."""
    if isinstance(tensors, Tensors):
        return [tensors.flat]
    return [tensor.ravel() for tensor in tensors]


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

LEAST_SORTED, LEAST_TOGETHER = 16, 4
"""Tensors, and those of like size among them, from which on to sort them side by side is faster
than to treat them one by one."""


class Middles:
    """Medians of tensors that lie end to end: small ones of like size are sorted side by side."""

    def __init__(self, starts: Array, sizes: Array) -> None:
        self.starts, self.sizes, self.total = starts, sizes, int(sizes.sum())
        self.together: list[tuple[Array, Array]] = []
        self.alone: list[int] = []
        if len(sizes) < LEAST_SORTED:
            self.alone += range(len(sizes))
            return
        width = 1 << np.ceil(np.log2(sizes)).astype(int)
        for of_width in np.unique(width):
            members = np.flatnonzero(width == of_width)
            if len(members) < LEAST_TOGETHER or of_width > LEAST_PARTITIONED:
                self.alone += members.tolist()
                continue
            steps = np.arange(of_width)
            places = starts[members, None] + steps
            places[steps >= sizes[members, None]] = self.total
            self.together.append((members, places))

    def of(self, values: Array) -> Array:
        """(…, T) from (…, P + 1), of which the last is ∞ and stands in for what tensors lack."""
        found = np.empty((*values.shape[:-1], len(self.sizes)))
        for members, places in self.together:
            ordered = np.sort(values[..., places])
            sizes, row = self.sizes[members], np.arange(len(members))
            upper, lower = (ordered[..., row, at] for at in (sizes // 2, (sizes - 1) // 2))
            found[..., members] = np.where(sizes % 2, upper, (lower + upper) / 2)
        for which in self.alone:
            start = self.starts[which]
            found[..., which] = medians(values[..., start : start + self.sizes[which]])
        return found


class Measures(NamedTuple):
    """What is measured of E gradients of each of C cases, which have T tensors together.

    `sound` (E, C) is false where an entry is beyond its bound, or is no finite number. `within`
    (E, T): every entry is proved to lie within the bound; `mismatched` (E, T) counts the entries
    that are proved wrong. `worst` (E, T) is the place in a tensor of its greatest absolute error,
    among those proved wrong if any are; the rest (E, T) are columns.
    """

    sound: Array
    within: Array
    mismatched: Array
    worst: Array
    columns: dict[str, Array]

    def row(self, ruler: "Ruler", engine: int, which: int) -> dict[str, Any]:
        """The columns of one tensor's row that are measured."""
        row: dict[str, Any] = {n: of.item(engine, which) for n, of in self.columns.items()}
        row["entries"] = ruler.sizes.item(which)
        row["mismatched"] = self.mismatched.item(engine, which)
        row["worst_index"] = ruler.index(which, self.worst.item(engine, which))
        row["got_hex"], row["exact_hex"] = row["got"].hex(), row["exact"].hex()
        return row


class Ruler:
    """What gradients of cases of one format are measured by: exact values end to end, and ulps.

    `shapes` holds the shapes of the tensors of each case; `first` is each case's first tensor.
    """

    def __init__(
        self,
        enclosures: Sequence[Enclosure],
        shapes: Sequence[Sequence[tuple[int, ...]]],
        of: FloatFormat,
    ) -> None:
        self.format = of
        self.shapes = [shape for of_case in shapes for shape in of_case]
        self.sizes = np.array([math.prod(shape) for shape in self.shapes])
        self.starts = np.cumsum(self.sizes) - self.sizes
        self.counts = np.array([len(of_case) for of_case in shapes])
        self.first = np.cumsum(self.counts) - self.counts
        self.case_starts = self.starts[self.first]
        parts = [[getattr(e, name) for e in enclosures] for name in ENCLOSING]
        self.hi, self.lo, self.radius = flat(parts)

    @cached_property
    def middles(self) -> Middles:
        return Middles(self.starts, self.sizes)

    @cached_property
    def size(self) -> Array:
        """|exact|."""
        size: Array = np.abs(self.hi)
        return size

    @cached_property
    def unit(self) -> Array:
        return ulp.ulp(self.hi, self.format)

    @cached_property
    def with_zeros(self) -> list[int]:
        """The tensors that have an exact zero."""
        if self.hi.all():
            return []
        return list(np.flatnonzero(~np.logical_and.reduceat(self.hi != 0, self.starts)))

    def part(self, entries: Array, which: int) -> Array:
        """The entries of one tensor, along the last axis."""
        start = self.starts[which]
        return entries[..., start : start + self.sizes[which]]

    def _room(self, *lead: int) -> Array:
        """An array (…, P + 1) of which the last is ∞, as `Middles` wants it."""
        room = np.empty((*lead, len(self.hi) + 1))
        room[..., -1] = np.inf
        return room

    def differences(self, got: Array) -> Iterator[tuple[int, int, Array, Array]]:
        """For each two rows of `got` their places, the largest |a - b| of each case, and the
        largest in ulps of each tensor."""
        pairs = list(combinations(range(len(got)), 2))
        if not pairs:
            return
        one, other = np.array(pairs).T
        with np.errstate(invalid="ignore", over="ignore"):
            difference = np.abs(got[one] - got[other])
            difference[np.isnan(difference)] = np.inf
            largest = np.maximum.reduceat(difference, self.case_starts, axis=1)
            difference /= self.unit
            in_ulps = np.maximum.reduceat(difference, self.starts, axis=1)
        for (a, b), of_cases, of_tensors in zip(pairs, largest, in_ulps, strict=True):
            yield a, b, of_cases, of_tensors

    def powers(self, allowed: Array) -> Array:
        """For each row of bounds and each tensor, (V, T), the median B / |g| over g ≠ 0."""
        shares = self._room(len(allowed))
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            np.divide(allowed, self.size, out=shares[:, :-1])
            powers = self.middles.of(shares)
        for which in self.with_zeros:
            parts = (self.part(of, which) for of in (self.size, self.radius, allowed, shares))
            size, radius, most, share = parts
            counted = (size != 0) | (size + radius > most)
            for place, of in enumerate(counted):
                powers[place, which] = medians(share[place, of]) if of.any() else math.nan
        return powers

    def relative_radii(self, allowed: Array) -> Array:
        """The largest radius of each case (C,), as a share of what this bound (P,) allows."""
        with np.errstate(divide="ignore", invalid="ignore"):
            shares = self.radius / allowed
        found: Array = np.fmax.reduceat(shares, self.case_starts)
        return np.fmax(found, 0.0)

    def error(self, got: Array) -> Array:
        """|got - exact| of each row; ∞ where `got` is no number."""
        with np.errstate(invalid="ignore", over="ignore"):
            error: Array = np.abs((got - self.hi) - self.lo)
        error[np.isnan(error)] = np.inf
        return error

    def beyond(self, got: Array, error: Array, allowed: Array) -> Array:
        """Entries proved wrong: even the nearest exact value is farther than the bound."""
        with np.errstate(invalid="ignore"):
            proved: Array = error - self.radius > allowed
        return proved | ~np.isfinite(got)

    def measure(self, got: Array, allowed: Array) -> Measures:
        """What is to say of the tensors in each row of `got`, bounded by that of `allowed`."""
        return self.measure_errors(got, self.error(got), allowed)

    def measure_errors(self, got: Array, error: Array, allowed: Array) -> Measures:
        """The same where the errors are known already."""
        with np.errstate(all="ignore"):
            proved_none = (error - self.radius <= allowed) & (error < np.inf)
            sound = np.logical_and.reduceat(proved_none, self.case_starts, axis=1)
            within = np.logical_and.reduceat(error + self.radius <= allowed, self.starts, axis=1)
            beyond = None if sound.all() else self.beyond(got, error, allowed)
            return Measures(sound, within, *self._columns(got, allowed, error, beyond))

    def _columns(
        self, got: Array, allowed: Array, error: Array, beyond: Array | None
    ) -> tuple[Array, Array, dict[str, Array]]:
        shares = self._room(2, *got.shape[:-1])
        relative, distance = shares[0, :, :-1], shares[1, :, :-1]
        np.divide(error, self.size, out=relative)
        if self.with_zeros:
            relative[:, self.hi == 0] = 0.0
        np.divide(error, self.unit, out=distance)
        use = error / allowed
        if not error.all():
            use[error == 0] = 0.0
        largest = np.maximum.reduceat(error, self.starts, axis=1)
        most_relative, most_distance = (
            np.fmax.reduceat(of, self.starts, axis=1) for of in (relative, distance)
        )
        relative_middle, distance_middle = self.middles.of(shares)
        for which in self.with_zeros:
            known = self.part(self.hi, which) != 0
            some = known.any()
            part = self.part(relative, which)[:, known]
            relative_middle[:, which] = medians(part) if some else math.nan
            most_relative[:, which] = most_relative[:, which] if some else math.nan
        mismatched, candidates = np.zeros(largest.shape, int), error
        if beyond is not None:
            mismatched = np.add.reduceat(beyond, self.starts, axis=1, dtype=int)
            lesser = ~beyond & np.repeat(mismatched > 0, self.sizes, axis=1)
            candidates = np.where(lesser, -1.0, error)
        worst = self._worst(candidates, np.maximum.reduceat(candidates, self.starts, axis=1))
        there = self.starts + worst
        row = np.arange(len(got))[:, None]
        exact = self.hi[there]
        return (
            mismatched,
            worst,
            {
                "max_abs_error": largest,
                "max_rel_error": most_relative,
                "max_ulp": most_distance,
                "median_ulp": distance_middle,
                "effective_bits": self._bits(most_relative),
                "correct_digits": self._bits(relative_middle) * DIGITS_A_BIT,
                "bound_use": np.fmax.reduceat(use, self.starts, axis=1),
                "got": got[row, there],
                "exact": exact,
                "bound": allowed[row, there],
                "radius": np.spacing(np.abs(exact)) / 2 + self.radius[there],
            },
        )

    def _bits(self, relative: Array) -> Array:
        """`ulp.effective_bits` of each."""
        bits = ulp.effective_bits(relative.ravel().tolist(), self.format)
        return np.array(bits).reshape(relative.shape)

    def _worst(self, error: Array, largest: Array) -> Array:
        """The first place in each tensor (E, T) where its error is the largest."""
        hits = np.flatnonzero(error == np.repeat(largest, self.sizes, axis=1))
        row, place = np.divmod(hits, len(self.hi))
        which = np.searchsorted(self.starts, place, side="right") - 1
        first = np.ones(len(hits), bool)
        first[1:] = (which[1:] != which[:-1]) | (row[1:] != row[:-1])
        worst = np.zeros(largest.shape, int)
        worst[row[first], which[first]] = (place - self.starts[which])[first]
        return worst

    def index(self, which: int, place: int) -> str:
        """A place among the entries of a tensor as an index, such as [6, 1]."""
        shape = self.shapes[which]
        if len(shape) == 1:
            return f"[{place}]"
        if len(shape) == 2:
            row, column = divmod(place, shape[1])
            return f"[{row}, {column}]"
        return str([int(axis) for axis in np.unravel_index(place, shape)])


ENCLOSING = ("hi", "lo", "radius")


def measure_one(
    got: Array, exact: Array, error: Array, radius: Array, allowed: Array, format: FloatFormat
) -> dict[str, Any]:
    """The measured columns of one array of any shape, whose errors are known already."""
    ruler = Ruler([Enclosure([exact], [0 * exact], [radius], "", 0)], [[exact.shape]], format)
    rows = (flat([[[part]]]) for part in (got, error, allowed))
    return ruler.measure_errors(*rows).row(ruler, 0, 0)
