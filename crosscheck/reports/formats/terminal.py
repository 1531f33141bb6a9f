"""The tables of a run on the terminal, by rich."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from crosscheck.reports.tables import Summary
from crosscheck.reports.visible import visible
from crosscheck.reports.words import headline, left_out, short

VERDICT_COLUMNS = {
    "engine": "engine",
    "dtype": "dtype",
    "cases": "cases",
    "tensors": "tensors",
    "consistent": "consis-\ntent",
    "suspect": "sus-\npect",
    "defect": "defect",
    "inconclusive": "incon-\nclusive",
}
ERROR_COLUMNS = {
    "median_ulp": "ulp\nmedian",
    "p99_ulp": "ulp\np99",
    "max_ulp": "ulp\nmax",
    "bound_use": "bound\nuse",
    "power": "power\nmedian",
    "microseconds": "µs per\ngradient",
}
"""Columns of the table of engines, and what stands above them."""

FULL_WIDTH = 128
"""Characters that the table of engines needs on one line; a narrower terminal gets it in two."""

PAIR_COLUMNS = {
    "engine_a": "engine",
    "engine_b": "against",
    "dtype": "dtype",
    "cases": "cases",
    "max_abs_difference": "largest\ndifference",
    "median_ulp_difference": "ulp\nmedian",
    "max_ulp_difference": "ulp\nmax",
}
"""Columns of the table of pairs."""


def table(frame: pd.DataFrame, columns: dict[str, str], title: str) -> Table:
    """A frame's columns as a rich table; numbers to the right, cells never folded."""
    shown = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for name, heading in columns.items():
        numeric = pd.api.types.is_numeric_dtype(frame[name]) if len(frame) else False
        shown.add_column(heading, justify="right" if numeric else "left", no_wrap=True)
    for row in frame[list(columns)].itertuples(index=False):
        cells = [Text(short(value)) for value in row]
        defects = dict(zip(columns, row, strict=True)).get("defect", 0)
        shown.add_row(*cells, style="red" if defects else "")
    return shown


def _parts(width: int) -> list[tuple[dict[str, str], str]]:
    """The table of engines in one part, or in two where one would be cut."""
    if width >= FULL_WIDTH:
        return [(VERDICT_COLUMNS | ERROR_COLUMNS, "Engines")]
    keys = {name: VERDICT_COLUMNS[name] for name in ("engine", "dtype")}
    return [(VERDICT_COLUMNS, "Verdicts"), (keys | ERROR_COLUMNS, "Errors")]


def show(console: Console, summary: Summary, record: Mapping[str, Any]) -> None:
    """Engines, pairs, what was not covered, and the verdict last, where the eye is."""
    for columns, title in _parts(console.width):
        console.print(table(summary.engines, columns, title))
    if len(summary.pairs):
        console.print()
        console.print(table(summary.pairs, PAIR_COLUMNS, "Pairs"))
    console.print()
    for sentence in (*summary.not_covered, *left_out(record)):
        line = visible(f"Not covered: {sentence}")
        console.print(line, markup=False, style="yellow", soft_wrap=True)
    sentence = visible(headline(summary, record["exit_status"]))
    console.print(sentence, markup=False, style="bold", soft_wrap=True)
