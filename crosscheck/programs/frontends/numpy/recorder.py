"""Writes down what NumPy is asked to do, as operations of a program, with the numbers it gave."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from types import FrameType
from typing import Any, NoReturn

import numpy as np
import scipy

import crosscheck
from crosscheck.arithmetic.primitives.row import Array
from crosscheck.programs.program import FLOATS, Builder, Unreadable

OURS = tuple(
    os.path.dirname(os.path.abspath(str(module.__file__))) + os.sep
    for module in (np, scipy, crosscheck)
)
"""Where code is not the user's, beside HIPS autograd."""

ENTRY = os.path.join(OURS[2], "programs", "frontends", "numpy", "subject.py")
"""Who called the user's code: above it no frame is the user's any more."""

AUTOGRAD = f"{os.sep}site-packages{os.sep}autograd{os.sep}"


def user_line() -> str:
    """file:line of the first frame outside NumPy, SciPy and this package, or ""."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if name == ENTRY:
            break
        if not name.startswith(OURS) and AUTOGRAD not in name:
            return f"{name}:{frame.f_lineno}"
        frame = frame.f_back
    return ""


def calling(names: Sequence[str]) -> str:
    """Which of these functions of SciPy is under way, or ""."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(OURS):
        if frame.f_code.co_name in names and frame.f_code.co_filename.startswith(OURS[1]):
            return frame.f_code.co_name
        frame = frame.f_back
    return ""


def unread(what: str, instead: str) -> NoReturn:
    """Raise Unreadable: what cannot be read, at the user's line, and what to do instead."""
    line = user_line()
    raise Unreadable(f"{what}{' at ' + line if line else ''} cannot be read: {instead}")


REFERENCE = "write it in simpler NumPy operations, or give reference="


def format_of(dtype: np.dtype[Any]) -> str:
    """The name of a dtype as a format; raises Unreadable where it is none of ours."""
    if dtype.name in FLOATS or dtype.kind == "b":
        return dtype.name
    kind = "complex numbers" if dtype.kind == "c" else dtype.name
    unread(f"an array of {kind}", "the formats are float64, float32, float16 and bfloat16")


def is_float(dtype: np.dtype[Any]) -> bool:
    """Whether a dtype is one of the formats that values come in."""
    return dtype.name in FLOATS


class Recorder:
    """A program under way: each operation with the value that NumPy itself gave for it.

    `wrap(recorder, number, value)` makes an array that stands for a value of the program;
    `call(recorder, ufunc, method, inputs, keywords)` writes down a ufunc, `functions` has a
    function of a recorder and the arguments for each other function of NumPy.
    """

    def __init__(
        self,
        wrap: Callable[["Recorder", int, Array], Any],
        call: Callable[..., Any],
        functions: Mapping[Any, Callable[..., Any]],
    ) -> None:
        self.builder = Builder()
        self.values: dict[int, Array] = {}
        self.call = call
        self.functions = functions
        self._wrap = wrap

    def input(self, array: Array) -> int:
        """One more argument of the program."""
        number = self.builder.input(array.shape, format_of(array.dtype))
        self.values[number] = array
        return number

    def array(self, number: int, value: Any) -> Any:
        """An array that stands for this value of the program, which NumPy computed."""
        kept = np.asarray(value)
        self.values.setdefault(number, kept)
        return self._wrap(self, number, kept)

    def emit(self, primitive: str, *operands: int | float, **params: Any) -> int:
        """One more operation, asked for by the user's line."""
        self.builder.source = user_line()
        return self.builder(primitive, *operands, **params)

    def decided(self, what: str) -> None:
        """Note that something was settled by the numbers at this point."""
        line = user_line()
        sentence = f"{what}{' at ' + line if line else ''} as it comes out at this point"
        if sentence not in self.builder.holds:
            self.builder.holds.append(sentence)

    def number(self, x: Any, format: str) -> int:
        """The value's number in this format, cast if need be; what is no traced array is constant.

        A number without dimensions counts as written in the code, and may be rounded.
        """
        if hasattr(x, "recorder"):
            return self.cast(x.number, format)
        array = np.asarray(x)
        if array.dtype == object:
            unread("an array of objects", "np.stack makes one array of several traced ones")
        if array.dtype.kind == "c":
            format_of(array.dtype)
        self.builder.source = user_line()
        if format == "bool":
            return self.builder.constant(array.astype(bool), "bool")
        if array.ndim == 0 and array.dtype.kind in "biu":
            return self.builder.number(float(array), format)
        wide = array.astype(np.float64)
        return self.builder.constant(wide, format, literal=array.ndim == 0)

    def cast(self, number: int, format: str) -> int:
        """The same value in another format; of a real as a boolean, whether it is not 0."""
        before = self.builder.format(number)
        if before == format:
            return number
        if format == "bool":
            return self.emit("ne", number, 0.0)
        return self.emit("cast", number, format=format)

    def rearranged(self, numbers: Sequence[int], index: Array) -> int:
        """Entries of these values, put one after the other, at `index`; 0 where it is -1."""
        if len(numbers) == 1:
            return self._picked(numbers[0], index)
        joined = self.emit("concatenate", *numbers, axis=None)
        return self._picked(joined, index)

    def _picked(self, number: int, index: Array) -> int:
        """x.flat[index], as a reshape, transpose or broadcast where it is no more than that."""
        shape = self.builder.shape(number)
        size = int(np.prod(shape, dtype=int))
        if index.size == size and np.array_equal(index.reshape(-1), np.arange(size)):
            return self.reshaped(number, index.shape)
        if index.size and (axes := _permuted(index, size)):
            lengths = tuple(index.shape[axis] for axis in axes)
            moved = self.reshaped(number, lengths)
            back = tuple(int(axis) for axis in np.argsort(axes))
            return self.emit("transpose", moved, axes=back)
        return self.emit("take", number, index=np.array(index))

    def reshaped(self, number: int, shape: Sequence[int]) -> int:
        """The same entries in another shape."""
        if self.builder.shape(number) == tuple(shape):
            return number
        return self.emit("reshape", number, shape=tuple(shape))

    def broadcast(self, number: int, shape: Sequence[int]) -> int:
        """The same value, repeated along new and short axes."""
        if self.builder.shape(number) == tuple(shape):
            return number
        return self.emit("broadcast", number, shape=tuple(shape))


def _permuted(index: Array, size: int) -> tuple[int, ...] | None:
    """The order of axes in which `index` counts up to `size`, if there is one."""
    if index.size != size or index.ndim < 2 or index.reshape(-1)[0] != 0:
        return None
    steps = [
        int(index[tuple(int(a == axis) for a in range(index.ndim))]) if n > 1 else 0
        for axis, n in enumerate(index.shape)
    ]
    axes = tuple(sorted(range(index.ndim), key=lambda axis: -steps[axis]))
    counted = index.transpose(axes).reshape(-1)
    return axes if np.array_equal(counted, np.arange(size)) else None
