"""What a checker of gradients forgets to do as users do: cotangents and arguments of other layouts.

A row runs the function in one such way, on cotangents made by `given`, and returns its numbers;
they are held to the programs at these cotangents, as those of a mode are.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from crosscheck.arithmetic.primitives.row import Array
from crosscheck.programs.frontends.subject import Numbers
from crosscheck.programs.frontends.torch.modes import Pair, leaves, pulled
from crosscheck.programs.frontends.torch.storage import as_array, as_tensor
from crosscheck.programs.frontends.torch.subject import TorchSubject, preserved

Tensors = Sequence[torch.Tensor]


class Habit(NamedTuple):
    """`run(subject, inputs, cotangents)`, with cotangents as `given` makes them."""

    run: Callable[[TorchSubject, Tensors, Tensors], Pair]
    given: Callable[[Sequence[Array]], list[Array]] = list


def strided(x: torch.Tensor) -> torch.Tensor:
    """The same numbers, every other entry of a larger tensor, not contiguous."""
    wide = torch.full((*x.shape, 2), float("nan"), dtype=x.dtype)
    wide[..., 0] = x.detach()
    return wide[..., 0]


def _backward(subject: TorchSubject, inputs: Tensors, cotangents: Tensors, **kwargs: Any) -> Pair:
    chosen = leaves(subject, inputs)
    values = subject.floating(subject.call(inputs))
    return values, pulled(values, chosen, cotangents, **kwargs)


def _strided_cotangents(subject: TorchSubject, inputs: Tensors, cotangents: Tensors) -> Pair:
    return _backward(subject, inputs, [strided(c) for c in cotangents])


def _expanded_cotangents(subject: TorchSubject, inputs: Tensors, cotangents: Tensors) -> Pair:
    once = [c.reshape(-1)[:1].reshape(()) if c.numel() else c for c in cotangents]
    return _backward(
        subject, inputs, [o.expand(c.shape) for o, c in zip(once, cotangents, strict=True)]
    )


def _one_number(cotangents: Sequence[Array]) -> list[Array]:
    """Each cotangent's first entry everywhere, as that of a sum has it."""
    return [np.full_like(c, c.reshape(-1)[0]) if c.size else c for c in cotangents]


def _zeros(cotangents: Sequence[Array]) -> list[Array]:
    return [np.zeros_like(c) for c in cotangents]


def _first_alone(cotangents: Sequence[Array]) -> list[Array]:
    """What came of the first result alone: autograd gives None for the others."""
    return [c if place == 0 else np.zeros_like(c) for place, c in enumerate(cotangents)]


def _one_result(subject: TorchSubject, inputs: Tensors, cotangents: Tensors) -> Pair:
    chosen = leaves(subject, inputs)
    values = subject.floating(subject.call(inputs))
    return values, pulled(values, chosen, [cotangents[0], *[None] * (len(values) - 1)])


def _strided_arguments(subject: TorchSubject, inputs: Tensors, cotangents: Tensors) -> Pair:
    return _backward(subject, [strided(x) for x in inputs], cotangents)


def _called_again(subject: TorchSubject, inputs: Tensors, cotangents: Tensors) -> Pair:
    """The second of two calls in a row: nothing of the first may be left."""
    _backward(subject, [x.clone() for x in inputs], [c.clone() for c in cotangents])
    return _backward(subject, inputs, cotangents)


def _backward_again(subject: TorchSubject, inputs: Tensors, cotangents: Tensors) -> Pair:
    """The second backward through one graph: what was saved may not be overwritten."""
    chosen = leaves(subject, inputs)
    values = subject.floating(subject.call(inputs))
    pulled(values, chosen, cotangents, retain_graph=True)
    return values, pulled(values, chosen, cotangents)


def _interleaved(subject: TorchSubject, inputs: Tensors, cotangents: Tensors) -> Pair:
    """Another call between forward and backward: what is saved belongs to its own call."""
    chosen = leaves(subject, inputs)
    values = subject.floating(subject.call(inputs))
    with torch.no_grad():
        subject.call([x.detach() + 1 for x in inputs])
    return values, pulled(values, chosen, cotangents)


HABITS: Mapping[str, Habit] = {
    "strided cotangents": Habit(_strided_cotangents),
    "expanded cotangents": Habit(_expanded_cotangents, _one_number),
    "zero cotangents": Habit(_backward, _zeros),
    "the first result alone": Habit(_one_result, _first_alone),
    "non-contiguous arguments": Habit(_strided_arguments),
    "called again": Habit(_called_again),
    "another call before backward": Habit(_interleaved),
    "backward again": Habit(_backward_again),
}
"""By name, in the order in which they are run."""


def numbers(
    subject: TorchSubject, name: str, given: Sequence[Array]
) -> tuple[list[Array], Numbers]:
    """The cotangents of a row, and what PyTorch computes of them in its way."""
    habit = HABITS[name]
    cotangents = habit.given(given)
    with preserved():
        values, derivatives = habit.run(
            subject, subject.fresh(), [as_tensor(x) for x in cotangents]
        )
    computed = Numbers(tuple(as_array(x) for x in values), tuple(as_array(x) for x in derivatives))
    return cotangents, computed
