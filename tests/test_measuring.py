"""All tensors measured at once give the rows, to the bit, that each alone gives."""

import numpy as np
import pytest

from crosscheck import measuring, sampling, verdict
from crosscheck.distribution import Distribution
from crosscheck.engines import names
from crosscheck.evidence import Evidence
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
        fast = verdict.judge(Evidence(case), promise, found, deep)
        with monkeypatch.context() as patched:
            patched.setattr(measuring.Ruler, "measure", lambda _, got, __: [None] * len(got))
            slow = verdict.judge(Evidence(case), promise, found, deep)
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
    evidence = Evidence(case)
    promise = engine.arithmetic("float64")
    bad = Gradients(None, weights, found.biases)
    claims = [verdict.Claim(promise, found), verdict.Claim(promise, bad)]
    right, wrong = verdict.judge_all(evidence, claims)
    assert wrong[0]["verdict"] == "DEFECT"
    assert right == verdict.judge(evidence, promise, found)
    got = measuring.flat([found.tensors(), bad.tensors()])
    allowed = evidence.allowed(promise)[None].repeat(2, axis=0)
    assert [of is None for of in evidence.ruler.measure(got, allowed)] == [False, True]


@pytest.mark.parametrize("length", [1, 2, 3, 10, 101, 102])
def test_the_median_is_numpys(length):
    values = np.random.default_rng(length).standard_normal((3, length))
    np.testing.assert_array_equal(measuring.medians(values), np.median(values, axis=1))
