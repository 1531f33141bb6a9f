"""JAX's products and changes of shape, in terms of transpose, reshape, broadcast and dot."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from crosscheck.programs.frontends.jax.reader import Handler, JaxReader, Traced, Value


def product(reader: JaxReader, equation: Any, operands: Sequence[Value]) -> Value:
    """dot_general: batch axes first, then rows, then what is summed; and a matrix product."""
    (contract_x, contract_y), (batch_x, batch_y) = equation.params["dimension_numbers"]
    build, aval = reader.build, equation.outvars[0].aval
    x, y = (reader.number(operand) for operand in operands)
    free_x = [a for a in range(len(build.shape(x))) if a not in (*contract_x, *batch_x)]
    free_y = [a for a in range(len(build.shape(y))) if a not in (*contract_y, *batch_y)]

    def sizes(value: int, axes: Sequence[int]) -> int:
        return int(np.prod([build.shape(value)[a] for a in axes], dtype=int))

    batch = tuple(build.shape(x)[a] for a in batch_x)
    summed = sizes(x, contract_x)
    left = arranged(reader, x, (*batch_x, *free_x, *contract_x), (*batch, sizes(x, free_x), summed))
    right = arranged(
        reader, y, (*batch_y, *contract_y, *free_y), (*batch, summed, sizes(y, free_y))
    )
    result = build("dot", left, right, format=reader.format(aval))
    return Traced(reshaped(reader, result, tuple(aval.shape)))


def arranged(reader: JaxReader, value: int, order: Sequence[int], shape: Sequence[int]) -> int:
    """Axes in another order, then another shape; nothing where that is what there is."""
    if tuple(order) != tuple(range(len(order))):
        value = reader.build("transpose", value, axes=tuple(int(axis) for axis in order))
    return reshaped(reader, value, tuple(shape))


def reshaped(reader: JaxReader, value: int, shape: tuple[int, ...]) -> int:
    """The same entries in another shape; nothing where that is the shape they have."""
    if reader.build.shape(value) == shape:
        return value
    return reader.build("reshape", value, shape=shape)


def to_shape(reader: JaxReader, equation: Any, operands: Sequence[Value]) -> Value:
    """reshape, squeeze, expand_dims: the shape of the result says it, and an order of axes."""
    shape, number = tuple(equation.outvars[0].aval.shape), reader.number(operands[0])
    order = equation.params.get("dimensions") if equation.primitive.name == "reshape" else None
    order = range(len(reader.build.shape(number))) if order is None else order
    return Traced(arranged(reader, number, order, shape))


def transposed(reader: JaxReader, equation: Any, operands: Sequence[Value]) -> Value:
    """The axes in another order."""
    axes = tuple(int(axis) for axis in equation.params["permutation"])
    return Traced(reader.build("transpose", reader.number(operands[0]), axes=axes))


def broadcast(reader: JaxReader, equation: Any, operands: Sequence[Value]) -> Value:
    """broadcast_in_dim: the operand's axes go where they are told, new ones between."""
    shape = tuple(equation.outvars[0].aval.shape)
    number = reader.number(operands[0])
    before = reader.build.shape(number)
    spread = [1] * len(shape)
    for size, axis in zip(before, equation.params["broadcast_dimensions"], strict=True):
        spread[axis] = size
    if before:
        number = reshaped(reader, number, tuple(spread))
    if reader.build.shape(number) == shape:
        return Traced(number)
    return Traced(reader.build("broadcast", number, shape=shape))


TABLE: Mapping[str, Handler] = {
    "dot_general": product,
    "reshape": to_shape,
    "squeeze": to_shape,
    "expand_dims": to_shape,
    "transpose": transposed,
    "broadcast_in_dim": broadcast,
}
