"""PyTorch on many architectures at once: padded networks, and `torch.func` over all of them.

What is differentiated is the function of `torch_autograd`. Nothing is compiled, so each depth is
a size of its own. torch promises nothing of how a batch of products is formed, but no bit of one
was seen to depend on the others, and a test looks.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch.func import grad_and_value, vmap

from crosscheck.arithmetic import Arithmetic
from crosscheck.engines import padding
from crosscheck.engines.padding import Packed, Size
from crosscheck.engines.torch_autograd import ACTIVATIONS
from crosscheck.values import Architecture, Case, Gradients

DTYPES = ("float64", "float32")

BATCH = 256
"""Networks of the least width in one call: a call costs some two milliseconds by itself."""


def size_of(case: Case) -> Size:
    """The size of a case's batch: of no other depth."""
    return padding.size_of(case, case.architecture.layers - 1)


@lru_cache
def program(activations: tuple[str, ...]) -> Callable[..., Any]:
    """A batch to ((weight, bias gradients), cost)."""

    def cost(parameters: tuple[torch.Tensor, torch.Tensor], net: Packed) -> torch.Tensor:
        a = net.inputs
        for w, b, kind in zip(*(of.unbind(0) for of in (*parameters, net.kind)), strict=True):
            z = a @ w + b
            for place, name in enumerate(activations, start=1):
                a = torch.where(kind == place, ACTIVATIONS[name](z), a)
        residual = torch.where(net.counted, a - net.targets, 0)
        scaled: torch.Tensor = residual.square().sum() * net.scale
        return scaled

    return vmap(grad_and_value(cost))


class PackedGrad:
    """`torch.packed`: `torch.func.grad` of many architectures in one call, by `vmap`."""

    name = "torch.packed"

    def supports(self, architecture: Architecture, dtype: str) -> bool:
        return dtype in DTYPES

    def arithmetic(self, dtype: str) -> Arithmetic:
        return Arithmetic(dtype)

    def gradients(self, case: Case) -> Gradients:
        return self.gradients_of([case])[0]

    def gradients_of(self, cases: Sequence[Case]) -> list[Gradients]:
        """The gradients of each case."""
        return padding.by_batch(cases, size_of, BATCH, _run)


def _run(cases: Sequence[Case], size: Size) -> list[Gradients]:
    """One call for cases of one size."""
    net = Packed(*map(torch.from_numpy, padding.pack(cases, size, len(cases))))
    (weights, biases), values = program(size.activations)((net.weights, net.biases), net)
    of_weights, of_biases = weights.numpy(), biases.numpy()
    return [
        padding.unpack(case, values[i], of_weights[i], of_biases[i]) for i, case in enumerate(cases)
    ]


def packed() -> PackedGrad:
    """The engine `torch.packed`."""
    return PackedGrad()
