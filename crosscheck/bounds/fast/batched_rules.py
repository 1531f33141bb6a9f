"""The rules of the bound for many networks at once, whose arrays lie end to end; see `abreast`."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from crosscheck.arithmetic.rounding_rules import Rules, Together, Uncertain
from crosscheck.networks.network import Array


class Entries(NamedTuple):
    """A float64 value, (total,), and by each of V rules its magnitude and E, (V, total).

    Or the same of one network, as matrices.
    """

    value: Array
    size: Array
    error: Array

    @property
    def known(self) -> Uncertain:
        """Without the value."""
        return Uncertain(self.size, self.error)


class Shapes:
    """Matrices of these shapes, end to end in one vector."""

    def __init__(self, shapes: Sequence[tuple[int, int]]) -> None:
        self.sizes = np.array([rows * columns for rows, columns in shapes])
        ends = self.sizes.cumsum()
        self.starts, self.total = ends - self.sizes, int(ends[-1])
        self._spans = list(zip(self.starts.tolist(), ends.tolist(), shapes, strict=True))

    def views(self, flat: Array) -> list[Array]:
        """The matrices, behind the leading axes of `flat`."""
        if flat.ndim == 1:
            return [flat[start:end].reshape(shape) for start, end, shape in self._spans]
        lead = flat.shape[:-1]
        return [flat[..., start:end].reshape(lead + shape) for start, end, shape in self._spans]

    def each(self, entries: Entries) -> list[Entries]:
        """Those of each matrix."""
        return [Entries(*parts) for parts in zip(*map(self.views, entries), strict=True)]

    def view(self, flat: Array, i: int) -> Array:
        """One of them."""
        start, end, shape = self._spans[i]
        return flat[..., start:end].reshape(flat.shape[:-1] + shape)

    def spread(self, values: Any) -> Array:
        """A number of each matrix, along the last axis, at each of its entries."""
        return np.repeat(values, self.sizes, axis=-1)

    def most(self, flat: Array) -> Array:
        """The largest entry of each matrix, in any row of `flat`."""
        most: Array = np.maximum.reduceat(flat.max(0), self.starts)
        return most

    def least(self, flat: Array) -> Array:
        """The smallest entry of each matrix, in any row of `flat`."""
        least: Array = np.minimum.reduceat(flat.min(0), self.starts)
        return least


Sums = Callable[[int, int], Array]
"""The places of a rule and of a network to a vector of sums."""

NEGLIGIBLE = 2.0**-40
"""A share of E: what stays below it is added by its largest value, not entry by entry."""


class BatchedRounding:
    """The rules, for arrays (V, total), of which each matrix has its own number of terms."""

    def __init__(self, rules: Sequence[Rules]) -> None:
        if any(type(of) is not Rules for of in rules):
            raise ValueError("rules of another kind add to products: they are for `bound` alone")
        self.together = Together.of(rules)
        flat: dict[str, Any] = {
            name: value.reshape(-1, 1)
            for name, value in vars(self.together).items()
            if isinstance(value, np.ndarray)
        }
        self.flat = replace(self.together, **flat)
        self.flushing = [place for place, of in enumerate(rules) if of.tau]
        self.summing = all(of.u > 0 for of in rules)
        self._factors = {name: np.full((len(rules), 1), np.nan) for name in FACTORS}

    def before(self, shapes: Shapes, terms: Array, operand: Entries) -> tuple[Array, Array]:
        """`Factors.before` of an operand, and the factor of its errors."""
        error = self._spread(shapes, terms, "error")
        scaled = error * operand.error
        size = operand.size
        scaled += size if self.summing else self._spread(shapes, terms, "size") * size
        return scaled, error

    def rounded(self, shapes: Shapes, terms: Array, error: Array, value: Array) -> None:
        """E of sums of so many terms, from what their operands give; as in `Rules`."""
        error *= self._spread(shapes, terms, "scale")
        error += self._spread(shapes, terms, "value") * np.abs(value)
        error += self._spread(shapes, terms, "underflow")

    def _spread(self, shapes: Shapes, terms: Array, name: str) -> Array:
        """A factor at each entry, (V, total), or (1, total) where the rules have it in common."""
        factors = self._factors
        known = factors[name][0]
        if terms.max() >= len(known) or np.isnan(known[terms]).any():
            factors = self._factors = self._with(factors, terms)
        factor = factors[name][:, terms]
        return shapes.spread(factor[:1] if (factor == factor[0]).all() else factor)

    def _with(self, known: dict[str, Array], terms: Array) -> dict[str, Array]:
        """What is known, and the rules' factors of sums of so many terms.

        Other threads may be reading what is known, so it is left as it is.
        """
        missing = max(0, int(terms.max()) + 1 - known["scale"].shape[1])
        found = {
            name: np.pad(of, ((0, 0), (0, missing)), constant_values=np.nan)
            for name, of in known.items()
        }
        for n in np.unique(terms).tolist():
            rule, factors = self.together.sum_of(n), self.together.factors_of(n)
            for name, of in found.items():
                of[:, n] = np.ravel(getattr(rule if name in SUMMED else factors, name))
        return found

    def add_flushed(
        self, error: Array, shapes: Shapes, terms: Array, largest: Array, rows: Sums, columns: Sums
    ) -> None:
        """The rule of `Rules` for operands that are flushed, of all products in one call.

        `rows` and `columns` give the sums along each product's operands, of whose entries no two
        add up to more than `largest` of each network.
        """
        for place in self.flushing:
            tau = self.together.members[place].tau
            for i in add_negligible(error[place], shapes, tau * terms * (largest + tau)):
                flushed = rows(place, i)[:, None] + columns(place, i) + tau * terms[i]
                shapes.view(error[place], i)[:] += tau * flushed

    def entries(self, value: Array, error: Array) -> Entries:
        """What has this float64 value, and this E."""
        size = self.flat.evaluation * error
        size += np.abs(value)
        return Entries(value, size, error)


SUMMED = ("value", "underflow")
FACTORS = ("size", "error", "scale", *SUMMED)
"""What sums are made of: by `rounding_rules.Sum`, and by `rounding_rules.Factors`."""


def add_negligible(error: Array, shapes: Shapes, most: Array) -> list[int]:
    """Add `most` of each network to all entries of its E, where it is negligible.

    The places of the others, to which nothing is added.
    """
    small = most <= NEGLIGIBLE * shapes.least(error[None])
    error += shapes.spread(np.where(small, most, 0.0))
    left: list[int] = np.flatnonzero(~small).tolist()
    return left


@lru_cache
def rounding_of(rules: tuple[Rules, ...]) -> BatchedRounding:
    """The rules side by side, with the factors of sums that they have been asked for."""
    return BatchedRounding(rules)
