"""What rounding may do to a program: E of every value, by running error analysis.

Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed., section 3.3. E >= |computed -
exact| for whoever evaluates these operations in these formats, in any order of the sums.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np

from crosscheck.arithmetic.formats import FORMATS
from crosscheck.arithmetic.primitives.row import Array, Known, Primitive, Rounding
from crosscheck.arithmetic.primitives.table import PRIMITIVES
from crosscheck.programs.program import Operation, Program

SLACK = 1 + 1e-9
"""Covers the roundings of evaluating E itself in float64."""

FREE = frozenset(
    {"neg", "abs", "max", "min", "select", "reshape", "transpose", "broadcast", "take", "stop",
     "reduce_max", "reduce_min", "sign", "step", "floor", "ceil", "round", "largest",
     "concatenate", "attains", "either"}
)  # fmt: skip
"""Operations that move or choose numbers: nothing overflows in them."""


@dataclass(frozen=True)
class Promise:
    """How an engine computes: `flushes` subnormals to 0; `accumulate` is the format of sums.

    `accumulate` is a format's name, or names by primitive. `reference` replaces every format by
    one of this unit roundoff: the analysis of our own evaluation. Numbers in code are any that
    round to them, in the analysis of our own only with `literals`. `library` (numpy, torch, xla)
    is whose functions it calls; "" where they may be anybody's.
    """

    flushes: bool = False
    accumulate: str | Mapping[str, str] | None = None
    operands: str | None = None
    reference: float | None = None
    literals: bool = False
    library: str = ""

    def __hash__(self) -> int:
        plain = self.flushes, self.operands, self.reference, self.literals, self.library
        return hash((plain, str(self.accumulate)))

    def wider(self, primitive: str) -> str | None:
        if isinstance(self.accumulate, Mapping):
            return self.accumulate.get(primitive)
        return self.accumulate


@lru_cache(maxsize=512)
def _rounding(format: str, primitive: str, promise: Promise) -> Rounding:
    if promise.reference is not None:
        # Our own evaluation neither flushes nor, in longdouble, underflows where float64 does.
        u = promise.reference
        return Rounding(u, 2.0**-1074, 0.0, np.inf, u, "numpy")
    stored = FORMATS[format]
    wider = promise.wider(primitive)
    inner = min(stored.unit_roundoff, FORMATS[wider].unit_roundoff) if wider else None
    return Rounding(
        stored.unit_roundoff,
        stored.smallest_normal if promise.flushes else stored.smallest_subnormal,
        stored.smallest_normal if promise.flushes else 0.0,
        stored.largest,
        stored.unit_roundoff if inner is None else inner,
        promise.library,
    )


TF32 = 2.0**-11
"""The unit roundoff of operands that keep 10 bits of their fraction."""


@dataclass
class Analysis:
    """E of each value of a program, None where it is 0; `own` values were put in their place."""

    program: Program
    values: list[Array]
    promise: Promise
    errors: list[Array | None] = field(default_factory=list)

    def run(self) -> "Analysis":
        with np.errstate(all="ignore"):
            for operation, value in zip(self.program.operations, self.values, strict=True):
                self.errors.append(self.error_of(operation, value))
        return self

    def local(self) -> list[Array | None]:
        """What each operation adds by itself, from operands without error."""
        self.errors = [None] * len(self.values)
        with np.errstate(all="ignore"):
            return [
                self.error_of(operation, value)
                for operation, value in zip(self.program.operations, self.values, strict=True)
            ]

    def error_of(self, operation: Operation, value: Array) -> Array | None:
        """E of an operation's value from what is known of its operands."""
        if operation.primitive == "input":
            return None
        if operation.primitive in ("constant", "irrational"):
            return of_constant(operation, value, self.promise)
        row = PRIMITIVES[operation.primitive]
        rounding = _rounding(self._format(operation), operation.primitive, self._promise(operation))
        operands = [Known(self.values[x], self.errors[x]) for x in operation.operands]
        if rounding.tau:
            operands = [_flushed(known, rounding.tau) for known in operands]
        if self.promise.operands == "tf32" and operation.primitive == "dot":
            operands = [_coarsened(known, TF32) for known in operands]
        error = row.error(rounding, _narrowing(self.program, operation), value, *operands)
        if error is None or value.dtype == bool:
            return error
        return _finished(row, error, value, operands, rounding)

    def _promise(self, operation: Operation) -> Promise:
        """What is promised; `narrow_sums` marks an operation whose kernel sums no wider."""
        if operation.params.get("narrow_sums"):
            return replace(self.promise, accumulate=None)
        return self.promise

    def _format(self, operation: Operation) -> str:
        return "float64" if operation.format == "bool" else operation.format


def analyse(program: Program, values: Sequence[Array], promise: Promise) -> list[Array | None]:
    """E of each value; `values` as `evaluate` gives them, in float64 or wider."""
    plain = [
        value if value.dtype in (np.float64, np.bool_) else value.astype(np.float64)
        for value in values
    ]
    return Analysis(program, plain, promise).run().errors


LITERAL_ROUNDINGS = 4
"""Roundings between a number in code and what was meant: products of such numbers are folded."""


def of_constant(operation: Operation, value: Array, promise: Promise) -> Array | None:
    """Numbers in code may be rounded from what was meant; a constant of mathematics must be."""
    if value.dtype == bool:
        return None
    size = np.abs(value.astype(np.float64))
    u = FORMATS[operation.format].unit_roundoff
    if operation.primitive == "irrational":
        error: Array = (promise.reference or u) * size
        return error
    own = promise.reference is not None and not promise.literals
    if own or not operation.params["literal"] or is_short(value, operation.format):
        return None
    return LITERAL_ROUNDINGS * u * size


def is_short(value: Array, format: str) -> bool:
    """Whether these numbers have few enough bits to have been meant as they stand.

    In a format of few digits what was rounded looks short too (2/√π is 1.125 in bfloat16): only
    small multiples of ¼ are then taken for meant.
    """
    digits = FORMATS[format].digits
    if digits >= 24:
        return bool(np.all(value * 2.0**10 == np.round(value * 2.0**10)))
    small = (np.abs(value) <= 2.0 ** (digits - 4)) | np.isinf(value)
    return bool(np.all(small & (value * 4 == np.round(value * 4))))


def _narrowing(program: Program, operation: Operation) -> Mapping[str, object]:
    """A cast's parameters, with whether it rounds."""
    if operation.primitive != "cast":
        return operation.params
    before = program.operations[operation.operands[0]].format
    if before == "bool" or operation.format == "bool":
        return {**operation.params, "narrows": False}
    there, here = FORMATS[before], FORMATS[operation.format]
    narrows = here.digits < there.digits or here.exponent_min > there.exponent_min
    return {**operation.params, "narrows": narrows}


def _flushed(known: Known, tau: float) -> Known:
    """What is subnormal may be read as 0."""
    if known.value.dtype == bool:
        return known
    size = np.abs(known.value)
    small = (size - known.deviation < tau) & (size + known.deviation > 0)
    if not small.any():
        return known
    return Known(known.value, np.where(small, known.deviation + tau, known.deviation))


def _coarsened(known: Known, u: float) -> Known:
    """Operands that are rounded before they are multiplied."""
    return Known(known.value, known.deviation + u * known.size)


def _finished(
    row: Primitive, error: Array, value: Array, operands: Sequence[Known], rounding: Rounding
) -> Array:
    """E with its own roundings, ∞ where the format overflows or nothing is known."""
    error = error * SLACK if row.name not in FREE else error
    checked = error.sum() if error.size else 0.0
    if not np.isfinite(checked) or np.isnan(checked):
        error = np.where(np.isnan(error), np.inf, error)
        error = _infinite(row, error, value, operands)
    if rounding.largest < np.inf and row.name not in FREE and value.size:
        most = np.abs(value) + error
        if not most.max(initial=0.0) <= rounding.largest:
            beyond = (most > rounding.largest) & ~(np.isinf(value) & (error == 0))
            error = np.where(beyond, np.inf, error)
    return error


def _infinite(row: Primitive, error: Array, value: Array, operands: Sequence[Known]) -> Array:
    """An infinity that comes of an exact one, as a mask of -∞ does, is no overflow."""
    if not row.elementwise or not np.isinf(value).any():
        return error
    given = np.zeros(value.shape, bool)
    sure = np.ones(value.shape, bool)
    for known in operands:
        if known.value.dtype == bool:
            continue
        given |= np.isinf(known.value)
        sure &= ~(np.isinf(known.deviation) | np.isnan(known.deviation))
    return np.where(np.isinf(value) & given & sure, 0.0, error)
