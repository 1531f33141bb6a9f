"""The table of engines as LaTeX, ready to be \\input in an article that loads booktabs."""

import math

from crosscheck.finished import FinishedRun
from crosscheck.reports import summaries
from crosscheck.reports.headline import headline

COLUMNS = {
    "engine": "Engine",
    "dtype": "Precision",
    "tensors": "Tensors",
    "consistent": "Cons.",
    "suspect": "Susp.",
    "defect": "Defect",
    "inconclusive": "Inconcl.",
    "median_ulp": "Median",
    "p99_ulp": "99\\,\\%",
    "max_ulp": "Max.",
    "bound_use": "Bound use",
    "power": "Power",
}
"""Columns of the table, and what stands above them, as LaTeX."""

ESCAPES = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{mark: "\\" + mark for mark in "&%$#_{}"},
    "–": "--",
    "×": r"$\times$",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}


def report(run: FinishedRun) -> str:
    """A table environment with caption and label; errors in units in the last place."""
    engines = summaries.by_engine(run.errors, run.cases)
    lines = [
        r"% Needs \usepackage{booktabs}.",
        r"\begin{table}",
        r"  \centering",
        f"  \\caption{{{escape(headline(run.errors, run.cases, run.record['exit_status']))}.",
        "    Errors in units in the last place; the bound is used up to its share;",
        "    power is the relative mistake that could not have hidden in half of the entries.}",
        r"  \label{tab:crosscheck}",
        r"  \begin{tabular}{ll" + "r" * (len(COLUMNS) - 2) + "}",
        r"    \toprule",
        "    " + " & ".join(COLUMNS.values()) + r" \\",
        r"    \midrule",
    ]
    for row in engines.to_dict("records"):
        lines.append("    " + " & ".join(cell(row[name]) for name in COLUMNS) + r" \\")
    lines += [r"    \bottomrule", r"  \end{tabular}", r"\end{table}"]
    return "\n".join(lines) + "\n"


def escape(text: str) -> str:
    """Text in which nothing is a command to LaTeX."""
    return "".join(ESCAPES.get(mark, mark) for mark in " ".join(text.split()))


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
    return f"${mantissa} \\times 10^{{{int(exponent)}}}$"
