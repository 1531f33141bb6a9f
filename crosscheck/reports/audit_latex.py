"""The audit as LaTeX: tables to include in a paper; needs amsmath, booktabs and longtable."""

import re

from crosscheck.reports import audit_summaries as summaries
from crosscheck.reports.audit_summaries import Found
from crosscheck.reports.words import short

SPECIAL = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "#": r"\#",
    "_": r"\_",
    "^": r"\^{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "~": r"\textasciitilde{}",
    "…": r"\dots{}",
    "σ": r"$\sigma$",
    "∂": r"$\partial$",
    "′": r"$'$",
}
"""Characters that LaTeX reads as something else, or that its fonts may lack."""


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


def escaped(words: str) -> str:
    """Text with LaTeX's special characters escaped."""
    return "".join(SPECIAL.get(letter, letter) for letter in words)


def _words(verdicts: str) -> str:
    """Verdicts with their layers, N and N-1, as mathematics that is not broken."""
    return re.sub(r"\bN(-\d+)?\b", r"${\g<0>}$", escaped(verdicts))


def _equations(found: Found) -> list[str]:
    """Two rows an equation, as formula and verdicts side by side are wider than a page."""
    readings = found["plan"]["readings"]
    lines = [r"\begin{longtable}{l" + "p{44mm}" * len(readings) + "r}", r"\toprule"]
    lines += [" & " + " & ".join(readings) + r" & error \\", *UNDER_HEAD]
    for equation in found["equations"]:
        rows = [summaries.rows_of(found, equation["id"], reading) for reading in readings]
        error = summaries.largest_error([r for of in rows for r in of], "FAILS")
        verdicts = " & ".join(r"\raggedright " + _words(summaries.in_words(of)) for of in rows)
        formula = f"${equation['left']} = {equation['right']}$"
        shown = "" if error is None else short(error)
        across = len(readings) + 1
        lines.append(rf"{equation['id']} & \multicolumn{{{across}}}{{l}}{{{formula}}} \\*")
        lines.append(rf" & {verdicts} & {shown} \\")
    return [*lines, r"\bottomrule", r"\end{longtable}"]


def _remedies(found: Found) -> list[str]:
    lines = [r"\begin{longtable}{lllll}", r"\toprule"]
    lines += [r" & reading & $l$ & correction & verdict \\", *UNDER_HEAD]
    for row in found["remedies"]:
        formula = f"${row['left']} = {row['right']}$" if row["correction"] else ""
        cells = [escaped(row["equation"]), row["reading"], f"${row['layer']}$", formula]
        lines.append(" & ".join([*cells, row.get("verdict", "")]) + r" \\")
    return [*lines, r"\bottomrule", r"\end{longtable}"]
