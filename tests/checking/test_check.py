"""check(): right functions pass, wrong ones do not, and the user's arrays are the user's."""

import subprocess
import sys

import numpy as np
import pytest

import crosscheck
from crosscheck.runs import explaining


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


@pytest.fixture(autouse=True)
def _brief(request, monkeypatch):
    """No search for the smallest case, but in the tests that ask for it."""
    if "shrinking" not in request.fixturenames:
        monkeypatch.setattr(explaining, "SHRINKING_SECONDS", 0.0)


@pytest.fixture
def shrinking():
    """Asks for the search."""


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
        ({"hidden": "swish"}, "unknown hidden activation 'swish'"),
        ({"hidden": "softmax"}, "of the output layer"),
        ({"cost": "cross_entropy"}, "cross_entropy_with_logits"),
        ({"cost": "cross_entropy_with_logits", "output": "softmax"}, "the cost is cross_entropy$"),
        ({"l2": -1}, "0 or more"),
        ({"architecture": ()}, "two layers or more"),
        ({"architecture": (5,)}, "two layers or more"),
        ({"architecture": (5, 2), "outputs": 3}, "ends with 2"),
        ({"architecture": (5, 2), "layers": (3, 4)}, "has 2 layers"),
        ({"outputs": 0}, "outputs"),
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


MESSAGES = {
    "transposed": (
        lambda w, b: ([x.T for x in w], b),
        "it looks transposed",
        "the weights' gradients are transposed",
    ),
    "too few": (lambda w, b: (w, b[:-1]), "bias gradients came, expected"),
    "float32": (lambda w, b: ([x.astype(np.float32) for x in w], b), "w2 has dtype float32"),
    "NaN": (lambda w, b: ([x * np.nan for x in w], b), "Not a finite number: got nan at w"),
    "None": (lambda w, b: None, "returned None", "is a return missing?"),
    "a None inside": (lambda w, b: (w, [None for _ in b]), "bias gradient of layer 2 is None"),
    "flat": (
        lambda w, b: [t for pair in zip(w * 2, b * 2, strict=True) for t in pair],
        "w2, b2, w3, … in one list",
    ),
    "dictionary": (lambda w, b: {"w": w, "b": b}, "expected a pair", "dictionary"),
    "raises": (lambda w, b: 1 / 0, "ZeroDivisionError", "line ", "test_checking.py"),
    "shapes": (lambda w, b: w[0] @ np.ones(1000), "is a transpose missing"),
    "keepdims": (lambda w, b: (w, [x[None] for x in b]), "keepdims=True"),
    "summed": (lambda w, b: (w, [x.sum() for x in b]), "summed over the neurons too"),
    "an array": (lambda w, b: (w[0], b), "weight gradients are a ndarray of shape"),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_the_message_says_what_came_and_what_probably_happened(name):
    change, *said = MESSAGES[name]
    report = crosscheck.check(lambda *arguments: change(*right(*arguments)), **QUICK)
    for words in said:
        assert words in report.message()


def test_samples_that_were_not_summed_are_seen():
    def unsummed(weights, biases, inputs, targets):
        by_weight, by_bias = right(weights, biases, inputs, targets)
        return by_weight, [np.tile(b, (len(inputs), 1)) for b in by_bias]

    report = crosscheck.check(unsummed, layers=(2, 3), samples=(2, 8), widths=(2, 8), cases=9)
    assert "not summed over the samples" in report.message()


def test_a_transposed_gradient_with_a_mistake_has_both_named():
    def both(*arguments):
        by_weight, by_bias = right(*arguments)
        return [2 * w.T for w in by_weight], [2 * b for b in by_bias]

    report = crosscheck.check(both, **QUICK)
    assert report.diagnosis.fault == "factor 2"
    assert "transposed" in report.diagnosis.sentence


def doubled(*arguments):
    by_weight, by_bias = right(*arguments)
    return [2 * w for w in by_weight], [2 * b for b in by_bias]


@pytest.mark.usefixtures("shrinking")
def test_the_whole_message_has_the_shape_that_people_know():
    report = crosscheck.check(doubled, **QUICK)
    lines = report.message().split("\n")
    starts = (
        "DEFECT  doubled, ",
        "Mismatched entries: ",
        "Greatest absolute difference: ",
        "It behaves as: factor 2 (the cost's 2 counted twice, or the gradient of 2·cost). Explains",
        "Smallest case that fails: 1-1, D = 1",
        "Reproduce: crosscheck reproduce s0-i",
    )
    assert len(lines) == len(starts)
    for line, start in zip(lines, starts, strict=True):
        assert line.startswith(start)
    assert "the bound allows" in lines[1]
    assert "(2.0000 times)" in lines[2]
    assert report.diagnosis.share == 1
    assert report.smallest.architecture.widths == (1, 1)


def test_another_convention_is_told_from_a_mistake():
    def halved(*arguments):
        by_weight, by_bias = right(*arguments)
        return [w / 2 for w in by_weight], [b / 2 for b in by_bias]

    message = crosscheck.check(halved, **QUICK).message()
    assert 'pass cost="half_squared_error", or multiply it by 2' in message
    assert crosscheck.check(halved, cost="half_squared_error", **QUICK).ok


def test_writing_to_the_arguments_is_reported():
    def careless(weights, biases, inputs, targets):
        result = doubled(weights, biases, inputs, targets)
        inputs[...] = 0
        return result

    report = crosscheck.check(careless, **QUICK)
    assert "writes to its arguments (inputs)" in report.message()
    clean = crosscheck.check(right, **QUICK)
    assert clean.notes == ()


def test_what_is_no_function_is_refused():
    with pytest.raises(ValueError, match="is a int, expected a function"):
        crosscheck.check(5)


def test_unknown_arrays_are_refused():
    with pytest.raises(ValueError, match="unknown arrays 'cupy': known are numpy, torch, jax"):
        crosscheck.check(right, arrays="cupy")


def test_numpy_alone_loads_neither_torch_nor_jax(tmp_path):
    script = (
        "import sys, numpy as np, crosscheck\n"
        "r = crosscheck.check(lambda w, b, x, y: ([0 * v for v in w], [0 * v for v in b]),"
        " cases=12, widths=(1, 4))\n"
        "assert r.diagnosis.fault == 'all-zero', r.message()\n"
        "assert not {'torch', 'jax'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_weight_that_is_not_transposed_is_named_though_most_networks_raise():
    def untransposed(weights, biases, inputs, targets):
        by_weight, by_bias, a = [], [], [inputs]
        for k, (w, b) in enumerate(zip(weights, biases, strict=True)):
            z = a[-1] @ w + b
            a.append(z if k == len(weights) - 1 else 1 / (1 + np.exp(-z)))
        delta = 2 * (a[-1] - targets) / len(inputs)
        for k in reversed(range(len(weights))):
            by_weight.insert(0, a[k].T @ delta)
            by_bias.insert(0, delta.sum(axis=0))
            if k:
                delta = (delta @ weights[k]) * a[k] * (1 - a[k])
        return by_weight, by_bias

    report = crosscheck.check(untransposed, cases=15, layers=(3, 5), widths=(2, 64), samples=(2, 8))
    assert "is a transpose missing" in report.message()
    assert report.diagnosis.fault == "weight-not-transposed"
    assert "on square networks" in report.diagnosis.sentence


@pytest.mark.parametrize("hidden", ["tanh", "relu"])
def test_mistakes_are_named_with_other_activations_too(hidden):
    sigma, slope = {
        "tanh": (np.tanh, lambda a: 1 - a * a),
        "relu": (lambda z: np.maximum(z, 0), lambda a: (a > 0) * 1.0),
    }[hidden]

    def gradient(weights, biases, inputs, targets):
        by_weight, by_bias, a = [], [], [inputs]
        for k, (w, b) in enumerate(zip(weights, biases, strict=True)):
            z = a[-1] @ w + b
            a.append(z if k == len(weights) - 1 else sigma(z))
        delta = 2 * (a[-1] - targets) / len(inputs)
        for k in reversed(range(len(weights))):
            by_weight.insert(0, a[k].T @ delta)
            by_bias.insert(0, delta.mean(axis=0))
            delta = (delta @ weights[k].T) * slope(a[k])
        return by_weight, by_bias

    report = crosscheck.check(gradient, hidden=hidden, **QUICK)
    assert report.diagnosis.fault == "bias-mean"
    assert report.diagnosis.share == 1
