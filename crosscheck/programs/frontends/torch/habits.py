"""What a checker of gradients forgets to do as users do: cotangents and arguments of other layouts.

A row runs the function in one such way, on the cotangents that `cotangents.OF_HABIT` makes, and
returns its numbers; they are held to the programs at these cotangents, as those of a mode are.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import torch

from crosscheck.programs.frontends.torch.modes import Pair, leaves, pulled
from crosscheck.programs.frontends.torch.subject import TorchSubject

Tensors = Sequence[torch.Tensor]

Habit = Callable[[TorchSubject, Tensors, Tensors], Pair]
"""`run(subject, inputs, cotangents)`."""

REFUSED = frozenset({"non-contiguous arguments"})
"""Where a function may well refuse, as long as it says so."""


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
    with torch.no_grad(), suppress(Exception):  # other arguments may be none of its own
        subject.call([x.detach() + 1 for x in inputs])
    return values, pulled(values, chosen, cotangents)


HABITS: Mapping[str, Habit] = {
    "strided cotangents": _strided_cotangents,
    "expanded cotangents": _expanded_cotangents,
    "zero cotangents": _backward,
    "the first result alone": _one_result,
    "non-contiguous arguments": _strided_arguments,
    "called again": _called_again,
    "another call before backward": _interleaved,
    "backward again": _backward_again,
}
"""By name, in the order in which they are run."""


def applicable(subject: TorchSubject) -> list[str]:
    """Those that are something else than a plain backward for this function."""
    if subject.gradient is not None:
        return []
    left_out = set[str]()
    if len(subject.outputs) == 1:
        left_out.add("the first result alone")
        if subject.outputs[0].shape == ():
            left_out |= {"strided cotangents", "expanded cotangents"}
    if all(leaf.shape == () for leaf in subject.inputs):
        left_out.add("non-contiguous arguments")
    return [name for name in HABITS if name not in left_out]
