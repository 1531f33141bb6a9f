"""What was read of JAX: programs with how to replay them, and custom rules by themselves."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core as jex

from crosscheck.arithmetic.primitives.row import Array
from crosscheck.arithmetic.primitives.table import PRIMITIVES
from crosscheck.programs.derive import STILL
from crosscheck.programs.frontends.jax.primitives import TABLE
from crosscheck.programs.frontends.jax.reader import CustomCall, JaxReader, Traced, Value, bound
from crosscheck.programs.frontends.subject import CustomRule
from crosscheck.programs.program import Program, Unreadable, needed


class Reading:
    """A jaxpr that was read at a point: its program, and how to replay it."""

    def __init__(self, closed: Any, point: Sequence[Array]) -> None:
        self.reader = JaxReader(TABLE, point)
        build = self.reader.build
        inputs = [
            Traced(build.input(tuple(aval.shape), self.reader.format(aval)))
            for aval in closed.in_avals
        ]
        results = self.reader.closed(closed, inputs)
        formats = [str(aval.dtype) for aval in closed.out_avals]
        outputs = [
            self.reader.number(result, format)
            for result, format in zip(results, formats, strict=True)
        ]
        self.program = build.program(outputs)
        asked = needed(Program(tuple(build.operations), tuple(build.inputs), tuple(outputs)))
        self._places = {int(n): place for place, n in enumerate(np.flatnonzero(asked))}

    def replay(self, inputs: Sequence[Array]) -> dict[int, Array]:
        """The library's own value of each of the program's values that an equation gave."""
        build = self.reader.build
        values: dict[int, Any] = {
            number: jnp.asarray(array) for number, array in zip(build.inputs, inputs, strict=True)
        }
        given = set(values)
        for call in self.reader.calls:
            operands = [self._operand(values, operand) for operand in call.operands]
            if not any(isinstance(result, Traced) for result in call.results):
                continue
            results = bound(call.equation, operands)
            for value, result in zip(call.results, results, strict=True):
                if isinstance(value, Traced):
                    values.setdefault(value.number, result)
                    given.add(value.number)
        return {
            self._places[number]: np.array(values[number])
            for number in sorted(given)
            if number in self._places
        }

    def _operand(self, values: dict[int, Any], operand: Value) -> Any:
        if not isinstance(operand, Traced):
            return operand
        return jnp.asarray(self._value(values, operand.number))

    def _value(self, values: dict[int, Any], number: int) -> Any:
        """A value of an equation, or what was made of such between equations: moved entries."""
        operation = self.reader.build.operations[number]
        if number in values:
            return values[number]
        if operation.primitive in STILL:
            value = self.reader.concrete(Traced(number))
        else:
            operands = [np.asarray(self._value(values, x)) for x in operation.operands]
            value = PRIMITIVES[operation.primitive].evaluate(operation.params, *operands)
        values[number] = value
        return value


def custom_rule(reader: JaxReader, call: CustomCall) -> CustomRule | None:
    """A call of a custom rule by itself; None where no argument reaches it."""
    equation = call.equation
    known = {
        atom: operand
        for atom, operand in zip(equation.invars, call.operands, strict=True)
        if not hasattr(atom, "val")
    }
    active = [
        atom
        for atom, operand in known.items()
        if isinstance(operand, Traced)
        and reader.build.format(operand.number) != "bool"
        and reader.depends(operand.number)
    ]
    if not active:
        return None
    body = getattr(called_by(equation), "jaxpr", called_by(equation))
    arguments = list(known)
    results = [out for out in equation.outvars if not isinstance(out, jex.DropVar)]
    alone = body.replace(
        constvars=[], invars=arguments, outvars=results, eqns=[equation], debug_info=body.debug_info
    )
    run = jex.jaxpr_as_fun(jex.ClosedJaxpr(alone, []))
    point = {atom: reader.concrete(known[atom]) for atom in arguments}

    def function(*moved: Any) -> Any:
        there = {**point, **dict(zip(active, moved, strict=True))}
        answer = run(*(there[atom] for atom in arguments))
        return [leaf for leaf in answer if is_floating(leaf)]

    def pulled(*arrays: Any) -> Any:
        values, pull = jax.vjp(function, *arrays[: len(active)])
        return (*values, *pull(list(arrays[len(active) :])))

    inputs = [np.asarray(point[atom]) for atom in active]
    primal = traced(function, inputs)
    cotangents = [np.ones(aval.shape, aval.dtype) for aval in primal.out_avals]
    name, written = named(body)
    return CustomRule(
        name,
        call.source or written,
        Reading(primal, inputs).program,
        Reading(traced(pulled, [*inputs, *cotangents]), [*inputs, *cotangents]).program,
        tuple(inputs),
    )


def called_by(equation: Any) -> Any:
    """What a custom rule's call computes."""
    return equation.params.get("call_jaxpr") or equation.params["fun_jaxpr"]


def named(jaxpr: Any) -> tuple[str, str]:
    """The function's name, and the file:line where it is written."""
    name, _, place = str(jaxpr.debug_info.func_src_info).partition(" at ")
    return name, place


def traced(function: Callable[..., Any], shapes: Sequence[Any]) -> Any:
    """The jaxpr. Raises Unreadable where the function asks for values while it is traced."""

    def fresh(*arrays: Any) -> Any:  # JAX keeps what it traced by function; ours is new each time
        return function(*arrays)

    try:
        return jax.make_jaxpr(fresh)(*shapes)
    except (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError) as error:
        first = str(error).partition("\n")[0]
        raise Unreadable(
            f"the function asks for a value while it is traced ({first}): write jnp.where or "
            "jax.lax.cond, or pass reference="
        ) from error


def is_array(leaf: Any) -> bool:
    """Whether a leaf is an array, of NumPy or JAX, or a number of NumPy."""
    return isinstance(leaf, (jax.Array, np.ndarray, np.generic))


def is_floating(leaf: Any, scalars: bool = False) -> bool:
    """Whether a leaf can be differentiated: floats; complex numbers are refused when read."""
    if scalars and isinstance(leaf, float):
        return True
    return is_array(leaf) and bool(jax.dtypes.issubdtype(leaf.dtype, np.inexact))
