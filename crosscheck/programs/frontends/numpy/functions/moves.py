"""Functions that put entries in other places: learned by running NumPy's own on places."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from crosscheck.programs.frontends.numpy.recorder import (
    REFERENCE,
    Recorder,
    format_of,
    is_float,
    unread,
)
from crosscheck.programs.frontends.numpy.traced_array import TracedArray, numbers, plain


def _moving(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function whose first argument is the array that it moves the entries of."""

    def handler(recorder: Recorder, array: Any, *args: Any, **kwargs: Any) -> Any:
        given = tuple(plain(x) for x in args)
        named = {name: plain(x) for name, x in kwargs.items()}
        if not isinstance(array, TracedArray):
            if isinstance(array, (list, tuple)):
                array = np.stack(array)
            else:
                recorder.decided(f"the index of np.{function.__name__}")
                return function(array, *given, **named)
        return array.moved(lambda places: function(places, *given, **named))

    return handler


def _zero_filling(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same where some places get 0: places count from 1, and 0 is none."""

    def handler(recorder: Recorder, array: Any, *args: Any, **kwargs: Any) -> Any:
        value = function(array.value, *args, **kwargs)
        places = np.arange(1, array.size + 1).reshape(array.shape)
        index = function(places, *args, **kwargs) - 1
        return recorder.array(recorder.rearranged([array.number], index), value)

    return handler


def _splitting(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that gives several arrays of one."""

    def handler(recorder: Recorder, array: Any, *args: Any, **kwargs: Any) -> Any:
        count = len(function(array.value, *args, **kwargs))
        return [
            array.moved(lambda places, k=k: function(places, *args, **kwargs)[k])
            for k in range(count)
        ]

    return handler


def _joining(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of a sequence of arrays (or of nested lists of them)."""

    def handler(recorder: Recorder, arrays: Any, *args: Any, **kwargs: Any) -> Any:
        return _together(recorder, lambda parts: function(parts, *args, **kwargs), arrays)

    return handler


def _together(recorder: Recorder, function: Callable[[Any], Any], arrays: Any) -> Any:
    """One array of the entries of several."""
    if isinstance(arrays, TracedArray):
        arrays = list(arrays)
    value = np.asarray(function(plain(arrays)))
    if value.dtype != bool and not is_float(value.dtype):
        recorder.decided("whole numbers")
        return value
    format = format_of(value.dtype)
    given: list[int] = []
    start = 0

    def places(part: Any) -> Any:
        nonlocal start
        if isinstance(part, (list, tuple)) and any(
            isinstance(x, (list, tuple, TracedArray, np.ndarray)) for x in part
        ):
            return [places(x) for x in part]
        shape = np.shape(numbers(part))
        given.append(recorder.number(part, format))
        first, start = start, start + int(np.prod(shape, dtype=int))
        return np.arange(first, start).reshape(shape)

    index = np.asarray(function(places(arrays)))
    return recorder.array(recorder.rearranged(given, index), value)


def _append(recorder: Recorder, array: Any, values: Any, axis: Any = None) -> Any:
    return _together(recorder, lambda two: np.append(two[0], two[1], axis), [array, values])


def _insert(recorder: Recorder, array: Any, place: Any, values: Any, axis: Any = None) -> Any:
    at = plain(place)
    return _together(recorder, lambda two: np.insert(two[0], at, two[1], axis), [array, values])


def _pad(recorder: Recorder, array: Any, width: Any, mode: Any = "constant", **kwargs: Any) -> Any:
    """Zeros, one other number, or the array's own entries around it."""
    if mode == "constant":
        (number,) = {float(x) for x in np.ravel(plain(kwargs.get("constant_values", 0)))} or {0.0}
        value = np.pad(array.value, width, mode, constant_values=number)
        places = np.arange(array.size).reshape(array.shape)
        if number == 0:
            index = np.pad(places, width, mode, constant_values=-1)
            return recorder.array(recorder.rearranged([array.number], index), value)
        index = np.pad(places, width, mode, constant_values=array.size)
        other = recorder.number(number, format_of(array.dtype))
        return recorder.array(recorder.rearranged([array.number, other], index), value)
    if mode not in ("edge", "reflect", "symmetric", "wrap"):
        unread(f"np.pad with mode {mode!r}", REFERENCE)
    return array.moved(lambda places: np.pad(places, width, mode, **kwargs))


def _like(fill: float | None) -> Callable[..., Any]:
    """zeros_like and its relatives: traced, so that what is assigned is recorded."""

    def handler(
        recorder: Recorder,
        prototype: Any,
        dtype: Any = None,
        order: Any = "K",
        subok: bool = True,
        shape: Any = None,
        device: Any = None,
    ) -> Any:
        value = np.zeros_like(numbers(prototype), dtype=dtype, shape=shape)
        if fill:
            value = np.full_like(value, fill)
        if value.dtype != bool and not is_float(value.dtype):
            return value
        number = recorder.builder.constant(value.copy(), format_of(value.dtype))
        return recorder.array(number, value)

    return handler


def _full_like(
    recorder: Recorder,
    prototype: Any,
    fill_value: Any,
    dtype: Any = None,
    order: Any = "K",
    subok: bool = True,
    shape: Any = None,
    device: Any = None,
) -> Any:
    value = np.full_like(numbers(prototype), numbers(fill_value), dtype=dtype, shape=shape)
    if value.dtype != bool and not is_float(value.dtype):
        return value
    one = recorder.number(fill_value, format_of(value.dtype))
    return recorder.array(recorder.broadcast(one, value.shape), value)


def _assigning(function: Callable[..., Any]) -> Callable[..., None]:
    """np.put and its relatives: an assignment with another spelling; the values come last."""

    def handler(recorder: Recorder, array: Any, *args: Any, **kwargs: Any) -> None:
        *where, new = (*args, *kwargs.values())
        if not isinstance(array, TracedArray):
            unread(
                f"np.{function.__name__} into an array of its own", "use np.zeros_like of a traced"
            )
        keys = [plain(x) for x in where]
        value, places = array.value.copy(), np.arange(array.size).reshape(array.shape)
        size = np.size(numbers(new))
        function(value, *keys, numbers(new))
        function(places, *keys, array.size + np.arange(size).reshape(np.shape(numbers(new))))
        given = recorder.number(new, format_of(array.dtype))
        array.write(recorder.rearranged([array.number, given], places), value)

    return handler


def _copyto(
    recorder: Recorder, target: Any, source: Any, casting: Any = None, where: Any = True
) -> None:
    if not isinstance(target, TracedArray):
        unread("np.copyto into an array of its own", "make that by np.zeros_like of a traced array")
    chosen = source if where is True else np.where(where, source, target)
    target[...] = chosen


def _broadcast_arrays(recorder: Recorder, *arrays: Any, subok: bool = False) -> Any:
    shape = np.broadcast_shapes(*(np.shape(numbers(x)) for x in arrays))
    return tuple(np.broadcast_to(x, shape) for x in arrays)


def _meshgrid(recorder: Recorder, *arrays: Any, indexing: str = "xy", **kwargs: Any) -> Any:
    dims = len(arrays)
    out = []
    for place, x in enumerate(arrays):
        axis = {0: 1, 1: 0}.get(place, place) if indexing == "xy" and dims > 1 else place
        out.append(np.reshape(x, tuple(-1 if k == axis else 1 for k in range(dims))))
    return _broadcast_arrays(recorder, *out)


def _atleast(function: Callable[..., Any]) -> Callable[..., Any]:
    one = _moving(function)
    return lambda recorder, *arrays: (
        one(recorder, arrays[0]) if len(arrays) == 1 else tuple(one(recorder, x) for x in arrays)
    )


def _ordered(recorder: Recorder, array: Any, axis: Any = -1, **kwargs: Any) -> Any:
    """The entries in the order that they have here."""
    recorder.decided("the order of a sort")
    if axis is None:
        array, axis = np.ravel(array), 0
    order = np.argsort(array.value, axis=axis, kind="stable")
    return np.take_along_axis(array, order, axis)


def _partition(recorder: Recorder, array: Any, kth: Any, axis: Any = -1, **kwargs: Any) -> Any:
    recorder.decided("the order of a partition")
    order = np.argpartition(array.value, kth, axis=axis)
    return np.take_along_axis(array, order, axis)


def _shape_only(function: Callable[..., Any]) -> Callable[..., Any]:
    """What needs no numbers, only shapes and formats."""
    return lambda recorder, *args, **kwargs: function(*plain(args), **kwargs)


def _settled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Whole numbers and booleans that are as they come out here."""

    def handler(recorder: Recorder, *args: Any, **kwargs: Any) -> Any:
        recorder.decided(f"np.{function.__name__}")
        return function(*plain(args), **{name: plain(x) for name, x in kwargs.items()})

    return handler


def _copy(recorder: Recorder, array: Any, *args: Any, **kwargs: Any) -> Any:
    return array.copy()


def _named(module: Any, names: str) -> Sequence[Any]:
    return [getattr(module, name) for name in names.split() if hasattr(module, name)]


MOVING = [
    *_named(
        np,
        "reshape ravel transpose permute_dims matrix_transpose swapaxes moveaxis rollaxis squeeze "
        "expand_dims broadcast_to flip fliplr flipud rot90 roll tile repeat diagonal take "
        "compress take_along_axis delete resize trim_zeros",
    ),
    np.lib.stride_tricks.sliding_window_view,
    np.linalg.diagonal,
    np.linalg.matrix_transpose,
]
SPLITTING = _named(np, "split array_split hsplit vsplit dsplit unstack")
JOINING = _named(np, "concatenate stack hstack vstack dstack column_stack block")
ASSIGNING = _named(np, "put place putmask put_along_axis fill_diagonal")
SHAPES = _named(
    np, "shape ndim size result_type iscomplexobj isrealobj may_share_memory shares_memory "
    "can_cast common_type min_scalar_type"
)  # fmt: skip
SETTLED = _named(
    np,
    "argmax argmin argsort argpartition searchsorted nonzero flatnonzero argwhere count_nonzero "
    "lexsort digitize bincount histogram array_equal array_equiv allclose isclose nanargmax "
    "nanargmin isposinf isneginf iscomplex isreal unravel_index in1d isin ix_",
)

FUNCTIONS: Mapping[Any, Callable[..., Any]] = {
    **{function: _moving(function) for function in MOVING},
    **{function: _zero_filling(function) for function in (np.diag, np.diagflat, np.tril, np.triu)},
    **{function: _splitting(function) for function in SPLITTING},
    **{function: _joining(function) for function in JOINING},
    **{function: _atleast(function) for function in _named(np, "atleast_1d atleast_2d atleast_3d")},
    **{function: _assigning(function) for function in ASSIGNING},
    **{function: _shape_only(function) for function in SHAPES},
    **{function: _settled(function) for function in SETTLED},
    np.append: _append,
    np.insert: _insert,
    np.pad: _pad,
    np.zeros_like: _like(0.0),
    np.empty_like: _like(0.0),
    np.ones_like: _like(1.0),
    np.full_like: _full_like,
    np.copyto: _copyto,
    np.copy: _copy,
    np.broadcast_arrays: _broadcast_arrays,
    np.meshgrid: _meshgrid,
    np.sort: _ordered,
    np.partition: _partition,
}
