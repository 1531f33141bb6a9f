"""PyTorch autograd: the network in torch's own terms, and `backward`."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch.nn import functional

from crosscheck.values import Architecture, Arithmetic, Array, Case, Gradients

ACTIVATIONS: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "sigmoid": torch.sigmoid,
    "identity": lambda z: z,
    "tanh": torch.tanh,
    "relu": functional.relu,
}
COSTS: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "squared_error": lambda squares: squares.sum(dim=1).mean(),
    "half_squared_error": lambda squares: squares.sum(dim=1).mean() / 2,
    "sum_squared_error": lambda squares: squares.sum(),
    "mean_squared_error": lambda squares: squares.mean(),
}
DTYPES = {"float64": torch.float64, "float32": torch.float32}


def tensor(array: Array) -> torch.Tensor:
    """A torch tensor with the same numbers, in memory of its own."""
    return torch.from_numpy(np.array(array))


class Backward:
    """`torch.backward`: `linear` layers, and reverse mode by `Tensor.backward`."""

    name = "torch.backward"

    def supports(self, architecture: Architecture, dtype: str) -> bool:
        return dtype in DTYPES

    def arithmetic(self, dtype: str) -> Arithmetic:
        return Arithmetic(dtype)

    def gradients(self, case: Case) -> Gradients:
        weights = [tensor(w).requires_grad_() for w in case.weights]
        biases = [tensor(b).requires_grad_() for b in case.biases]
        a = tensor(case.inputs)
        for w, b, activation in zip(weights, biases, case.architecture.activations, strict=True):
            a = ACTIVATIONS[activation](functional.linear(a, w.t(), b))
        cost = COSTS[case.architecture.cost]((a - tensor(case.targets)).square())
        cost.backward()
        return Gradients(cost.item(), [_grad(w) for w in weights], [_grad(b) for b in biases])


def _grad(parameter: torch.Tensor) -> Array:
    assert parameter.grad is not None
    return parameter.grad.numpy()


def backward() -> Backward:
    """The engine `torch.backward`."""
    return Backward()
