"""The audit as LaTeX: tables to include in a paper; needs amsmath, booktabs and longtable."""

import re

from crosscheck.audit.reports import words as summaries
from crosscheck.audit.reports.words import Found
from crosscheck.reports.formats.latex import escape

OPEN, CLOSE = r"\begingroup\small\renewcommand{\arraystretch}{2}", r"\endgroup"
"""Around the tables: fractions in lines of text need the room."""

UNDER_HEAD = (r"\midrule", r"\endhead")
"""Ends the first row, which comes again on every page."""


def text(found: Found) -> str:
    """Two tables, equations and remedies, after the finding as a comment."""
    head = [f"% {sentence}" for sentence in (*found["finding"], summaries.scope(found))]
    head.append(f"% Made by {found['command']}; needs amsmath, booktabs and longtable.")
    tables = [*_equations(found), "", *_remedies(found)]
    return "\n".join([*head, OPEN, *tables, CLOSE]) + "\n"


def _words(verdicts: str) -> str:
    """Verdicts with their layers, N and N-1, as mathematics that is not broken."""
    return re.sub(r"\bN(?:\{-\}(\d+)|\b)", _layer, escape(verdicts))


def _layer(name: re.Match[str]) -> str:
    return f"$N-{name[1]}$" if name[1] else "$N$"


def _equations(found: Found) -> list[str]:
    """Two rows an equation, as formula and verdicts side by side are wider than a page."""
    readings = found["plan"]["readings"]
    lines = [r"\begin{longtable}{l" + "p{44mm}" * len(readings) + "r}", r"\toprule"]
    lines += [" & " + " & ".join(readings) + r" & error \\", *UNDER_HEAD]
    across = len(readings) + 1
    for equation, verdicts, error in summaries.by_equation(found):
        cells = " & ".join(r"\raggedright " + _words(verdict) for verdict in verdicts)
        formula = f"${equation['left']} = {equation['right']}$"
        lines.append(rf"{equation['id']} & \multicolumn{{{across}}}{{l}}{{{formula}}} \\*")
        lines.append(rf" & {cells} & {error} \\")
    return [*lines, r"\bottomrule", r"\end{longtable}"]


def _remedies(found: Found) -> list[str]:
    lines = [r"\begin{longtable}{lllll}", r"\toprule"]
    lines += [r" & reading & $l$ & correction & verdict \\", *UNDER_HEAD]
    for row in found["remedies"]:
        formula = f"${row['left']} = {row['right']}$" if row["correction"] else ""
        cells = [escape(row["equation"]), row["reading"], f"${row['layer']}$", formula]
        lines.append(" & ".join([*cells, row.get("verdict", "")]) + r" \\")
    return [*lines, r"\bottomrule", r"\end{longtable}"]
