"""The packed engine: the gradient of the same function, and no bit of it depends on the batch."""

import numpy as np
import pytest

pytest.importorskip("jax")

from crosscheck.engines import jax_padded, padded, registry
from crosscheck.networks import sampling
from crosscheck.networks.distribution import Distribution
from crosscheck.networks.network import Architecture
from crosscheck.verdicts import verdict
from crosscheck.verdicts.evidence import Evidence

SMALL = Distribution(widths=(1, 12), samples=(1, 12))


@pytest.fixture(scope="module")
def cases():
    return [sampling.draw(SMALL, 1, index, "float32") for index in range(20)]


@pytest.fixture(scope="module")
def engine():
    return registry.load("jax.packed")


def bits(gradients):
    return [tensor.tobytes() for tensor in gradients.tensors()], gradients.cost


def test_no_bit_depends_on_the_batch(cases, engine):
    together = engine.gradients_of(cases)
    backwards = engine.gradients_of(cases[::-1])[::-1]
    some = engine.gradients_of(cases[7:10])
    assert list(map(bits, together)) == list(map(bits, backwards))
    assert list(map(bits, together[7:10])) == list(map(bits, some))
    for place in (0, 7, 19):
        assert bits(engine.gradients(cases[place])) == bits(together[place])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_it_lies_within_the_bound(engine, dtype):
    cases = [sampling.draw(SMALL, 2, index, dtype) for index in range(16)]
    found = [
        row["verdict"]
        for case, gradients in zip(cases, engine.gradients_of(cases), strict=True)
        for row in verdict.judge(Evidence(case), engine.arithmetic(dtype), gradients)
    ]
    assert "DEFECT" not in found
    assert found.count("CONSISTENT") > len(found) / 2


def test_it_is_the_gradient_of_the_network_as_it_is(cases, engine):
    """Padding adds zeros, so only the order of sums can differ: twice the bound holds both."""
    exact = registry.load("jax.grad")
    for case in cases[8:12]:
        ours, theirs = engine.gradients(case), exact.gradients(case)
        allowed = Evidence(case).bound(engine.arithmetic(case.dtype)).tensors
        for one, other, most in zip(ours.tensors(), theirs.tensors(), allowed, strict=True):
            assert np.all(np.abs(one.astype(float) - other.astype(float)) <= 2 * most)


@pytest.mark.parametrize("cost", ["half_squared_error", "sum_squared_error", "mean_squared_error"])
@pytest.mark.parametrize("hidden", ["tanh", "identity"])
def test_other_costs_and_activations(engine, cost, hidden):
    of = Distribution((2, 4), (1, 5), (1, 5), "tanh", hidden, cost)
    for index in range(8, 11):
        case = sampling.draw(of, 0, index, "float64")
        judged = verdict.judge(Evidence(case), engine.arithmetic("float64"), engine.gradients(case))
        assert {row["verdict"] for row in judged} <= {"CONSISTENT", "INCONCLUSIVE"}


def test_a_leak_from_the_padding_would_be_seen(cases, engine, monkeypatch):
    """Weights out of the padding that are not zero change the cost."""
    honest = padded.pack

    def leaking(some, size, count):
        batch = honest(some, size, count)
        batch.weights[:, 1, -1, 0] = 1
        return batch

    monkeypatch.setattr(padded, "pack", leaking)
    case = next(case for case in cases if case.architecture.layers == 4)
    judged = verdict.judge(Evidence(case), engine.arithmetic("float32"), engine.gradients(case))
    assert "DEFECT" in {row["verdict"] for row in judged}


@pytest.mark.parametrize(
    ("widths", "samples", "expected"),
    [((1, 64), 64, (5, 64, 64)), ((65, 2, 2), 3, (5, 256, 16)), ((2,) * 8, 65, (15, 64, 256))],
)
def test_the_size_is_the_least_that_holds_the_network(widths, samples, expected, small):
    class Shaped:
        architecture = Architecture(widths)
        dtype = "float32"

    Shaped.samples = samples
    assert jax_padded.size_of(Shaped)[:3] == expected


@pytest.mark.parametrize("output", ["identity", "sigmoid"])
def test_more_layers_than_follow_without_a_loop(engine, output):
    of = Distribution((8, 8), (1, 6), (17, 20), output)
    for index in range(8, 11):
        case = sampling.draw(of, 0, index, "float64")
        assert jax_padded.size_of(case)[:3] == (15, 64, 64)
        judged = verdict.judge(Evidence(case), engine.arithmetic("float64"), engine.gradients(case))
        assert {row["verdict"] for row in judged} <= {"CONSISTENT", "INCONCLUSIVE"}


def test_default_runs_take_a_sample_of_exact_shapes():
    assert "jax.packed" in registry.DEFAULT
    assert dict(registry.SAMPLED)["jax.grad"] > 1
