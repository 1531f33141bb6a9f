"""JAX on many architectures with one compiled program: each network is embedded in a padded one.

The padding adds exact zeros: weights into and out of it are zero, its outputs and samples are
masked, and layers beyond a network's depth pass their input through. What is differentiated
is the function of `jax_grad`, by the same transformation. The networks of a batch are run in a
loop inside the program, not side by side, so that no bit of one can depend on the others; up to
64 wide that costs nothing.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from crosscheck.arithmetic import Arithmetic
from crosscheck.engines.jax_grad import ACTIVATIONS
from crosscheck.values import Architecture, Array, Case, Gradients

DTYPES = ("float64", "float32")
STEPS = 4
LEAST_WIDTH, LEAST_SAMPLES = 64, 16
"""Padded networks are 64, 256, 1024, … wide, and have 16, 64, 256, … samples."""

LEAST_DEPTH, DEPTH_STEPS = 5, 3
"""They have 5, 15, 45, … layers 2 … N; five at a time follow one another without a loop."""

BATCH = 16
"""Networks in one call of a program of the smallest size; fewer where they are larger."""


class Size(NamedTuple):
    """What a program is compiled for: depth (layers 2 … N), width, samples, activations."""

    depth: int
    width: int
    samples: int
    activations: tuple[str, ...]
    dtype: str

    @property
    def batch(self) -> int:
        return max(1, BATCH * LEAST_WIDTH**2 // self.width**2)


class Packed(NamedTuple):
    """Padded networks; shapes behind the batch's own axis.

    weights (depth, width, width), biases (depth, width), inputs and targets (samples, width);
    `kind` (depth,) is the place of each layer's activation in those of the program, counted from
    1, and 0 where the network has no such layer; `counted` (samples, width) is true at the
    entries of the network's output; `scale` is the cost's factor on the sum of squares.
    """

    weights: Any
    biases: Any
    inputs: Any
    targets: Any
    kind: Any
    counted: Any
    scale: Any


def _step(smallest: int, steps: int, wanted: int) -> int:
    """The least of smallest, smallest × steps, … that is not below `wanted`."""
    while smallest < wanted:
        smallest *= steps
    return smallest


def size_of(case: Case) -> Size:
    """The size of the program for a case: a function of the case alone."""
    a = case.architecture
    return Size(
        _step(LEAST_DEPTH, DEPTH_STEPS, a.layers - 1),
        _step(LEAST_WIDTH, STEPS, max(a.widths)),
        _step(LEAST_SAMPLES, STEPS, case.samples),
        # Both readings of the output have one program, which is half of the compiling.
        tuple(sorted({"identity", a.hidden, a.output})),
        case.dtype,
    )


def cost(parameters: tuple[Any, Any], net: Packed, activations: Sequence[str]) -> Any:
    """The cost of one padded network as a function of its weights and biases."""

    def layer(a: Any, of: Any) -> tuple[Any, None]:
        w, b, kind = of
        z = a @ w + b
        for place, name in enumerate(activations, start=1):
            a = jnp.where(kind == place, ACTIVATIONS[name](z), a)
        return a, None

    a, _ = lax.scan(layer, net.inputs, (*parameters, net.kind), unroll=LEAST_DEPTH)
    residual = jnp.where(net.counted, a - net.targets, 0)
    return jnp.sum(jnp.square(residual)) * net.scale


@lru_cache
def program(size: Size) -> Callable[[Packed], Any]:
    """The compiled program of a size: a batch to (cost, (weight, bias gradients))."""
    of_one = partial(cost, activations=size.activations)

    def gradient(net: Packed) -> Any:
        return jax.value_and_grad(of_one)((net.weights, net.biases), net)

    return jax.jit(lambda batch: lax.map(gradient, batch))


def _factor(architecture: Architecture, samples: int) -> float:
    """The factor of the cost's convention on the sum of squares."""
    return {
        "squared_error": 1 / samples,
        "half_squared_error": 1 / (2 * samples),
        "sum_squared_error": 1.0,
        "mean_squared_error": 1 / (samples * architecture.widths[-1]),
    }[architecture.cost]


def pack(cases: Sequence[Case], size: Size) -> Packed:
    """A batch of the size: the cases, padded, and empty networks where there are too few."""
    count, dtype = size.batch, np.dtype(size.dtype)
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
        batch.scale[i] = _factor(case.architecture, samples)
    return batch


def _unpack(case: Case, value: Any, weights: Array, biases: Array) -> Gradients:
    """One network's gradients without the padding, in memory of their own."""
    shapes = case.architecture.weight_shapes
    return Gradients(
        float(value),
        [weights[k, :n, :m].copy() for k, (n, m) in enumerate(shapes)],
        [biases[k, :m].copy() for k, (_, m) in enumerate(shapes)],
    )


class PackedGrad:
    """`jax.packed`: `jax.grad` of the same function, of many architectures by one program."""

    name = "jax.packed"
    compiles = True

    def supports(self, architecture: Architecture, dtype: str) -> bool:
        return dtype in DTYPES

    def arithmetic(self, dtype: str) -> Arithmetic:
        return Arithmetic(dtype, flushes=True)

    def gradients(self, case: Case) -> Gradients:
        return self.gradients_of([case])[0]

    def gradients_of(self, cases: Sequence[Case]) -> list[Gradients]:
        """The gradients of each case; none depends on the others, to the bit."""
        by_size: dict[Size, list[int]] = {}
        for place, case in enumerate(cases):
            by_size.setdefault(size_of(case), []).append(place)
        found: dict[int, Gradients] = {}
        for size, places in by_size.items():
            for begin in range(0, len(places), size.batch):
                batch = places[begin : begin + size.batch]
                for place, one in zip(batch, _run([cases[p] for p in batch], size), strict=True):
                    found[place] = one
        return [found[place] for place in range(len(cases))]


def _run(cases: Sequence[Case], size: Size) -> list[Gradients]:
    """One call of the program of a size."""
    with jax.enable_x64(True):
        values, (weights, biases) = program(size)(pack(cases, size))
    values, weights, biases = map(np.asarray, (values, weights, biases))
    return [_unpack(case, values[i], weights[i], biases[i]) for i, case in enumerate(cases)]


def packed() -> PackedGrad:
    """The engine `jax.packed`."""
    return PackedGrad()
