"""E of sums of products in terms of their operands, in the ways that sums are formed and ruled.

The rules of `rounding_rules` choose among them: `Sums` multiplies magnitudes and errors one by one,
`FactoredSums` at once, and `WiderSums` is for accumulators wider than the stored format.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from crosscheck.arithmetic.formats import Array

Factor = Any
"""A number, or one for each of several arithmetics, along a first axis of three."""


class Uncertain(NamedTuple):
    """An array as B knows it: `size` >= |exact| entry by entry, and `error` E, or None for 0."""

    size: Array
    error: Array | None

    @property
    def most(self) -> Array:
        """size + error: at least the magnitude that was computed."""
        return self.size if self.error is None else self.size + self.error

    @property
    def transposed(self) -> "Uncertain":
        """Rows and columns exchanged."""
        error = None if self.error is None else self.error.swapaxes(-1, -2)
        return Uncertain(self.size.swapaxes(-1, -2), error)

    def at(self, place: int) -> "Uncertain":
        """What one of several arithmetics has of it; what is exact they have in common."""
        if self.error is None:
            return self
        return Uncertain(self.size[place], self.error[place])


class Sum(NamedTuple):
    """E of a sum of products in terms of its magnitudes: what each of them is multiplied by.

    E = total M + value |C| + propagated P + underflow, with M, |C| and P as in `Rules.product`.
    """

    total: Factor
    value: Factor
    propagated: Factor
    underflow: Factor


class Factors(NamedTuple):
    """E of a sum of products in terms of one operand: scale (size |A| + error E_A) |B|.

    M holds P too, so that an error counts by `total` and by `propagated`. The scale comes last:
    u |A| may underflow where u |A| |B| does not. It is 1 where u is 0.
    """

    scale: Factor
    size: Factor
    error: Factor

    @classmethod
    def of(cls, rule: Sum) -> "Factors":
        scale = np.where(np.equal(rule.total, 0), 1.0, rule.total)
        size, error = rule.total / scale, (rule.total + rule.propagated) / scale
        return cls(*(x if x.ndim else float(x) for x in (scale, size, error)))

    def before(self, operand: Uncertain) -> Array:
        """The sum in the brackets."""
        plain = isinstance(self.size, float) and self.size == 1
        scaled: Array = operand.size if plain else self.size * operand.size
        return scaled if operand.error is None else scaled + self.error * operand.error


class SumRules(Protocol):
    """What ways of summing ask of an arithmetic's rules; see `rounding_rules.Rules`."""

    @property
    def u(self) -> Factor: ...
    @property
    def eta(self) -> Factor: ...
    @property
    def inner(self) -> Factor: ...
    @property
    def evaluation(self) -> Factor: ...

    def sum_of(self, n: int) -> Sum: ...

    def factors_of(self, n: int) -> Factors: ...

    def adds(self, left: Sequence[int], right: Sequence[int]) -> bool: ...

    def product(
        self,
        left: Uncertain,
        right: Uncertain,
        value: Array,
        bias: Array | None = None,
        stored: bool = False,
    ) -> Array: ...


class Sums:
    """How sums of products are formed and ruled: M and P are products of matrices by themselves.

    Each partial sum is rounded to the stored format.
    """

    wider = False

    @property
    def stored(self) -> "Sums":
        """The same without a wider accumulator."""
        return self

    @property
    def quick(self) -> "Sums":
        """The same with fewer products of matrices; see `FactoredSums`."""
        return FACTORED

    def product(
        self, rules: SumRules, left: Uncertain, right: Uncertain, value: Array, bias: Array | None
    ) -> Array:
        """E of a matrix product, but for what `Rules.add_to_product` adds."""
        rule, carried = rules.sum_of(_terms(left, bias)), _propagated(left, right)
        error: Array = rule.total * (left.size @ right.size + carried)
        return _rounded(rule, error + rule.propagated * carried, value, bias)

    def over_samples(
        self, rules: SumRules, a: Uncertain, delta: Uncertain, by_weight: Array, by_bias: Array
    ) -> tuple[Array, Array]:
        """E of aᵀ δ and of the sums of δ, (1, n)."""
        ones = Uncertain(np.ones((1, delta.size.shape[-2])), None)
        of_bias = rules.product(ones, delta, by_bias[None], stored=True)
        return rules.product(a.transposed, delta, by_weight), of_bias


class FactoredSums(Sums):
    """The same from one product for what magnitudes and errors of an operand come to.

    Errors are divided by u there: where one is not `safe`, that may overflow.
    """

    def product(
        self, rules: SumRules, left: Uncertain, right: Uncertain, value: Array, bias: Array | None
    ) -> Array:
        terms = _terms(left, bias)
        factors = rules.factors_of(terms)
        if right.error is None:
            error = _times(factors.before(left), right.size)
            error *= factors.scale
        else:
            error = self._product_with(factors.before(right), left, right, factors)
        return _rounded(rules.sum_of(terms), error, value, bias)

    def over_samples(
        self, rules: SumRules, a: Uncertain, delta: Uncertain, by_weight: Array, by_bias: Array
    ) -> tuple[Array, Array]:
        """Two products that have δ in common."""
        if rules.adds(a.transposed.size.shape, delta.size.shape):
            return super().over_samples(rules, a, delta, by_weight, by_bias)
        samples = delta.size.shape[-2]
        rule, factors = rules.sum_of(samples), rules.factors_of(samples)
        before = factors.before(delta)
        of_weight = self._product_with(before, a.transposed, delta, factors)
        of_bias = np.add.reduce(before, -2, keepdims=True) * factors.scale
        return _rounded(rule, of_weight, by_weight), _rounded(rule, of_bias, by_bias)

    def _product_with(
        self, before: Array, left: Uncertain, right: Uncertain, factors: Factors
    ) -> Array:
        """|A| before + E_A (|B| + E_B), the latter as `factors` has it."""
        error = _times(left.size, before)
        if left.error is not None:
            error += _times(left.error, factors.error * right.most)
        error *= factors.scale
        return error


SEPARATE, FACTORED = Sums(), FactoredSums()


class WiderSums(Sums):
    """Sums are formed in a wider format, and rounded once more to store, before the bias."""

    wider = True

    def __init__(self, stored: Sums = SEPARATE) -> None:
        self._stored = stored

    @property
    def stored(self) -> Sums:
        return self._stored

    @property
    def quick(self) -> Sums:
        return WiderSums(self._stored.quick)

    def product(
        self, rules: SumRules, left: Uncertain, right: Uncertain, value: Array, bias: Array | None
    ) -> Array:
        n, inner = left.size.shape[-1], rules.inner
        total = left.most @ right.most
        carried = _propagated(left, right)
        size = np.abs(value) + rules.evaluation * (carried + 1.1 * n * rules.u * total)
        alone = size if bias is None else size + bias
        partial = (1 + inner) * (total + alone + carried) / 2 + n * inner * total
        rounding = inner * total + (n - 1) * inner * partial
        error: Array = carried + rounding + 2 * n * rules.eta
        error += rules.u * (size + carried + rounding)
        if bias is not None:
            error += rules.u * (size + bias + error)
        return error


def _times(left: Array, right: Array) -> Array:
    """The product of matrices, or of stacks of them; `dot` has half the overhead of `@`."""
    product: Array = left.dot(right) if left.ndim == right.ndim == 2 else left @ right
    return product


def _terms(left: Uncertain, bias: Array | None) -> int:
    return int(left.size.shape[-1]) + (bias is not None)


def _rounded(rule: Sum, error: Array, value: Array, bias: Array | None = None) -> Array:
    """E of a sum from what its operands give."""
    error += rule.value * np.abs(value)
    least = rule.underflow if bias is None else rule.total * bias + rule.underflow
    if isinstance(least, float) or least.ndim <= error.ndim:
        error += least
    else:  # arithmetics may differ by what underflows alone
        error = error + least
    return error


def _propagated(left: Uncertain, right: Uncertain) -> Array | float:
    """P of a matrix product."""
    propagated: Array | float = 0.0 if right.error is None else left.size @ right.error
    return propagated if left.error is None else propagated + left.error @ right.most
