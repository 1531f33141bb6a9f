"""The rules of the bound: what an operation of an arithmetic adds to its operands' errors.

A running error analysis (Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed.,
section 3.3): E_x >= |computed x - exact x|, entry by entry. `bound` carries it through a network.
The rules hold for any order of summation, with or without fused multiply-add (Jeannerod and
Rump, *Improved error bounds for inner products in floating-point arithmetic*, SIAM J. Matrix
Anal. 34 (2013)).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Self

import numpy as np

from crosscheck.arithmetic.formats import FORMATS, Array
from crosscheck.arithmetic.promise import Arithmetic
from crosscheck.arithmetic.sums_of_products import (
    SEPARATE,
    Factor as Factor,
    Factors,
    Sum,
    Sums,
    Uncertain as Uncertain,
    WiderSums,
)

ALLOWANCE = 2.0
"""The ρ that magnitudes have room for; where ρ is larger, they are given more."""

EVALUATION_SLACK = 1 + 1e-9
"""Covers the roundings of evaluating the bound itself in float64.

Where E is subnormal itself, they are covered by 2 n η, which is twice what n products lose at most.
"""


@dataclass(frozen=True, eq=False, kw_only=True)
class Rules:
    """The rules of one arithmetic; each returns E for one operation.

    u is the unit roundoff, eta the underflow error of an operation, tau the smallest normal
    number where subnormals are flushed, else 0; `inner` the unit roundoff of the accumulator.
    `evaluation` is the float64 evaluation's share of E, for a ρ of at most `allowance`.
    `absolute` allows activations that are right to a few u absolutely, and no better where they
    are small, as ½ + ½ tanh(z/2) is for σ. What `cancels` is σ′ from a: 0 takes it from z alone.
    """

    u: Factor
    eta: Factor
    tau: Factor
    largest: Factor
    inner: Factor
    evaluation: Factor
    allowance: float
    absolute: Factor = 0.0
    cancels: Factor = 1.0
    sums: Sums = SEPARATE
    _sums: dict[int, Sum] = field(default_factory=dict, init=False)
    _factors: dict[int, Factors] = field(default_factory=dict, init=False)

    @property
    def count(self) -> int:
        """Of how many arithmetics these are the rules."""
        return 1

    def allowing(self, growth: float) -> Self:
        """The same with room for this ρ; the float64 evaluation never errs by more than E."""
        most = np.maximum(self.evaluation, 1.0)
        share = np.minimum(self.evaluation * (growth / self.allowance), most)
        return replace(self, evaluation=share, allowance=growth)

    @cached_property
    def quick(self) -> Self:
        """The same with fewer products of matrices."""
        return replace(self, sums=self.sums.quick)

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
        stored: bool = False,
    ) -> Array:
        """E of a matrix product `value`.

        `bias` (|b|, one more term of the same sum) is added to every row; `stored` forbids the
        wider accumulator. P = |A| E_B + E_A |B| + E_A E_B, and M as in `most_of`.
        """
        sums = self.sums.stored if stored else self.sums
        error = sums.product(self, left, right, value, bias)
        self.add_to_product(error, left, right)
        return error

    def sums_over_samples(
        self, a: Uncertain, delta: Uncertain, by_weight: Array, by_bias: Array
    ) -> tuple[Array, Array]:
        """E of aᵀ δ and of the sums of δ, (1, n).

        Biases have no wider accumulator: NumPy's and JAX's column sums round to the storage type.
        """
        return self.sums.over_samples(self, a, delta, by_weight, by_bias)

    def most_of(self, left: Uncertain, right: Uncertain, bias: Array | None = None) -> Array:
        """M = (|A| + E_A) (|B| + E_B) and |b|, which no partial sum of the product exceeds."""
        most: Array = left.most @ right.most
        return most if bias is None else most + bias

    def adds(self, left: Sequence[int], right: Sequence[int]) -> bool:
        """Whether a product of matrices of these shapes may be off by more than its sums are."""
        return bool(self.tau)

    def add_to_product(self, error: Array, left: Uncertain, right: Uncertain) -> None:
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


@dataclass(frozen=True, eq=False, kw_only=True)
class Together(Rules):
    """The rules of several arithmetics at once: each E has a first axis, one place for each.

    Small networks cost what calls cost, not what arithmetic does; so one pass serves all. None
    of the arithmetics may have a wider accumulator.
    """

    members: tuple[Rules, ...]

    @classmethod
    def of(cls, members: Sequence[Rules]) -> "Together":
        if any(rules.sums.wider for rules in members):
            raise ValueError("rules with a wider accumulator are applied by themselves")
        names = ("u", "tau", "largest", "inner", "evaluation", "absolute", "cancels")
        each = {name: _for_each([getattr(rules, name) for rules in members]) for name in names}
        eta = np.array([rules.eta for rules in members]).reshape(-1, 1, 1)
        allowance = min(rules.allowance for rules in members)
        return cls(**each, eta=eta, allowance=allowance, members=tuple(members))

    @property
    def count(self) -> int:
        return len(self.members)

    def gamma(self, k: int) -> Factor:
        factor = _for_each([rules.gamma(k) for rules in self.members])
        return np.reshape(factor, self.eta.shape) if isinstance(factor, np.ndarray) else factor

    def adds(self, left: Sequence[int], right: Sequence[int]) -> bool:
        return any(rules.adds(left[-2:], right[-2:]) for rules in self.members)

    def add_to_product(self, error: Array, left: Uncertain, right: Uncertain) -> None:
        for place, rules in enumerate(self.members):
            if rules.adds(left.size.shape[-2:], right.size.shape[-2:]):
                rules.add_to_product(error[place], left.at(place), right.at(place))


def _for_each(numbers: Sequence[float]) -> Factor:
    """The numbers along a first axis; one plain number where they are all the same."""
    if len(set(numbers)) == 1:
        return numbers[0]
    return np.array(numbers).reshape(-1, 1, 1)


@lru_cache
def rules_of(arithmetic: Arithmetic, absolute: bool = False, stable: bool = False) -> Rules:
    """The rules of an arithmetic, made once; `stable` takes σ′ from z alone."""
    stored, wider = FORMATS[arithmetic.dtype], arithmetic.accumulate
    u = stored.unit_roundoff
    return Rules(
        u=u,
        eta=stored.smallest_normal if arithmetic.flushes else stored.smallest_subnormal,
        tau=stored.smallest_normal if arithmetic.flushes else 0.0,
        largest=stored.largest,
        inner=FORMATS[wider or arithmetic.dtype].unit_roundoff,
        evaluation=min(ALLOWANCE * 2.0**-53 / u, 1.0),
        allowance=ALLOWANCE if u > 2.0**-53 else np.inf,
        absolute=float(absolute),
        cancels=float(not stable),
        sums=SEPARATE if wider is None else WiderSums(),
    )


@lru_cache
def together(members: tuple[Rules, ...]) -> Together:
    """The rules of several arithmetics at once, with the sums that they have been asked for."""
    return Together.of(members)
