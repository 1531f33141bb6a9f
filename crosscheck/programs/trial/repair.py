"""Which operation of a wrong gradient is the wrong one: the first whose exact value mends it.

A gradient that somebody wrote goes its own way, so that what stands in it need not stand in
ours. But where one value of it, replaced by an exact value of the derivative, makes every wrong
output right, that value is what was wrong, and the line that computes it is the place.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from crosscheck.arithmetic.primitives.row import Array
from crosscheck.arithmetic.primitives.table import PRIMITIVES
from crosscheck.programs.derive import reached
from crosscheck.programs.program import Program

TRIALS = 4_000
"""Replacements that are tried at most."""

NEAR = 2.0**-30
"""What counts as mended, of the largest entry: wrong rules differ by more."""


class Repair(NamedTuple):
    """A value whose replacement makes the outputs right, by number."""

    number: int
    primitive: str
    source: str


def first_wrong_value(
    rule: Program,
    values: Sequence[Array],
    wrong: Sequence[int],
    right: Sequence[Array],
    exact: Sequence[Array],
) -> Repair | None:
    """The first value of Q whose replacement by a value of G makes the wrong outputs right.

    `values` are Q's, `wrong` the places of its wrong outputs, `right` what they should be, and
    `exact` the values of G. None where nothing mends them alone.
    """
    outputs = [rule.outputs[place] for place in wrong]
    behind = _reaching(rule, outputs)
    moving = reached(rule, rule.inputs)  # a constant that was spread is not where it is used
    candidates = _by_shape(exact)
    left = TRIALS
    with np.errstate(all="ignore"):
        for number, operation in enumerate(rule.operations):
            if not (behind[number] and moving[number] and operation.operands):
                continue
            after = _depending(rule, number, behind)
            for value in _unlike(candidates.get(operation.shape, []), values[number]):
                left -= 1
                if left < 0:
                    return None
                replaced = _again(rule, values, number, value, after)
                if all(_near(replaced[x], y) for x, y in zip(outputs, right, strict=True)):
                    return Repair(number, operation.primitive, operation.source)
    return None


def _reaching(program: Program, outputs: Sequence[int]) -> list[bool]:
    """Which real values the outputs depend on."""
    needed = [False] * len(program)
    for output in outputs:
        needed[output] = True
    for number in range(len(program) - 1, -1, -1):
        if needed[number]:
            for operand in program.operations[number].operands:
                needed[operand] = program.operations[operand].kind == "real"
    return needed


def _depending(program: Program, number: int, among: Sequence[bool]) -> list[int]:
    """The values behind this one, in order."""
    touched = {number}
    after = []
    for place in range(number + 1, len(program)):
        if among[place] and not touched.isdisjoint(program.operations[place].operands):
            touched.add(place)
            after.append(place)
    return after


def _by_shape(values: Sequence[Array]) -> dict[tuple[int, ...], list[Array]]:
    """Different values by shape, with their transposes."""
    grouped: dict[tuple[int, ...], list[Array]] = {}
    for value in values:
        if value.dtype == bool or not np.isfinite(value).all():
            continue
        for turned in (value, value.T) if value.ndim == 2 else (value,):
            there = grouped.setdefault(turned.shape, [])
            if not any(np.array_equal(turned, known) for known in there):
                there.append(turned)
    return grouped


def _unlike(candidates: Sequence[Array], value: Array) -> Iterator[Array]:
    """The candidates, with both signs, that are another value than this."""
    for candidate in candidates:
        for signed in (candidate, -candidate):
            if not _near(signed, value):
                yield signed


def _near(one: Array, other: Array) -> bool:
    largest = float(np.max(np.abs(other), initial=0.0))
    return bool(np.max(np.abs(one - other), initial=0.0) <= NEAR * largest)


def _again(
    program: Program, values: Sequence[Array], number: int, value: Array, after: Sequence[int]
) -> dict[int, Array]:
    """The outputs and what they need, with another value at this number."""
    # G may be in long double where Q, for a function that has none, is in float64.
    replaced = {number: value.astype(values[number].dtype, copy=False)}

    def known(place: int) -> Array:
        return replaced[place] if place in replaced else values[place]

    for place in after:
        operation = program.operations[place]
        operands = [known(x) for x in operation.operands]
        replaced[place] = PRIMITIVES[operation.primitive].evaluate(operation.params, *operands)
    return {x: known(x) for x in program.outputs}
