"""The page's pictures: which curves, with which table beside them."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from crosscheck.networks.network import Array
from crosscheck.reports import quantiles
from crosscheck.reports.page import svg
from crosscheck.reports.page.tables import Table, table
from crosscheck.results.finished import FinishedRun
from crosscheck.results.rows import engine_names

Part = tuple[str, str, list[str], list[Table]]
"""Title, text, pictures, tables."""

KEYS = {"engine": ("engine", ""), "dtype": ("precision", "")}
QUANTILES = {
    "tensors": ("tensors", ""),
    "p10": ("10 %", ""),
    "median": ("median", ""),
    "p90": ("90 %", ""),
    "p99": ("99 %", ""),
    "max": ("max", ""),
}
"""Columns of a table of quantiles."""


def _dtypes(run: FinishedRun) -> list[str]:
    return [str(dtype) for dtype in run.errors["dtype"].unique()]


def _curves(run: FinishedRun, dtype: str, column: str) -> dict[str, Array]:
    """The values of a column by engine, in the engines' order, so that colours agree."""
    mine = run.errors[run.errors["dtype"] == dtype]
    by_engine = dict(iter(mine.groupby("engine", sort=False)[column]))
    return {
        name: by_engine[name].dropna().to_numpy() if name in by_engine else np.array([])
        for name in engine_names(run.cases)
    }


def _distributions(
    run: FinishedRun, column: str, x: str, least: float, limit: float | None = None
) -> list[str]:
    return [
        svg.distribution(dtype, x, _curves(run, dtype, column), least, limit)
        for dtype in _dtypes(run)
    ]


def _quantile_table(run: FinishedRun, name: str, column: str) -> Table:
    frame = quantiles.by_group(run.errors, column, ["engine", "dtype"])
    return table(name, frame, KEYS | QUANTILES)


def ulps(run: FinishedRun) -> Part:
    """The cumulative distribution of errors."""
    text = (
        "The error of each tensor's worst entry, in units in the last place at the exact value. "
        "Where a gradient cancels, or an activation is saturated, a correct engine loses digits: "
        "the bound knows that, the ulp does not."
    )
    shown = _distributions(run, "max_ulp", "error, ulp", 0.25)
    return "Errors", text, shown, [_quantile_table(run, "Errors in ulp", "max_ulp")]


def bound_use(run: FinishedRun) -> Part:
    """How much of the proven bound is used."""
    text = "The largest error of a tensor over what its bound allows there. Beyond 1 is a defect."
    shown = _distributions(run, "bound_use", "error / bound", 1e-6, 1.0)
    return "Use of the bound", text, shown, [_quantile_table(run, "Use of the bound", "bound_use")]


def power(run: FinishedRun) -> Part:
    """What mistake could not have hidden."""
    text = (
        "The relative mistake that could not have hidden in half of a tensor's entries: the "
        "median of bound over gradient. Beyond 1 nothing is said, and the tensor is inconclusive."
    )
    shown = _distributions(run, "power", "bound / gradient", _least(run.errors["power"]), 1.0)
    return "Power", text, shown, [_quantile_table(run, "Power", "power")]


def _least(values: pd.Series) -> float:
    """The power of ten below all but the least hundredth of the values."""
    positive = values[values > 0]
    if not len(positive):
        return 1e-6
    return float(10 ** np.floor(np.log10(positive.quantile(0.01))))


def strata(run: FinishedRun) -> Part:
    """Errors against depth, width and saturation."""
    errors = run.errors.assign(
        depth=run.errors["layers"],
        width=quantiles.widest(run.errors["widths"]),
        saturation=run.errors["scale"],
    )
    shown, lines = [], []
    for dtype in _dtypes(run):
        mine = errors[errors["dtype"] == dtype]
        for column, x, label in AXES:
            frame = quantiles.by_group(mine, "max_ulp", ["engine", column])
            shown.append(_bands(run, frame, f"{dtype}, {column}", column, x, label))
            named = frame.assign(dtype=dtype, by=column, level=frame[column].map(label))
            lines.append(named.assign(at=frame[column]).sort_values(["engine", "at"]))
    columns = KEYS | {"by": ("by", ""), "level": ("level", "")} | QUANTILES
    text = (
        "Median (line) and 10 … 90 % (band) of the same errors, by the number of layers N, by "
        "the widest layer, and by the factor on Xavier's weights, at which sigmoids saturate."
    )
    whole = pd.concat(lines, ignore_index=True)
    return "Depth, width, saturation", text, shown, [table("Errors by stratum", whole, columns)]


AXES: Sequence[tuple[str, str, Callable[[Any], str]]] = (
    ("depth", "layers N", lambda n: str(n)),
    ("width", "widest layer", quantiles.width_label),
    ("saturation", "factor on the weights", lambda scale: f"{scale:g}"),
)
"""What errors are shown against: column, name of the axis, a level in words."""


def _bands(
    run: FinishedRun,
    frame: pd.DataFrame,
    title: str,
    column: str,
    x: str,
    label: Callable[[Any], str],
) -> str:
    levels = sorted(frame[column].unique())
    engines = {}
    for name in engine_names(run.cases):
        mine = frame[frame["engine"] == name].sort_values(column)
        at = [levels.index(level) for level in mine[column]]
        low, middle, high = (_drawable(mine[q]) for q in ("p10", "median", "p90"))
        engines[name] = (at, low, middle, high)
    return svg.bands(title, x, [label(level) for level in levels], engines)


def _drawable(values: pd.Series) -> Array:
    """For a logarithmic axis: zero at an eighth of a unit, and no infinity."""
    positive: Array = values.replace(np.inf, np.nan).clip(lower=0.125).to_numpy()
    return positive


def layers(run: FinishedRun) -> Part:
    """Errors and verdicts by layer and kind of parameter."""
    errors = run.errors.assign(
        kind=run.errors["tensor"].str[0].map({"w": "weights", "b": "biases"}),
        layer=run.errors["tensor"].str[1:].astype(int),
    )
    shown = []
    for dtype in _dtypes(run):
        for kind in ("weights", "biases"):
            mine = errors[(errors["dtype"] == dtype) & (errors["kind"] == kind)]
            frame = quantiles.by_group(mine, "max_ulp", ["engine", "layer"])
            shown.append(_bands(run, frame, f"{dtype}, {kind}", "layer", "layer l", str))
    keys = ["engine", "dtype", "kind", "layer"]
    frame = quantiles.by_group(errors, "max_ulp", keys)
    counts = errors.groupby([*keys, "verdict"]).size().unstack(fill_value=0)
    words = ("CONSISTENT", "SUSPECT", "DEFECT", "INCONCLUSIVE")
    counts = counts.reindex(columns=list(words), fill_value=0).reset_index()
    whole = frame.merge(counts.rename(columns=str.lower), on=keys)
    columns = KEYS | {"kind": ("parameters", ""), "layer": ("layer", "the paper's index")}
    columns |= {name: QUANTILES[name] for name in ("tensors", "median", "p99", "max")}
    columns |= {word.lower(): (word.lower(), "") for word in words}
    text = "Errors in ulp by the paper's index of the layer, for weights and biases."
    return "Layers and parameters", text, shown, [table("By layer", whole, columns)]


def times(run: FinishedRun) -> Part:
    """Time of one gradient, by engine."""
    shown, lines = [], []
    for dtype, cases in run.cases.groupby("dtype", sort=False):
        engines = {}
        for name in engine_names(run.cases):
            micros = cases[f"seconds:{name}"].dropna().to_numpy() * 1e6
            if len(micros):
                low, middle, high = np.quantile(micros, [0.1, 0.5, 0.9])
                engines[name] = (float(low), float(middle), float(high))
                lines.append([name, dtype, len(micros), *engines[name], float(micros.sum()) / 1e6])
        if engines:
            shown.append(svg.ranges(str(dtype), "time of one gradient, µs", engines))
    frame = pd.DataFrame(lines, columns=["engine", "dtype", "cases", "p10", "median", "p90", "sum"])
    columns = KEYS | {
        "cases": ("cases", ""),
        "p10": ("10 %, µs", ""),
        "median": ("median, µs", ""),
        "p90": ("90 %, µs", ""),
        "sum": ("all, s", ""),
    }
    text = (
        "Median (dot) and 10 … 90 % (line) over the cases of this run, on this machine, one "
        "gradient at a time; compilation is left out."
    )
    return "Time", text, shown, [table("Time of one gradient", frame, columns)]
