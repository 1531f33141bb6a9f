"""Quantiles of the rows by engine, depth, width, saturation and layer."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

LEVELS = (0.1, 0.5, 0.9, 0.99, 1.0)
NAMES = ["p10", "median", "p90", "p99", "max"]
"""The quantiles that tables show, each one of the values."""

WIDTH_BINS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
"""Lower ends of the bins that a widest layer falls into."""


def of(frame: pd.DataFrame, column: str, keys: Sequence[str]) -> pd.DataFrame:
    """A row per value of the keys: tensors, and the quantiles of a column that are values of it."""
    known = frame.loc[frame[column].notna(), [*keys, column]]
    lines = []
    for key, group in known.groupby(list(keys), sort=False):
        values = np.quantile(group[column].to_numpy(), LEVELS, method="inverted_cdf")
        lines.append([*key, len(group), *values])
    return pd.DataFrame(lines, columns=[*keys, "tensors", *NAMES])


def widest(widths: pd.Series) -> pd.Series:
    """The bin of the widest layer of "3-5-2", as its lower end."""
    distinct = {text: max(map(int, text.split("-"))) for text in widths.unique()}
    bins = np.array(WIDTH_BINS)
    lower = {t: int(bins[np.searchsorted(bins, n, side="right") - 1]) for t, n in distinct.items()}
    return widths.map(lower)


def width_label(lower: int) -> str:
    """The bin in words: 1, 2–3, 4–7, …"""
    return "1" if lower == 1 else f"{lower}–{2 * lower - 1}"
