"""The parts of the page: tables, and pictures with a table beside each."""

from typing import Any, NamedTuple

import pandas as pd

from crosscheck.reports import tables, worst
from crosscheck.reports.formats import difference
from crosscheck.reports.page import plots
from crosscheck.reports.page.tables import Cell, Heading, Table, cell, table
from crosscheck.reports.tables import NOT_OK, Summary
from crosscheck.reports.words import pretty
from crosscheck.results import outcome, rows
from crosscheck.results.finished import FinishedRun
from crosscheck.results.rows import engine_names


class Section(NamedTuple):
    """A heading, what the pictures show, the pictures (SVG), and the tables beside them."""

    title: str
    text: str
    pictures: list[str]
    tables: list[Table]
    legend: bool = True


def kind(summary: Summary, status: int) -> str:
    """The class of the verdict's colour."""
    if status == outcome.OK:
        return "good"
    if status == outcome.DEFECT:
        return "bad" if summary.verdicts["DEFECT"] else "warn"
    return "warn" if status in (outcome.NOTHING, outcome.NOT_COMPARABLE) else "bad"


ENGINE_COLUMNS = {
    "engine": ("engine", ""),
    "dtype": ("precision", ""),
    "verdict": ("verdict", "the worst of its tensors"),
    "cases": ("cases", "that gave a gradient"),
    "tensors": ("tensors", "gradients of one weight matrix or bias vector, each judged by itself"),
    **{word.lower(): (word.lower(), f"tensors that are {word}") for word in rows.VERDICTS},
    "unsupported": ("unsup\N{SOFT HYPHEN}ported", "cases that the engine does not take"),
    "error": ("raised", "cases on which the engine raised an error"),
    "timeout": ("timed out", "cases on which the engine ran out of time"),
    "crash": ("crashed", "cases on which the engine's process died"),
    "median_ulp": ("ulp median", "median over tensors of the worst entry's error"),
    "p99_ulp": ("ulp 99 %", "of 99 in 100 tensors the worst entry's error is at most this"),
    "max_ulp": ("ulp max", "largest error of an entry, in units in the last place"),
    "bound_use": ("bound use", "largest error over the proven bound; above 1 is a defect"),
    "rate": ("defect rate ≤", "Clopper and Pearson's upper limit, 95 %, over the random cases"),
    "power": ("power", "the relative mistake that could not have hidden in half of the entries"),
    "microseconds": ("µs", "median time of one gradient"),
}
"""Columns of the table of engines: heading and meaning."""


def engines(run: FinishedRun, frame: pd.DataFrame) -> Table:
    """A line per engine × dtype; columns of failures only where there are any."""
    frame = frame.assign(verdict=[_verdict(line) for line in frame.to_dict("records")])
    limits = tables.defect_limits(run.errors, run.cases)
    frame = frame.merge(limits[["engine", "dtype", "upper_limit"]], on=["engine", "dtype"])
    frame = frame.rename(columns={"upper_limit": "rate"})
    empty = {name for name in NOT_OK if not frame[name].any()}
    columns = {name: text for name, text in ENGINE_COLUMNS.items() if name not in empty}
    return table("Engines and precisions", frame, columns)


def _verdict(line: Any) -> str:
    """The worst that was found of an engine, or that it did not run."""
    if line["defect"]:
        return "DEFECT"
    if line["error"] or line["timeout"] or line["crash"]:
        return "FAILED"
    if line["suspect"]:
        return "SUSPECT"
    if line["consistent"]:
        return "CONSISTENT"
    return "INCONCLUSIVE" if line["tensors"] else "NOT RUN"


ACCURACY_COLUMNS = {
    "engine": ("engine", ""),
    "dtype": ("precision", ""),
    "claimed_bits": ("bits claimed", "of the format's significand"),
    "seen_bits": ("bits seen", "median estimate of the precision that the engine works with"),
    "l2_use": ("ℓ2 use", "largest error over the bound on independent roundings"),
    "stage_use": ("stage use", "largest error of one operation over its own bound"),
}
"""First columns of the table of accuracy; digits by saturation follow."""


def accuracy(run: FinishedRun) -> Table:
    """A line per engine × dtype: precision claimed and seen, digits by saturation."""
    frame = tables.accuracy(run.errors)
    named = [str(name) for name in frame.columns if " " in str(name)]
    digits = {name: (name, DIGITS[name.split()[0]]) for name in named}
    return table("Precision and accuracy", frame, ACCURACY_COLUMNS | digits)


DIGITS = {
    "digits": "right decimal digits in half of the entries, median over tensors",
    "worst": "the same for the worst tenth of the tensors",
    "lost": "digits that the formula a(1 − a) may lose in the worst tenth, whoever evaluates it",
}
"""What the columns of digits mean, at each factor on Xavier's weights."""


def silent(run: FinishedRun) -> Table:
    """Why nothing was said of some tensors."""
    columns = {name: (name, "") for name in ("reason", "tensors", "cases", "engines")}
    return table("Inconclusive", tables.inconclusive(run.errors), columns)


def sections(run: FinishedRun, by_pair: pd.DataFrame) -> list[Section]:
    """The pictures, each with its table; none where nothing was measured."""
    if not len(run.errors):
        return []
    pictures = [plots.ulps, plots.strata, plots.bound_use]
    pictures += [plots.power, plots.layers, plots.times]
    if run.of_functions:
        pictures = [plots.ulps, plots.bound_use, plots.power]
    parts = [Section(*picture(run)) for picture in pictures]
    if len(by_pair):
        parts.insert(2, pairs(by_pair, engine_names(run.cases)))
    return parts


def pairs(frame: pd.DataFrame, names: list[str]) -> Section:
    """Engine × engine: the largest difference, as a matrix a dtype, and as a table."""
    matrices = [
        _matrix(str(dtype), group, names) for dtype, group in frame.groupby("dtype", sort=False)
    ]
    columns = {
        "engine_a": ("engine", ""),
        "engine_b": ("against", ""),
        "dtype": ("precision", ""),
        "cases": ("cases", ""),
        "max_abs_difference": ("largest difference", "|a − b| over all entries"),
        "median_ulp_difference": ("ulp median", "over cases, of the largest in a case"),
        "max_ulp_difference": ("ulp max", "in units in the last place at the exact value"),
        "case": ("case of the largest", ""),
        "tensor": ("tensor", ""),
    }
    text = (
        "The largest difference between two engines, in units in the last place. Agreement "
        "proves nothing, and a large difference only says that one of the two lost digits."
    )
    return Section(
        "Engine against engine", text, [], [*matrices, table("Pairs", frame, columns)], False
    )


def _matrix(dtype: str, pairs: pd.DataFrame, names: list[str]) -> Table:
    """The largest differences in ulps, the darker the larger."""
    lines = pairs[["engine_a", "engine_b", "max_ulp_difference"]].itertuples(index=False)
    known = {(a, b): float(ulp) for a, b, ulp in lines}
    present = [name for name in names if any(name in pair for pair in known)]
    cells = []
    for one in present:
        row = [Cell(one, one, "name")]
        for other in present:
            value = known.get((one, other), known.get((other, one)))
            row.append(Cell("·", "0", "same") if value is None else _heat(value))
        cells.append(row)
    headings = [Heading(dtype), *(Heading(name, "", True) for name in present)]
    return Table(f"Largest difference in ulp, {dtype}", headings, cells)


def _heat(ulps: float) -> Cell:
    """A cell in one of six shades: a shade for every four binary digits."""
    import math

    shade = min(5, int(math.log2(max(ulps, 1)) / 4)) if math.isfinite(ulps) else 5
    return cell(ulps)._replace(kind=f"heat{shade}")


def worst_results(run: FinishedRun) -> Table:
    """The twenty worst, with got, exact and enclosure, decimal and hexadecimal."""
    headings = [
        Heading("verdict"),
        Heading("engine", "and the case"),
        Heading("entry", "tensor and index, and of what"),
        Heading("got", "decimal and hexadecimal", True),
        Heading("exact", "decimal and hexadecimal; the true value is enclosed within ±", True),
        Heading("error", "in units in the last place; share of the bound", True),
        Heading("reproduce", "one line to copy"),
    ]
    lines = [_worst_line(row) for _, row in worst.worst(run).iterrows()]
    return Table("The worst results", headings, lines, (6,))


def _worst_line(row: Any) -> list[Cell]:
    exact = f"{row['exact']!r} ± {row['radius']:.1e}"
    return [
        cell(row["verdict"], "verdict")._replace(below=row["reason"]),
        Cell(row["engine"], row["engine"], "", row["case"]),
        Cell(f"{row['tensor']}{row['worst_index']}", row["tensor"], "", row["where"]),
        Cell(repr(row["got"]), repr(row["got"]), "number", row["got_hex"]),
        Cell(exact, repr(row["exact"]), "number", row["exact_hex"]),
        cell(row["max_ulp"])._replace(below=f"{pretty(row['bound_use'])} of the bound"),
        Cell(row["reproduce"], row["reproduce"]),
    ]


def defects(run: FinishedRun) -> Table:
    """Defects in groups, by what explains them."""
    columns = {
        "engine": ("engine", ""),
        "dtype": ("precision", ""),
        "diagnosis": ("diagnosis", "what explains the errors; else where they are and why"),
        "tensors": ("tensors", ""),
        "cases": ("cases", ""),
        "share": ("share of cases", ""),
        "first": ("first case", ""),
    }
    return table("Defects", worst.defects(run), columns)


def difference_tables(run: FinishedRun) -> list[Table]:
    """What the baseline said: changes, groups, speed."""
    if not run.comparison:
        return []
    changes = difference.changes(run.comparison).head(difference.SHOWN)
    groups, speed = difference.groups(run.comparison), difference.speed(run.comparison)
    changed = {name: (text or "mark", "") for name, text in difference.CHANGE_COLUMNS.items()}
    moved = {name: (text or "mark", "") for name, text in difference.GROUP_COLUMNS.items()}
    moved["p"] = ("p, corrected", "least corrected p-value of the group's tests")
    timed = {name: (text or "mark", "") for name, text in difference.SPEED_COLUMNS.items()}
    found = [("Changes", changes, changed), ("Groups", groups, moved), ("Speed", speed, timed)]
    return [_marked(table(name, frame, columns)) for name, frame, columns in found if len(frame)]


MARK_KINDS = {"+": "bad", "!": "bad", "-": "good", "*": "good", "x": "warn", "~": "mute"}


def _marked(plain: Table) -> Table:
    """The table with its marks as coloured words."""
    lines = []
    for mark, *rest in plain.rows:
        word = f"{mark.text} {difference.MARKS[mark.text]}" if mark.text else "same"
        lines.append([Cell(word, word, "chip " + MARK_KINDS.get(mark.text, "mute")), *rest])
    return plain._replace(rows=lines)


def environment(described: dict[str, Any]) -> list[tuple[str, str]]:
    """The environment as names and values."""
    found = []
    for name, value in described.items():
        if isinstance(value, dict):
            text = ", ".join(f"{k} {v if v is not None else '–'}" for k, v in value.items())
        elif isinstance(value, list):
            text = "; ".join(_entry(entry) for entry in value)
        else:
            text = str(value)
        found.append((name.replace("_", " "), text or "none"))
    return found


def _entry(entry: Any) -> str:
    if not isinstance(entry, dict):
        return str(entry)
    return " ".join(str(value) for value in entry.values() if value is not None)


def plan(record: dict[str, Any]) -> list[tuple[str, str]]:
    """The plan as names and values."""
    whole = dict(record["plan"])
    whole |= whole.pop("distribution", {})
    return [
        (name, ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value))
        for name, value in whole.items()
    ]
