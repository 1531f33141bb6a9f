"""The audit as one HTML page: offline, without JavaScript, light and dark, on paper too."""

import re
from functools import partial
from html import escape
from typing import Any

from crosscheck.audit.reports import drawings, words as summaries
from crosscheck.audit.reports.formulas import Formulas
from crosscheck.audit.reports.words import Found, Row, rows_of
from crosscheck.reports.words import short

READING_NAMES = {
    "identity": "Linear output",
    "sigmoid": "σ on every layer",
}


def text(found: Found) -> str:
    """The page."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("crosscheck.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    formulas = Formulas()
    environment.filters["maths"] = maths
    page = environment.get_template("audit.html.j2").render(
        found=found,
        scope=summaries.scope(found),
        outcome=summaries.outcome(found),
        reading_names=READING_NAMES,
        equations=[_equation(found, equation, formulas) for equation in found["equations"]],
        unprinted=_unprinted(found, formulas),
        whole=_whole(found),
        network=drawings.network(formulas),
        digits=[drawings.digits(found, dtype) for dtype in _dtypes(found)],
        methods=list(dict.fromkeys(row["method"] for row in found["weakness"])),
        lines=drawings.LINES,
        remarks=list(summaries.remarks(found).items()),
        formulas=formulas,
    )
    return page + "\n"


RAISED = re.compile(r"\^(?:\(([^()]*)\)|\{([^{}]*)\}|(\w))")
LOWERED = re.compile(r"_(?:\{([^{}]*)\}|(\w)\b)")


def _tagged(tag: str, found: re.Match[str]) -> str:
    content = next(group for group in found.groups() if group is not None)
    return f"<{tag}>{content}</{tag}>"


def maths(sentence: str) -> str:
    """A sentence as HTML: a^N, b^(N-1) and x_i raised and lowered, "l = N" in one piece."""
    markup = escape(sentence, quote=False)
    markup = RAISED.sub(partial(_tagged, "sup"), markup)
    markup = LOWERED.sub(partial(_tagged, "sub"), markup)
    return re.sub(r"(\b[lND]) = ", r"\1&nbsp;=&nbsp;", markup)


def _dtypes(found: Found) -> list[str]:
    return list(dict.fromkeys(row["dtype"] for row in found["weakness"]))


def _equation(found: Found, equation: Row, formulas: Formulas) -> dict[str, Any]:
    """An equation's card: the formula in two halves, and its verdicts under each reading."""
    left, right = equation["left"], equation["right"]
    return {
        "id": equation["id"],
        "defined_for": equation["defined_for"],
        "left": formulas.svg(left, equation["text"]),
        "right": formulas.svg("= " + right, "as printed"),
        "readings": [
            _reading(rows_of(found, equation["id"], reading), reading, found, formulas)
            for reading in found["plan"]["readings"]
        ],
    }


def _reading(rows: list[Row], reading: str, found: Found, formulas: Formulas) -> dict[str, Any]:
    failing = [row for row in rows if row["verdict"] == "FAILS"]
    return {
        "name": READING_NAMES[reading],
        "cells": [_cell(row) for row in rows],
        "failures": [_failure(found, row, formulas) for row in failing],
        "error": _error(rows),
    }


def _cell(row: Row) -> dict[str, Any]:
    """A coloured cell: its layer and its verdict in words, and the numbers behind it."""
    counts = f"{row['architectures']} architectures"
    if row["verdict"] != "UNDEFINED":
        counts += f", {row['undecided']} undecided, largest error {short(row['max_abs_error'])}"
        counts += f", {short(row['bound_use'])} of its bound"
    return {"layer": row["layer"], "verdict": row["verdict"], "title": counts}


def _error(rows: list[Row]) -> str:
    """What the errors of the rows that hold come to."""
    held = [row for row in rows if row["verdict"] == "HOLDS"]
    if not held:
        return ""
    use = max(row["bound_use"] for row in held)
    error = max(row["max_abs_error"] for row in held)
    return f"where it holds: error ≤ {short(error)}, at most {short(use)} of the bound"


def _failure(found: Found, row: Row, formulas: Formulas) -> dict[str, Any]:
    """Where an equation fails, by how much, and what is right there."""
    remedy = summaries.remedy(found, row)
    corrected = remedy is not None and remedy["correction"] is not None
    left, right = (remedy["left"], remedy["right"]) if remedy and corrected else ("", "")
    return {
        "layer": row["layer"],
        "error": short(row["max_abs_error"]),
        "fails": f"{row['fails']} of {row['architectures']}",
        "left": formulas.svg(left, remedy["text"]) if remedy and corrected else "",
        "right": formulas.svg("= " + right, "the correction") if corrected else "",
        "verdict": remedy.get("verdict", "") if remedy else "",
    }


def _unprinted(found: Found, formulas: Formulas) -> list[dict[str, Any]]:
    """What is needed and not printed, once each, with its verdicts by reading."""
    entries: dict[str, dict[str, Any]] = {}
    for row in found["unprinted"]:
        entry = entries.setdefault(
            row["equation"],
            {
                "left": formulas.svg(row["left"], row["text"]),
                "right": formulas.svg("= " + row["right"], "what is not printed"),
                "needed": row["needed"],
                "verdicts": [],
            },
        )
        entry["verdicts"].append((READING_NAMES[row["reading"]], row["verdict"]))
    return list(entries.values())


def _whole(found: Found) -> list[dict[str, Any]]:
    """A table a route and reading: N, what is right, what is wrong, and the factor."""
    depths = sorted({row["layers"] for row in found["whole"]})
    return [
        {
            "route": meaning,
            "reading": READING_NAMES[reading],
            "lines": [
                (layers, *summaries.whole_in_words(found, route, reading, layers))
                for layers in depths
            ],
        }
        for route, meaning in found["routes"].items()
        for reading in found["plan"]["readings"]
    ]
