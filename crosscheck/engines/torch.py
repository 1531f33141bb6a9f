"""PyTorch autograd: the network in torch's own terms, `backward`, and forward mode."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from crosscheck.arithmetic.activations import torch_function
from crosscheck.arithmetic.costs import COSTS
from crosscheck.arithmetic.formats import FORMATS
from crosscheck.arithmetic.promise import Arithmetic
from crosscheck.networks.network import Architecture, Array, Case, Gradients

DTYPES = ("float64", "float32", "float16", "bfloat16")
FLUSHED = ("bfloat16",)
"""Formats whose subnormals are read as zero: in larger products, by instructions for bfloat16
(VDPBF16PS: Intel, *Architecture Instruction Set Extensions*), where a processor has them."""

BATCH = 16
"""Networks whose graphs are held at a time; each call of `backward` costs some 15 µs by itself."""


def tensor(array: Array) -> torch.Tensor:
    """A torch tensor with the same numbers, in memory of its own; bfloat16 goes by its bits."""
    own = array.copy(order="K")
    if array.dtype == FORMATS["bfloat16"].numpy:
        return torch.from_numpy(own.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(own)


def leaf(array: Array) -> torch.Tensor:
    """A tensor with the same numbers that `backward` gives a gradient; weights are transposed.

    So `linear` takes them as they are, and the graph needs no transposition of each.
    """
    return tensor(array.T).requires_grad_()


def gradient(of: torch.Tensor) -> Array:
    """What `backward` left at a leaf, in the shape of the array that it was made of."""
    return numpy(of.grad).T


def numpy(of: torch.Tensor | None) -> Array:
    """The numbers of a tensor as a NumPy array of the same type."""
    assert of is not None
    if of.dtype == torch.bfloat16:
        return of.detach().view(torch.int16).numpy().view(FORMATS["bfloat16"].numpy)
    return of.numpy() if not of.requires_grad else of.detach().numpy()


@dataclass(frozen=True)
class EvaluatedGraph:
    """A network that `backward` gives the gradients of: its leaves, and z^l, a^l, l = 2 … N."""

    cost: torch.Tensor
    weights: list[torch.Tensor]
    biases: list[torch.Tensor]
    z: list[torch.Tensor]
    activations: list[torch.Tensor]


class Backward:
    """`torch.backward`: `linear` layers, and reverse mode by `Tensor.backward`."""

    name = "torch.backward"

    def supports(self, architecture: Architecture, dtype: str) -> bool:
        return dtype in DTYPES

    def arithmetic(self, dtype: str) -> Arithmetic:
        return Arithmetic(dtype, flushes=dtype in FLUSHED)

    def gradients(self, case: Case) -> Gradients:
        return self._together([case])[0]

    def gradients_of(self, cases: Sequence[Case]) -> list[Gradients]:
        """The gradients of each case; some graphs that share nothing are gone through in turn."""
        batches = (cases[begin : begin + BATCH] for begin in range(0, len(cases), BATCH))
        return [gradients for batch in batches for gradients in self._together(batch)]

    def _together(self, cases: Sequence[Case]) -> list[Gradients]:
        done = [self._evaluate(case) for case in cases]
        torch.autograd.backward([of.cost for of in done])
        return [
            Gradients(
                of.cost.item(),
                [gradient(w) for w in of.weights],
                [gradient(b) for b in of.biases] if case.architecture.with_biases else [],
            )
            for case, of in zip(cases, done, strict=True)
        ]

    def stages(self, case: Case) -> dict[str, Array]:
        """z^l, a^l and, by retained gradients, G^l = ∂cost/∂a^l and δ^l = ∂cost/∂z^l ("d")."""
        done = self._evaluate(case, retain=True)
        done.cost.backward()
        shown: dict[str, Array] = {}
        layers = zip(done.z, done.activations, done.weights, done.biases, strict=True)
        for layer, (z, a, w, b) in enumerate(layers, start=2):
            shown |= {f"z{layer}": numpy(z), f"a{layer}": numpy(a)}
            shown |= {f"d{layer}": numpy(z.grad), f"G{layer}": numpy(a.grad)}
            shown |= {f"w{layer}": gradient(w), f"b{layer}": gradient(b)}
        return shown

    def _evaluate(self, case: Case, retain: bool = False) -> EvaluatedGraph:
        weights, biases = ([leaf(x) for x in of] for of in (case.weights, case.biases))
        a, zs, activations = tensor(case.inputs), [], []
        for w, b, activation in zip(weights, biases, case.architecture.activations, strict=True):
            zs.append(functional.linear(a, w, b))
            a = torch_function(activation)(zs[-1])
            activations.append(a)
            if retain:
                zs[-1].retain_grad()
                a.retain_grad()
        cost = COSTS[case.architecture.cost]
        value = cost.torch(zs[-1] if cost.of_logits else a, tensor(case.targets))
        for penalized in _penalized(case.architecture, weights, biases):
            value = value + case.architecture.l2 / 2 * penalized.square().sum()
        return EvaluatedGraph(value, weights, biases, zs, activations)


def _penalized(
    architecture: Architecture, weights: list[torch.Tensor], biases: list[torch.Tensor]
) -> list[torch.Tensor]:
    """The parameters in the penalty."""
    if not architecture.l2:
        return []
    return weights + (biases if architecture.l2_biases else [])


def backward() -> Backward:
    """The engine `torch.backward`."""
    return Backward()


Tensors = list[torch.Tensor]

FORWARD_DTYPES = ("float64", "float32")
MOST_PARAMETERS = 2000
"""Forward mode costs a pass a parameter, and holds all tangents at once."""


class TorchForward:
    """`torch.forward`: `torch.func.jacfwd` of the cost by every weight and bias."""

    name = "torch.forward"

    def supports(self, architecture: Architecture, dtype: str) -> bool:
        small = architecture.parameters <= MOST_PARAMETERS
        return dtype in FORWARD_DTYPES and architecture.quick and small

    def arithmetic(self, dtype: str) -> Arithmetic:
        return Arithmetic(dtype, "forward")

    def gradients(self, case: Case) -> Gradients:
        inputs, targets = tensor(case.inputs), tensor(case.targets)

        def cost(weights: Tensors, biases: Tensors) -> tuple[torch.Tensor, torch.Tensor]:
            a = inputs
            for w, b, name in zip(weights, biases, case.architecture.activations, strict=True):
                a = torch_function(name)(functional.linear(a, w.t(), b))
            value = COSTS[case.architecture.cost].torch(a, targets)
            return value, value

        parameters = [tensor(w) for w in case.weights], [tensor(b) for b in case.biases]
        jacobian = torch.func.jacfwd(cost, argnums=(0, 1), has_aux=True)
        (weights, biases), value = jacobian(*parameters)
        return Gradients(value.item(), [numpy(w) for w in weights], [numpy(b) for b in biases])


def forward() -> TorchForward:
    """The engine `torch.forward`."""
    return TorchForward()
