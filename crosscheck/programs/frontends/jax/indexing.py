"""JAX's operations that only move entries: where they go is learned from the operation itself.

Each is run on the places 0, 1, 2, … instead of the entries; -1 marks what comes from nowhere.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from crosscheck.arithmetic.primitives.row import Array
from crosscheck.programs.frontends.jax.reader import Handler, JaxReader, Traced, Value

Gather = jax.lax.GatherDimensionNumbers


def places(shape: Sequence[int]) -> Array:
    """0, 1, 2, … in an array of this shape."""
    return np.arange(int(np.prod(shape, dtype=int)), dtype=np.int32).reshape(shape)


def taken(reader: JaxReader, value: Value, index: Array, otherwise: float | None = None) -> Value:
    """Entries by their places; `otherwise` stands where the place is -1, 0 if not given."""
    build, number = reader.build, reader.number(value)
    index = np.asarray(index).astype(np.int64)
    result = build("take", number, index=index)
    if otherwise is None or not (index < 0).any():
        return Traced(result)
    return Traced(build("select", build.constant(index >= 0), result, float(otherwise)))


def moved(reader: JaxReader, equation: Any, operands: Sequence[Value]) -> Value:
    """slice, rev, dynamic_slice: the operation itself on the places of its first operand."""
    first, *rest = operands
    known = [reader.concrete(operand) for operand in rest]
    _decided(reader, equation, rest)
    places_taken = equation.primitive.bind(places(reader.shape(first)), *known, **equation.params)
    return taken(reader, first, np.asarray(places_taken))


def sliced(reader: JaxReader, equation: Any, operands: Sequence[Value]) -> Value:
    """slice, without asking the library."""
    params = equation.params
    strides = params["strides"] or (1,) * len(params["start_indices"])
    cut = tuple(
        slice(start, stop, stride)
        for start, stop, stride in zip(
            params["start_indices"], params["limit_indices"], strides, strict=True
        )
    )
    return taken(reader, operands[0], places(reader.shape(operands[0]))[cut])


def _decided(reader: JaxReader, equation: Any, operands: Sequence[Value]) -> None:
    if any(isinstance(x, Traced) and reader.depends(x.number) for x in operands):
        reader.holds(f"the place in {equation.primitive.name}")


def gathered(reader: JaxReader, equation: Any, operands: Sequence[Value]) -> Value:
    """gather; what lies outside is the value that the mode fills in."""
    x, indices = operands
    params = dict(equation.params)
    fill = params["fill_value"]
    floating = equation.outvars[0].aval.dtype != np.bool_
    otherwise = (np.nan if fill is None else float(fill)) if floating else None
    params["fill_value"] = -1
    index = equation.primitive.bind(places(reader.shape(x)), indices, **params)
    return taken(reader, x, np.asarray(index), otherwise)


def scattered_places(reader: JaxReader, equation: Any, operands: Sequence[Value]) -> Array:
    """Where each entry of the updates goes: the gather that is the transpose of the scatter."""
    x, indices, updates = operands
    numbers = equation.params["dimension_numbers"]
    shape = reader.shape(x)
    window = iter(np.take(reader.shape(updates), numbers.update_window_dims))
    single = {*numbers.inserted_window_dims, *numbers.operand_batching_dims}
    sizes = [1 if axis in single else int(next(window)) for axis in range(len(shape))]
    transpose = Gather(
        offset_dims=numbers.update_window_dims,
        collapsed_slice_dims=numbers.inserted_window_dims,
        start_index_map=numbers.scatter_dims_to_operand_dims,
        operand_batching_dims=numbers.operand_batching_dims,
        start_indices_batching_dims=numbers.scatter_indices_batching_dims,
    )
    index = jax.lax.gather(
        places(shape), indices, transpose, sizes, mode=equation.params["mode"], fill_value=-1
    )
    return np.asarray(index).astype(np.int64)


def scatter_added(reader: JaxReader, equation: Any, operands: Sequence[Value]) -> Value:
    """scatter_add: updates are summed, in any order, into the operand's entries."""
    return _summed(reader, equation, operands, reader.number(operands[2]))


def scatter_subtracted(reader: JaxReader, equation: Any, operands: Sequence[Value]) -> Value:
    """scatter_sub: the sum of the updates' negatives."""
    return _summed(reader, equation, operands, reader.build("neg", reader.number(operands[2])))


def _summed(reader: JaxReader, equation: Any, operands: Sequence[Value], updates: int) -> Value:
    x, build = operands[0], reader.build
    index, shape = scattered_places(reader, equation, operands), reader.shape(x)
    if _is_zero(reader, x):
        return Traced(build("put", updates, index=index, shape=shape))
    both = build("concatenate", reader.number(x), updates, axis=None)
    where = np.concatenate([places(shape).reshape(-1), index.reshape(-1)])
    return Traced(build("put", both, index=where, shape=shape))


def _is_zero(reader: JaxReader, value: Value) -> bool:
    operation = reader.build.operations[reader.number(value)]
    while operation.primitive == "broadcast":
        operation = reader.build.operations[operation.operands[0]]
    return operation.primitive == "constant" and not operation.params["array"].any()


def scattered(reader: JaxReader, equation: Any, operands: Sequence[Value]) -> Value:
    """scatter: which update stays in each place, as the library has it."""
    x, indices, updates = operands
    nowhere = np.full(reader.shape(x), -1, np.int32)
    winners = equation.primitive.bind(
        nowhere, indices, places(reader.shape(updates)), **equation.params
    )
    return _replaced(reader, x, updates, np.asarray(winners))


def _replaced(reader: JaxReader, x: Value, updates: Value, winners: Array) -> Value:
    """Updates where they win, what was there elsewhere."""
    if (winners >= 0).all():
        return taken(reader, updates, winners)
    build = reader.build
    new = build("take", reader.number(updates), index=winners.astype(np.int64))
    if not (winners >= 0).any():
        return x
    return Traced(build("select", build.constant(winners >= 0), new, reader.number(x)))


def updated(reader: JaxReader, equation: Any, operands: Sequence[Value]) -> Value:
    """dynamic_update_slice."""
    x, updates, *starts = operands
    _decided(reader, equation, starts)
    winners = equation.primitive.bind(
        np.full(reader.shape(x), -1, np.int32),
        places(reader.shape(updates)),
        *(reader.concrete(start) for start in starts),
        **equation.params,
    )
    return _replaced(reader, x, updates, np.asarray(winners))


def padded(reader: JaxReader, equation: Any, operands: Sequence[Value]) -> Value:
    """pad, also by less than nothing and between entries."""
    x, filler = operands
    index = equation.primitive.bind(places(reader.shape(x)), np.int32(-1), **equation.params)
    where = np.asarray(index).astype(np.int64)
    build, number = reader.build, reader.number(filler)
    result = build("take", reader.number(x), index=where)
    if not (where < 0).any() or _is_zero(reader, Traced(number)):
        return Traced(result)
    return Traced(build("select", build.constant(where >= 0), result, number))


def concatenated(reader: JaxReader, equation: Any, operands: Sequence[Value]) -> Value:
    """concatenate."""
    numbers = [reader.number(x, str(equation.outvars[0].aval.dtype)) for x in operands]
    if len(numbers) == 1:
        return Traced(numbers[0])
    axis = int(equation.params["dimension"])
    return Traced(reader.build("concatenate", *numbers, axis=axis))


def stacked(reader: JaxReader, equation: Any, operands: Sequence[Value]) -> Value:
    """stack: along a new axis."""
    build, aval = reader.build, equation.outvars[0].aval
    axis = int(equation.params["axis"])
    lifted = tuple(1 if place == axis else n for place, n in enumerate(aval.shape))
    rows = [reader.number(x, str(aval.dtype)) for x in operands]
    parts = [build("reshape", row, shape=lifted) for row in rows]
    return Traced(parts[0] if len(parts) == 1 else build("concatenate", *parts, axis=axis))


def unstacked(reader: JaxReader, equation: Any, operands: Sequence[Value]) -> list[Value]:
    """unstack: an array for each place along the axis."""
    (x,) = operands
    rows = np.moveaxis(places(reader.shape(x)), int(equation.params["axis"]), 0)
    return [taken(reader, x, row) for row in rows]


def split(reader: JaxReader, equation: Any, operands: Sequence[Value]) -> list[Value]:
    """split: parts of these sizes along the axis."""
    (x,) = operands
    ends = np.cumsum(equation.params["sizes"])[:-1]
    parts = np.split(places(reader.shape(x)), ends, equation.params["axis"])
    return [taken(reader, x, part) for part in parts]


def ordered(reader: JaxReader, equation: Any, operands: Sequence[Value]) -> list[Value]:
    """sort: the order that the library finds at this point, applied to each operand."""
    params = equation.params
    axis = params["dimension"]
    known = [reader.concrete(operand) for operand in operands]
    _decided(reader, equation, operands)
    shape = reader.shape(operands[0])
    along = np.arange(shape[axis], dtype=np.int32)
    rank = np.broadcast_to(
        np.expand_dims(along, [a for a in range(len(shape)) if a != axis]), shape
    )
    *results, order = equation.primitive.bind(*known, np.ascontiguousarray(rank), **params)
    index = np.take_along_axis(places(shape), np.asarray(order).astype(int), axis)
    return [
        taken(reader, operand, index) if isinstance(operand, Traced) else np.asarray(result)
        for operand, result in zip(operands, results, strict=True)
    ]


def top(reader: JaxReader, equation: Any, operands: Sequence[Value]) -> list[Value]:
    """top_k: the places that the library finds at this point."""
    (x,) = operands
    _decided(reader, equation, operands)
    _, order = equation.primitive.bind(reader.concrete(x), **equation.params)
    axis = equation.params.get("axis", -1)
    index = np.take_along_axis(places(reader.shape(x)), np.asarray(order).astype(int), axis)
    return [taken(reader, x, index), np.asarray(order)]


TABLE: Mapping[str, Handler] = {
    "slice": sliced,
    "rev": moved,
    "tile": moved,
    "dynamic_slice": moved,
    "gather": gathered,
    "scatter-add": scatter_added,
    "scatter_add": scatter_added,
    "scatter-sub": scatter_subtracted,
    "scatter_sub": scatter_subtracted,
    "scatter": scattered,
    "dynamic_update_slice": updated,
    "pad": padded,
    "concatenate": concatenated,
    "stack": stacked,
    "unstack": unstacked,
    "split": split,
    "sort": ordered,
    "top_k": top,
}
