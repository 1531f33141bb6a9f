"""The summary of rows that come in parts, so that memory does not grow with their number.

It is what `summaries` makes of all rows at once, where quantiles are exact: see `sketch`.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pandas as pd
from rich.console import Console

from crosscheck import rows
from crosscheck.reports import headline as headlines, markdown, terminal
from crosscheck.reports.sketch import Quantiles
from crosscheck.reports.summaries import BY_ENGINE, NOT_OK, engine_names

KEYS = ["engine", "dtype"]
PAIR_KEYS = ["engine_a", "engine_b", "dtype"]


class Part(NamedTuple):
    """Some of a run's rows; frames with the columns of `rows`."""

    errors: pd.DataFrame
    cases: pd.DataFrame
    pairs: pd.DataFrame


@dataclass
class Summary:
    """What a run amounts to: frames of a line per engine and dtype, and per pair; counts.

    `not_covered` has a sentence for each engine that did not run, or not everywhere.
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


@dataclass
class _Line:
    """What is counted of one engine in one dtype."""

    verdicts: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    ulps: Quantiles = field(default_factory=Quantiles)
    use: Quantiles = field(default_factory=Quantiles)
    power: Quantiles = field(default_factory=Quantiles)
    seconds: Quantiles = field(default_factory=Quantiles)

    def add_errors(self, errors: pd.DataFrame) -> None:
        self.verdicts.update(errors["verdict"])
        self.ulps.add(errors["max_ulp"].to_numpy())
        self.use.add(errors["bound_use"].to_numpy())
        self.power.add(errors["power"].to_numpy())

    def shown(self) -> dict[str, object]:
        line: dict[str, object] = {
            "cases": self.statuses["ok"],
            "tensors": sum(self.verdicts.values()),
        }
        line |= {verdict.lower(): self.verdicts[verdict] for verdict in rows.VERDICTS}
        line |= {name: self.statuses[name] for name in NOT_OK}
        return line | {
            "median_ulp": self.ulps.at(0.5),
            "p99_ulp": self.ulps.at(0.99),
            "max_ulp": self.ulps.at(1),
            "bound_use": self.use.at(1),
            "power": self.power.at(0.5),
            "microseconds": self.seconds.at(0.5) * 1e6,
        }


@dataclass
class _Pair:
    """What is counted of one pair of engines in one dtype."""

    largest: Quantiles = field(default_factory=Quantiles)
    ulps: Quantiles = field(default_factory=Quantiles)
    worst: tuple[str, str] = ("", "")

    def add(self, pairs: pd.DataFrame) -> None:
        self.largest.add(pairs["max_abs_difference"].to_numpy())
        ulps = pairs["max_ulp_difference"].to_numpy()
        if not self.ulps.count or ulps.max() > self.ulps.largest:
            row = pairs.iloc[int(ulps.argmax())]
            self.worst = (row["case"], row["tensor"])
        self.ulps.add(ulps)

    def shown(self) -> list[Any]:
        largest = self.largest.at(1), self.ulps.at(0.5), self.ulps.at(1)
        return [self.ulps.count, *largest, *self.worst]


PAIR_COLUMNS = [*PAIR_KEYS, "cases", "max_abs_difference", "median_ulp_difference"]
PAIR_COLUMNS += ["max_ulp_difference", "case", "tensor"]


class Tally:
    """Counts parts, and gives their summary."""

    def __init__(self) -> None:
        self._lines: dict[tuple[str, str], _Line] = {}
        self._pairs: dict[tuple[str, str, str], _Pair] = {}
        self._failures: dict[tuple[str, str], tuple[int, str]] = {}
        self._cases = 0

    def add(self, part: Part) -> None:
        """Count one part; parts come in the order of their cases."""
        self._add_cases(part.cases)
        for (engine, dtype), errors in part.errors.groupby(KEYS, sort=False):
            self._lines[str(engine), str(dtype)].add_errors(errors)
        for (a, b, dtype), pairs in part.pairs.groupby(PAIR_KEYS, sort=False):
            self._pairs.setdefault((str(a), str(b), str(dtype)), _Pair()).add(pairs)

    def _add_cases(self, cases: pd.DataFrame) -> None:
        self._cases += len(cases)
        for name in engine_names(cases):
            for dtype, of_dtype in cases.groupby("dtype", sort=False):
                line = self._lines.setdefault((name, str(dtype)), _Line())
                line.statuses.update(of_dtype[f"status:{name}"])
                line.seconds.add(of_dtype[f"seconds:{name}"].to_numpy())
            for status in NOT_OK:
                there = cases[cases[f"status:{name}"] == status]
                if len(there):
                    count, message = self._failures.get((name, status), (0, ""))
                    message = message or str(there[f"message:{name}"].iloc[0])
                    self._failures[name, status] = (count + len(there), message)

    def summary(self) -> Summary:
        """Of what was added so far."""
        names = dict.fromkeys(name for name, _ in self._lines)
        in_order = [key for name in names for key in self._lines if key[0] == name]
        lines = [dict(zip(KEYS, key, strict=True)) | self._lines[key].shown() for key in in_order]
        pairs = [[*keys, *pair.shown()] for keys, pair in self._pairs.items()]
        found = sum((line.verdicts for line in self._lines.values()), Counter[str]())
        statuses: dict[str, Counter[str]] = {name: Counter() for name in names}
        for (name, _), line in self._lines.items():
            statuses[name] += line.statuses
        return Summary(
            pd.DataFrame(lines, columns=BY_ENGINE),
            pd.DataFrame(pairs, columns=PAIR_COLUMNS),
            self._not_covered(list(names)),
            {verdict: found[verdict] for verdict in rows.VERDICTS},
            statuses,
            self._cases,
        )

    def _not_covered(self, names: list[str]) -> list[str]:
        sentences = []
        for name in names:
            for status in NOT_OK:
                count, message = self._failures.get((name, status), (0, ""))
                if count:
                    message = re.sub(r"\s+", " ", message)
                    sentences.append(
                        f"{name}: {status} on {count} of {self._cases} cases: {message}"
                    )
        return sentences


def headline(summary: Summary, status: int) -> str:
    """As `headline.headline`, from counts."""
    counted = ", ".join(f"{summary.verdicts[verdict]} {verdict}" for verdict in rows.VERDICTS)
    engines = sum(statuses["ok"] > 0 for statuses in summary.statuses.values())
    word = headlines.WORDS.get(status, f"Exit status {status}")
    covered = f"{summary.tensors} tensors of {summary.cases} cases × {engines} engines"
    return f"{word}: {counted} in {covered}"


def report(summary: Summary, record: Mapping[str, Any]) -> str:
    """The summary of a run too large to be read at once, as Markdown."""
    missing = [f"- {sentence}" for sentence in summary.not_covered]
    missing += [f"- special case left out: {name}" for name in record["specials_left_out"]]
    parts = ["# crosscheck", headline(summary, record["exit_status"])]
    parts += ["Not covered:\n\n" + "\n".join(missing) if missing else "Everything asked for ran."]
    parts += ["## Engines", markdown.table(summary.engines)]
    parts += ["## Pairs of engines", markdown.table(summary.pairs)]
    parts += [f"Command: `{record['command']}`"]
    return "\n\n".join(parts) + "\n"


def show(summary: Summary, record: Mapping[str, Any], console: Console) -> None:
    """The same on the terminal."""
    sentence = headline(summary, record["exit_status"])
    terminal.show_tables(console, sentence, summary.engines, summary.pairs, summary.not_covered)
