"""From SUSPECT to DEFECT: nets on which B hides a mistake that shared roundings do not."""

from dataclasses import replace

import numpy as np
import pytest

from crosscheck import black_box, combining, correlated, refutation, sampling
from crosscheck.arithmetic import Arithmetic
from crosscheck.distribution import Distribution
from crosscheck.engines import names
from crosscheck.evidence import Evidence
from crosscheck.examination import Examination, network
from crosscheck.faults import catalogue
from crosscheck.faults.catalogue import FaultyEngine
from crosscheck.orders import RULES
from crosscheck.values import Gradients
from crosscheck.verdict import judge

ENTRY = "an entry is beyond what shared roundings add up to"
SUM = "a sum of entries is beyond what shared roundings add up to"
EITHER = black_box.arithmetic("float32")


def hidden_from_b(index, label):
    """A Xavier network in float32, and the gradient that a mistake makes on it."""
    pair = network(Examination(), "float32", 1.0, index)
    for fault, parameters in catalogue.variants():
        if fault.label(parameters) == label:
            case = pair[fault.needs.equal_from is not None]
            return Evidence(case), FaultyEngine(fault, parameters).gradients(case)
    raise ValueError(label)


@pytest.fixture(scope="module")
def narrow():
    """17-1-28-2-37-35, the wrong slope in the first layer: a quarter of B."""
    return hidden_from_b(162, "slope-of-activation at the first hidden layer")


@pytest.fixture(scope="module")
def updated():
    """64-1-25-11-4-1, weights updated too early by 0.1: a tenth of B."""
    return hidden_from_b(190, "weights-updated 0.1")


def judged(pair, arithmetic):
    return {row["tensor"]: row for row in judge(pair[0], arithmetic, pair[1], deep=True)}


def test_an_entry_proves_it_in_any_order(narrow):
    assert not black_box.caught(*narrow)
    row = judged(narrow, EITHER)["w2"]
    assert row["bound_use"] < 0.5
    assert (row["verdict"], row["reason"]) == ("DEFECT", ENTRY)
    assert row["checks"] == "B, ℓ2, shared roundings"
    assert black_box.outcome(*narrow) == (True, True)


@pytest.mark.parametrize("order", ["contracted", "literal"])
def test_a_sum_proves_it_where_no_entry_does(updated, order):
    row = judged(updated, Arithmetic("float32", order))["w2"]
    assert row["bound_use"] < 0.5
    assert (row["verdict"], row["reason"]) == ("DEFECT", SUM)
    assert row["checks"] == "B, ℓ2, shared roundings and their sums"


def test_tangents_of_their_own_may_explain_it(updated):
    """In forward mode each weight has its own roundings: there it stays a suspicion."""
    for arithmetic in (Arithmetic("float32", "forward"), EITHER):
        assert judged(updated, arithmetic)["w2"]["verdict"] == "SUSPECT"
    assert black_box.outcome(*updated) == (False, True)


def test_a_search_that_goes_wrong_proves_nothing(updated, monkeypatch):
    monkeypatch.setattr(combining, "_reweighted", lambda shared, size, *rest: size * np.nan)
    assert judged(updated, Arithmetic("float32"))["w2"]["verdict"] == "SUSPECT"


def test_what_is_not_tried_stays_suspect_and_says_why(narrow, monkeypatch):
    monkeypatch.setattr(correlated, "LARGEST", 1)
    row = judged(narrow, EITHER)["w2"]
    assert row["verdict"] == "SUSPECT"
    assert row["checks"] == "B, ℓ2, no shared roundings (size)"


def test_nothing_is_tried_without_suspicion(narrow, monkeypatch):
    """Neither on a right engine nor where the deeper checks are not made."""
    monkeypatch.setattr(Evidence, "refute", lambda *rest: pytest.fail("tried"))
    evidence, wrong = narrow
    right = names.load("paper-contracted").gradients(evidence.case)
    assert {row["verdict"] for row in judge(evidence, EITHER, right, deep=True)} == {"CONSISTENT"}
    assert {row["verdict"] for row in judge(evidence, EITHER, wrong)} == {"CONSISTENT"}


def test_one_wrong_entry_within_b_is_proved(updated):
    """An entry of w2 off by a fifth of B, where shared roundings add up to less than that."""
    evidence, _ = updated
    right = names.load("paper-contracted").gradients(evidence.case)
    limit = evidence.bound(EITHER).tensors[0]
    tensors = [t.copy() for t in right.tensors()]
    tensors[0][5, 0] += np.float32(0.22 * limit[5, 0])
    wrong = Gradients(None, tensors[0::2], tensors[1::2])
    row = judged((evidence, wrong), EITHER)["w2"]
    assert row["bound_use"] < 0.3
    assert row["verdict"] == "DEFECT"


def test_each_entry_may_come_of_an_order_of_its_own():
    """Where none is named: errors as large as the most that any order allows prove nothing."""
    nets = Distribution((2, 5), (1, 8), (1, 6), hidden="identity")
    evidence = Evidence(sampling.draw(nets, 0, 39, "float32"))
    limits = {kind: evidence.bound(replace(EITHER, order=kind), True) for kind in RULES}
    of = correlated.analyse(evidence.case, evidence.trace, EITHER, limits)
    by_order = [of.limit(0, order) for order in of.orders]
    most = np.maximum.reduce(by_order)
    assert all(np.any(limit < 0.95 * most) for limit in by_order)
    tried = refutation.attempt(of, 0, 0.99 * most, 0 * most)
    assert (tried.proved, tried.tried) == (False, "shared roundings")
    assert refutation.attempt(of, 0, 1.01 * most, 0 * most).proved
