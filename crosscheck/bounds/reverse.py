"""The rounding-error bound B: what any correct evaluation of the gradient may be off by.

A running error analysis (Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed.,
section 3.3) carried through the network: E_x >= |computed x - exact x|, entry by entry. It holds
for any order of summation, with or without fused multiply-add (Jeannerod and Rump, *Improved
error bounds for inner products in floating-point arithmetic*, SIAM J. Matrix Anal. 34 (2013)).

It is evaluated in float64 on non-negative numbers. Where a rule asks for the magnitude of an
exact number, it gets that of the float64 evaluation plus that evaluation's own error, which is
a share of E: no second pass is needed.

The share is ρ c with c = 2^-53 / u. Every rule f but one is made of sums and products, with
f(c E, c u) <= c f(E, u). The largest change of σ is concave in E_z, and there
f(c E, c u) <= (1 + E²/12) c f(E, u) e^(c E), as E/(e^E - 1) + E/2 <= 1 + E²/12, and at most
1 + E/2 in the place of 1 + E²/12. ρ is the product of these factors over the layers, 1 + 1e-9
where the bound says anything.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from crosscheck.arithmetic.activation_rules import Layer, growth_of
from crosscheck.arithmetic.activations import ACTIVATIONS
from crosscheck.arithmetic.costs import COSTS
from crosscheck.arithmetic.promise import Arithmetic
from crosscheck.arithmetic.rounding_rules import (
    ALLOWANCE,
    EVALUATION_SLACK,
    Rules,
    Together,
    Uncertain,
    rules_of,
)
from crosscheck.bounds import float64
from crosscheck.bounds.records import Bound, Trace
from crosscheck.networks.network import Architecture, Array, Case, Tensors


class Overflow:
    """Remembers the first quantity, in the order of evaluation, that may pass f_max.

    One name for each of the arithmetics whose rules these are. `unscaled` is how much larger
    quantities are where the cost's factor comes last. The least E of each sum of products is
    noted in `least` by the same names, where that is given. `looked` says whether any was so
    large that a look at E was not enough.
    """

    def __init__(
        self, rules: Rules, unscaled: float, least: dict[str, float] | None = None
    ) -> None:
        self.rules, self.least, self.looked = rules, least, False
        self.first: list[str | None] = [None] * rules.count
        self._safe = rules.safe / unscaled

    def watch(self, name: str, size: Array) -> None:
        """Whether `size`, with the arithmetics on its first axis, passes f_max."""
        if np.maximum.reduce(size, None) < self.rules.least_largest:
            return
        count = self.rules.count
        largest = np.broadcast_to(np.ravel(self.rules.largest), count)
        for place, most in enumerate(size.reshape(count, -1).max(1)):
            if self.first[place] is None and not most < largest[place]:
                self.first[place] = name

    def watch_sum(
        self, name: str, error: Array, most: Callable[[], Array], unscaled: float = 1.0
    ) -> float:
        """The same for a sum of products, of which no partial sum exceeds `most()`, with its E.

        As E > u most, a look at E is enough nearly always. The largest E is returned.
        """
        if self.least is not None:
            self.least[name] = float(np.minimum.reduce(error, None))
        largest = float(np.maximum.reduce(error, None))
        if not largest < self._safe:
            self.looked = True
            self.watch(name, (most() + error) * unscaled)
        return largest

    def watch_sums_over_samples(
        self, layer: int, a: Uncertain, delta: Uncertain, errors: Sequence[Array], unscaled: float
    ) -> None:
        """The same for the gradients of a layer's weights and biases."""
        by_weight, by_bias = errors
        most = partial(self.rules.most_of, a.transposed, delta)
        self.watch_sum(f"gradient of b{layer}", by_bias, partial(most_of_sum, delta), unscaled)
        self.watch_sum(f"gradient of w{layer}", by_weight, most, unscaled)

    def watch_gradients(self, flat: Array, architecture: Architecture) -> float:
        """The largest E of all gradients, of each arithmetic on the first axis."""
        return float(np.maximum.reduce(flat, None))


class QuickOverflow(Overflow):
    """The same for a quick pass, in which the gradients are looked at all at once.

    Which one may overflow, if `looked` says so, another pass tells.
    """

    def watch_sums_over_samples(
        self, layer: int, a: Uncertain, delta: Uncertain, errors: Sequence[Array], unscaled: float
    ) -> None:
        pass

    def watch_gradients(self, flat: Array, architecture: Architecture) -> float:
        largest = super().watch_gradients(flat, architecture)
        self.looked |= not largest < self._safe
        if self.least is not None:
            sizes = [math.prod(shape) for shape in architecture.tensor_shapes]
            starts = [0, *accumulate(sizes[:-1])]
            least = np.minimum.reduceat(np.minimum.reduce(flat), starts).tolist()
            names = architecture.tensor_names
            self.least |= {f"gradient of {n}": e for n, e in zip(names, least, strict=True)}
        return largest


def most_of_sum(delta: Uncertain) -> Array:
    """What no partial sum over the samples exceeds."""
    most: Array = np.add.reduce(delta.most, -2, keepdims=True)
    return most


class ForwardPass(NamedTuple):
    """Activations and weights as B knows them, what the layers' rules gave, ρ, and rules with
    room for it."""

    activations: list[Uncertain]
    layers: list[Layer]
    growth: float
    rules: Rules
    weights: list[Uncertain]


def forward_errors(case: Case, trace: Trace, rules: Rules, overflow: Overflow) -> ForwardPass:
    """E of z^l and a^l, l = 2 … N."""
    activations, layers = [rules.known(trace.activations[0], None)], []
    weights = [weights_of(case, k) for k in range(len(case.weights))]
    growth = 1.0
    for k, name in enumerate(case.architecture.activations):
        bias = np.abs(case.biases[k].astype(np.float64, copy=False))
        value = trace.z[k]
        operands = activations[-1], weights[k]
        error = rules.product(*operands, value, bias)
        most = partial(rules.most_of, *operands, bias)
        largest = overflow.watch_sum(f"z{k + 2}", error, most)
        a = trace.activations[k + 1]
        layers.append(ACTIVATIONS[name].rule(rules, value, error, a, trace.slopes[k]))
        activations.append(Uncertain(layers[-1].size, layers[-1].error))
        growth *= growth_of(ACTIVATIONS[name].concave, largest)
    if growth > rules.allowance and np.any(rules.evaluation < 1):
        return forward_errors(case, trace, rules.allowing(2 * growth), overflow)
    return ForwardPass(activations, layers, float(growth), rules, weights)


def weights_of(case: Case, k: int) -> Uncertain:
    """The weights of layer k + 2, which are exact."""
    return Uncertain(np.abs(case.weights[k].astype(np.float64, copy=False)), None)


def residual_errors(
    case: Case, trace: Trace, rules: Rules, forward: ForwardPass, overflow: Overflow
) -> Uncertain:
    """E of ∂cost/∂a^N."""
    a, of_a = trace.activations[-1], forward.layers[-1].error
    cost, targets = COSTS[case.architecture.cost], case.targets.astype(np.float64, copy=False)
    terms = cost.most(np.abs(a - targets), of_a)
    overflow.watch("cost", terms.sum((-1, -2)) * max(1.0, trace.scale))
    error = cost.rule(rules, a, of_a, targets, trace.scale, case.architecture.widths[-1])
    return rules.known(trace.pulled_back[-1], error)


def finish(
    case: Case, errors: Sequence[Array], forward: ForwardPass, overflow: Overflow
) -> list[Bound]:
    """All orders end alike: the slack for evaluating B, ∞ for what is no number, the kinks.

    A bound for each of the arithmetics.
    """
    count = len(overflow.first)
    flat = np.concatenate([error.reshape(count, -1) for error in errors], axis=1)
    largest = overflow.watch_gradients(flat, case.architecture)
    flat *= EVALUATION_SLACK
    if not largest < np.inf:
        flat[np.isnan(flat)] = np.inf
    behind = _kinks_behind(forward.layers, count)
    return [
        Bound(case.architecture.split(flat[place]), overflow.first[place], kinks, forward.growth)
        for place, kinks in enumerate(behind)
    ]


def _kinks_behind(layers: Sequence[Layer], count: int) -> list[list[int]]:
    """For each arithmetic, and each tensor, the kinks in its own layer and those above."""
    if all(isinstance(layer.kinks, int) and not layer.kinks for layer in layers):
        return [[0] * (2 * len(layers))] * count
    kinks = np.array([np.broadcast_to(layer.kinks, count) for layer in layers])
    behind = kinks[::-1].cumsum(0)[::-1].repeat(2, axis=0)
    return [behind[:, place].tolist() for place in range(count)]


def contracted(case: Case, trace: Trace, arithmetic: Arithmetic, absolute: bool = False) -> Bound:
    """B for δ carried backward: reverse mode, and the contracted form of the paper."""
    return by_rules(case, trace, rules_of(arithmetic, absolute))[0]


def with_parts(case: Case, trace: Trace, arithmetic: Arithmetic) -> list[Bound]:
    """The contracted B; the part of it that stays when u vanishes: underflow and flushing; and
    that of an evaluation whose σ′ does not cancel: B over it is what a (1 - a) loses."""
    return [part for of in _rules_of_parts(arithmetic) for part in by_rules(case, trace, of)]


@lru_cache
def _rules_of_parts(arithmetic: Arithmetic) -> list[Rules]:
    """The rules of `with_parts`, together where they can be."""
    plain = rules_of(arithmetic)
    vanishing = replace(plain, u=0.0, inner=0.0, evaluation=0.0, allowance=np.inf)
    rules = [plain, vanishing, rules_of(arithmetic, stable=True)]
    return rules if arithmetic.accumulate else [Together.of(rules)]


def of_evaluation(case: Case, narrower: Bound) -> Tensors:
    """B of the float64 evaluation itself, from the contracted B of a narrower arithmetic.

    That is ρ c times as much, but where a kink lies within rounding errors: nothing shrinks it.
    """
    if narrower.growth <= ALLOWANCE and not any(narrower.kinks):
        share = narrower.growth * 2.0**-53 / case.format.unit_roundoff
        return narrower.tensors.times(share)
    return contracted(case, float64.evaluate(case), Arithmetic("float64")).tensors


def by_rules(
    case: Case, trace: Trace, rules: Rules, least: dict[str, float] | None = None
) -> list[Bound]:
    """The contracted B of each of the arithmetics whose rules these are.

    Where `least` is given, it gets the least E of each sum of products by the names of `Overflow`,
    "z2", "gradient of w2" and so on.
    """
    with np.errstate(all="ignore"):
        quick = QuickOverflow(rules.quick, trace.unscaled, least)
        bounds = by_rules_apart(case, trace, rules.quick, quick)
        if not quick.looked:
            return bounds
        return by_rules_apart(case, trace, rules, Overflow(rules, trace.unscaled, least))


def by_rules_apart(case: Case, trace: Trace, rules: Rules, overflow: Overflow) -> list[Bound]:
    """One pass: forward, and back from the residual."""
    forward = forward_errors(case, trace, rules, overflow)
    rules = forward.rules
    pulled_back = residual_errors(case, trace, rules, forward, overflow)
    errors: list[Array] = []
    for k in range(case.architecture.layers - 2, -1, -1):
        slope = forward.layers[k].slope
        delta = pulled_back
        if slope is not None:
            delta = rules.known(trace.deltas[k], rules.hadamard(pulled_back, slope))
        errors[:0] = _gradients(rules, forward.activations[k], delta, trace, k, overflow)
        if k:
            value, operands = trace.pulled_back[k - 1], (delta, forward.weights[k].transposed)
            error = rules.product(*operands, value)
            most = partial(rules.most_of, *operands)
            overflow.watch_sum(f"gradient of a{k + 1}", error, most, trace.unscaled)
            pulled_back = rules.known(value, error)
    return finish(case, errors, forward, overflow)


def _gradients(
    rules: Rules,
    a: Uncertain,
    delta: Uncertain,
    trace: Trace,
    k: int,
    overflow: Overflow,
) -> list[Array]:
    """E of ∂cost/∂w and ∂cost/∂b at layer l = k + 2: sums over the samples."""
    by_weight, by_bias = rules.sums_over_samples(a, delta, trace.weights[k], trace.biases[k])
    # A mean taken by scaling the activations first may underflow there.
    by_weight += rules.eta * trace.unscaled * most_of_sum(delta)
    errors = [by_weight, by_bias]
    overflow.watch_sums_over_samples(k + 2, a, delta, errors, trace.unscaled)
    return errors
