"""The rounding-error bound B: what any correct evaluation of the gradient may be off by.

A running error analysis (Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed.,
section 3.3) carried through the network: E_x >= |computed x - exact x|, entry by entry. It holds
for any order of summation, with or without fused multiply-add (Jeannerod and Rump, *Improved
error bounds for inner products in floating-point arithmetic*, SIAM J. Matrix Anal. 34 (2013)).

It is evaluated in float64 on non-negative numbers. Where a rule asks for the magnitude of an
exact number, it gets that of the float64 evaluation plus that evaluation's own error: B is
linear in u, so this is at most c E with c = 2^-53 / u, and no second pass is needed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from crosscheck.arithmetic import Arithmetic
from crosscheck.evaluation import Bound, Trace
from crosscheck.formats import FORMATS
from crosscheck.values import Array, Case

SIGMOID_ROUNDINGS = 10
"""k: NumPy's, PyTorch's and XLA's sigmoid are within 3.4 ulp, JAX documents 4.5; k = 2 × ulps."""

TANH_ROUNDINGS = 16
"""k for tanh: JAX documents 5.5 to 7 ulp."""

SIGMOID_ABSOLUTE = 2
"""½ + ½ tanh(z/2) is right to 2 u absolutely, whatever σ(z)."""

TANH_ABSOLUTE = 4
"""(e^2z - 1) / (e^2z + 1) cancels near z = 0 and is right to 4 u absolutely."""

EVALUATION_SLACK = 1 + 1e-9
"""Covers the roundings of evaluating the bound itself in float64."""


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
        return Uncertain(self.size.T, None if self.error is None else self.error.T)


class Rules:
    """The rules of one arithmetic; each returns E for one operation.

    u is the unit roundoff, eta the underflow error of an operation, tau the smallest normal
    number where subnormals are flushed, else 0; `inner` the unit roundoff of the accumulator.
    `absolute` allows activations that are right to a few u absolutely, and no better where
    they are small, as ½ + ½ tanh(z/2) is for σ. `stable` takes σ′ from z alone.
    """

    def __init__(
        self, arithmetic: Arithmetic, absolute: bool = False, stable: bool = False
    ) -> None:
        self.absolute, self.stable = absolute, stable
        stored = FORMATS[arithmetic.dtype]
        self.u = stored.unit_roundoff
        self.eta = stored.smallest_normal if arithmetic.flushes else stored.smallest_subnormal
        self.tau = stored.smallest_normal if arithmetic.flushes else 0.0
        self.largest = stored.largest
        self.wider = arithmetic.accumulate is not None
        self.inner = FORMATS[arithmetic.accumulate or arithmetic.dtype].unit_roundoff
        self.evaluation = 2.0**-53 / self.u

    def gamma(self, k: int) -> float:
        """γ_k = k u / (1 - k u), or ∞ where k u >= 1."""
        return k * self.u / (1 - k * self.u) if k * self.u < 1 else np.inf

    def known(self, value: Array, error: Array | None) -> Uncertain:
        """An array from its float64 evaluation and E; an exact input has no E."""
        size = np.abs(value)
        return Uncertain(size if error is None else size + self.evaluation * error, error)

    def product(
        self,
        left: Uncertain,
        right: Uncertain,
        value: Array,
        bias: Array | None = None,
        wider: bool | None = None,
    ) -> tuple[Array, Array]:
        """E of a matrix product `value`, and M, which no partial sum exceeds.

        `bias` (|b|, one more term of the same sum) is added to every row; `wider` false forbids
        the wider accumulator.
        """
        wider = self.wider if wider is None else wider
        n = left.size.shape[-1] + (bias is not None and not wider)
        inner = self.inner if wider else self.u
        propagated = _propagated(left, right)
        total = left.size @ right.size + propagated
        if bias is not None and not wider:
            total = total + bias
        size = np.abs(value) + self.evaluation * (propagated + 1.1 * n * self.u * total)
        alone = size if bias is None or not wider else size + bias
        partial = (1 + inner) * (total + alone + propagated) / 2 + n * inner * total
        rounding = inner * total + (n - 1) * inner * partial
        error = propagated + rounding + 2 * n * self.eta + self._flushed(left, right)
        if wider:
            error += self.u * (size + propagated + rounding)
            if bias is not None:
                error += self.u * (size + bias + error)
        return error, total if bias is None or not wider else total + bias

    def _flushed(self, left: Uncertain, right: Uncertain) -> Array | float:
        """Subnormal operands that are read as zero: each stands against all its partners."""
        if not self.tau:
            return 0.0
        rows = left.most.sum(-1)[..., :, None]
        columns = right.most.sum(-2)[..., None, :]
        flushed: Array = self.tau * (rows + columns + left.size.shape[-1] * self.tau)
        return flushed

    def hadamard(self, left: Uncertain, right: Uncertain, roundings: int = 3) -> Array:
        """E of an entrywise product, of which one factor may be formed within the roundings."""
        propagated = _entrywise_propagated(left, right)
        product = left.size * right.size
        error: Array = (
            propagated + self.gamma(roundings) * (product + propagated) + roundings * self.eta
        )
        return error

    def residual(self, difference: Array, error: Array | None, scale: float, outputs: int) -> Array:
        """E of 2 scale (a^N - expected), wherever the scaling is placed."""
        e = np.zeros_like(difference) if error is None else error
        size = np.abs(difference) + self.evaluation * e
        scaled = 2 * scale * (e + self.u * (size + e))
        scaled += self.gamma(4) * (2 * scale * size + scaled)
        rounded: Array = scaled + 4 * self.eta * max(1, outputs)
        return rounded


def _propagated(left: Uncertain, right: Uncertain) -> Array:
    """P = |A| E_B + E_A |B| + E_A E_B of a matrix product."""
    propagated = np.zeros(left.size.shape[:-1] + right.size.shape[-1:])
    if right.error is not None:
        propagated = left.size @ right.error
    if left.error is not None:
        propagated = propagated + left.error @ right.most
    return propagated


def _entrywise_propagated(left: Uncertain, right: Uncertain) -> Array:
    """Q = |G| E_s + E_G |s| + E_G E_s of an entrywise product."""
    propagated = np.zeros(np.broadcast_shapes(left.size.shape, right.size.shape))
    if right.error is not None:
        propagated = left.size * right.error
    if left.error is not None:
        propagated = propagated + left.error * right.most
    return propagated


class Layer(NamedTuple):
    """What an activation's rule gives at a layer: E of a, σ′ (None if linear), kinks."""

    error: Array
    slope: Uncertain | None
    kinks: int


ActivationRule = Callable[[Rules, Array, Array, Array, Array | None], Layer]


def _sigmoid(rules: Rules, z: Array, e: Array, a: Array, s: Array | None) -> Layer:
    """σ over the ball z ± E_z, k roundings, and the naive form's overflow to 0.

    σ(z+E) - σ(z) = σ(z+E) σ(-z) (1 - e^-E), and its logarithm changes by less than the shift
    of z, so the evaluation's own error of z costs a factor e^(c E_z). σ′ is the larger of what
    a (1 - a) and σ(z) σ(-z) may be off by.
    """
    assert s is not None
    from scipy.special import expit

    shift = np.exp(rules.evaluation * e)
    up, down = expit(z + e) * expit(-z), a * expit(e - z)
    largest = np.minimum(1.0, np.maximum(up, down) * -np.expm1(-e) * shift)
    a_size = np.minimum(1.0, a * shift)
    error = largest + SIGMOID_ROUNDINGS * rules.u * (a_size + largest)
    error += 2 * rules.eta + 1 / rules.largest + rules.absolute * SIGMOID_ABSOLUTE * rules.u
    slope_size = np.minimum(0.25, s * shift)
    cancelling = (np.abs(1 - 2 * a) + 2 * rules.evaluation * error) * error + error * error
    steepest = np.abs(1 - 2 * a) + (1 + rules.evaluation) * e
    growth = np.minimum(np.expm1(e), np.exp(e) * e * steepest)
    stable = slope_size * (growth + 2 * SIGMOID_ROUNDINGS * rules.u) + 2 * rules.eta
    of_slope = stable if rules.stable else np.maximum(cancelling, stable)
    return Layer(error, Uncertain(slope_size, of_slope), 0)


def _tanh(rules: Rules, z: Array, e: Array, a: Array, s: Array | None) -> Layer:
    """tanh: the change is at most sech²(z) e^(2E) E; σ′ as 1 - a² or as sech² z."""
    assert s is not None
    shift = np.exp(2 * rules.evaluation * e)
    largest = np.minimum(1, s * shift * np.exp(2 * e)) * e
    size = np.abs(a) + rules.evaluation * largest
    error = largest + TANH_ROUNDINGS * rules.u * (size + largest) + 2 * rules.eta
    error += rules.absolute * TANH_ABSOLUTE * rules.u
    cancelling = 2 * size * error + error * error + 1.01 * rules.u * (size + error) ** 2
    stable = s * shift * (np.expm1(2 * e) + 2 * TANH_ROUNDINGS * rules.u) + 2 * rules.eta
    of_slope = stable if rules.stable else np.maximum(cancelling, stable)
    return Layer(error, Uncertain(s * shift, of_slope), 0)


def _identity(rules: Rules, z: Array, e: Array, a: Array, s: Array | None) -> Layer:
    return Layer(e, None, 0)


def _relu(rules: Rules, z: Array, e: Array, a: Array, s: Array | None) -> Layer:
    """max(z, 0) passes errors on; where the ball holds the kink, σ′ may be anything in 0 … 1."""
    assert s is not None
    kink = np.abs(z) <= e * (1 + rules.evaluation)
    return Layer(e, Uncertain(np.maximum(s, kink), np.where(kink, 1.0, 0.0)), int(kink.sum()))


ACTIVATIONS: Mapping[str, ActivationRule] = {
    "sigmoid": _sigmoid,
    "identity": _identity,
    "tanh": _tanh,
    "relu": _relu,
}
"""Activation name to its rule: (rules, z, E_z, a, σ′) to Layer."""


@dataclass
class Overflow:
    """Remembers the first quantity, in the order of evaluation, that may pass f_max."""

    largest: float
    first: str | None = None

    def watch(self, name: str, size: Array) -> None:
        if self.first is None and not np.max(size) < self.largest:
            self.first = name


class Forward(NamedTuple):
    """Activations as B knows them, and what their layers' rules gave."""

    activations: list[Uncertain]
    layers: list[Layer]


def forward_errors(case: Case, trace: Trace, rules: Rules, overflow: Overflow) -> Forward:
    """E of z^l and a^l, l = 2 … N."""
    activations, layers = [rules.known(trace.activations[0], None)], []
    for k, name in enumerate(case.architecture.activations):
        weights = rules.known(case.weights[k].astype(np.float64), None)
        bias = np.abs(case.biases[k].astype(np.float64))
        value = trace.z[k]
        error, most = rules.product(activations[-1], weights, value, bias)
        overflow.watch(f"z{k + 2}", most + error)
        a = trace.activations[k + 1]
        layers.append(ACTIVATIONS[name](rules, value, error, a, trace.slopes[k]))
        activations.append(rules.known(a, layers[-1].error))
    return Forward(activations, layers)


def residual_errors(
    case: Case, trace: Trace, rules: Rules, forward: Forward, overflow: Overflow
) -> Uncertain:
    """E of ∂cost/∂a^N."""
    difference = trace.activations[-1] - case.targets.astype(np.float64)
    outputs = case.architecture.widths[-1]
    squares = np.sum(np.square(np.abs(difference) + forward.layers[-1].error))
    overflow.watch("cost", squares * max(1.0, trace.scale))
    error = rules.residual(difference, forward.layers[-1].error, trace.scale, outputs)
    return rules.known(trace.pulled_back[-1], error)


def finish(errors: list[Array], forward: Forward, overflow: Overflow) -> Bound:
    """Both orders end alike: the slack for evaluating B, ∞ for what is no number, the kinks."""
    tensors = []
    for error in errors:
        finished = error * EVALUATION_SLACK
        finished[np.isnan(finished)] = np.inf
        tensors.append(finished)
    behind = [sum(layer.kinks for layer in forward.layers[k:]) for k in range(len(errors) // 2)]
    kinks = [count for count in behind for _ in "wb"]
    return Bound(tensors, overflow.first, kinks)


def contracted(case: Case, trace: Trace, arithmetic: Arithmetic, absolute: bool = False) -> Bound:
    """B for δ carried backward: reverse mode, and the contracted form of the paper."""
    return by_rules(case, trace, Rules(arithmetic, absolute))


def stable(case: Case, trace: Trace, arithmetic: Arithmetic) -> Bound:
    """The contracted B of an evaluation whose σ′ does not cancel.

    B over this is what the formula a (1 - a) loses, whoever evaluates it.
    """
    return by_rules(case, trace, Rules(arithmetic, stable=True))


def underflow(case: Case, trace: Trace, arithmetic: Arithmetic) -> Bound:
    """The part of the contracted B that stays when u vanishes: underflow and flushing."""
    rules = Rules(arithmetic)
    rules.u = rules.inner = rules.evaluation = 0.0
    return by_rules(case, trace, rules)


def by_rules(case: Case, trace: Trace, rules: Rules) -> Bound:
    """The contracted B of an arithmetic that is given by its rules."""
    overflow = Overflow(rules.largest)
    with np.errstate(all="ignore"):
        forward = forward_errors(case, trace, rules, overflow)
        pulled_back = residual_errors(case, trace, rules, forward, overflow)
        errors: list[Array] = []
        for k in range(case.architecture.layers - 2, -1, -1):
            slope = forward.layers[k].slope
            delta = pulled_back
            if slope is not None:
                delta = rules.known(trace.deltas[k], rules.hadamard(pulled_back, slope))
            errors[:0] = _gradients(rules, forward.activations[k], delta, trace, k, overflow)
            if k:
                weights = rules.known(case.weights[k].astype(np.float64).T, None)
                value = trace.pulled_back[k - 1]
                error, most = rules.product(delta, weights, value)
                overflow.watch(f"gradient of a{k + 1}", (most + error) * trace.unscaled)
                pulled_back = rules.known(value, error)
        return finish(errors, forward, overflow)


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
    by_weight, most = rules.product(a.transposed, delta, trace.weights[k])
    # A mean taken by scaling the activations first may underflow there.
    by_weight += rules.eta * trace.unscaled * delta.most.sum(0)
    overflow.watch(f"gradient of w{k + 2}", (most + by_weight) * trace.unscaled)
    ones = Uncertain(np.ones((1, len(delta.size))), None)
    by_bias, most = rules.product(ones, delta, trace.biases[k][None], wider=False)
    overflow.watch(f"gradient of b{k + 2}", (most + by_bias) * trace.unscaled)
    return [by_weight, by_bias[0]]
