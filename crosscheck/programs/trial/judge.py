"""The verdict on a derivative: its rule in exact arithmetic, its numbers within their bound.

Three programs: P, what the function computes; G, our derivative of P; Q, the gradient program on
trial. Q is held to G in exact arithmetic (is the rule right?), the engine's numbers to G within
what rounding may do to Q (are the numbers right?).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from crosscheck.arithmetic.formats import FORMATS, FloatFormat
from crosscheck.arithmetic.primitives.row import Array
from crosscheck.programs import reference
from crosscheck.programs.derive import forward, reverse
from crosscheck.programs.errors import Promise, analyse
from crosscheck.programs.evaluate import evaluate
from crosscheck.programs.program import Program, loosened
from crosscheck.programs.reference import Enclosed

SAME, WRONG, OPEN, OPAQUE = "same", "wrong", "open", "opaque"
"""What is known of a rule: `open` where the enclosures are too wide to tell."""

NO_POWER = "the bound exceeds the gradient"

UNFAITHFUL = "the recorded program does not give the numbers that came"

FORWARD = ("forward",)
"""Modes whose derivatives are tangents of the outputs."""


def derivative(primal: Program, mode: str, wrt: Sequence[int]) -> Program:
    """G: our derivative of the primal, as this mode gives it; made once for each primal."""
    ahead = mode.startswith(FORWARD)
    key = ahead, tuple(wrt)
    if key not in primal.derived:
        primal.derived[key] = forward(primal, wrt) if ahead else reverse(primal, wrt)
    made: Program = primal.derived[key]
    return made


@dataclass(eq=False)
class ExactProgram:
    """A program at its inputs: values, enclosed outputs, and the bound of an engine's rounding."""

    program: Program
    inputs: Sequence[Array]
    _bounds: dict[Promise, list[Array]] = field(default_factory=dict)

    @cached_property
    def values(self) -> list[Array]:
        """All values, in the arithmetic that rules."""
        return evaluate(self.program, self.inputs, reference.arithmetic(self.program))

    @cached_property
    def enclosed(self) -> Enclosed:
        """The outputs, by floating point."""
        return reference.enclosed(self.program, self.inputs, self.values)

    @cached_property
    def loose(self) -> Enclosed:
        """The same where numbers in code are any that round to them."""
        return reference.enclosed(self.program, self.inputs, self.values, literals=True)

    @cached_property
    def affordable(self) -> bool:
        """Whether balls take no more than some seconds."""
        return reference.size(self.program) <= reference.BALL_ENTRIES

    def balls(self, bits: int, literals: bool = False) -> Enclosed:
        """The outputs in balls."""
        return reference.in_balls(self.program, self.inputs, bits, literals)

    def bound(self, promise: Promise) -> list[Array]:
        """B of each output for an engine with this arithmetic that follows the program."""
        if promise not in self._bounds:
            errors = analyse(self.program, self.values, promise)
            self._bounds[promise] = [
                reference.known(errors[x], self.values[x]) for x in self.program.outputs
            ]
        return self._bounds[promise]


@dataclass(frozen=True, eq=False)
class OutputRuling:
    """What is known of a rule at an output: `status`, and where it is wrong by how much.

    `times` is Q over G where that is the same number in every entry; `source` is what told.
    """

    status: str
    places: Array | None = None
    times: float | None = None
    source: str = ""


def rule_of(exact: ExactProgram, rule: ExactProgram | None) -> list[OutputRuling]:
    """Whether Q is G, output by output, in exact arithmetic."""
    count = len(exact.program.outputs)
    if rule is None:
        return [OutputRuling(OPAQUE)] * count
    first = exact.enclosed, rule.enclosed
    rulings = [_compared(*first, place) for place in range(count)]
    unsure = [r.status != SAME or _is_wide(*first, p) for p, r in enumerate(rulings)]
    if any(unsure) and exact.affordable and rule.affordable:
        for bits in reference.BITS[:2]:
            pair = exact.balls(bits), rule.balls(bits)
            rulings = [_compared(*pair, place) for place in range(count)]
            if all(ruling.status != OPEN for ruling in rulings):
                break
    if any(ruling.status == WRONG for ruling in rulings):
        rulings = _but_for_literals(exact, rule, rulings)
    return rulings


def _but_for_literals(
    exact: ExactProgram, rule: ExactProgram, rulings: list[OutputRuling]
) -> list[OutputRuling]:
    """Wrong is only what stays wrong where numbers in code are any that round to them.

    So are numbers that stand in one of the two programs alone: they were computed on the way.
    """
    exact = ExactProgram(loosened(exact.program, rule.program), exact.inputs)
    rule = ExactProgram(loosened(rule.program, exact.program), rule.inputs)
    if exact.affordable and rule.affordable:
        bits = reference.BITS[0]
        pair = exact.balls(bits, literals=True), rule.balls(bits, literals=True)
    else:
        pair = exact.loose, rule.loose
    again = [_compared(*pair, place) for place in range(len(rulings))]
    return [
        now if before.status == WRONG and now.status != WRONG else before
        for before, now in zip(rulings, again, strict=True)
    ]


def _compared(exact: Enclosed, rule: Enclosed, place: int) -> OutputRuling:
    apart = rule.apart(exact, place)
    if apart.any():
        return OutputRuling(WRONG, apart, _times(exact, rule, place), rule.source)
    known = np.isfinite(exact.radius[place]) & np.isfinite(rule.radius[place])
    return OutputRuling(SAME if known.all() else OPEN, source=rule.source)


def _is_wide(exact: Enclosed, rule: Enclosed, place: int) -> bool:
    """Whether a small mistake could hide in the enclosures."""
    with np.errstate(all="ignore"):
        largest = float(np.max(np.abs(exact.middle[place]), initial=0.0))
        width = float(np.max(exact.radius[place] + rule.radius[place], initial=0.0))
    share = WIDE if exact.source == "float64" else WIDE_IN_FLOAT64
    return not width <= share * largest and width > 0


WIDE, WIDE_IN_FLOAT64 = 2.0**-20, 2.0**-30
"""Enclosures wider than this share of the largest entry are narrowed by balls, if that is cheap:
for formats narrower than float64, and for float64."""


def _times(exact: Enclosed, rule: Enclosed, place: int) -> float | None:
    """The one factor between rule and derivative, if there is one."""
    middle, other = exact.middle[place].reshape(-1), rule.middle[place].reshape(-1)
    there = middle != 0
    if not there.any() or np.any(other[~there] != 0):
        return None
    with np.errstate(all="ignore"):
        ratios = (other[there] / middle[there]).astype(np.float64)
        width = (rule.radius[place] + exact.radius[place]).reshape(-1)[there]
        slack = 8 * (width / np.abs(middle[there])).astype(np.float64) + 2.0**-40
    typical = float(np.median(ratios))
    same = np.all(np.abs(ratios - typical) <= slack * max(abs(typical), 1))
    return typical if same and np.isfinite(typical) else None


@dataclass(frozen=True, eq=False)
class Findings:
    """One leaf of one mode, judged; arrays have the leaf's shape.

    `allowed` is B, `radius` that of the exact value; `promised` says whose bound it is.
    """

    path: str
    verdict: str
    reason: str
    got: Array
    exact: Array
    error: Array
    radius: Array
    allowed: Array
    times: float | None = None
    rule: str = OPAQUE
    power: float = float("nan")
    noise_use: float = float("nan")
    by_stages: bool = False
    places: Array | None = None

    @property
    def is_rule(self) -> bool:
        """Whether it is the rule that is wrong."""
        return self.rule == WRONG

    @property
    def beyond(self) -> Array:
        """Entries that no right evaluation gives."""
        with np.errstate(all="ignore"):
            proved: Array = self.error - self.radius > self.allowed
        if self.places is not None:
            proved = proved | self.places
        return proved | (~np.isfinite(self.got) & np.isfinite(self.allowed))

    @property
    def worst(self) -> tuple[int, ...]:
        """The entry of the greatest error, among those beyond their bound if any are."""
        beyond = self.beyond
        ranked = np.where(beyond, self.error, -1.0) if beyond.any() else self.error
        return tuple(int(i) for i in np.unravel_index(int(ranked.argmax()), ranked.shape))


@dataclass(frozen=True, eq=False)
class Yardstick:
    """What an output's numbers are held to: G, the bound, and what Q itself comes to."""

    exact: Enclosed
    allowed: Sequence[Array]
    rule: Enclosed | None
    rulings: Sequence[OutputRuling]
    proves: bool
    """Whether a number beyond the bound is proved wrong: it is the bound of Q, or of a promise."""


def judge(yardstick: Yardstick, place: int, path: str, got: Array, format: str) -> Findings:
    """The verdict on one output's numbers, by the table of decisions."""
    exact = yardstick.exact
    middle, radius = exact.middle[place], exact.radius[place]
    allowed = yardstick.allowed[place]
    numbers = got.astype(np.longdouble)
    error = _distance(numbers, middle)
    ruling = yardstick.rulings[place]
    state = _State(numbers, middle, error, radius, allowed, FORMATS[format])
    if ruling.status == WRONG:
        verdict, reason = _wrong_rule(yardstick, place, state, ruling)
    else:
        verdict, reason = _numbers(state, ruling, yardstick.proves)
    plain = middle.astype(np.float64)
    return Findings(
        path,
        verdict,
        reason,
        got.astype(np.float64),
        plain,
        error,
        radius,
        allowed,
        ruling.times,
        ruling.status,
        state.power,
        places=ruling.places,
    )


def are_others(one: Array, other: Array, bound: Array) -> bool:
    """Whether two results differ by more than two evaluations of one program can."""
    first, second = one.astype(np.float64), other.astype(np.float64)
    with np.errstate(all="ignore"):
        near = np.abs(first - second) <= 2 * np.where(np.isnan(bound), np.inf, bound)
    same = (first == second) | (np.isnan(first) & np.isnan(second))
    return not bool(np.all(near | same))


def _distance(numbers: Array, middle: Array) -> Array:
    with np.errstate(all="ignore"):
        error = np.abs(numbers - middle).astype(np.float64)
    error = np.where(numbers == middle, 0.0, error)
    return np.where(np.isnan(error), np.inf, error)


@dataclass(frozen=True, eq=False)
class _State:
    numbers: Array
    exact: Array
    error: Array
    radius: Array
    allowed: Array
    format: FloatFormat

    @property
    def beyond(self) -> Array:
        with np.errstate(all="ignore"):
            proved: Array = self.error - self.radius > self.allowed
        return proved & np.isfinite(self.allowed) & np.isfinite(self.radius)

    @property
    def within(self) -> Array:
        with np.errstate(all="ignore"):
            inside: Array = self.error <= self.allowed + self.radius
        return inside & np.isfinite(self.allowed)

    @property
    def power(self) -> float:
        """Median B / |g| over g ≠ 0: the least relative mistake sure to show in half."""
        there = np.abs(self.exact) > self.radius
        if not there.any():
            return float("nan")
        with np.errstate(all="ignore"):
            width = self.allowed[there] + self.radius[there]
            return float(np.median(width / np.abs(self.exact[there])))


def _wrong_rule(
    yardstick: Yardstick, place: int, state: _State, ruling: OutputRuling
) -> tuple[str, str]:
    """The rule is wrong, and that is what was computed, if Q gives the engine's numbers."""
    assert yardstick.rule is not None
    off = _distance(state.numbers, yardstick.rule.middle[place])
    width = state.allowed + yardstick.rule.radius[place]
    with np.errstate(all="ignore"):
        faithful = (off <= width) | ~np.isfinite(width)
    if not faithful.all():
        return "INCONCLUSIVE", UNFAITHFUL
    return "DEFECT", "the rule is wrong" + in_words(ruling.times)


def in_words(times: float | None) -> str:
    """The factor between what a rule gives and the derivative, as the end of a sentence."""
    if times is None:
        return ""
    if times == 0:
        return ": it gives 0"
    return f": it gives {times:.6g} times the derivative"


def _numbers(state: _State, ruling: OutputRuling, proves: bool) -> tuple[str, str]:
    if state.beyond.any():
        finite = np.isfinite(state.numbers[state.beyond]).all()
        reason = "beyond the bound" if finite else "not a finite number"
        if proves or not finite:
            return "DEFECT", reason
        return "SUSPECT", "beyond the bound of our own formula, and yours cannot be read"
    if not state.within.all():
        open_entries = int(np.sum(~state.within))
        return "INCONCLUSIVE", f"nothing can be said of {open_entries} entries: {_why(state)}"
    if ruling.status == OPEN:
        return "INCONCLUSIVE", "the rule cannot be enclosed here"
    if state.power > 1:
        return "INCONCLUSIVE", NO_POWER
    return "CONSISTENT", ""


def _why(state: _State) -> str:
    if not np.isfinite(state.radius).all():
        return "no value can be enclosed here"
    if not np.isfinite(state.allowed).all():
        return f"something on the way overflows {state.format.name}, or a choice hangs on rounding"
    return "the reference's radius straddles the bound"
