"""Reproduction: the same case again, the smallest that fails, and a test that stands alone."""

import subprocess
import sys

import numpy as np
import pytest

from crosscheck.arithmetic.promise import Arithmetic
from crosscheck.engines import registry
from crosscheck.engines.user.function import CallableEngine
from crosscheck.faults import reproduce, shrinking
from crosscheck.faults.catalogue.table import CATALOGUE, FaultyEngine
from crosscheck.networks import sampling
from crosscheck.networks.distribution import Distribution
from crosscheck.networks.network import Gradients
from crosscheck.runs import reproducing

SECONDS = 200.0

WRONG = """
import numpy as np

def doubled(weights, biases, inputs, targets):
    a = [inputs]
    for w, b in zip(weights, biases):
        a.append(1 / (1 + np.exp(-(a[-1] @ w + b))))
    delta = 4 * (a[-1] - targets) / len(inputs)
    by_weight, by_bias = [], []
    for k in reversed(range(len(weights))):
        delta = delta * a[k + 1] * (1 - a[k + 1])
        by_weight.insert(0, a[k].T @ delta)
        by_bias.insert(0, delta.sum(0))
        delta = delta @ weights[k].T
    return by_weight, by_bias

def raising(weights, biases, inputs, targets):
    raise RuntimeError("always")
"""


@pytest.fixture
def module(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(WRONG)
    return path


def test_a_case_is_rebuilt_from_its_id_and_options():
    of = Distribution(layers=(3, 3), widths=(2, 5), output="sigmoid")
    case = sampling.draw(of, 3, 17, "float32")
    again = reproduce.rebuild(case.id, Distribution(layers=(3, 3), widths=(2, 5)))
    assert again.architecture == case.architecture
    for one, other in zip(case.weights, again.weights, strict=True):
        assert np.array_equal(one, other)
    assert of.line(case.id, "m:f", shrink=True) == (
        "crosscheck reproduce s3-i17-float32-sigmoid --engine m:f"
        " --layers 3-3 --widths 2-5 --shrink"
    )


@pytest.mark.parametrize("text", ["", "17", "s0-i1", "s0-i1-float99-sigmoid", "s0-ix-float64"])
def test_what_is_no_case_is_refused(text):
    with pytest.raises(ValueError, match=r"no case|unknown dtype"):
        reproduce.rebuild(text, Distribution())


SMALLEST = {
    "factor 2": "1-1",
    "factor D": "1-1",
    "slope-missing": "1-1",
    "bias-mean": "1-1",
    "only-last-sample": "1-1",
    "transposed": "2-2",
    "input-row-missing": "1-1",
    "entry-scaled": "1-1",
    "pulled-back-without-slope": "1-1-1",
    "weights-updated": "1-1-1",
}
"""The smallest network on which each mistake shows."""


@pytest.mark.parametrize("identity", SMALLEST)
def test_the_smallest_network_is_found(identity):
    fault = CATALOGUE[identity]
    engine = FaultyEngine(fault)
    of = Distribution((3, 5), (4, 4) if identity == "transposed" else (3, 9), (3, 9), "sigmoid")
    draws = (sampling.draw(of, 0, index, "float64") for index in range(7, 60))
    case = next(c for c in draws if shrinking.failure(engine, c))
    small = shrinking.shrink(engine, case, SECONDS)
    assert small.architecture.label == SMALLEST[identity]
    assert small.samples == (2 if fault.needs.samples == 2 or identity == "factor D" else 1)
    assert shrinking.failure(engine, small).kind == "DEFECT"


class Rarely:
    """Wrong only where a weight is far from simple numbers: parts of the case must do."""

    name = "rarely"
    right = registry.load("paper-contracted")

    def arithmetic(self, dtype):
        return Arithmetic(dtype)

    def gradients(self, case):
        g = self.right.gradients(case)
        factor = 2 if any(np.abs(w).max() > 5 for w in case.weights) else 1
        return Gradients(None, [factor * w for w in g.weights], g.biases)


def test_parts_of_the_case_are_tried_where_no_simple_network_fails():
    of = Distribution((4, 4), (3, 6), (3, 6), "sigmoid", scales=(20.0,))
    case = sampling.draw(of, 0, 20, "float64")
    small = shrinking.shrink(Rarely(), case, SECONDS)
    assert shrinking.failure(Rarely(), small)
    assert sum(small.architecture.widths) < sum(case.architecture.widths)
    assert small.samples == 1


def test_time_that_is_over_leaves_the_case_itself():
    engine = FaultyEngine(CATALOGUE["factor 2"])
    case = sampling.draw(Distribution((3, 3)), 0, 12, "float64")
    assert shrinking.shrink(engine, case, 0.0) is case


def test_what_does_not_fail_cannot_be_shrunk(small):
    with pytest.raises(ValueError, match="nothing to shrink"):
        shrinking.shrink(registry.load("paper"), small(9), 1.0)


@pytest.mark.parametrize("function", ["doubled", "raising"])
def test_the_printed_test_fails_by_itself_without_crosscheck(function, module, tmp_path):
    address = f"{module}:{function}"
    of = Distribution(output="sigmoid", widths=(1, 9))
    text, status = reproducing.run("s0-i12-float64-sigmoid", address, of, SECONDS)
    assert status == (1 if function == "doubled" else 3)
    printed = text.partition("A test to copy:\n\n")[2]
    assert "crosscheck" not in printed
    (tmp_path / "test_printed.py").write_text(printed)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_printed.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1
    assert "1 failed" in done.stdout


def test_the_printed_test_passes_once_the_function_is_mended(module, tmp_path):
    address = f"{module}:doubled"
    text, _ = reproducing.run("s0-i12-float64-sigmoid", address, Distribution(widths=(1, 9)), 2.0)
    module.write_text(WRONG.replace("4 * (a", "2 * (a"))
    scope = {}
    exec(text.partition("A test to copy:\n\n")[2], scope)
    next(f for name, f in scope.items() if name.startswith("test_"))()


@pytest.mark.parametrize("arrays", ["torch", "jax"])
def test_a_function_of_native_arrays_gets_them_in_the_printed_test_too(arrays):
    case = sampling.draw(Distribution(widths=(1, 2)), 0, 12, "float64")
    engine = CallableEngine(lambda w, b, x, y: ([0 * v for v in w], [0 * v for v in b]))
    text = reproduce.as_test("mine:f", case, reproduce.entries(engine, case), arrays)
    assert f"import {arrays}" in text
    compile(text, "printed", "exec")
    assert "--arrays torch" in Distribution().line(case.id, "mine:f", "torch")


def test_a_right_engine_is_shown_entry_by_entry():
    text, status = reproducing.run("s0-i12-float32-identity", "paper", Distribution(), None)
    assert status == 0
    assert "is within its bound" in text
    assert "w2[0, 0]" in text


def test_entries_hold_the_exact_value_and_the_bound(module):
    engine = CallableEngine(lambda w, b, x, y: ([0 * v for v in w], [0 * v for v in b]))
    case = sampling.draw(Distribution(widths=(1, 4)), 0, 12, "float64")
    frame = reproduce.entries(engine, case)
    assert len(frame) == case.architecture.parameters
    assert frame["wrong"].any()
    assert (frame["error"] == frame["exact"].abs()).all()
