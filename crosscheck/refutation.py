"""Whether roundings can explain a tensor that is within B and looks suspicious: the last resort.

Single entries first, each by the largest limit of the orders that the engine may have. Where its
order leaves no doubt that all entries come of the same arrays, entries are then added up.
"""

from typing import NamedTuple

import numpy as np

from crosscheck import combining
from crosscheck.correlated import Correlated
from crosscheck.pulled_back import InOrder
from crosscheck.values import Array

ENTRIES = 192
"""Entries that are added up at most: those that use most of their own limit."""

COEFFICIENTS = 2**22
"""Coefficients that are added up at most; fewer entries where each has many."""

HOPE = 0.1
"""Where no entry uses so much of its own limit, adding them up has never helped."""


class Attempt(NamedTuple):
    """What came of it: the reason, if the tensor is proved wrong, and what was tried, by name."""

    reason: str
    tried: str

    @property
    def proved(self) -> bool:
        """Whether no roundings explain the tensor."""
        return bool(self.reason)


def not_tried(hindrance: str) -> Attempt:
    """Nothing sharper is known, because of this."""
    return Attempt("", f"no shared roundings ({hindrance})")


def attempt(of: Correlated, which: int, error: Array, room: Array) -> Attempt:
    """One tensor: its signed errors, and what these may be wrong by."""
    excess = np.abs(error) - room
    with np.errstate(all="ignore"):
        limits = [of.limit(which, order) for order in of.orders]
        if np.any(excess > np.maximum.reduce(limits)):
            return Attempt("an entry is beyond what shared roundings add up to", "shared roundings")
        if len(of.orders) > 1 or not of.orders[0].alike:
            return Attempt("", "shared roundings")
        sums = "shared roundings and their sums"
        if _explains_no_sum(of, which, of.orders[0], limits[0], error, room):
            return Attempt("a sum of entries is beyond what shared roundings add up to", sums)
    return Attempt("", sums)


def _explains_no_sum(
    of: Correlated, which: int, order: InOrder, limit: Array, error: Array, room: Array
) -> bool:
    """Whether a sum of entries is beyond what roundings in this order make."""
    uses = (np.abs(error) - room).ravel() / limit.ravel()
    if not uses.max() > HOPE:
        return False
    count = min(ENTRIES, max(1, COEFFICIENTS // of.symbols(which)))
    entries = np.argsort(-uses)[:count]
    return combining.best(_system(of, which, order, error, room, entries)) > 1


def _system(
    of: Correlated, which: int, order: InOrder, error: Array, room: Array, entries: Array
) -> combining.System:
    """The errors of some entries of a tensor in terms of its symbols."""
    coefficients = of.coefficients(which, order, entries)
    return combining.System(
        error.ravel()[entries],
        coefficients[:, coefficients.any(0)],
        of.residue(which, order).ravel()[entries],
        of.magnitudes(which, order).ravel()[entries],
        room.ravel()[entries],
    )
