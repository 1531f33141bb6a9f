"""The oracle's certificate: it agrees with a right gradient, and says no to a wrong one."""

import dataclasses

import pytest
from flint import arb, arb_mat

from crosscheck.exact import certificate, oracle, slices
from crosscheck.exact.enclosure import first_disagreement
from crosscheck.networks import sampling
from crosscheck.networks.distribution import Distribution
from crosscheck.networks.network import Architecture
from crosscheck.runs import evaluate
from crosscheck.verdicts.evidence import Evidence


@pytest.mark.parametrize("index", [1, 2, 3, 6, 8, 9, 12])
def test_the_oracle_is_certified(index, small):
    found = certificate.certify(small(index))
    assert found.verdict == "certified"
    assert found.counted == len(found.comparisons)


def test_saturation_counts_only_with_more_bits():
    """|z| up to 300: the gradient is e^-300 of the cost, and the quotient must still see it."""
    case = sampling.draw(Distribution(widths=(1, 4), samples=(1, 4)), 0, 7, "float64")
    assert case.special == "saturated"
    assert certificate.certify(case).verdict == "certified"


def test_a_comparison_that_could_not_fail_does_not_count(small):
    """An exactly zero gradient has no radius that a quotient could be small against."""
    case = small(4)
    assert case.special == "targets equal to the output"
    found = certificate.certify(case)
    assert (found.verdict, found.counted, found.failed) == ("in part", 0, [])


@pytest.mark.parametrize("tensor", [0, 1, 2, 3])
@pytest.mark.parametrize("off", [-40, -70, -85])
def test_a_gradient_off_by_little_fails(tensor, off, small):
    """One entry times 1 + 2^off, far below any float's precision, is not the derivative."""
    case = sampling.draw(Distribution((3, 3), (3, 3), (3, 3)), 0, 20, "float64")
    with oracle.working_precision(128):
        right = oracle.gradient(oracle.BallNetwork.of(case))
        tensors = right.tensors()
        entries = tensors[tensor].entries()
        entries[0] *= 1 + arb(2) ** off
        tensors[tensor] = arb_mat(tensors[tensor].nrows(), tensors[tensor].ncols(), entries)
        wrong = dataclasses.replace(right, weights=tensors[0::2], biases=tensors[1::2])
    found = certificate.certify(case, gradient=wrong)
    assert found.failed == [case.architecture.tensor_names[tensor]]
    assert found.verdict == "failed"


def test_a_wrong_formula_fails(small):
    """The factor 2 of the cost forgotten, as a derivation by hand would."""
    case = small(9)
    with oracle.working_precision(128):
        right = oracle.gradient(oracle.BallNetwork.of(case))
        halved = dataclasses.replace(
            right,
            weights=[w * arb(0.5) for w in right.weights],
            biases=[b * arb(0.5) for b in right.biases],
        )
    assert certificate.certify(case, gradient=halved).failed == list(case.architecture.tensor_names)


@pytest.mark.parametrize("hidden", ["tanh", "relu"])
def test_other_activations_are_certified(hidden, small):
    case = small(9)
    architecture = Architecture(case.architecture.widths, hidden, "tanh")
    assert certificate.certify(dataclasses.replace(case, architecture=architecture)).failed == []


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("index", [0, 3, 4, 6, 7, 8, 11])
def test_what_rules_agrees_with_the_balls(index, dtype, small):
    case = small(index, dtype)
    assert first_disagreement(Evidence(case).enclosure, oracle.enclose(case)) is None


def test_enclosures_apart_are_noticed(small):
    """A reference off by 2^-60 in one tensor, within its radius no more."""
    case = small(9)
    right = Evidence(case).enclosure
    assert right.source == slices.SOURCE
    off = [lo.copy() for lo in right.lo]
    off[2] = off[2] + 2.0**-60 * right.hi[2]
    assert first_disagreement(dataclasses.replace(right, lo=off), oracle.enclose(case)) == 2


def test_a_failed_certificate_judges_nobody(monkeypatch, small):
    """If the reference is not to be trusted, every engine's case is an error, and never a pass."""
    monkeypatch.setattr(evaluate, "first_disagreement", lambda one, other: 0)
    plan = evaluate.Plan(("paper-contracted",), ("float64",), 9, certify="all")
    (found,) = evaluate.evaluate(evaluate.muster(plan.engines), [small(9)], plan=plan)
    assert not found.errors.num_rows
    (case,) = found.cases.to_pylist()
    assert case["status"] == "error"
    assert "apart at w2" in case["message"]
