"""The memory of large arrays, used again once nobody sees them any more.

Arrays over 128 KiB may be mapped afresh at each allocation, and the page faults then cost as much
as the arithmetic. Python counts the references to an array, and a view of it holds one, as does
any other library that it was given to: where there are none but ours, its memory is free.
"""

import math
import sys
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from crosscheck.networks.network import Array

LEAST_KEPT = 1 << 17
"""Bytes of an array from which on its memory is worth keeping."""

MOST_KEPT = 1 << 26
"""Bytes that are kept in each thread."""


def references(arrays: list[Array], place: int) -> int:
    """How many references Python counts to an array of the list, and to this call."""
    return sys.getrefcount(arrays[place])


ALONE = references([np.empty(1)], 0)
"""What is counted where nobody else refers to an array; versions of Python differ in it."""

COUNTS = bool(getattr(sys, "_is_gil_enabled", lambda: True)())
"""Whether such a count is to be relied on."""


NO_ROOMS: tuple[None, ...] = (None,) * 8


class Kept(threading.local):
    """The arrays that are kept in each thread, the last used last."""

    def __init__(self) -> None:
        self._arrays: list[Array] = []
        self._busy = False

    def rooms(self, count: int, shape: tuple[int, ...]) -> Sequence[Array | None]:
        """Memory for arrays of float64 where they are large, else None: for NumPy's `out`."""
        if 8 * math.prod(shape) < LEAST_KEPT:
            return NO_ROOMS[:count]
        return [self.empty(shape) for _ in range(count)]

    def empty(self, shape: tuple[int, ...], dtype: Any = np.float64) -> Array:
        """np.empty, in memory that nobody sees where it is large.

        What interrupts this, and asks for memory itself, gets new one.
        """
        size = math.prod(shape) * np.dtype(dtype).itemsize
        if self._busy or not COUNTS or not LEAST_KEPT <= size <= MOST_KEPT:
            return np.empty(shape, dtype)
        try:
            self._busy = True
            found = self._taken(shape, dtype)
            if found is None:
                found = self._new(shape, dtype)
            self._arrays.append(found)
        finally:
            self._busy = False
        return found

    def _taken(self, shape: tuple[int, ...], dtype: Any) -> Array | None:
        for place in reversed(range(len(self._arrays))):
            if self._fits(place, shape, dtype) and references(self._arrays, place) <= ALONE:
                return self._arrays.pop(place)
        return None

    def _new(self, shape: tuple[int, ...], dtype: Any) -> Array:
        """A new array, for which those go that were used longest ago, where there is no room."""
        new = np.empty(shape, dtype)
        room = MOST_KEPT - new.nbytes
        while sum(one.nbytes for one in self._arrays) > room:
            del self._arrays[0]
        return new

    def _fits(self, place: int, shape: tuple[int, ...], dtype: Any) -> bool:
        array = self._arrays[place]
        return array.shape == shape and array.dtype == dtype


kept = Kept()
