"""Sums, means, maxima and products over axes, and choices by conditions."""

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
from crosscheck.programs.frontends.numpy.traced_array import TracedArray, numbers


def _axes(array: Any, axis: Any) -> tuple[int, ...]:
    """The axes that are meant, counted from 0."""
    if axis is None:
        return tuple(range(array.ndim))
    given = (axis,) if isinstance(axis, (int, np.integer)) else tuple(axis)
    return tuple(int(a) % array.ndim for a in given)


def _reduction(
    primitive: str, function: Callable[..., Any], join: Callable[..., Any] | None
) -> Callable[..., Any]:
    """A primitive over axes; `join` puts in an initial value."""

    def handler(
        recorder: Recorder,
        array: Any,
        axis: Any = None,
        dtype: Any = None,
        out: Any = None,
        keepdims: Any = False,
        initial: Any = None,
        where: Any = True,
    ) -> Any:
        x = _entries(recorder, function, array, dtype)
        if not isinstance(x, TracedArray):
            return function(x, axis=axis, keepdims=keepdims)
        if where is not True:
            x = np.where(where, x, _neutral(function, initial))
        keepdims = bool(keepdims) and keepdims is not np._NoValue
        axes = _axes(x, axis)
        value = np.asarray(function(x.value, axis=axes, keepdims=keepdims))
        number = recorder.emit(primitive, x.number, axes=axes) if axes else x.number
        result = recorder.array(recorder.reshaped(number, value.shape), value)
        if number != result.number:
            recorder.values[number] = value.reshape(recorder.builder.shape(number))
        if initial is not None and join is not None and where is True:
            result = join(result, initial)
        return _put_out(result, out)

    return handler


def _entries(recorder: Recorder, function: Callable[..., Any], array: Any, dtype: Any) -> Any:
    """What is reduced: in the wanted format; counted booleans are plain numbers."""
    if isinstance(array, (list, tuple)):
        array = np.stack(array)
    if dtype is not None and is_float(np.dtype(dtype)):
        return array.astype(dtype)
    if array.dtype == bool and function in (np.sum, np.prod):
        recorder.decided("a count of booleans")
        return array.value
    return array


def _neutral(function: Callable[..., Any], initial: Any) -> Any:
    """What takes part in the reduction where a mask leaves an entry out."""
    if initial is not None:
        return initial
    for other, neutral in ((np.sum, 0.0), (np.prod, 1.0)):
        if function is other:
            return neutral
    unread(f"np.{function.__name__} with where= and no initial=", "use np.where before it")


def _put_out(result: Any, out: Any) -> Any:
    if out is None:
        return result
    if not isinstance(out, TracedArray):
        unread("out= with an array of its own", "make that by np.empty_like of a traced array")
    out.write(result.number, result.value)
    return out


def _mean(
    recorder: Recorder,
    array: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    keepdims: Any = False,
    where: Any = True,
) -> Any:
    """A sum over a count; NumPy makes that of float16 in float32."""
    x = np.stack(array) if isinstance(array, (list, tuple)) else array
    given = x.dtype
    if dtype is None and given.kind == "b":
        dtype = np.float64
    if dtype is None and given == np.float16:
        dtype = np.float32
    summed = np.sum(x, axis=axis, dtype=dtype, keepdims=keepdims, where=where)
    mean = summed / _count(x, axis, where, keepdims)
    if given == np.float16 and mean.dtype != given and dtype is np.float32:
        mean = mean.astype(given)
    return _put_out(mean, out)


def _count(x: Any, axis: Any, where: Any, keepdims: Any) -> Any:
    if where is not True:
        mask = np.broadcast_to(numbers(where), x.shape)
        return np.sum(mask, axis=axis, keepdims=bool(keepdims))
    return int(np.prod([x.shape[a] for a in _axes(x, axis)], dtype=int))


def _var(
    recorder: Recorder,
    array: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    ddof: Any = 0,
    keepdims: Any = False,
    where: Any = True,
    mean: Any = None,
    correction: Any = None,
) -> Any:
    """The mean square of the distances from the mean."""
    if where is not True:
        unread("np.var with where=", REFERENCE)
    x = array if dtype is None else array.astype(dtype)
    count = _count(x, axis, True, False)
    middle = np.sum(x, axis=axis, keepdims=True) / count if mean is None else mean
    apart = x - middle
    squares = np.sum(np.square(apart), axis=axis, keepdims=keepdims)
    less = ddof if correction is None or correction is np._NoValue else correction
    return _put_out(squares / max(count - less, 0), out)


def _std(recorder: Recorder, array: Any, *args: Any, **kwargs: Any) -> Any:
    out = kwargs.pop("out", None)
    return _put_out(np.sqrt(_var(recorder, array, *args, **kwargs)), out)


def _running(primitive: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def handler(
        recorder: Recorder, array: Any, axis: Any = None, dtype: Any = None, out: Any = None
    ) -> Any:
        x = array if dtype is None else array.astype(dtype)
        if axis is None:
            x, axis = np.ravel(x), 0
        axis = int(axis) % x.ndim
        number = recorder.emit(primitive, x.number, axis=axis, reverse=False)
        return _put_out(recorder.array(number, function(x.value, axis=axis)), out)

    return handler


def _any_or_all(function: Callable[..., Any]) -> Callable[..., Any]:
    def handler(recorder: Recorder, array: Any, *args: Any, **kwargs: Any) -> Any:
        recorder.decided(f"np.{function.__name__}")
        return function(numbers(array), *args, **kwargs)

    return handler


def _where(recorder: Recorder, condition: Any, *branches: Any) -> Any:
    """The branch that the condition takes, entry by entry; of a condition alone, its places."""
    if not branches:
        recorder.decided("np.where")
        return np.where(numbers(condition))
    value = np.where(numbers(condition), *(numbers(x) for x in branches))
    if value.dtype != bool and not is_float(value.dtype):
        recorder.decided("np.where of whole numbers")
        return value
    format = format_of(value.dtype)
    mask = recorder.number(condition, "bool")
    number = recorder.emit(
        "select", mask, *(recorder.number(x, format) for x in branches), format=format
    )
    return recorder.array(number, value)


def _select(recorder: Recorder, conditions: Any, choices: Any, default: Any = 0) -> Any:
    result = default
    for condition, choice in zip(reversed(conditions), reversed(choices), strict=True):
        result = np.where(condition, choice, result)
    return result


def _clip(
    recorder: Recorder,
    array: Any,
    a_min: Any = None,
    a_max: Any = None,
    out: Any = None,
    *,
    min: Any = None,
    max: Any = None,
    **kwargs: Any,
) -> Any:
    """min(max(x, low), high)."""
    low, high = (
        None if bound is np._NoValue else bound
        for bound in (a_min if a_min is not None else min, a_max if a_max is not None else max)
    )
    result = array if low is None else np.maximum(array, low)
    return _put_out(result if high is None else np.minimum(result, high), out)


def _average(
    recorder: Recorder,
    array: Any,
    axis: Any = None,
    weights: Any = None,
    keepdims: Any = False,
    **_: Any,
) -> Any:
    if weights is None:
        return np.mean(array, axis=axis, keepdims=keepdims)
    if np.shape(weights) != np.shape(array):
        shape = [1] * np.ndim(array)
        shape[axis] = np.size(weights)
        weights = np.broadcast_to(np.reshape(weights, shape), np.shape(array))
    total = np.sum(weights, axis=axis, keepdims=keepdims)
    return np.sum(np.multiply(array, weights), axis=axis, keepdims=keepdims) / total


def _median(
    recorder: Recorder,
    array: Any,
    axis: Any = None,
    out: Any = None,
    overwrite_input: bool = False,
    keepdims: bool = False,
) -> Any:
    """The middle entry, or the mean of the middle two, in the order that there is here."""
    if axis is None:
        flat, axis = np.ravel(array), 0
        shape = (1,) * array.ndim
    else:
        flat, shape = array, None
    ordered = np.sort(flat, axis)
    n = ordered.shape[axis]
    middle = np.take(ordered, [n // 2] if n % 2 else [n // 2 - 1, n // 2], axis)
    result = np.mean(middle, axis=axis, keepdims=keepdims)
    return np.reshape(result, shape) if keepdims and shape else result


def _diff(recorder: Recorder, array: Any, n: int = 1, axis: int = -1, **kwargs: Any) -> Any:
    if any(value is not np._NoValue for value in kwargs.values()):
        unread("np.diff with prepend= or append=", "concatenate before it")
    for _ in range(n):
        moved = np.moveaxis(array, axis, 0)
        array = np.moveaxis(moved[1:] - moved[:-1], 0, axis)
    return array


def _ptp(
    recorder: Recorder, array: Any, axis: Any = None, out: Any = None, keepdims: Any = False
) -> Any:
    keep = bool(keepdims) and keepdims is not np._NoValue
    return np.max(array, axis=axis, keepdims=keep) - np.min(array, axis=axis, keepdims=keep)


def _trace(
    recorder: Recorder,
    array: Any,
    offset: int = 0,
    axis1: int = 0,
    axis2: int = 1,
    dtype: Any = None,
    out: Any = None,
) -> Any:
    return np.sum(np.diagonal(array, offset, axis1, axis2), axis=-1)


def _trapezoid(recorder: Recorder, y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    moved = np.moveaxis(y, axis, -1)
    step = dx if x is None else np.diff(x)
    return np.sum(step * (moved[..., 1:] + moved[..., :-1]) / 2.0, axis=-1)


def _round(recorder: Recorder, array: Any, decimals: int = 0, out: Any = None) -> Any:
    if decimals:
        unread("np.round to decimals", "its derivative is 0: take np.rint(x * 10**k) / 10**k")
    return np.rint(array)


def _sinc(recorder: Recorder, x: Any) -> Any:
    """sin πx / πx, with NumPy's own way round 0."""
    turned = np.pi * np.where(x == 0, 1.0e-20, x)
    return np.sin(turned) / turned


def _convolve(recorder: Recorder, a: Any, v: Any, mode: str = "full") -> Any:
    """Σ a[k] v[n - k], as a product with the windows of the longer one."""
    if np.size(v) > np.size(a):
        a, v = v, a
    m = np.size(v)
    outside = {
        "full": (m - 1, m - 1),
        "same": ((m - 1) // 2 + (m - 1) % 2, (m - 1) // 2),
        "valid": (0, 0),
    }[mode]
    padded = np.pad(a, outside)
    return np.matmul(np.lib.stride_tricks.sliding_window_view(padded, m), np.flip(v))


def _correlate(recorder: Recorder, a: Any, v: Any, mode: str = "valid") -> Any:
    if np.size(v) > np.size(a):
        unread("np.correlate with the shorter array first", "flip the arguments")
    return _convolve(recorder, a, np.flip(v), mode)


def _nan_to_num(recorder: Recorder, x: Any, *args: Any, **kwargs: Any) -> Any:
    recorder.decided("np.nan_to_num")
    value = np.nan_to_num(x.value, *args, **{k: v for k, v in kwargs.items() if k != "copy"})
    if np.array_equal(value, x.value):
        return x.copy()
    return np.where(np.isfinite(x.value), x, value)


def _multi_dot(recorder: Recorder, arrays: Sequence[Any], out: Any = None) -> Any:
    unread("np.linalg.multi_dot", "write the products one by one")


FUNCTIONS: Mapping[Any, Callable[..., Any]] = {
    np.sum: _reduction("sum", np.sum, np.add),
    np.prod: _reduction("prod", np.prod, np.multiply),
    np.max: _reduction("reduce_max", np.max, np.maximum),
    np.min: _reduction("reduce_min", np.min, np.minimum),
    np.amax: _reduction("reduce_max", np.max, np.maximum),
    np.amin: _reduction("reduce_min", np.min, np.minimum),
    np.mean: _mean,
    np.var: _var,
    np.std: _std,
    np.average: _average,
    np.median: _median,
    np.cumsum: _running("cumsum", np.cumsum),
    np.cumprod: _running("cumprod", np.cumprod),
    np.any: _any_or_all(np.any),
    np.all: _any_or_all(np.all),
    np.where: _where,
    np.select: _select,
    np.clip: _clip,
    np.diff: _diff,
    np.ptp: _ptp,
    np.trace: _trace,
    np.trapezoid: _trapezoid,
    np.round: _round,
    np.around: _round,
    np.sinc: _sinc,
    np.convolve: _convolve,
    np.correlate: _correlate,
    np.nan_to_num: _nan_to_num,
    np.linalg.multi_dot: _multi_dot,
}
