"""JAX: the network in jax.numpy's own terms, and `jax.grad` under `jit`."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import jax
import numpy as np

from crosscheck.arithmetic.activations import jax_function
from crosscheck.arithmetic.costs import COSTS
from crosscheck.arithmetic.promise import Arithmetic
from crosscheck.networks.network import Architecture, Array, Case, Gradients

DTYPES = ("float64", "float32", "float16", "bfloat16")
FLUSHED = ("float64", "float32", "bfloat16")
"""Formats whose subnormals XLA reads and writes as zero on a CPU; float16's it keeps."""

COMPILED_KEPT = 64
"""Compiled programs kept; memory must not grow with the number of cases."""

Parameters = tuple[Sequence[Any], Sequence[Any]]


def cost(architecture: Architecture, parameters: Parameters, inputs: Any, targets: Any) -> Any:
    """The cost of a network as a function of its weights and biases."""
    a = z = inputs
    for w, b, activation in zip(*parameters, architecture.activations, strict=True):
        z = a @ w + b if architecture.with_biases else a @ w
        a = jax_function(activation)(z)
    of = COSTS[architecture.cost]
    return of.jax(z if of.of_logits else a, targets) + penalty(architecture, parameters)


def penalty(architecture: Architecture, parameters: Parameters) -> Any:
    """λ/2 Σ w², over the biases too if they are in it."""
    if not architecture.l2:
        return 0
    weights, biases = parameters
    penalized = [*weights, *(biases if architecture.l2_biases else ())]
    return architecture.l2 / 2 * sum((w * w).sum() for w in penalized)


def tapped_cost(
    architecture: Architecture, parameters: Parameters, taps: Any, inputs: Any, targets: Any
) -> Any:
    """The same cost with taps added to each z^l and a^l, and z^l, a^l beside it.

    Taps are zero: the gradient by a tap on z^l is δ^l, by one on a^l it is ∂cost/∂a^l. The
    barriers keep XLA from fusing across what is shown: in layers of width 1 it multiplied the
    weight into the residual, so that ∂cost/∂a^l was not the product of the δ that it showed.
    """
    a, shown = inputs, []
    layers = zip(*parameters, architecture.activations, taps, strict=True)
    for w, b, activation, (on_z, on_a) in layers:
        z = jax.lax.optimization_barrier(a @ w + b + on_z)
        a = jax.lax.optimization_barrier(jax_function(activation)(z) + on_a)
        shown.append((z, a))
    return COSTS[architecture.cost].jax(a, targets), shown


@lru_cache(maxsize=COMPILED_KEPT)
def _compiled(architecture: Architecture, samples: int, dtype: str) -> Callable[..., Any]:
    """One program per shape; the arguments are the cache's key and fix what is traced."""

    def of_parameters(parameters: Parameters, inputs: Any, targets: Any) -> Any:
        return cost(architecture, parameters, inputs, targets)

    return jax.jit(jax.value_and_grad(of_parameters))


@lru_cache(maxsize=COMPILED_KEPT)
def _compiled_tapped(architecture: Architecture, samples: int, dtype: str) -> Callable[..., Any]:
    """The tapped program of a shape."""

    def of_parameters(parameters: Parameters, taps: Any, inputs: Any, targets: Any) -> Any:
        return tapped_cost(architecture, parameters, taps, inputs, targets)

    return jax.jit(jax.grad(of_parameters, argnums=(0, 1), has_aux=True))


class Grad:
    """`jax.grad`: reverse mode under `jit`, compiled for the exact shapes of the case.

    float64 is switched on in a context, so the user's own setting stays as it is. XLA on a CPU
    reads and writes subnormal numbers as zero, and the arithmetic says so.
    """

    name = "jax.grad"
    compiles = True

    def supports(self, architecture: Architecture, dtype: str) -> bool:
        return dtype in DTYPES

    def arithmetic(self, dtype: str) -> Arithmetic:
        return Arithmetic(dtype, flushes=dtype in FLUSHED)

    def gradients(self, case: Case) -> Gradients:
        with jax.enable_x64(True):
            run = _compiled(case.architecture, case.samples, case.dtype)
            value, (weights, biases) = run(
                (list(case.weights), list(case.biases)), case.inputs, case.targets
            )
            gradients = [np.asarray(w) for w in weights], [np.asarray(b) for b in biases]
            return Gradients(float(value), *gradients).of(case.architecture)

    def stages(self, case: Case) -> dict[str, Array]:
        """z^l, a^l, and by zero-valued taps G^l = ∂cost/∂a^l and δ^l = ∂cost/∂z^l ("d")."""
        taps = [
            (np.zeros((case.samples, n), case.inputs.dtype),) * 2
            for n in case.architecture.widths[1:]
        ]
        with jax.enable_x64(True):
            run = _compiled_tapped(case.architecture, case.samples, case.dtype)
            ((weights, biases), by_taps), shown = run(
                (list(case.weights), list(case.biases)), taps, case.inputs, case.targets
            )
            layers = zip(weights, biases, by_taps, shown, strict=True)
            arrays: dict[str, Any] = {}
            for layer, (w, b, (by_z, by_a), (z, a)) in enumerate(layers, start=2):
                arrays |= {f"z{layer}": z, f"a{layer}": a, f"d{layer}": by_z, f"G{layer}": by_a}
                arrays |= {f"w{layer}": w, f"b{layer}": b}
            return {name: np.asarray(array) for name, array in arrays.items()}


def grad() -> Grad:
    """The engine `jax.grad`."""
    return Grad()
