"""What a program's outputs are exactly: the cheapest enclosure that is narrow enough.

For formats narrower than float64, its own evaluation in float64 with the error analysis of that;
for float64 the same in long double where it has 64 bits; balls where neither does.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from crosscheck.arithmetic.formats import FORMATS
from crosscheck.arithmetic.primitives.row import Array
from crosscheck.arithmetic.primitives.table import PRIMITIVES
from crosscheck.programs.errors import Promise, analyse
from crosscheck.programs.evaluate import LONG, enclose, evaluate
from crosscheck.programs.program import FLOATS, Program

ROUNDOFF = {"float64": 2.0**-53, "long double": 2.0**-64}
"""Unit roundoff of the arithmetic that rules."""

NARROW = 2.0**-12
"""A radius of this share of what it is compared with is as good as none."""

BALL_ENTRIES = 3_000_000
"""Entries of all values of a program that is evaluated in balls: some seconds."""

BITS = (128, 320, 800)
"""Precisions of the balls, one after the other."""


class Enclosed(NamedTuple):
    """Arrays that are known: each exact entry is within `radius` of `middle`.

    `middle` is float64 or long double; `radius` float64, ∞ or NaN where nothing is known.
    """

    middle: list[Array]
    radius: list[Array]
    source: str

    def apart(self, other: "Enclosed", place: int) -> Array:
        """Where the two surely are not the same number."""
        with np.errstate(all="ignore"):
            distance = np.abs(self.middle[place] - other.middle[place])
            disjoint: Array = distance > self.radius[place] + other.radius[place]
        return disjoint


def roundoff(program: Program) -> float:
    """The least unit roundoff among the formats that the program stores in."""
    used = {operation.format for operation in program.operations} - {"bool"}
    return min((FORMATS[name].unit_roundoff for name in used if name in FLOATS), default=2.0**-53)


def arithmetic(program: Program) -> Any:
    """The type of number that a program is evaluated in to rule: float64, or long double."""
    wide = roundoff(program) <= 2.0**-53 and LONG and _extends(program)
    return np.longdouble if wide else np.float64


def enclosed(
    program: Program,
    inputs: Sequence[Array],
    values: Sequence[Array] | None = None,
    literals: bool = False,
) -> Enclosed:
    """The outputs by floating point with its own error analysis.

    `values` are those of an evaluation that was made before; with `literals` numbers in code may
    be any that round to them.
    """
    if values is None:
        values = evaluate(program, inputs, arithmetic(program))
    wide = any(value.dtype == np.longdouble for value in values)
    source = "long double" if wide else "float64"
    promise = Promise(reference=ROUNDOFF[source], literals=literals)
    errors = analyse(program, values, promise)
    return Enclosed(
        [values[x] for x in program.outputs],
        [known(errors[x], values[x]) for x in program.outputs],
        source,
    )


def known(error: Array | None, value: Array) -> Array:
    """E as an array of the value's shape."""
    return np.zeros(value.shape) if error is None else np.broadcast_to(error, value.shape)


def _extends(program: Program) -> bool:
    """Whether every function of the program is as accurate in long double."""
    return all(
        PRIMITIVES[operation.primitive].extended
        for operation in program.operations
        if operation.primitive in PRIMITIVES
    )


def in_balls(
    program: Program, inputs: Sequence[Array], bits: int = BITS[0], literals: bool = False
) -> Enclosed:
    """The outputs in balls; `middle` keeps as much of them as long double holds."""
    middles, radii = [], []
    for balls in enclose(program, inputs, bits, literals):
        flat = balls.reshape(-1)
        high = np.array([float(x.mid()) for x in flat], np.float64)
        middle = high.astype(np.longdouble)
        radius = np.empty(flat.size)
        for place, ball in enumerate(flat):
            radius[place] = _distance(ball, high[place], middle, place)
        middles.append(middle.reshape(balls.shape))
        radii.append(radius.reshape(balls.shape))
    return Enclosed(middles, radii, f"balls of {bits} bits")


def _distance(ball: Any, high: float, middle: Array, place: int) -> float:
    """Put what float64 leaves of a ball into `middle`, and return what that leaves."""
    from flint import arb

    if not np.isfinite(high) or not ball.is_finite():
        return np.inf if not np.isinf(high) else 0.0
    rest = ball - arb(high)
    low = float(rest.mid())
    middle[place] += np.longdouble(low)
    left = abs(rest - arb(low))
    rounding = float(np.spacing(np.abs(middle[place])))
    return float(left.upper()) * (1 + 2.0**-50) + rounding


def size(program: Program) -> int:
    """Entries of all values, and products of the matrix products."""
    total = 0
    for operation in program.operations:
        entries = int(np.prod(operation.shape, dtype=np.int64))
        if operation.primitive == "dot":
            inner = program.operations[operation.operands[0]].shape[-1]
            total += entries * max(1, inner // 8)
        total += entries
    return total
