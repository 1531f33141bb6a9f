"""The worst results of a run, each with the line that reproduces it, and defects in groups."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from crosscheck.networks.distribution import Distribution
from crosscheck.results.finished import FinishedRun

SEVERITY = {"DEFECT": 0, "SUSPECT": 1, "CONSISTENT": 2, "INCONCLUSIVE": 3}
"""The order of the worst: what is proved wrong, then what looks wrong, then the largest errors."""

SHOWN = 20
"""Worst results that a report shows."""


def worst(run: FinishedRun, count: int = SHOWN) -> pd.DataFrame:
    """The worst tensor of each engine and case, the worst of those first, with `reproduce`.

    Within a verdict the order is by bound_use, then by case and engine.
    """
    use = run.errors["bound_use"].fillna(np.inf)
    ranked = run.errors.assign(severity=run.errors["verdict"].map(SEVERITY), use=use)
    order = ["severity", "use", "dtype", "index", "engine", "tensor"]
    up = [True, False, True, True, True, True]
    ranked = ranked.sort_values(order, ascending=up, kind="stable")
    first = ranked.drop_duplicates(["case", "engine"]).head(count)
    lines = [reproduce(run.record, row["case"], row["engine"]) for _, row in first.iterrows()]
    first = first.assign(where=[where(row) for row in first.to_dict("records")])
    return first.drop(columns=["severity", "use"]).assign(reproduce=lines).reset_index(drop=True)


def where(row: Mapping[Hashable, Any]) -> str:
    """The network of a row, or the mode and the arguments' shapes of a function."""
    if "mode" in row:
        return f"{row['mode']}, {row['dtype']}, {row['widths']}"
    return f"{row['widths']}, {row['output']} output, D = {row['samples']}, {row['dtype']}"


def reproduce(record: dict[str, Any], case: str, engine: str) -> str:
    """The command that computes this case again with this engine, to the bit."""
    plan = record["plan"]
    if "function" in plan:
        return str(record["command"])
    drawn = Distribution.from_json(plan["distribution"])
    return drawn.line(case, engine, plan.get("arrays", "numpy"))


GROUPED = ["engine", "dtype", "diagnosis", "tensors", "cases", "share", "first"]


def defects(run: FinishedRun) -> pd.DataFrame:
    """A row per engine × dtype × diagnosis: tensors, cases and their share, the first case.

    Where nobody has made a diagnosis, the reason stands for it, with the kind of parameter.
    """
    wrong = run.errors[run.errors["verdict"] == "DEFECT"]
    wrong = wrong.assign(diagnosis=_diagnoses(run.record, wrong))
    judged = run.errors.groupby(["engine", "dtype"])["case"].nunique().to_dict()
    lines = []
    for key, group in wrong.groupby(["engine", "dtype", "diagnosis"], sort=True):
        engine, dtype, diagnosis = key
        cases = group["case"].nunique()
        share = cases / judged[(engine, dtype)]
        first = group.sort_values("index", kind="stable").iloc[0]["case"]
        lines.append([engine, dtype, diagnosis, len(group), cases, share, first])
    return pd.DataFrame(lines, columns=GROUPED)


def _diagnoses(record: dict[str, Any], wrong: pd.DataFrame) -> pd.Series:
    """A diagnosis for each defect: run.json's for its engine, else reason and kind."""
    kinds = wrong["tensor"].str[0].map({"w": "weights", "b": "biases"}).fillna("")
    named = kinds + " " + wrong["reason"]
    known = {
        (entry.get("engine"), entry.get("dtype")): str(entry.get("sentence", ""))
        for entry in record.get("diagnoses", [])
        if isinstance(entry, dict)
    }
    for (engine, dtype), sentence in known.items():
        mine = (wrong["engine"] == engine) & ((wrong["dtype"] == dtype) | (dtype is None))
        named = named.mask(mine, sentence)
    return named
