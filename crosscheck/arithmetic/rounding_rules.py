"""The rules of the bound: what an operation of an arithmetic adds to its operands' errors.

A running error analysis (Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed.,
section 3.3): E_x >= |computed x - exact x|, entry by entry. `bound` carries it through a network.
The rules hold for any order of summation, with or without fused multiply-add (Jeannerod and
Rump, *Improved error bounds for inner products in floating-point arithmetic*, SIAM J. Matrix
Anal. 34 (2013)).
"""

from collections.abc import Sequence
from copy import copy
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np

from crosscheck.arithmetic.formats import FORMATS, Array
from crosscheck.arithmetic.promise import Arithmetic

ALLOWANCE = 2.0
"""The ρ that magnitudes have room for; where ρ is larger, they are given more."""

EVALUATION_SLACK = 1 + 1e-9
"""Covers the roundings of evaluating the bound itself in float64.

Where E is subnormal itself, they are covered by 2 n η, which is twice what n products lose at most.
"""


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


class Rules:
    """The rules of one arithmetic; each returns E for one operation.

    u is the unit roundoff, eta the underflow error of an operation, tau the smallest normal
    number where subnormals are flushed, else 0; `inner` the unit roundoff of the accumulator.
    `evaluation` is the float64 evaluation's share of E, for a ρ of at most `allowance`.
    `absolute` allows activations that are right to a few u absolutely, and no better where they
    are small, as ½ + ½ tanh(z/2) is for σ. `stable` takes σ′ from z alone: nothing `cancels`.
    Where operands are taken `apart`, their magnitudes and errors are multiplied one by one.
    """

    count = 1
    apart = True
    u: Factor
    eta: Factor
    tau: Factor
    largest: Factor
    inner: Factor
    evaluation: Factor
    allowance: float
    absolute: Factor
    cancels: Factor
    wider: bool

    def __init__(
        self, arithmetic: Arithmetic, absolute: bool = False, stable: bool = False
    ) -> None:
        stored = FORMATS[arithmetic.dtype]
        self.u = stored.unit_roundoff
        self.eta = stored.smallest_normal if arithmetic.flushes else stored.smallest_subnormal
        self.tau = stored.smallest_normal if arithmetic.flushes else 0.0
        self.largest = stored.largest
        self.wider = arithmetic.accumulate is not None
        self.inner = FORMATS[arithmetic.accumulate or arithmetic.dtype].unit_roundoff
        self.allowance = ALLOWANCE if self.u > 2.0**-53 else np.inf
        self.evaluation = min(ALLOWANCE * 2.0**-53 / self.u, 1.0)
        self.absolute, self.cancels = float(absolute), float(not stable)
        self._sums: dict[int, Sum] = {}
        self._factors: dict[int, Factors] = {}

    def allowing(self, growth: float) -> "Rules":
        """The same with room for this ρ; the float64 evaluation never errs by more than E."""
        other = copy(self)
        most = np.maximum(self.evaluation, 1.0)
        other.evaluation = np.minimum(self.evaluation * (growth / self.allowance), most)
        other.allowance, other._sums, other._factors = growth, {}, {}
        vars(other).pop("quick", None)
        return other

    @cached_property
    def least_largest(self) -> float:
        """The smallest of the largest numbers."""
        return float(np.min(self.largest))

    @cached_property
    def safe(self) -> float:
        """Where no sum has an E of this size, none of its partial sums overflows: E > u M.

        Rules without u have no larger sums than those with it, beside which they stand.
        """
        u = np.ravel(np.minimum(self.u, self.inner))
        return float(np.min(u[u > 0], initial=1.0) * self.least_largest) / 2 if np.any(u) else 0.0

    @cached_property
    def quick(self) -> "Rules":
        """The same with one product for what magnitudes and errors of an operand come to.

        Errors are divided by u there: where one is not `safe`, that may overflow.
        """
        other = copy(self)
        other.apart = False
        return other

    def gamma(self, k: int) -> Factor:
        """γ_k = k u / (1 - k u), or ∞ where k u >= 1."""
        return k * self.u / (1 - k * self.u) if k * self.u < 1 else np.inf

    def known(self, value: Array, error: Array | None) -> Uncertain:
        """An array from its float64 evaluation and E; an exact input has no E."""
        size = np.abs(value)
        if error is None:
            return Uncertain(size, None)
        one = isinstance(self.evaluation, float) and self.evaluation == 1
        return Uncertain(size + (error if one else self.evaluation * error), error)

    def sum_of(self, n: int) -> Sum:
        """The rule of a sum of n products, each partial sum rounded to the stored format.

        E = P + u M + (n - 1) u [(1 + u)(M + |C| + P) / 2 + n u M] + 2 n η, where |C|, known by
        its float64 evaluation, is at most that and c (P + 1.1 n u M).
        """
        if n not in self._sums:
            u, c = self.u, self.evaluation
            half = (n - 1) * u * (1 + u) / 2
            self._sums[n] = Sum(
                u + half * (1 + c * 1.1 * n * u) + (n - 1) * n * u * u,
                half,
                1 + half * (1 + c),
                2 * n * self.eta,
            )
        return self._sums[n]

    def factors_of(self, n: int) -> Factors:
        """What that is in terms of an operand."""
        if n not in self._factors:
            self._factors[n] = Factors.of(self.sum_of(n))
        return self._factors[n]

    def product(
        self,
        left: Uncertain,
        right: Uncertain,
        value: Array,
        bias: Array | None = None,
        wider: bool | None = None,
    ) -> Array:
        """E of a matrix product `value`.

        `bias` (|b|, one more term of the same sum) is added to every row; `wider` false forbids
        the wider accumulator. P = |A| E_B + E_A |B| + E_A E_B, and M as in `most_of`.
        """
        if self.wider if wider is None else wider:
            error = self._summed_wider(left, right, value, bias)
        else:
            terms = left.size.shape[-1] + (bias is not None)
            factors = None if self.apart else self.factors_of(terms)
            if factors is None:
                error = self._product_apart(left, right, terms)
            elif right.error is None:
                error = _times(factors.before(left), right.size)
                error *= factors.scale
            else:
                error = self._product_with(factors.before(right), left, right, factors)
            error = self._rounded(error, terms, value, bias)
        self._add_to_product(error, left, right)
        return error

    def sums_over_samples(
        self, a: Uncertain, delta: Uncertain, by_weight: Array, by_bias: Array
    ) -> tuple[Array, Array]:
        """E of aᵀ δ and of the sums of δ, (1, n): two products that have δ in common.

        Biases have no wider accumulator: NumPy's and JAX's column sums round to the storage type.
        """
        samples = delta.size.shape[-2]
        if self.apart or self.wider or self.adds(a.transposed.size.shape, delta.size.shape):
            ones = Uncertain(np.ones((1, samples)), None)
            of_bias = self.product(ones, delta, by_bias[None], wider=False)
            return self.product(a.transposed, delta, by_weight), of_bias
        factors = self.factors_of(samples)
        before = factors.before(delta)
        of_weight = self._product_with(before, a.transposed, delta, factors)
        of_bias = np.add.reduce(before, -2, keepdims=True) * factors.scale
        return (
            self._rounded(of_weight, samples, by_weight),
            self._rounded(of_bias, samples, by_bias),
        )

    def _product_with(
        self, before: Array, left: Uncertain, right: Uncertain, factors: Factors
    ) -> Array:
        """|A| before + E_A (|B| + E_B), the latter as `factors` has it."""
        error = _times(left.size, before)
        if left.error is not None:
            error += _times(left.error, factors.error * right.most)
        error *= factors.scale
        return error

    def _product_apart(self, left: Uncertain, right: Uncertain, terms: int) -> Array:
        """What E has of the operands, of M and P."""
        rule, carried = self.sum_of(terms), _propagated(left, right)
        error: Array = rule.total * (left.size @ right.size + carried)
        return error + rule.propagated * carried

    def _rounded(self, error: Array, terms: int, value: Array, bias: Array | None = None) -> Array:
        """E of a sum from what its operands give."""
        rule = self.sum_of(terms)
        error += rule.value * np.abs(value)
        least = rule.underflow if bias is None else rule.total * bias + rule.underflow
        if isinstance(least, float) or least.ndim <= error.ndim:
            error += least
        else:  # arithmetics may differ by what underflows alone
            error = error + least
        return error

    def most_of(self, left: Uncertain, right: Uncertain, bias: Array | None = None) -> Array:
        """M = (|A| + E_A) (|B| + E_B) and |b|, which no partial sum of the product exceeds."""
        most: Array = left.most @ right.most
        return most if bias is None else most + bias

    def _summed_wider(
        self, left: Uncertain, right: Uncertain, value: Array, bias: Array | None
    ) -> Array:
        """E with a wider accumulator: rounded once more to store, before the bias."""
        n, inner = left.size.shape[-1], self.inner
        total = self.most_of(left, right)
        carried = _propagated(left, right)
        size = np.abs(value) + self.evaluation * (carried + 1.1 * n * self.u * total)
        alone = size if bias is None else size + bias
        partial = (1 + inner) * (total + alone + carried) / 2 + n * inner * total
        rounding = inner * total + (n - 1) * inner * partial
        error: Array = carried + rounding + 2 * n * self.eta
        error += self.u * (size + carried + rounding)
        if bias is not None:
            error += self.u * (size + bias + error)
        return error

    def adds(self, left: Sequence[int], right: Sequence[int]) -> bool:
        """Whether a product of matrices of these shapes may be off by more than its sums are."""
        return bool(self.tau)

    def _add_to_product(self, error: Array, left: Uncertain, right: Uncertain) -> None:
        """Subnormal operands that are read as zero: each stands against all its partners."""
        if self.tau:
            rows = left.most.sum(-1)[..., :, None]
            columns = right.most.sum(-2)[..., None, :]
            error += self.tau * (rows + columns + left.size.shape[-1] * self.tau)

    def hadamard(self, left: Uncertain, right: Uncertain, roundings: int = 3) -> Array:
        """E of an entrywise product, of which one factor may be formed within the roundings.

        Q + γ (|G s| + Q) + roundings η, with Q = |G| E_s + E_G |s| + E_G E_s.
        """
        gamma = self.gamma(roundings)
        error: Array = gamma * (left.size * right.size) + roundings * self.eta
        if right.error is not None:
            error += (1 + gamma) * (left.size * right.error)
        if left.error is not None:
            error += (1 + gamma) * (left.error * right.most)
        return error

    def residual(
        self, difference: Array, error: Array | None, scale: Factor, outputs: Factor
    ) -> Array:
        """E of 2 scale (a^N - expected), wherever the scaling is placed."""
        e = np.zeros_like(difference) if error is None else error
        size = np.abs(difference) + self.evaluation * e
        scaled = 2 * scale * (e + self.u * (size + e))
        scaled += self.gamma(4) * (2 * scale * size + scaled)
        rounded: Array = scaled + 4 * self.eta * np.maximum(1, outputs)
        return rounded


class Together(Rules):
    """The rules of several arithmetics at once: each E has a first axis, one place for each.

    Small networks cost what calls cost, not what arithmetic does; so one pass serves all. None
    of the arithmetics may have a wider accumulator.
    """

    def __init__(self, members: Sequence[Rules]) -> None:
        if any(rules.wider for rules in members):
            raise ValueError("rules with a wider accumulator are applied by themselves")
        self.members, self.wider = tuple(members), False
        self.count = len(members)
        for name in ("u", "tau", "largest", "inner", "evaluation", "absolute", "cancels"):
            setattr(self, name, _for_each([getattr(rules, name) for rules in members]))
        self.eta = np.array([rules.eta for rules in members]).reshape(-1, 1, 1)
        self.allowance = min(rules.allowance for rules in members)
        self._sums, self._factors = {}, {}

    def gamma(self, k: int) -> Factor:
        factor = _for_each([rules.gamma(k) for rules in self.members])
        return np.reshape(factor, self.eta.shape) if isinstance(factor, np.ndarray) else factor

    def adds(self, left: Sequence[int], right: Sequence[int]) -> bool:
        return any(rules.adds(left[-2:], right[-2:]) for rules in self.members)

    def _add_to_product(self, error: Array, left: Uncertain, right: Uncertain) -> None:
        for place, rules in enumerate(self.members):
            if rules.adds(left.size.shape[-2:], right.size.shape[-2:]):
                rules._add_to_product(error[place], left.at(place), right.at(place))


def _for_each(numbers: Sequence[float]) -> Factor:
    """The numbers along a first axis; one plain number where they are all the same."""
    if len(set(numbers)) == 1:
        return numbers[0]
    return np.array(numbers).reshape(-1, 1, 1)


def _times(left: Array, right: Array) -> Array:
    """The product of matrices, or of stacks of them; `dot` has half the overhead of `@`."""
    product: Array = left.dot(right) if left.ndim == right.ndim == 2 else left @ right
    return product


def _propagated(left: Uncertain, right: Uncertain) -> Array | float:
    """P of a matrix product."""
    propagated: Array | float = 0.0 if right.error is None else left.size @ right.error
    return propagated if left.error is None else propagated + left.error @ right.most


@lru_cache
def rules_of(arithmetic: Arithmetic, absolute: bool = False, stable: bool = False) -> Rules:
    """The rules of an arithmetic, made once."""
    return Rules(arithmetic, absolute, stable)


@lru_cache
def together(members: tuple[Rules, ...]) -> Together:
    """The rules of several arithmetics at once, with the sums that they have been asked for."""
    return Together(members)
