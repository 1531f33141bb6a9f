"""Quantiles of more values than memory should hold.

Up to `EXACT_VALUES` values they are exact. Beyond, values are counted by their sign, exponent
and first 12 bits, and a quantile is within a factor 1 + 2^-12 of the exact one; whatever the
order in which the values came.
"""

import numpy as np
from numpy.typing import NDArray

EXACT_VALUES = 100_000
DROPPED_BITS = 40
"""Of float64's 52 bits behind the first, those that are not counted apart."""


class Quantiles:
    """Quantiles of the non-negative values added; NaN is left out."""

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
