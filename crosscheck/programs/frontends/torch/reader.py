"""Reads a program off PyTorch while it runs: every ATen operation, after autograd and functorch.

Numbers are at hand, so integers, indices and branches are known; operations that have no row in
`OPERATORS` are followed into PyTorch's own decomposition.
"""

import os
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

import numpy as np
import torch
from torch._C import DispatchKey
from torch._decomp import decomposition_table
from torch.autograd.function import _SingleLevelFunction
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves, tree_map_only

import crosscheck
from crosscheck.arithmetic.primitives.row import Array
from crosscheck.programs.frontends.torch.operators import layers, moves, sums, windows
from crosscheck.programs.frontends.torch.operators.table import (
    DECIDED,
    FRESH,
    OPERATORS,
    Call,
    Value,
)
from crosscheck.programs.frontends.torch.storage import FORMATS, Memory, as_array
from crosscheck.programs.program import Builder, Unreadable

FAMILIES = (layers, moves, sums, windows)
"""The modules that enter rows into OPERATORS when they are imported."""

INSTEAD = "pass reference=, a composite of plain operations with the same value"
OWN = (
    os.path.dirname(torch.__file__),
    os.path.dirname(crosscheck.__file__),
    sysconfig.get_paths()["stdlib"],
    "<frozen",
    "<eval_with_key",
)
"""Files that start so asked for nothing themselves."""


OF_SHAPES = frozenset({"is_same_size", "_has_same_storage_numel"})
"""Questions whose answers no number changes."""


class AppliedFunction:
    """One call of a torch.autograd.Function, while it runs: its class, where, and its operands."""

    def __init__(self, function: type, source: str, args: Sequence[Any]) -> None:
        self.function, self.source, self.args = function, source, args


class TorchReader(TorchDispatchMode):
    """Adds what PyTorch does to `build`; `shown` has PyTorch's own numbers by value.

    `stops` is whether an operand that does not require a gradient is held constant, as autograd
    holds it: for the primal, whose derivative is taken afterwards. `paused` is whether something
    was computed under no_grad, which forward mode does not heed.
    """

    def __init__(self, build: Builder, stops: bool = False) -> None:
        super().__init__()
        self.build, self.stops = build, stops
        self.memory = Memory(build)
        self.shown: dict[int, Array] = {}
        self.calls: list[AppliedFunction] = []
        self.inside: list[AppliedFunction] = []
        self._lines: dict[int, str] = {}
        self._nested = 0
        self._steps = ""
        self.paused = False

    def input(self, tensor: torch.Tensor) -> int:
        """One more argument of the program."""
        number = self.build.input(tuple(tensor.shape), FORMATS[tensor.dtype])
        self.memory.keep(tensor, number)
        return number

    def value(self, tensor: torch.Tensor | None) -> int | None:
        """The value that a tensor has now."""
        return None if tensor is None else self.memory.read(tensor)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        with torch._C.DisableTorchFunction():
            return self._dispatched(func, args, kwargs or {})

    def _dispatched(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
        if not self._nested:
            self.build.source = self._source()
        if not any(self.memory.holds(x) for x in tensors):
            return self._made(func, args, kwargs)
        if func.is_view:
            result = func(*args, **kwargs)  # `to` and `reshape` may copy
            if all(self.memory.holds(x) for x in _outputs(result) if _floats(x)):
                return result
        if func._schema.name in DECIDED:
            return self._decided(func, args, kwargs)
        if self.stops and not self._nested and not self.inside:
            self.paused = self.paused or not torch.is_grad_enabled()
            args, kwargs = self._stopped(func, args, kwargs)
        if _writes(func):
            return self._written(func, args, kwargs)
        return self._read(func, args, kwargs)

    def _made(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Numbers that depend on no argument: data, but for a literal that has been rounded."""
        result = func(*args, **kwargs)
        value = literal(func, args, kwargs)
        if value is not None and _floats(result) and result.is_floating_point():
            format = FORMATS[result.dtype]
            number = self.build.number(value, format, literal=True)
            shape = tuple(result.shape)
            self.memory.keep(result, self.build("broadcast", number, shape=shape))
        return result

    def _read(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """An operation that makes fresh tensors."""
        name = func._schema.name.removeprefix("aten::")
        if name in FRESH:
            return self._made(func, args, kwargs)
        result = func(*args, **kwargs)
        if not any(_floats(x) for x in _outputs(result)):
            if name in OF_SHAPES or all(_is_tensor(x) and x.is_meta for x in _outputs(result)):
                return result
            self.decide(f"{name} at {self.build.source} is as at these arguments")
            return result
        row = OPERATORS.get(f"{name}.{func._overloadname}", OPERATORS.get(name))
        if row is None:
            with self._stepwise(result):
                inner = self._decomposed(func, args, kwargs)
            numbers = [self.memory.read(x) if _floats(x) else None for x in _outputs(inner)]
            return self._kept(func, result, numbers)
        given = tree_map_only(torch.Tensor, self._operand, (tuple(args), dict(kwargs)))
        call = Call(self.build, self.memory, func, args, kwargs, result)
        return self._kept(func, result, row(call, *given[0], **given[1]))

    def _decomposed(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """PyTorch's own formula for it, run under this reader."""
        formula = decomposition_table.get(func)
        if formula is None and func.has_kernel_for_dispatch_key(
            DispatchKey.CompositeImplicitAutograd
        ):
            formula = func.decompose
        if formula is None:
            formula = _registered(func)
        if formula is None:
            name = str(func).removesuffix(".default")
            raise Unreadable(f"{name} at {self.build.source} cannot be read: {INSTEAD}")
        with self._within():
            result = formula(*args, **kwargs)
        if result is NotImplemented:
            raise Unreadable(f"{func} at {self.build.source} cannot be read: {INSTEAD}")
        return result

    @contextmanager
    def _stepwise(self, result: Any) -> Iterator[None]:
        """Let every step of a decomposition round to the result's 16 bits, as some kernels do."""
        before = self._steps
        formats = {FORMATS[x.dtype] for x in _outputs(result) if _floats(x)}
        self._steps = next(iter(formats & {"bfloat16", "float16"}), before)
        try:
            yield
        finally:
            self._steps = before

    @contextmanager
    def _within(self) -> Iterator[None]:
        self._nested += 1
        try:
            with self:
                yield
        finally:
            self._nested -= 1

    def _kept(self, func: Any, result: Any, numbers: Any) -> Any:
        """Remember the results' values, each in the format that PyTorch stores it in."""
        given = numbers if isinstance(numbers, (tuple, list)) else (numbers,)
        for tensor, number in zip(_outputs(result), given, strict=False):
            if number is None or not _floats(tensor) or self.memory.holds(tensor):
                continue  # what is held already is a view that the schema does not call one
            self.memory.keep(tensor, self._fitted(tensor, number))
            self._show(tensor)
        return result

    def _show(self, tensor: torch.Tensor) -> None:
        if not self._nested and tensor.is_floating_point():
            self.shown[self.memory.read(tensor)] = as_array(tensor)

    def _fitted(self, tensor: torch.Tensor, number: int) -> int:
        shape, format = tuple(tensor.shape), FORMATS[tensor.dtype]
        if self._nested and self._steps and format == "float32":
            format = self._steps
        if self.build.format(number) != format:
            if format == "bool":
                number = self.build("ne", number, 0.0)
            else:
                number = self.build("cast", number, format=format)
        if self.build.shape(number) != shape:
            number = self.build("reshape", number, shape=shape)
        return number

    def _written(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """An operation that writes: what it would make afresh, put into its targets' memory."""
        targets = _targets(func, args, kwargs)
        fresh = _functional(func)
        if fresh is None:
            raise Unreadable(f"{func} at {self.build.source} cannot be read: {INSTEAD}")
        names = {argument.name for argument in fresh._schema.arguments}
        inner = {name: x for name, x in kwargs.items() if name in names}
        self._nested += 1
        try:
            made = self._read(fresh, args, inner)
        finally:
            self._nested -= 1
        numbers = [
            self._fitted(target, self.memory.read(tensor)) if _floats(tensor) else None
            for target, tensor in zip(targets, _outputs(made), strict=False)
        ]
        for target, number in zip(targets, numbers, strict=False):
            if number is not None:
                self.memory.write(target, number)
        result = func(*args, **kwargs)
        for target in targets:
            if self.memory.holds(target):
                self._show(target)
        return result

    def _operand(self, tensor: torch.Tensor) -> Any:
        """A value for numbers and booleans of the program; what is data is left as it is."""
        if tensor.is_complex():
            raise Unreadable(f"complex numbers at {self.build.source} cannot be read yet")
        if _floats(tensor):
            return Value(self.memory.read(tensor))
        return tensor

    def _decided(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """A number that became Python's, or an order: the program holds at this point only."""
        if self.inside and func._schema.name == "aten::_local_scalar_dense":
            name = self.inside[-1].function.__name__
            raise Unreadable(
                f"{name} turns a tensor into a number of Python at {self.build.source}, and what "
                f"it computes from that cannot be followed: {INSTEAD}"
            )
        result = func(*args, **kwargs)
        name = func._schema.name.removeprefix("aten::").lstrip("_")
        self.decide(f"{name} at {self.build.source} is as at these arguments")
        return result

    def decide(self, sentence: str) -> None:
        if sentence not in self.build.holds:
            self.build.holds.append(sentence)

    def _stopped(
        self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[Sequence[Any], Mapping[str, Any]]:
        """What autograd holds constant: operands that came of detach, .data or no_grad."""
        writes = {id(x) for x in _targets(func, args, kwargs)}

        def stopped(x: torch.Tensor) -> torch.Tensor:
            if x.requires_grad or not x.is_floating_point() or not self.memory.holds(x):
                return x
            number = self.build("stop", self.memory.read(x))
            if id(x) in writes:
                self.memory.write(x, number)
                return x
            copy = x.clone()
            self.memory.keep(copy, number)
            return copy

        held: tuple[Any, Any] = tree_map_only(torch.Tensor, stopped, (tuple(args), dict(kwargs)))
        return held

    def _source(self) -> str:
        """The user's line that asked for this; in a backward pass the line of its forward."""
        node = torch._C._current_autograd_node()
        if node is None:
            line = _line()
            if line:
                self._lines.setdefault(torch.autograd._get_sequence_nr() - 1, line)
            return line
        return _line("_engine_run_backward") or self._lines.get(node._sequence_nr(), "") or _line()

    def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """The function under this reader, with calls of autograd.Function seen."""
        with _hooked(self), Leaving(self), self:
            return function(*args)


LEAVING = frozenset({"numpy", "__array__", "tolist", "data_ptr", "__dlpack__"})
"""Methods by which numbers leave PyTorch."""


class Leaving(TorchFunctionMode):
    """Refuses numbers that leave PyTorch where something is computed of them and comes back."""

    def __init__(self, reader: TorchReader) -> None:
        super().__init__()
        self.reader = reader

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        name = getattr(func, "__name__", "")
        if name in LEAVING and args and _floats(args[0]) and self.reader.memory.holds(args[0]):
            self._leaves(name)
        return func(*args, **(kwargs or {}))

    def _leaves(self, name: str) -> None:
        line = _line()
        if self.reader.inside or _in_backward() or name == "data_ptr":
            raise Unreadable(
                f"{name}() at {line} takes numbers out of PyTorch, and what is computed of them "
                f"cannot be followed: {INSTEAD}"
            )
        self.reader.decide(f"{name}() at {line} gives numbers as at these arguments")


@contextmanager
def _hooked(reader: TorchReader) -> Iterator[None]:
    """See each call of a torch.autograd.Function, also of an `apply` that was bound before."""
    plain = _SingleLevelFunction.__dict__.get("apply")

    def apply(cls: Any, *args: Any, **kwargs: Any) -> Any:
        call = AppliedFunction(cls, _line(), args)
        if not reader.inside and not reader._nested and not _in_backward():
            call.args = [_copied(x) for x in args]
            reader.calls.append(call)
            args = tuple(_entered(reader, x) for x in args)
        reader.inside.append(call)
        try:
            result = super(_SingleLevelFunction, cls).apply(*args, **kwargs)
        finally:
            reader.inside.pop()
        _followed(reader, call, args, result)
        return result

    _SingleLevelFunction.apply = classmethod(apply)
    try:
        yield
    finally:
        if plain is None:
            del _SingleLevelFunction.apply
        else:
            _SingleLevelFunction.apply = plain


def _copied(x: Any) -> Any:
    """An operand as it is now, and whether it requires a gradient."""
    if not _is_tensor(x):
        return x
    requires = x.requires_grad and torch.is_grad_enabled()
    with _disable_current_modes():
        return x.detach().clone().requires_grad_(requires)


def _entered(reader: TorchReader, x: Any) -> Any:
    """An operand of an autograd.Function, held constant where autograd would hold it so."""
    if not reader.stops or not _is_tensor(x) or x.requires_grad or not x.is_floating_point():
        return x
    if not reader.memory.holds(x):
        return x
    copy = x.clone()
    reader.memory.keep(copy, reader.build("stop", reader.memory.read(x)))
    return copy


def _followed(reader: TorchReader, call: AppliedFunction, args: Sequence[Any], result: Any) -> None:
    """Raises Unreadable where what a Function returns did not come of PyTorch's operations."""
    if not any(_floats(x) and reader.memory.holds(x) for x in args):
        return
    for x in _outputs(result):
        if _floats(x) and x.is_floating_point() and x.requires_grad and not reader.memory.holds(x):
            raise Unreadable(
                f"{call.function.__name__} at {call.source} computes outside PyTorch's "
                f"operations: {INSTEAD}"
            )


def _in_backward() -> bool:
    return torch._C._current_autograd_node() is not None


def _frames() -> Iterator[Any]:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back


def _line(until: str = "") -> str:
    """file:line of the first frame outside PyTorch and this reader, before a function `until`."""
    for frame in _frames():
        name = frame.f_code.co_filename
        if until and frame.f_code.co_name == until:
            return ""
        if not name.startswith(OWN) or ("site-packages" in name and not name.startswith(OWN[:2])):
            return f"{name}:{frame.f_lineno}"
    return ""


def _is_tensor(x: Any) -> bool:
    return isinstance(x, torch.Tensor)


LITERALS = {
    "full": 1,
    "scalar_tensor": 0,
    "full_like": 1,
    "_to_copy": 0,
    "new_full": 2,
    "fill_": 1,
    "fill": 1,
}
"""What makes a tensor of one number, and which argument the number is; vmap copies a number."""


def literal(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> float | None:
    """The number that this fills a tensor with, if it needs more bits than were meant to be."""
    name = func._schema.name.removeprefix("aten::")
    place = LITERALS.get(name, len(args))
    value: Any = args[place] if place < len(args) else None
    if name == "_to_copy" and _is_tensor(value):
        value = value.item() if value.ndim == 0 and value.is_floating_point() else None
    if not isinstance(value, float) or not np.isfinite(value) or (value * 1024).is_integer():
        return None
    return value


def _floats(x: Any) -> bool:
    return isinstance(x, torch.Tensor) and x.dtype in FORMATS and not x.is_meta


def _outputs(result: Any) -> list[Any]:
    return list(result) if isinstance(result, (tuple, list)) else [result]


def _writes(func: Any) -> bool:
    """Whether it writes into its arguments, other than into statistics that are its own."""
    name = func._schema.name.removeprefix("aten::")
    return name not in OPERATORS and any(a.is_write for a in func._schema.arguments)


def _targets(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[torch.Tensor]:
    """What an operation writes into."""
    written = []
    for place, argument in enumerate(func._schema.arguments):
        if argument.is_write:
            target = args[place] if place < len(args) else kwargs.get(argument.name)
            written += [x for x in tree_leaves(target) if _is_tensor(x)]
    return written


def _functional(func: Any) -> Any:
    """The operation that makes afresh what this one writes."""
    base = func._schema.name.removeprefix("aten::")
    name = base.removesuffix("_") if not base.endswith("__") else base
    name = {"fill": "fill", "zero": "zeros_like"}.get(name, name)
    packet = getattr(torch.ops.aten, name, None)
    if packet is None:
        return None
    wanted = [str(a.type) for a in func._schema.arguments if not a.is_out]
    variants = [getattr(packet, overload) for overload in packet.overloads()]
    variants = [v for v in variants if not any(a.is_write for a in v._schema.arguments)]
    for variant in variants:
        if [str(a.type) for a in variant._schema.arguments][: len(wanted)] == wanted:
            return variant
    return None


def _registered(func: Any) -> Callable[..., Any] | None:
    """The Python body of a torch.library.custom_op."""
    from torch._library.custom_ops import OPDEFS

    definition = OPDEFS.get(func._schema.name)
    return None if definition is None else definition._init_fn
