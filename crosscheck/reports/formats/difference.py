"""What a baseline said of a run, as tables: for the terminal, and for the reports."""

from typing import Any

import pandas as pd
from rich.console import Console

from crosscheck.reports.formats.terminal import table
from crosscheck.reports.visible import visible

GROUP_COLUMNS = {
    "mark": "",
    "engine": "engine",
    "dtype": "dtype",
    "group": "group",
    "cases": "cases",
    "shift": "shift,\nbits",
    "grown": "grown\na bit",
    "shrunk": "shrunk\na bit",
}
"""Columns of the comparison by group that a terminal has room for."""

CHANGE_COLUMNS = {
    "mark": "",
    "engine": "engine",
    "case": "case",
    "tensor": "tensor",
    "before": "baseline",
    "now": "now",
}
"""Columns of the changes of verdict and status."""

SPEED_COLUMNS = {
    "mark": "",
    "engine": "engine",
    "dtype": "dtype",
    "cases": "cases",
    "times": "time against\nbaseline",
}
"""Columns of the comparison of speed."""

MARKS = {
    "+": "worse",
    "-": "better",
    "!": "newly failing",
    "*": "fixed",
    "x": "not comparable",
    "~": "insignificant",
}
"""Marks as asv's."""

SHOWN = 20
"""Changes that a table for people shows; comparison.json has all."""


def groups(comparison: dict[str, Any]) -> pd.DataFrame:
    """The comparison by group, what has a mark first."""
    frame = pd.DataFrame(comparison["groups"], columns=[*GROUP_COLUMNS, "p"])
    order = frame["mark"].map(lambda mark: "+-~".find(mark) if mark else 3)
    return frame.assign(order=order).sort_values("order", kind="stable").drop(columns="order")


def changes(comparison: dict[str, Any]) -> pd.DataFrame:
    """The changes of verdict and status, the worst first."""
    frame = pd.DataFrame(comparison["changes"], columns=list(CHANGE_COLUMNS))
    order = frame["mark"].map("!+x~*-".find)
    return frame.assign(order=order).sort_values("order", kind="stable").drop(columns="order")


def speed(comparison: dict[str, Any]) -> pd.DataFrame:
    """The comparison of speed; empty where none was asked for."""
    return pd.DataFrame(comparison["speed"], columns=list(SPEED_COLUMNS))


def notes(comparison: dict[str, Any]) -> list[str]:
    """Sentences on what differs, what cannot be compared, what is new, and how to update."""
    found = [f"not comparable: {sentence}" for sentence in comparison["lacking"]]
    new = comparison["new"]
    if new:
        named = ", ".join(new[:3]) + (", …" if len(new) > 3 else "")
        found.append(f"new, with nothing to compare: {len(new)} cases ({named})")
    found += [f"differs: {line}" for line in comparison["differs"]]
    return found


def show(console: Console, comparison: dict[str, Any]) -> None:
    """Changes, groups with a mark, notes, and the sentence last."""
    changed = changes(comparison)
    if len(changed):
        console.print(table(changed.head(SHOWN), CHANGE_COLUMNS, "Changes"))
        if len(changed) > SHOWN:
            console.print(f"… and {len(changed) - SHOWN} more in comparison.json")
    moved = groups(comparison)
    moved = moved[moved["mark"].isin(["+", "-"])]
    if len(moved):
        console.print(table(moved, GROUP_COLUMNS, "Groups whose errors moved"))
    if comparison["speed"]:
        console.print(table(speed(comparison), SPEED_COLUMNS, "Speed"))
    for sentence in notes(comparison):
        console.print(visible(sentence), markup=False, style="yellow", soft_wrap=True)
    console.print(visible(comparison["sentence"]), markup=False, style="bold", soft_wrap=True)
    if comparison["update"]:
        console.print("If that is meant, record the baseline again:", style="dim")
        console.print(visible(comparison["update"]), markup=False, soft_wrap=True)
