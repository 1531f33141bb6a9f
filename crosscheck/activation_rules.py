"""The rules of the bound for activations: what they and their derivatives make of an error.

Each takes the largest change over a ball around z, and adds what the library's function rounds.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from crosscheck.rounding_rules import Factor, Rules, Uncertain
from crosscheck.values import Array

SIGMOID_ROUNDINGS = 10
"""k: NumPy's, PyTorch's and XLA's sigmoid are within 3.4 ulp, JAX documents 4.5; k = 2 × ulps."""

TANH_ROUNDINGS = 16
"""k for tanh: JAX documents 5.5 to 7 ulp."""

SIGMOID_ABSOLUTE = 2
"""½ + ½ tanh(z/2) is right to 2 u absolutely, whatever σ(z)."""

TANH_ABSOLUTE = 4
"""(e^2z - 1) / (e^2z + 1) cancels near z = 0 and is right to 4 u absolutely."""


class Layer(NamedTuple):
    """What an activation's rule gives at a layer: |a|, E of a, σ′ (None if linear), kinks."""

    size: Array
    error: Array
    slope: Uncertain | None
    kinks: Factor


ActivationRule = Callable[[Rules, Array, Array, Array, Array | None], Layer]


LEAST_SLOPE = 2.0**-1022
"""σ′ underflows below this, though errors of z may make σ visible there."""


def _sigmoid(rules: Rules, z: Array, e: Array, a: Array, s: Array | None) -> Layer:
    """σ over the ball z ± E_z, k roundings, and the naive form's overflow to 0.

    With m = e^E - 1 it rises by s m / (1 + a m) and falls by s m / (1 + (1-a) m): the larger is
    1 / (1 / (s m) + 1 / max(a, 1-a)), as s = a (1-a). The logarithm of either changes by less
    than the shift of z, so the evaluation's own error of z costs a factor e^(c E_z). σ′ is the
    larger of what a (1 - a) and σ(z) σ(-z) may be off by.
    """
    assert s is not None
    s = np.maximum(s, LEAST_SLOPE)
    middle = np.abs(1 - 2 * a)
    m = np.expm1(e)
    rise = m + 1
    one = isinstance(rules.evaluation, float) and rules.evaluation == 1
    shift = rise if one else np.exp(rules.evaluation * e)
    largest = s * m
    np.divide(1.0, largest, out=largest)
    largest += 2 / (1 + middle)  # 1 / max(a, 1 - a)
    np.divide(shift, largest, out=largest)
    np.fmin(largest, 1.0, out=largest)  # fmin: an exponential may overflow
    roundings = SIGMOID_ROUNDINGS * rules.u
    size = np.fmin(a * shift, 1.0)
    error = size + largest
    error *= roundings
    error += largest
    # The last is for where s m underflows.
    least = 2 * rules.eta + 1 / rules.largest + LEAST_SLOPE
    error += least + rules.absolute * SIGMOID_ABSOLUTE * rules.u
    slope_size = shift * s
    np.fmin(slope_size, 0.25, out=slope_size)
    growth = e * (1 + rules.evaluation)
    growth += middle
    growth *= e * rise
    np.minimum(growth, m, out=growth)
    growth += 2 * roundings
    growth *= slope_size
    growth += 2 * rules.eta
    cancelling = (1 + 2 * rules.evaluation) * error
    cancelling += middle
    cancelling *= error
    of_slope = np.maximum(growth, rules.cancels * cancelling, out=growth)
    return Layer(size, error, Uncertain(slope_size, of_slope), 0)


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
    of_slope = np.maximum(stable, rules.cancels * cancelling)
    return Layer(size, error, Uncertain(s * shift, of_slope), 0)


def _identity(rules: Rules, z: Array, e: Array, a: Array, s: Array | None) -> Layer:
    return Layer(np.abs(a) + rules.evaluation * e, e, None, 0)


def _relu(rules: Rules, z: Array, e: Array, a: Array, s: Array | None) -> Layer:
    """max(z, 0) passes errors on; where the ball holds the kink, σ′ may be anything in 0 … 1."""
    assert s is not None
    kink = np.abs(z) <= e * (1 + rules.evaluation)
    count = np.count_nonzero(kink, axis=(-2, -1)) if kink.ndim > 1 else np.count_nonzero(kink)
    slope = Uncertain(np.maximum(s, kink), np.where(kink, 1.0, 0.0))
    return Layer(a + rules.evaluation * e, e, slope, count)


ACTIVATIONS: Mapping[str, ActivationRule] = {
    "sigmoid": _sigmoid,
    "identity": _identity,
    "tanh": _tanh,
    "relu": _relu,
}
"""Activation name to its rule: (rules, z, E_z, a, σ′) to Layer."""


def growth_of(name: str, error: Factor) -> Factor:
    """The factor of ρ from a layer, by its largest E_z; see `bound`."""
    if name not in CONCAVE:
        return 1.0
    return 1 + (np.minimum(error / 12, 0.5) + 2.0**-24) * error


CONCAVE = ("sigmoid",)
"""Activations whose largest change over a ball is concave in its radius."""
