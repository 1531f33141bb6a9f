"""What is said of a framework's derivative at one point, and the proof of it.

With g what the framework returned, f′ the exact derivative in a ball and κ = |x f″/f′| its
condition, in a format of p digits and u = 2^-p: an evaluation that is backward stable is off by a
few κ u, relatively. A ruling other than RIGHT holds for every number of the ball.
"""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from flint import arb

from crosscheck.arithmetic.formats import FloatFormat
from crosscheck.studies.atlas.definition import Exact

RIGHT, WRONG, INACCURATE, RANGE = "right", "wrong", "inaccurate", "range"
CONVENTION, DOCUMENTED, VALUE = "convention", "documented", "value"
ILL, BEYOND, UNDECIDED = "ill-conditioned", "beyond", "undecided"

RULINGS: Mapping[str, str] = MappingProxyType(
    {
        WRONG: "half of the digits are gone, or it is 0, ∞ or NaN, where the condition is small",
        INACCURATE: "more than 1,000 ulp off where the condition is below 1,000",
        RANGE: "an intermediate result overflows or underflows",
        CONVENTION: "a point of the subdifferential at a kink or tie",
        DOCUMENTED: "what the documentation says: an eps or a clamp",
        VALUE: "the value is as wrong, and the derivative its victim",
        RIGHT: "nothing to say against it",
        ILL: "wrong in digits that the condition leaves to nobody",
        BEYOND: "the derivative is larger than the format's largest number",
        UNDECIDED: "the balls do not decide",
    }
)

BAD = (WRONG, INACCURATE, RANGE)


def at_least(ruling: str, other: str) -> bool:
    """Whether a ruling says at least as much against a number as the other, both bad."""
    severity = (RANGE, INACCURATE, WRONG)
    return ruling in BAD and other in BAD and severity.index(ruling) >= severity.index(other)


WELL_CONDITIONED = 1e3
"""The condition below which digits can be asked for."""

INACCURATE_ULP = 1e3

ROOM = 4
"""How many roundings of the argument's size an evaluation may make before the condition."""


class Ruling(NamedTuple):
    """One point: the ruling, the least relative error, the error in ulps, and the exact size."""

    ruling: str
    relative: float = 0.0
    ulp: float = 0.0
    size: float = 0.0

    @property
    def bad(self) -> bool:
        return self.ruling in BAD

    @property
    def digits(self) -> float:
        """Right decimal digits, 17 at most, none below 0."""
        if math.isnan(self.relative) or self.relative >= 1:
            return 0.0
        return 17.0 if self.relative < 1e-17 else -math.log10(self.relative)


def of_slope(got: float, exact: Exact, format: FloatFormat) -> Ruling:
    """The ruling on a derivative, as far as one point alone tells."""
    if exact.status != "certain":
        return Ruling(BEYOND if exact.status == "beyond" else UNDECIDED)
    if exact.kink:
        return _at_kink(got, exact, format)
    return _of_number(got, exact.slope, exact.condition, format)


def of_value(got: float, exact: Exact, format: FloatFormat) -> Ruling:
    """The same of the function's value."""
    if exact.status != "certain" or not exact.value.is_finite():
        return Ruling(UNDECIDED)
    return _of_number(got, exact.value, exact.value_condition, format)


def _of_number(got: float, exact: arb, condition: float, format: FloatFormat) -> Ruling:
    size_low, size_high = abs(exact).abs_lower(), abs(exact).abs_upper()
    if size_low > format.largest:
        return Ruling(BEYOND)
    if size_high > format.largest * (1 - 2 * format.unit_roundoff):
        return Ruling(RIGHT)  # at the brink of overflow either is right
    unit = _ulp(float(size_high), format)
    if not math.isfinite(got):
        return _missing(size_high, condition, format)
    error = abs(arb(got) - exact).abs_lower()
    relative = float(error / size_high) if size_high > 0 else (math.inf if error > 0 else 0.0)
    ulp = float(error / unit)
    name = _named(relative, ulp, error, size_high, condition, format)
    return Ruling(name, relative, ulp, float(size_high))


def _named(
    relative: float, ulp: float, error: arb, size: arb, condition: float, format: FloatFormat
) -> str:
    """The ruling on a finite number by its errors."""
    half = 2.0 ** (-format.digits / 2)
    allowed = max(half, ROOM * (condition + 1) * format.unit_roundoff)
    if size < format.smallest_normal:
        return _of_subnormal(relative, error, format)
    if relative > allowed:
        return WRONG if condition < WELL_CONDITIONED or relative >= 1 > allowed * ROOM else ILL
    if ulp > INACCURATE_ULP:
        return INACCURATE if condition < WELL_CONDITIONED else ILL
    return RIGHT


def _of_subnormal(relative: float, error: arb, format: FloatFormat) -> str:
    """Below the normal numbers an error is absolute: flushing to 0 is a matter of range."""
    if error > 2 * format.smallest_normal:
        return WRONG
    noticed = error > 4 * format.smallest_subnormal and relative > 2.0 ** (-format.digits / 2)
    return RANGE if noticed else RIGHT


def _missing(size: arb, condition: float, format: FloatFormat) -> Ruling:
    """∞ or NaN where the derivative is a number of the format."""
    ill = ROOM * (condition + 1) * format.unit_roundoff >= 1 and size > format.smallest_subnormal
    return Ruling(ILL if ill else WRONG, math.inf, math.inf, float(size))


def _at_kink(got: float, exact: Exact, format: FloatFormat) -> Ruling:
    """A point of the subdifferential, with room for rounding, or not."""
    if math.isnan(got):
        return Ruling(WRONG, math.inf, math.inf)
    size = max(float(abs(exact.low).abs_upper()), float(abs(exact.high).abs_upper()))
    room = INACCURATE_ULP * _ulp(size, format) if math.isfinite(size) else 0.0
    inside = arb(got) >= exact.low - room and arb(got) <= exact.high + room
    return Ruling(CONVENTION if inside else WRONG, 0.0 if inside else math.inf)


def _ulp(size: float, format: FloatFormat) -> float:
    """The unit in the last place at this size."""
    exponent = math.frexp(size)[1] - 1 if size else format.exponent_min
    return math.ldexp(1.0, max(exponent, format.exponent_min) - format.digits + 1)
