"""The rules of the bound for activations: what they and their derivatives make of an error.

Each takes the largest change over a ball around z, and adds what the library's function rounds:
the accuracies of σ and tanh are those of their rows among the primitives.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from crosscheck.arithmetic.formats import Array
from crosscheck.arithmetic.primitives.row import Accuracy
from crosscheck.arithmetic.rounding_rules import Factor, Rules, Uncertain

SIGMOID = Accuracy(10, lost=1)
"""NumPy's, PyTorch's and XLA's sigmoid are within 3.4 ulp, JAX documents 4.5; k = 2 × ulps.

The naive form is 0 where e^-z overflows: σ is below (1 + 6 u) / f_max there.
"""

TANH = Accuracy(16)
"""JAX documents 5.5 to 7 ulp."""

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
"""(rules, z, E_z, a, σ′) to Layer; σ′ is None where the layer is linear."""


LEAST_SLOPE = 2.0**-1022
"""σ′ underflows below this, though errors of z may make σ visible there."""


def sigmoid(rules: Rules, z: Array, e: Array, a: Array, s: Array | None) -> Layer:
    """σ over the ball z ± E_z, k roundings, and the naive form's overflow to 0.

    The logarithms of σ and σ′ change by less than the shift of z, so the evaluation's own error
    of z costs a factor e^(c E_z).
    """
    assert s is not None
    s = np.maximum(s, LEAST_SLOPE)
    middle = np.abs(1 - 2 * a)
    m = np.expm1(e)
    rise = m + 1
    one = isinstance(rules.evaluation, float) and rules.evaluation == 1
    shift = rise if one else np.exp(rules.evaluation * e)
    size = np.fmin(a * shift, 1.0)
    change = _change_of_sigmoid(s * m, middle, shift)
    # LEAST_SLOPE is for where s m underflows.
    more = LEAST_SLOPE + rules.absolute * SIGMOID_ABSOLUTE * rules.u
    error = SIGMOID.error(rules, size, change, more)
    slope_size = shift * s
    np.fmin(slope_size, 0.25, out=slope_size)
    from_z = _error_from_z(rules, e, middle, m, rise, slope_size)
    from_a = rules.cancels * _error_of_product(rules, error, middle)
    return Layer(size, error, Uncertain(slope_size, np.maximum(from_z, from_a, out=from_z)), 0)


def _change_of_sigmoid(steepest: Array, middle: Array, shift: Array) -> Array:
    """The largest change of σ, from s m with m = e^E - 1, and |1 - 2a|.

    It rises by s m / (1 + a m) and falls by s m / (1 + (1-a) m): the larger is
    1 / (1 / (s m) + 1 / max(a, 1-a)), as s = a (1-a).
    """
    reciprocal = np.divide(1.0, steepest, out=steepest)
    reciprocal += 2 / (1 + middle)  # 1 / max(a, 1 - a)
    change = np.divide(shift, reciprocal, out=reciprocal)
    return np.fmin(change, 1.0, out=change)  # fmin: an exponential may overflow


def _error_from_z(
    rules: Rules, e: Array, middle: Array, m: Array, rise: Array, size: Array
) -> Array:
    """E of σ′ = σ(z) σ(-z): its largest change, at most a factor e^E, and 2 k roundings."""
    growth = e * (1 + rules.evaluation)
    growth += middle
    growth *= e * rise
    np.minimum(growth, m, out=growth)
    growth += 2 * (SIGMOID.relative * rules.u)
    growth *= size
    growth += 2 * rules.eta
    return growth


def _error_of_product(rules: Rules, error: Array, middle: Array) -> Array:
    """E of σ′ = a (1 - a), from that of a: |1 - 2a| E_a + E_a²."""
    of_product: Array = (1 + 2 * rules.evaluation) * error
    of_product += middle
    of_product *= error
    return of_product


def tanh(rules: Rules, z: Array, e: Array, a: Array, s: Array | None) -> Layer:
    """tanh: the change is at most sech²(z) e^(2E) E; σ′ as 1 - a² or as sech² z."""
    assert s is not None
    shift = np.exp(2 * rules.evaluation * e)
    change = np.minimum(1, s * shift * np.exp(2 * e)) * e
    size = np.abs(a) + rules.evaluation * change
    error = TANH.error(rules, size, change, rules.absolute * TANH_ABSOLUTE * rules.u)
    from_a = 2 * size * error + error * error + 1.01 * rules.u * (size + error) ** 2
    from_z = s * shift * (np.expm1(2 * e) + 2 * TANH.relative * rules.u) + 2 * rules.eta
    return Layer(size, error, Uncertain(s * shift, np.maximum(from_z, rules.cancels * from_a)), 0)


def square_of_tanh(a: Array, u: float) -> Array:
    """1 - a² rounds a² before the difference."""
    rounding: Array = 1.01 * u * np.square(a)
    return rounding


def identity(rules: Rules, z: Array, e: Array, a: Array, s: Array | None) -> Layer:
    """A linear layer passes errors on."""
    return Layer(np.abs(a) + rules.evaluation * e, e, None, 0)


def relu(rules: Rules, z: Array, e: Array, a: Array, s: Array | None) -> Layer:
    """max(z, 0) passes errors on; where the ball holds the kink, σ′ may be anything in 0 … 1."""
    assert s is not None
    kink = np.abs(z) <= e * (1 + rules.evaluation)
    count = np.count_nonzero(kink, axis=(-2, -1)) if kink.ndim > 1 else np.count_nonzero(kink)
    slope = Uncertain(np.maximum(s, kink), np.where(kink, 1.0, 0.0))
    return Layer(a + rules.evaluation * e, e, slope, count)


def smooth(steepest: float, curvature: float, roundings: int) -> ActivationRule:
    """The rule of any function with |σ′| <= steepest and |σ″| <= curvature everywhere.

    Its value and its derivative are within `roundings` u of what libraries give, relatively.
    """

    def rule(rules: Rules, z: Array, e: Array, a: Array, s: Array | None) -> Layer:
        assert s is not None
        (size, error), slope = (
            _rounded(rules, np.abs(exact), change * e, Accuracy(roundings))
            for exact, change in ((a, steepest), (s, curvature))
        )
        return Layer(size, error, Uncertain(*slope), 0)

    return rule


def _rounded(rules: Rules, size: Array, change: Array, of: Accuracy) -> tuple[Array, Array]:
    """The magnitude, and E, of what changes by so much and is as accurate as that."""
    most = size + rules.evaluation * change
    return most, of.error(rules, most, change)


def growth_of(concave: bool, error: Factor) -> Factor:
    """The factor of ρ from a layer, by its largest E_z; see `bound`.

    `concave` says that the activation's largest change over a ball is concave in its radius.
    """
    return 1 + (np.minimum(error / 12, 0.5) + 2.0**-24) * error if concave else 1.0
