"""The exact derivative of a program, as a program: reverse mode and forward mode.

Griewank and Walther, *Evaluating Derivatives*, 2nd ed., sections 3.1 and 3.2; the rules of
single operations are those of the table of primitives.
"""

from collections.abc import Sequence

import numpy as np

from crosscheck.arithmetic.primitives.row import Applied
from crosscheck.arithmetic.primitives.table import PRIMITIVES
from crosscheck.programs.program import Builder, Operation, Program, appended

STILL = frozenset({"input", "constant", "irrational"})
"""Operations without operands, which are no rows of the table."""


def reverse(program: Program, wrt: Sequence[int] | None = None) -> Program:
    """The program of values and of gradients.

    Its inputs are the program's, then a cotangent for each output; its outputs are the
    program's, then a gradient for each input at the places `wrt` (all, if not given).
    """
    chosen = _chosen(program, wrt)
    build, place = _begun(program)
    given = [_like(build, program.operations[output]) for output in program.outputs]
    arrived = _pulled(build, program, place, given, reached(program, chosen))
    gradients = [
        arrived[x] if x in arrived else _zero(build, program.operations[x]) for x in chosen
    ]
    return build.program([*(place[x] for x in program.outputs), *gradients])


def sensitivities(program: Program) -> tuple[Program, tuple[int, ...]]:
    """The program of the derivatives by every value: what an error in it does to the outputs.

    Its inputs are those of `reverse`; its outputs the cotangents of the values whose numbers come
    with it, in order. Values that no output depends on are left out.
    """
    build, place = _begun(program)
    given = [_like(build, program.operations[output]) for output in program.outputs]
    everything = [operation.kind == "real" for operation in program.operations]
    arrived = _pulled(build, program, place, given, everything)
    numbers = tuple(sorted(arrived))
    return build.program([arrived[number] for number in numbers]), numbers


def _like(build: Builder, operation: Operation) -> int:
    return build.input(operation.shape, operation.format)


def _pulled(
    build: Builder,
    program: Program,
    place: Sequence[int],
    given: Sequence[int],
    active: Sequence[bool],
) -> dict[int, int]:
    """The cotangent of each active value that any reaches, from those of the outputs."""
    waiting: dict[int, list[int]] = {}
    for output, cotangent in zip(program.outputs, given, strict=True):
        waiting.setdefault(output, []).append(cotangent)
    arrived: dict[int, int] = {}
    for number in range(len(program) - 1, -1, -1):
        terms = waiting.pop(number, [])
        if not terms or not active[number]:
            continue
        operation = program.operations[number]
        build.source = operation.source
        arrived[number] = _sum(build, terms)
        if operation.primitive in STILL:
            continue
        applied = Applied(
            tuple(place[x] for x in operation.operands), place[number], operation.params
        )
        pulled = PRIMITIVES[operation.primitive].pullback(build, applied, arrived[number])
        for operand, value in zip(operation.operands, pulled, strict=True):
            if value is not None and active[operand]:
                waiting.setdefault(operand, []).append(value)
    return arrived


def _sum(build: Builder, terms: Sequence[int]) -> int:
    value = terms[0]
    for term in terms[1:]:
        value = build("add", value, term)
    return value


def forward(program: Program, wrt: Sequence[int] | None = None) -> Program:
    """The program of values and of tangents.

    Its inputs are the program's, then a tangent for each input at the places `wrt`; its outputs
    are the program's, then a tangent for each of them.
    """
    chosen = _chosen(program, wrt)
    build, place = _begun(program)
    tangents: dict[int, int] = {
        x: build.input(program.operations[x].shape, program.operations[x].format) for x in chosen
    }
    for number, operation in enumerate(program.operations):
        if operation.primitive in STILL:
            continue
        given = [tangents.get(x) for x in operation.operands]
        if all(tangent is None for tangent in given):
            continue
        build.source = operation.source
        applied = Applied(
            tuple(place[x] for x in operation.operands), place[number], operation.params
        )
        pushed = PRIMITIVES[operation.primitive].pushforward(build, applied, given)
        if pushed is not None:
            tangents[number] = pushed
    zeros = [
        tangents[x] if x in tangents else _zero(build, program.operations[x])
        for x in program.outputs
    ]
    return build.program([*(place[x] for x in program.outputs), *zeros])


def reached(program: Program, inputs: Sequence[int]) -> list[bool]:
    """Which values depend on these."""
    active = [False] * len(program)
    for number in inputs:
        active[number] = True
    for number, operation in enumerate(program.operations):
        if operation.kind == "real" and operation.primitive != "stop":
            active[number] = active[number] or any(active[x] for x in operation.operands)
    return active


def _chosen(program: Program, wrt: Sequence[int] | None) -> list[int]:
    places = range(len(program.inputs)) if wrt is None else wrt
    return [program.inputs[place] for place in places]


def _begun(program: Program) -> tuple[Builder, list[int]]:
    """A builder that holds the program, and where its values are."""
    build = Builder()
    place = appended(build, program, {})
    build.inputs = [place[x] for x in program.inputs]
    build.holds = list(program.holds)
    return build, place


def _zero(build: Builder, like: Operation) -> int:
    return build.constant(np.zeros(like.shape), like.format)
