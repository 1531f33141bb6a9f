"""Outcomes of many architectures put together: the rows of the audit."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from crosscheck.audit.trial import ORACLE, Outcome
from crosscheck.networks.network import Case

Row = dict[str, Any]

STRENGTH = ("FAILS", "UNDECIDED", "HOLDS", "UNDEFINED")
"""Of several outcomes on one architecture, the first of these that occurs counts."""


def named(case: Case) -> str:
    """An architecture in a finding: number, widths, D, and what is special about it."""
    special = f", {case.special}" if case.special else ""
    return f"architecture {case.index} ({case.architecture.label}, D = {case.samples}{special})"


@dataclass
class Tally:
    """One judge's outcomes on one equation at one place, by architecture."""

    outcomes: dict[str, Outcome] = field(default_factory=dict)

    def add(self, case: Case, outcome: Outcome) -> None:
        """Count an outcome; an equation that speaks of no layer has several a network."""
        name = named(case)
        before = self.outcomes.get(name)
        self.outcomes[name] = outcome if before is None else _merged(before, outcome)

    def names(self, verdict: str) -> list[str]:
        return [name for name, outcome in self.outcomes.items() if outcome.verdict == verdict]

    @property
    def verdict(self) -> str:
        """FAILS if any architecture fails, HOLDS if any is decided and none fails."""
        found = {outcome.verdict for outcome in self.outcomes.values()}
        order = ("FAILS", "HOLDS", "UNDECIDED", "UNDEFINED")
        return next(verdict for verdict in order if verdict in found)

    def summary(self) -> Row:
        """What a row says of one judge; errors are null where nothing was tried."""
        verdict = self.verdict
        tried = verdict != "UNDEFINED"
        outcomes = self.outcomes.values()
        return {
            "verdict": verdict,
            "max_abs_error": max(o.max_abs_error for o in outcomes) if tried else None,
            "bound_use": max(o.bound_use for o in outcomes) if tried else None,
            "architectures": len(self.outcomes),
            "holds": len(self.names("HOLDS")),
            "fails": len(self.names("FAILS")),
            "undecided": len(self.names("UNDECIDED")),
        }

    def worst(self) -> Row | None:
        """Where the largest error is: architecture, entry, both sides."""
        name, outcome = max(self.outcomes.items(), key=lambda item: item[1].max_abs_error)
        if outcome.worst is None:
            return None
        entry, right, left = outcome.worst
        return {"architecture": name, "entry": list(entry), "right": right, "left": left}


def _merged(one: Outcome, other: Outcome) -> Outcome:
    larger = max(one, other, key=lambda outcome: outcome.max_abs_error)
    verdict = min(one.verdict, other.verdict, key=STRENGTH.index)
    use = max(one.bound_use, other.bound_use)
    return Outcome(verdict, larger.max_abs_error, use, larger.worst)


class Record:
    """All outcomes, by what a row is about, in the order in which they were first seen."""

    def __init__(self, columns: Sequence[str]) -> None:
        self.columns = columns
        self._tallies: dict[tuple[Any, ...], dict[str, Tally]] = {}

    def add(self, about: tuple[Any, ...], case: Case, outcomes: dict[str, Outcome]) -> None:
        """Count the outcomes of all judges on one architecture."""
        judges = self._tallies.setdefault(about, {})
        for judge, outcome in outcomes.items():
            judges.setdefault(judge, Tally()).add(case, outcome)

    def rows(self) -> list[Row]:
        """A row for everything tried: the oracle's summary, the rivals', and where they differ."""
        return [self._row(about, judges) for about, judges in self._tallies.items()]

    def _row(self, about: tuple[Any, ...], judges: dict[str, Tally]) -> Row:
        oracle = judges[ORACLE]
        row = {**dict(zip(self.columns, about, strict=True)), **oracle.summary()}
        row["worst"] = oracle.worst()
        row["holds_on"] = oracle.names("HOLDS") if row["verdict"] == "FAILS" else []
        row["undecided_on"] = oracle.names("UNDECIDED")
        row["rivals"] = {judge: tally.summary() for judge, tally in judges.items()}
        row["disagreement"] = [
            judge for judge, tally in judges.items() if tally.verdict != oracle.verdict
        ]
        return row
