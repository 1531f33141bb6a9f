"""The audit as LaTeX: tables to include in a paper; needs amsmath, booktabs and longtable."""

from crosscheck.reports import audit_summaries as summaries
from crosscheck.reports.audit_summaries import Found
from crosscheck.reports.numbers import short

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


def text(found: Found) -> str:
    """Two tables, equations and remedies, after the finding as a comment."""
    head = [f"% {sentence}" for sentence in (*found["finding"], summaries.scope(found))]
    head.append(f"% Made by {found['command']}; needs amsmath, booktabs and longtable.")
    return "\n".join([*head, *_equations(found), "", *_remedies(found)]) + "\n"


def escaped(words: str) -> str:
    """Text with LaTeX's special characters escaped."""
    return "".join(SPECIAL.get(letter, letter) for letter in words)


def _equations(found: Found) -> list[str]:
    readings = found["plan"]["readings"]
    lines = [r"\begin{longtable}{llp{3.2cm}p{3.2cm}r}", r"\toprule"]
    lines += [" & as printed & " + " & ".join(readings) + r" & error \\", r"\midrule"]
    for equation in found["equations"]:
        rows = [summaries.rows_of(found, equation["id"], reading) for reading in readings]
        error = summaries.largest_error([r for of in rows for r in of], "FAILS")
        verdicts = " & ".join(escaped(summaries.in_words(of)) for of in rows)
        formula = f"${equation['left']} = {equation['right']}$"
        shown = "" if error is None else short(error)
        lines.append(rf"{equation['id']} & {formula} & {verdicts} & {shown} \\")
    return [*lines, r"\bottomrule", r"\end{longtable}"]


def _remedies(found: Found) -> list[str]:
    lines = [r"\begin{longtable}{lllll}", r"\toprule"]
    lines += [r" & reading & $l$ & correction & verdict \\", r"\midrule"]
    for row in found["remedies"]:
        formula = f"${row['left']} = {row['right']}$" if row["correction"] else ""
        cells = [escaped(row["equation"]), row["reading"], f"${row['layer']}$", formula]
        lines.append(" & ".join([*cells, row.get("verdict", "")]) + r" \\")
    return [*lines, r"\bottomrule", r"\end{longtable}"]
