"""Properties of a gradient that hold whatever the network: by hypothesis."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, strategies as st

from crosscheck.engines import registry
from crosscheck.networks import sampling
from crosscheck.networks.distribution import Distribution
from crosscheck.networks.network import Gradients
from crosscheck.verdicts.evidence import Evidence
from crosscheck.verdicts.verdict import judge

SMALL = Distribution(layers=(2, 4), widths=(1, 7), samples=(2, 8))
cases = st.builds(
    lambda seed, index, dtype: sampling.draw(SMALL, seed, index, dtype),
    st.integers(0, 10**6),
    st.integers(8, 60),
    st.sampled_from(["float32", "float64"]),
)
pytestmark = pytest.mark.parametrize("name", ["paper", "paper-contracted", "torch.backward"])


def accepted(name, case, gradients):
    """The gradient lies within the bound of `case`, though it was computed of another case."""
    rows = judge(Evidence(case), registry.load(name).arithmetic(case.dtype), gradients)
    return "DEFECT" not in {row["verdict"] for row in rows}


@given(cases, st.randoms(use_true_random=False))
def test_samples_may_be_permuted(name, case, random):
    order = list(range(case.samples))
    random.shuffle(order)
    permuted = dataclasses.replace(case, inputs=case.inputs[order], targets=case.targets[order])
    assert accepted(name, case, registry.load(name).gradients(permuted))


@given(cases, st.randoms(use_true_random=False))
def test_neurons_of_a_hidden_layer_may_be_permuted(name, case, random):
    if case.architecture.layers < 3:
        return
    order = list(range(case.architecture.widths[1]))
    random.shuffle(order)
    (w2, w3, *ws), (b2, *bs) = case.weights, case.biases
    permuted = dataclasses.replace(
        case, weights=(w2[:, order], w3[order], *ws), biases=(b2[order], *bs)
    )
    g = registry.load(name).gradients(permuted)
    back = np.argsort(order)
    unpermuted = Gradients(
        None,
        [g.weights[0][:, back], g.weights[1][back], *g.weights[2:]],
        [g.biases[0][back], *g.biases[1:]],
    )
    assert accepted(name, case, unpermuted)


@given(cases, st.integers(1, 7))
def test_gradients_add_up_over_a_split_of_the_samples(name, case, cut):
    """Means over parts, weighted by the parts' sizes, are the mean over all."""
    cut = min(cut, case.samples - 1)
    parts = [
        dataclasses.replace(case, inputs=case.inputs[s], targets=case.targets[s])
        for s in (slice(None, cut), slice(cut, None))
    ]
    computed = [
        [t.astype(float) for t in registry.load(name).gradients(p).tensors()] for p in parts
    ]
    shares = [len(p.inputs) / case.samples for p in parts]
    total = [
        (shares[0] * x + shares[1] * y).astype(case.format.numpy)
        for x, y in zip(*computed, strict=True)
    ]
    assert accepted(name, case, Gradients(None, total[0::2], total[1::2]))


@given(cases)
def test_a_dropped_sample_is_noticed(name, case):
    """The properties above could fail: one sample less is not the same gradient."""
    shorter = dataclasses.replace(case, inputs=case.inputs[1:], targets=case.targets[1:])
    gradients = registry.load(name).gradients(shorter)
    rows = judge(Evidence(case), registry.load(name).arithmetic(case.dtype), gradients)
    last = rows[-1]
    assert last["verdict"] in ("DEFECT", "INCONCLUSIVE") or last["power"] > 1e-3
