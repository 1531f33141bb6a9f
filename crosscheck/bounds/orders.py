"""The bound B in orders of evaluation that carry a Jacobian and sum over the outputs last.

The rules are those of `bound`. The paper's literal recursion carries ∂a^N/∂z^l backward, with an
exact cotangent e_j; forward mode carries ∂a^k/∂z^l forward, with an exact tangent e_m. Where
outputs cancel, both may be off by more than δ carried backward: each gets a bound of its own.
"""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from crosscheck.arithmetic.promise import Arithmetic, Order
from crosscheck.arithmetic.rounding_rules import Rules, Uncertain, rules_of
from crosscheck.bounds.records import Bound, Trace
from crosscheck.bounds.reverse import (
    ForwardPass,
    Overflow,
    contracted,
    finish,
    forward_errors,
    residual_errors,
)
from crosscheck.networks.network import Array, Case


class Carried:
    """A Jacobian (D, n, m) as B knows it, with its float64 value; it grows factor by factor.

    `most` is what no partial sum of the last product with a matrix exceeds.
    """

    def __init__(self, rules: Rules, value: Array) -> None:
        self.rules, self.value = rules, value
        self.known = Uncertain(np.abs(value), None)
        self.most = np.abs(value)

    def times_slope(self, forward: ForwardPass, trace: Trace, k: int) -> None:
        """Multiply by σ′ of layer k + 2 along the last axis; a linear layer changes nothing."""
        slope, value = forward.layers[k].slope, trace.slopes[k]
        if slope is None or value is None:
            return
        spread = Uncertain(
            slope.size[:, None], None if slope.error is None else slope.error[:, None]
        )
        self.value = self.value * value[:, None]
        self.known = self.rules.known(self.value, self.rules.hadamard(self.known, spread))

    def times_matrix(self, weights: Array) -> None:
        """Multiply by a matrix of weights from the right.

        A term is a product of three, whose inner one may underflow before a large Jacobian
        entry multiplies it.
        """
        self.value = self.value @ weights
        operands = self.known, self.rules.known(weights, None)
        error, total = self.rules.product(*operands, self.value), self.rules.most_of(*operands)
        error += 2 * self.rules.eta * self.known.most.sum(-1, keepdims=True)
        self.known = self.rules.known(self.value, error)
        self.most = total + error

    @property
    def transposed(self) -> Uncertain:
        """Axes (D, m, n)."""
        error = self.known.error
        return Uncertain(
            self.known.size.transpose(0, 2, 1), None if error is None else error.transpose(0, 2, 1)
        )


def literal(case: Case, trace: Trace, arithmetic: Arithmetic, absolute: bool = False) -> Bound:
    """B for the paper's literal recursion: ∂a^N/∂z^l from layer to layer, from N down."""
    rules = rules_of(arithmetic, absolute)
    overflow = Overflow(rules, trace.unscaled)
    with np.errstate(all="ignore"):
        forward = forward_errors(case, trace, rules, overflow)
        rules = forward.rules
        residual = residual_errors(case, trace, rules, forward, overflow)
        carried = Carried(rules, units(case, case.architecture.widths[-1]))
        errors: list[Array] = []
        for k in range(case.architecture.layers - 2, -1, -1):
            lost = behind(residual, carried.known)
            carried.times_slope(forward, trace, k)
            a = forward.activations[k]
            largest = _largest(carried.known.most, a)
            overflow.watch(f"∂a{case.architecture.layers}/∂w{k + 2}", largest)
            by_weight, by_bias = _summed(rules, a, residual, carried.known, trace, k, overflow)
            by_weight += 2 * rules.eta * lost.sum(0)
            errors[:0] = [by_weight, by_bias]
            if k:
                carried.times_matrix(case.weights[k].astype(np.float64).T)
                overflow.watch(f"Jacobian of a{k + 1}", carried.most)
        return finish(case, errors, forward, overflow)[0]


def forward_mode(case: Case, trace: Trace, arithmetic: Arithmetic, absolute: bool = False) -> Bound:
    """B for forward mode: ∂a^k/∂z^l for each l, from k = l up to N."""
    rules = rules_of(arithmetic, absolute)
    overflow = Overflow(rules, trace.unscaled)
    with np.errstate(all="ignore"):
        forward = forward_errors(case, trace, rules, overflow)
        rules = forward.rules
        residual = residual_errors(case, trace, rules, forward, overflow)
        lost = lost_tangents(case, rules, forward, residual)
        errors: list[Array] = []
        for k in range(case.architecture.layers - 1):
            a = forward.activations[k]
            carried = Carried(rules, units(case, case.architecture.widths[k + 1]))
            carried.times_slope(forward, trace, k)
            for later in range(k + 1, case.architecture.layers - 1):
                carried.times_matrix(case.weights[later].astype(np.float64))
                overflow.watch(f"tangent of z{later + 2}", carried.most)
                overflow.watch(f"tangent of z{later + 2}", _largest(carried.most, a))
                carried.times_slope(forward, trace, later)
            by_weight, by_bias = _summed(rules, a, residual, carried.transposed, trace, k, overflow)
            errors += [by_weight + lost[k], by_bias]
        return finish(case, errors, forward, overflow)[0]


def behind(residual: Uncertain, jacobian: Uncertain) -> Array:
    """Σ_j |residual| |∂a^N_j/∂x|, (D, n): what an error of x becomes in the cost."""
    most: Array = np.einsum("ij,ijn->in", residual.most, jacobian.most)
    return most


def _largest(jacobian: Array, a: Uncertain) -> Array:
    """The largest |entry of the Jacobian × activation| in each sample."""
    largest: Array = jacobian.max((1, 2)) * a.most.max(1)
    return largest


def lost_tangents(
    case: Case, rules: Rules, forward: ForwardPass, residual: Uncertain
) -> list[Array]:
    """What underflow may take from ∂cost/∂w where tangents carry the activation from the start.

    A tangent by w_mt is a_m times the Jacobian's column, and underflows where a_m is tiny though
    the Jacobian is not; each later layer multiplies what was lost. One row (n_l) a layer: at
    layer l only neuron t has a tangent, at later ones all have.
    """
    lost: list[Array] = []
    sensitivity, later = residual.most, 0.0
    for k in range(case.architecture.layers - 2, -1, -1):
        slope = forward.layers[k].slope
        own = np.zeros(case.architecture.widths[k + 1])
        if slope is not None:
            own = 4 * rules.eta * sensitivity.sum(0)
            sensitivity = sensitivity * slope.most
        terms = 2 * (case.architecture.widths[k] + 1) * rules.eta * sensitivity.sum(0)
        lost.insert(0, own + terms + later)
        later += float((own + terms).sum())
        sensitivity = sensitivity @ np.abs(case.weights[k].astype(np.float64)).T
    return lost


def units(case: Case, width: int) -> Array:
    """The unit vectors e_1 … e_n for every sample: (D, n, n)."""
    return np.broadcast_to(np.eye(width), (case.samples, width, width))


def _summed(
    rules: Rules,
    a: Uncertain,
    residual: Uncertain,
    jacobian: Uncertain,
    trace: Trace,
    k: int,
    overflow: Overflow,
) -> list[Array]:
    """E of the sums over samples and outputs of residual × Jacobian × activation."""
    spread = Uncertain(
        residual.size[:, :, None],
        None if residual.error is None else residual.error[:, :, None],
    )
    error = rules.hadamard(spread, jacobian, roundings=4)
    samples, outputs = residual.size.shape
    terms = Uncertain(
        (spread.size * jacobian.size).reshape(samples * outputs, -1),
        error.reshape(samples * outputs, -1),
    )
    repeated = Uncertain(
        np.repeat(a.size, outputs, axis=0),
        None if a.error is None else np.repeat(a.error, outputs, axis=0),
    )
    by_weight = rules.product(repeated.transposed, terms, trace.weights[k])
    by_weight += rules.eta * spread.most.sum()
    most = partial(rules.most_of, repeated.transposed, terms)
    overflow.watch_sum(f"gradient of w{k + 2}", by_weight, most, trace.unscaled)
    ones = Uncertain(np.ones((1, samples * outputs)), None)
    by_bias = rules.product(ones, terms, trace.biases[k][None], stored=True)
    most = partial(rules.most_of, ones, terms)
    overflow.watch_sum(f"gradient of b{k + 2}", by_bias, most, trace.unscaled)
    return [by_weight, by_bias]


Rule = Callable[[Case, Trace, Arithmetic, bool], Bound]

RULES: Mapping[Order, Rule] = {
    "contracted": contracted,
    "literal": literal,
    "forward": forward_mode,
}
"""Order of evaluation to its bound."""

NAMES: Mapping[Order, tuple[Order, ...]] = {
    **{order: (order,) for order in RULES},
    "either": (*RULES,),
}
"""What an engine names to the orders of which the largest bound holds."""


def for_order(case: Case, trace: Trace, arithmetic: Arithmetic, absolute: bool = False) -> Bound:
    """B for the order of evaluation that an engine names; the largest for "either".

    With `absolute`, B allows activations of absolute accuracy only.
    """
    bounds = [RULES[of](case, trace, arithmetic, absolute) for of in NAMES[arithmetic.order]]
    if len(bounds) == 1:
        return bounds[0]
    largest = case.architecture.split(np.maximum.reduce([b.tensors.flat for b in bounds]))
    overflow = next((b.overflow for b in bounds if b.overflow), None)
    return Bound(largest, overflow, bounds[0].kinks, max(b.growth for b in bounds))
