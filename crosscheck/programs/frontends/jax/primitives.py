"""JAX's primitives as operations of programs: a table from their names.

A handler is called as (reader, equation, operands) and gives the equation's value. Operations
whose results are integers never come here: they are folded.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from crosscheck.arithmetic.primitives.row import BOOLEAN
from crosscheck.arithmetic.primitives.table import PRIMITIVES
from crosscheck.programs.frontends.jax import indexing, shapes, windows
from crosscheck.programs.frontends.jax.reader import Handler, JaxReader, Traced, Value

SAME = (
    *("sub", "div", "neg", "max", "min", "abs", "sign", "floor", "ceil", "round", "square"),
    *("exp", "exp2", "expm1", "log", "log1p", "sqrt", "rsqrt", "cbrt", "logistic"),
    *("sin", "cos", "tan", "asin", "acos", "atan", "atan2"),
    *("sinh", "cosh", "tanh", "asinh", "acosh", "atanh"),
    *("erf", "erfc", "lgamma", "digamma"),
    *("lt", "le", "gt", "ge", "and", "or", "not", "xor", "is_finite"),
)
"""Operations, entry by entry, that are called the same here and there."""

RENAMED = {"erf_inv": "erfinv"}

KEPT = (
    *("copy", "copy_p", "device_put", "name", "optimization_barrier"),
    *("sharding_constraint", "mesh_cast", "reshard", "pvary"),
)
"""Operations that give what they are given."""


def entrywise(primitive: str) -> Handler:
    """A row of the table of primitives on these operands, in the equation's format."""

    def handle(reader: JaxReader, equation: Any, operands: Sequence[Value]) -> Value:
        return written(reader, equation, primitive, *operands)

    return handle


def written(
    reader: JaxReader, equation: Any, primitive: str, *operands: Value, **params: Any
) -> Traced:
    """One operation with the result's format."""
    if PRIMITIVES[primitive].kind == BOOLEAN or equation.outvars[0].aval.dtype == np.bool_:
        numbers = [reader.number(x) for x in operands]
        return Traced(reader.build(primitive, *numbers, **params))
    format = reader.format(equation.outvars[0].aval)
    numbers = [reader.number(x, format) for x in operands]
    return Traced(reader.build(primitive, *numbers, format=format, **params))


def all_equal(reader: JaxReader, value: Value, to: float) -> bool:
    """Whether a value is a constant with this number in every entry."""
    if not isinstance(value, Traced):
        return bool(np.all(np.asarray(value) == to))
    operation = reader.build.operations[value.number]
    while operation.primitive in ("broadcast", "reshape", "cast"):
        operation = reader.build.operations[operation.operands[0]]
    return operation.primitive == "constant" and bool(np.all(operation.params["array"] == to))


def _has_format(reader: JaxReader, value: Traced, aval: Any) -> bool:
    return reader.build.format(value.number) == str(aval.dtype)


def neutral(primitive: str, unit: float) -> Handler:
    """A sum or product, without what changes nothing: x + 0, 1 · x."""

    def handle(reader: JaxReader, equation: Any, operands: Sequence[Value]) -> Value:
        aval = equation.outvars[0].aval
        for one, other in (operands, operands[::-1]):
            fits = isinstance(other, Traced) and reader.shape(other) == tuple(aval.shape)
            if fits and _has_format(reader, other, aval) and all_equal(reader, one, unit):
                return other
        return written(reader, equation, primitive, *operands)

    return handle


# Comparisons that are decided together


def _origin(reader: JaxReader, number: int) -> int:
    """The value before it was repeated or reshaped."""
    operation = reader.build.operations[number]
    while operation.primitive in ("broadcast", "reshape", "stop"):
        number = operation.operands[0]
        operation = reader.build.operations[number]
    return number


def _repeats(reader: JaxReader, number: int, source: int, axes: tuple[int, ...]) -> bool:
    """Whether a value repeats `source` along the axes that were reduced, and nothing else."""
    shape = reader.build.shape(source)
    places = np.arange(int(np.prod(shape, dtype=int))).reshape(shape)
    steps = []
    while number != source:
        steps.append(reader.build.operations[number])
        number = steps[-1].operands[0]
    for operation in reversed(steps):
        if operation.primitive != "stop":
            places = PRIMITIVES[operation.primitive].evaluate(operation.params, places)
    reduced = reader.build.operations[source].operands[0]
    whole = reader.build.shape(reduced)
    kept = tuple(1 if axis in axes else n for axis, n in enumerate(whole))
    expected = np.arange(int(np.prod(shape, dtype=int))).reshape(kept)
    fits = np.broadcast_shapes(places.shape, whole) == whole
    return fits and bool(np.all(places == expected))


def _attained(reader: JaxReader, one: int, other: int) -> int | None:
    """x == max(x) is "is the largest", x == max(x, y) is x >= y; None where it is neither."""
    source = _origin(reader, other)
    operation = reader.build.operations[source]
    if operation.primitive in ("reduce_max", "reduce_min") and operation.operands[0] == one:
        axes = tuple(operation.params["axes"])
        if not _repeats(reader, other, source, axes):
            return None
        ranked = one if operation.primitive == "reduce_max" else reader.build("neg", one)
        return reader.build("attains", ranked, axes=axes)
    if operation.primitive in ("max", "min") and source == other:
        same = [_origin(reader, x) == _origin(reader, one) for x in operation.operands]
        if any(same):
            rival = operation.operands[1 - same.index(True)]
            return reader.build("ge" if operation.primitive == "max" else "le", one, rival)
    return None


def equal(reader: JaxReader, equation: Any, operands: Sequence[Value]) -> Value:
    """==, without guessing where both sides come of one choice."""
    if all(isinstance(x, Traced) for x in operands):
        one, other = (x.number for x in operands)
        if one == other and reader.build.format(one) != "bool":
            return np.ones(equation.outvars[0].aval.shape, bool)
        for pair in ((one, other), (other, one)):
            attained = _attained(reader, *pair)
            if attained is not None:
                return Traced(attained)
    if _boolean(reader, operands):
        return Traced(reader.build("not", written(reader, equation, "xor", *operands).number))
    return written(reader, equation, "eq", *operands)


def unequal(reader: JaxReader, equation: Any, operands: Sequence[Value]) -> Value:
    """!=; x != x asks for what is not a number, which there is none of."""
    if _boolean(reader, operands):
        return written(reader, equation, "xor", *operands)
    same = equal(reader, equation, operands)
    if not isinstance(same, Traced):
        return ~same
    operation = reader.build.operations[same.number]
    if operation.primitive == "eq":
        return written(reader, equation, "ne", *operands)
    return Traced(reader.build("not", same.number))


def _boolean(reader: JaxReader, operands: Sequence[Value]) -> bool:
    first = operands[0]
    if isinstance(first, Traced):
        return reader.build.format(first.number) == "bool"
    return np.asarray(first).dtype == bool


def selected(reader: JaxReader, equation: Any, operands: Sequence[Value]) -> Value:
    """select_n: the case that the first operand counts."""
    which, *cases = operands
    if not isinstance(which, Traced):
        chosen = np.asarray(which).astype(int)
        if len(set(chosen.reshape(-1).tolist())) == 1:
            case = cases[int(chosen.flat[0])]
            if reader.shape(case) == tuple(equation.outvars[0].aval.shape):
                return case
        result = cases[0]
        for place, case in enumerate(cases[1:], 1):
            result = written(reader, equation, "select", chosen == place, case, result)
        return result
    return written(reader, equation, "select", which, cases[1], cases[0])


def clamped(reader: JaxReader, equation: Any, operands: Sequence[Value]) -> Value:
    """min(max(x, low), high)."""
    low, x, high = operands
    raised = written(reader, equation, "max", x, low)
    return written(reader, equation, "min", raised, high)


# Powers, formats


def integer_power(reader: JaxReader, equation: Any, operands: Sequence[Value]) -> Value:
    """x to an integer, which is a parameter."""
    exponent = equation.params["y"]
    if exponent == 2:
        return written(reader, equation, "square", *operands)
    return written(reader, equation, "integer_pow", *operands, exponent=exponent)


def power(reader: JaxReader, equation: Any, operands: Sequence[Value]) -> Value:
    """x to the y, where y may be an integer."""
    x, y = operands
    if not isinstance(y, Traced) and np.size(y) == 1:
        exponent = int(np.asarray(y).reshape(()))
        return written(reader, equation, "integer_pow", x, exponent=exponent)
    return written(reader, equation, "pow", x, y)


def remainder(reader: JaxReader, equation: Any, operands: Sequence[Value]) -> Value:
    """x - y trunc(x / y)."""
    x, y = operands
    quotient = written(reader, equation, "div", x, y)
    positive = Traced(reader.build("ge", quotient.number, 0.0))
    whole = written(
        reader,
        equation,
        "select",
        positive,
        written(reader, equation, "floor", quotient),
        written(reader, equation, "ceil", quotient),
    )
    return written(reader, equation, "sub", x, written(reader, equation, "mul", y, whole))


def polygamma(reader: JaxReader, equation: Any, operands: Sequence[Value]) -> Value:
    """The derivatives of digamma, by their order."""
    order, x = operands
    orders = np.unique(reader.concrete(order))
    if orders.size != 1:
        reader.refuse("polygamma of several orders at once is an operation that is not read")
    n = int(orders[0])
    if n == 0:
        return written(reader, equation, "digamma", x)
    return written(reader, equation, "polygamma", x, order=n)


def converted(reader: JaxReader, equation: Any, operands: Sequence[Value]) -> Value:
    """convert_element_type between floats, from booleans, and to them."""
    (x,) = operands
    aval = equation.outvars[0].aval
    if aval.dtype == np.bool_:
        if _boolean(reader, operands):
            return x
        return Traced(reader.build("ne", x.number, 0.0))
    format = reader.format(aval)
    if reader.build.format(x.number) == format:
        return x
    return Traced(reader.build("cast", x.number, format=format))


PRECISIONS = {(8, 7): "bfloat16", (5, 10): "float16", (8, 23): "float32", (11, 52): "float64"}


def reduced_precision(reader: JaxReader, equation: Any, operands: Sequence[Value]) -> Value:
    """There and back, where the format is one that we know."""
    params = equation.params
    narrow = PRECISIONS.get((params["exponent_bits"], params["mantissa_bits"]))
    if narrow is None:
        reader.refuse("reduce_precision to a format without a name is not read")
    format = reader.format(equation.outvars[0].aval)
    if narrow == format:
        return operands[0]
    cast = reader.build("cast", reader.number(operands[0]), format=narrow)
    return Traced(reader.build("cast", cast, format=format))


# Reductions and running reductions


def reduction(primitive: str) -> Handler:
    """A sum, product, maximum or minimum over axes."""

    def handle(reader: JaxReader, equation: Any, operands: Sequence[Value]) -> Value:
        axes = tuple(int(axis) for axis in equation.params["axes"])
        if not axes:
            return operands[0]
        return written(reader, equation, primitive, *operands, axes=axes)

    return handle


def any_or_all(primitive: str) -> Handler:
    """reduce_or and reduce_and, as the largest and the smallest of 0 and 1."""

    def handle(reader: JaxReader, equation: Any, operands: Sequence[Value]) -> Value:
        number = reader.build("cast", reader.number(operands[0]), format="float64")
        axes = tuple(int(axis) for axis in equation.params["axes"])
        return Traced(reader.build("gt", reader.build(primitive, number, axes=axes), 0.5))

    return handle


def running(primitive: str) -> Handler:
    """A running sum or product along an axis."""

    def handle(reader: JaxReader, equation: Any, operands: Sequence[Value]) -> Value:
        params = equation.params
        return written(
            reader,
            equation,
            primitive,
            *operands,
            axis=int(params["axis"]),
            reverse=bool(params["reverse"]),
        )

    return handle


def scanned(combine: Callable[..., Any]) -> Handler:
    """Running reductions that JAX itself computes by an associative scan."""

    def handle(reader: JaxReader, equation: Any, operands: Sequence[Value]) -> list[Value]:
        params = equation.params
        return reader.function(
            lambda x: jax.lax.associative_scan(
                combine, x, reverse=params["reverse"], axis=params["axis"]
            ),
            *operands,
        )

    return handle


def kept(reader: JaxReader, equation: Any, operands: Sequence[Value]) -> list[Value]:
    """What is given, as it is."""
    return list(operands)


def stopped(reader: JaxReader, equation: Any, operands: Sequence[Value]) -> Value:
    """stop_gradient: the same numbers, held constant by the derivative."""
    return written(reader, equation, "stop", *operands)


TABLE: Mapping[str, Handler] = {
    **{name: entrywise(name) for name in SAME},
    **{name: entrywise(row) for name, row in RENAMED.items()},
    **dict.fromkeys(KEPT, kept),
    "add": neutral("add", 0.0),
    "add_any": neutral("add", 0.0),
    "mul": neutral("mul", 1.0),
    "eq": equal,
    "ne": unequal,
    "select_n": selected,
    "clamp": clamped,
    "integer_pow": integer_power,
    "pow": power,
    "rem": remainder,
    "polygamma": polygamma,
    "convert_element_type": converted,
    "reduce_precision": reduced_precision,
    "stop_gradient": stopped,
    "reduce_sum": reduction("sum"),
    "reduce_prod": reduction("prod"),
    "reduce_max": reduction("reduce_max"),
    "reduce_min": reduction("reduce_min"),
    "reduce_or": any_or_all("reduce_max"),
    "reduce_and": any_or_all("reduce_min"),
    "cumsum": running("cumsum"),
    "cumprod": running("cumprod"),
    "cummax": scanned(jax.lax.max),
    "cummin": scanned(jax.lax.min),
    "cumlogsumexp": scanned(jnp.logaddexp),
    **shapes.TABLE,
    **indexing.TABLE,
    **windows.TABLE,
}
"""What is read, by the name of JAX's primitive; calls, loops and branches are the reader's."""
