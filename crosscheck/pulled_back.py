"""δ carried backward by its symbols, and what the contracted order leaves to magnitudes.

The coefficients are those of every order; see `correlated`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from crosscheck.bound import Forward
from crosscheck.deviations import UNIT, Deviation, Passed, appended, inputs, rounding
from crosscheck.evaluation import Bound, Trace
from crosscheck.rounding_rules import Rules, Uncertain
from crosscheck.values import Array, Case

SCALING = 4
"""Roundings of the cost's factor, wherever it is applied: as in `Rules.residual`."""

PRODUCT = 3
"""Roundings of a product with σ′, of which σ′ may be formed within: as in `Rules.hadamard`."""


class Setting(NamedTuple):
    """What every order needs: B's forward pass and residual, and the layers by their symbols."""

    case: Case
    trace: Trace
    rules: Rules
    forward: Forward
    residual: Uncertain
    passed: Sequence[Passed]

    def activation(self, k: int) -> Deviation:
        """a^(k + 1)."""
        return self.passed[k - 1].a if k else inputs(self.trace)

    def weights(self, k: int) -> Array:
        """w^(k + 2) in float64."""
        return self.case.weights[k].astype(np.float64)


class InOrder(NamedTuple):
    """What is an order's own: radii (D, n_l) of the symbols of G^l, l = 2 … N-1, and `local`.

    `local` and B, `allowed`, are tensor by tensor, as `Architecture.tensor_names`. `alike` says
    whether all entries of a tensor come of the same arrays.
    """

    radii: Sequence[Array]
    local: Sequence[Array]
    allowed: Sequence[Array]
    alike: bool


class Swept(NamedTuple):
    """The contracted order; and of it what all orders share: G, δ, and what float64 rounded.

    `rounded` (D, n_l) bounds what the coefficients of δ^l lack of those of the exact values.
    `known` counts the symbols of residual and slopes that come before those of each G^l, from N
    down: the last is of the slope of l = 2.
    """

    pulled_back: Sequence[Deviation]
    deltas: Sequence[Deviation]
    rounded: Sequence[Array]
    known: Sequence[int]
    radii: Sequence[Array]
    local: Sequence[Array]


def _residual(back: Setting) -> Deviation:
    """∂cost/∂a^N, whose own roundings have a symbol."""
    rules, trace, a = back.rules, back.trace, back.passed[-1].a
    difference = np.abs(trace.activations[-1] - back.case.targets.astype(np.float64))
    outputs = difference.shape[1]
    own = rules.residual(difference + a.off + a.error, None, trace.scale, outputs)
    own += 8 * UNIT * trace.scale * np.abs(a.columns).sum(1)
    assert back.residual.error is not None
    columns = appended(2 * trace.scale * a.columns, own)
    error = np.minimum(np.abs(columns).sum(1), back.residual.error)
    off = rules.evaluation * back.residual.error
    return Deviation(trace.pulled_back[-1], off, columns, error)


def backward(back: Setting, limits: Bound | None) -> Swept:
    """δ carried backward. G^l has a unit symbol each; its radius is the order's."""
    rules, trace = back.rules, back.trace
    g = _residual(back)
    by_b, lacking = back.residual, np.zeros_like(g.value)
    known, seen = list[int](), 0
    pulled, deltas = [g], list[Deviation]()
    rounded, radii, local = list[Array](), list[Array](), list[Array]()
    scales = np.ones(g.columns.shape[:2])
    for k in range(back.case.architecture.layers - 2, -1, -1):
        delta, use, by_b, lacking = _times_slope(back, k, g, by_b, lacking, scales)
        known.append(delta.columns.shape[1] - seen)
        scales = _with_ones(scales, delta.columns.shape[1])
        deltas.insert(0, delta)
        rounded.insert(0, lacking)
        if limits is not None:
            local[:0] = _gradients(back, k, delta, use, lacking, limits)
        if not k:
            break
        w = np.abs(back.weights(k)).T
        value = trace.pulled_back[k - 1]
        ours = rules.product(by_b, Uncertain(w, None), value)
        off = rules.evaluation * ours
        columns = delta.columns @ back.weights(k).T
        behind = np.abs(delta.columns * scales[:, :, None]).sum(1)
        lacking = lacking @ w + (len(w) + 2) * UNIT * (behind @ w)
        reach = np.abs(columns * scales[:, :, None]).sum(1) + use @ w + lacking
        size = np.abs(value) + off + np.minimum(reach, ours)
        own = rounding(rules, delta.most + use, w, size) + use @ w + rules.gamma(SCALING) * size
        radii.insert(0, own)
        scales = np.concatenate([scales, own], 1)
        columns = appended(columns, np.ones_like(own))
        seen = columns.shape[1]
        error = np.minimum(np.abs(columns * scales[:, :, None]).sum(1) + lacking, ours)
        g, by_b = Deviation(value, off, columns, error), rules.known(value, ours)
        pulled.insert(0, g)
    return Swept(pulled, deltas, rounded, known, radii, local)


def _with_ones(scales: Array, count: int) -> Array:
    """The scales (D, K) of so many symbols, of which the new ones are known in full."""
    return np.pad(scales, ((0, 0), (0, count - scales.shape[1])), constant_values=1.0)


def _times_slope(
    back: Setting, k: int, g: Deviation, by_b: Uncertain, lacking: Array, scales: Array
) -> tuple[Deviation, Array, Uncertain, Array]:
    """δ = G s: its symbols, what each use adds, B's E of it, and what its coefficients lack."""
    slope, rules = back.passed[k].slope, back.rules
    if slope is None:
        return g, np.zeros_like(g.value), by_b, lacking
    value = back.trace.deltas[k]
    b_slope = back.forward.layers[k].slope
    assert b_slope is not None
    by_b = rules.known(value, rules.hadamard(by_b, b_slope))
    assert by_b.error is not None
    parts = [g.columns * slope.value[:, None], slope.columns * g.value[:, None]]
    columns = np.concatenate(parts, axis=1)
    reach = np.abs(g.columns * scales[:, :, None]).sum(1)
    lacking = lacking * slope.most + slope.off * reach + g.off * slope.error
    lacking += 4 * UNIT * (reach * slope.size + np.abs(slope.columns).sum(1) * g.size)
    # The cost's factor may come later: to δ^N, to a G, or to a gradient, as `_gradients` has.
    last = k == back.case.architecture.layers - 2
    use = use_of(back, k, g.most, slope.error * g.error, PRODUCT + SCALING * last)
    scales = _with_ones(scales, columns.shape[1])
    error = np.minimum(np.abs(columns * scales[:, :, None]).sum(1) + lacking + use, by_b.error)
    return Deviation(value, rules.evaluation * by_b.error, columns, error), use, by_b, lacking


def use_of(back: Setting, k: int, most: Array, second: Array, roundings: int = PRODUCT) -> Array:
    """What a product with σ′ of layer k + 2 may add, differently in each use: (…, n).

    `most` is at least the other factor as computed; `second` the product of both deviations.
    """
    passed, rules = back.passed[k], back.rules
    assert passed.slope is not None
    gamma = rules.gamma(roundings)
    factor, extra = passed.slope.most, passed.unshared
    if most.ndim == 3:
        factor, extra = factor[:, None], extra[:, None]
    underflow = roundings * rules.eta + rules.tau * (most + factor)
    return second + gamma * most * factor + (1 + gamma) * most * extra + underflow


def _gradients(
    back: Setting, k: int, delta: Deviation, use: Array, lacking: Array, limits: Bound
) -> list[Array]:
    """local_e of ∂cost/∂w and ∂cost/∂b at layer k + 2 in the contracted order."""
    rules, trace, a = back.rules, back.trace, back.activation(k)
    use = use + rules.gamma(SCALING) * delta.most
    most = delta.most + use
    # What was scaled first or last may underflow there, as in B.
    lost = SCALING * max(1, back.case.architecture.widths[-1]) * rules.eta
    by_weight = a.most.T @ (use + lacking)
    value = by_weight + np.abs(trace.weights[k])
    value += (1 + rules.evaluation) * limits.tensors[2 * k]
    by_weight += second_order(a, delta.error, delta.off) + lost
    by_weight += rounding(rules, a.most.T, most, value)
    by_weight += rules.eta * trace.unscaled * (a.most.T @ most)
    return [by_weight, bias_terms(back, k, most, (use + lacking).sum(0), limits) + lost]


def bias_terms(back: Setting, k: int, most: Array, own: Array, limits: Bound) -> Array:
    """local_e of a sum of terms (…, n_l) of these magnitudes, which add up to `own` themselves."""
    value = own + np.abs(back.trace.biases[k])
    value += (1 + back.rules.evaluation) * limits.tensors[2 * k + 1]
    total: Array = rounding(back.rules, np.ones((1, len(most))), most, value[None])[0]
    return total + own


def second_order(a: Deviation, error: Array, off: Array) -> Array:
    """Σ_i of products of two deviations, of activations and of δ: (n_(l-1), n_l)."""
    total: Array = (a.error + a.off).T @ error + a.error.T @ off
    return total
