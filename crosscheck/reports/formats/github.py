"""A run as GitHub's workflow commands: one summary and the worst nine, since ten are shown."""

import re

from crosscheck.reports import tables, worst
from crosscheck.reports.visible import visible
from crosscheck.reports.words import headline, short
from crosscheck.results.finished import FinishedRun

MOST = 10
"""Annotations that GitHub shows of a step."""


def report(run: FinishedRun) -> str:
    """At most ten lines `::error title=…::…`, the summary first."""
    status = run.record["exit_status"]
    against = run.comparison
    summary = tables.summary(run)
    sentence = headline(summary, status)
    if against:
        sentence += f"\n{against['sentence']}"
    failed = bool(status or (against and against["exit_status"]))
    lines = [annotation("error" if failed else "notice", "crosscheck", sentence)]
    lines += _changes(run) + _failures(summary.not_covered) + _results(run)
    return visible("\n".join(lines[:MOST]) + "\n")


def _changes(run: FinishedRun) -> list[str]:
    """What the baseline says has become worse."""
    found = []
    for change in (run.comparison or {}).get("changes", []):
        if change["mark"] in ("!", "+"):
            text = f"{change['case']} {change['tensor']}: {change['before']}, now {change['now']}"
            found.append(annotation("error", f"{change['engine']} got worse", text))
    return found[: MOST // 2]


def _failures(not_covered: list[str]) -> list[str]:
    """Engines that raised, crashed or timed out; what is unsupported is a notice."""
    lines = [
        annotation("notice" if ": unsupported on " in each else "error", "Not covered", each)
        for each in not_covered
    ]
    return sorted(lines)[: MOST // 2]


def _results(run: FinishedRun) -> list[str]:
    """The worst defects and suspects."""
    found = []
    for row in worst.worst(run, MOST).to_dict("records"):
        if row["verdict"] not in ("DEFECT", "SUSPECT"):
            continue
        title = f"{row['verdict']}: {row['engine']}, {row['tensor']}"
        text = (
            f"{row['where']}: got {short(row['got'])}, exact {short(row['exact'])}, the bound "
            f"allows {short(row['bound'])}\n{row['reproduce']}"
        )
        level = "error" if row["verdict"] == "DEFECT" else "warning"
        found.append(annotation(level, title, text, *_at(row.get("first_wrong", ""))))
    return found


def _at(first_wrong: str) -> tuple[str, str]:
    """The file and line of a wrong operation, where it has them: (file.py:12) at its end."""
    place = re.search(r"\((.+):(\d+)\)$", first_wrong)
    return (place[1], place[2]) if place else ("", "")


def annotation(level: str, title: str, text: str, file: str = "", line: str = "") -> str:
    """One workflow command: `level` is error, warning or notice; at a line of a file, if any."""
    place = f"file={escape_property(file)},line={escape_property(line)}," if file else ""
    return f"::{level} {place}title={escape_property(title)}::{escape(text)}"


def escape(text: str) -> str:
    """A message as a workflow command takes it."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def escape_property(text: str) -> str:
    """A property of a workflow command, in which : and , are marks too."""
    return escape(text).replace(":", "%3A").replace(",", "%2C")
