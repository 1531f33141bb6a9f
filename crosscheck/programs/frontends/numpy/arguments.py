"""The arguments of a NumPy function, and which of their leaves are inputs of its program."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from crosscheck.arithmetic.primitives.row import Array
from crosscheck.programs.frontends import leaves
from crosscheck.programs.frontends.numpy.recorder import is_float


def is_array(value: Any) -> bool:
    """Whether this is an array, or a number of NumPy's, in a format that is read."""
    return isinstance(value, (np.ndarray, np.generic)) and is_float(value.dtype)


class Arguments(NamedTuple):
    """Arguments of a function, and which of their leaves are the inputs of its program."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    tree: leaves.Tree
    floating: tuple[int, ...]

    @classmethod
    def of(cls, args: Sequence[Any], kwargs: Mapping[str, Any]) -> "Arguments":
        """Floating arrays are inputs; Python's floats only where there is no array at all."""
        tree = leaves.tree((list(args), dict(kwargs)))
        floating = [place for place, leaf in enumerate(tree.leaves) if is_array(leaf)]
        if not floating:
            floating = [place for place, leaf in enumerate(tree.leaves) if type(leaf) is float]
        return cls(tuple(args), dict(kwargs), tree, tuple(floating))

    @property
    def arrays(self) -> list[Array]:
        return [np.asarray(self.tree.leaves[place]) for place in self.floating]

    def paths(self, function: Callable[..., Any]) -> list[str]:
        """The inputs' paths, as the documentation of `gradcheck` has them."""
        starts = leaves.roots(function, self.args, lambda x: not leaves.is_container(x))
        paths = []
        for place in self.floating:
            part, which, *rest = self.tree.steps[place]
            start = starts[which.key] if part.key == 0 else str(which.key)
            paths.append(leaves.path(start, rest))
        return paths

    def filled(self, inputs: Sequence[Any]) -> tuple[list[Any], dict[str, Any]]:
        """The arguments with these in the inputs' places, all others copied."""
        filled = [
            leaf.copy() if isinstance(leaf, np.ndarray) else leaf for leaf in self.tree.leaves
        ]
        for place, value in zip(self.floating, inputs, strict=True):
            filled[place] = value
        args, kwargs = self.tree.rebuild(filled)
        return args, kwargs

    def fresh(self) -> tuple[list[Any], dict[str, Any]]:
        """The arguments on copies of all arrays."""
        return self.filled(
            [
                leaf.copy() if isinstance(leaf, np.ndarray) else leaf
                for leaf in (self.tree.leaves[place] for place in self.floating)
            ]
        )
