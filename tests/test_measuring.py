"""All tensors measured at once give the rows, to the bit, that each alone gives."""

import numpy as np
import pandas as pd
import pytest

from crosscheck import measuring, sampling, suite, verdict
from crosscheck.distribution import Distribution
from crosscheck.engines import names
from crosscheck.evidence import Evidence
from crosscheck.plan import Span
from crosscheck.values import Gradients

OF = Distribution(widths=(1, 9), samples=(1, 9))


def unmeasured(ruler, got, allowed):
    """Nothing measured at once: every tensor has to be measured by itself."""
    found = MEASURE(ruler, got, allowed)
    return found._replace(sound=np.zeros_like(found.sound))


MEASURE = measuring.Ruler.measure


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
@pytest.mark.parametrize("deep", ["all", "none"])
def test_the_rows_are_those_of_each_tensor_alone(dtype, deep, monkeypatch):
    """Through the whole of a run, special cases with exact zeros among them."""
    plan = suite.Plan(("paper-contracted", "paper"), (dtype,), 40, 5, OF, deep=deep)
    fast = suite.run(plan, suite.muster(plan.engines))
    monkeypatch.setattr(measuring.Ruler, "measure", unmeasured)
    slow = suite.run(plan, suite.muster(plan.engines))
    pd.testing.assert_frame_equal(fast.errors, slow.errors, check_exact=True)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_no_row_depends_on_the_cases_beside_it(dtype):
    plan = suite.Plan(("paper-contracted", "paper"), (dtype,), 40, 5, OF, deep="none")
    crew = suite.muster(plan.engines)
    together = suite.run(plan, crew)
    alone = [f for i in range(40) for f in suite.evaluate_block(plan, crew, Span(i, i + 1))]
    apart = suite.as_frames(alone, plan.engines)
    pd.testing.assert_frame_equal(together.errors, apart.errors, check_exact=True)
    pd.testing.assert_frame_equal(together.pairs, apart.pairs, check_exact=True)


def test_a_wrong_claim_changes_no_row_of_its_neighbours(monkeypatch):
    """One engine wrong in one case of many: that claim alone is a defect, whatever stands by."""
    plan = suite.Plan(("paper-contracted", "paper"), ("float64",), 20, 5, OF, deep="none")
    right = suite.run(plan, suite.muster(plan.engines)).errors
    engine = names.load("paper")

    class Wrong:
        name = "paper"
        supports, arithmetic = engine.supports, engine.arithmetic

        def gradients(self, case):
            found = engine.gradients(case)
            if case.index != 13:
                return found
            return Gradients(found.cost, [2 * w for w in found.weights], found.biases)

    crew = {**suite.muster(plan.engines), "paper": Wrong()}
    wrong = suite.run(plan, crew).errors
    changed = (right["index"] == 13) & (right["engine"] == "paper")
    assert set(wrong.loc[changed & (wrong["tensor"].str[0] == "w"), "verdict"]) == {"DEFECT"}
    pd.testing.assert_frame_equal(wrong[~changed], right[~changed], check_exact=True)


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
    allowed = measuring.flat([evidence.bound(promise).tensors] * 2)
    assert evidence.ruler.measure(got, allowed).sound.tolist() == [[True], [False]]


@pytest.mark.parametrize("length", [1, 2, 3, 10, 101, 102])
def test_the_median_is_numpys(length):
    values = np.random.default_rng(length).standard_normal((3, length))
    np.testing.assert_array_equal(measuring.medians(values), np.median(values, axis=1))


@pytest.mark.parametrize("most", [3, 200])
def test_medians_of_many_tensors_are_numpys(most):
    rng = np.random.default_rng(most)
    sizes = rng.integers(1, most, 60)
    values = np.append(rng.standard_normal((2, sizes.sum())), [[np.inf], [np.inf]], axis=1)
    starts = np.cumsum(sizes) - sizes
    expected = [np.median(values[:, a : a + n], axis=1) for a, n in zip(starts, sizes, strict=True)]
    np.testing.assert_array_equal(measuring.Middles(starts, sizes).of(values).T, expected)
