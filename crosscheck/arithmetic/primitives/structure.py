"""What only moves numbers: shapes, orders, copies, formats."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from crosscheck.arithmetic.primitives.row import (
    Applied,
    Array,
    Build,
    Known,
    Params,
    Primitive,
    Rounding,
    Shape,
    alike,
    as_objects,
    constant,
    no_cotangents,
)


def _moves(
    name: str,
    move: Callable[[Params, Array], Array],
    transpose: Callable[[Build, Applied, int], int],
    shape: Callable[[Params, Shape], Shape],
) -> Primitive:
    """A row that takes entries from one place to another, whatever they are."""

    def pullback(build: Build, applied: Applied, cotangent: int) -> list[int | None]:
        return [transpose(build, applied, cotangent)]

    def pushforward(build: Build, applied: Applied, tangents: Sequence[int | None]) -> int | None:
        (tangent,) = tangents
        return None if tangent is None else build(name, tangent, **applied.params)

    def error(r: Rounding, params: Params, value: Array, x: Known) -> Array | None:
        return None if x.error is None else move(params, x.error)

    return Primitive(name, move, move, error, pullback, pushforward, shape)


def _reshape(params: Params, x: Array) -> Array:
    return x.reshape(params["shape"])


def _transpose(params: Params, x: Array) -> Array:
    return x.transpose(params["axes"])


def _broadcast(params: Params, x: Array) -> Array:
    return np.broadcast_to(x, params["shape"])


def _unbroadcast(build: Build, applied: Applied, cotangent: int) -> int:
    """The sums over the axes along which an array was repeated."""
    before, after = build.shape(applied.operands[0]), build.shape(applied.result)
    new = len(after) - len(before)
    axes = tuple(
        axis
        for axis in range(len(after))
        if axis < new or (before[axis - new] == 1 and after[axis] != 1)
    )
    summed = build("sum", cotangent, axes=axes) if axes else cotangent
    return summed if build.shape(summed) == before else build("reshape", summed, shape=before)


def _take(params: Params, x: Array) -> Array:
    """out.flat = x.flat[index], 0 (or false) where the index is -1."""
    index = params["index"].reshape(-1)
    outside = index < 0
    if x.size == 0:
        return np.zeros(params["index"].shape, x.dtype)
    taken = x.reshape(-1)[index]
    if outside.any():
        taken[outside] = _zero(x)
    return taken.reshape(params["index"].shape)


def _zero(x: Array) -> Any:
    if x.dtype != object:
        return x.dtype.type(0)
    first = x.reshape(-1)[0]
    return False if isinstance(first, bool) or first is None else type(first)(0)


def _put(params: Params, x: Array) -> Array:
    """out.flat[index] += x.flat, into zeros; what has index -1 is dropped."""
    index, shape = params["index"].reshape(-1), params["shape"]
    entries = x.reshape(-1)
    kept = index >= 0
    size = int(np.prod(shape))
    if x.dtype != object and x.dtype != np.longdouble:
        counted = np.bincount(index[kept], entries[kept], size)
        return counted.astype(x.dtype).reshape(shape)
    summed = np.full(size, _zero(x) if x.size else 0, x.dtype)
    np.add.at(summed, index[kept], entries[kept])
    return summed.reshape(shape)


def _put_error(r: Rounding, params: Params, value: Array, x: Known) -> Array | None:
    """Sums of as many terms as fall on one place, in any order."""
    most = params.get("most")
    if most is None:
        index = params["index"].reshape(-1)
        most = int(np.bincount(index[index >= 0], minlength=1).max(initial=0))
    if most <= 1:
        return None if x.error is None else _put(params, x.error)
    gamma = r.gamma(most - 1)
    summed = _put(params, x.size)
    error: Array = gamma * summed
    return error if x.error is None else error + _put(params, x.error)


def _put_pullback(build: Build, applied: Applied, cotangent: int) -> list[int | None]:
    shape = build.shape(applied.operands[0])
    return [build("take", cotangent, index=applied.params["index"].reshape(shape))]


def _put_row() -> Primitive:
    def pushforward(build: Build, applied: Applied, tangents: Sequence[int | None]) -> int | None:
        (tangent,) = tangents
        return None if tangent is None else build("put", tangent, **applied.params)

    return Primitive(
        "put",
        _put,
        _put,
        _put_error,
        _put_pullback,
        pushforward,
        lambda params, shape: tuple(params["shape"]),
    )


def _cast_error(r: Rounding, params: Params, value: Array, x: Known) -> Array | None:
    """One rounding, none to a format that is no narrower; a boolean that is open is 0 or 1."""
    if x.value.dtype == bool:
        return None if x.error is None else x.error.astype(float)
    if not params["narrows"]:
        return x.error
    error: Array = x.deviation + r.u * x.size + r.eta
    return error


def _cast(params: Params, x: Array) -> Array:
    return x.astype(np.float64) if x.dtype == bool else x


def _cast_balls(params: Params, x: Array) -> Array:
    """Exact arithmetic knows no format; booleans become 0 and 1, or all between."""
    from flint import arb

    if x.size == 0 or isinstance(x.reshape(-1)[0], arb):
        return x
    numbers = {True: arb(1), False: arb(0), None: arb(0.5, 0.5)}
    return as_objects(np.frompyfunc(lambda a: numbers[a], 1, 1)(x))


def _cast_row() -> Primitive:
    def pullback(build: Build, applied: Applied, cotangent: int) -> list[int | None]:
        return [cotangent]

    def pushforward(build: Build, applied: Applied, tangents: Sequence[int | None]) -> int | None:
        return tangents[0]

    return Primitive(
        "cast", _cast, _cast_balls, _cast_error, pullback, pushforward, alike, elementwise=True
    )


def _stop_row() -> Primitive:
    """The same numbers, held constant by the derivative."""
    return Primitive(
        "stop",
        lambda params, x: x,
        lambda params, x: x,
        lambda r, params, value, x: x.error,
        no_cotangents,
        constant,
        alike,
        elementwise=True,
    )


def _joined(params: Params, *arrays: Array) -> Array:
    """All entries, one operand's after the other's: along `axis`, or flat where it is None."""
    return np.concatenate(arrays, params["axis"])


def _joined_error(r: Rounding, params: Params, value: Array, *x: Known) -> Array | None:
    if all(known.error is None for known in x):
        return None
    dtype = value.dtype if value.dtype == bool else np.float64
    errors = [
        np.zeros(known.value.shape, dtype) if known.error is None else known.error for known in x
    ]
    return np.concatenate(errors, params["axis"])


def _joined_shape(params: Params, *shapes: Shape) -> Shape:
    axis = params["axis"]
    if axis is None:
        return (sum(int(np.prod(shape, dtype=int)) for shape in shapes),)
    whole = sum(shape[axis] for shape in shapes)
    return (*shapes[0][:axis], whole, *shapes[0][axis + 1 :])


def _joined_pullback(build: Build, applied: Applied, cotangent: int) -> list[int | None]:
    """Each operand's part of the cotangent."""
    shape, axis = build.shape(applied.result), applied.params["axis"]
    shapes = [build.shape(x) for x in applied.operands]
    places = np.arange(int(np.prod(shape, dtype=int))).reshape(shape)
    lengths = [int(np.prod(one, dtype=int)) if axis is None else one[axis] for one in shapes]
    parts = np.split(places, np.cumsum(lengths)[:-1], axis or 0)
    return [
        build("take", cotangent, index=part.reshape(one))
        for part, one in zip(parts, shapes, strict=True)
    ]


def _joined_pushforward(
    build: Build, applied: Applied, tangents: Sequence[int | None]
) -> int | None:
    if all(tangent is None for tangent in tangents):
        return None
    whole = [
        build.constant(np.zeros(build.shape(x)), build.format(x)) if tangent is None else tangent
        for x, tangent in zip(applied.operands, tangents, strict=True)
    ]
    return build("concatenate", *whole, axis=applied.params["axis"])


def _reshape_back(build: Build, applied: Applied, cotangent: int) -> int:
    return build("reshape", cotangent, shape=build.shape(applied.operands[0]))


def _transpose_back(build: Build, applied: Applied, cotangent: int) -> int:
    axes = tuple(int(axis) for axis in np.argsort(applied.params["axes"]))
    return build("transpose", cotangent, axes=axes)


def _take_back(build: Build, applied: Applied, cotangent: int) -> int:
    shape = build.shape(applied.operands[0])
    return build("put", cotangent, index=applied.params["index"], shape=shape)


ROWS = (
    _moves("reshape", _reshape, _reshape_back, lambda params, shape: tuple(params["shape"])),
    _moves(
        "transpose",
        _transpose,
        _transpose_back,
        lambda params, shape: tuple(shape[axis] for axis in params["axes"]),
    ),
    _moves("broadcast", _broadcast, _unbroadcast, lambda params, shape: tuple(params["shape"])),
    _moves("take", _take, _take_back, lambda params, shape: tuple(params["index"].shape)),
    Primitive(
        "concatenate",
        _joined,
        _joined,
        _joined_error,
        _joined_pullback,
        _joined_pushforward,
        _joined_shape,
    ),
    _put_row(),
    _cast_row(),
    _stop_row(),
)
