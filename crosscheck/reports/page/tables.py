"""Frames as the tables of a page: what a cell shows, what it sorts by, and its colour."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import pandas as pd

from crosscheck.reports.words import percent, pretty


class Cell(NamedTuple):
    """A cell's text, the value that it sorts by, its class, and a second line."""

    text: str
    sort: str = ""
    kind: str = ""
    below: str = ""


class Heading(NamedTuple):
    """What stands above a column, what it means, and whether it holds numbers."""

    text: str
    meaning: str = ""
    numeric: bool = False


class Table(NamedTuple):
    """A table with a name for those who cannot see it; `code` names columns to be copied."""

    name: str
    headings: list[Heading]
    rows: list[list[Cell]]
    code: tuple[int, ...] = ()

    @property
    def long(self) -> bool:
        """Whether it is worth a filter and a box of its own."""
        return len(self.rows) > 12


VERDICT_KINDS = {"CONSISTENT": "good", "SUSPECT": "warn", "DEFECT": "bad", "INCONCLUSIVE": "mute"}
"""Classes of the verdicts' colours; the word always stands in the cell too."""

COUNT_KINDS = {
    "suspect": "warn",
    "defect": "bad",
    "defective": "bad",
    "inconclusive": "mute",
    "error": "bad",
    "crash": "bad",
    "timeout": "bad",
    "unsupported": "mute",
}
"""Classes of columns of counts, where the count is not zero."""


SHARES = ("rate", "share")
"""Columns of shares, shown in percent."""


def cell(value: Any, column: str = "") -> Cell:
    """A value as a cell; counts of what is amiss are coloured, and verdicts are."""
    if column == "verdict":
        return Cell(str(value), str(value), "chip " + VERDICT_KINDS.get(str(value), "mute"))
    if isinstance(value, str):
        return Cell(value, value)
    number = float(value)
    if column in SHARES:
        return Cell(percent(number), _sortable(number))
    kind = COUNT_KINDS.get(column, "") if number else ""
    if isinstance(value, float):
        return Cell(pretty(value), _sortable(number), kind)
    return Cell(f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}"), _sortable(number), kind)


def _sortable(number: float) -> str:
    """Numbers as JavaScript reads them; what is no number sorts first."""
    if math.isnan(number):
        return "-Infinity"
    return repr(number).replace("inf", "Infinity")


def table(name: str, frame: pd.DataFrame, columns: Mapping[str, tuple[str, str]]) -> Table:
    """A frame's columns as a table; `columns` has for each a heading and a meaning."""
    headings = [
        Heading(text, meaning, bool(len(frame)) and pd.api.types.is_numeric_dtype(frame[column]))
        for column, (text, meaning) in columns.items()
    ]
    rows = [
        [cell(value, column) for column, value in zip(columns, row, strict=True)]
        for row in frame[list(columns)].itertuples(index=False, name=None)
    ]
    return Table(name, headings, rows)
