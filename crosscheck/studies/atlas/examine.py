"""One function of one framework in one format on trial: points, rulings, thresholds, rows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from flint import arb

from crosscheck.arithmetic.formats import FORMATS, Array, FloatFormat
from crosscheck.studies.atlas import causes, engines, points as places, rulings
from crosscheck.studies.atlas.causes import Happened
from crosscheck.studies.atlas.definition import (
    BrokenDefinition,
    Definition,
    Exact,
    PublicCall,
    agrees,
    exact,
)
from crosscheck.studies.atlas.engines import Answers, Unable
from crosscheck.studies.atlas.rulings import Ruling

STRETCHES = 8
"""Stretches of bad points that are told of, the worst first; the rest are counted."""


@dataclass
class Truth:
    """The mathematics at points, computed once for all frameworks, formats and modes."""

    definition: Definition
    known: dict[float, Exact] = field(default_factory=dict)

    def __call__(self, at: float) -> Exact:
        if at not in self.known:
            self.known[at] = self._computed(at)
        return self.known[at]

    def _computed(self, at: float) -> Exact:
        try:
            return exact(self.definition.formula, at)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            raise BrokenDefinition(
                f"the definition {self.definition.name!r} at {at!r}: {reason}"
            ) from error

    def certify(self) -> None:
        """Raises Broken where the derivative is not that of the value: an error of a definition."""
        for at in places.sample(self.definition):
            if not agrees(self.definition.formula, at, self(at)):
                raise BrokenDefinition(
                    f"the definition {self.definition.name!r} does not enclose its derivative "
                    f"at {at!r}: an error of the definition, not of a framework"
                )


class Row(NamedTuple):
    """One line of the atlas.

    `at`, `got` and `exact` are the point, the framework's derivative and the exact one, to
    `radius`; at a kink they enclose both one-sided derivatives. `threshold` is where the error
    begins, `cause` what the ruling was found to come of.
    """

    framework: str
    function: str
    argument: str
    mode: str
    dtype: str
    at: float
    got: float
    exact: float
    radius: float
    relative_error: float
    ulp: float
    condition: float
    ruling: str
    value_ruling: str
    threshold: float
    reported: str
    snippet: str
    cause: str = ""


class Examined(NamedTuple):
    """What was found of a function × framework × format.

    `counts` are points by ruling, in the first mode; `curve` (x, right digits) of a picture;
    `failures` modes that the framework does not offer, with what it said.
    """

    definition: str
    framework: str
    function: str
    argument: str
    dtype: str
    counts: dict[str, int]
    digits: float | None
    rows: list[Row]
    curve: list[tuple[float, float]]
    failures: dict[str, str]


@dataclass(frozen=True)
class FunctionTrial:
    """A function of a framework in a format, and the truth about it."""

    call: PublicCall
    dtype: str
    truth: Truth
    density: str = "default"
    happened: dict[float, Happened] = field(default_factory=dict, compare=False)

    @property
    def definition(self) -> Definition:
        return self.truth.definition

    @property
    def flushed(self) -> float:
        """The size below which the framework reads numbers as 0; 0 where it does not."""
        flushes = engines.flushes(self.call.framework, self.dtype)
        return self.format.smallest_normal if flushes else 0.0

    def shown(self, at: float, got: float) -> tuple[float, bool]:
        """What a snippet shows: a single number's derivative, or a vector's, and which.

        A single number goes another way through a library than many do; `got` stays where
        neither has its ruling.
        """
        wanted = self.ruling(at, got).ruling
        for vector in (False, True):
            alone = engines.alone(self.call, self.dtype, at, vector)
            if self.ruling(at, alone).ruling == wanted:
                return alone, vector
        return got, True

    def at_the_brink(self, at: float) -> bool:
        """Whether the derivative is so near to under- or overflow that a factor 1/u reaches it.

        A fused operation does not show what overflows inside of it, such as exp(-x) in x σ(x).
        """
        size = float(abs(self.truth(at).slope).abs_upper())
        room = 2.0**self.format.digits
        return size < self.format.smallest_normal * room or size > self.format.largest / room

    def extreme(self, at: float) -> bool:
        """Whether the square of x over- or underflows, as it may inside of a mode not watched."""
        size = abs(at)
        return size > self.format.largest**0.5 or 0 < size < self.format.smallest_normal**0.5

    def seen(self, at: float) -> Happened:
        """What happens in the framework at a point."""
        if at not in self.happened:
            self.happened[at] = causes.seen(self.call, self.dtype, at, vector=True)
        return self.happened[at]

    def ruling(self, at: float, got: float) -> Ruling:
        """The ruling on a derivative at a point."""
        ruling = rulings.of_slope(got, self.truth(at), self.format)
        if ruling.bad and 0 < abs(at) < self.flushed:
            return ruling._replace(ruling=rulings.RANGE)
        return ruling

    @property
    def format(self) -> FloatFormat:
        return FORMATS[self.dtype]


class Judged(NamedTuple):
    """Points with what a mode returned there, and the rulings."""

    at: Array
    answers: Answers
    slopes: list[Ruling]

    def without(self, excluded: Sequence[str]) -> "Judged":
        """Only those whose ruling is none of these."""
        chosen = np.array([r.ruling not in excluded for r in self.slopes], bool)
        return Judged(
            self.at[chosen],
            Answers(self.answers.value[chosen], self.answers.slope[chosen]),
            [r for r, keep in zip(self.slopes, chosen, strict=True) if keep],
        )


def examine(trial: FunctionTrial, modes: Sequence[str] | None = None) -> Examined:
    """Judge the function on the grid and where the grid shows that more is to be seen."""
    modes = engines.MODES[trial.call.framework] if modes is None else modes
    at = places.grid(trial.definition, trial.format, trial.density)
    failures: dict[str, str] = {}
    first: Judged | None = None
    rows: list[Row] = []
    for mode in modes:
        try:
            judged = _judge(trial, mode, at)
        except Unable as error:
            failures[mode] = str(error)
            continue
        if first is None:
            first = judged = _refined(trial, mode, judged)
            rows += _rows(trial, mode, judged, first=True)
        else:
            rows += _rows(trial, mode, _differing(judged, first))
    return _examined(trial, first, rows, failures)


def _judge(trial: FunctionTrial, mode: str, at: Array) -> Judged:
    """Rulings at these points. Raises Unable."""
    answers = engines.engine(trial.call, trial.dtype, mode)(at)
    slopes = [trial.ruling(float(x), float(got)) for x, got in zip(at, answers.slope, strict=True)]
    return Judged(at, answers, slopes)


def _refined(trial: FunctionTrial, mode: str, judged: Judged) -> Judged:
    """More points inside and around the bad ones, so that the worst is seen."""
    if trial.density == "quick":
        return judged
    decided = judged.without(NEUTRAL)
    bad = np.array([r.bad for r in decided.slopes], bool)
    edges = np.flatnonzero(bad[1:] != bad[:-1])[:32]
    pairs = [decided.at[[k, k + 1]] for k in edges]
    new = [places.between(pair, trial.format, 6) for pair in pairs]
    fresh = np.setdiff1d(np.concatenate(new), judged.at) if new else judged.at[:0]
    if not len(fresh):
        return judged
    return _merged(judged, _judge(trial, mode, fresh))


def _merged(a: Judged, b: Judged) -> Judged:
    at = np.concatenate([a.at, b.at])
    ranks = np.argsort(at)
    answers = (np.concatenate(parts)[ranks] for parts in zip(a.answers, b.answers, strict=True))
    slopes = [*a.slopes, *b.slopes]
    return Judged(at[ranks], Answers(*answers), [slopes[k] for k in ranks])


NEUTRAL = (rulings.BEYOND, rulings.UNDECIDED, rulings.ILL)


def _differing(judged: Judged, first: Judged) -> Judged:
    """The points at which another mode gets another ruling than the first."""
    known = dict(zip(first.at.tolist(), first.slopes, strict=True))
    other = [
        known[x].ruling != ruling.ruling
        for x, ruling in zip(judged.at.tolist(), judged.slopes, strict=True)
    ]
    chosen = np.array(other, bool)
    return Judged(
        judged.at[chosen],
        Answers(judged.answers.value[chosen], judged.answers.slope[chosen]),
        [r for r, keep in zip(judged.slopes, other, strict=True) if keep],
    )


class Stretch(NamedTuple):
    """Bad points that are neighbours, or nearly: indices into the points that are decided."""

    first: int
    last: int
    members: tuple[int, ...]

    def worst(self, judged: Judged) -> dict[str, int]:
        """The worst point of each ruling, the worst ruling first."""
        by_ruling: dict[str, int] = {}
        for k in sorted(self.members, key=lambda k: _severity(judged, k), reverse=True):
            by_ruling.setdefault(judged.slopes[k].ruling, k)
        return by_ruling


SMALLEST = 1e-30
"""A threshold this near to 0 is told of only where there is no other."""

GAP = 3
"""Points without an error that may lie between two of one stretch: errors come and go."""


def _stretches(judged: Judged) -> list[Stretch]:
    """Runs of bad points, the worst first."""
    bad = [k for k, ruling in enumerate(judged.slopes) if ruling.bad]
    runs: list[list[int]] = []
    for k in bad:
        if runs and k - runs[-1][-1] <= GAP and _one_side(judged, runs[-1][-1], k):
            runs[-1].append(k)
        else:
            runs.append([k])
    stretches = [Stretch(run[0], run[-1], tuple(run)) for run in runs]
    return sorted(
        stretches, key=lambda s: max(_severity(judged, k) for k in s.members), reverse=True
    )


def _one_side(judged: Judged, a: int, b: int) -> bool:
    """Whether no right point at 0 parts the two."""
    return not (judged.at[a] < 0 < judged.at[b] or judged.at[b] == 0 or judged.at[a] == 0)


ORDER = (rulings.CONVENTION, rulings.RANGE, rulings.INACCURATE, rulings.WRONG)


def _severity(judged: Judged, k: int) -> tuple[float, ...]:
    """Worse is larger: the ruling, then the digits that are gone, then the derivative's size."""
    ruling = judged.slopes[k]
    lost = math.inf if math.isinf(ruling.relative) else round(17 - ruling.digits)
    return ORDER.index(ruling.ruling), lost, ruling.size


def _rows(trial: FunctionTrial, mode: str, judged: Judged, first: bool = False) -> list[Row]:
    """Lines for each stretch, and one for each convention; thresholds in the `first` mode."""
    decided = judged.without(NEUTRAL)
    stretches = _stretches(decided)[:STRETCHES]
    begins = _thresholds(trial, mode, decided, stretches) if first else [math.nan] * STRETCHES
    rows = [
        row
        for stretch, threshold in zip(stretches, begins, strict=False)
        for row in _rows_of(trial, mode, decided, stretch, threshold, first)
    ]
    kinks = [k for k, r in enumerate(decided.slopes) if r.ruling == rulings.CONVENTION]
    return rows + [_row(trial, mode, decided, k, math.nan) for k in kinks[:STRETCHES]]


def _rows_of(
    trial: FunctionTrial, mode: str, judged: Judged, stretch: Stretch, threshold: float, first: bool
) -> list[Row]:
    """The worst point of each ruling, and the special points among the bad."""
    worst = list(stretch.worst(judged).values())
    special = [k for k in stretch.members if float(judged.at[k]) in trial.definition.special]
    shown = list(dict.fromkeys([*worst, *(special[:3] if first else ())]))
    return [
        _explained(trial, judged, stretch, _row(trial, mode, judged, k, threshold)) for k in shown
    ]


def _explained(trial: FunctionTrial, judged: Judged, stretch: Stretch, row: Row) -> Row:
    """The row with its cause, and the ruling that the cause makes of it."""
    if 0 < abs(row.at) < trial.flushed:
        return row._replace(cause="subnormal numbers are read as 0")
    if _documented(trial, row):
        assert trial.call.documented is not None
        return row._replace(ruling=rulings.DOCUMENTED, cause=trial.call.documented.says)
    if row.mode != "reverse" and trial.extreme(row.at):
        return row._replace(ruling=rulings.RANGE, cause="not watched in this mode; x² has no range")
    alike = [k for k in stretch.members if judged.slopes[k].ruling == row.ruling]
    sample = {row.at, *(float(judged.at[alike[k]]) for k in (0, len(alike) // 2, -1))}
    happened = {x: trial.seen(x) for x in sample}
    if all(each.flows or trial.at_the_brink(x) for x, each in happened.items()):
        value = rulings.RANGE if row.value_ruling in rulings.BAD else row.value_ruling
        flow = next(iter(happened[row.at].flows), "at the end of the format's range")
        return row._replace(ruling=rulings.RANGE, value_ruling=value, cause=flow)
    if rulings.at_least(row.value_ruling, row.ruling):
        return row._replace(ruling=rulings.VALUE, cause=happened[row.at].nan)
    return row._replace(cause=happened[row.at].nan)


def _documented(trial: FunctionTrial, row: Row) -> bool:
    """Whether the derivative is that of what the documentation says."""
    if trial.call.documented is None:
        return False
    promised = exact(trial.call.documented.formula, row.at)
    ruling = rulings.of_slope(row.got, promised, trial.format).ruling
    return ruling in (rulings.RIGHT, rulings.CONVENTION)


def _thresholds(
    trial: FunctionTrial, mode: str, judged: Judged, stretches: Sequence[Stretch]
) -> list[float]:
    """For each stretch the first number that is as bad, at its end nearer to 0."""
    jumps = [_jump(judged, stretch) for stretch in stretches]
    wanted = [jump for jump in jumps if jump is not None]
    if not wanted:
        return [math.nan] * len(jumps)

    def same(at: Array, like: Array) -> Array:
        return np.array([ruling.bad for ruling in _judge(trial, mode, at).slopes], bool)

    begins = iter(places.bisect(wanted, trial.format, same).tolist())
    return [math.nan if jump is None else next(begins) for jump in jumps]


def _jump(judged: Judged, stretch: Stretch) -> tuple[float, float] | None:
    """(a point that is right, a neighbour that is not), at the end of the stretch nearer to 0."""
    ends = [(stretch.first - 1, stretch.first), (stretch.last + 1, stretch.last)]
    jumps = [
        (float(judged.at[good]), float(judged.at[bad]))
        for good, bad in ends
        if 0 <= good < len(judged.at) and not judged.slopes[good].bad
    ]
    telling = [jump for jump in jumps if abs(jump[0]) >= SMALLEST] or jumps
    return min(telling, key=lambda jump: abs(jump[1]), default=None)


def _row(trial: FunctionTrial, mode: str, judged: Judged, k: int, threshold: float) -> Row:
    """The line of one point."""
    x, got, vector = float(judged.at[k]), float(judged.answers.slope[k]), True
    if mode == "reverse":
        got, vector = trial.shown(x, got)
    known, ruling = trial.truth(x), trial.ruling(x, got)
    value = rulings.of_value(float(judged.answers.value[k]), known, trial.format)
    middle, radius = _written(known)
    return Row(
        trial.call.framework,
        trial.call.function,
        trial.definition.argument,
        mode,
        trial.dtype,
        x,
        got,
        middle,
        radius,
        ruling.relative,
        ruling.ulp,
        known.condition,
        ruling.ruling,
        value.ruling,
        threshold,
        "",
        engines.snippet(trial.call, trial.dtype, x, _text(known), vector, mode),
    )


def _written(known: Exact) -> tuple[float, float]:
    """A float64 and how far from it the exact derivative, or an end of its interval, may be."""
    ends = [known.low, known.high] if known.kink else [known.slope]
    middle = float(known.slope)
    if not math.isfinite(middle):
        return middle, math.inf
    return middle, max(_upper(end - arb(middle)) for end in ends)


def _upper(ball: arb) -> float:
    """A float at least the ball's largest absolute value; 0 only where it is 0."""
    bound = float(abs(ball).abs_upper())
    return 0.0 if ball.is_zero() else float(np.nextafter(bound * (1 + 2.0**-50), np.inf))


def _text(known: Exact) -> str:
    """The exact derivative for people: 17 digits, or the interval at a kink."""
    if known.kink:
        return f"between {float(known.low)!r} and {float(known.high)!r}"
    return f"{float(known.slope)!r}"


def _examined(
    trial: FunctionTrial, first: Judged | None, rows: list[Row], failures: dict[str, str]
) -> Examined:
    call = trial.call
    counts: dict[str, int] = {}
    curve, digits = [], None
    if first is not None:
        for ruling in first.slopes:
            counts[ruling.ruling] = counts.get(ruling.ruling, 0) + 1
        judged = first.without((*NEUTRAL, rulings.CONVENTION))
        curve = [
            (float(x), ruling.digits) for x, ruling in zip(judged.at, judged.slopes, strict=True)
        ]
        digits = min((d for _, d in curve), default=None)
    return Examined(
        trial.definition.name,
        call.framework,
        call.function,
        trial.definition.argument,
        trial.dtype,
        counts,
        digits,
        rows,
        curve,
        failures,
    )
