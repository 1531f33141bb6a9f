"""The ℓ2 bound: what rounding errors add up to when they are independent and mean zero.

B_ℓ2 = λ sqrt(Σ_v (∂g/∂v · c_v)²) over all intermediates v of an evaluation, with their local
roundings c_v and exact per-sample Jacobians; λ = sqrt(2 ln(2P / 1e-9)) for P entries, so that by
Hoeffding's inequality no entry passes it but once in 10⁹ networks. Higham and Mary, *A new
approach to probabilistic rounding error analysis*, SIAM J. Sci. Comput. 41 (2019); Connolly,
Higham and Mary, *Stochastic rounding and its probabilistic backward error analysis* (2021).

It is not a theorem about deterministic arithmetic: biased rounding can pass it. What lies
between it and B is suspicious, not proved wrong.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from crosscheck.arithmetic import Arithmetic
from crosscheck.evaluation import Trace
from crosscheck.rounding_rules import Rules
from crosscheck.values import Array, Case

FAILURES = 1e-9
"""Chance that independent rounding errors pass the bound somewhere in a network."""

SLOPE_BY_ACTIVATION: Mapping[str, Callable[[Array], Array]] = {
    "sigmoid": lambda a: 1 - 2 * a,
    "tanh": lambda a: -2 * a,
    "relu": np.zeros_like,
}
"""dσ′/da as a function of a, for σ′ = a (1 - a), 1 - a² and a step."""

ROUNDINGS = {"sigmoid": 4, "tanh": 6, "relu": 0, "identity": 0}
"""Roundings of an activation function as libraries usually have it: half of what B allows."""


LEAST_VARIANCE = 1e-290
"""Below this a sum of squares may have lost its terms to float64's underflow."""

LEAST_SIZE = 1e-129
"""Below this the squares of an array's roundings in float64 are below LEAST_VARIANCE."""


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
    size: Array = rules.inner * np.sqrt(inner) + (rules.u * np.abs(value) if rules.wider else 0.0)
    return size


def _forward(case: Case, trace: Trace, rules: Rules) -> list[Spread]:
    """Spreads of a^1 … a^N: the roundings of z^l and σ meet in one column per neuron."""
    inputs = trace.activations[0]
    spreads = [Spread(np.zeros((len(inputs), 0, inputs.shape[1])), np.zeros_like(inputs))]
    for k, name in enumerate(case.architecture.activations):
        w, b = (x[k].astype(np.float64) for x in (case.weights, case.biases))
        of_z = local_product(rules, trace.activations[k], w, b)
        of_a = ROUNDINGS[name] * rules.u * np.abs(trace.activations[k + 1])
        columns = spreads[-1].through(w) if k else np.zeros((len(inputs), 0, w.shape[1]))
        slope = trace.slopes[k]
        if slope is not None:
            columns *= slope[:, None, :]
            of_z = of_z * slope
        spreads.append(Spread(columns, np.hypot(of_z, of_a)))
    spreads[0] = Spread(spreads[0].columns, spreads[0].own[:, :0])
    return spreads


def _backward(case: Case, trace: Trace, rules: Rules, forward: list[Spread]) -> list[Spread]:
    """Spreads of δ^2 … δ^N; G's rounding and δ's own meet in one column per neuron."""
    difference = trace.activations[-1] - case.targets.astype(np.float64)
    own = rules.residual(difference, None, trace.scale, case.architecture.widths[-1])
    columns = forward[-1].dense() * (2 * trace.scale)
    deltas: list[Spread] = []
    for k in range(case.architecture.layers - 2, -1, -1):
        deltas.insert(0, _times_slope(case, trace, rules, forward[k + 1], k, Spread(columns, own)))
        if k:
            w = case.weights[k].astype(np.float64).T
            own = local_product(rules, trace.deltas[k], w)
            columns = deltas[0].through(w)
    return deltas


def _times_slope(
    case: Case, trace: Trace, rules: Rules, of_a: Spread, k: int, pulled_back: Spread
) -> Spread:
    """The spread of δ = G σ′, with the product of both factors' deviations as one more rounding.

    That product is of second order, and all there is where σ′ underflows in saturation.
    """
    slope = trace.slopes[k]
    if slope is None:
        return pulled_back
    by_a = SLOPE_BY_ACTIVATION[case.architecture.activations[k]](trace.activations[k + 1])
    deviation = np.abs(by_a) * np.sqrt(of_a.variance())
    second = confidence(case.architecture.parameters) * deviation * np.sqrt(pulled_back.variance())
    columns = pulled_back.columns * slope[:, None, :]
    of_a.add_to(columns, trace.pulled_back[k] * by_a)
    own = rules.gamma(3) * np.abs(trace.deltas[k])
    return Spread(columns, np.sqrt((pulled_back.own * slope) ** 2 + own**2 + second**2))


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
    """sqrt(Σ_v (∂g/∂v · c_v)²) of every tensor, as `Architecture.tensor_names`."""
    rules = Rules(arithmetic)
    forward = _forward(case, trace, rules)
    backward = _backward(case, trace, rules, forward)
    tensors = []
    for k, (a, delta) in enumerate(zip(trace.activations, trace.deltas, strict=False)):
        by_weight = _weight_variance(a, forward[k], delta, backward[k])
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
