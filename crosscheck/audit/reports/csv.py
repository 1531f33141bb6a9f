"""The rows of the audit as CSV: one line an equation, reading and layer."""

import csv
import io

from crosscheck.audit.reports.words import Found

COLUMNS = (
    "equation",
    "reading",
    "layer",
    "verdict",
    "max_abs_error",
    "bound_use",
    "architectures",
    "holds",
    "fails",
    "undecided",
)
OF_A_RIVAL = ("verdict", "max_abs_error", "bound_use")


def text(found: Found) -> str:
    """All rows; a rival's columns are called `NAME verdict` and so on; null is an empty cell."""
    rivals = found["rivals"]
    head = [*COLUMNS, *(f"{name} {column}" for name in rivals for column in OF_A_RIVAL)]
    target = io.StringIO()
    writer = csv.writer(target, lineterminator="\n")
    writer.writerow(head)
    for row in found["rows"]:
        of_rivals = [row["rivals"][name][column] for name in rivals for column in OF_A_RIVAL]
        writer.writerow([*(row[column] for column in COLUMNS), *of_rivals])
    return target.getvalue()
