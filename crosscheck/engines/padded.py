"""Networks embedded in padded ones of few sizes, so that one program runs many architectures.

The padding adds exact zeros: weights into and out of it are zero, its outputs and samples are
masked, and layers beyond a network's depth pass their input through.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from crosscheck.arithmetic.costs import COSTS
from crosscheck.networks.network import Array, Case, Gradients

STEPS = 4
LEAST_WIDTH, LEAST_SAMPLES = 64, 16
"""Padded networks are 64, 256, 1024, … wide, and have 16, 64, 256, … samples."""


class Size(NamedTuple):
    """What padded networks have in common: depth (layers 2 … N), width, samples, activations, and
    the cost's term, a function of output and targets that is 0 where they are equal."""

    depth: int
    width: int
    samples: int
    activations: tuple[str, ...]
    term: Callable[..., Any] | None
    dtype: str

    def batch(self, smallest: int) -> int:
        """Networks in one call, of which there are `smallest` of the least width."""
        return max(1, smallest * LEAST_WIDTH**2 // self.width**2)


class Packed(NamedTuple):
    """Padded networks; shapes behind the batch's own axis.

    weights (depth, width, width), biases (depth, width), inputs and targets (samples, width);
    `kind` (depth,) is the place of each layer's activation in those of the size, counted from
    1, and 0 where the network has no such layer; `counted` (samples, width) is true at the
    entries of the network's output; `scale` is the cost's factor on the sum of its terms.
    """

    weights: Any
    biases: Any
    inputs: Any
    targets: Any
    kind: Any
    counted: Any
    scale: Any


def step(smallest: int, steps: int, wanted: int) -> int:
    """The least of smallest, smallest × steps, … that is not below `wanted`."""
    while smallest < wanted:
        smallest *= steps
    return smallest


def size_of(case: Case, depth: int) -> Size:
    """The size for a case at this depth: a function of the case alone."""
    a = case.architecture
    return Size(
        depth,
        step(LEAST_WIDTH, STEPS, max(a.widths)),
        step(LEAST_SAMPLES, STEPS, case.samples),
        # Both readings of the output have one size, which is half of the compiling.
        tuple(sorted({"identity", a.hidden, a.output})),
        COSTS[a.cost].jax_term,
        case.dtype,
    )


def pack(cases: Sequence[Case], size: Size, count: int) -> Packed:
    """So many networks of the size: the cases, padded, and empty ones where there are too few."""
    dtype = np.dtype(size.dtype)
    square, flat = (size.depth, size.width, size.width), (size.depth, size.width)
    entries = (size.samples, size.width)
    batch = Packed(
        weights=np.zeros((count, *square), dtype),
        biases=np.zeros((count, *flat), dtype),
        inputs=np.zeros((count, *entries), dtype),
        targets=np.zeros((count, *entries), dtype),
        kind=np.zeros((count, size.depth), np.int32),
        counted=np.zeros((count, *entries), bool),
        scale=np.zeros(count, dtype),
    )
    for i, case in enumerate(cases):
        widths, samples = case.architecture.widths, case.samples
        for k, (w, b) in enumerate(zip(case.weights, case.biases, strict=True)):
            batch.weights[i, k, : w.shape[0], : w.shape[1]] = w
            batch.biases[i, k, : b.shape[0]] = b
        batch.inputs[i, :samples, : widths[0]] = case.inputs
        batch.targets[i, :samples, : widths[-1]] = case.targets
        places = [size.activations.index(name) + 1 for name in case.architecture.activations]
        batch.kind[i, : len(places)] = places
        batch.counted[i, :samples, : widths[-1]] = True
        batch.scale[i] = COSTS[case.architecture.cost].factor(samples, widths[-1])
    return batch


def unpack(case: Case, value: Any, weights: Array, biases: Array) -> Gradients:
    """One network's gradients without the padding, in memory of their own."""
    shapes = case.architecture.weight_shapes
    return Gradients(
        float(value),
        [weights[k, :n, :m].copy() for k, (n, m) in enumerate(shapes)],
        [biases[k, :m].copy() for k, (_, m) in enumerate(shapes)],
    )


def by_batch(
    cases: Sequence[Case],
    size_of: Callable[[Case], Size],
    smallest: int,
    run: Callable[[Sequence[Case], Size], Sequence[Gradients]],
) -> list[Gradients]:
    """The gradients of all cases, in order: `run` gets those of one size, a batch at most."""
    places: dict[Size, list[int]] = {}
    for place, case in enumerate(cases):
        places.setdefault(size_of(case), []).append(place)
    made: dict[int, Gradients] = {}
    for size, of_size in places.items():
        most = size.batch(smallest)
        for begin in range(0, len(of_size), most):
            batch = of_size[begin : begin + most]
            gradients = run([cases[place] for place in batch], size)
            made.update(zip(batch, gradients, strict=True))
    return [made[place] for place in range(len(cases))]
