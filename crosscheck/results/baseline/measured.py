"""Rows to what the gate compares: per tensor a verdict and the log₂ of its error."""

import hashlib
from typing import Any

import numpy as np
import pandas as pd

from crosscheck.results.finished import FinishedRun
from crosscheck.results.rows import engine_names

FLOOR_ULP = 0.5
"""An error up to here is a correctly rounded result: none is better, so none counts as less."""

DECIMALS = 4
"""Decimals that a log₂ keeps; the digest of an engine's errors on a case keeps every bit."""

EXACT = ("max_abs_error", "max_rel_error", "max_ulp", "median_ulp", "got", "verdict")
"""The columns whose every bit a fingerprinted comparison looks at."""

NOT_COMPUTING = {"pandas", "pyarrow", "gradcrosscheck"}
"""Packages that write rows, and change no number in them; what we compute with is in `code`."""

FINGERPRINT = ("python", "libc", "cpu", "simd", "blas", "flags", "code", "own_code")
"""What of the environment decides on the last bit of a gradient, beside the packages."""


def fingerprint(environment: dict[str, Any]) -> dict[str, Any]:
    """What of an environment decides on the last bit of a gradient: no kernel, no path."""
    found = {name: environment[name] for name in FINGERPRINT if name in environment}
    packages = environment.get("packages") or {}
    found["packages"] = {k: v for k, v in sorted(packages.items()) if k not in NOT_COMPUTING}
    return found


def tensors(run: FinishedRun) -> pd.DataFrame:
    """A row per case × engine × tensor: the place, `verdict`, and `log2` of the error in ulps.

    `log2` is at least log₂ ½, ∞ where what came is no number. A definition that occurs twice
    is taken once.
    """
    definitions = run.cases.drop_duplicates("definition").set_index("case")["definition"]
    columns = ["case", "engine", "dtype", "output", "tensor", "verdict"]
    rows = run.errors.loc[run.errors["case"].isin(definitions.index), columns]
    ulps = run.errors.loc[rows.index, "max_ulp"].fillna(np.inf).clip(lower=FLOOR_ULP)
    rows["log2"] = np.log2(ulps).round(DECIMALS)
    rows["definition"] = rows["case"].map(definitions)
    rows["kind"] = rows["tensor"].str[0].map({"w": "weights", "b": "biases"})
    return rows.reset_index(drop=True)


def attempts(run: FinishedRun, reference: str | None = None) -> pd.DataFrame:
    """A row per case × engine: `status`, `digest` of the exact errors, and `ratio`.

    `ratio` is the engine's time over that of `reference` on the same case in the same run, by
    default the first engine of the run; NaN where either has none.
    """
    names = engine_names(run.cases)
    reference = reference or (names[0] if names else None)
    digests = _digests(run.errors)
    parts = []
    for name in names:
        part = run.cases[["case", "definition", "dtype", "output", "widths"]].copy()
        part["engine"] = name
        part["status"] = run.cases[f"status:{name}"]
        part["ratio"] = _ratio(run.cases, name, reference)
        parts.append(part)
    if not parts:
        return pd.DataFrame(columns=[*_PLACE, "engine", "status", "ratio", "digest"])
    whole = pd.concat(parts, ignore_index=True).drop_duplicates(["definition", "engine"])
    keys = zip(whole["case"], whole["engine"], strict=True)
    whole["digest"] = [digests.get(key, "") for key in keys]
    return whole.reset_index(drop=True)


_PLACE = ["case", "definition", "dtype", "output", "widths"]


def _ratio(cases: pd.DataFrame, name: str, reference: str | None) -> pd.Series:
    base = f"seconds:{reference}"
    if base not in cases:
        return pd.Series(np.nan, cases.index)
    return (cases[f"seconds:{name}"] / cases[base]).round(4)


def _digests(errors: pd.DataFrame) -> dict[tuple[str, str], str]:
    """8 hexadecimal digits for each case × engine, of every bit of its errors."""
    exact = errors[["case", "engine", "tensor", *EXACT]]
    found: dict[tuple[str, str], Any] = {}
    for case, engine, *values in exact.itertuples(index=False, name=None):
        text = " ".join(v.hex() if isinstance(v, float) else str(v) for v in values)
        key = (case, engine)
        if key not in found:
            found[key] = hashlib.blake2b(digest_size=4)
        found[key].update(text.encode())
    return {key: digest.hexdigest() for key, digest in found.items()}
