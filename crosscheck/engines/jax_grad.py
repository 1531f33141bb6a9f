"""JAX: the network in jax.numpy's own terms, and `jax.grad` under `jit`."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from crosscheck.values import Architecture, Arithmetic, Case, Gradients

ACTIVATIONS: Mapping[str, Callable[[jax.Array], jax.Array]] = {
    "sigmoid": jax.nn.sigmoid,
    "identity": lambda z: z,
    "tanh": jnp.tanh,
    "relu": jax.nn.relu,
}
COSTS: Mapping[str, Callable[[jax.Array], jax.Array]] = {
    "squared_error": lambda squares: jnp.mean(jnp.sum(squares, axis=1)),
    "half_squared_error": lambda squares: jnp.mean(jnp.sum(squares, axis=1)) / 2,
    "sum_squared_error": jnp.sum,
    "mean_squared_error": jnp.mean,
}
DTYPES = ("float64", "float32")
COMPILED_KEPT = 64
"""Compiled programs kept; memory must not grow with the number of cases."""

Parameters = tuple[Sequence[Any], Sequence[Any]]


def cost(architecture: Architecture, parameters: Parameters, inputs: Any, targets: Any) -> Any:
    """The cost of a network as a function of its weights and biases."""
    a = inputs
    for w, b, activation in zip(*parameters, architecture.activations, strict=True):
        a = ACTIVATIONS[activation](a @ w + b)
    return COSTS[architecture.cost](jnp.square(a - targets))


@lru_cache(maxsize=COMPILED_KEPT)
def _compiled(architecture: Architecture, samples: int, dtype: str) -> Callable[..., Any]:
    """One program per shape; the arguments are the cache's key and fix what is traced."""

    def of_parameters(parameters: Parameters, inputs: Any, targets: Any) -> Any:
        return cost(architecture, parameters, inputs, targets)

    return jax.jit(jax.value_and_grad(of_parameters))


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
        return Arithmetic(dtype, flushes=True)

    def gradients(self, case: Case) -> Gradients:
        with jax.enable_x64(True):
            run = _compiled(case.architecture, case.samples, case.dtype)
            value, (weights, biases) = run(
                (list(case.weights), list(case.biases)), case.inputs, case.targets
            )
            return Gradients(
                float(value), [np.asarray(w) for w in weights], [np.asarray(b) for b in biases]
            )


def grad() -> Grad:
    """The engine `jax.grad`."""
    return Grad()
