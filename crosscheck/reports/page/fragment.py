"""The report of one call, check() or gradcheck(): a fragment for a notebook, and a page of it.

It is self-contained and without scripts; its styles touch nothing around it.
"""

import math
from collections.abc import Hashable, Mapping
from importlib import resources
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from crosscheck.reports import words, worst
from crosscheck.reports.page.tables import VERDICT_KINDS
from crosscheck.reports.visible import visible
from crosscheck.results import outcome

SHOWN = 8
"""Worst entries that are shown."""

MARKS = 400
"""Leaves in the picture: of more, those with the largest errors."""

KINDS = {outcome.OK: "good", outcome.DEFECT: "bad", outcome.FAILED: "bad"}
"""Colours of the verdict; everything else is not certain."""


class ToldFinding(NamedTuple):
    """What there is to show: rows, the exit status, a sentence that counts, and the message."""

    errors: pd.DataFrame
    status: int
    lead: str
    message: str


class Mark(NamedTuple):
    """A leaf in the picture: where it stands, its colour, and what it says when pointed at."""

    x: float
    y: float
    kind: str
    title: str


def fragment(told: ToldFinding) -> str:
    """The report as HTML that may stand in a notebook's output."""
    return _rendered(told, whole=False)


def document(told: ToldFinding) -> str:
    """The same as a page of its own."""
    return _rendered(told, whole=True)


def _rendered(told: ToldFinding, whole: bool) -> str:
    import jinja2

    source = resources.files("crosscheck.reports") / "templates" / "fragment.html.j2"
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    page = environment.from_string(source.read_text(encoding="utf-8")).render(
        whole=whole,
        word=_word(told),
        kind=KINDS.get(told.status, "warn"),
        lead=told.lead,
        message=told.message,
        rows=entries(told.errors),
        marks=marks(told.errors),
        ticks=[(_height(10.0**power), f"10{_superscript(power)}") for power in TICKS],
        border=_height(1.0),
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
    )
    return visible(page)


def _word(told: ToldFinding) -> str:
    """The verdict; a function that raised is no engine that failed."""
    return "An error was raised" if told.status == outcome.FAILED else words.WORDS[told.status]


def entries(errors: pd.DataFrame) -> list[list[tuple[str, str]]]:
    """The worst entry of the worst leaves: (text, class) of each cell."""
    if not len(errors):
        return []
    ranked = errors.assign(
        severity=errors["verdict"].map(worst.SEVERITY), use=errors["bound_use"].fillna(np.inf)
    )
    ranked = ranked.sort_values(["severity", "use"], ascending=[True, False], kind="stable")
    return [_cells(row) for row in ranked.head(SHOWN).to_dict("records")]


def _cells(row: Mapping[Hashable, Any]) -> list[tuple[str, str]]:
    verdict = str(row["verdict"])
    return [
        (verdict, "chip " + VERDICT_KINDS[verdict]),
        (f"{row['tensor']}{row['worst_index']}", "code"),
        (worst.where(row), ""),
        *((_digits(row[name]), "n") for name in ("got", "exact")),
        *((words.pretty(row[name]), "n") for name in ("bound", "bound_use")),
        (str(row["reason"]), "text"),
    ]


def _digits(value: object) -> str:
    return f"{value:.9g}" if isinstance(value, float) else str(value)


WIDTH, HEIGHT, LEFT = 640, 150, 44
"""The picture, in its own units."""

LOWEST, HIGHEST = 1e-8, 1e16
"""Errors over bounds beyond which a mark stands at the edge."""

TICKS = (-6, 0, 6, 12)
"""Powers of ten that have a line."""


def _height(use: float) -> float:
    """Where an error of so many bounds stands, on a logarithmic scale."""
    inside = min(max(use, LOWEST), HIGHEST)
    share = math.log10(inside / LOWEST) / math.log10(HIGHEST / LOWEST)
    return round(HEIGHT - 12 - share * (HEIGHT - 24), 1)


def marks(errors: pd.DataFrame) -> list[Mark]:
    """A mark a leaf, in their order: its largest error over its bound."""
    known = errors[errors["bound_use"].notna()]
    if len(known) > MARKS:
        kept = known["bound_use"].sort_values(ascending=False, kind="stable").index[:MARKS]
        known = known.loc[known.index.isin(kept)]
    step = (WIDTH - LEFT - 16) / max(len(known), 1)
    return [
        Mark(
            round(LEFT + 8 + step * (place + 0.5), 1),
            _height(float(row["bound_use"])),
            VERDICT_KINDS[row["verdict"]],
            f"{row['tensor']}, {worst.where(row)}: {words.pretty(float(row['bound_use']))} of B",
        )
        for place, row in enumerate(known.to_dict("records"))
    ]


def _superscript(power: int) -> str:
    return str(power).translate(words.SUPERSCRIPTS)
