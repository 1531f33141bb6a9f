"""PyTorch's Jacobians of every layer by every other: `torch.func.jacrev` and `jacfwd`."""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Any

import torch
from torch.func import jacfwd, jacrev, vmap

from crosscheck.arithmetic.activations import torch_function
from crosscheck.arithmetic.costs import COSTS
from crosscheck.engines.torch import tensor
from crosscheck.networks.network import Architecture, Array, Case

Tensors = tuple[torch.Tensor, ...]

ONE_AT_A_TIME = Lock()
"""torch keeps the level of forward mode for the process, not for the thread: of two threads that
differentiate, one ends the other's."""


@dataclass(frozen=True)
class TorchJacobian:
    """The left sides of equations by one mode of differentiation; keys as "a3/w2", "cost/b2".

    `left_sides(case)` gives z^l, a^l, σ(z^l), their Jacobians by weights, biases and activations,
    the cost and its gradient, each (D, upper, lower …). A tap, a zero added to a^l, stands for
    a^l where it is derived by.
    """

    name: str
    mode: Callable[..., Any]
    flushes: bool = False

    def left_sides(self, case: Case) -> dict[str, Array]:
        """As above; of several threads one at a time."""
        with ONE_AT_A_TIME:
            return self._left_sides(case)

    def _left_sides(self, case: Case) -> dict[str, Array]:
        weights = tuple(tensor(w) for w in case.weights)
        biases = tuple(tensor(b) for b in case.biases)
        inputs, targets = tensor(case.inputs), tensor(case.targets)
        taps = tuple(torch.zeros(n, dtype=inputs.dtype) for n in case.architecture.widths[:-1])

        def layers(w: Tensors, b: Tensors, taps: Tensors, x: torch.Tensor) -> Any:
            found = _layers(case.architecture, w, b, taps, x)
            return found, found

        def cost(w: Tensors, b: Tensors) -> Any:
            a = _layers(case.architecture, w, b, taps, inputs)[f"a{case.architecture.layers}"]
            value = COSTS[case.architecture.cost].torch(a, targets)
            return value, value

        of_layers = self.mode(layers, argnums=(0, 1, 2), has_aux=True)
        jacobians, values = vmap(of_layers, in_dims=(None, None, None, 0))(
            weights, biases, taps, inputs
        )
        by_parameters, value = self.mode(cost, argnums=(0, 1), has_aux=True)(weights, biases)
        found = {**values, "cost": value, **_named("cost", by_parameters)}
        for upper, by in jacobians.items():
            found |= _named(upper, by)
        return {key: part.detach().numpy() for key, part in found.items()}


def _layers(
    architecture: Architecture, weights: Tensors, biases: Tensors, taps: Tensors, a: torch.Tensor
) -> dict[str, torch.Tensor]:
    """z^l, a^l and σ(z^l) by key; `a` (n_1,) or (D, n_1)."""
    found: dict[str, torch.Tensor] = {}
    parts = zip(weights, biases, taps, architecture.activations, strict=True)
    for l, (w, b, tap, activation) in enumerate(parts, 2):
        z = (a + tap) @ w + b
        a = torch_function(activation)(z)
        found |= {f"z{l}": z, f"a{l}": a, f"s{l}": torch_function("sigmoid")(z)}
    return found


def _named(upper: str, by: Any) -> dict[str, Any]:
    """Jacobians by (weights, biases, taps) under their keys; taps begin with layer 1's."""
    starts = zip("wba", (2, 2, 1), by, strict=False)
    return {
        f"{upper}/{kind}{l}": part
        for kind, start, parts in starts
        for l, part in enumerate(parts, start)
    }


def reverse() -> TorchJacobian:
    """`torch.jacrev`: reverse mode."""
    return TorchJacobian("torch.jacrev", jacrev)


def forward() -> TorchJacobian:
    """`torch.jacfwd`: forward mode."""
    return TorchJacobian("torch.jacfwd", jacfwd)


def sigmoid_slopes(z: Array) -> Array:
    """σ′ at each z, as autograd takes it from `torch.sigmoid`."""
    points = tensor(z).requires_grad_()
    torch.sigmoid(points).sum().backward()
    assert points.grad is not None
    slopes: Array = points.grad.numpy()
    return slopes
