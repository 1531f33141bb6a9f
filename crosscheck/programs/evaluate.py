"""A program's values: in float64 or longdouble, and in balls."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from crosscheck.arithmetic.primitives.row import Array
from crosscheck.arithmetic.primitives.table import PRIMITIVES
from crosscheck.programs.errors import Promise, of_constant
from crosscheck.programs.program import Operation, Program

IRRATIONAL: Mapping[str, str] = {
    "2/sqrt(pi)": "1.12837916709551257389615890312154517",
    "sqrt(pi)/2": "0.886226925452758013649083741670572591",
    "log(2)": "0.693147180559945309417232121458176568",
    "log(10)": "2.30258509299404568401799145468436421",
    "pi": "3.14159265358979323846264338327950288",
    "sqrt(2*pi)": "2.50662827463100050241576528481104525",
}
"""Constants of mathematics to 36 digits."""

MATHEMATICAL = {
    "2/sqrt(pi)": lambda arb: 2 / arb.pi().sqrt(),
    "sqrt(pi)/2": lambda arb: arb.pi().sqrt() / 2,
    "log(2)": lambda arb: arb.const_log2(),
    "log(10)": lambda arb: arb.const_log10(),
    "pi": lambda arb: arb.pi(),
    "sqrt(2*pi)": lambda arb: (2 * arb.pi()).sqrt(),
}
"""The same as balls of the working precision."""

LONG = np.finfo(np.longdouble).nmant >= 63
"""Whether long double is wider than float64 here."""


def evaluate(program: Program, inputs: Sequence[Array], dtype: Any = np.float64) -> list[Array]:
    """All values, in float64 or longdouble; booleans as they are.

    Raises ValueError where the inputs do not fit the program.
    """
    given = dict(zip(program.inputs, _fitting(program, inputs), strict=True))
    values: list[Array] = []
    with np.errstate(all="ignore"):
        for number, operation in enumerate(program.operations):
            if number in given:
                values.append(_as(given[number], dtype))
            elif operation.primitive == "constant":
                values.append(_as(operation.params["array"], dtype))
            elif operation.primitive == "irrational":
                values.append(np.asarray(dtype(IRRATIONAL[operation.params["name"]])))
            else:
                row = PRIMITIVES[operation.primitive]
                operands = [values[x] for x in operation.operands]
                value = row.evaluate(operation.params, *operands)
                values.append(value if isinstance(value, np.ndarray) else np.asarray(value))
    return values


def _as(array: Array, dtype: Any) -> Array:
    return array if array.dtype == bool else array.astype(dtype)


def _fitting(program: Program, inputs: Sequence[Array]) -> list[Array]:
    if len(inputs) != len(program.inputs):
        raise ValueError(f"{len(inputs)} inputs were given, the program has {len(program.inputs)}")
    for array, number in zip(inputs, program.inputs, strict=True):
        shape = program.operations[number].shape
        if np.shape(array) != shape:
            raise ValueError(f"an input of shape {np.shape(array)} was given for {shape}")
    return [np.asarray(array) for array in inputs]


def enclose(
    program: Program, inputs: Sequence[Array], bits: int = 128, literals: bool = False
) -> list[Array]:
    """The outputs as object arrays of arb, in exact arithmetic at the inputs as they are.

    With `literals` numbers in code are balls of all that round to them.
    """
    from crosscheck.exact.oracle import working_precision

    with working_precision(bits):
        return _enclosed(program, inputs, literals)


def _enclosed(program: Program, inputs: Sequence[Array], literals: bool) -> list[Array]:
    last = _last_uses(program)
    given = dict(zip(program.inputs, _fitting(program, inputs), strict=True))
    values: dict[int, Array] = {}
    for number, operation in enumerate(program.operations):
        if number in given:
            values[number] = as_balls(given[number])
        else:
            operands = [values[x] for x in operation.operands]
            values[number] = _ball_of(operation, operands, literals)
        for operand in operation.operands:
            if last[operand] == number:
                values.pop(operand, None)
    return [values[x] for x in program.outputs]


def _ball_of(operation: Operation, operands: Sequence[Array], literals: bool) -> Array:
    if operation.primitive == "constant":
        return _ball_of_constant(operation, literals)
    if operation.primitive == "irrational":
        from flint import arb

        value = np.empty((), object)
        value[()] = MATHEMATICAL[operation.params["name"]](arb)
        return value
    return PRIMITIVES[operation.primitive].balls(operation.params, *operands)


def _ball_of_constant(operation: Operation, literals: bool) -> Array:
    array = operation.params["array"]
    if array.dtype == bool:
        return array.astype(object)
    balls = as_balls(array)
    error = of_constant(operation, array, Promise(reference=0.0, literals=literals))
    if error is not None:
        from flint import arb

        widened = zip(balls.reshape(-1), error.reshape(-1).tolist(), strict=True)
        balls.reshape(-1)[:] = [ball + arb(0, radius) for ball, radius in widened]
    return balls


def as_balls(array: Array) -> Array:
    """Floats as balls of radius 0, whatever their format."""
    from flint import arb

    wide = np.asarray(array).astype(np.float64)
    balls = np.empty(wide.size, object)
    balls[:] = [arb(x) for x in wide.reshape(-1).tolist()]
    return balls.reshape(wide.shape)


def _last_uses(program: Program) -> list[int]:
    last = [-1] * len(program)
    for number, operation in enumerate(program.operations):
        for operand in operation.operands:
            last[operand] = number
    for output in program.outputs:
        last[output] = len(program)
    return last
