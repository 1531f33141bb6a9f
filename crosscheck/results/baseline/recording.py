"""A finished run to a baseline: what is measured, and a summary of each group."""

import hashlib
import json
from typing import Any

import numpy as np
import pandas as pd

from crosscheck.results import rows
from crosscheck.results.baseline import measured
from crosscheck.results.baseline.stored import Baseline
from crosscheck.results.finished import FinishedRun

QUANTILES = (0.1, 0.5, 0.9, 0.99, 1.0)
"""Of a tensor's error in ulps; each is one of the values."""

THRESHOLDS = (1, 4, 16, 256, 65536)
"""In ulps: a group counts the tensors whose error exceeds each."""


def record(run: FinishedRun) -> Baseline:
    """What later runs are compared with.

    Raises ValueError where the run has no case, since nothing could ever be missing from it.
    """
    if not len(run.cases):
        raise ValueError("a run with no case makes no baseline")
    plan = run.record["plan"]
    header = {
        "command": run.record["command"],
        "plan": plan,
        "plan_hash": plan_hash(plan),
        "environment": measured.fingerprint(run.record["environment"]),
    }
    tensors = measured.tensors(run)
    return Baseline(header, _groups(tensors), measured.attempts(run), tensors)


def plan_hash(plan: dict[str, Any]) -> str:
    """16 hexadecimal digits that stand for a plan."""
    text = json.dumps(plan, sort_keys=True, ensure_ascii=False)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _groups(tensors: pd.DataFrame) -> list[dict[str, Any]]:
    """A line per engine × dtype × output activation × kind of parameter, sorted."""
    return [
        _group(keys, group)
        for keys, group in tensors.groupby(["engine", "dtype", "output", "kind"], sort=True)
    ]


def _group(keys: Any, group: pd.DataFrame) -> dict[str, Any]:
    engine, dtype, output, kind = keys
    ulps = 2.0 ** group["log2"].to_numpy()
    verdicts = group["verdict"].value_counts()
    quantiles = np.quantile(ulps, QUANTILES, method="inverted_cdf")
    return {
        "group": f"{output} {kind}",
        "engine": engine,
        "dtype": dtype,
        "tensors": len(group),
        "verdicts": {verdict: int(verdicts.get(verdict, 0)) for verdict in rows.VERDICTS},
        "ulp_quantiles": {
            f"{q:g}": float(f"{value:.3g}") if np.isfinite(value) else None
            for q, value in zip(QUANTILES, quantiles, strict=True)
        },
        "exceeding": {str(t): int((ulps > t).sum()) for t in THRESHOLDS},
    }
