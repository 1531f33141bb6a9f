"""The diagnosis: it names the mistake that was made, and no mistake where none is known."""

import numpy as np
import pytest

from crosscheck import sampling
from crosscheck.arithmetic import Arithmetic
from crosscheck.diagnosis import diagnose
from crosscheck.distribution import Distribution
from crosscheck.engines import names
from crosscheck.faults import scale
from crosscheck.faults.catalogue import CATALOGUE, FaultyEngine, variants
from crosscheck.values import Gradients
from crosscheck.verdict import Evidence, judge

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
    assert found.share == 1.0


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
    if parameters.get("epsilon") in (1e-10, 1e-12):
        pytest.skip("within the bound of the diagnosis, which float64 evaluates")
    assert_named(fault, parameters, dtype)


def test_right_code_has_no_diagnosis():
    engine, cases = names.load("paper-contracted"), drawn(None, "float32")
    assert diagnose(engine, cases, failing(engine, cases)) is None


class Distorted:
    """A smooth distortion of the right gradient, another at every entry and in every case."""

    name = "distorted"

    def __init__(self, size):
        self.size = size
        self.right = names.load("paper-contracted")

    def supports(self, architecture, dtype):
        return True

    def arithmetic(self, dtype):
        return Arithmetic(dtype)

    def gradients(self, case):
        g = self.right.gradients(case)
        rng = np.random.default_rng(case.index)
        tensors = [
            t * (1 + self.size * np.sin(rng.uniform(1, 9) + np.arange(t.size))).reshape(t.shape)
            for t in g.tensors()
        ]
        typed = [t.astype(case.inputs.dtype) for t in tensors]
        return Gradients(None, typed[0::2], typed[1::2])


@pytest.mark.parametrize("size", [1e-2, 0.3])
def test_nothing_is_named_where_nothing_known_explains_it(size):
    assert named(Distorted(size), drawn(None, "float32")) is None


class Doubled:
    """Another engine's gradient times a factor: a second mistake."""

    name = "doubled"

    def __init__(self, engine, exponents):
        self.engine, self.exponents = engine, exponents

    def arithmetic(self, dtype):
        return Arithmetic(dtype)

    def gradients(self, case):
        factor = scale.value(self.exponents, case)
        g = self.engine.gradients(case)
        return Gradients(
            None, *([x * x.dtype.type(factor) for x in part] for part in (g.weights, g.biases))
        )


@pytest.mark.parametrize(
    "identity", ["slope-missing", "bias-mean", "entry-zero", "weights-updated"]
)
def test_a_factor_on_top_of_another_mistake_is_named_too(identity):
    fault = CATALOGUE[identity]
    engine = Doubled(FaultyEngine(fault), (1, 0, 1, 0))
    found = named(engine, drawn(fault, "float32"))
    assert found is not None
    assert (found.fault, found.parameters["scale"]) == (identity, "D")


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
