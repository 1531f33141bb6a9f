"""The ℓ2 bound: what rounding errors add up to when they are independent and mean zero.

B_ℓ2 = λ sqrt(Σ_v (∂g/∂v · c_v)²) over all intermediates v of an evaluation, with their local
roundings c_v and exact per-sample Jacobians; λ = sqrt(2 ln(2P / 1e-9)) for P entries, so that by
Hoeffding's inequality no entry passes it but once in 10⁹ networks. Higham and Mary, *A new
approach to probabilistic rounding error analysis*, SIAM J. Sci. Comput. 41 (2019); Connolly,
Higham and Mary, *Stochastic rounding and its probabilistic backward error analysis* (2021).

It is not a theorem about deterministic arithmetic: biased rounding can pass it. What lies
between it and B is suspicious, not proved wrong.

Two more things follow from the same numbers. Accuracy is not correctness: an engine can be right,
as its formula allows, and have no correct digit where a (1 - a) cancels. Precision claimed is not
precision seen: errors over their sensitivities estimate the unit roundoff that an engine really
works with.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from crosscheck.arithmetic.activations import ACTIVATIONS
from crosscheck.arithmetic.costs import COSTS
from crosscheck.arithmetic.promise import Arithmetic
from crosscheck.arithmetic.rounding_rules import Rules, rules_of
from crosscheck.bounds import reverse
from crosscheck.bounds.records import Bound, Trace
from crosscheck.networks.network import Array, Case

FAILURES = 1e-9
"""Chance that independent rounding errors pass the bound somewhere in a network."""

LEAST_VARIANCE = 1e-290
"""Below this a sum of squares may have lost its terms to float64's underflow."""

LEAST_SIZE = 1e-129
"""Below this the squares of an array's roundings in float64 are below LEAST_VARIANCE."""

CALIBRATION_BITS = 2.4
"""How much smaller errors are than their sensitivities times u, in bits.

Sensitivities take each rounding at its largest. NumPy's plain float32 and float64, on 150 random
architectures each, show 2.4 bits less in the median; no verdict rests on this.
"""

LEAST_ENTRIES = 4
"""Errors that a tensor must have before it tells anything of the roundoff."""


def confidence(entries: int) -> float:
    """λ for a gradient of so many entries."""
    return float(np.sqrt(2 * np.log(2 * entries / FAILURES)))


class Spread(NamedTuple):
    """An array's derivatives by all roundings so far, each times its size c_v.

    `columns` (D, V, n): the V earlier roundings of a sample that its n entries depend on, in the
    order in which they happened. `own` (D, n): the array's own, one an entry, which would be
    the next n columns. Roundings of different samples are different.
    """

    columns: Array
    own: Array

    def through(self, matrix: Array) -> Array:
        """Columns (D, V + n, m) after a product with an exact matrix (n, m) from the right."""
        samples, count, width = self.columns.shape
        columns = np.empty((samples, count + width, matrix.shape[1]))
        np.matmul(self.columns, matrix, out=columns[:, :count])
        np.multiply(self.own[:, :, None], matrix, out=columns[:, count:])
        return columns

    def dense(self) -> Array:
        """Columns (D, V + n, n), the own ones among them."""
        return self.through(np.eye(self.own.shape[1]))

    def variance(self) -> Array:
        """Σ_v (∂x/∂v c_v)², shape (D, n)."""
        return np.einsum("ivn,ivn->in", self.columns, self.columns) + np.square(self.own)

    def covariance(self, columns: Array) -> Array:
        """Σ_v over the roundings it shares with another array's columns (D, V′, m): (D, n, m)."""
        count, width = self.columns.shape[1:]
        shared = np.matmul(self.columns.transpose(0, 2, 1), columns[:, :count])
        shared += self.own[:, :, None] * columns[:, count : count + width]
        return shared

    def add_to(self, columns: Array, factor: Array) -> None:
        """Add `factor` (D, n) times this spread to an array's columns, in place."""
        count, width = self.columns.shape[1:]
        columns[:, :count] += self.columns * factor[:, None, :]
        columns[:, count + np.arange(width), np.arange(width)] += self.own * factor


def local_product(rules: Rules, left: Array, right: Array, bias: Array | None = None) -> Array:
    """The size of a product's own rounding, its operands taken as exact.

    Each term is rounded once, and each of the n - 1 partial sums, whose mean square over all
    orders of summation is at most (C² + Σ terms²) / 2.
    """
    value = left @ right
    squares = np.square(left) @ np.square(right)
    n = left.shape[-1]
    if bias is not None:
        value, squares, n = value + bias, squares + np.square(bias), n + 1
    inner = squares + (n - 1) * (np.square(value) + squares) / 2
    size: Array = rules.inner * np.sqrt(inner) + (
        rules.u * np.abs(value) if rules.sums.wider else 0.0
    )
    return size


class ForwardSpreads(NamedTuple):
    """Spreads of a^1 … a^N, and of those z^l from which σ′ is taken, else None."""

    activations: list[Spread]
    z: list[Spread | None]


def _forward(case: Case, trace: Trace, rules: Rules) -> ForwardSpreads:
    """The roundings of z^l and σ meet in one column per neuron."""
    inputs = trace.activations[0]
    nothing = np.zeros((len(inputs), 0, inputs.shape[1]))
    forward = ForwardSpreads([Spread(nothing, np.zeros_like(inputs))], [])
    for k, name in enumerate(case.architecture.activations):
        w, b = (x[k].astype(np.float64) for x in (case.weights, case.biases))
        of_z = local_product(rules, trace.activations[k], w, b)
        of_a = ACTIVATIONS[name].roundings * rules.u * np.abs(trace.activations[k + 1])
        before = forward.activations[-1]
        columns = before.through(w) if k else np.zeros((len(inputs), 0, w.shape[1]))
        slope = trace.slopes[k]
        by_z = slope is not None and ACTIVATIONS[name].slope_by_value is None
        forward.z.append(Spread(columns.copy(), of_z) if by_z else None)
        if slope is not None:
            columns *= slope[:, None, :]
            of_z = of_z * slope
        forward.activations.append(Spread(columns, np.hypot(of_z, of_a)))
    forward.activations[0] = Spread(nothing, np.zeros((len(inputs), 0)))
    return forward


def _backward(case: Case, trace: Trace, rules: Rules, forward: ForwardSpreads) -> list[Spread]:
    """Spreads of δ^2 … δ^N; G's rounding and δ's own meet in one column per neuron."""
    cost, a, targets = (
        COSTS[case.architecture.cost],
        trace.activations[-1],
        case.targets.astype(np.float64),
    )
    own = cost.rule(rules, a, None, targets, trace.scale, case.architecture.widths[-1])
    curvature = trace.scale * cost.curvature(a, targets)
    columns = forward.activations[-1].dense() * curvature[:, None, :]
    deltas: list[Spread] = []
    for k in range(case.architecture.layers - 2, -1, -1):
        deltas.insert(0, _times_slope(case, trace, rules, forward, k, Spread(columns, own)))
        if k:
            w = case.weights[k].astype(np.float64).T
            own = local_product(rules, trace.deltas[k], w)
            columns = deltas[0].through(w)
    return deltas


def _times_slope(
    case: Case, trace: Trace, rules: Rules, forward: ForwardSpreads, k: int, pulled_back: Spread
) -> Spread:
    """The spread of δ = G σ′, with the product of both factors' deviations as one more rounding.

    That product is of second order, and all there is where σ′ underflows in saturation.
    """
    slope = trace.slopes[k]
    if slope is None:
        return pulled_back
    spread, steepness = _spread_of_slope(case, trace, forward, k)
    deviation = np.abs(steepness) * np.sqrt(spread.variance())
    second = confidence(case.architecture.parameters) * deviation * np.sqrt(pulled_back.variance())
    columns = pulled_back.columns * slope[:, None, :]
    spread.add_to(columns, trace.pulled_back[k] * steepness)
    own = rules.gamma(3) * np.abs(trace.deltas[k])
    return Spread(columns, np.sqrt((pulled_back.own * slope) ** 2 + own**2 + second**2))


def _spread_of_slope(
    case: Case, trace: Trace, forward: ForwardSpreads, k: int
) -> tuple[Spread, Array]:
    """The spread of what σ′ of layer k + 2 is taken from, a or z, and σ′'s derivative by it."""
    activation, of_z = ACTIVATIONS[case.architecture.activations[k]], forward.z[k]
    if of_z is None:
        assert activation.slope_by_value is not None
        return forward.activations[k + 1], activation.slope_by_value(trace.activations[k + 1])
    assert activation.curvature is not None
    return of_z, activation.curvature(trace.z[k])


def _weight_variance(a: Array, of_a: Spread, delta: Array, of_delta: Spread) -> Array:
    """Variance of Σ_i a_im δ_it, in which a and δ depend on common roundings."""
    variance = np.square(a).T @ of_delta.variance()
    if of_a.own.shape[1]:
        variance += of_a.variance().T @ np.square(delta)
        common = of_a.covariance(of_delta.columns)
        common *= delta[:, None, :]
        variance += 2 * np.einsum("im,imt->mt", a, common)
    return np.maximum(variance, 0.0)


def standard_deviations(case: Case, trace: Trace, arithmetic: Arithmetic) -> list[Array]:
    """sqrt(Σ_v (∂g/∂v · c_v)²) of every tensor, as `Architecture.tensor_names`.

    Those of rounding alone: what underflow and flushing add is not random, and comes on top.
    """
    rounding = Arithmetic(arithmetic.dtype, accumulate=arithmetic.accumulate)
    with np.errstate(all="ignore"):
        return _standard_deviations(case, trace, rules_of(rounding))


def _standard_deviations(case: Case, trace: Trace, rules: Rules) -> list[Array]:
    forward = _forward(case, trace, rules)
    backward = _backward(case, trace, rules, forward)
    tensors = []
    for k, (a, delta) in enumerate(zip(trace.activations, trace.deltas, strict=False)):
        by_weight = _weight_variance(a, forward.activations[k], delta, backward[k])
        of_weight = local_product(rules, a.T, delta)
        of_bias = local_product(rules, np.ones((1, len(delta))), delta)[0]
        lost = _tiny(a)[:, None] | _tiny(delta)
        tensors.append(np.where(lost, np.inf, _root(by_weight + of_weight**2)))
        tensors.append(_root(backward[k].variance().sum(0) + of_bias**2))
    return tensors


def _tiny(array: Array) -> Array:
    """Columns whose squares underflow, though a large partner may hide that in a product."""
    largest = np.abs(array).max(0)
    return (largest > 0) & (largest < LEAST_SIZE)


def _root(variance: Array) -> Array:
    """Its square root, or ∞ where squares underflow and nothing can be said."""
    return np.where(variance < LEAST_VARIANCE, np.inf, np.sqrt(variance))


class Parts(NamedTuple):
    """The contracted B, what of it stays when u vanishes, and the digits that a (1 - a) loses.

    They are the same in every order of evaluation.
    """

    plain: Bound
    floor: Bound
    digits_lost: list[float]

    @classmethod
    def of(cls, case: Case, trace: Trace, arithmetic: Arithmetic) -> "Parts":
        plain, floor, stable = reverse.with_parts(case, trace, arithmetic)
        most = case.format.digits * np.log10(2)
        with np.errstate(all="ignore"):
            ratios = (b / s for b, s in zip(plain.tensors, stable.tensors, strict=True))
            return cls(plain, floor, [min(_digits(ratio), most) for ratio in ratios])


@dataclass(frozen=True)
class Sensitivities:
    """Tensor by tensor: the ℓ2 bound, standard deviations for u = 1, and lost digits."""

    l2: Sequence[Array]
    deviations: Sequence[Array]
    digits_lost: Sequence[float]

    @classmethod
    def of(
        cls,
        case: Case,
        trace: Trace,
        arithmetic: Arithmetic,
        limits: Sequence[Array],
        deviations: Sequence[Array] | None = None,
        parts: Parts | None = None,
    ) -> "Sensitivities":
        """`limits` is B in the engine's own order, by whose excess the ℓ2 bound is widened.

        `deviations` are what `standard_deviations` gives, and `parts` those of the arithmetic,
        where they are known already.
        """
        plain, floor, lost = parts or Parts.of(case, trace, arithmetic)
        with np.errstate(all="ignore"):
            deviations = deviations or standard_deviations(case, trace, arithmetic)
            factor = confidence(case.architecture.parameters)
            widened = [np.fmax(1.0, b / p) for b, p in zip(limits, plain.tensors, strict=True)]
            l2 = [
                np.nan_to_num((factor * s + least) * wide, nan=np.inf, posinf=np.inf)
                for s, least, wide in zip(deviations, floor.tensors, widened, strict=True)
            ]
        u = case.format.unit_roundoff
        return cls(l2, [s / u for s in deviations], lost)

    def measure(self, error: Array, radius: Array, which: int) -> dict[str, float]:
        """The columns of a row that these give, from a tensor's errors and the reference's."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            excess = error - radius
            use = np.where(excess <= 0, 0.0, excess / self.l2[which])
        return {
            "l2_use": float(np.fmax.reduce(use, axis=None)),
            "digits_lost": self.digits_lost[which],
            "roundoff_bits": self.roundoff_bits(error, radius, which),
        }

    def roundoff_bits(self, error: Array, radius: Array, which: int) -> float:
        """-log₂ of the root mean square of errors over sensitivities; NaN where few tell."""
        deviations = self.deviations[which]
        told = (error > radius) & np.isfinite(deviations) & (deviations > 0)
        if told.sum() < LEAST_ENTRIES or not np.isfinite(error[told]).all():
            return float("nan")
        with np.errstate(over="ignore", under="ignore"):
            ratio = error[told] / deviations[told]
            mean = float(np.sqrt(np.mean(np.square(ratio))))
        return -float(np.log2(mean)) - CALIBRATION_BITS if 0 < mean < np.inf else float("nan")


def _digits(ratio: Array) -> float:
    """Decimal digits in the median of ratios of bounds; 0 where both bounds are ∞ throughout."""
    told = ratio[~np.isnan(ratio)]
    return float(np.log10(np.fmax(1.0, np.median(told)))) if told.size else 0.0
