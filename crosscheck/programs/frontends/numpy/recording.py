"""A run on traced arrays as a program, with the numbers that NumPy gave for its values."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from crosscheck.arithmetic.formats import FORMATS
from crosscheck.arithmetic.primitives.row import Array
from crosscheck.arithmetic.primitives.table import PRIMITIVES
from crosscheck.programs.frontends.numpy.functions import contractions, moves, reductions, ufuncs
from crosscheck.programs.frontends.numpy.recorder import Recorder, format_of
from crosscheck.programs.frontends.numpy.traced_array import TracedArray, traced
from crosscheck.programs.program import Operation, Program, Unreadable, needed

FUNCTIONS = {
    **moves.FUNCTIONS,
    **reductions.FUNCTIONS,
    **contractions.FUNCTIONS,
}
"""Every function of NumPy that is read, beside its ufuncs."""

MOVES = frozenset({"reshape", "transpose", "broadcast", "take", "concatenate", "stop"})
"""Operations that round nothing, whose values follow from those of their operands."""


class Recording(NamedTuple):
    """A program, and NumPy's own values of its values, by number."""

    program: Program
    values: dict[int, Array]


@contextmanager
def refusals() -> Iterator[None]:
    """Let Unreadable through where NumPy made another exception of it, in an assignment."""
    try:
        yield
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, Unreadable):
            cause = cause.__cause__ or cause.__context__
        if cause is None or cause is error:
            raise
        raise cause from None


def begun() -> Recorder:
    """A recorder that reads all that is read of NumPy."""
    return Recorder(traced, ufuncs.called, FUNCTIONS)


def number_of(recorder: Recorder, leaf: Any) -> int:
    """The value of a result: what is not traced does not depend on the inputs."""
    if isinstance(leaf, TracedArray):
        return leaf.number
    array = np.asarray(leaf)
    return recorder.builder.constant(array, format_of(array.dtype))


def finished(recorder: Recorder, outputs: Sequence[int]) -> Recording:
    """The program, and the recorded values by its own numbers."""
    builder = recorder.builder
    whole = Program(tuple(builder.operations), tuple(builder.inputs), tuple(outputs))
    place = np.cumsum(needed(whole)) - 1
    kept = needed(whole)
    values = {int(place[x]): value for x, value in recorder.values.items() if kept[x]}
    program = builder.program(outputs)
    return Recording(program, _followed(program, values))


def _followed(program: Program, values: dict[int, Array]) -> dict[int, Array]:
    """The recorded values, and those of operations that only move them."""
    for number, operation in enumerate(program.operations):
        if number in values:
            continue
        if operation.primitive == "constant":
            values[number] = operation.params["array"].astype(_dtype(operation))
        elif operation.primitive in MOVES and all(x in values for x in operation.operands):
            row = PRIMITIVES[operation.primitive]
            given = [values[x] for x in operation.operands]
            values[number] = np.asarray(row.evaluate(operation.params, *given))
    return values


def _dtype(operation: Operation) -> np.dtype[Any]:
    return np.dtype(bool) if operation.format == "bool" else FORMATS[operation.format].numpy
