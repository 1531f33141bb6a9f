"""Arrays that carry their errors: an expression lies within its own bound, and a bound says no."""

from fractions import Fraction

import numpy as np
import pytest
from flint import arb
from hypothesis import given, strategies as st

from crosscheck.arithmetic.formats import FORMATS
from crosscheck.arithmetic.promise import Arithmetic
from crosscheck.arithmetic.rounding_rules import rules_of
from crosscheck.bounds import error_array
from crosscheck.bounds.error_array import Bounded, Computed, narrowed, sigma_on
from crosscheck.engines.paper import sigma
from crosscheck.exact import oracle
from crosscheck.paper.equations import EQUATIONS

DTYPES = ["float32", "float64"]
SHAPES = {
    "w": (3, 4),
    "b": (4,),
    "a": (2, 4),
    "a_previous": (2, 3),
    "a_next": (2, 5),
    "w_next": (4, 5),
    "a_output": (2, 3),
    "expected": (2, 3),
    "by_activation": (2, 3, 4),
    "by_activation_next": (2, 3, 5),
    "next_by_activation": (2, 5, 4),
    "next_by_bias": (2, 5, 4),
    "activation_by_weight": (2, 3, 4),
    "output_by_bias": (2, 3, 4),
    "output_by_weight": (2, 3, 2, 4),
    "sigma_of_f": (2, 4),
    "f_by_x": (2, 4),
}
RATIONAL = [name for name, equation in EQUATIONS.items() if "sigma" not in equation.symbols]


def exactly(array):
    """The floats of an array as an object array of fractions."""
    return np.vectorize(Fraction, otypes=[object])(np.asarray(array, dtype=float))


def drawn(equation, dtype, seed):
    """Ingredients that are a little off, with their errors, and what they should have been."""
    rng, of = np.random.default_rng(seed), FORMATS[dtype]
    rounded, exact = {}, {}
    for symbol in equation.symbols:
        value = rng.standard_normal(SHAPES[symbol]).astype(of.numpy)
        off = rng.uniform(-1, 1, value.shape) * of.unit_roundoff * rng.integers(0, 3)
        rounded[symbol] = Computed(value, np.abs(off), of)
        exact[symbol] = exactly(value) + exactly(off)
    return rounded, exact


def errors(got, exact):
    return np.abs(exactly(got.value) - exact)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", RATIONAL)
@pytest.mark.parametrize("seed", range(3))
def test_every_equation_lies_within_its_own_bound(name, dtype, seed):
    rounded, exact = drawn(EQUATIONS[name], dtype, seed)
    got = EQUATIONS[name].at(rounded)
    assert got.value.dtype == FORMATS[dtype].numpy
    assert (errors(got, EQUATIONS[name].at(exact)) <= exactly(got.bound)).all()


@pytest.mark.parametrize("name", [n for n in RATIONAL if n not in ("S1", "S2", "S3")])
def test_the_bound_is_not_far_from_what_is_seen(name):
    """A bound a thousand times too wide would let mistakes through."""
    uses = []
    for seed in range(5):
        rounded, exact = drawn(EQUATIONS[name], "float32", seed)
        got = EQUATIONS[name].at(rounded)
        share = errors(got, EQUATIONS[name].at(exact)) / exactly(got.bound)
        uses.append(float(np.max(share)))
    assert max(uses) > 0.02


@pytest.mark.parametrize("name", [n for n in RATIONAL if n not in ("S1", "S2", "S3")])
def test_float32_called_float64_breaks_the_bound(name):
    narrow, wide, exact = {}, {}, {}
    for symbol, part in drawn(EQUATIONS[name], "float32", 0)[0].items():
        narrow[symbol] = Computed.exact(part.value, FORMATS["float32"])
        wide[symbol] = Computed.exact(part.value.astype(float), FORMATS["float64"])
        exact[symbol] = exactly(part.value)
    got, right = EQUATIONS[name].at(narrow), EQUATIONS[name].at(exact)
    claimed = EQUATIONS[name].at(wide).bound
    assert (errors(got, right) <= exactly(got.bound)).all()
    assert (errors(got, right) > exactly(claimed)).any()


@given(st.floats(-700, 700), st.floats(0, 1e-6))
def test_sigma_lies_within_its_bound(z, error):
    got = sigma_on(sigma)(Computed(np.array([z]), np.array([error]), FORMATS["float64"]))
    with oracle.working_precision(2000):
        for shifted in (Fraction(z) - Fraction(error), Fraction(z) + Fraction(error)):
            exact = 1 / (1 + (-(arb(shifted.numerator) / arb(shifted.denominator))).exp())
            assert abs(arb(float(got.value[0])) - exact) <= arb(float(got.bound[0]))


def test_underflow_is_within_the_bound():
    of = FORMATS["float64"]
    tiny = Computed.exact(np.array([[3e-200]]), of)
    for got in (tiny * tiny, tiny @ tiny):
        assert got.value == 0
        assert got.bound > 0
    nothing = Computed.exact(np.zeros((1, 1)), of)
    assert (nothing * tiny).bound == (nothing @ tiny).bound == 0


def test_what_is_no_number_has_no_bound():
    huge = Computed.exact(np.array([1e308]), FORMATS["float64"])
    with np.errstate(over="ignore"):
        assert np.isinf((huge * huge).bound).all()


@pytest.mark.parametrize("divisor", [0.5, 0, -2])
def test_only_whole_numbers_divide(divisor):
    with pytest.raises(TypeError, match="whole numbers"):
        Computed.exact(np.ones(1), FORMATS["float64"]) / divisor


RULES = rules_of(Arithmetic("float32"))


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
    rules = rules_of(Arithmetic("float64"))
    plain = error_array.activation(name)(Bounded.exact(z, rules))
    fine = error_array.activation(name)(Bounded.exact(z, rules, double_double=True))
    assert np.all(np.abs(plain.middle - fine.middle) <= plain.error)
    assert np.all(fine.doubt <= plain.doubt)


def test_tf32_keeps_ten_bits_and_rounds_to_even():
    assert narrowed(np.array([1 + 2.0**-10]), "tf32")[0] == 1 + 2.0**-10
    assert narrowed(np.array([1 + 2.0**-11]), "tf32")[0] == 1.0
    assert narrowed(np.array([1 + 3 * 2.0**-11]), "tf32")[0] == 1 + 2.0**-9


def test_rounding_to_a_format_allows_both_neighbours_where_the_error_leaves_it_open():
    tie = 1 + 2.0**-24
    x = Bounded(np.array([tie]), np.array([1e-12]), rules_of(Arithmetic("float64")))
    rounded = x.rounded_to("float32")
    assert rounded.error[0] == 2.0**-23
    sure = Bounded(np.array([1.0]), np.array([1e-12]), x.rules).rounded_to("float32")
    assert sure.error[0] == 0.0
