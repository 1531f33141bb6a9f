"""The diagnosis: it names the mistake that was made, and no mistake where none is known."""

import pytest

from crosscheck.arithmetic.promise import Arithmetic
from crosscheck.engines import registry
from crosscheck.faults.catalogue import scale
from crosscheck.faults.catalogue.table import CATALOGUE, FaultyEngine, ScaledEngine, variants
from crosscheck.faults.diagnosis import Looseness, diagnose
from crosscheck.faults.predictions import Hypothesis, Observation, Predictions
from crosscheck.networks import sampling
from crosscheck.networks.distribution import Distribution
from crosscheck.studies.power.mistakes import distortions
from crosscheck.verdicts.evidence import Evidence
from crosscheck.verdicts.verdict import judge

CASES = 24
SOME = (
    "factor 2",
    "factor 1 / n_N",
    "factor constant",
    "bias-mean",
    "only-last-sample",
    "transposed",
    "entry-zero",
    "columns-swapped",
    "weight-decay",
    "slope-missing",
    "weights-updated",
    "as-printed",
    "tf32-product",
    "clipped-value",
    "clipped-norm",
    "stochastic",
)
"""A few of every family; the slow test takes all."""


def drawn(fault, dtype, cost="squared_error"):
    square = fault is not None and fault.needs.equal_from is not None
    return [
        sampling.draw(
            Distribution(
                widths=(2 + index % 4,) * 2 if square else (1, 9), samples=(1, 12), cost=cost
            ),
            1,
            index,
            dtype,
        )
        for index in range(CASES)
    ]


def failing(engine, cases):
    return {
        case.id
        for case in cases
        for row in judge(
            Evidence(case), Arithmetic(case.dtype, "either", True), engine.gradients(case)
        )
        if row["verdict"] == "DEFECT"
    }


def named(engine, cases):
    return diagnose(engine, cases, failing(engine, cases))


def assert_named(fault, parameters, dtype):
    engine, cases = FaultyEngine(fault, parameters), drawn(fault, dtype)
    found = named(engine, cases)
    assert found is not None
    alike = [found.fault, *found.also]
    assert fault.id == found.fault or fault.describe(parameters) in alike
    if fault.id == found.fault:
        assert found.parameters.get("place") == parameters.get("place")
    assert found.total - found.explained <= len(silent_on(fault, cases))


def silent_on(fault, cases):
    """One wrong entry of fewer than four is not named: the others are too few to vouch for it."""
    if fault.id != "entry-scaled":
        return []
    return [case for case in cases if case.architecture.parameters < 4]


@pytest.mark.parametrize("identity", SOME)
def test_a_mistake_is_named(identity):
    fault = CATALOGUE[identity]
    assert_named(fault, fault.variants[0], "float32")


BELOW_FLOAT32 = (1e-6, 1e-8, 1e-10, 1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "parameters"), [pytest.param(f, p, id=f.label(p)) for f, p in variants()]
)
def test_every_mistake_is_named(fault, parameters):
    dtype = "float64" if parameters.get("epsilon") in BELOW_FLOAT32 else fault.dtypes[-1]
    assert_named(fault, parameters, dtype)


def test_right_code_has_no_diagnosis():
    engine, cases = registry.load("paper-contracted"), drawn(None, "float32")
    assert diagnose(engine, cases, failing(engine, cases)) is None


@pytest.mark.parametrize("sort", distortions.SORTS)
def test_nothing_is_named_where_nothing_known_explains_it(sort):
    """`crosscheck power` does this for hundreds."""
    engine = distortions.DistortedEngine(registry.load("paper-contracted"), sort, 0.1)
    assert named(engine, drawn(None, "float32")) is None


@pytest.mark.parametrize(
    "identity", ["slope-missing", "bias-mean", "entry-zero", "weights-updated", "weight-decay"]
)
def test_a_factor_on_top_of_another_mistake_is_named_too(identity):
    fault = CATALOGUE[identity]
    engine = ScaledEngine(FaultyEngine(fault), (1, 0, 1, 0))
    found = named(engine, drawn(fault, "float32"))
    assert found is not None
    assert (found.fault, found.parameters["scale"]) == (identity, "D")


def test_a_factor_is_found_though_most_cases_say_nothing_of_it():
    """The samples after the last full batch are all that most of these networks have."""
    fault = CATALOGUE["remainder-missing"]
    engine = ScaledEngine(FaultyEngine(fault), (1, 1, 0, 0))
    cases = drawn(fault, "float32")
    assert sum(case.samples < 8 for case in cases) > CASES / 2
    found = named(engine, cases)
    assert (found.fault, found.parameters) == (fault.id, {"scale": "2"})


def test_coarser_arithmetic_is_not_seen_in_what_is_a_factor():
    """The factor alone takes each entry far from the right one; it is divided out first."""
    case = next(c for c in drawn(None, "float64") if not c.special)
    engine = ScaledEngine(FaultyEngine(CATALOGUE["entry-scaled"], {"epsilon": 1e-14}), (1, 1, 0, 0))
    got = [t.astype(float) for t in engine.gradients(case).tensors()]
    coarse = CATALOGUE["float32-product"]
    screen = [Observation(Predictions(case), got, True)]
    assert not Looseness.of(Hypothesis(coarse, coarse.variants[0], (1, 1, 0, 0)), screen).allows(
        coarse
    )


@pytest.mark.parametrize(
    ("factor", "cost"),
    [
        ((1, -1, 0, 0), "half_squared_error"),
        ((1, 0, 1, 0), "sum_squared_error"),
        ((1, 0, 0, -1), "mean_squared_error"),
    ],
)
def test_another_convention_of_the_cost_is_called_that(factor, cost):
    engine = FaultyEngine(CATALOGUE[f"factor {scale.name(factor)}"])
    found = named(engine, drawn(None, "float32"))
    assert f'cost="{cost}"' in found.sentence


def test_a_factor_is_told_from_others_by_networks_that_differ():
    one_sample = [case for case in drawn(None, "float32") if case.samples == 1]
    engine = FaultyEngine(CATALOGUE["factor 1 / D"])
    assert not failing(engine, one_sample)
    assert named(engine, drawn(None, "float32")).fault == "factor 1 / D"


def test_the_sentence_counts_the_cases():
    found = named(FaultyEngine(CATALOGUE["factor 2"]), drawn(None, "float32"))
    assert f"Explains {found.total} of {found.total} cases" in str(found)
    assert "the cost's 2 counted twice" in str(found)
