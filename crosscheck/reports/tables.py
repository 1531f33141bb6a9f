"""Rows to tables: a line per engine and dtype, per pair of engines, per reference, and counts.

Rows may come in parts, so that memory does not grow with their number; a figure is the same
whether they came at once or not.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import pandas as pd

from crosscheck.arithmetic.formats import FORMATS
from crosscheck.reports.proportions import upper_limit
from crosscheck.reports.quantiles import Quantiles
from crosscheck.results import rows
from crosscheck.results.rows import engine_names

NOT_OK = tuple(status for status in rows.STATUSES if status != "ok")
KEYS, PAIR_KEYS = ["engine", "dtype"], ["engine_a", "engine_b", "dtype"]
BY_ENGINE = [*KEYS, "cases", "tensors", *map(str.lower, rows.VERDICTS), *NOT_OK]
BY_ENGINE += ["median_ulp", "p99_ulp", "max_ulp", "bound_use", "power", "microseconds"]
"""Columns of the table of engines."""

BY_PAIR = [*PAIR_KEYS, "cases", "max_abs_difference", "median_ulp_difference"]
BY_PAIR += ["max_ulp_difference", "case", "tensor"]
"""Columns of the table of pairs."""


class Rows(Protocol):
    """Rows of a run; frames with the columns of `rows`."""

    @property
    def errors(self) -> pd.DataFrame: ...
    @property
    def cases(self) -> pd.DataFrame: ...
    @property
    def pairs(self) -> pd.DataFrame: ...


class Part(NamedTuple):
    """Some of a run's rows."""

    errors: pd.DataFrame
    cases: pd.DataFrame
    pairs: pd.DataFrame


@dataclass(frozen=True)
class Summary:
    """What a run amounts to.

    `engines` has a line per engine × dtype, also for an engine that never ran: cases that gave a
    gradient, and tensors judged; tensors by verdict; cases by engine status that is not ok;
    median, 99th percentile and largest ulp error of a tensor's worst entry; largest bound_use;
    median power; median time of one gradient in microseconds. `pairs` has a line per pair of
    engines and dtype: the largest difference, and where in ulps it is. `not_covered` has a
    sentence for each engine that did not run, or not everywhere, with the first reason.
    `verdicts` counts tensors, `statuses` cases by engine, `cases` all cases.
    """

    engines: pd.DataFrame
    pairs: pd.DataFrame
    not_covered: list[str]
    verdicts: dict[str, int]
    statuses: dict[str, Counter[str]]
    cases: int

    @property
    def tensors(self) -> int:
        return sum(self.verdicts.values())

    @property
    def ran(self) -> int:
        """Engines that gave a gradient."""
        return sum(counts["ok"] > 0 for counts in self.statuses.values())

    @property
    def attempts(self) -> dict[str, int]:
        """Engines × cases by status; what was not sampled counts nowhere."""
        every = sum(self.statuses.values(), Counter[str]())
        return {status: every[status] for status in rows.STATUSES}


def summary(run: Rows) -> Summary:
    """What all rows of a run amount to."""
    tally = RunTally()
    tally.add(run)
    return tally.summary()


def by_engine(errors: pd.DataFrame, cases: pd.DataFrame) -> pd.DataFrame:
    """The table of engines alone: see `Summary`."""
    return summary(Part(errors, cases, pd.DataFrame(columns=list(rows.PAIRS)))).engines


@dataclass
class _Line:
    """What is counted of one engine in one dtype."""

    verdicts: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    ulps: Quantiles = field(default_factory=Quantiles)
    use: Quantiles = field(default_factory=Quantiles)
    power: Quantiles = field(default_factory=Quantiles)
    seconds: Quantiles = field(default_factory=Quantiles)

    def add_cases(self, statuses: pd.Series, seconds: pd.Series) -> None:
        self.statuses.update(statuses)
        self.seconds.add(seconds.to_numpy())

    def add_errors(self, errors: pd.DataFrame) -> None:
        self.verdicts.update(errors["verdict"])
        self.ulps.add(errors["max_ulp"].to_numpy())
        self.use.add(errors["bound_use"].to_numpy())
        self.power.add(errors["power"].to_numpy())

    def shown(self) -> list[object]:
        return [
            *(self.statuses["ok"], sum(self.verdicts.values())),
            *(self.verdicts[verdict] for verdict in rows.VERDICTS),
            *(self.statuses[status] for status in NOT_OK),
            *(self.ulps.at(0.5), self.ulps.at(0.99), self.ulps.at(1)),
            *(self.use.at(1), self.power.at(0.5), self.seconds.at(0.5) * 1e6),
        ]


@dataclass
class _Pair:
    """What is counted of one pair of engines in one dtype."""

    cases: int = 0
    largest: Quantiles = field(default_factory=Quantiles)
    ulps: Quantiles = field(default_factory=Quantiles)
    worst: tuple[str, str] = ("", "")

    def add(self, pairs: pd.DataFrame) -> None:
        self.cases += len(pairs)
        self.largest.add(pairs["max_abs_difference"].to_numpy())
        ulps = pairs["max_ulp_difference"].fillna(-1)
        if not ulps.max() <= self.ulps.largest:
            worst = pairs.iloc[int(ulps.argmax())]
            self.worst = (worst["case"], worst["tensor"])
        self.ulps.add(pairs["max_ulp_difference"].to_numpy())

    def shown(self) -> list[object]:
        differences = self.largest.at(1), self.ulps.at(0.5), self.ulps.at(1)
        return [self.cases, *differences, *self.worst]


class RunTally:
    """Counts parts, and gives their summary."""

    def __init__(self) -> None:
        self._lines: dict[tuple[str, str], _Line] = {}
        self._pairs: dict[tuple[str, str, str], _Pair] = {}
        self._reasons: dict[tuple[str, str], str] = {}
        self._cases = 0

    def add(self, part: Rows) -> None:
        """Count one part; parts come in the order of their cases."""
        self._add_cases(part.cases)
        for (engine, dtype), errors in part.errors.groupby(KEYS, sort=False):
            self._lines[str(engine), str(dtype)].add_errors(errors)
        for (one, other, dtype), pairs in part.pairs.groupby(PAIR_KEYS, sort=False):
            self._pairs.setdefault((str(one), str(other), str(dtype)), _Pair()).add(pairs)

    def _add_cases(self, cases: pd.DataFrame) -> None:
        self._cases += len(cases)
        for name in engine_names(cases):
            status, message = f"status:{name}", f"message:{name}"
            for dtype, alike in cases.groupby("dtype", sort=False):
                line = self._lines.setdefault((name, str(dtype)), _Line())
                line.add_cases(alike[status], alike[f"seconds:{name}"])
            firsts = cases.drop_duplicates(status)
            for why, reason in zip(firsts[status], firsts[message], strict=True):
                self._reasons.setdefault((name, why), re.sub(r"\s+", " ", str(reason)))

    def summary(self) -> Summary:
        """Of what was added so far."""
        statuses: dict[str, Counter[str]] = {}
        for (name, _), line in self._lines.items():
            statuses[name] = statuses.get(name, Counter()) + line.statuses
        order = sorted(self._lines, key=lambda key: list(statuses).index(key[0]))
        engines = [[*key, *self._lines[key].shown()] for key in order]
        pairs = [[*key, *pair.shown()] for key, pair in self._pairs.items()]
        verdicts = sum((line.verdicts for line in self._lines.values()), Counter[str]())
        return Summary(
            pd.DataFrame(engines, columns=BY_ENGINE),
            pd.DataFrame(pairs, columns=BY_PAIR),
            [*self._not_covered(statuses)],
            {verdict: verdicts[verdict] for verdict in rows.VERDICTS},
            statuses,
            self._cases,
        )

    def _not_covered(self, statuses: Mapping[str, Counter[str]]) -> Iterator[str]:
        for name, counts in statuses.items():
            for status in NOT_OK:
                if count := counts[status]:
                    reason = self._reasons[name, status]
                    yield f"{name}: {status} on {count} of {self._cases} cases: {reason}"


ACCURACY = ["engine", "dtype", "claimed_bits", "seen_bits", "l2_use", "stage_use"]
"""First columns of the table of precision and accuracy; digits by stratum follow."""


def accuracy(errors: pd.DataFrame) -> pd.DataFrame:
    """A line per engine × dtype: precision claimed and seen, and digits by saturation.

    Bits of the format, and the median estimate of the unit roundoff that the engine works with;
    largest share of the ℓ2 bound and of a stage's bound; then for each factor on Xavier weights
    the right decimal digits (median of tensors), of the worst tenth, and the digits that the
    formula may lose in the worst tenth, whoever evaluates it.
    """
    strata = sorted(scale for scale in errors["scale"].unique() if scale > 0)
    lines = []
    for (engine, dtype), mine in errors.groupby(["engine", "dtype"], sort=False):
        bits = FORMATS[str(dtype)].digits if str(dtype) in FORMATS else None
        seen = mine["roundoff_bits"].median(), mine["l2_use"].max(), mine["stage_use"].max()
        line = dict(zip(ACCURACY, (engine, dtype, bits, *map(float, seen)), strict=True))
        for scale in strata:
            line |= _digits(mine[mine["scale"] == scale], f"×{scale:g}")
        lines.append(line)
    digits = [name for scale in strata for name in _digits(errors.head(0), f"×{scale:g}")]
    return pd.DataFrame(lines, columns=ACCURACY + digits)


def _digits(errors: pd.DataFrame, stratum: str) -> dict[str, float]:
    right, lost = errors["correct_digits"], errors["digits_lost"]
    return {
        f"digits {stratum}": float(right.median()),
        f"worst tenth {stratum}": float(right.quantile(0.1)),
        f"lost {stratum}": float(lost.quantile(0.9)),
    }


LIMITS = ["engine", "dtype", "judged", "defective", "upper_limit"]


def defect_limits(errors: pd.DataFrame, cases: pd.DataFrame) -> pd.DataFrame:
    """A row per engine × dtype: random cases judged, those with a defect, and the upper limit.

    The special cases are no random draw, and count in neither. A case whose every tensor is
    INCONCLUSIVE was not judged.
    """
    drawn = cases.loc[cases["special"] == "", ["case", "dtype"]]
    said = errors[errors["verdict"].ne("INCONCLUSIVE") & errors["case"].isin(drawn["case"])]
    judged = said.groupby(["engine", "dtype"])["case"].nunique().to_dict()
    defects = said[said["verdict"] == "DEFECT"]
    wrong = defects.groupby(["engine", "dtype"])["case"].nunique().to_dict()
    lines = []
    for name in engine_names(cases):
        for dtype in cases["dtype"].unique():
            n, k = judged.get((name, dtype), 0), wrong.get((name, dtype), 0)
            lines.append([name, dtype, n, k, upper_limit(k, n)])
    return pd.DataFrame(lines, columns=LIMITS)


REFERENCES = ["dtype", "reference", "cases", "share", "median_radius", "radius"]


def references(cases: pd.DataFrame) -> pd.DataFrame:
    """A row per dtype × reference: cases, their share, median and largest radius as shares of B."""
    lines = []
    for dtype, of_dtype in cases.groupby("dtype", sort=False):
        for reference, group in of_dtype.groupby("reference", sort=True):
            share = len(group) / len(of_dtype)
            radius = group["reference_radius"]
            median, largest = float(radius.median()), float(radius.max())
            lines.append([dtype, reference, len(group), share, median, largest])
    return pd.DataFrame(lines, columns=REFERENCES)


def inconclusive(errors: pd.DataFrame) -> pd.DataFrame:
    """A row per reason for which nothing was said: tensors, cases, engines."""
    silent = errors[errors["verdict"] == "INCONCLUSIVE"]
    reasons = silent["reason"].str.replace(r"^\d+ ", "", regex=True)
    lines = [
        [reason, len(group), group["case"].nunique(), ", ".join(group["engine"].unique())]
        for reason, group in silent.groupby(reasons, sort=True)
    ]
    return pd.DataFrame(lines, columns=["reason", "tensors", "cases", "engines"])
