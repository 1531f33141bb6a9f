"""The ways in which PyTorch differentiates: functions of inputs and cotangents (or tangents)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch

from crosscheck.programs.program import Unreadable

Pair = tuple[Sequence[torch.Tensor], Sequence[torch.Tensor]]
"""Values, and their derivatives."""


class Mode(NamedTuple):
    """`run(subject, inputs, given)`; `forward` where what is given are tangents."""

    run: Callable[[Any, Sequence[torch.Tensor], Sequence[torch.Tensor]], Pair]
    forward: bool = False


def _of_some(subject: Any, inputs: Sequence[torch.Tensor]) -> Callable[..., list[torch.Tensor]]:
    """The floating values as a function of those inputs that are differentiated."""

    def function(*chosen: torch.Tensor) -> list[torch.Tensor]:
        tensors = list(inputs)
        for place, tensor in zip(subject.wrt, chosen, strict=True):
            tensors[place] = tensor
        floating: list[torch.Tensor] = subject.floating(subject.call(tensors))
        return floating

    return function


def leaves(subject: Any, inputs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """The inputs that are differentiated, made to require a gradient."""
    return [inputs[place].requires_grad_(True) for place in subject.wrt]


def pulled(
    values: Sequence[torch.Tensor], chosen: Sequence[torch.Tensor],
    cotangents: Sequence[torch.Tensor | None], **kwargs: Any,
) -> list[torch.Tensor]:  # fmt: skip
    """torch.autograd.grad, with 0 for None."""
    pairs = [
        (v, c) for v, c in zip(values, cotangents, strict=True) if v.requires_grad and c is not None
    ]
    if not pairs:
        return [torch.zeros_like(x) for x in chosen]
    gradients = torch.autograd.grad(
        [v for v, _ in pairs], chosen, [c for _, c in pairs], allow_unused=True, **kwargs
    )
    return [torch.zeros_like(x) if g is None else g for x, g in zip(chosen, gradients, strict=True)]


def backward(subject: Any, inputs: Any, cotangents: Any) -> Pair:
    """torch.autograd.grad."""
    chosen = leaves(subject, inputs)
    values = subject.floating(subject.call(inputs))
    return values, pulled(values, chosen, cotangents)


def func(subject: Any, inputs: Any, cotangents: Any) -> Pair:
    """torch.func.vjp."""
    chosen = [inputs[place] for place in subject.wrt]
    values, pull = torch.func.vjp(_of_some(subject, inputs), *chosen)
    return values, list(pull(list(cotangents)))


def forward(subject: Any, inputs: Any, tangents: Any) -> Pair:
    """torch.func.jvp."""
    chosen = tuple(inputs[place] for place in subject.wrt)
    return torch.func.jvp(_of_some(subject, inputs), chosen, tuple(tangents))


def vmap(subject: Any, inputs: Any, cotangents: Any) -> Pair:
    """torch.func.vjp under torch.vmap, for the arguments beside themselves with -2 cotangents."""
    chosen = [inputs[place] for place in subject.wrt]

    def pull(points: Any, given: Any) -> Any:
        values, back = torch.func.vjp(_of_some(subject, inputs), *points)
        return values, list(back(given))

    points = [torch.stack([x, x]) for x in chosen]
    given = [torch.stack([c, -2 * c]) for c in cotangents]
    values, gradients = torch.func.vmap(pull, randomness="same")(points, given)
    return [x[0] for x in values], [x[0] for x in gradients]


def compiled(subject: Any, inputs: Any, cotangents: Any) -> Pair:
    """torch.autograd.grad of the compiled function."""
    chosen = leaves(subject, inputs)
    function = torch.compile(lambda *tensors: subject.floating(subject.call(tensors)))
    values = list(function(*inputs))
    return values, pulled(values, chosen, cotangents)


def given(subject: Any, inputs: Any, cotangents: Any) -> Pair:
    """The user's own gradient function."""
    values = subject.floating(subject.call(inputs))
    return values, subject.called_gradient(inputs, cotangents)


MODES: Mapping[str, Mode] = {
    "backward": Mode(backward),
    "func": Mode(func),
    "forward": Mode(forward, True),
    "vmap": Mode(vmap),
    "compile": Mode(compiled),
    "gradient": Mode(given),
}
"""By name; the first is the plainest."""

DEFAULT = ("backward", "func", "forward", "vmap")
"""Those that are tried where nothing else is asked for."""

ABSENT = ("setup_context", "vmap", "forward AD", "forward mode", "jvp", "functorch", "torch.func")
"""Words of PyTorch's errors where a mode does not apply to a function."""


def applicable(subject: Any) -> list[str]:
    """The modes that PyTorch has for this function; whether it compiles shows when it is asked."""
    if subject.gradient is not None:
        return ["gradient"]
    return ["backward", *(name for name in DEFAULT[1:] if _applies(subject, name)), "compile"]


def _applies(subject: Any, name: str) -> bool:
    from crosscheck.programs.frontends.torch.subject import preserved

    if name == "forward" and _pauses(subject):
        return False
    inputs = subject.fresh()
    like = [inputs[x] for x in subject.wrt]
    try:
        with preserved():
            if not MODES[name].forward:
                like = [torch.empty(leaf.shape) for leaf in subject.outputs]
                like = [
                    x.to(v.dtype)
                    for x, v in zip(like, subject.floating(subject.call(inputs)), strict=True)
                ]
            MODES[name].run(subject, inputs, [torch.ones_like(x) for x in like])
    except (RuntimeError, NotImplementedError, ValueError, TypeError) as error:
        return not any(word in str(error) for word in ABSENT)
    return True


def _pauses(subject: Any) -> bool:
    """Forward mode goes through no_grad, so that there it means another derivative."""
    try:
        return bool(subject.pauses)
    except Unreadable:
        return False
