"""Quantiles: of a column by group, and of more values than memory should hold.

Each quantile is one of the values, the least with at least its share at or below it, so that ∞
spoils no interpolation.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

EXACT_VALUES = 100_000
DROPPED_BITS = 40
"""Of float64's 52 bits behind the first, those that are not counted apart."""


class Quantiles:
    """Quantiles of the non-negative values added; NaN is left out.

    Up to `EXACT_VALUES` values they are exact. Beyond, values are counted by their sign, exponent
    and first 12 bits, and a quantile is within a factor 1 + 2^-12 of the exact one; whatever the
    order in which the values came.
    """

    def __init__(self) -> None:
        self.count = 0
        self.largest = float("nan")
        self._values: list[NDArray[np.float64]] = []
        self._held = 0
        self._keys = np.empty(0, np.uint64)
        self._counts = np.empty(0, np.int64)

    def add(self, values: NDArray[np.float64]) -> None:
        """Take more values, a vector."""
        values = values[~np.isnan(values)]
        if not len(values):
            return
        self.count += len(values)
        self._held += len(values)
        self.largest = float(np.fmax(self.largest, values.max()))
        self._values.append(values)
        if self.count > EXACT_VALUES and self._held > EXACT_VALUES // 4:
            self._fold()

    def _fold(self) -> None:
        """Count the values that are held, and let them go."""
        keys = np.concatenate(self._values).view(np.uint64) >> np.uint64(DROPPED_BITS)
        keys, counts = np.unique(keys, return_counts=True)
        merged, where = np.unique(np.concatenate([self._keys, keys]), return_inverse=True)
        totals = np.zeros(len(merged), np.int64)
        np.add.at(totals, where, np.concatenate([self._counts, counts]))
        self._keys, self._counts = merged, totals
        self._values, self._held = [], 0

    def at(self, q: float) -> float:
        """The q-quantile: the least value with at least a share q at or below it; or NaN."""
        if not self.count:
            return float("nan")
        if q >= 1:
            return self.largest
        if self.count <= EXACT_VALUES:
            return float(np.quantile(np.concatenate(self._values), q, method="inverted_cdf"))
        if self._held:
            self._fold()
        reached = np.searchsorted(np.cumsum(self._counts), q * self.count)
        key = self._keys[min(int(reached), len(self._keys) - 1)]
        return float((key << np.uint64(DROPPED_BITS)).view(np.float64))


LEVELS = (0.1, 0.5, 0.9, 0.99, 1.0)
NAMES = ["p10", "median", "p90", "p99", "max"]
"""The quantiles that tables show, each one of the values."""

WIDTH_BINS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
"""Lower ends of the bins that a widest layer falls into."""


def by_group(frame: pd.DataFrame, column: str, keys: Sequence[str]) -> pd.DataFrame:
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
