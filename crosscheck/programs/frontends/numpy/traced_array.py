"""An array that NumPy's functions take for one of theirs, and that records what they do to it."""

import linecache
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from crosscheck.arithmetic.primitives.row import Array, Shape
from crosscheck.programs.frontends.numpy.recorder import (
    REFERENCE,
    Recorder,
    calling,
    format_of,
    is_float,
    unread,
    user_line,
)

View = Callable[[Array], Array]


class Storage:
    """What an array and its views share: a value of the program, replaced at each write."""

    def __init__(self, number: int, value: Array) -> None:
        self.number = number
        self.value = value
        self.writes = 0

    @property
    def places(self) -> Array:
        """Each entry's place in memory, in the array's own shape."""
        return np.arange(self.value.size).reshape(self.value.shape)


class TracedArray(NDArrayOperatorsMixin):
    """An array with its numbers (`value`) and the value of the program it stands for (`number`).

    Assignments replace the value in the program; views of the same storage see them. What would
    freeze its numbers, as `float(x)` and `np.array(x)` do, raises Unreadable.
    """

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, recorder: Recorder, storage: Storage, view: View | None = None) -> None:
        self.recorder = recorder
        self._storage = storage
        self._view = view
        self._read = (-1, -1)

    @property
    def value(self) -> Array:
        """The numbers, as NumPy computed them; never written to."""
        if self._view is None:
            return self._storage.value
        return np.asarray(self._view(self._storage.value))

    @property
    def number(self) -> int:
        """The value of the program that this array stands for now."""
        if self._view is None:
            return self._storage.number
        if self._read[0] != self._storage.writes:
            index = np.asarray(self._view(self._storage.places))
            number = self.recorder.rearranged([self._storage.number], index)
            self._read = (self._storage.writes, number)
        return self._read[1]

    def moved(self, move: Callable[[Array], Any]) -> Any:
        """What a function gives that only moves entries: a view where NumPy's result is one."""
        value = move(self.value)
        if isinstance(value, np.ndarray) and np.may_share_memory(value, self._storage.value):
            before = self._view
            view = move if before is None else (lambda base: move(before(base)))
            return TracedArray(self.recorder, self._storage, view)
        places = np.arange(self.size).reshape(self.shape)
        number = self.recorder.rearranged([self.number], np.asarray(move(places)))
        return self.recorder.array(number, value)

    def write(self, number: int, value: Any) -> None:
        """Put another value in the place of this one, in all views of the same storage."""
        if not self.value.flags.writeable:
            raise ValueError("assignment destination is read-only")
        storage, kept = self._storage, np.asarray(value)
        number = self.recorder.cast(number, format_of(self.dtype))
        if self._view is None:
            number = self.recorder.broadcast(number, self.shape)
            storage.value = np.array(np.broadcast_to(kept, self.shape), self.dtype)
            self.recorder.values.setdefault(number, storage.value)
        else:
            number = self._written_through(number, kept)
        storage.number = number
        storage.writes += 1

    def _written_through(self, number: int, kept: Array) -> int:
        """The storage's value, with this view's entries replaced."""
        storage, view = self._storage, self._view
        assert view is not None
        number = self.recorder.broadcast(number, self.shape)
        fresh, places = storage.value.copy(order="K"), storage.places
        if not np.may_share_memory(view(fresh), fresh):
            unread("an assignment to a view", "assign to the array itself: x[i] = …")
        view(fresh)[...] = kept
        index = places.copy()
        index.reshape(-1)[np.asarray(view(places))] = places.size + np.arange(self.size).reshape(
            self.shape
        )
        storage.value = fresh
        return self.recorder.rearranged([storage.number, number], index)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if any(type(x).__module__.startswith("autograd.") for x in inputs):
            return NotImplemented  # its boxes hold traced arrays, and are its own to open
        return self.recorder.call(self.recorder, ufunc, method, inputs, kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        handler = self.recorder.functions.get(function)
        if handler is None:
            unread(f"{function.__module__}.{function.__name__}", REFERENCE)
        return handler(self.recorder, *args, **kwargs)

    # What would make plain numbers of it.

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        line = user_line()
        name, _, number = line.rpartition(":")
        code = linecache.getline(name, int(number)).strip() if name else ""
        asked = f" by `{code}`" if code else ""
        undispatched = calling(tuple(INSTEAD))
        if undispatched:
            unread(f"scipy.special.{undispatched} of a traced array", INSTEAD[undispatched])
        unread(
            f"an array of numbers, which was asked of a traced array{asked}",
            "np.array, np.asarray, compiled code, and assignments into an array made by np.zeros, "
            "np.ones or np.empty would freeze its numbers; write x.copy() or np.stack for the "
            "first, np.zeros_like(x, shape=…) for the last, or give reference=",
        )

    def _frozen(self, *args: Any) -> NoReturn:
        unread(
            "a Python number, which float(x), int(x), x.item() or the module math asked of a "
            "traced array",
            "return and use the array itself, and the functions of NumPy; an entry of an array "
            "made by np.zeros is assigned to if that is made by np.zeros_like(x, shape=…)",
        )

    __float__ = __int__ = __index__ = __complex__ = item = tolist = _frozen

    def __bool__(self) -> bool:
        self.recorder.decided("the branch")
        return bool(self.value)

    # What needs no record.

    @property
    def shape(self) -> Shape:
        return self.value.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._storage.value.dtype

    @property
    def ndim(self) -> int:
        return self.value.ndim

    @property
    def size(self) -> int:
        return self.value.size

    def __len__(self) -> int:
        return len(self.value)

    def __repr__(self) -> str:
        return f"traced {self.value!r}"

    def __format__(self, text: str) -> str:
        return format(self.value[()], text)

    def __iter__(self) -> Any:
        return (self[place] for place in range(len(self)))

    def __getitem__(self, key: Any) -> Any:
        plain = self._plain(key)
        return self.moved(lambda array: array[plain])

    def __setitem__(self, key: Any, new: Any) -> None:
        if isinstance(key, TracedArray) and key.shape == self.shape and np.ndim(new) == 0:
            self._where(key, new)
            return
        plain, format = self._plain(key), format_of(self.dtype)
        value, places = self.value.copy(), np.arange(self.size).reshape(self.shape)
        value[plain] = numbers(new)
        count = np.size(numbers(new))
        places[plain] = self.size + np.arange(count).reshape(np.shape(numbers(new)))
        given = self.recorder.number(new, format)
        self.write(self.recorder.rearranged([self.number, given], places), value)

    def _where(self, mask: "TracedArray", new: Any) -> None:
        """x[mask] = a number, which goes on holding where the mask comes out otherwise."""
        value = self.value.copy()
        value[mask.value] = numbers(new)
        given = self.recorder.number(new, format_of(self.dtype))
        self.write(self.recorder.emit("select", mask.number, given, self.number), value)

    def _plain(self, key: Any) -> Any:
        """A key without traced arrays: masks as they come out here."""
        if isinstance(key, tuple):
            return tuple(self._plain(part) for part in key)
        if isinstance(key, list):
            return [self._plain(part) for part in key]
        if not isinstance(key, TracedArray):
            return key
        self.recorder.decided("the mask")
        return key.value

    # Methods: the functions of the same names.

    def __getattr__(self, name: str) -> Any:
        if name in METHODS:
            function = getattr(np, name)
            return lambda *args, **kwargs: function(self, *args, **kwargs)
        if not name.startswith("_") and hasattr(np.ndarray, name):
            unread(f"the attribute .{name} of an array", REFERENCE)
        raise AttributeError(f"a traced array has no attribute {name!r}")

    @property
    def T(self) -> Any:
        return np.transpose(self)

    @property
    def mT(self) -> Any:
        return np.swapaxes(self, -1, -2)

    @property
    def real(self) -> "TracedArray":
        return self

    def reshape(self, *shape: Any, order: Any = "C", copy: bool | None = None) -> Any:
        return np.reshape(self, shape[0] if len(shape) == 1 else shape, order=order)

    def transpose(self, *axes: Any) -> Any:
        given = axes[0] if len(axes) == 1 else (axes or None)
        return np.transpose(self, given)

    def flatten(self, order: Any = "C") -> Any:
        return np.ravel(self, order).copy()

    def copy(self, order: Any = "C") -> Any:
        return self.recorder.array(self.number, self.value.copy())

    __copy__ = copy

    def __deepcopy__(self, memo: Any) -> Any:
        return self.copy()

    def astype(self, dtype: Any, *args: Any, **kwargs: Any) -> Any:
        """In another format; whole numbers as they come out here, as plain numbers."""
        value = self.value.astype(dtype)
        if value.dtype != bool and not is_float(value.dtype):
            format_of(value.dtype) if value.dtype.kind not in "iu" else None
            self.recorder.decided("the whole numbers made by astype")
            return value
        return self.recorder.array(self.recorder.cast(self.number, format_of(value.dtype)), value)

    def view(self, kind: Any = None) -> Any:
        """The array itself, as a plain array or in its own dtype."""
        if kind not in (None, np.ndarray, self.dtype):
            unread(f"a view as {kind}", "x.astype(…) changes the format")
        return self.moved(lambda array: array[...])

    def sort(self, axis: int = -1, kind: Any = None) -> None:
        ordered: Any = np.sort(self, axis)
        self.write(ordered.number, ordered.value)

    def fill(self, new: Any) -> None:
        self[...] = new

    def dot(self, other: Any) -> Any:
        return np.dot(self, other)


INSTEAD = {
    "logsumexp": "it is not handed on by SciPy; write np.logaddexp.reduce(x, axis)",
    "softmax": "it is not handed on by SciPy; write np.exp(x - m) over its sum, m = x.max(…)",
    "log_softmax": "it is not handed on by SciPy; write x - np.logaddexp.reduce(x, axis)",
    "polygamma": "it is not handed on by SciPy; of its orders only special.digamma is read",
}
"""Functions of scipy.special that make plain arrays of their arguments, and what to write."""

METHODS = frozenset((
    "all", "any", "argmax", "argmin", "argsort", "clip", "compress", "cumprod", "cumsum",
    "diagonal", "max", "mean", "min", "nonzero", "prod", "ravel", "repeat", "round",
    "searchsorted", "squeeze", "std", "sum", "swapaxes", "take", "trace", "var", "conjugate",
))  # fmt: skip
"""Methods of arrays that are functions of NumPy with the array first."""


def numbers(x: Any) -> Any:
    """The numbers of a traced array, anything else as it is."""
    return x.value if isinstance(x, TracedArray) else x


def plain(tree: Any) -> Any:
    """The same in lists and tuples."""
    if isinstance(tree, (list, tuple)):
        return type(tree)(plain(part) for part in tree)
    return numbers(tree)


def traced(recorder: Recorder, number: int, value: Array) -> TracedArray:
    """An array of its own, for a value of the program."""
    return TracedArray(recorder, Storage(number, value))
