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

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from crosscheck import reference
from crosscheck.arithmetic import Arithmetic
from crosscheck.evaluation import Bound, Trace
from crosscheck.rounding_rules import (
    ACTIVATIONS,
    ALLOWANCE,
    EVALUATION_SLACK,
    Layer,
    Rules,
    Together,
    Uncertain,
    growth_of,
    rules_of,
)
from crosscheck.values import Array, Case


class Overflow:
    """Remembers the first quantity, in the order of evaluation, that may pass f_max.

    One name for each of the arithmetics whose rules these are. `unscaled` is how much larger
    quantities are where the cost's factor comes last. The least E of each sum of products is
    noted in `least` by the same names, where that is given.
    """

    def __init__(
        self, rules: Rules, unscaled: float, least: dict[str, float] | None = None
    ) -> None:
        self.least = least
        self.largest = np.broadcast_to(np.ravel(rules.largest), rules.count)
        self.first: list[str | None] = [None] * rules.count
        least = np.minimum(rules.u, rules.inner) * rules.largest
        self._safe = float(np.min(least)) / (2 * unscaled)

    def watch(self, name: str, size: Array) -> None:
        """Whether `size`, with the arithmetics on its first axis, passes f_max."""
        for place, most in enumerate(size.reshape(len(self.largest), -1).max(1)):
            if self.first[place] is None and not most < self.largest[place]:
                self.first[place] = name

    def watch_sum(self, name: str, most: Array, error: Array, unscaled: float = 1.0) -> None:
        """The same for a sum of products, of which no partial sum exceeds `most`, with its E.

        As E > u most, a look at E is enough nearly always.
        """
        if self.least is not None:
            self.least[name] = float(error.min())
        if not error.max() < self._safe:
            self.watch(name, (most + error) * unscaled)


class Forward(NamedTuple):
    """Activations as B knows them, what their layers' rules gave, ρ, and rules with room for it."""

    activations: list[Uncertain]
    layers: list[Layer]
    growth: float
    rules: Rules


def forward_errors(case: Case, trace: Trace, rules: Rules, overflow: Overflow) -> Forward:
    """E of z^l and a^l, l = 2 … N."""
    activations, layers = [rules.known(trace.activations[0], None)], []
    growth = 1.0
    for k, name in enumerate(case.architecture.activations):
        bias = np.abs(case.biases[k].astype(np.float64))
        value = trace.z[k]
        error, most = rules.product(activations[-1], weights_of(case, k), value, bias)
        overflow.watch_sum(f"z{k + 2}", most, error)
        a = trace.activations[k + 1]
        layers.append(ACTIVATIONS[name](rules, value, error, a, trace.slopes[k]))
        activations.append(Uncertain(layers[-1].size, layers[-1].error))
        growth *= growth_of(name, float(error.max()))
    if growth > rules.allowance and np.any(rules.evaluation < 1):
        return forward_errors(case, trace, rules.allowing(2 * growth), overflow)
    return Forward(activations, layers, float(growth), rules)


def weights_of(case: Case, k: int) -> Uncertain:
    """The weights of layer k + 2, which are exact."""
    return Uncertain(np.abs(case.weights[k].astype(np.float64)), None)


def residual_errors(
    case: Case, trace: Trace, rules: Rules, forward: Forward, overflow: Overflow
) -> Uncertain:
    """E of ∂cost/∂a^N."""
    difference = trace.activations[-1] - case.targets.astype(np.float64)
    outputs = case.architecture.widths[-1]
    squares = np.square(np.abs(difference) + forward.layers[-1].error)
    overflow.watch("cost", squares.sum((-1, -2)) * max(1.0, trace.scale))
    error = rules.residual(difference, forward.layers[-1].error, trace.scale, outputs)
    return rules.known(trace.pulled_back[-1], error)


def finish(
    case: Case, errors: Sequence[Array], forward: Forward, overflow: Overflow
) -> list[Bound]:
    """All orders end alike: the slack for evaluating B, ∞ for what is no number, the kinks.

    A bound for each of the arithmetics.
    """
    count = len(overflow.first)
    flat = np.concatenate([error.reshape(count, -1) for error in errors], axis=1)
    flat *= EVALUATION_SLACK
    flat[np.isnan(flat)] = np.inf
    kinks = np.array([np.broadcast_to(layer.kinks, count) for layer in forward.layers])
    behind = kinks[::-1].cumsum(0)[::-1].repeat(2, axis=0)
    return [
        Bound(
            case.architecture.split(flat[place]),
            overflow.first[place],
            behind[:, place].tolist(),
            forward.growth,
        )
        for place in range(count)
    ]


def contracted(case: Case, trace: Trace, arithmetic: Arithmetic, absolute: bool = False) -> Bound:
    """B for δ carried backward: reverse mode, and the contracted form of the paper."""
    return by_rules(case, trace, rules_of(arithmetic, absolute))[0]


def with_parts(case: Case, trace: Trace, arithmetic: Arithmetic) -> list[Bound]:
    """The contracted B; the part of it that stays when u vanishes: underflow and flushing; and
    that of an evaluation whose σ′ does not cancel: B over it is what a (1 - a) loses."""
    vanishing = Rules(arithmetic)
    vanishing.u = vanishing.inner = vanishing.evaluation = 0.0
    vanishing.allowance = np.inf
    rules = [rules_of(arithmetic), vanishing, rules_of(arithmetic, stable=True)]
    if arithmetic.accumulate:
        return [by_rules(case, trace, of)[0] for of in rules]
    return by_rules(case, trace, Together(rules))


def of_evaluation(case: Case, narrower: Bound) -> Sequence[Array]:
    """B of the float64 evaluation itself, from the contracted B of a narrower arithmetic.

    That is ρ c times as much, but where a kink lies within rounding errors: nothing shrinks it.
    """
    if narrower.growth <= ALLOWANCE and not any(narrower.kinks):
        share = narrower.growth * 2.0**-53 / case.format.unit_roundoff
        return [share * tensor for tensor in narrower.tensors]
    return contracted(case, reference.evaluate(case), Arithmetic("float64")).tensors


def by_rules(
    case: Case, trace: Trace, rules: Rules, least: dict[str, float] | None = None
) -> list[Bound]:
    """The contracted B of each of the arithmetics whose rules these are.

    Where `least` is given, it gets the least E of each sum of products by the names of `Overflow`,
    "z2", "gradient of w2" and so on.
    """
    overflow = Overflow(rules, trace.unscaled, least)
    with np.errstate(all="ignore"):
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
                value = trace.pulled_back[k - 1]
                error, most = rules.product(delta, weights_of(case, k).transposed, value)
                overflow.watch_sum(f"gradient of a{k + 1}", most, error, trace.unscaled)
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
    """E of ∂cost/∂w and ∂cost/∂b at layer l = k + 2: sums over the samples.

    Biases have no wider accumulator: NumPy's and JAX's column sums round to the storage type.
    """
    ones = Uncertain(np.ones((1, delta.size.shape[-2])), None)
    by_bias, most = rules.product(ones, delta, trace.biases[k][None], wider=False)
    overflow.watch_sum(f"gradient of b{k + 2}", most, by_bias, trace.unscaled)
    # A mean taken by scaling the activations first may underflow there.
    scaled_first = rules.eta * trace.unscaled * most
    by_weight, most = rules.product(a.transposed, delta, trace.weights[k])
    by_weight += scaled_first
    overflow.watch_sum(f"gradient of w{k + 2}", most, by_weight, trace.unscaled)
    return [by_weight, by_bias]
