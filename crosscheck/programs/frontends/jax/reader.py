"""A jaxpr as a program: follows calls, loops and branches, folds integers at this point.

Only `jax.make_jaxpr` and `jax.extend.core` are used, and what equations carry themselves. Calls
are followed by their parameters, not by their names, as the names change from release to release.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

import crosscheck
from crosscheck.arithmetic.formats import FORMATS
from crosscheck.arithmetic.primitives.row import Array
from crosscheck.arithmetic.primitives.table import PRIMITIVES
from crosscheck.programs.errors import is_short
from crosscheck.programs.evaluate import IRRATIONAL
from crosscheck.programs.program import FLOATS, Builder, Operation, Unreadable

OUTSIDE = (os.path.dirname(jax.__file__), os.path.dirname(crosscheck.__file__))
"""Where the frames of JAX and of crosscheck lie, which are not the user's."""

TRIPS = 100_000
"""How often a `while` may go round."""

CALLS = ("jaxpr", "call_jaxpr", "fun_jaxpr")
"""The parameters under which an equation carries what it calls."""


class Traced(NamedTuple):
    """A value of the program, by its number."""

    number: int


Value = Any
"""`Traced`, or a concrete array: integers, booleans that no argument decides, and keys."""

Handler = Callable[["JaxReader", Any, Sequence[Value]], Any]
"""(reader, equation, operands) to the value of the equation, or a list of several."""


class EquationRead(NamedTuple):
    """An equation as it was read: what replays it, and the numbers of the values it gave."""

    equation: Any
    operands: tuple[Value, ...]
    results: tuple[Value, ...]


class CustomCall(NamedTuple):
    """A call of a function with a derivative rule of its own."""

    equation: Any
    operands: tuple[Value, ...]
    source: str


class JaxReader:
    """Writes equations into a builder.

    `table` maps the names of JAX's primitives to what writes them; `point` are the concrete
    inputs, in the order of the builder's, at which integers and branches are decided.
    """

    def __init__(self, table: Mapping[str, Handler], point: Sequence[Array]) -> None:
        self.table = table
        self.build = Builder()
        self.calls: list[EquationRead] = []
        self.customs: list[CustomCall] = []
        self.custom_depth = 0
        self._point = [np.asarray(array) for array in point]
        self._known: dict[int, Array] = {}
        self._active: list[bool] = []
        self._sources: dict[int, tuple[Any, str]] = {}

    # Reading

    def read(self, jaxpr: Any, consts: Sequence[Value], arguments: Sequence[Value]) -> list[Value]:
        """The outputs of an open jaxpr."""
        values: dict[Any, Value] = dict(zip(jaxpr.constvars, consts, strict=True))
        values.update(zip(jaxpr.invars, arguments, strict=True))
        outside = self.build.source
        for equation in jaxpr.eqns:
            self.build.source = self._source(equation) or outside
            operands = tuple(self._operand(values, atom) for atom in equation.invars)
            results = self._equation(equation, operands)
            values.update(zip(equation.outvars, results, strict=True))
        self.build.source = outside
        return [self._operand(values, atom) for atom in jaxpr.outvars]

    def closed(self, closed: Any, arguments: Sequence[Value]) -> list[Value]:
        """The outputs of a jaxpr, closed or open."""
        if not hasattr(closed, "consts"):
            return self.read(closed, (), arguments)
        consts = [self.captured(array) for array in closed.consts]
        return self.read(closed.jaxpr, consts, arguments)

    def function(self, function: Callable[..., Any], *arguments: Value) -> list[Value]:
        """What JAX itself computes an operation by, where it is written in other operations."""
        shapes = [self.like(argument) for argument in arguments]
        return self.closed(jax.make_jaxpr(function)(*shapes), arguments)

    def _equation(self, equation: Any, operands: tuple[Value, ...]) -> list[Value]:
        control = _control(equation)
        if control is not None:
            return control(self, equation, operands)
        if self._folds(equation, operands):
            results = self._folded(equation, operands)
        else:
            name = equation.primitive.name
            if name not in self.table:
                results = self._without_row(equation, operands)
            else:
                answer = self.table[name](self, equation, operands)
                results = answer if isinstance(answer, list) else [answer]
        self.calls.append(EquationRead(equation, operands, tuple(results)))
        return results

    def _operand(self, values: Mapping[Any, Value], atom: Any) -> Value:
        if not hasattr(atom, "val"):
            return values[atom]
        if not _is_float(atom.aval):
            return np.asarray(atom.val, atom.aval.dtype)
        return Traced(self.literal(atom.val, atom.aval))

    def literal(self, value: Any, aval: Any) -> int:
        """A number written in the code; those of a few bits were meant as they stand."""
        number, format = float(np.asarray(value).astype(np.float64)), self.format(aval)
        meant = is_short(np.asarray(number), format)
        return self.build.number(number, format, literal=not meant)

    def captured(self, array: Any) -> Value:
        """An array that the function closes over: data, exact as it stands."""
        if not _is_float(array):
            return concrete(array)
        return Traced(self.build.constant(np.asarray(array), self.format(array)))

    # What equations are written with

    def format(self, aval: Any) -> str:
        """The format of an array. Raises Unreadable for complex and for narrower numbers."""
        name = str(aval.dtype)
        if name not in FLOATS:
            kind = "complex numbers" if "complex" in name else f"numbers in {name}"
            self.refuse(f"{kind} are not read yet")
        return name

    def refuse(self, what: str) -> Any:
        """Raise Unreadable with the line that is being read."""
        place = f" at {self.build.source}" if self.build.source else ""
        raise Unreadable(f"{what}{place}: write it in other operations, or pass reference=")

    def holds(self, what: str) -> None:
        """Say that the program is the function only where `what` stays as it is."""
        place = f" at {self.build.source}" if self.build.source else ""
        sentence = f"{what}{place} was decided at these arguments"
        if sentence not in self.build.holds:
            self.build.holds.append(sentence)

    def number(self, value: Value, format: str | None = None) -> int:
        """The number of a value; what is concrete becomes a constant."""
        if isinstance(value, Traced):
            return value.number
        array = np.asarray(value)
        if array.dtype == bool:
            return self.build.constant(array)
        return self.build.constant(array.astype(np.float64), format or "float64")

    def shape(self, value: Value) -> tuple[int, ...]:
        if isinstance(value, Traced):
            return self.build.shape(value.number)
        return tuple(np.shape(value))

    def like(self, value: Value) -> Any:
        """A value's shape and dtype, as JAX traces with."""
        if not isinstance(value, Traced):
            return value
        format = self.build.format(value.number)
        dtype = np.dtype(bool) if format == "bool" else FORMATS[format].numpy
        return jax.ShapeDtypeStruct(self.build.shape(value.number), dtype)

    # What is known at this point

    def _folds(self, equation: Any, operands: Sequence[Value]) -> bool:
        """Whether the result is known: nothing traced goes in, or integers come out."""
        if not any(isinstance(operand, Traced) for operand in operands):
            return True
        return all(_is_integer(out.aval) for out in equation.outvars)

    def _folded(self, equation: Any, operands: Sequence[Value]) -> list[Value]:
        if any(isinstance(x, Traced) and self.depends(x.number) for x in operands):
            self.holds(f"the result of {equation.primitive.name}")
        return self.at_this_point(equation, [self.concrete(operand) for operand in operands])

    def at_this_point(self, equation: Any, operands: Sequence[Any]) -> list[Value]:
        """The library's own results on concrete operands; floats become constants."""
        results = bound(equation, operands)
        return [
            Traced(self.build.constant(np.asarray(result), self.format(out.aval)))
            if _is_float(out.aval)
            else concrete(result)
            for result, out in zip(results, equation.outvars, strict=True)
        ]

    def _without_row(self, equation: Any, operands: Sequence[Value]) -> list[Value]:
        """An operation that is not in the table can still be data, if no argument reaches it."""
        name = equation.primitive.name
        if any(isinstance(x, Traced) and self.depends(x.number) for x in operands):
            self.refuse(f"{name} is an operation that is not read")
        return self.at_this_point(equation, [self.concrete(operand) for operand in operands])

    def depends(self, number: int) -> bool:
        """Whether a value depends on an input."""
        for operation in self.build.operations[len(self._active) :]:
            active = operation.primitive == "input"
            self._active.append(active or any(self._active[x] for x in operation.operands))
        return self._active[number]

    def concrete(self, value: Value) -> Any:
        """A value at this point, in its own format: rounded after each operation."""
        if not isinstance(value, Traced):
            return value
        format = self.build.format(value.number)
        known = self._evaluated(value.number)
        return known if format == "bool" else known.astype(FORMATS[format].numpy)

    def _evaluated(self, number: int) -> Array:
        waiting = [number]
        while waiting:
            operation = self.build.operations[waiting[-1]]
            missing = [x for x in operation.operands if x not in self._known]
            if waiting[-1] in self._known or not missing:
                current = waiting.pop()
                if current not in self._known:
                    self._known[current] = self._rounded(current, operation)
            else:
                waiting.extend(missing)
        return self._known[number]

    def _rounded(self, number: int, operation: Operation) -> Array:
        if operation.primitive == "input":
            return self._point[self.build.inputs.index(number)].astype(np.float64)
        if operation.primitive == "constant":
            return operation.params["array"]
        if operation.primitive == "irrational":
            value = np.asarray(float(IRRATIONAL[operation.params["name"]]))
        else:
            operands = [self._known[x] for x in operation.operands]
            with np.errstate(all="ignore"):
                row = PRIMITIVES[operation.primitive]
                value = np.asarray(row.evaluate(operation.params, *operands))
        if operation.format in ("bool", "float64"):
            return value
        with np.errstate(all="ignore"):
            return value.astype(FORMATS[operation.format].numpy).astype(np.float64)

    def _source(self, equation: Any) -> str:
        """file:line of the first frame outside JAX and crosscheck."""
        traceback = equation.source_info.traceback
        if traceback is None:
            return ""
        key = id(traceback)
        if key not in self._sources:
            self._sources[key] = (traceback, next(_lines(traceback), ""))
        return self._sources[key][1]


def _lines(traceback: Any) -> Iterator[str]:
    for frame in traceback.frames:
        if not frame.file_name.startswith(OUTSIDE):
            yield f"{frame.file_name}:{frame.line_num}"


def bound(equation: Any, operands: Sequence[Any]) -> list[Any]:
    """What the library's own operation gives, as a list."""
    answer = equation.primitive.bind(*operands, **equation.params)
    return list(answer) if equation.primitive.multiple_results else [answer]


def concrete(result: Any) -> Any:
    """A NumPy array; keys of random numbers stay what they are."""
    if jax.dtypes.issubdtype(result.dtype, jax.dtypes.extended):
        return result
    return np.asarray(result)


def _is_float(aval: Any) -> bool:
    return bool(jax.dtypes.issubdtype(aval.dtype, np.inexact))


def _is_integer(aval: Any) -> bool:
    return not _is_float(aval) and aval.dtype != np.bool_


# Control flow, by the parameters that an equation carries


def _control(equation: Any) -> Callable[[JaxReader, Any, Sequence[Value]], list[Value]] | None:
    params = equation.params
    if "cond_jaxpr" in params and "body_jaxpr" in params:
        return _while
    if "branches" in params:
        return _cond
    if "length" in params and "num_carry" in params:
        return _scan
    if any(name in params for name in CALLS):
        return _call
    return None


def _call(reader: JaxReader, equation: Any, operands: Sequence[Value]) -> list[Value]:
    """jit, remat, custom_jvp, custom_vjp, closed calls: what they call, custom rules dropped."""
    called = next(equation.params[name] for name in CALLS if name in equation.params)
    jaxpr = getattr(called, "jaxpr", called)
    if len(jaxpr.invars) != len(operands):
        reader.refuse(f"{equation.primitive.name} is a call that is not read")
    custom = "fwd_jaxpr_thunk" in equation.params or "jvp_jaxpr_fun" in equation.params
    if custom and not reader.custom_depth:
        reader.customs.append(CustomCall(equation, tuple(operands), reader.build.source))
    reader.custom_depth += custom
    results = reader.closed(called, operands)
    reader.custom_depth -= custom
    return results


def _cond(reader: JaxReader, equation: Any, operands: Sequence[Value]) -> list[Value]:
    which, *arguments = operands
    branches = equation.params["branches"]
    place = int(np.clip(int(np.asarray(reader.concrete(which))), 0, len(branches) - 1))
    return reader.closed(branches[place], arguments)


def _scan(reader: JaxReader, equation: Any, operands: Sequence[Value]) -> list[Value]:
    """A scan of known length, step by step."""
    params = equation.params
    consts, carries = params["num_consts"], params["num_carry"]
    fixed, carry = list(operands[:consts]), list(operands[consts : consts + carries])
    rows = [_slices(reader, xs, params["length"]) for xs in operands[consts + carries :]]
    steps = range(params["length"])
    shown: dict[int, list[Value]] = {}
    for step in reversed(steps) if params["reverse"] else steps:
        results = reader.closed(params["jaxpr"], [*fixed, *carry, *(row[step] for row in rows)])
        carry, shown[step] = results[:carries], results[carries:]
    outs = equation.outvars[carries:]
    stacked = [
        _stacked(reader, [shown[step][place] for step in steps], out.aval)
        for place, out in enumerate(outs)
    ]
    return [*carry, *stacked]


def _slices(reader: JaxReader, xs: Value, length: int) -> list[Value]:
    if not isinstance(xs, Traced):
        return [concrete(xs[step]) for step in range(length)]
    shape = reader.shape(xs)
    index = np.arange(int(np.prod(shape, dtype=int))).reshape(shape)
    return [Traced(reader.build("take", xs.number, index=index[step])) for step in range(length)]


def _stacked(reader: JaxReader, rows: Sequence[Value], aval: Any) -> Value:
    if not any(isinstance(row, Traced) for row in rows):
        if not rows and _is_float(aval):
            return Traced(reader.build.constant(np.zeros(aval.shape), reader.format(aval)))
        return np.stack(rows) if rows else np.zeros(aval.shape, aval.dtype)
    build = reader.build
    numbers = [reader.number(row) for row in rows]
    lifted = [build("reshape", n, shape=(1, *build.shape(n))) for n in numbers]
    return Traced(lifted[0] if len(lifted) == 1 else build("concatenate", *lifted, axis=0))


def _while(reader: JaxReader, equation: Any, operands: Sequence[Value]) -> list[Value]:
    """A loop by the trips that it makes at this point."""
    params = equation.params
    tested, repeated = params["cond_nconsts"], params["body_nconsts"]
    for_test, for_body = operands[:tested], operands[tested : tested + repeated]
    carry = list(operands[tested + repeated :])
    for _ in range(TRIPS):
        (goes_on,) = reader.closed(params["cond_jaxpr"], [*for_test, *carry])
        if isinstance(goes_on, Traced):
            reader.holds("the number of trips of a loop")
        if not np.asarray(reader.concrete(goes_on)):
            return carry
        carry = reader.closed(params["body_jaxpr"], [*for_body, *carry])
    return reader.refuse(f"a loop went round more than {TRIPS:,} times")
