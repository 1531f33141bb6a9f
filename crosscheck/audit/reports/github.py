"""The audit as GitHub's workflow commands: the finding, then what is new, then what fails."""

from crosscheck.audit.reports import words as summaries
from crosscheck.audit.reports.words import Found, Row
from crosscheck.reports.formats.github import MOST, annotation
from crosscheck.reports.words import short


def text(found: Found) -> str:
    """At most ten lines: an error is what differs from the known outcome, never a known failure."""
    differences = found["differences"]
    level = "error" if differences else "notice"
    known = "The outcome is the known one."
    if differences:
        known = f"The outcome differs from the known one in {len(differences)} places."
    lines = [annotation(level, "crosscheck audit", "\n".join([*found["finding"], known]))]
    lines += [annotation("error", "Not the known outcome", each) for each in differences]
    apart = summaries.disagreements(found)
    lines += [annotation("warning", "The judges disagree", each) for each in apart]
    lines += [annotation("notice", "Not asked", each) for each in summaries.absences(found)]
    lines += [_failure(found, row) for row in found["rows"] if row["verdict"] == "FAILS"]
    return "\n".join(lines[:MOST]) + "\n"


def _failure(found: Found, row: Row) -> str:
    """An equation that fails, by how much, and what would hold instead."""
    where = f" at l = {row['layer']}" if row["layer"] else ""
    title = f"{row['equation']} under {row['reading']}{where} fails"
    sentence = f"on {row['fails']} of {row['architectures']} architectures, by up to "
    remedy = summaries.remedy(found, row)
    instead = f"\nInstead: {remedy['text']}" if remedy else ""
    return annotation("notice", title, f"{sentence}{short(row['max_abs_error'])}{instead}")
