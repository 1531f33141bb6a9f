"""Verdicts: each is given where it must be, and refused where it must be."""

import dataclasses

import numpy as np
import pytest

from crosscheck.arithmetic.formats import FORMATS
from crosscheck.arithmetic.promise import Arithmetic
from crosscheck.engines import registry
from crosscheck.networks import sampling
from crosscheck.networks.distribution import Distribution
from crosscheck.networks.network import Enclosure, Gradients
from crosscheck.verdicts.evidence import Evidence
from crosscheck.verdicts.measures import Ruler
from crosscheck.verdicts.verdict import Told, decide, judge, rule

ONE = Distribution((3, 3), (4, 4), (4, 4), "sigmoid", scales=(1.0,))


def judged(case, change):
    """Verdicts by tensor of the right gradient after `change` of its list of tensors."""
    gradients = registry.load("paper-contracted").gradients(case)
    tensors = [t.copy() for t in gradients.tensors()]
    change(tensors)
    changed = Gradients(None, tensors[0::2], tensors[1::2])
    rows = judge(Evidence(case), Arithmetic(case.dtype), changed)
    return {row["tensor"]: row for row in rows}


@pytest.fixture(params=["float32", "float64"])
def case(request):
    return sampling.draw(ONE, 0, 20, request.param)


def test_unchanged_is_consistent(case):
    rows = judged(case, lambda tensors: None)
    assert {row["verdict"] for row in rows.values()} == {"CONSISTENT"}
    assert all(row["bound_use"] <= 1 and 0 < row["power"] < 1e-3 for row in rows.values())


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_no_number_is_a_defect(case, value):
    def spoil(tensors):
        tensors[2][1, 2] = value

    row = judged(case, spoil)["w3"]
    assert (row["verdict"], row["worst_index"]) == ("DEFECT", "[1, 2]")
    assert row["reason"] == "not a finite number"


def test_one_wrong_entry_is_found_and_named(case):
    def spoil(tensors):
        tensors[0][3, 1] *= 1.01

    rows = judged(case, spoil)
    assert rows["w2"]["verdict"] == "DEFECT"
    assert rows["w2"]["worst_index"] == "[3, 1]"
    assert rows["w2"]["mismatched"] == 1
    assert rows["w2"]["bound_use"] > 1
    assert {row["verdict"] for name, row in rows.items() if name != "w2"} == {"CONSISTENT"}


@pytest.mark.parametrize("factor", [2.0, -1.0, 0.5, 0.0])
def test_factors_have_no_cosine_to_hide_behind(case, factor):
    def spoil(tensors):
        for t in tensors:
            t *= factor

    assert {row["verdict"] for row in judged(case, spoil).values()} == {"DEFECT"}


def entry(got, exact, radius, allowed):
    """What one entry tells."""
    parts = [[np.array([float(x)])] for x in (exact, 0, radius)]
    ruler = Ruler([Enclosure(*parts, "", 0)], [[(1,)]], FORMATS["float64"])
    measures = ruler.measure(np.array([[float(got)]]), np.array([[float(allowed)]]))
    power = ruler.powers(np.array([[float(allowed)]])).item()
    return Told(bool(measures.mismatched.item()), measures.within.item(), True, power)


@pytest.mark.parametrize(
    ("errors", "overflow", "kinks", "expected"),
    [
        (entry(1.6, 1, 0.1, 0.4), None, 0, "DEFECT"),
        (entry(1.3, 1, 0.1, 0.4), None, 0, "CONSISTENT"),
        (entry(3.0, 1, 0.0, 1.5), None, 0, "DEFECT"),
        (entry(1.0, 1, 0.0, 1.5), None, 0, "INCONCLUSIVE"),
        (entry(1.0, 1, 0.0, 0.1), "z3", 0, "INCONCLUSIVE"),
        (entry(9.0, 1, 0.0, 0.1), "z3", 0, "INCONCLUSIVE"),
        (entry(1.0, 1, 0.0, 0.1), None, 2, "INCONCLUSIVE"),
        (entry(9.0, 1, 0.0, 0.1), None, 2, "DEFECT"),
        (entry(0.0, 0, 0.0, 0.1), None, 0, "CONSISTENT"),
        (entry(0.2, 0, 0.0, 0.1), None, 0, "DEFECT"),
    ],
)
def test_the_table_of_verdicts(errors, overflow, kinks, expected):
    verdict, reason = rule(errors, overflow, kinks)
    assert verdict == expected
    assert bool(reason) == (verdict != "CONSISTENT")


def test_straddling_is_no_statement():
    verdict, reason = rule(entry(1.5, 1, 0.2, 0.4), None, 0)
    assert (verdict, reason) == ("INCONCLUSIVE", "the reference's radius straddles the bound")


def test_exact_zero_gradient_met_within_the_bound(small):
    case = small(4)
    assert case.special == "targets equal to the output"
    rows = judged(case, lambda tensors: None)
    assert {row["verdict"] for row in rows.values()} == {"CONSISTENT"}

    def spoil(tensors):
        tensors[-1][0] = 1e-3

    last = case.architecture.tensor_names[-1]
    assert judged(case, spoil)[last]["verdict"] == "DEFECT"


def test_overflow_is_inconclusive_with_its_place():
    """w = 2^120, a^2 = ½ for 16 neurons: z^3 and its square are beyond float32."""
    case = sampling.draw(Distribution((3, 3), (16, 16), (2, 2), "identity"), 0, 20, "float32")
    huge = np.full_like(case.weights[1], 2.0**126)
    case = dataclasses.replace(case, weights=(0 * case.weights[0], huge))
    with np.errstate(all="ignore"):
        gradients = registry.load("paper-contracted").gradients(case)
    rows = judge(Evidence(case), Arithmetic("float32"), gradients)
    assert {row["verdict"] for row in rows} == {"INCONCLUSIVE"}
    assert {row["reason"] for row in rows} == {"overflow from z3 on"}


def test_relu_at_its_kink_is_inconclusive():
    """All weights zero: z = 0 exactly, where max(z, 0) has no derivative."""
    from crosscheck.networks.network import Architecture

    case = sampling.draw(ONE, 0, 20, "float64")
    architecture = Architecture(case.architecture.widths, "relu", "identity")
    zero = tuple(0 * w for w in case.weights)
    biases = (0 * case.biases[0], case.biases[1])
    case = dataclasses.replace(case, architecture=architecture, weights=zero, biases=biases)
    engine = registry.load("torch.backward")
    rows = judge(Evidence(case), engine.arithmetic("float64"), engine.gradients(case))
    by_tensor = {row["tensor"]: row["verdict"] for row in rows}
    assert by_tensor["w2"] == by_tensor["b2"] == "INCONCLUSIVE"
    assert by_tensor["b3"] == "CONSISTENT"


SPOILED = {
    "as it is": lambda tensor, allowed: tensor,
    "at the bound": lambda tensor, allowed: tensor + 0.999999 * allowed,
    "beyond it in one entry": lambda tensor, allowed: (
        tensor + 3 * allowed * (allowed == allowed.max())
    ),
    "not a number": lambda tensor, allowed: np.where(allowed == allowed.max(), np.nan, tensor),
    "twice": lambda tensor, allowed: 2 * tensor,
}


@pytest.mark.parametrize("spoiled", SPOILED)
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_deciding_says_what_judging_says(dtype, spoiled):
    """All strata and special cases, with kinks, overflow, and bounds that exceed the gradient."""
    seen = set()
    for hidden in ("sigmoid", "relu"):
        for index in range(40):
            case = sampling.draw(Distribution(widths=(1, 9), hidden=hidden), 6, index, dtype)
            promised = Arithmetic(dtype)
            evidence = Evidence(case)
            parts = zip(evidence.enclosure.hi, evidence.bound(promised).tensors, strict=True)
            with np.errstate(all="ignore"):
                got = [
                    SPOILED[spoiled](exact, allowed).astype(case.format.numpy)
                    for exact, allowed in parts
                ]
            given = Gradients(None, got[0::2], got[1::2])
            said = decide(Evidence(case), promised, given)
            rows = judge(evidence, promised, given)
            assert said == [(row["verdict"], row["reason"]) for row in rows], case.id
            seen |= {verdict for verdict, _ in said}
    assert {"as it is": "CONSISTENT", "at the bound": "INCONCLUSIVE"}.get(spoiled, "DEFECT") in seen
