"""A function of one's own against a definition."""

import numpy as np
import pytest

from crosscheck import functions


def test_a_right_gradient_in_numpy_passes():
    report = functions.check(np.sin, "sin", gradient=np.cos, density="quick")
    assert report.ok
    report.raise_if_wrong()


def test_a_wrong_gradient_in_numpy_is_told():
    report = functions.check(np.sin, "sin", gradient=np.sin, density="quick")
    assert not report.ok
    with pytest.raises(AssertionError, match="wrong: the derivative of sin"):
        report.raise_if_wrong()


def test_an_approximation_is_not_the_function():
    torch = pytest.importorskip("torch")
    report = functions.check(lambda x: x * torch.sigmoid(1.702 * x), "gelu", density="quick")
    assert not report.ok
    assert set(report.errors["framework"]) == {"torch"}


def test_jax_is_known_by_its_arrays():
    jax = pytest.importorskip("jax")
    assert functions.check(jax.numpy.cos, "cos", density="quick").ok


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"definition": "gelo"}, "the nearest are"),
        ({"definition": "sin", "dtypes": ("float8",)}, "unknown format"),
        ({"definition": "sin", "density": "all"}, "unknown density"),
        ({"definition": "sin"}, "takes no framework's arrays"),
    ],
)
def test_bad_input_is_one_sentence(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        functions.check(len, **options)
