"""check(): right functions pass, wrong ones do not, and the user's arrays are the user's."""

import numpy as np
import pytest

import crosscheck


def right(weights, biases, inputs, targets):
    """Backpropagation for sigmoid hidden layers and a linear output, as a user writes it."""
    a = [inputs]
    for k, (w, b) in enumerate(zip(weights, biases, strict=True)):
        z = a[-1] @ w + b
        a.append(z if k == len(weights) - 1 else 1 / (1 + np.exp(-z)))
    delta = 2 * (a[-1] - targets) / len(inputs)
    by_weight, by_bias = [], []
    for k in reversed(range(len(weights))):
        by_weight.insert(0, a[k].T @ delta)
        by_bias.insert(0, delta.sum(axis=0))
        delta = (delta @ weights[k].T) * a[k] * (1 - a[k])
    return by_weight, by_bias


@pytest.fixture(autouse=True)
def _quiet():
    with np.errstate(over="ignore"):
        yield


QUICK = {"cases": 15, "widths": (1, 8), "samples": (1, 8)}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_right_function_is_ok(dtype):
    report = crosscheck.check(right, dtype=dtype, **QUICK)
    assert report.ok
    report.raise_if_defect()
    assert report.message() == ""
    assert list(report.summary()["engine"]) == ["right"]


def test_a_wrong_function_is_not():
    def doubled(*arguments):
        weights, biases = right(*arguments)
        return [2 * w for w in weights], biases

    report = crosscheck.check(doubled, **QUICK)
    assert not report.ok
    with pytest.raises(AssertionError, match=r"DEFECT  doubled, w\d of .*float64") as failure:
        report.raise_if_defect()
    assert "(2.0000 times)" in str(failure.value)
    assert set(report.errors.query("verdict == 'DEFECT'")["tensor"].str[0]) == {"w"}


@pytest.mark.parametrize("cost", ["half_squared_error", "sum_squared_error", "mean_squared_error"])
def test_a_declared_convention_is_right(cost):
    def conventional(weights, biases, inputs, targets):
        factor = {
            "half_squared_error": 0.5,
            "sum_squared_error": len(inputs),
            "mean_squared_error": 1 / targets.shape[1],
        }[cost]
        by_weight, by_bias = right(weights, biases, inputs, targets)
        return [w * factor for w in by_weight], [b * factor for b in by_bias]

    assert crosscheck.check(conventional, cost=cost, **QUICK).ok
    assert not crosscheck.check(conventional, **QUICK).ok


WRONG = {
    "transposed": lambda w, b: ([x.T for x in w], b),
    "too few": lambda w, b: (w, b[:-1]),
    "float32": lambda w, b: ([x.astype(np.float32) for x in w], b),
    "NaN": lambda w, b: ([x * np.nan for x in w], b),
    "not a pair": lambda w, b: w[0],
    "None": lambda w, b: None,
    "raises": lambda w, b: 1 / 0,
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_forms_are_never_a_pass(name):
    report = crosscheck.check(lambda *arguments: WRONG[name](*right(*arguments)), **QUICK)
    assert not report.ok
    with pytest.raises(AssertionError):
        report.raise_if_defect()


def test_changing_the_arrays_in_place_hurts_nobody():
    def careless(weights, biases, inputs, targets):
        result = right(weights, biases, inputs, targets)
        for array in (*weights, *biases, inputs, targets):
            array[...] = 0
        return result

    assert not crosscheck.check(careless, **QUICK).errors["verdict"].eq("DEFECT").any()


def test_against_judges_engines_beside_it():
    report = crosscheck.check(right, against=["paper"], **QUICK)
    assert list(report.summary()["engine"]) == ["right", "paper"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"hidden": "softmax"}, "unknown hidden activation 'softmax'"),
        ({"cost": "log"}, "unknown cost 'log'"),
        ({"against": ["papr"]}, "did you mean paper"),
        ({"dtype": "float23"}, "did you mean float32"),
        ({"widths": (5, 2)}, "widths"),
        ({"layers": (1, 2)}, "layers"),
        ({"samples": (0, 2)}, "samples"),
    ],
)
def test_bad_options_raise_a_sentence(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        crosscheck.check(right, **options)
