"""Rows to summaries: a line per engine and dtype, and per pair of engines."""

import re

import numpy as np
import pandas as pd

from crosscheck import rows
from crosscheck.formats import FORMATS

NOT_OK = tuple(status for status in rows.STATUSES if status != "ok")
BY_ENGINE = ["engine", "dtype", "cases", "tensors", *map(str.lower, rows.VERDICTS), *NOT_OK]
BY_ENGINE += ["median_ulp", "p99_ulp", "max_ulp", "bound_use", "power", "microseconds"]
"""Columns of the summary by engine."""


def engine_names(cases: pd.DataFrame) -> list[str]:
    """The engines that a frame of cases speaks of, in their order."""
    return [name.removeprefix("status:") for name in cases.columns if name.startswith("status:")]


def by_engine(errors: pd.DataFrame, cases: pd.DataFrame) -> pd.DataFrame:
    """A line per engine × dtype, also for an engine that never ran.

    Cases and tensors judged; tensors by verdict; cases by engine status that is not ok; median,
    99th percentile and largest ulp error of a tensor's worst entry; largest bound_use; median
    power; median time of one gradient in microseconds.
    """
    lines = [
        _line(name, dtype, errors, of_dtype)
        for name in engine_names(cases)
        for dtype, of_dtype in cases.groupby("dtype", sort=False)
    ]
    return pd.DataFrame(lines, columns=BY_ENGINE)


def _line(
    engine: str, dtype: object, errors: pd.DataFrame, cases: pd.DataFrame
) -> dict[str, object]:
    mine = errors[(errors["engine"] == engine) & (errors["dtype"] == dtype)]
    status = cases[f"status:{engine}"].value_counts()
    verdicts = mine["verdict"].value_counts()
    ulps = mine["max_ulp"].to_numpy()
    line: dict[str, object] = {
        "engine": engine,
        "dtype": dtype,
        "cases": mine["case"].nunique(),
        "tensors": len(mine),
    }
    line |= {verdict.lower(): int(verdicts.get(verdict, 0)) for verdict in rows.VERDICTS}
    line |= {name: int(status.get(name, 0)) for name in NOT_OK}
    line |= {
        "median_ulp": _quantile(ulps, 0.5),
        "p99_ulp": _quantile(ulps, 0.99),
        "max_ulp": _quantile(ulps, 1.0),
        "bound_use": float(mine["bound_use"].max()),
        "power": float(mine["power"].median()),
        "microseconds": float(cases[f"seconds:{engine}"].median()) * 1e6,
    }
    return line


def _quantile(values: np.ndarray, q: float) -> float:
    """A quantile that is one of the values, so that ∞ spoils no interpolation."""
    if not len(values):
        return float("nan")
    return float(np.quantile(values, q, method="inverted_cdf"))


ACCURACY = ["engine", "dtype", "claimed_bits", "seen_bits", "l2_use", "stage_use"]
"""First columns of the table of precision and accuracy; digits by stratum follow."""


def accuracy(errors: pd.DataFrame) -> pd.DataFrame:
    """A line per engine × dtype: precision claimed and seen, and digits by saturation.

    Bits of the format, and the median estimate of the unit roundoff that the engine works with;
    largest share of the ℓ2 bound and of a stage's bound; then for each factor on Xavier weights
    the right decimal digits (median of tensors), of the worst tenth, and the digits that the
    formula may lose in the worst tenth, whoever evaluates it.
    """
    strata = sorted(scale for scale in errors["scale"].unique() if scale > 0)
    lines = []
    for (engine, dtype), mine in errors.groupby(["engine", "dtype"], sort=False):
        bits = FORMATS[str(dtype)].digits if str(dtype) in FORMATS else None
        seen = mine["roundoff_bits"].median(), mine["l2_use"].max(), mine["stage_use"].max()
        line = dict(zip(ACCURACY, (engine, dtype, bits, *map(float, seen)), strict=True))
        for scale in strata:
            line |= _digits(mine[mine["scale"] == scale], f"×{scale:g}")
        lines.append(line)
    digits = [name for scale in strata for name in _digits(errors.head(0), f"×{scale:g}")]
    return pd.DataFrame(lines, columns=ACCURACY + digits)


def _digits(errors: pd.DataFrame, stratum: str) -> dict[str, float]:
    right, lost = errors["correct_digits"], errors["digits_lost"]
    return {
        f"digits {stratum}": float(right.median()),
        f"worst tenth {stratum}": float(right.quantile(0.1)),
        f"lost {stratum}": float(lost.quantile(0.9)),
    }


def by_pair(pairs: pd.DataFrame) -> pd.DataFrame:
    """The largest difference between two engines, per pair and dtype, and where in ulps it is."""
    columns = ["engine_a", "engine_b", "dtype", "cases", "max_abs_difference"]
    columns += ["median_ulp_difference", "max_ulp_difference", "case", "tensor"]
    lines = []
    for keys, group in pairs.groupby(["engine_a", "engine_b", "dtype"], sort=False):
        worst = group.sort_values("max_ulp_difference").iloc[-1]
        ulps = group["max_ulp_difference"].to_numpy()
        largest = group["max_abs_difference"].max(), _quantile(ulps, 0.5), _quantile(ulps, 1)
        lines.append([*keys, len(group), *largest, worst["case"], worst["tensor"]])
    return pd.DataFrame(lines, columns=columns)


def not_covered(cases: pd.DataFrame) -> list[str]:
    """A sentence for each engine that did not run, or not everywhere, with the first reason."""
    sentences = []
    for name in engine_names(cases):
        for status in NOT_OK:
            there = cases[cases[f"status:{name}"] == status]
            if len(there):
                message = re.sub(r"\s+", " ", str(there[f"message:{name}"].iloc[0]))
                sentences.append(
                    f"{name}: {status} on {len(there)} of {len(cases)} cases: {message}"
                )
    return sentences
