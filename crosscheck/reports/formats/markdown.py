"""A run as Markdown: for a pull request, or GitHub's step summary."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from crosscheck.reports import tables, words, worst
from crosscheck.reports.formats import difference
from crosscheck.reports.tables import NOT_OK, Summary
from crosscheck.reports.visible import visible
from crosscheck.reports.words import short
from crosscheck.results.finished import FinishedRun

MARKS = frozenset("&<>|@`[]*\\$#")
"""Characters that mean something to Markdown, or to GitHub; an underscore within a word is text."""

SHOWN = 5
"""Worst results that a pull request is shown."""


def report(run: FinishedRun) -> str:
    """The verdict, what was not covered, the baseline, engines, the worst, how to repeat it."""
    summary = tables.summary(run)
    parts = _head(summary, run.record)
    parts += ["\n".join(f"- {_text(s)}" for s in words.sentences(run.errors, run.cases))]
    parts += _baseline(run.comparison) if run.comparison else []
    parts += ["## Engines", table(_shown(summary.engines))]
    if len(run.errors):
        parts += ["## Precision and accuracy", table(tables.accuracy(run.errors))]
    defects = worst.defects(run)
    if len(defects):
        parts += ["## Defects", table(defects.drop(columns="first"))]
    if len(run.errors):
        parts += ["## Worst results", _worst(run)]
    return _whole([*parts, *_foot(summary, run.record)])


def brief(summary: Summary, record: Mapping[str, Any]) -> str:
    """The same of a run too large to be read at once: its tables, without a single result."""
    engines = ["## Engines", table(_shown(summary.engines))]
    return _whole([*_head(summary, record), *engines, *_foot(summary, record)])


def _head(summary: Summary, record: Mapping[str, Any]) -> list[str]:
    missing = [f"- {_text(each)}" for each in words.not_covered(summary, record)]
    return [
        "# crosscheck",
        _text(words.headline(summary, record["exit_status"])),
        "Not covered:\n\n" + "\n".join(missing) if missing else "Everything asked for ran.",
    ]


def _foot(summary: Summary, record: Mapping[str, Any]) -> list[str]:
    pairs = ["## Pairs of engines", table(summary.pairs)] if len(summary.pairs) else []
    return [*pairs, f"Command: {code(record['command'])}"]


def _whole(parts: list[str]) -> str:
    return visible("\n\n".join(part for part in parts if part) + "\n")


def table(frame: pd.DataFrame) -> str:
    """A frame as a Markdown table; a bar inside a cell is text."""
    lines = [list(frame.columns), ["---"] * len(frame.columns)]
    lines += [[short(value) for value in row] for row in frame.itertuples(index=False)]
    return "\n".join("| " + " | ".join(_text(c) for c in line) + " |" for line in lines)


def _text(text: object) -> str:
    """Text that stays text: on one line, and neither a column nor a tag nor a mention."""
    line = " ".join(str(text).split())
    return "".join(f"&#{ord(mark)};" if mark in MARKS else mark for mark in line)


def code(text: str) -> str:
    """Text between back-ticks, more of them than it has itself."""
    line = " ".join(text.split())
    ticks = "`" * (max((len(run) for run in line.split() if set(run) == {"`"}), default=0) + 1)
    while ticks in line:
        ticks += "`"
    return f"{ticks} {line} {ticks}" if "`" in line else f"`{line}`"


def _baseline(comparison: dict[str, Any]) -> list[str]:
    """The sentence, the changes, and the groups that moved."""
    parts = ["## Baseline", _text(comparison["sentence"])]
    changed, moved = difference.changes(comparison), difference.groups(comparison)
    if len(changed):
        parts.append(table(changed.head(difference.SHOWN)))
    moved = moved[moved["mark"].isin(["+", "-"])]
    if len(moved):
        parts.append(table(moved))
    if comparison["update"]:
        parts.append(f"To record the baseline again: {code(comparison['update'])}")
    return parts


def _worst(run: FinishedRun) -> str:
    lines = []
    for row in worst.worst(run, SHOWN).to_dict("records"):
        lines.append(
            f"- {row['verdict']}: {_text(row['engine'])}, {_text(row['tensor'])} of "
            f"{_text(row['where'])}: got {row['got']:.6g}, exact "
            f"{row['exact']:.6g}, {short(row['bound_use'])} of the bound. "
            f"{code(row['reproduce'])}"
        )
    return "\n".join(lines)


def _shown(engines: pd.DataFrame) -> pd.DataFrame:
    """Without the status columns that are zero throughout."""
    return engines.drop(columns=[name for name in NOT_OK if not engines[name].any()])
