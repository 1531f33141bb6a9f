"""Containers of arrays: paths that read as Python, and the same container of other leaves."""

import dataclasses
from collections import namedtuple

import pytest

from crosscheck.programs.frontends import leaves

Pair = namedtuple("Pair", ("left", "right"))


@dataclasses.dataclass(frozen=True)
class Layer:
    weight: float
    bias: float = 0.0


NESTED = {"w1": [1.0, Layer(2.0, 3.0)], 7: (Pair(4.0, None),)}


def test_paths_read_as_the_python_that_reaches_the_leaf():
    paths = [leaves.path("params", steps) for steps in leaves.tree(NESTED).steps]
    assert paths[:3] == ["params['w1'][0]", "params['w1'][1].weight", "params['w1'][1].bias"]
    for name, leaf in zip(paths, leaves.tree(NESTED).leaves, strict=True):
        assert eval(name, {"params": NESTED}) == leaf


def test_a_container_is_rebuilt_of_other_leaves_in_its_own_types():
    parts = leaves.tree(NESTED)
    assert parts.rebuild(parts.leaves) == NESTED
    doubled = parts.rebuild([leaf and 2 * leaf for leaf in parts.leaves])
    assert doubled["w1"][1] == Layer(4.0, 6.0)
    assert doubled[7][0] == Pair(8.0, None)
    assert NESTED["w1"][0] == 1.0


@pytest.mark.parametrize("library", ["jax", "torch"])
def test_other_libraries_key_paths_give_the_same_words(library):
    nested = {"w1": [1.0, Pair(2.0, 3.0)]}
    if library == "jax":
        jax = pytest.importorskip("jax")
        keyed, _ = jax.tree_util.tree_flatten_with_path(nested)
    else:
        pytree = pytest.importorskip("torch.utils._pytree")
        keyed, _ = pytree.tree_flatten_with_path(nested)
    ours = [leaves.path("p", steps) for steps in leaves.tree(nested).steps]
    assert [leaves.path("p", keys) for keys, _ in keyed] == ours


def _function(params, x, y=1.0):
    return x


def test_arguments_are_chosen_by_path_start_number_or_name():
    starts = leaves.roots(_function, [NESTED, 1.0], lambda leaf: not leaves.is_container(leaf))
    assert starts == ["params", "args[1]"]
    paths = ["params['w1']", "params['w2'].bias", "args[1]", "y"]
    named = leaves.aliases(_function, starts)
    assert leaves.chosen(paths, None, named) == (0, 1, 2, 3)
    assert leaves.chosen(paths, "params", named) == (0, 1)
    assert leaves.chosen(paths, 0, named) == (0, 1)
    assert leaves.chosen(paths, ["x", "y"], named) == (2, 3)
    assert leaves.chosen(paths, "params['w2']", named) == (1,)
    with pytest.raises(ValueError, match="wrt names 'par'; the floating leaves are params"):
        leaves.chosen(paths, "par", named)
