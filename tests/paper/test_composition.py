"""Compositions of the equations: a published value, independent derivations, wrong entries."""

import dataclasses

import numpy as np
import pytest

from crosscheck.arithmetic.promise import Arithmetic
from crosscheck.engines import paper, registry
from crosscheck.networks import sampling
from crosscheck.networks.distribution import Distribution
from crosscheck.networks.network import Gradients
from crosscheck.paper import composition, fast
from crosscheck.paper.unprinted import corrected_table, printed_table
from crosscheck.verdicts.evidence import Evidence
from crosscheck.verdicts.verdict import judge

NETS = [(Distribution(widths=(1, 6), samples=(1, 5)), i) for i in range(8, 20)]


def network(case):
    return composition.Network(case.weights, case.biases, case.inputs, case.targets, paper.sigma)


@pytest.mark.parametrize("name", registry.NAMES)
def test_mazur(name, mazur):
    """The published gradients are of half the paper's cost; ∂/∂w5 is w^3 from h1 to o1."""
    if name == "paper-printed":
        pytest.skip("wrong by design: S1 to S3 have no σ′ at the output")
    gradients = registry.load(name).gradients(mazur)
    assert gradients.cost / 2 == pytest.approx(0.298371109, abs=5e-10)
    assert gradients.weights[1][0, 0] / 2 == pytest.approx(0.082167041, abs=5e-10)
    assert gradients.weights[0][0, 0] / 2 == pytest.approx(0.000438568, abs=5e-10)


def test_mazur_accuses_the_print(mazur):
    """S2 as printed lacks a^N (1 - a^N) = 0.186815602 there: the published value is missed."""
    printed = registry.load("paper-printed").gradients(mazur)
    right = registry.load("paper").gradients(mazur)
    assert printed.weights[1][0, 0] * 0.186815602 == pytest.approx(right.weights[1][0, 0], rel=1e-8)
    np.testing.assert_array_almost_equal_nulp(printed.biases[0], right.biases[0], 4)


@pytest.mark.parametrize("index", range(8, 20))
def test_buffers_by_columns_give_the_gradient_and_its_intermediates(index, monkeypatch):
    """All hidden layers of more neurons than samples: the order of memory is no part of the sum."""
    monkeypatch.setattr(fast, "LEAST_BY_COLUMNS", 1)
    fast.plan_of.cache_clear()
    engine = registry.load("paper-contracted")
    drawn = Distribution(layers=(3, 6), widths=(2, 40), samples=(1, 12))
    case = sampling.draw(drawn, 0, index, "float32")
    hidden = case.architecture.widths[1:-1]
    assert fast.room(1, max(hidden), np.dtype("float32")).strides[0] == 4
    gradients, stages = engine.gradients(case), engine.stages(case)
    fast.plan_of.cache_clear()
    rows = judge(Evidence(case), engine.arithmetic(case.dtype), gradients, deep=True, stages=stages)
    assert {row["verdict"] for row in rows} <= {"CONSISTENT", "INCONCLUSIVE"}
    assert any(row["verdict"] == "CONSISTENT" for row in rows)


@pytest.mark.parametrize("reading", ["identity", "sigmoid"])
@pytest.mark.parametrize(("distribution", "index"), NETS[:6])
def test_all_compositions_lie_within_the_bound(distribution, index, reading):
    """Literal, contracted and in-place contracted sums are one gradient, by its bound."""
    case = sampling.draw(distribution, 3, index, "float64", reading)
    table = corrected_table(reading)
    evidence = Evidence(case)
    for composed, order in (
        (composition.literal(table, network(case)), "literal"),
        (composition.contracted(table, network(case)), "contracted"),
        (
            fast.gradient(
                case.weights, case.biases, case.inputs, case.targets, reading == "identity"
            ),
            "contracted",
        ),
    ):
        gradients = Gradients(None, composed.weights, composed.biases)
        rows = judge(evidence, Arithmetic("float64", order), gradients)
        assert {row["verdict"] for row in rows} <= {"CONSISTENT", "INCONCLUSIVE"}


def test_blocks_of_columns_change_nothing(monkeypatch, small):
    case = small(20)
    table = corrected_table(case.architecture.output)
    whole = composition.literal(table, network(case))
    monkeypatch.setattr(composition, "BLOCK_ENTRIES", 1)
    blocked = composition.literal(table, network(case))
    for w, v in zip(whole.weights, blocked.weights, strict=True):
        np.testing.assert_array_almost_equal_nulp(w, v, 16)


def test_later_calls_leave_returned_gradients_alone(small):
    engine = registry.load("paper-contracted")
    case = small(12)
    first = engine.gradients(case)
    kept = [t.copy() for t in first.tensors()]
    other = dataclasses.replace(case, weights=tuple(2 * w for w in case.weights))
    engine.gradients(other)
    for t, k in zip(first.tensors(), kept, strict=True):
        np.testing.assert_array_equal(t, k)


WRONG = {
    "C2": lambda s: 2 * s,
    "C3": lambda s: s / 2,
    "S2": lambda s: -s,
    "S3": lambda s: s + 1,
    "S4": lambda s: s * s,
    "S5": lambda s: 0 * s,
    "S7": lambda s: 1.5 * s,
    "S8": lambda s: 3 * s,
    "S9": lambda s: s + 1,
}


@pytest.mark.parametrize("identity", WRONG)
def test_a_wrong_table_entry_is_a_defect(identity):
    """Each entry of the table answers for itself: spoil one, and the checker must say no."""
    case = sampling.draw(Distribution((4, 4), (3, 3), (4, 4)), 0, 30, "float64", "identity")
    table = corrected_table("identity")
    right = table[identity]

    def spoiled(*args):
        return WRONG[identity](right(*args))

    table[identity] = dataclasses.replace(right, function=spoiled)
    if identity in ("S4", "S5"):
        table.pop(f"{identity} output")
    composed = composition.literal(table, network(case))
    gradients = Gradients(None, composed.weights, composed.biases)
    rows = judge(Evidence(case), Arithmetic("float64", "literal"), gradients)
    assert "DEFECT" in {row["verdict"] for row in rows}


@pytest.mark.parametrize("layers", [2, 3, 4, 6])
@pytest.mark.parametrize("reading", ["identity", "sigmoid"])
def test_the_print_is_wrong_where_the_notes_say(layers, reading):
    """identity: b^{N-1} alone, nothing for N = 2; sigmoid: all but b^{N-1}."""
    case = sampling.draw(
        Distribution((layers, layers), (2, 5), (3, 3), scales=(1.0,)), 1, 30, "float64", reading
    )
    composed = composition.literal(printed_table(reading), network(case))
    gradients = Gradients(None, composed.weights, composed.biases)
    rows = judge(Evidence(case), Arithmetic("float64", "literal"), gradients)
    wrong = {row["tensor"] for row in rows if row["verdict"] == "DEFECT"}
    apart = {f"b{layers - 1}"} & set(case.architecture.tensor_names)
    assert wrong == (
        apart if reading == "identity" else set(case.architecture.tensor_names) - apart
    )


def large(seed):
    """Networks whose gradients are large enough for their memory to be used again."""
    rng = np.random.default_rng(seed)
    shapes = (200, 180), (180, 150)
    weights = [rng.standard_normal(shape) / 10 for shape in shapes]
    biases = [rng.standard_normal(shape[1]) for shape in shapes]
    return weights, biases, rng.standard_normal((7, 200)), rng.standard_normal((7, 150))


def test_what_anybody_still_sees_of_large_gradients_is_left_alone():
    """The array itself, a view, what another library made of it, and a buffer's memory."""
    import torch

    ways = (lambda w: w, lambda w: w[1:, ::2].T, torch.from_numpy, memoryview)
    seen = []
    for seed, way in enumerate(ways):
        composed = fast.gradient(*large(seed), linear=False)
        seen.append((way(composed.weights[0]), np.asarray(way(composed.weights[0])).copy()))
        del composed
    for seed in range(4, 12):
        fast.gradient(*large(seed), linear=False)
    for now, before in seen:
        np.testing.assert_array_equal(np.asarray(now), before)


def test_the_memory_of_large_gradients_is_used_again_once_they_are_gone():
    def address():
        return fast.gradient(*large(0), linear=False).weights[0].ctypes.data

    places = [address() for _ in range(4)]
    assert len(set(places)) == 1
    kept = fast.gradient(*large(0), linear=False)
    assert address() != kept.weights[0].ctypes.data


def test_threads_share_no_memory():
    from concurrent.futures import ThreadPoolExecutor

    def mine(seed):
        for _ in range(30):
            composed = fast.gradient(*large(seed), linear=False)
        return composed

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(mine, range(8)))
    for seed, composed in enumerate(found):
        alone = fast.gradient(*large(seed), linear=False)
        for one, other in zip(composed.weights, alone.weights, strict=True):
            np.testing.assert_array_equal(one, other)
