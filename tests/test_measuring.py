"""All tensors measured at once give the rows, to the bit, that each alone gives."""

import numpy as np
import pytest

from crosscheck import measuring, sampling, verdict
from crosscheck.distribution import Distribution
from crosscheck.engines import names
from crosscheck.values import Gradients

OF = Distribution(widths=(1, 9), samples=(1, 9))


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
@pytest.mark.parametrize("deep", [False, True])
def test_the_rows_are_those_of_each_tensor_alone(dtype, deep, monkeypatch):
    engine = names.load("paper-contracted")
    promise = engine.arithmetic(dtype)
    for index in range(14):
        case = sampling.draw(OF, 5, index, dtype)
        found = engine.gradients(case)
        fast = verdict.judge(verdict.Evidence(case), promise, found, deep)
        with monkeypatch.context() as patched:
            patched.setattr(measuring.Scale, "measure", lambda *_: None)
            slow = verdict.judge(verdict.Evidence(case), promise, found, deep)
        assert [sorted(map(repr, row.items())) for row in fast] == [
            sorted(map(repr, row.items())) for row in slow
        ]


@pytest.mark.parametrize("wrong", [np.nan, np.inf, 1e3])
def test_a_wrong_entry_is_never_cleared(wrong):
    engine = names.load("paper-contracted")
    case = sampling.draw(OF, 5, 9, "float64")
    found = engine.gradients(case)
    weights = [w.copy() for w in found.weights]
    weights[0].flat[-1] = wrong
    evidence = verdict.Evidence(case)
    promise = engine.arithmetic("float64")
    bad = Gradients(None, weights, found.biases)
    assert evidence.scale(promise).measure(bad.tensors()) is None
    assert verdict.judge(evidence, promise, bad)[0]["verdict"] == "DEFECT"


@pytest.mark.parametrize("length", [1, 2, 3, 10, 101])
def test_the_median_is_numpys(length):
    values = np.random.default_rng(length).standard_normal(length)
    assert measuring.median(values) == np.median(values)
