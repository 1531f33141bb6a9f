"""The catalogue of mistakes: each is what it says, each is caught, and right code is not."""

import numpy as np
import pytest

from crosscheck.arithmetic.costs import COSTS
from crosscheck.arithmetic.promise import Arithmetic
from crosscheck.engines import registry
from crosscheck.faults.catalogue.fault import Setting
from crosscheck.faults.catalogue.places import PLACES
from crosscheck.faults.catalogue.table import CATALOGUE, FAMILIES, FaultyEngine, variants
from crosscheck.networks import sampling
from crosscheck.networks.distribution import Distribution
from crosscheck.networks.network import Gradients
from crosscheck.verdicts.evidence import Evidence
from crosscheck.verdicts.verdict import judge

INDICES = range(8, 14)
ALL = [pytest.param(f, p, id=f"{f.family}: {f.label(p)}") for f, p in variants()]
DOUBLE = CATALOGUE["factor 2"]
TOO_SMALL_FOR_FLOAT32 = {1e-6, 1e-8, 1e-10, 1e-12}


def cases(fault, dtype):
    """Small networks; square ones for mistakes that only run on those."""
    for index in INDICES:
        widths = (2 + index % 4,) * 2 if fault.needs.equal_from is not None else (1, 8)
        samples = (fault.needs.samples, 12)
        of = Distribution(layers=(3, 5), widths=widths, samples=samples, scales=(1.0,))
        yield sampling.draw(of, 0, index, dtype)


@pytest.mark.parametrize(("fault", "parameters"), ALL)
def test_the_engine_stays_within_the_bound_of_its_own_mistake(fault, parameters):
    if not fault.repeatable:
        pytest.skip("its gradient is another one at every call")
    for dtype in fault.dtypes:
        for case in cases(fault, dtype):
            engine = FaultyEngine(fault, parameters)
            got = engine.gradients(case).tensors()
            _, drawn = fault.at(case, parameters)
            exact = fault.compute(Setting.exact(case), drawn)
            for tensor, values in zip(exact, got, strict=True):
                distance = np.abs(values.astype(np.float64) - tensor.middle)
                assert np.all(distance <= tensor.error + tensor.doubt)


@pytest.mark.parametrize(("fault", "parameters"), ALL)
def test_every_mistake_is_caught_on_some_small_network(fault, parameters):
    dtype = fault.dtypes[-1]
    if parameters.get("epsilon") in TOO_SMALL_FOR_FLOAT32:
        dtype = "float64"
    if parameters.get("epsilon") == 1e-12:
        pytest.skip("12 digits are for the ℓ2 bound; `crosscheck power` counts them")
    engine = FaultyEngine(fault, parameters)
    verdicts = [
        row["verdict"]
        for case in cases(fault, dtype)
        for row in judge(Evidence(case), Arithmetic(dtype, "either", True), engine.gradients(case))
    ]
    assert "DEFECT" in verdicts


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("engine", ["paper", "paper-contracted"])
def test_right_code_is_not_accused(engine, dtype, small):
    engine = registry.load(engine)
    for index in range(20):
        case = small(index, dtype)
        rows = judge(Evidence(case), engine.arithmetic(dtype), engine.gradients(case))
        assert all(row["verdict"] != "DEFECT" for row in rows)


@pytest.mark.parametrize("output", ["identity", "sigmoid", "tanh", "relu"])
@pytest.mark.parametrize("cost", sorted(name for name in COSTS if COSTS[name].quick))
def test_the_table_that_mistakes_are_made_in_is_right(output, cost):
    of = Distribution((2, 4), (1, 6), (1, 6), output, "tanh", cost, (1.0,))
    verdicts = []
    for index in INDICES:
        case = sampling.draw(of, 0, index, "float64")
        evidence = Evidence(case)
        for tensors in (Setting.floats(case).right, FaultyEngine(DOUBLE).gradients(case).tensors()):
            gradients = Gradients(None, tensors[0::2], tensors[1::2])
            rows = judge(evidence, Arithmetic("float64"), gradients)
            verdicts.append({row["verdict"] for row in rows})
    assert not any("DEFECT" in found for found in verdicts[0::2])
    assert any("DEFECT" in found for found in verdicts[1::2])


def test_there_are_many_kinds_with_names_of_their_own():
    entries = [fault for family in FAMILIES for fault in family.FAULTS]
    assert len(entries) == len(CATALOGUE)
    others = [fault for fault in entries if fault.family != "scale"]
    assert len(others) >= 45
    labels = [fault.label(parameters) for fault, parameters in variants()]
    assert len(labels) == len(set(labels))


@pytest.mark.parametrize(("fault", "parameters"), ALL)
def test_sentences_are_complete_and_links_are_links(fault, parameters):
    extra = {"limit": 1.0, "factor": 1.0, "rate": 1.0}
    assert "{" not in fault.describe({**extra, **parameters})
    assert all(link.startswith("https://") or "Back Propagation" in link for link in fault.seen)


def test_a_mistake_depends_on_seed_and_index_alone(small):
    for fault, parameters in variants():
        case = small(9, fault.dtypes[0])
        if not fault.possible(case):
            continue
        one, two = (FaultyEngine(fault, parameters).gradients(case).tensors() for _ in range(2))
        assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(one, two, strict=True))


def test_a_mistake_that_is_not_repeatable_is_another_at_the_second_call(small):
    engine = FaultyEngine(CATALOGUE["stochastic"])
    one, two = (engine.gradients(small(9)).tensors() for _ in range(2))
    assert any(not np.array_equal(a, b) for a, b in zip(one, two, strict=True))


def test_places_name_layers_of_the_network():
    for layers in range(2, 7):
        for at in PLACES.values():
            assert set(at(layers)) <= set(range(2, layers + 1))
    assert list(PLACES["at the first hidden layer"](5)) == [2]
    assert list(PLACES["at the last hidden layer"](5)) == [4]
    assert list(PLACES["at every layer but the last"](2)) == []
