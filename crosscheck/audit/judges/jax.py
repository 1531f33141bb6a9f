"""JAX's Jacobians of every layer by every other: `jax.jacrev` and `jax.jacfwd` under `jit`."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from crosscheck.arithmetic.activations import jax_function
from crosscheck.arithmetic.costs import COSTS
from crosscheck.networks.network import Architecture, Array, Case

MODES: dict[str, Callable[..., Any]] = {"jax.jacrev": jax.jacrev, "jax.jacfwd": jax.jacfwd}
COMPILED_KEPT = 64
"""Compiled programs kept; memory must not grow with the number of cases."""

QUICK = {"xla_backend_optimization_level": 0}
"""A program runs a few times, so that compiling is what it costs."""

WIDTH_STEP = 6
"""Layers are padded with neurons to a multiple of this, so that few shapes are compiled."""


@dataclass(frozen=True)
class JaxJacobian:
    """The left sides of equations by one mode of differentiation; keys as "a3/w2", "cost/b2".

    `left_sides(case)` gives z^l, a^l, σ(z^l), their Jacobians by weights, biases and activations,
    the cost and its gradient, each (D, upper, lower …). XLA on a CPU flushes subnormal numbers.

    A padded neuron has no weight but 0, so it adds an exact 0 to every sum, and no rounding.
    """

    name: str
    flushes: bool = True

    def left_sides(self, case: Case) -> dict[str, Array]:
        """Raises ValueError unless the case has the paper's hidden layers, readings and cost."""
        architecture = case.architecture
        if (
            architecture.hidden != "sigmoid"
            or architecture.output not in ("sigmoid", "identity")
            or architecture.cost != "squared_error"
        ):
            raise ValueError("this Jacobian knows the paper's two readings and its cost alone")
        with jax.enable_x64(True):
            run = _compiled(self.name, architecture.layers)
            found = run(*_padded(case), architecture.output == "identity")
            z, a, by_parts, cost, gradient = jax.tree.map(np.asarray, found)
        named = _values(architecture, z, a) | {"cost": cost}
        for lower, block in _by_source(architecture, gradient, ()):
            named[f"cost/{lower}"] = block
        return named | _jacobians(architecture, by_parts)


def _padded(case: Case) -> tuple[Array, ...]:
    """w (N-1, W, W), b (N-1, W), taps (N-1, W), inputs and targets (D, W), and whose outputs count.

    Taps are zeros that are added to a^1 … a^{N-1}, to derive by them.
    """
    widths, dtype = case.architecture.widths, case.inputs.dtype
    width = -(-max(widths) // WIDTH_STEP) * WIDTH_STEP
    w = np.zeros((len(widths) - 1, width, width), dtype)
    b, taps = np.zeros((2, len(widths) - 1, width), dtype)
    for k, (weights, biases) in enumerate(zip(case.weights, case.biases, strict=True)):
        w[k, : widths[k], : widths[k + 1]] = weights
        b[k, : widths[k + 1]] = biases
    inputs, targets = np.zeros((2, case.samples, width), dtype)
    inputs[:, : widths[0]] = case.inputs
    targets[:, : widths[-1]] = case.targets
    return w, b, taps, inputs, targets, (np.arange(width) < widths[-1]).astype(dtype)


@lru_cache(maxsize=COMPILED_KEPT)
def _compiled(mode: str, layers: int) -> Callable[..., Any]:
    """A program a depth, compiled once per shape; which output the network has is an argument."""
    differentiate = MODES[mode]

    def run(w: Any, b: Any, taps: Any, inputs: Any, targets: Any, counts: Any, linear: Any) -> Any:
        def of_layers(w: Any, b: Any, taps: Any, x: Any) -> Any:
            z, a = _layers(layers, w, b, taps, x, linear)
            return a, (z, a)

        def cost(w: Any, b: Any) -> Any:
            _, a = _layers(layers, w, b, taps, inputs, linear)
            value = COSTS["squared_error"].jax(a[-2] * counts, targets * counts)
            return value, value

        by_all = differentiate(of_layers, argnums=(0, 1, 2), has_aux=True)
        jacobian, (z, a) = jax.vmap(by_all, in_axes=(None, None, None, 0))(w, b, taps, inputs)
        gradient, value = differentiate(cost, argnums=(0, 1), has_aux=True)(w, b)
        return z, a, jacobian, value, gradient

    return jax.jit(run, compiler_options=QUICK)


def _layers(layers: int, w: Any, b: Any, taps: Any, a: Any, linear: Any) -> tuple[Any, Any]:
    """z^2 … z^N stacked, and a^2 … a^N with σ(z^N) after them; `a` (W,) or (D, W)."""
    zs, activations = [], []
    for k in range(layers - 1):
        z = (a + taps[k]) @ w[k] + b[k]
        s = jax_function("sigmoid")(z)
        a = s if k < layers - 2 else jnp.where(linear, z, s)
        zs.append(z)
        activations.append(a)
    return jnp.stack(zs), jnp.stack([*activations, s])


def _values(architecture: Architecture, z: Array, a: Array) -> dict[str, Array]:
    """z^l, a^l and σ(z^l) without the padding; hidden layers are sigmoid layers."""
    layers = architecture.layers
    found: dict[str, Array] = {}
    for l in range(2, layers + 1):
        n = architecture.widths[l - 1]
        found |= {f"z{l}": z[:, l - 2, :n], f"a{l}": a[:, l - 2, :n]}
        found[f"s{l}"] = found[f"a{l}"] if l < layers else a[:, -1, :n]
    return found


def _jacobians(architecture: Architecture, by_parts: tuple[Array, ...]) -> dict[str, Array]:
    """The Jacobian of a^2 … a^N and σ(z^N) by everything, cut into left sides."""
    layers = architecture.layers
    found: dict[str, Array] = {}
    for l in range(2, layers + 2):
        n = architecture.widths[min(l, layers) - 1]
        rows = tuple(part[:, l - 2, :n] for part in by_parts)
        upper = f"a{l}" if l <= layers else f"s{layers}"
        for lower, block in _by_source(architecture, rows, (slice(None), slice(None))):
            found[f"{upper}/{lower}"] = block
            if l < layers:
                found[f"s{l}/{lower}"] = block
    return found


def _by_source(
    architecture: Architecture, parts: tuple[Array, ...], before: tuple[slice, ...]
) -> list[tuple[str, Array]]:
    """Derivatives by (w, b, taps), or by (w, b), as ("w2", …), ("b2", …), ("a1", …)."""
    found = []
    for k, (n, m) in enumerate(architecture.weight_shapes):
        cuts = (("w", k + 2, (n, m)), ("b", k + 2, (m,)), ("a", k + 1, (n,)))
        for (kind, l, shape), part in zip(cuts, parts, strict=False):
            index: tuple[Any, ...] = (*before, k, *(slice(size) for size in shape))
            found.append((f"{kind}{l}", part[index]))
    return found


def reverse() -> JaxJacobian:
    """`jax.jacrev`: reverse mode."""
    return JaxJacobian("jax.jacrev")


def forward() -> JaxJacobian:
    """`jax.jacfwd`: forward mode."""
    return JaxJacobian("jax.jacfwd")


def sigmoid_slopes(z: Array) -> Array:
    """σ′ at each z, as `jax.grad` takes it from `jax.nn.sigmoid`."""
    with jax.enable_x64(True):
        return np.asarray(jax.jit(jax.vmap(jax.grad(jax.nn.sigmoid)))(z))
