"""All tensors measured at once give the rows, to the bit, that NumPy gives of each alone."""

import numpy as np
import pandas as pd
import pytest

from crosscheck.engines import registry
from crosscheck.networks import sampling
from crosscheck.networks.distribution import Distribution
from crosscheck.networks.network import Gradients
from crosscheck.runs import evaluate
from crosscheck.runs.plan import Span
from crosscheck.verdicts import measures, ulp, verdict
from crosscheck.verdicts.evidence import Evidence

OF = Distribution(widths=(1, 9), samples=(1, 9))


def measured_alone(got, hi, lo, radius, allowed, format):
    """What a row says of one tensor, written down by its definition."""
    with np.errstate(all="ignore"):
        error = np.abs((got.astype(float) - hi) - lo)
        error[np.isnan(error)] = np.inf
        beyond = (error - radius > allowed) | ~np.isfinite(got.astype(float))
        relative = error[hi != 0] / np.abs(hi[hi != 0])
        use = np.where(error == 0, 0.0, error / allowed)
        distance = ulp.in_ulps(error, hi, format)
    candidates = np.where(beyond, error, -1.0) if beyond.any() else error
    worst = np.unravel_index(int(candidates.argmax()), candidates.shape)
    some = relative.size > 0
    largest = float(relative.max()) if some else float("nan")
    bits = ulp.effective_bits((largest, float(np.median(relative)) if some else np.nan), format)
    return {
        "mismatched": int(beyond.sum()),
        "max_abs_error": float(error.max()),
        "max_rel_error": largest,
        "max_ulp": float(distance.max()),
        "median_ulp": float(np.median(distance)),
        "effective_bits": bits[0],
        "correct_digits": bits[1] * float(np.log10(2)),
        "bound_use": float(np.fmax.reduce(use, axis=None)),
        "worst_index": str([int(i) for i in worst]),
        "got": float(got[worst]),
        "exact": float(hi[worst]),
        "bound": float(allowed[worst]),
    }


SPOILS = {
    "right": lambda tensor: tensor,
    "one entry": lambda tensor: (
        tensor
        * np.where(np.arange(tensor.size) == 0, 2, 1).reshape(tensor.shape).astype(tensor.dtype)
    ),
    "no number": lambda tensor: tensor * tensor.dtype.type(np.nan),
    "far too large": lambda tensor: tensor + tensor.dtype.type(1e4),
}


@pytest.mark.parametrize("spoil", SPOILS)
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_the_rows_are_those_of_each_tensor_alone(dtype, spoil):
    """Special cases with exact zeros among them, each with a right and a wrong gradient."""
    engine = registry.load("paper-contracted")
    for index in range(24):
        case = sampling.draw(OF, 5, index, dtype)
        right = engine.gradients(case).tensors()
        wrong = [SPOILS[spoil](tensor) for tensor in right]
        evidence, promise = Evidence(case), engine.arithmetic(dtype)
        claims = [verdict.Claim(promise, Gradients(None, g[0::2], g[1::2])) for g in (right, wrong)]
        exact, limits = evidence.enclosure, evidence.bound(promise).tensors
        wide = evidence.bound(promise, absolute=True).tensors
        for tensors, rows in zip((right, wrong), verdict.judge_all(evidence, claims), strict=True):
            for which, (got, row) in enumerate(zip(tensors, rows, strict=True)):
                of = got, *(part[which] for part in (exact.hi, exact.lo, exact.radius))
                alone = measured_alone(*of, limits[which], case.format)
                if alone["mismatched"] and not evidence.bound(promise).overflow:
                    alone = measured_alone(*of, wide[which], case.format)
                assert {name: repr(row[name]) for name in alone} == {
                    name: repr(value) for name, value in alone.items()
                }


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_no_row_depends_on_the_cases_beside_it(dtype):
    plan = evaluate.Plan(("paper-contracted", "paper"), (dtype,), 40, 5, OF, deep="none")
    crew = evaluate.muster(plan.engines)
    together = evaluate.run(plan, crew)
    alone = [f for i in range(40) for f in evaluate.evaluate_block(plan, crew, Span(i, i + 1))]
    apart = evaluate.as_frames(alone, plan.engines)
    pd.testing.assert_frame_equal(together.errors, apart.errors, check_exact=True)
    pd.testing.assert_frame_equal(together.pairs, apart.pairs, check_exact=True)


def test_a_wrong_claim_changes_no_row_of_its_neighbours(monkeypatch):
    """One engine wrong in one case of many: that claim alone is a defect, whatever stands by."""
    plan = evaluate.Plan(("paper-contracted", "paper"), ("float64",), 20, 5, OF, deep="none")
    right = evaluate.run(plan, evaluate.muster(plan.engines)).errors
    engine = registry.load("paper")

    class Wrong:
        name = "paper"
        supports, arithmetic = engine.supports, engine.arithmetic

        def gradients(self, case):
            found = engine.gradients(case)
            if case.index != 13:
                return found
            return Gradients(found.cost, [2 * w for w in found.weights], found.biases)

    crew = {**evaluate.muster(plan.engines), "paper": Wrong()}
    wrong = evaluate.run(plan, crew).errors
    changed = (right["index"] == 13) & (right["engine"] == "paper")
    assert set(wrong.loc[changed & (wrong["tensor"].str[0] == "w"), "verdict"]) == {"DEFECT"}
    pd.testing.assert_frame_equal(wrong[~changed], right[~changed], check_exact=True)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, 1e3])
def test_a_wrong_entry_is_never_cleared(wrong):
    engine = registry.load("paper-contracted")
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
    got = measures.flat([found.tensors(), bad.tensors()])
    allowed = measures.flat([evidence.bound(promise).tensors] * 2)
    assert evidence.ruler.measure(got, allowed).sound.tolist() == [[True], [False]]


@pytest.mark.parametrize("length", [1, 2, 3, 10, 101, 102])
def test_the_median_is_numpys(length):
    values = np.random.default_rng(length).standard_normal((3, length))
    np.testing.assert_array_equal(measures.medians(values), np.median(values, axis=1))


@pytest.mark.parametrize("most", [3, 200])
def test_medians_of_many_tensors_are_numpys(most):
    rng = np.random.default_rng(most)
    sizes = rng.integers(1, most, 60)
    values = np.append(rng.standard_normal((2, sizes.sum())), [[np.inf], [np.inf]], axis=1)
    starts = np.cumsum(sizes) - sizes
    expected = [np.median(values[:, a : a + n], axis=1) for a, n in zip(starts, sizes, strict=True)]
    np.testing.assert_array_equal(measures.Middles(starts, sizes).of(values).T, expected)
