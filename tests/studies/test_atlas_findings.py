"""What the atlas finds by itself on the pinned versions, and that what it says can be seen."""

import subprocess
import sys

import mpmath
import pytest

from crosscheck.studies.atlas import catalogue, causes
from crosscheck.studies.atlas.definition import PublicCall
from crosscheck.studies.atlas.examine import FunctionTrial, Truth, examine

pytest.importorskip("torch")
pytest.importorskip("jax")


def rows(function, definition=None, dtype="float64", density="quick"):
    """The rows of a public function, by a definition where it has several."""
    for name, calls in catalogue.chosen(function).items():
        if definition in (None, name):
            for call in calls:
                truth = Truth(catalogue.all_definitions()[name])
                return examine(FunctionTrial(call, dtype, truth, density), ("reverse",)).rows
    raise AssertionError(f"the atlas has no {function} as {definition}")


WRONG_IN_A_REGION = [
    ("torch.sigmoid", None, 37, 745),
    ("jax.nn.sigmoid", None, 37, 745),
    ("torch.tanh", None, 18, 355),
    ("jax.numpy.tanh", None, 17, 355),
    ("torch.expm1", None, -709, -36),
    ("jax.nn.elu", None, -709, -36),
    ("torch.sinc", None, 1e-12, 1e-6),
    ("jax.numpy.sinc", None, 1e-200, 1e-3),
    ("torch.nn.functional.hardsigmoid", None, -3, 3),
    ("torch.nn.functional.log_softmax", "log_softmax of [x, 0]", 20, 800),
    ("torch.softmax", "softmax of [x, 0]", 20, 800),
    ("jax.nn.softmax", "softmax of [x, 0]", 20, 800),
]


@pytest.mark.parametrize(("function", "definition", "low", "high"), WRONG_IN_A_REGION)
def test_a_derivative_that_is_known_to_be_wrong_is_found(function, definition, low, high):
    found = [row for row in rows(function, definition) if row.ruling in ("wrong", "value")]
    assert any(low <= row.at <= high for row in found), found


def test_gelu_of_torch_loses_its_value_and_so_its_derivative_in_the_tail():
    found = rows("torch.nn.functional.gelu", "gelu")
    assert any(row.ruling in ("wrong", "value") and row.at < -5 for row in found)


def test_the_threshold_of_softplus_is_what_the_documentation_says():
    found = [row for row in rows("torch.nn.functional.softplus") if 20 < row.at < 36]
    assert found
    assert {row.ruling for row in found} == {"documented"}


@pytest.mark.parametrize("function", ["torch.linalg.vector_norm", "jax.numpy.linalg.norm"])
def test_a_norm_that_overflows_is_a_matter_of_range(function):
    found = rows(function, "norm 2 of [x, 4e+200]")
    assert any(row.ruling == "range" and row.at == 3e200 for row in found), found


def test_ldexp_of_jax_halves_its_derivative_at_0():
    found = [row for row in rows("jax.numpy.ldexp") if row.at == 0]
    assert [row.ruling for row in found] == ["wrong"]


CONVENTIONS = [
    ("torch.clamp", None, 1.0, 1.0),
    ("torch.nn.functional.hardtanh", None, 1.0, 0.0),
    ("torch.abs", None, 0.0, 0.0),
    ("jax.numpy.abs", None, 0.0, 1.0),
    ("torch.nn.functional.leaky_relu", None, 0.0, 0.01),
    ("torch.maximum", "maximum with 0", 0.0, 0.5),
    ("jax.numpy.maximum", "maximum with 0", 0.0, 0.5),
]


@pytest.mark.parametrize(("function", "definition", "at", "got"), CONVENTIONS)
def test_a_kink_is_a_convention_and_which_is_told(function, definition, at, got):
    (found,) = [row for row in rows(function, definition) if row.at == at]
    assert found.ruling == "convention"
    assert found.got == pytest.approx(got)
    assert found.exact - found.radius <= found.got <= found.exact + found.radius


RIGHT = ["torch.sin", "jax.numpy.sin", "torch.atan", "torch.erfc", "jax.nn.relu", "torch.log1p"]


@pytest.mark.parametrize("function", RIGHT)
def test_a_function_that_behaves_is_not_accused(function):
    assert {row.ruling for row in rows(function)} <= {"range", "convention"}


def test_a_nan_times_0_is_told_apart():
    call = PublicCall("jax", "jax.numpy.where", "jax.numpy.where(x > 0, jnp.sqrt(x), 0.0)", "where")
    assert "0 × ∞" in causes.seen(call, "float64", 0.0).nan
    assert causes.seen(call, "float64", 1.0).nan == ""


REFERENCES = {
    "torch.sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "jax.numpy.tanh": mpmath.tanh,
    "torch.expm1": mpmath.expm1,
    "torch.sinc": lambda x: mpmath.sin(mpmath.pi * x) / (mpmath.pi * x),
    "torch.nn.functional.gelu": lambda x: x * mpmath.ncdf(x),
    "torch.special.log_ndtr": lambda x: mpmath.log(mpmath.ncdf(x)),
    "jax.nn.mish": lambda x: x * mpmath.tanh(mpmath.log1p(mpmath.exp(x))),
    "torch.acosh": mpmath.acosh,
    "jax.scipy.special.i1e": lambda x: mpmath.exp(-abs(x)) * mpmath.besseli(1, x),
    "torch.digamma": mpmath.digamma,
    "jax.scipy.special.spence": lambda x: mpmath.polylog(2, 1 - x).real,
    "jax.scipy.stats.norm.logcdf": lambda x: mpmath.log(mpmath.ncdf(x)),
    "torch.distributions.Gumbel.cdf": lambda x: mpmath.exp(-mpmath.exp(-x)),
}


@pytest.mark.slow
@pytest.mark.parametrize("function", list(REFERENCES))
def test_mpmath_agrees_at_every_worst_point(function):
    for row in rows(function):
        if row.ruling == "convention" or not 1e-20 < abs(row.at) < 700:
            continue
        slope = derivative(REFERENCES[function], row.at)
        assert abs(slope - mpmath.mpf(row.exact)) <= mpmath.mpf(row.radius) * 2 + abs(slope) * 1e-30


def derivative(function, at):
    """A central quotient in enough digits that 50 of them are the derivative's."""
    with mpmath.workdps(1200):
        x, h = mpmath.mpf(at), mpmath.mpf(10) ** -400
        return (function(x + h) - function(x - h)) / (2 * h)


def test_snippets_print_what_the_atlas_says():
    for names in (("torch.sigmoid", "torch.expm1"), ("jax.nn.elu", "jax.numpy.sinc")):
        shown = [row for name in names for row in rows(name) if row.ruling == "wrong"]
        program = "\n".join(row.snippet for row in shown)
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        )
        printed = [line.split(" exact: ") for line in done.stdout.splitlines()]
        assert [float(got) for got, _ in printed] == [row.got for row in shown]
        assert [float(exact) for _, exact in printed] == [row.exact for row in shown]
