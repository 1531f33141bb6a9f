"""A program: a straight line of operations on arrays, and what builds one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from crosscheck.arithmetic.primitives.row import BOOLEAN, REAL, Array, Params, Shape
from crosscheck.arithmetic.primitives.table import PRIMITIVES

FLOATS = ("float64", "float32", "bfloat16", "float16")
"""The formats that values are stored in, the widest first."""


class Unreadable(ValueError):
    """A program that cannot be followed: which operation, where, and what to do instead."""


class Endless(Unreadable):
    """More operations than a program may have: a loop that does not end, most likely."""


@dataclass(frozen=True, eq=False)
class Operation:
    """One equation: a primitive on values by their numbers, which gives one value.

    `format` is the format that the value is stored in, "bool" for booleans; `source` the line
    of the user's code that asked for it, as file:line, or "".
    """

    primitive: str
    operands: tuple[int, ...]
    shape: Shape
    format: str
    params: Params = field(default_factory=dict)
    source: str = ""

    @property
    def kind(self) -> str:
        return BOOLEAN if self.format == "bool" else REAL


@dataclass(frozen=True, eq=False)
class Program:
    """A function of its inputs: operations in order, and which of their values it returns.

    A value's number is its operation's place. Inputs are operations called "input", constants
    are called "constant" and carry their `array`; `literal` constants were written into the code
    as a number and may be rounded from what was meant. `holds` says, a sentence each, at which
    inputs only the program is the function: branches that were taken, an order that was found.
    """

    operations: tuple[Operation, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    holds: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.operations)

    @cached_property
    def derived(self) -> dict[object, Any]:
        """What was made of this program, such as its derivatives, by what it is."""
        return {}


class Builder:
    """Adds operations to a program, and infers their shapes and formats.

    A float among operands is a constant of the format of the others; operands of entrywise
    operations are broadcast to one shape.
    """

    def __init__(self, operations: Sequence[Operation] = (), limit: int = 200_000) -> None:
        self.operations = list(operations)
        self.inputs: list[int] = []
        self.holds: list[str] = []
        self.source = ""
        self.limit = limit
        self._constants: dict[tuple[str, float], int] = {}

    def shape(self, value: int) -> Shape:
        return self.operations[value].shape

    def format(self, value: int) -> str:
        return self.operations[value].format

    def input(self, shape: Shape, format: str) -> int:
        """One more argument of the program."""
        number = self._append(Operation("input", (), tuple(shape), format, {}, self.source))
        self.inputs.append(number)
        return number

    def constant(self, array: Any, format: str | None = None, literal: bool = False) -> int:
        """Numbers that are known: an array of floats or booleans, exact in its format.

        The array is kept in float64 (booleans as they are); `format` is what the engine keeps it
        in, the array's own dtype if not given. `literal` where a number in the code was rounded.
        """
        kept = np.asarray(array)
        name = format or str(kept.dtype)
        if name != "bool":
            kept = kept.astype(np.float64)
            if name not in FLOATS:
                name = "float64"
        params = {"array": kept, "literal": literal}
        return self._append(Operation("constant", (), kept.shape, name, params, self.source))

    def number(self, value: float, format: str, literal: bool = False) -> int:
        """A constant without dimensions, once for all who ask for the same."""
        key = (format, value)
        if literal or np.isnan(value):
            return self.constant(np.float64(value), format, literal)
        if key not in self._constants:
            self._constants[key] = self.constant(np.float64(value), format)
        return self._constants[key]

    def irrational(self, name: str, like: int) -> int:
        """An exact constant of mathematics, of the format of another value."""
        params = {"name": name}
        return self._append(Operation("irrational", (), (), self.format(like), params, self.source))

    def __call__(
        self, primitive: str, *operands: int | float, format: str | None = None, **params: Any
    ) -> int:
        """One more operation; the number of its value.

        `format` is that of the result: the widest of the real operands', if not given.
        """
        row = PRIMITIVES[primitive]
        numbers = self._numbers(operands)
        stored = format or self._stored(row.kind, numbers)
        if row.elementwise:
            numbers = self._of_one_shape(numbers)
        shape = row.shape(params, *(self.shape(number) for number in numbers))
        return self._append(
            Operation(primitive, tuple(numbers), tuple(shape), stored, params, self.source)
        )

    def _numbers(self, operands: Sequence[int | float]) -> list[int]:
        reals = [
            self.format(x)
            for x in operands
            if not isinstance(x, float) and self.format(x) != "bool"
        ]
        widest = min(reals, key=FLOATS.index, default="float64")
        return [self.number(x, widest) if isinstance(x, float) else int(x) for x in operands]

    def _stored(self, kind: str, numbers: Sequence[int]) -> str:
        if kind == BOOLEAN:
            return "bool"
        reals = [self.format(x) for x in numbers if self.format(x) != "bool"]
        if not reals:
            return "bool" if numbers else "float64"
        return min(reals, key=FLOATS.index)

    def _of_one_shape(self, numbers: Sequence[int]) -> list[int]:
        shapes = {self.shape(number) for number in numbers}
        if len(shapes) == 1:
            return list(numbers)
        common = np.broadcast_shapes(*shapes)
        return [
            number if self.shape(number) == common else self("broadcast", number, shape=common)
            for number in numbers
        ]

    def _append(self, operation: Operation) -> int:
        if len(self.operations) >= self.limit:
            raise Endless(
                f"more than {self.limit:,} operations were recorded"
                + (f" at {operation.source}" if operation.source else "")
                + ": does a loop never end? A program of that length needs reference="
            )
        self.operations.append(operation)
        return len(self.operations) - 1

    def program(self, outputs: Sequence[int], inputs: Sequence[int] | None = None) -> Program:
        """What was built, without the operations that no output needs."""
        chosen = tuple(self.inputs if inputs is None else inputs)
        return pruned(Program(tuple(self.operations), chosen, tuple(outputs), tuple(self.holds)))


def needed(program: Program) -> Array:
    """Which operations the outputs need, or are inputs; by number."""
    asked = np.zeros(len(program), bool)
    asked[list(program.inputs)] = True
    asked[list(program.outputs)] = True
    for number in range(len(program) - 1, -1, -1):
        if asked[number]:
            asked[list(program.operations[number].operands)] = True
    return asked


def pruned(program: Program) -> Program:
    """The same function without operations that no output needs; all inputs stay."""
    asked = needed(program)
    place = np.cumsum(asked) - 1
    kept = [
        Operation(
            operation.primitive,
            tuple(int(place[x]) for x in operation.operands),
            operation.shape,
            operation.format,
            operation.params,
            operation.source,
        )
        for operation, stays in zip(program.operations, asked, strict=True)
        if stays
    ]
    return Program(
        tuple(kept),
        tuple(int(place[x]) for x in program.inputs),
        tuple(int(place[x]) for x in program.outputs),
        program.holds,
    )


def appended(builder: Builder, program: Program, inputs: Mapping[int, int]) -> list[int]:
    """Write a program into a builder; `inputs` maps its inputs to values there. All its values."""
    place: list[int] = []
    for number, operation in enumerate(program.operations):
        if number in inputs:
            place.append(inputs[number])
            continue
        operands = tuple(place[x] for x in operation.operands)
        place.append(
            builder._append(
                Operation(
                    operation.primitive,
                    operands,
                    operation.shape,
                    operation.format,
                    operation.params,
                    operation.source,
                )
            )
        )
    return place


def loosened(program: Program, other: Program) -> Program:
    """The program, its constants that the other has not taken for numbers that were rounded.

    Numbers that both programs carry are data. One that stands in one of them alone was computed
    on the way, outside of what was recorded, and may be rounded from what was meant.
    """
    shared = {_content(operation) for operation in other.operations if _is_data(operation)}
    operations = tuple(
        replace(operation, params={**operation.params, "literal": True})
        if _is_data(operation) and _content(operation) not in shared
        else operation
        for operation in program.operations
    )
    if all(one is two for one, two in zip(operations, program.operations, strict=True)):
        return program
    return replace(program, operations=operations)


def _is_data(operation: Operation) -> bool:
    return (
        operation.primitive == "constant"
        and operation.format != "bool"
        and not operation.params["literal"]
    )


def _content(operation: Operation) -> bytes:
    array: Array = np.ascontiguousarray(operation.params["array"])
    return array.tobytes()
