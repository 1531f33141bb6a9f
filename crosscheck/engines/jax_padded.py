"""JAX on many architectures with one compiled program: each network is embedded in a padded one.

What is differentiated is the function of `jax.grad`, by the same transformation. The networks of
a batch are run in a loop inside the program, not side by side, so that no bit of one can depend on
the others; up to 64 wide that costs nothing.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from crosscheck.arithmetic.activations import jax_function
from crosscheck.arithmetic.costs import COSTS
from crosscheck.arithmetic.promise import Arithmetic
from crosscheck.engines import padded
from crosscheck.engines.padded import Packed, Size
from crosscheck.networks.network import Architecture, Case, Gradients

DTYPES = ("float64", "float32")

LEAST_DEPTH, DEPTH_STEPS = 5, 3
"""Padded networks have 5, 15, 45, … layers 2 … N; five follow one another without a loop."""

BATCH = 16
"""Networks in one call of a program of the smallest size; fewer where they are larger."""


def size_of(case: Case) -> Size:
    """The size of the program for a case."""
    return padded.size_of(case, padded.step(LEAST_DEPTH, DEPTH_STEPS, case.architecture.layers - 1))


def cost(
    parameters: tuple[Any, Any], net: Packed, activations: Sequence[str], term: Callable[..., Any]
) -> Any:
    """The cost of one padded network as a function of its weights and biases.

    A layer that the network has not is passed by: to compute and discard it costs a third more.
    """

    def layer(a: Any, of: Any) -> tuple[Any, None]:
        w, b, kind = of
        taken = [partial(_layer, jax_function(name)) for name in activations]
        return lax.switch(kind, [lambda a, *_: a, *taken], a, w, b), None

    a, _ = lax.scan(layer, net.inputs, (*parameters, net.kind), unroll=LEAST_DEPTH)
    # What is not counted is taken to be as expected, which costs nothing.
    output = jnp.where(net.counted, a, net.targets)
    return jnp.sum(term(output, net.targets)) * net.scale


def _layer(activation: Callable[[Any], Any], a: Any, w: Any, b: Any) -> Any:
    return activation(a @ w + b)


OPTIONS = {"xla_backend_optimization_level": 2}
"""LLVM's level for the programs: XLA's own default, 3, takes twice the time to compile and makes
programs that are no faster (`crosscheck bench --only stages` shows what one costs)."""


@lru_cache
def program(size: Size) -> Callable[[Packed], Any]:
    """The compiled program of a size: a batch to (cost, (weight, bias gradients))."""
    assert size.term is not None
    of_one = partial(cost, activations=size.activations, term=size.term)

    def gradient(net: Packed) -> Any:
        return jax.value_and_grad(of_one)((net.weights, net.biases), net)

    return jax.jit(lambda batch: lax.map(gradient, batch), compiler_options=OPTIONS)


class PackedGrad:
    """`jax.packed`: `jax.grad` of the same function, of many architectures by one program."""

    name = "jax.packed"
    compiles = True

    def supports(self, architecture: Architecture, dtype: str) -> bool:
        known = architecture.quick and COSTS[architecture.cost].jax_term is not None
        return dtype in DTYPES and known

    def arithmetic(self, dtype: str) -> Arithmetic:
        return Arithmetic(dtype, flushes=True)

    def gradients(self, case: Case) -> Gradients:
        return self.gradients_of([case])[0]

    def gradients_of(self, cases: Sequence[Case]) -> list[Gradients]:
        """The gradients of each case; none depends on the others, to the bit."""
        return padded.by_batch(cases, size_of, BATCH, _run)


def _run(cases: Sequence[Case], size: Size) -> list[Gradients]:
    """One call of the program of a size."""
    with jax.enable_x64(True):
        values, (weights, biases) = program(size)(padded.pack(cases, size, size.batch(BATCH)))
    values, weights, biases = map(np.asarray, (values, weights, biases))
    return [padded.unpack(case, values[i], weights[i], biases[i]) for i, case in enumerate(cases)]


def packed() -> PackedGrad:
    """The engine `jax.packed`."""
    return PackedGrad()
