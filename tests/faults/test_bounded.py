"""Arrays that carry their errors: they hold what an engine computes, and no more than they say."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from crosscheck.arithmetic import Arithmetic
from crosscheck.faults import bounded
from crosscheck.faults.bounded import Bounded, narrowed

RULES = bounded.rules(Arithmetic("float32"))


def given_array(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


OPERATIONS = {
    "sum": lambda x, y: x + y,
    "difference": lambda x, y: 1 - x * y,
    "product": lambda x, y: x * y * x,
    "quotient": lambda x, y: (x + y) / 3,
    "matrix product": lambda x, y: (x @ y.T) @ y,
    "sum of rows": lambda x, y: (x * y).sum(0),
    "sum of columns": lambda x, y: (x * y).sum(1),
    "part": lambda x, y: (x + y)[1:, 0],
}


@pytest.mark.parametrize("name", OPERATIONS)
@given(seed=st.integers(0, 1000))
def test_an_evaluation_in_float32_stays_within_the_error(name, seed):
    x, y = given_array(seed, 5, 3), given_array(seed + 1, 5, 3)
    computed = OPERATIONS[name](x, y)
    exact = OPERATIONS[name](Bounded.exact(x, RULES), Bounded.exact(y, RULES))
    assert computed.dtype == np.float32
    assert np.all(np.abs(computed.astype(float) - exact.middle) <= exact.error)


def test_the_error_can_say_no():
    x = Bounded.exact(given_array(0, 4, 4), RULES)
    square = x @ x
    off = square.middle * (1 + 2.0**-12)
    assert np.any(np.abs(off - square.middle) > square.error + square.doubt)


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "relu", "identity"])
def test_double_doubles_refine_the_float64_value(name):
    z = np.array([[-40.0, -3.0, 0.0, 1e-8, 20.0]])
    rules = bounded.rules(Arithmetic("float64"))
    plain = bounded.activation(name)(Bounded.exact(z, rules))
    fine = bounded.activation(name)(Bounded.exact(z, rules, double_double=True))
    assert np.all(np.abs(plain.middle - fine.middle) <= plain.error)
    assert np.all(fine.doubt <= plain.doubt)


def test_tf32_keeps_ten_bits_and_rounds_to_even():
    assert narrowed(np.array([1 + 2.0**-10]), "tf32")[0] == 1 + 2.0**-10
    assert narrowed(np.array([1 + 2.0**-11]), "tf32")[0] == 1.0
    assert narrowed(np.array([1 + 3 * 2.0**-11]), "tf32")[0] == 1 + 2.0**-9


def test_rounding_to_a_format_allows_both_neighbours_where_the_error_leaves_it_open():
    tie = 1 + 2.0**-24
    x = Bounded(np.array([tie]), np.array([1e-12]), bounded.rules(Arithmetic("float64")))
    rounded = x.rounded_to("float32")
    assert rounded.error[0] == 2.0**-23
    sure = Bounded(np.array([1.0]), np.array([1e-12]), x.rules).rounded_to("float32")
    assert sure.error[0] == 0.0
