"""The atlas as Markdown: the count first, then the worst with their snippets."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from crosscheck.reports.visible import visible

Atlas = Mapping[str, Any]
"""cases (one a function × framework × format), rulings, absent, versions, command."""

SHOWN = 20
"""How many of the worst are shown with their snippets."""

COUNTED = ("wrong", "inaccurate", "range", "convention", "documented", "value")


def text(atlas: Atlas) -> str:
    """The page."""
    parts = [
        "# The atlas of derivatives",
        headline(atlas),
        _counts(atlas),
        "Not covered: " + ", ".join(atlas["absent"]) + "." if atlas["absent"] else "",
        f"Made by `{atlas['command']}` with {_versions(atlas)}.",
        "## The worst",
        *(_entry(k, row) for k, row in enumerate(worst(atlas), 1)),
        "## What a ruling says",
        "\n".join(f"- *{name}*: {what}" for name, what in atlas["rulings"].items()),
        "## All functions",
        functions(atlas),
        *_failures(atlas),
    ]
    return visible("\n\n".join(part for part in parts if part) + "\n")


def headline(atlas: Atlas) -> str:
    """Functions, pairs, points tried, and places by ruling, in a sentence."""
    found = tally(atlas)
    functions, pairs, points = found["functions"], found["pairs"], found["points"]
    rulings = ", ".join(f"{found[name]:,} {name}" for name in COUNTED)
    return (
        f"{functions:,} functions, {pairs:,} pairs of function and framework, "
        f"{points:,} points tried. Places: {rulings}; {found['undecided']:,} points undecided."
    )


def tally(atlas: Atlas) -> Counter[str]:
    """The numbers of the headline; a place is a stretch of points with one ruling, in one mode."""
    cases = atlas["cases"]
    found = Counter(row["ruling"] for case in cases for row in case["rows"])
    for case in cases:
        found["points"] += sum(case["counts"].values())
        found["undecided"] += case["counts"].get("undecided", 0)
    covered = [case for case in cases if case["counts"]]
    found["functions"] = len({case["definition"] for case in covered})
    pairs = {(c["framework"], c["function"], c["definition"]) for c in covered}
    found["pairs"] = len(pairs)
    return found


def _counts(atlas: Atlas) -> str:
    """Places by ruling, framework and format."""
    frameworks = sorted({case["framework"] for case in atlas["cases"]})
    dtypes = list(dict.fromkeys(case["dtype"] for case in atlas["cases"]))
    lines = [("framework", "format", "functions", "points", *COUNTED)]
    for framework in frameworks:
        for dtype in dtypes:
            chosen = [
                c for c in atlas["cases"] if c["framework"] == framework and c["dtype"] == dtype
            ]
            found = tally({**atlas, "cases": chosen})
            numbers = [found[name] for name in ("functions", "points", *COUNTED)]
            lines.append((framework, dtype, *(f"{n:,}" for n in numbers)))
    return table(lines)


def worst(atlas: Atlas, shown: int = SHOWN) -> list[Mapping[str, Any]]:
    """The worst place of each function in reverse mode, wrong first, then by size."""
    order = ("wrong", "inaccurate", "range", "value")
    rows = [
        row
        for case in atlas["cases"]
        for row in case["rows"]
        if row["ruling"] in order and row["mode"] == "reverse"
    ]

    def severity(row: Mapping[str, Any]) -> tuple[float, ...]:
        error = row["relative_error"]
        known = float("inf") if math.isnan(error) else error
        return order.index(row["ruling"]), -min(known, 1.0), -abs(row["exact"])

    best: dict[str, Mapping[str, Any]] = {}
    for row in sorted(rows, key=severity):
        best.setdefault(row["function"], row)
    return list(best.values())[:shown]


def _entry(k: int, row: Mapping[str, Any]) -> str:
    """One of the worst: what is wrong, where, since when, and how to see it."""
    lines = [
        f"### {k}. `{row['function']}` at {row['at']!r}, {row['dtype']}: {row['ruling']}",
        sentence(row),
        f"```python\n{row['snippet']}\n```",
    ]
    return "\n\n".join(lines)


def sentence(row: Mapping[str, Any]) -> str:
    """Got, exact, error, condition, threshold and cause."""
    parts = [
        f"Derivative by {row['argument']} ({row['mode']}): got {row['got']!r}, "
        f"exact {row['exact']!r} ± {row['radius']:.1e}",
        f"relative error {row['relative_error']:.2g}, condition {row['condition']:.2g}",
    ]
    if not math.isnan(row["threshold"]):
        parts.append(f"begins at {row['threshold']!r}")
    if row["cause"]:
        parts.append(row["cause"])
    return "; ".join(parts) + f"; the value is {row['value_ruling']}."


def functions(atlas: Atlas) -> str:
    """A line a function × framework, with right digits by format."""
    dtypes = list(dict.fromkeys(case["dtype"] for case in atlas["cases"]))
    lines = [("function", "by", *(f"digits, {d}" for d in dtypes), "rulings")]
    groups: dict[tuple[str, str, str], dict[str, Any]] = {}
    for case in atlas["cases"]:
        if case["counts"]:
            key = (case["function"], case["argument"], case["definition"])
            groups.setdefault(key, {})[case["dtype"]] = case
    for (function, argument, _), by_dtype in sorted(groups.items()):
        digits = [_digits(by_dtype.get(dtype)) for dtype in dtypes]
        found = Counter(row["ruling"] for case in by_dtype.values() for row in case["rows"])
        words = ", ".join(f"{n} {name}" for name, n in found.items())
        lines.append((f"`{function}`", argument, *digits, words))
    return table(lines)


def _digits(case: Mapping[str, Any] | None) -> str:
    return "" if case is None or case["digits"] is None else f"{case['digits']:.1f}"


def _failures(atlas: Atlas) -> list[str]:
    """What the frameworks do not offer."""
    lines = [
        f"- `{c['function']}` by {c['argument']}, {c['dtype']}, {mode}: {said}"
        for c in atlas["cases"]
        for mode, said in c["failures"].items()
    ]
    return ["## What the frameworks do not differentiate", "\n".join(lines)] if lines else []


def _versions(atlas: Atlas) -> str:
    shown = ("torch", "jax", "jaxlib", "python-flint")
    return ", ".join(f"{k} {v}" for k, v in atlas["versions"].items() if k in shown)


def table(lines: Iterable[Sequence[str]]) -> str:
    """A table of Markdown, the first line its headings."""
    first, *rest = [[str(cell).replace("|", "\\|") for cell in line] for line in lines]
    rule = ["---"] * len(first)
    return "\n".join(f"| {' | '.join(line)} |" for line in (first, rule, *rest))
