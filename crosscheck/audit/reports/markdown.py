"""The audit as Markdown."""

from collections.abc import Iterable, Sequence

from crosscheck.audit.reports import words as summaries
from crosscheck.audit.reports.words import Found

SHOWN_Z = (0.0, 4.0, 8.0, 12.0, 15.0, 16.5, 20.0, 25.0, 30.0, 35.0, 37.0, 40.0)
"""Rows of the table of digits; the files have every half."""


def text(found: Found) -> str:
    """The whole audit for a reader: the finding first, then the equations, then the rest."""
    parts = ["# The paper on trial, equation by equation", *_opening(found)]
    parts += ["## The equations", _equations(found)]
    parts += ["## The remedies", _remedies(found)]
    parts += ["## Needed and not printed", _unprinted(found)]
    parts += ["## The gradients they compose to", _routes(found), _whole(found)]
    parts += ["## Digits left in σ′", _weakness_text(), _weakness(found)]
    parts += ["## Notes", bullets(found["notes"])]
    for title, sentences in summaries.remarks(found).items():
        parts += [f"## {title}", bullets(sentences)]
    return "\n\n".join(parts) + "\n"


def _opening(found: Found) -> list[str]:
    known = summaries.outcome(found)
    return [
        "**" + " ".join(found["finding"]) + "**",
        summaries.scope(found) + " The paper is *Back Propagation* (A. Filler and N. Menirav, "
        "August 2025); it numbers no equation, and the ids are in the order of printing.",
        known[0] if len(known) == 1 else known[0] + "\n\n" + bullets(known[1:]),
        f"Made by `{found['command']}`.",
    ]


def _equations(found: Found) -> str:
    lines = [
        [equation["id"], f"`{equation['text'].rstrip('.')}`", *map(_bold, verdicts), error]
        for equation, verdicts, error in summaries.by_equation(found)
    ]
    readings = found["plan"]["readings"]
    return table(["", "as printed", *readings, "largest error where it fails"], lines)


def _bold(words: str) -> str:
    return words.replace("FAILS", "**FAILS**")


def _remedies(found: Found) -> str:
    lines = [
        [
            row["equation"],
            row["reading"],
            row["layer"] or "",
            f"`{row['text'].rstrip('.')}`",
            _trial(row),
        ]
        for row in found["remedies"]
    ]
    return table(["", "reading", "at l", "smallest correction", "on trial itself"], lines)


def _trial(row: dict[str, object]) -> str:
    if "verdict" not in row:
        return ""
    return f"{row['verdict']} on {row['holds']} of {row['architectures']} architectures"


def _unprinted(found: Found) -> str:
    lines = [
        [f"`{row['text'].rstrip('.')}`", row["reading"], row["needed"], _trial(row)]
        for row in found["unprinted"]
    ]
    return table(["UNPRINTED", "reading", "needed for", "on trial itself"], lines)


def _routes(found: Found) -> str:
    return bullets(f"{name}: {meaning}" for name, meaning in found["routes"].items())


def _whole(found: Found) -> str:
    head = ["route", "reading", "N", "right", "wrong", "what is wrong with it"]
    return table(head, summaries.composed(found))


def _weakness_text() -> str:
    return (
        "a(1 - a) cancels where σ saturates. Correct decimal digits, the worst within a quarter "
        "of z; PyTorch's and JAX's own derivatives share the flaw. Such a gradient is inaccurate, "
        "not wrong: the rounding bound of the formula allows it."
    )


def _weakness(found: Found) -> str:
    dtypes = list(dict.fromkeys(row["dtype"] for row in found["weakness"]))
    methods = list(dict.fromkeys(row["method"] for row in found["weakness"]))
    head = ["z", *(f"{dtype} {method}" for dtype in dtypes for method in methods)]
    lines = []
    for z in SHOWN_Z:
        digits = [summaries.digits_at(found, z, dtype) for dtype in dtypes]
        lines.append([f"{z:g}", *(f"{of[method]:.1f}" for of in digits for method in methods)])
    return table(head, lines)


def bullets(sentences: Iterable[str]) -> str:
    """Sentences as a list."""
    return "\n".join(f"- {sentence}" for sentence in sentences)


def table(head: Sequence[object], lines: Iterable[Sequence[object]]) -> str:
    """A Markdown table; a bar inside a cell is escaped."""
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows)


def _cell(content: object) -> str:
    return str(content).replace("|", "\\|")
