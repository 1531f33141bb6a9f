"""The activations of networks and the primitives of programs have one rule for exp and its kin."""

import numpy as np
import pytest

from crosscheck.arithmetic.activations import ACTIVATIONS
from crosscheck.arithmetic.formats import FORMATS
from crosscheck.arithmetic.primitives import row
from crosscheck.arithmetic.primitives.row import Known, Rounding
from crosscheck.arithmetic.primitives.table import PRIMITIVES
from crosscheck.arithmetic.promise import Arithmetic
from crosscheck.arithmetic.rounding_rules import rules_of

ROWS = {"sigmoid": "logistic", "tanh": "tanh"}
Z = np.concatenate([np.linspace(-30, 30, 241), [-88.0, 88.0, 1e-30, -1e-30]])


def both(activation, dtype, error):
    """E by the activation's rule, and by the row of the primitive."""
    entry, rules, stored = ACTIVATIONS[activation], rules_of(Arithmetic(dtype)), FORMATS[dtype]
    value, slope = entry.evaluate(Z)
    with np.errstate(all="ignore"):
        by_layer = entry.rule(rules, Z, np.full(Z.shape, error), value, slope).error
    u, least = stored.unit_roundoff, stored.smallest_subnormal
    rounding = Rounding(u, least, 0.0, stored.largest, u)
    given = np.full(Z.shape, error) if error else None
    of = PRIMITIVES[ROWS[activation]]
    return by_layer, of.error(rounding, {}, of.evaluate({}, Z), Known(Z, given))


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("activation", ROWS)
def test_what_the_library_rounds_is_the_same(activation, dtype):
    """Where z is exact, to the roundings of evaluating E, and σ's own allowance for underflow."""
    one, other = both(activation, dtype, 0.0)
    assert np.all(np.abs(one - other) <= 2.0**-45 * other + 2.0**-1021)


@pytest.mark.parametrize("error", [1e-7, 1e-3, 0.1])
@pytest.mark.parametrize("activation", ROWS)
def test_the_change_over_a_ball_is_the_same_up_to_its_curvature(activation, error):
    one, other = both(activation, "float32", error)
    assert np.all(one <= other * np.exp(4 * error))
    assert np.all(other <= one * np.exp(4 * error))


@pytest.mark.parametrize("activation", ROWS)
def test_both_hear_of_another_accuracy(activation, monkeypatch):
    """There is one accuracy: who changes the formula of E changes both."""
    before = both(activation, "float32", 0.0)

    def doubled(self, r, size, change, more=0.0):
        return 2 * honest(self, r, size, change, more)

    honest = row.Accuracy.error
    monkeypatch.setattr(row.Accuracy, "error", doubled)
    for old, new in zip(before, both(activation, "float32", 0.0), strict=True):
        np.testing.assert_array_equal(new, 2 * old)
