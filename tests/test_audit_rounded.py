"""The running error analysis: an expression lies within its own bound, and a bound says no."""

from fractions import Fraction

import numpy as np
import pytest
from flint import arb
from hypothesis import given, strategies as st

from crosscheck import oracle
from crosscheck.audit.rounded import Rounded, sigma_on
from crosscheck.engines.paper_numpy import sigma
from crosscheck.formats import FORMATS
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
        rounded[symbol] = Rounded(value, np.abs(off), of)
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
        narrow[symbol] = Rounded.exact(part.value, FORMATS["float32"])
        wide[symbol] = Rounded.exact(part.value.astype(float), FORMATS["float64"])
        exact[symbol] = exactly(part.value)
    got, right = EQUATIONS[name].at(narrow), EQUATIONS[name].at(exact)
    claimed = EQUATIONS[name].at(wide).bound
    assert (errors(got, right) <= exactly(got.bound)).all()
    assert (errors(got, right) > exactly(claimed)).any()


@given(st.floats(-700, 700), st.floats(0, 1e-6))
def test_sigma_lies_within_its_bound(z, error):
    got = sigma_on(sigma)(Rounded(np.array([z]), np.array([error]), FORMATS["float64"]))
    with oracle.working_precision(2000):
        for shifted in (Fraction(z) - Fraction(error), Fraction(z) + Fraction(error)):
            exact = 1 / (1 + (-(arb(shifted.numerator) / arb(shifted.denominator))).exp())
            assert abs(arb(float(got.value[0])) - exact) <= arb(float(got.bound[0]))


def test_underflow_is_within_the_bound():
    of = FORMATS["float64"]
    tiny = Rounded.exact(np.array([[3e-200]]), of)
    for got in (tiny * tiny, tiny @ tiny):
        assert got.value == 0
        assert got.bound > 0
    nothing = Rounded.exact(np.zeros((1, 1)), of)
    assert (nothing * tiny).bound == (nothing @ tiny).bound == 0


def test_what_is_no_number_has_no_bound():
    huge = Rounded.exact(np.array([1e308]), FORMATS["float64"])
    with np.errstate(over="ignore"):
        assert np.isinf((huge * huge).bound).all()


@pytest.mark.parametrize("divisor", [0.5, 0, -2])
def test_only_whole_numbers_divide(divisor):
    with pytest.raises(TypeError, match="whole numbers"):
        Rounded.exact(np.ones(1), FORMATS["float64"]) / divisor
