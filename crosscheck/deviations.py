"""How z, a and σ′ deviate from their exact values: by the symbols of their own roundings.

The part of `correlated` that every order of evaluation has in common.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from crosscheck.activation_rules import (
    LEAST_SLOPE,
    SIGMOID_ABSOLUTE,
    SIGMOID_ROUNDINGS,
    TANH_ABSOLUTE,
    TANH_ROUNDINGS,
    Layer,
)
from crosscheck.bound import Forward, weights_of
from crosscheck.evaluation import Trace
from crosscheck.rounding_rules import Rules, Uncertain
from crosscheck.values import Array, Case

UNIT = 2.0**-53
"""float64's own unit roundoff."""

VANISHING = 2.0**-1000
"""At least what underflow takes from all products of a sum in float64 together."""


class Deviation(NamedTuple):
    """How an array (D, n) may deviate from its exact value, as B and as its symbols know it.

    `value` is float64's, within `off` of the exact one; `columns` (D, K, n) are the coefficients
    of the symbols so far, in the order in which they were made; `error` bounds the deviation.
    """

    value: Array
    off: Array
    columns: Array
    error: Array

    @property
    def size(self) -> Array:
        """At least |exact|."""
        return np.abs(self.value) + self.off

    @property
    def most(self) -> Array:
        """At least the magnitude that was computed."""
        return self.size + self.error


class Passed(NamedTuple):
    """A layer's activation and slope; the slope is None where the layer is linear.

    `unshared` (D, n) is what may differ in σ′ from use to use.
    """

    a: Deviation
    slope: Deviation | None
    unshared: Array


def inputs(trace: Trace) -> Deviation:
    """a^1, which is exact."""
    x = trace.activations[0]
    return Deviation(x, np.zeros_like(x), np.zeros((len(x), 0, x.shape[1])), np.zeros_like(x))


def appended(columns: Array, radius: Array) -> Array:
    """The columns with a symbol of its own for each entry of an array (D, n)."""
    samples, count, width = columns.shape
    more = np.zeros((samples, count + width, width))
    more[:, :count] = columns
    more[:, count + np.arange(width), np.arange(width)] = radius
    return more


def rounding(
    rules: Rules, left: Array, right: Array, value: Array, bias: Array | None = None
) -> Array:
    """What a product of computed operands rounds, underflows and flushes: of these magnitudes.

    `value` is at least the magnitude of their exact product.
    """
    return rules.product(Uncertain(left, None), Uncertain(right, None), value, bias)


def layers(case: Case, trace: Trace, rules: Rules, forward: Forward) -> list[Passed]:
    """Each layer's activation and slope by their symbols."""
    a = inputs(trace)
    found: list[Passed] = []
    for k, name in enumerate(case.architecture.activations):
        z = _preactivation(case, trace, rules, forward, k, a)
        found.append(ACTIVATIONS[name](rules, z, trace, forward.layers[k], k))
        a = found[-1].a
    return found


def _preactivation(
    case: Case, trace: Trace, rules: Rules, forward: Forward, k: int, a: Deviation
) -> Deviation:
    """z^(k + 2), whose rounding has a symbol."""
    w, value = case.weights[k].astype(np.float64), trace.z[k]
    bias = np.abs(case.biases[k].astype(np.float64))
    ours = rules.product(forward.activations[k], weights_of(case, k), value, bias)
    off = rules.evaluation * ours
    columns = a.columns @ w
    carried = np.minimum(np.abs(columns).sum(1), a.error @ np.abs(w))
    own = rounding(rules, a.most, np.abs(w), np.abs(value) + off + carried, bias)
    own += (len(w) + 2) * UNIT * (np.abs(a.columns).sum(1) @ np.abs(w))
    columns = appended(columns, own)
    return Deviation(value, off, columns, np.minimum(np.abs(columns).sum(1), ours))


class Curve(NamedTuple):
    """An activation's derivatives for a sample and neuron, as its rule needs them.

    `by_z` is σ″, with `by_z_off` the error of its float64 evaluation; `second` and `third` bound
    |σ″| and |σ‴| over the ball; `by_a` is dσ′/da and `bend` half of |d²σ′/da²|. `of_a`
    and `of_slope` are roundings of the library's σ, and of σ′ from z; `unshared` that of σ′ from a.
    """

    by_a: Array
    by_a_off: Array
    second: Array
    third: Array
    of_a: Array
    of_slope: Array
    unshared: Array


def _sigmoid(rules: Rules, e: Array, a: Array, s: Array, by_b: Layer) -> Curve:
    """|σ″| = s |1 - 2a| <= 1/(6√3), |σ‴| = s |1 - 6s| <= 1/8; s grows by e^|shift| at most."""
    u, most = rules.u, np.abs(a) + rules.evaluation * by_b.error + by_b.error
    grown = s * np.exp(e)
    of_a = SIGMOID_ROUNDINGS * u * most + 2 * rules.eta + 1 / rules.largest + LEAST_SLOPE
    return Curve(
        1 - 2 * a,
        2 * rules.evaluation * by_b.error,
        np.minimum(0.09623, grown),
        np.minimum(0.125, grown),
        of_a + rules.absolute * SIGMOID_ABSOLUTE * u,
        2 * SIGMOID_ROUNDINGS * u * np.minimum(0.25, grown) + 2 * rules.eta,
        np.zeros_like(a),
    )


def _tanh(rules: Rules, e: Array, a: Array, s: Array, by_b: Layer) -> Curve:
    """|σ″| = 2 |a| s <= 4/(3√3), |σ‴| = s |4a² - 2s| <= 2; s grows by e^2|shift| at most."""
    u, most = rules.u, np.abs(a) + rules.evaluation * by_b.error + by_b.error
    grown = s * np.exp(2 * e)
    return Curve(
        -2 * a,
        2 * rules.evaluation * by_b.error,
        np.minimum(0.7699, 2 * grown),
        np.minimum(2.0, 4 * grown),
        TANH_ROUNDINGS * u * most + 2 * rules.eta + rules.absolute * TANH_ABSOLUTE * u,
        2 * TANH_ROUNDINGS * u * np.minimum(1.0, grown) + 2 * rules.eta,
        1.01 * u * most**2,
    )


def _curved(curve: Callable[[Rules, Array, Array, Array, Layer], Curve]) -> "ActivationRule":
    """The rule of an activation with derivatives: a and σ′, each with z's symbols and its own.

    From a, σ′ deviates by (dσ′/da) e_a + e_a² at most, from z by σ″ e_z + σ‴ e_z² / 2: both by
    (dσ′/da) σ′ e_z and what is left, of which the larger is taken.
    """

    def passed(rules: Rules, z: Deviation, trace: Trace, by_b: Layer, k: int) -> Passed:
        a, s = trace.activations[k + 1], trace.slopes[k]
        assert s is not None
        assert by_b.slope is not None
        assert by_b.slope.error is not None
        off_a, off_s = rules.evaluation * by_b.error, rules.evaluation * by_b.slope.error
        c, e = curve(rules, z.error, a, s + off_s, by_b), z.error
        reach = np.abs(z.columns).sum(1)
        linear = z.columns * s[:, None]
        own = c.second * e * e / 2 + off_s * e + c.of_a + UNIT * reach * s
        columns = appended(linear, own)
        of_a = np.minimum(np.abs(columns).sum(1), by_b.error)
        from_a = np.abs(c.by_a) * own + c.by_a_off * of_a + of_a * of_a
        by_z_off = c.by_a_off * (s + off_s) + np.abs(c.by_a) * off_s
        from_z = c.third * e * e / 2 + by_z_off * e + c.of_slope
        own_slope = np.maximum(from_a, from_z) + 4 * UNIT * reach * s * np.abs(c.by_a)
        sloping = appended(linear * c.by_a[:, None], own_slope)
        of_slope = np.minimum(np.abs(sloping).sum(1) + c.unshared, by_b.slope.error)
        slope = Deviation(s, off_s, sloping, of_slope)
        return Passed(Deviation(a, off_a, columns, of_a), slope, c.unshared)

    return passed


def _identity(rules: Rules, z: Deviation, trace: Trace, by_b: Layer, k: int) -> Passed:
    return Passed(z, None, np.zeros_like(z.value))


def _relu(rules: Rules, z: Deviation, trace: Trace, by_b: Layer, k: int) -> Passed:
    """Away from the kink σ is linear, and its slope known exactly."""
    s = trace.slopes[k]
    assert s is not None
    a = Deviation(trace.activations[k + 1], z.off * s, z.columns * s[:, None], z.error * s)
    nothing = np.zeros_like(s)
    slope = Deviation(s, nothing, np.zeros((len(s), 0, s.shape[1])), nothing)
    return Passed(a, slope, nothing)


ActivationRule = Callable[[Rules, Deviation, Trace, Layer, int], Passed]

ACTIVATIONS: Mapping[str, ActivationRule] = {
    "sigmoid": _curved(_sigmoid),
    "tanh": _curved(_tanh),
    "identity": _identity,
    "relu": _relu,
}
"""Activation name to its rule: (rules, z, trace, what B knows of the layer, k) to Passed."""
