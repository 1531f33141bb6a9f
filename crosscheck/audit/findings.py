"""What the rows come to: the finding in sentences, the remedies, the unprinted, the news.

The known outcome is shipped with the package, as `expected.csv`.
"""

import csv
from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Any

from crosscheck.arithmetic.conventions import READINGS
from crosscheck.audit.rows import Row
from crosscheck.paper.equation import Equation
from crosscheck.paper.unprinted import CORRECTIONS, UNPRINTED

NOTES = (
    "σ is never defined. S0 fixes it up to a shift of its argument: σ(z) = 1/(1 + e^{-(z - c)}).",
    "σ^{-1}(a^l) is a name for the pre-activation. As the inverse of σ it would be false at a "
    "linear output, where a^N is the pre-activation itself; N1 is tried as a name.",
    "i numbers the entries of the training data, but in S0, ∂/∂x_i, it is an index of x.",
    "j is the output neuron, but in the derivation of S6 it is an index of summation.",
    "S6 is printed with a stray ∂ in a subscript.",
    "X in cost(X) is not defined.",
    "For no equation is the range of l printed. An index that runs past the net is UNDEFINED.",
    "Where a wrong equation happens to hold: a (1 - a) = 1 has no real root, so the missing or "
    "superfluous factor shows at every entry that is not 0. Weights that are 0 hide it in S1, S5 "
    "and S6, inputs that are 0 (with N = 2) in S2 and S4, nothing hides it in S3; N2 meets a "
    "linear output only at σ(z) = z, z = 0.65905.",
)
"""What the print leaves unclear, in sentences; none of it is a verdict."""

READING_NAMES: Mapping[str, str] = {
    "identity": "a linear output (reading identity)",
    "sigmoid": "σ on every layer (reading sigmoid)",
}

Key = tuple[str, str, str | None]
"""Equation, reading, layer."""

NEEDED = (
    ("U1", READINGS, "the start of the recursion: S8 at l = N-1 cannot do without it"),
    ("U2", READINGS, "C3 sums over j, and S2 prints the diagonal only"),
    ("U3", READINGS, "C2 sums over j, and S3 prints the diagonal only"),
    ("S3′", ("sigmoid",), "∂a^N/∂b^N, as S8 stops at N-1 and S3 does not hold"),
    ("N2′", ("identity",), "the output that S1, S2 and S3 differentiate"),
)
"""What is needed and not printed: id, under which readings, and what for."""


def finding(rows: list[Row], whole: list[Row]) -> list[str]:
    """The finding in its first sentences, from the verdicts alone."""
    sentences = []
    broken = [reading for reading in READINGS if _failing(rows, reading)]
    if len(broken) == len(READINGS):
        sentences.append("Under neither reading does everything that the paper prints hold.")
    for reading in READINGS:
        failing = _failing(rows, reading)
        what = ", ".join(failing) + (" fail" if len(failing) > 1 else " fails")
        undecided = [r for r in rows if r["reading"] == reading and r["verdict"] == "UNDECIDED"]
        rest = "everything else holds wherever it is defined"
        if undecided:
            rest += f", but for {len(undecided)} rows that are undecided"
        held = f"{what}; {rest}" if failing else rest
        sentences.append(f"With {READING_NAMES[reading]}: {held}.")
    sentences.append(composed(whole))
    apart = [row for row in rows if row["disagreement"]]
    judges = len(rows[0]["rivals"]) if rows else 0
    sentences.append(
        f"The judges disagree on {len(apart)} of {len(rows)} rows."
        if apart
        else f"All {judges} judges give the same verdict on each of the {len(rows)} rows."
    )
    return sentences


def composed(whole: list[Row]) -> str:
    """What the print comes to for who follows it to the letter, in nets with a hidden layer."""
    parts = []
    for reading in READINGS:
        rows = [r for r in whole if (r["route"], r["reading"]) == ("letter", reading)]
        rows = [r for r in rows if r["layers"] > 2]
        right = {_tensor(r) for r in rows if r["verdict"] == "HOLDS"}
        wrong = {_tensor(r) for r in rows if r["verdict"] == "FAILS"}
        if len(wrong) == 1:
            what = f"only the gradient of {wrong.pop()} is wrong"
        elif len(right) == 1:
            what = f"only the gradient of {right.pop()} is right"
        else:
            what = f"gradients of {len(wrong)} tensors are wrong, of {len(right)} right"
        parts.append(f"with {READING_NAMES[reading]} {what}")
    return f"Followed to the letter in nets with a hidden layer, {'; '.join(parts)}."


def _tensor(row: Row) -> str:
    layer = row["layer"] if row["layer"] == "N" else f"({row['layer']})"
    return f"{row['tensor']}^{layer}"


def _failing(rows: list[Row], reading: str) -> list[str]:
    """Such as "S5 at l = N-1"; where an equation fails everywhere it is defined, its id alone."""
    failing = []
    for equation in dict.fromkeys(row["equation"] for row in rows):
        own = [r for r in rows if (r["equation"], r["reading"]) == (equation, reading)]
        decided = [r for r in own if r["verdict"] != "UNDEFINED"]
        wrong = [r for r in decided if r["verdict"] == "FAILS"]
        if wrong and len(wrong) == len(decided):
            failing.append(equation)
        elif wrong:
            places = " and ".join(str(row["layer"]) for row in wrong)
            failing.append(f"{equation} at l = {places}")
    return failing


def remedies(rows: list[Row], tried: list[Row]) -> list[Row]:
    """For each row that fails, the smallest correction, and the verdict of its own trial.

    `tried` are the rows of the unprinted equations. Where no correction is known, `correction`
    is null.
    """
    found = []
    for row in rows:
        if row["verdict"] != "FAILS":
            continue
        about = {key: row[key] for key in ("equation", "reading", "layer")}
        correction = _correction(row)
        trial = _find(tried, correction.id, row["reading"], row["layer"]) if correction else None
        if correction is None or trial is None:
            found.append({**about, "correction": None, "text": "no correction is known"})
        else:
            found.append({**about, "correction": correction.id, **_formula(correction), **trial})
    return found


def _correction(row: Row) -> Equation | None:
    corrections = CORRECTIONS[row["reading"]]
    identity = corrections.get((row["equation"], "output"))
    return UNPRINTED[identity] if identity else None


def unprinted_entries(tried: list[Row]) -> list[Row]:
    """What the paper needs and does not print, with its formula and the verdict on it."""
    entries = []
    for identity, readings, purpose in NEEDED:
        for reading in readings:
            trial = next(
                _trial(r) for r in tried if (r["equation"], r["reading"]) == (identity, reading)
            )
            about = {"equation": identity, "reading": reading, "status": "UNPRINTED"}
            entries.append({**about, "needed": purpose, **_formula(UNPRINTED[identity]), **trial})
    return entries


def _formula(equation: Equation) -> dict[str, str]:
    return {"left": equation.left, "right": equation.right, "text": equation.summary}


def _find(rows: list[Row], identity: str, reading: str, layer: str | None) -> Row | None:
    for row in rows:
        if (row["equation"], row["reading"], row["layer"]) == (identity, reading, layer):
            return _trial(row)
    return None


def _trial(row: Row) -> dict[str, Any]:
    left_out = ("equation", "reading", "layer", "holds_on")
    return {key: value for key, value in row.items() if key not in left_out}


def known() -> dict[Key, str]:
    """The verdict of each (equation, reading, layer)."""
    text = files("crosscheck.audit").joinpath("expected.csv").read_text(encoding="utf-8")
    return {
        (row["equation"], row["reading"], row["layer"] or None): row["verdict"]
        for row in csv.DictReader(text.splitlines())
    }


def verdicts(rows: Iterable[Row]) -> dict[Key, str]:
    """The same of the rows of an audit."""
    return {(row["equation"], row["reading"], row["layer"]): row["verdict"] for row in rows}


def differences(rows: Iterable[Row]) -> list[str]:
    """A sentence for each verdict that is not the known one, for each missing, each new."""
    got, want = verdicts(rows), known()
    sentences = []
    for key in dict.fromkeys([*want, *got]):
        if got.get(key) != want.get(key):
            equation, reading, layer = key
            place = f"{equation} under {reading}" + (f" at l = {layer}" if layer else "")
            sentences.append(
                f"{place}: found {got.get(key, 'no row')}, known is {want.get(key, 'no row')}"
            )
    return sentences
