"""Where it goes wrong: each operation, and each rule that somebody wrote, by itself.

An operation is held to its exact value at the engine's own operands, so that no error
accumulates, and the first that passes the bound of one operation is the place.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from crosscheck.arithmetic.formats import FORMATS
from crosscheck.arithmetic.primitives.row import Array
from crosscheck.arithmetic.primitives.table import PRIMITIVES
from crosscheck.programs.errors import Analysis, Promise
from crosscheck.programs.evaluate import IRRATIONAL
from crosscheck.programs.frontends.subject import CustomRule
from crosscheck.programs.program import Program
from crosscheck.programs.trial import judge


class Stage(NamedTuple):
    """An operation, or a rule, that is wrong by itself: its name, file:line, and how wrong."""

    name: str
    source: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name} ({self.source})" if self.source else self.name


@dataclass(frozen=True, eq=False)
class Replay:
    """Every operation by itself: the first that is wrong, and what the others leave open.

    `power` is the largest, over the operations shown, of the median of bound over value: the
    relative mistake that could not have hidden in any of them. `outputs` are the engine's own.
    """

    wrong: Stage | None
    power: float
    outputs: Sequence[Array | None]

    def proves(self, place: int, numbers: Array) -> bool:
        """Whether an output, to the bit, is what right operations gave."""
        own = self.outputs[place]
        if self.wrong is not None or own is None or not self.power <= 1:
            return False
        return bool(np.array_equal(np.asarray(own, np.float64).reshape(numbers.shape), numbers))


def replay(
    program: Program, inputs: Sequence[Array], own: Mapping[int, Array], promise: Promise
) -> Replay:
    """Hold every operation whose value the engine showed to its bound, at its own operands.

    `own` are the engine's values by number; what was not shown is computed from them, with E.
    """
    analysis = Analysis(program, [], promise)
    given = dict(zip(program.inputs, inputs, strict=True))
    outputs = [own.get(x) for x in program.outputs]
    powers = []
    with np.errstate(all="ignore"):
        for number, operation in enumerate(program.operations):
            value = _value(program, number, given, analysis.values)
            analysis.values.append(value)
            error = analysis.error_of(operation, value)
            analysis.errors.append(error)
            if number not in own or value.dtype == bool or number in given:
                continue
            numbers = np.asarray(own[number], np.float64).reshape(value.shape)
            allowed = _allowed(value, error, FORMATS[operation.format].unit_roundoff)
            if _beyond(numbers, value, allowed):
                reason = "beyond the bound of one operation"
                wrong = Stage(operation.primitive, operation.source, reason)
                return Replay(wrong, np.inf, outputs)
            powers.append(_power(value, allowed))
            analysis.values[-1], analysis.errors[-1] = numbers, None
    return Replay(None, max(powers, default=np.inf), outputs)


def _power(value: Array, allowed: Array) -> float:
    there = value != 0
    return float(np.median(allowed[there] / np.abs(value[there]))) if there.any() else 0.0


def _value(
    program: Program, number: int, given: Mapping[int, Array], values: Sequence[Array]
) -> Array:
    operation = program.operations[number]
    if number in given:
        return np.asarray(given[number]).astype(np.float64)
    if operation.primitive == "constant":
        array: Array = operation.params["array"]
        return array
    if operation.primitive == "irrational":
        return np.asarray(float(IRRATIONAL[operation.params["name"]]))
    row = PRIMITIVES[operation.primitive]
    return np.asarray(row.evaluate(operation.params, *(values[x] for x in operation.operands)))


def _allowed(value: Array, error: Array | None, u: float) -> Array:
    """E of the engine, and what the value in float64 may be off by, a share of E."""
    return np.zeros(value.shape) if error is None else error * (1 + 2.0**-53 / u)


def _beyond(numbers: Array, value: Array, allowed: Array) -> bool:
    off = np.abs(numbers - value)
    sure = np.isfinite(allowed) & np.isfinite(value)
    return bool(np.any((off > allowed) & sure) or np.any(np.isnan(numbers) & sure))


def wrong_rules(rules: Sequence[CustomRule], seed: int = 0) -> list[Stage]:
    """The rules that are not the derivative of what they compute, by themselves, in order."""
    wrong = []
    for rule in rules:
        reason = _wrong_by_itself(rule, seed)
        if reason is not None:
            wrong.append(Stage(rule.name, rule.source, reason))
    return wrong


def _wrong_by_itself(rule: CustomRule, seed: int) -> str | None:
    ours = judge.derivative(rule.primal, rule.mode, range(len(rule.primal.inputs)))
    extra = [ours.operations[x] for x in ours.inputs[len(rule.primal.inputs) :]]
    generator = np.random.default_rng(seed)
    if [operation.shape for operation in extra] == [()]:
        given = [np.ones(())]  # a scalar value's own gradient, which may know no cotangent
    else:
        given = [generator.standard_normal(operation.shape) for operation in extra]
    arrays = [*rule.inputs, *given]
    exact = judge.ExactProgram(ours, arrays)
    recorded = judge.ExactProgram(rule.rule, arrays)
    for ruling in judge.rule_of(exact, recorded):
        if ruling.status == judge.WRONG:
            return "another derivative" + judge.in_words(ruling.times)
    return None
