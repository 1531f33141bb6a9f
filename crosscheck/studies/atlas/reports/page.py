"""The atlas as one self-contained page: it works offline, in print, and without JavaScript."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from crosscheck.reports.page.page import rendered
from crosscheck.studies.atlas.reports import markdown
from crosscheck.studies.atlas.reports.markdown import Atlas
from crosscheck.studies.atlas.reports.plots import picture

Case = Mapping[str, Any]

SHOWN = 6
"""Places of a function that its section shows."""


def text(atlas: Atlas) -> str:
    """The page; the same atlas gives the same bytes."""
    return rendered("atlas.html.j2", content(atlas))


def content(atlas: Atlas) -> dict[str, Any]:
    """What the template shows, in its order."""
    found = markdown.tally(atlas)
    dtypes = list(dict.fromkeys(case["dtype"] for case in atlas["cases"]))
    return {
        "lead": markdown.headline(atlas),
        "tiles": [(name, found[name], atlas["rulings"][name]) for name in markdown.COUNTED],
        "worst": [_entry(row) for row in markdown.worst(atlas)],
        "dtypes": dtypes,
        "matrix": _matrix(atlas, dtypes),
        "both": _both(atlas),
        "sections": _sections(atlas),
        "rulings": atlas["rulings"],
        "failures": _failures(atlas),
        "absent": atlas["absent"],
        "command": atlas["command"],
        "versions": atlas["versions"],
    }


def _entry(row: Mapping[str, Any]) -> dict[str, Any]:
    title = f"{row['function']} at {row['at']!r}, {row['dtype']}"
    return {
        "title": title,
        "ruling": row["ruling"],
        "text": markdown.sentence(row),
        "snippet": row["snippet"],
    }


def _matrix(atlas: Atlas, dtypes: Sequence[str]) -> list[dict[str, Any]]:
    """A line a function × framework: right digits by format, and the worst ruling."""
    groups: dict[tuple[str, str, str], dict[str, Case]] = {}
    for case in atlas["cases"]:
        if case["counts"]:
            key = (case["function"], case["argument"], case["definition"])
            groups.setdefault(key, {})[case["dtype"]] = case
    return [
        {
            "function": function,
            "argument": argument,
            "anchor": anchor(definition),
            "framework": next(iter(cases.values()))["framework"],
            "cells": [_cell(cases.get(dtype)) for dtype in dtypes],
            "rulings": _words(cases.values()),
        }
        for (function, argument, definition), cases in sorted(groups.items())
    ]


def _words(cases: Any) -> str:
    found = Counter(row["ruling"] for case in cases for row in case["rows"])
    return ", ".join(f"{n} {name}" for name, n in found.items())


FULL = {"float64": 15.9, "float32": 7.2, "float16": 3.3, "bfloat16": 2.4}
"""Decimal digits of the formats."""


def _cell(case: Case | None) -> tuple[str, str]:
    """Right digits, and a shade by the share of the format's digits that is gone."""
    if case is None or case["digits"] is None:
        return "", ""
    digits = min(case["digits"], FULL[case["dtype"]])
    gone = 1 - digits / FULL[case["dtype"]]
    return f"{digits:.1f}", f"heat{min(5, int(gone * 6))}"


def anchor(definition: str) -> str:
    """The name of a definition's section in links."""
    return "f-" + "".join(c if c.isalnum() else "-" for c in definition)


def _both(atlas: Atlas) -> list[dict[str, str]]:
    """What is wrong in both frameworks, on the same side of 0 and in the same format."""
    sides: dict[tuple[str, str, float], dict[str, Mapping[str, Any]]] = {}
    for case in atlas["cases"]:
        for row in case["rows"]:
            if row["ruling"] == "wrong":
                side = math.copysign(1.0, row["at"]) if row["at"] else 0.0
                key = (case["definition"], case["dtype"], side)
                sides.setdefault(key, {}).setdefault(case["framework"], row)
    return [
        {
            "definition": definition,
            "anchor": anchor(definition),
            "dtype": dtype,
            **{name: f"{row['at']!r}: {row['got']!r}" for name, row in rows.items()},
        }
        for (definition, dtype, _), rows in sorted(sides.items())
        if len(rows) == 2
    ]


def _sections(atlas: Atlas) -> list[dict[str, Any]]:
    """A section for each definition: a picture for each format, and the worst places."""
    groups: dict[str, list[Case]] = {}
    for case in atlas["cases"]:
        if case["counts"]:
            groups.setdefault(case["definition"], []).append(case)
    return [_section(name, cases) for name, cases in sorted(groups.items())]


def _section(name: str, cases: Sequence[Case]) -> dict[str, Any]:
    rows = sorted((row for case in cases for row in case["rows"]), key=_severity)
    dtypes = list(dict.fromkeys(case["dtype"] for case in cases))
    functions = list(dict.fromkeys(case["function"] for case in cases))
    return {
        "name": name,
        "anchor": anchor(name),
        "functions": [(function, k % 8) for k, function in enumerate(functions)],
        "pictures": [(dtype, _picture(name, cases, dtype, functions)) for dtype in dtypes],
        "rows": rows[:SHOWN],
        "more": max(0, len(rows) - SHOWN),
        "snippet": rows[0]["snippet"] if rows else "",
    }


ORDER = ("wrong", "inaccurate", "value", "range", "documented", "convention")


def _severity(row: Mapping[str, Any]) -> tuple[float, ...]:
    error = row["relative_error"]
    return ORDER.index(row["ruling"]), -1.0 if math.isnan(error) else -min(error, 1.0)


def _picture(name: str, cases: Sequence[Case], dtype: str, functions: Sequence[str]) -> str:
    chosen = {case["function"]: case for case in cases if case["dtype"] == dtype}
    curves = {f: chosen[f]["curve"] if f in chosen else [] for f in functions}
    thresholds = [
        row["threshold"]
        for case in chosen.values()
        for row in case["rows"]
        if not math.isnan(row["threshold"]) and row["ruling"] != "convention"
    ]
    return picture(curves, thresholds, f"Right digits of {name} in {dtype}")


def _failures(atlas: Atlas) -> list[str]:
    return [
        f"{case['function']} by {case['argument']}, {case['dtype']}, {mode}: {said}"
        for case in atlas["cases"]
        for mode, said in case["failures"].items()
    ]
