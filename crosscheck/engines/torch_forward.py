"""PyTorch in forward mode: one tangent a parameter, carried from the inputs to the cost."""

from typing import Any

import torch
from torch.nn import functional

from crosscheck.arithmetic.activations import torch_function
from crosscheck.arithmetic.costs import COSTS
from crosscheck.arithmetic.promise import Arithmetic
from crosscheck.engines.torch import numpy, tensor
from crosscheck.networks.network import Architecture, Case, Gradients

DTYPES = ("float64", "float32")
MOST_PARAMETERS = 2000
"""Forward mode costs a pass a parameter, and holds all tangents at once."""


class Forward:
    """`torch.forward`: `torch.func.jacfwd` of the cost by every weight and bias."""

    name = "torch.forward"

    def supports(self, architecture: Architecture, dtype: str) -> bool:
        return dtype in DTYPES and architecture.parameters <= MOST_PARAMETERS

    def arithmetic(self, dtype: str) -> Arithmetic:
        return Arithmetic(dtype, "forward")

    def gradients(self, case: Case) -> Gradients:
        inputs, targets = tensor(case.inputs), tensor(case.targets)

        def cost(weights: Any, biases: Any) -> tuple[torch.Tensor, torch.Tensor]:
            a = inputs
            for w, b, name in zip(weights, biases, case.architecture.activations, strict=True):
                a = torch_function(name)(functional.linear(a, w.t(), b))
            value = COSTS[case.architecture.cost].torch(a, targets)
            return value, value

        parameters = [tensor(w) for w in case.weights], [tensor(b) for b in case.biases]
        jacobian = torch.func.jacfwd(cost, argnums=(0, 1), has_aux=True)
        (weights, biases), value = jacobian(*parameters)
        return Gradients(value.item(), [numpy(w) for w in weights], [numpy(b) for b in biases])


def forward() -> Forward:
    """The engine `torch.forward`."""
    return Forward()
