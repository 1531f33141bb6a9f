"""Wrong gradients that are no entry of the catalogue: the right one, distorted at random.

Each sort changes the tensors of a right gradient by numbers that are drawn anew for every case,
so that no factor, place or sample explains them all. `size` is the relative size of the change.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from crosscheck.arithmetic.promise import Arithmetic
from crosscheck.engines.interface import Engine
from crosscheck.networks.network import Architecture, Array, Case, Gradients

Distort = Callable[[Sequence[Array], float, np.random.Generator], list[Array]]

STREAM = 8
"""Spawn key of what a distortion draws; the case's own draws and the faults' have others."""


def _waves(tensors: Sequence[Array], size: float, rng: np.random.Generator) -> list[Array]:
    """Each tensor times 1 + size · sin, along its entries, with a frequency of its own."""
    return [
        t * (1 + size * np.sin(rng.uniform(0, 6) + rng.uniform(0.3, 3) * _places(t)))
        for t in tensors
    ]


def _places(tensor: Array) -> Array:
    return np.arange(tensor.size).reshape(tensor.shape)


def _layers(tensors: Sequence[Array], size: float, rng: np.random.Generator) -> list[Array]:
    """Each layer times 1 + size · sin of its index: smooth from layer to layer."""
    start, step = rng.uniform(0, 6), rng.uniform(0.3, 3)
    return [t * (1 + size * np.sin(start + step * (k // 2))) for k, t in enumerate(tensors)]


def _rank_one(tensors: Sequence[Array], size: float, rng: np.random.Generator) -> list[Array]:
    """A random matrix of rank one is added, of `size` times the tensor's norm."""
    return [t + size * np.linalg.norm(t) * _unit_outer(t.shape, rng) for t in tensors]


def _unit_outer(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """A product of random vectors, one for each axis, of norm 1."""
    product = np.ones(())
    for length in shape:
        vector = rng.standard_normal(length)
        product = np.multiply.outer(product, vector / np.linalg.norm(vector))
    return product


def _rotation(tensors: Sequence[Array], size: float, rng: np.random.Generator) -> list[Array]:
    """The rows are turned among each other by a random rotation, of `size` radians or so."""
    return [_turn(len(t), size * rng.uniform(0.5, 1.5), rng) @ t for t in tensors]


def _turn(n: int, size: float, rng: np.random.Generator) -> Array:
    """Cayley's transform of a random skew matrix of norm `size`: a rotation."""
    square = rng.standard_normal((n, n))
    skew = square - square.T
    half = skew * (size / 2 / (float(np.linalg.norm(skew, 2)) or 1.0))
    one = np.eye(n)
    return np.linalg.solve(one - half, one + half)


def _tensor_noise(tensors: Sequence[Array], size: float, rng: np.random.Generator) -> list[Array]:
    """Each tensor times a random factor of its own."""
    return [t * (1 + size * rng.standard_normal()) for t in tensors]


def _entry_noise(tensors: Sequence[Array], size: float, rng: np.random.Generator) -> list[Array]:
    """Each entry times a random factor of its own."""
    return [t * (1 + size * rng.standard_normal(t.shape)) for t in tensors]


SORTS: Mapping[str, Distort] = {
    "waves over the entries": _waves,
    "a wave over the layers": _layers,
    "a matrix of rank one added": _rank_one,
    "rows rotated": _rotation,
    "a random factor for each tensor": _tensor_noise,
    "a random factor for each entry": _entry_noise,
}

SIZES = (1e-3, 1e-2, 0.1, 1.0)


class DistortedEngine:
    """The right engine's gradient, distorted: a black box, the same numbers at every run."""

    def __init__(self, right: Engine, sort: str, size: float, number: int = 0) -> None:
        self.right, self.sort, self.size, self.number = right, sort, size, number
        self.name = f"{sort}, {size:g}"

    def supports(self, architecture: Architecture, dtype: str) -> bool:
        return self.right.supports(architecture, dtype)

    def arithmetic(self, dtype: str) -> Arithmetic:
        return Arithmetic(dtype)

    def gradients(self, case: Case) -> Gradients:
        """The distorted gradient, in the case's dtype."""
        key = (case.index, STREAM, self.number)
        rng = np.random.default_rng(np.random.SeedSequence(case.seed, spawn_key=key))
        tensors = [t.astype(np.float64) for t in self.right.gradients(case).tensors()]
        wrong = SORTS[self.sort](tensors, self.size, rng)
        typed = [t.astype(case.inputs.dtype) for t in wrong]
        return Gradients(None, typed[0::2], typed[1::2])
