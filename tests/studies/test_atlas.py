"""The atlas: definitions in balls, rulings on what is known, and no false word."""

import math

import mpmath
import numpy as np
import pytest

from crosscheck.arithmetic.formats import FORMATS
from crosscheck.studies.atlas import catalogue, points, rulings
from crosscheck.studies.atlas.definition import Exact, agrees, exact
from crosscheck.studies.atlas.examine import FunctionTrial, Truth, examine
from crosscheck.studies.atlas.mathematics import functions as e, jets as j

F64 = FORMATS["float64"]


@pytest.mark.parametrize("name", list(catalogue.all_definitions()))
def test_a_derivative_is_the_quotient_of_differences_of_its_value(name):
    Truth(catalogue.all_definitions()[name]).certify()


def test_a_derivative_that_is_another_is_noticed():
    wrong = exact(lambda x: e.sin(x) * (1 + 2**-40), 1.0)
    assert agrees(lambda x: e.sin(x) * (1 + 2**-40), 1.0, wrong)
    assert not agrees(e.sin, 1.0, wrong)


@pytest.mark.parametrize(
    ("formula", "reference", "at"),
    [
        (e.logistic, lambda x: 1 / (1 + mpmath.exp(-x)), -40.5),
        (e.sinc, lambda x: mpmath.sin(x) / x, 1e-9),
        (e.erfcx, lambda x: mpmath.exp(x**2) * mpmath.erfc(x), 3.25),
        (e.normal_log_cdf, lambda x: mpmath.log(mpmath.ncdf(x)), -12.5),
        (e.dawson, lambda x: mpmath.sqrt(mpmath.pi) / 2 * mpmath.exp(-x * x) * mpmath.erfi(x), 1.5),
        (e.spence, lambda x: mpmath.polylog(2, 1 - x).real, 2.5),
        (
            j.analytic(lambda z: z.gamma_lower(2.5, 1)),
            lambda x: mpmath.gammainc(2.5, 0, x, regularized=True),
            1.25,
        ),
    ],
)
def test_balls_enclose_what_mpmath_says(formula, reference, at):
    known = exact(formula, at)
    with mpmath.workdps(50):
        slope = mpmath.diff(reference, mpmath.mpf(at), h=mpmath.mpf(10) ** -20)
        assert abs(mpmath.mpf(known.slope.str(40, radius=False)) / slope - 1) < 1e-18
        value = mpmath.mpf(known.value.str(40, radius=False))
        assert abs(value / reference(mpmath.mpf(at)) - 1) < 1e-20


def test_both_sides_of_a_kink_are_known():
    known = exact(lambda x: j.maximum(x, 0), 0.0)
    assert known.kink
    assert (float(known.low), float(known.high)) == (0, 1)
    assert not exact(lambda x: j.maximum(x, x), 0.0).kink


def test_the_norm_has_a_kink_where_it_is_0():
    known = exact(lambda x: e.sqrt((x - 1) ** 2 + (x - 1) ** 2), 1.0)
    assert float(known.high) == pytest.approx(math.sqrt(2))


def judged(got, slope, condition=1.0):
    known = Exact("certain", j.ball(1), j.ball(slope), condition, 1.0)
    return rulings.of_slope(got, known, F64).ruling


@pytest.mark.parametrize(
    ("got", "slope", "condition", "ruling"),
    [
        (1.0, 1.0, 1.0, "right"),
        (1 + 2**-50, 1.0, 1.0, "right"),
        (1 + 2**-40, 1.0, 1.0, "inaccurate"),
        (1 + 2**-40, 1.0, 1e4, "ill-conditioned"),
        (1 + 2**-20, 1.0, 1.0, "wrong"),
        (1 + 2**-20, 1.0, 1e12, "ill-conditioned"),
        (0.0, 1e-300, 1.0, "wrong"),
        (math.nan, 1.0, 1.0, "wrong"),
        (math.inf, 1e308, 1.0, "wrong"),
        (0.0, 2.0**-1070, 1.0, "range"),
        (0.0, 2.0**-1080, 1.0, "right"),
    ],
)
def test_a_ruling_by_error_and_condition(got, slope, condition, ruling):
    assert judged(got, slope, condition) == ruling


def test_a_point_of_the_subdifferential_is_a_convention_and_no_other():
    known = exact(j.absolute, 0.0)
    assert rulings.of_slope(0.0, known, F64).ruling == "convention"
    assert rulings.of_slope(-1.0, known, F64).ruling == "convention"
    assert rulings.of_slope(1.5, known, F64).ruling == "wrong"
    assert rulings.of_slope(math.nan, known, F64).ruling == "wrong"


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16", "float16"])
def test_places_among_the_numbers_of_a_format_are_those_of_the_numbers(dtype):
    format = FORMATS[dtype]
    at = points.held(np.array([-3.5, -1e-3, 0.0, 1e-3, 1.0, 1.25, 7.0]), format)
    places = points.order(at, format)
    assert (np.diff(places) > 0).all()
    assert (points.at_order(places, format) == at).all()
    assert points.at_order(places[4:5] + 1, format)[0] == 1 + 2.0 ** (1 - format.digits)


def test_bisection_finds_the_first_number_of_its_kind():
    first = points.bisect([(0.0, 10.0)], F64, lambda at, like: at >= np.pi)
    assert first == [np.nextafter(np.pi, 4) if np.pi < math.pi else np.pi]


def trial(function, framework, dtype="float64"):
    ((name, (call,)),) = catalogue.chosen(function, framework).items()
    return examine(FunctionTrial(call, dtype, Truth(catalogue.all_definitions()[name])))


def test_expm1_loses_its_derivative_in_the_tail():
    found = trial("torch.expm1", "torch")
    wrong = [row for row in found.rows if row.ruling == "wrong"]
    assert any(row.got == 0 and row.at < -36 for row in wrong)


def test_the_sine_is_not_accused():
    for framework in ("torch", "jax"):
        assert {row.ruling for row in trial("sin", framework).rows} <= {"range"}


def test_an_unknown_function_is_answered_by_the_nearest():
    with pytest.raises(ValueError, match="expm1"):
        catalogue.chosen("expm2")
