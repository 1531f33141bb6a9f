"""Values refuse what makes no sense, in a sentence, and know their own names and shapes."""

import dataclasses
import pickle

import numpy as np
import pytest

from crosscheck.arithmetic.promise import Arithmetic
from crosscheck.networks.distribution import Distribution
from crosscheck.networks.network import Architecture, Case, Tensors


def case(**changes):
    parts = {
        "architecture": Architecture((2, 3, 1)),
        "dtype": "float32",
        "seed": 0,
        "index": 0,
        "weights": (np.ones((2, 3), np.float32), np.ones((3, 1), np.float32)),
        "biases": (np.zeros(3, np.float32), np.zeros(1, np.float32)),
        "inputs": np.ones((4, 2), np.float32),
        "targets": np.ones((4, 1), np.float32),
    }
    return Case(**{**parts, **changes})


def test_names_and_shapes_follow_the_paper_s_layers():
    architecture = Architecture((4, 7, 5, 2), output="sigmoid")
    assert architecture.layers == 4
    assert architecture.label == "4-7-5-2"
    assert architecture.tensor_names == ("w2", "b2", "w3", "b3", "w4", "b4")
    assert architecture.tensor_shapes == ((4, 7), (7,), (7, 5), (5,), (5, 2), (2,))
    assert architecture.activations == ("sigmoid", "sigmoid", "sigmoid")
    assert architecture.parameters == 4 * 7 + 7 + 7 * 5 + 5 + 5 * 2 + 2
    assert case().id == "s0-i0-float32-identity"
    assert case().samples == 4


def spoiled(array, value):
    changed = array.copy()
    changed.flat[0] = value
    return changed


BAD = {
    "NaN weight": (
        {"weights": (spoiled(case().weights[0], np.nan), case().weights[1])},
        "weights hold ∞ or NaN",
    ),
    "infinite bias": (
        {"biases": (spoiled(case().biases[0], np.inf), case().biases[1])},
        "biases hold ∞ or NaN",
    ),
    "infinite input": ({"inputs": spoiled(case().inputs, -np.inf)}, "inputs hold ∞ or NaN"),
    "NaN target": ({"targets": spoiled(case().targets, np.nan)}, "targets hold ∞ or NaN"),
    "not representable": ({"inputs": np.full((4, 2), 0.1)}, "float32 cannot represent"),
    "too large": ({"inputs": np.full((4, 2), 1e300)}, "float32 cannot represent"),
    "transposed": ({"weights": (np.ones((3, 2)), np.ones((3, 1)))}, "needs"),
    "no samples": ({"inputs": np.ones((0, 2)), "targets": np.ones((0, 1))}, "D >= 1"),
    "samples differ": ({"targets": np.ones((3, 1))}, "targets have the shapes"),
    "too few": ({"biases": (np.zeros(3),)}, "biases have the shapes"),
    "dtype": ({"dtype": "float8"}, "unknown dtype 'float8'"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_case_refuses_what_is_no_case(name):
    changes, sentence = BAD[name]
    with pytest.raises(ValueError, match=sentence):
        case(**changes)


def test_numbers_that_the_format_holds_are_stored_in_it():
    stored = case(inputs=np.full((4, 2), 0.5))
    assert stored.inputs.dtype == np.float32


def test_values_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        case().dtype = "float64"


@pytest.mark.parametrize("widths", [(), (3,), (3, 0), (2, -1, 2)])
def test_an_architecture_needs_two_layers_of_neurons(widths):
    with pytest.raises(ValueError, match="must be two or more positive numbers"):
        Architecture(widths)


def test_a_declared_accumulator_is_not_narrower():
    assert Arithmetic("float16", accumulate="float32").accumulate == "float32"
    assert Arithmetic("float16", accumulate="float16")
    with pytest.raises(ValueError, match="bfloat16 is narrower than float16"):
        Arithmetic("float16", accumulate="bfloat16")
    with pytest.raises(ValueError, match="unknown number format 'float20'"):
        Arithmetic("float16", accumulate="float20")


def test_a_wider_accumulator_allows_less():
    """What an engine declares, it is held to: its bound shrinks."""
    from crosscheck.bounds import float64, orders
    from crosscheck.networks import sampling

    drawn = sampling.draw(Distribution((3, 3), (32, 32), (32, 32), scales=(1.0,)), 0, 20, "float16")
    trace = float64.evaluate(drawn)
    plain, wide = (
        orders.for_order(drawn, trace, Arithmetic("float16", accumulate=a))
        for a in (None, "float32")
    )
    assert plain.overflow is wide.overflow is None
    for p, w in zip(plain.tensors[0::2], wide.tensors[0::2], strict=True):
        assert np.all(w < p)


def test_tensors_are_views_of_one_vector():
    architecture = Architecture((2, 3, 1))
    tensors = architecture.split(np.arange(13.0))
    assert isinstance(tensors, Tensors)
    assert [tensor.shape for tensor in tensors] == list(architecture.tensor_shapes)
    assert len(tensors) == 4
    assert tensors[2].tolist() == [[9.0], [10.0], [11.0]]
    assert [tensor.tolist() for tensor in tensors[1::2]] == [[6.0, 7.0, 8.0], [12.0]]
    copied = pickle.loads(pickle.dumps(tensors))
    copied.flat[0] = 99.0
    assert copied[0][0, 0] == 99.0
    assert tensors[0][0, 0] == 0.0
    with pytest.raises(ValueError, match="15 numbers came for 13 parameters"):
        architecture.split(np.arange(15.0))
    tensors.flat[12] = -1.0
    assert tensors[3] == -1.0
    assert tensors.times(2.0)[3] == -2.0
    assert tensors[3] == -1.0
