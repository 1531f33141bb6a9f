"""Cotangents: drawn for the leaves of a value, or made of those as a way of use has them."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from crosscheck.arithmetic.primitives.row import Array
from crosscheck.programs import arguments
from crosscheck.programs.frontends.subject import Leaf


def drawn(leaves: Sequence[Leaf], seed: int, scalar_is_one: bool) -> list[Array]:
    """Cotangents or tangents for these leaves; that of one scalar value is 1."""
    if scalar_is_one and len(leaves) == 1 and leaves[0].shape == ():
        return [arguments.rounded(np.ones(()), leaves[0].format)]
    generator = np.random.default_rng([seed, 0xC0])
    return [
        arguments.rounded(generator.standard_normal(leaf.shape), leaf.format) for leaf in leaves
    ]


def one_number(cotangents: Sequence[Array]) -> list[Array]:
    """Each cotangent's first entry everywhere, as that of a sum has it."""
    return [np.full_like(c, c.reshape(-1)[0]) if c.size else c for c in cotangents]


def zeros(cotangents: Sequence[Array]) -> list[Array]:
    """Nothing hangs on the value."""
    return [np.zeros_like(c) for c in cotangents]


def first_alone(cotangents: Sequence[Array]) -> list[Array]:
    """What came of the first result alone: autograd gives None for the others."""
    return [c if place == 0 else np.zeros_like(c) for place, c in enumerate(cotangents)]


OF_HABIT: Mapping[str, Callable[[Sequence[Array]], list[Array]]] = {
    "expanded cotangents": one_number,
    "zero cotangents": zeros,
    "the first result alone": first_alone,
}
"""What a way of use makes of the cotangents, by its name; the others leave them as they are."""
