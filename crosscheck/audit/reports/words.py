"""What every report of the audit says, in words: shared by terminal, Markdown, LaTeX and HTML."""

from collections.abc import Iterable, Iterator
from typing import Any

from crosscheck.reports.words import short

Found = dict[str, Any]
Row = dict[str, Any]

ORDER = ("FAILS", "HOLDS", "UNDECIDED", "UNDEFINED")


def rows_of(found: Found, equation: str, reading: str) -> list[Row]:
    """The rows of one equation under one reading, from the output downwards."""
    return [r for r in found["rows"] if (r["equation"], r["reading"]) == (equation, reading)]


def layers(rows: Iterable[Row]) -> str:
    """ "N", "N-1 … N-4": the layers of rows, in their order; empty where they speak of none."""
    names = [row["layer"] for row in rows if row["layer"]]
    return names[0] if len(names) == 1 else f"{names[0]} … {names[-1]}" if names else ""


def in_words(rows: list[Row]) -> str:
    """ "FAILS at l = N; HOLDS at N-1 … N-4"."""
    parts = []
    for verdict in ORDER:
        same = [row for row in rows if row["verdict"] == verdict]
        if same:
            where = layers(same)
            parts.append(f"{verdict} at {where}" if where else verdict)
    return "; ".join(parts)


def largest_error(rows: Iterable[Row], verdict: str) -> float | None:
    """The largest error of the rows with a verdict, or None."""
    errors = [row["max_abs_error"] for row in rows if row["verdict"] == verdict]
    return max(errors, default=None)


def by_equation(found: Found) -> Iterator[tuple[Row, list[str], str]]:
    """Each equation, its verdicts in words under each reading, its largest error where it fails."""
    for equation in found["equations"]:
        readings = [rows_of(found, equation["id"], name) for name in found["plan"]["readings"]]
        error = largest_error([row for rows in readings for row in rows], "FAILS")
        yield equation, [in_words(rows) for rows in readings], "" if error is None else short(error)


def remedy(found: Found, row: Row) -> Row | None:
    """The remedy of a row that fails."""
    about = ("equation", "reading", "layer")
    for candidate in found["remedies"]:
        if all(candidate[key] == row[key] for key in about):
            return dict(candidate)
    return None


def scope(found: Found) -> str:
    """What was tried, in a sentence."""
    plan = found["plan"]
    judges = ", ".join(["the oracle's balls", *found["rivals"]])
    return (
        f"{plan['architectures']} random architectures (N = {plan['layers'][0]} … "
        f"{plan['layers'][1]}, widths {plan['widths'][0]} to {plan['widths'][1]}, D = "
        f"{plan['samples'][0]} to {plan['samples'][1]}, seed {plan['seed']}), both readings, "
        f"{plan['dtype']}. Left sides by {judges}."
    )


def outcome(found: Found) -> list[str]:
    """Whether the outcome is the known one; if not, each difference."""
    if not found["differences"]:
        return ["The outcome is the known one."]
    return ["The outcome differs from the known one:", *found["differences"]]


def absences(found: Found) -> list[str]:
    """A sentence for each rival whose library is not installed."""
    return [f"{name} was not asked: {why}" for name, why in found["absent"].items()]


def disagreements(found: Found) -> list[str]:
    """A sentence for each row on which a rival's verdict is not the oracle's."""
    return [
        f"{row['equation']} under {row['reading']} at {row['layer'] or 'no layer'}: "
        f"oracle {row['verdict']}, {judge} {row['rivals'][judge]['verdict']}"
        for row in found["rows"]
        for judge in row["disagreement"]
    ]


def coincidences(found: Found) -> list[str]:
    """Where a wrong equation happens to hold, by architecture."""
    return [
        f"{row['equation']} under {row['reading']} at l = {row['layer']} holds on "
        + "; ".join(row["holds_on"])
        for row in found["rows"]
        if row["holds_on"]
    ]


def undecided(found: Found) -> list[str]:
    """Where nothing could be said of an architecture, by row."""
    return [
        f"{row['equation']} under {row['reading']}"
        + (f" at l = {row['layer']}" if row["layer"] else "")
        + ": "
        + "; ".join(row["undecided_on"])
        for row in found["rows"]
        if row["undecided_on"]
    ]


def remarks(found: Found) -> dict[str, list[str]]:
    """What a reader must know besides: sentences by title, where there are any."""
    titled = {
        "Where a wrong equation happens to hold": coincidences(found),
        "Where nothing can be said": undecided(found),
        "Where the judges disagree": disagreements(found),
        "Judges that were not asked": absences(found),
    }
    return {title: sentences for title, sentences in titled.items() if sentences}


def composed(found: Found) -> Iterator[tuple[str, str, int, str, str, str]]:
    """Of each gradient composed of the equations: route, reading, N, and `whole_in_words`."""
    depths = sorted({row["layers"] for row in found["whole"]})
    for route in found["routes"]:
        for reading in found["plan"]["readings"]:
            for layers in depths:
                yield route, reading, layers, *whole_in_words(found, route, reading, layers)


def whole_in_words(found: Found, route: str, reading: str, layers: int) -> tuple[str, str, str]:
    """Of a composed gradient: which tensors are right, which wrong, and the factor."""
    rows = [
        row
        for row in found["whole"]
        if (row["route"], row["reading"], row["layers"]) == (route, reading, layers)
    ]
    right = [_tensor(row) for row in rows if row["verdict"] == "HOLDS"]
    wrong = [row for row in rows if row["verdict"] == "FAILS"]
    factors = {row["factor"] or "not one factor" for row in wrong}
    names = [_tensor(row) for row in wrong]
    return _all_or(right, rows), _all_or(names, rows), "; ".join(sorted(factors))


def _all_or(names: list[str], rows: list[Row]) -> str:
    """The names, or how few they are short of all."""
    others = [_tensor(row) for row in rows if _tensor(row) not in names]
    if len(others) == 1 and len(names) > 1:
        return f"all but {others[0]}"
    return ", ".join(names) or "none" if others else "all"


def _tensor(row: Row) -> str:
    layer = row["layer"] if row["layer"] == "N" else f"({row['layer']})"
    return f"{row['tensor']}^{layer}"


def digits_at(found: Found, z: float, dtype: str) -> dict[str, float]:
    """Correct digits left in σ′ near z, by method."""
    return {
        row["method"]: row["digits"]
        for row in found["weakness"]
        if row["z"] == z and row["dtype"] == dtype
    }
