"""The torch.autograd.Functions that a function calls, each on trial by itself."""

import inspect
from collections.abc import Sequence
from typing import Any

import torch

from crosscheck.programs.frontends.subject import CustomRule
from crosscheck.programs.frontends.torch.modes import pulled
from crosscheck.programs.frontends.torch.reader import AppliedFunction, TorchReader
from crosscheck.programs.frontends.torch.storage import as_array
from crosscheck.programs.program import Builder, Program, Unreadable

CALLS = 16
"""How many calls of one Function, as in a loop over steps, are looked at by themselves."""


def custom_rules(subject: Any) -> list[CustomRule]:
    """Those whose operands require a gradient, in the order of their calls.

    One that cannot be read by itself is left out.
    """
    from crosscheck.programs.frontends.torch.subject import plain_kernels, preserved

    rules, seen = [], dict[type, int]()
    for call in subject.calls:
        seen[call.function] = seen.get(call.function, 0) + 1
        if seen[call.function] > CALLS or not _differentiated(call):
            continue
        with preserved(), plain_kernels(torch):
            try:
                rules.append(_rule(call))
            except Unreadable:
                continue
    return rules


def _differentiated(call: AppliedFunction) -> list[int]:
    """The places of the operands that require a gradient."""
    return [
        place
        for place, x in enumerate(call.args)
        if isinstance(x, torch.Tensor) and x.requires_grad and x.is_floating_point()
    ]


def _rule(call: AppliedFunction) -> CustomRule:
    places = _differentiated(call)
    inputs = tuple(as_array(call.args[place]) for place in places)
    return CustomRule(
        call.function.__name__,
        call.source,
        _program(call, places, False),
        _program(call, places, True),
        inputs,
        written=written(call.function),
    )


def _program(call: AppliedFunction, places: Sequence[int], differentiated: bool) -> Program:
    """What the Function computes, or with what its backward says of it."""
    reader = TorchReader(Builder(), stops=not differentiated)
    args = [x.detach().clone() if isinstance(x, torch.Tensor) else x for x in call.args]
    chosen = [args[place].requires_grad_(True) for place in places]
    for tensor in chosen:
        reader.input(tensor)
    results = _floating(reader.run(call.function.apply, *args))  # type: ignore[attr-defined]
    if differentiated:
        cotangents = [torch.ones_like(x.detach()) for x in results]
        for tensor in cotangents:
            reader.input(tensor)
        results = [*results, *reader.run(pulled, results, chosen, cotangents)]
    return reader.build.program([reader.memory.read(x) for x in results])


def _floating(value: Any) -> list[torch.Tensor]:
    leaves = value if isinstance(value, tuple) else (value,)
    return [x for x in leaves if isinstance(x, torch.Tensor) and x.is_floating_point()]


def written(function: Any) -> str:
    """file:line of the backward of an autograd.Function, or ""."""
    method = function.vjp if _overrides(function, "vjp") else function.backward
    code = getattr(inspect.unwrap(method), "__code__", None)
    return "" if code is None else f"{code.co_filename}:{code.co_firstlineno}"


def _overrides(function: Any, name: str) -> bool:
    return getattr(function, name) is not getattr(torch.autograd.Function, name)
