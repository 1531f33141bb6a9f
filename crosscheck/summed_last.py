"""What orders that carry a Jacobian and sum over the outputs last leave to magnitudes.

The literal recursion and forward mode, with E of their Jacobians from `orders`; see `correlated`.
"""

import numpy as np

from crosscheck import orders
from crosscheck.deviations import UNIT, Deviation, rounding
from crosscheck.evaluation import Bound
from crosscheck.orders import Carried
from crosscheck.pulled_back import (
    SCALING,
    InOrder,
    Setting,
    Swept,
    bias_terms,
    second_order,
    use_of,
)
from crosscheck.rounding_rules import Uncertain
from crosscheck.values import Array


def _sum_last(
    back: Setting,
    k: int,
    swept: Swept,
    jacobian: Uncertain,
    local: Array,
    lacking: Array,
    limits: Bound,
) -> list[Array]:
    """local_e where terms residual × Jacobian (D, n_N, n) × activation are added up last.

    `local` (D, n_N, n) is what the Jacobian lacks of its first order, `lacking` (D, n) what
    coefficients lack.
    """
    rules, trace, a = back.rules, back.trace, back.activation(k)
    assert back.residual.error is not None
    assert jacobian.error is not None
    most_r, e_r = back.residual.most[:, :, None], back.residual.error[:, :, None]
    roundings = 4 + SCALING
    gamma = rules.gamma(roundings)
    most = most_r * (jacobian.most + local)
    added = most_r * local + gamma * most + roundings * rules.eta + e_r * jacobian.error
    terms = most + added
    deviation = (most_r * jacobian.error + e_r * jacobian.size + added).sum(1)
    own = added.sum(1) + lacking
    flat = terms.reshape(-1, terms.shape[2])
    repeated = np.repeat(a.most, terms.shape[1], axis=0)
    lost = SCALING * max(1, terms.shape[1]) * rules.eta + rules.eta * most_r.sum()
    by_weight = a.most.T @ own
    value = by_weight + np.abs(trace.weights[k])
    value += (1 + rules.evaluation) * limits.tensors[2 * k]
    by_weight += rounding(rules, repeated.T, flat, value)
    by_weight += second_order(a, deviation, swept.deltas[k].off) + lost
    return [by_weight, bias_terms(back, k, flat, own.sum(0), limits) + lost]


def _sloped(back: Setting, carried: Carried, k: int) -> Array:
    """Multiply by σ′ of layer k + 2; what that adds beyond first order, like the Jacobian."""
    before = carried.known
    carried.times_slope(back.forward, back.trace, k)
    slope = back.passed[k].slope
    if slope is None:
        return np.zeros_like(before.size)
    second = 0.0 if before.error is None else before.error * slope.error[:, None]
    return use_of(back, k, before.most, second + np.zeros_like(before.size))


def _multiplied(back: Setting, carried: Carried, local: Array, matrix: Array) -> Array:
    """Multiply by weights; what that rounds, and `local` through their magnitudes."""
    rules, before = back.rules, carried.known
    carried.times_matrix(matrix)
    w = np.abs(matrix)
    most = before.most + local
    own = rounding(rules, most, w, carried.known.most) + local @ w
    return own + 2 * rules.eta * most.sum(-1, keepdims=True)


class Through:
    """Magnitudes (D, n) of what the literal order's own symbols do, and what their chains lack.

    Their coefficients are products of the trace's slopes and of weights, rounded in float64.
    """

    def __init__(self, nothing: Array) -> None:
        self.reach = self.lacking = nothing

    def times_slope(self, slope: Deviation | None) -> None:
        if slope is not None:
            self.lacking = self.lacking * slope.size
            self.lacking = self.lacking + self.reach * (slope.off + 4 * UNIT * slope.size)
            self.reach = self.reach * slope.size

    def times_matrix(self, w: Array, radius: Array) -> None:
        self.lacking = self.lacking @ w + (len(w) + 2) * UNIT * (self.reach @ w)
        self.reach = self.reach @ w + radius


def literal(back: Setting, swept: Swept, limits: Bound) -> InOrder:
    """∂a^N/∂z^l from layer to layer, from N down; see `orders.literal`."""
    rules, case = back.rules, back.case
    carried = Carried(rules, orders.units(case, case.architecture.widths[-1]))
    through = Through(np.zeros_like(back.residual.size))
    radii: list[Array] = []
    local: list[Array] = []
    for k in range(case.architecture.layers - 2, -1, -1):
        behind = orders.behind(back.residual, carried.known).sum(0)
        added = _sloped(back, carried, k)
        known = carried.known
        jacobian = known if known.error is not None else Uncertain(known.size, 0 * known.size)
        through.times_slope(back.passed[k].slope)
        lacking = swept.rounded[k] + through.lacking
        by_weight, by_bias = _sum_last(back, k, swept, jacobian, added, lacking, limits)
        local[:0] = [by_weight + 2 * rules.eta * behind, by_bias]
        if k:
            own = _multiplied(back, carried, added, back.weights(k).T)
            radii.insert(0, np.einsum("ij,ijn->in", swept.pulled_back[-1].size, own))
            through.times_matrix(np.abs(back.weights(k)).T, radii[0])
    return InOrder(radii, local, limits.tensors, alike=True)


def forward_mode(back: Setting, swept: Swept, limits: Bound) -> InOrder:
    """∂a^k/∂z^l for each l, from k = l up to N; see `orders.forward_mode`."""
    rules, case = back.rules, back.case
    layers = case.architecture.layers
    lost = orders.lost_tangents(case, rules, back.forward, back.residual)
    local: list[Array] = []
    for k in range(layers - 1):
        carried = Carried(rules, orders.units(case, case.architecture.widths[k + 1]))
        added = _sloped(back, carried, k)
        early = np.zeros((case.samples, case.architecture.widths[k + 1]))
        for later in range(k + 1, layers - 1):
            own = _multiplied(back, carried, added, back.weights(later))
            early += np.einsum("itn,in->it", own, swept.deltas[later].size)
            added = _sloped(back, carried, later)
        known = carried.transposed
        jacobian = known if known.error is not None else Uncertain(known.size, 0 * known.size)
        last = added.transpose(0, 2, 1)
        lacking = swept.rounded[k]
        by_weight, by_bias = _sum_last(back, k, swept, jacobian, last, lacking, limits)
        by_weight += back.activation(k).most.T @ early + lost[k]
        local += [by_weight, by_bias + early.sum(0)]
    widths = case.architecture.widths[1:-1]
    nothing = [np.zeros((case.samples, n)) for n in widths]
    return InOrder(nothing, local, limits.tensors, alike=False)
