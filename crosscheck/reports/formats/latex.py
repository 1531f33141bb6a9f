"""The table of engines as LaTeX, ready to be \\input in an article that loads booktabs."""

import math
import re
import unicodedata
from collections.abc import Hashable, Mapping
from typing import Any

from crosscheck.reports import tables
from crosscheck.reports.words import headline
from crosscheck.results.finished import FinishedRun

COLUMNS = {
    "engine": "Engine",
    "consistent": "C",
    "suspect": "S",
    "defect": "D",
    "inconclusive": "I",
    "median_ulp": "Median",
    "p99_ulp": "99\\,\\%",
    "max_ulp": "Max.",
    "bound_use": "Use",
    "power": "Power",
}
"""Columns of the table, and what stands above them, as LaTeX: narrow enough for an article."""

LEGEND = (
    "Tensors by verdict: CONSISTENT (C), SUSPECT (S), DEFECT (D), INCONCLUSIVE (I). "
    "Errors of their worst entries in units in the last place; the share of the bound that was "
    "used; power is the relative mistake that could not have hidden in half of the entries."
)

ESCAPES = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{mark: "\\" + mark for mark in "&%$#_{}"},
    **{mark: f"{{{mark}}}" for mark in "[*`'-\""},
    "–": "--",
    "×": r"$\times$",
    "σ": r"$\sigma$",
    "∂": r"$\partial$",
    "′": r"$'$",
    "…": r"\dots{}",
    "|": r"\textbar{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}
"""What LaTeX reads as something else: [ and * after the end of a row, two of `, ' and - as one."""

OGONEK = "\N{COMBINING OGONEK}"
"""The accent that LaTeX's own font lacks."""

LETTERS = "ßæœøłÆŒØŁ"
"""Letters that LaTeX's own font has, beside ASCII's."""


def report(run: FinishedRun) -> str:
    """A table environment with caption and label, of the width of an article's text."""
    summary = tables.summary(run)
    lines = [
        r"% Needs \usepackage{booktabs}.",
        r"\begin{table}",
        r"  \centering\footnotesize\setlength{\tabcolsep}{4pt}",
        f"  \\caption{{{escape(headline(summary, run.record['exit_status']))}.",
        f"    {LEGEND}}}",
        r"  \label{tab:crosscheck}\medskip",
        r"  \begin{tabular}{p{26mm}" + "r" * (len(COLUMNS) - 1) + "}",
        r"    \toprule",
        "    " + " & ".join(COLUMNS.values()) + r" \\",
    ]
    for dtype, of_dtype in summary.engines.groupby("dtype", sort=False):
        lines += [r"    \midrule", f"    {escape(str(dtype))}" + " &" * (len(COLUMNS) - 1) + r" \\"]
        lines += [_line(row) for row in of_dtype.to_dict("records")]
    lines += [r"    \bottomrule", r"  \end{tabular}", r"\end{table}"]
    return "\n".join(lines) + "\n"


def _line(row: Mapping[Hashable, Any]) -> str:
    """A row of the table; a long name, as of a file and a function, is broken."""
    name = re.sub(r"([./:]|\\_)", r"\1\\allowbreak{}", escape(row["engine"]))
    numbers = [cell(row[column]) for column in COLUMNS if column != "engine"]
    return "    " + " & ".join([r"\raggedright\quad " + name, *numbers]) + r" \\"


def escape(text: str) -> str:
    """Text in which nothing is a command to LaTeX, nor a character that it does not know."""
    return "".join(ESCAPES.get(mark) or _known(mark) for mark in " ".join(text.split()))


def _known(mark: str) -> str:
    """The mark itself, where LaTeX sets it without a package; else its number in words."""
    apart = unicodedata.normalize("NFD", mark)
    plain = apart[0].isascii() and apart.isprintable() and mark < "ƀ" and apart[1:] != OGONEK
    return mark if plain or mark in LETTERS else rf"\allowbreak{{}}U+{ord(mark):04X}"


def cell(value: object) -> str:
    """A table's cell: a number in mathematics, with a power of ten where it is long."""
    if not isinstance(value, float):
        return escape(str(value))
    if math.isnan(value):
        return "--"
    if math.isinf(value):
        return r"$\infty$" if value > 0 else r"$-\infty$"
    if value == 0 or 1e-2 <= abs(value) < 1e4:
        return f"${value:.3g}$" if abs(value) < 1000 else f"${value:.0f}$"
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"${mantissa}{{\\cdot}}10^{{{int(exponent)}}}$"
