"""Whether a mistake shows on a network: whether an exact entry changes by more than 4u|g|."""

from functools import cached_property

import numpy as np

from crosscheck.faults.catalogue.fault import Fault, Parameters, Setting, Tensors
from crosscheck.networks.network import Array, Case

CHANGE = 4.0
"""A change of more than this many u|g| makes a mistake viable."""


class ExactGradient:
    """A case's exact settings: in float64, and in double-doubles when that leaves it open."""

    def __init__(self, case: Case) -> None:
        self.case = case

    @cached_property
    def quick(self) -> Setting:
        return Setting.exact(self.case)

    @cached_property
    def fine(self) -> Setting:
        return Setting.exact(self.case, double_double=True)


def viable(fault: Fault, case: Case, parameters: Parameters, exact: ExactGradient) -> bool:
    """Whether an exact entry changes by more than 4u|g|.

    A mistake of precision has no exact gradient of its own: there the engine's is compared with
    that of the same code without the mistake.
    """
    if fault.family == "precision":
        floats, drawn = fault.at(case, parameters)
        pairs = zip(fault.compute(floats, drawn), floats.right, strict=True)
        return any(_changed(np.asarray(a), np.asarray(b), 0.0, case) for a, b in pairs)
    drawn = fault.at(case, parameters)[1]
    with np.errstate(all="ignore"):
        quick = fault.compute(exact.quick, drawn)
        if _differ(quick, exact.quick.right, case):
            return True
        pairs = zip(quick, exact.quick.right, strict=True)
        if all(np.array_equal(one.middle, other.middle) for one, other in pairs):
            return False
        return _differ(fault.compute(exact.fine, drawn), exact.fine.right, case)


def _differ(wrong: Tensors, right: Tensors, case: Case) -> bool:
    for one, other in zip(wrong, right, strict=True):
        difference = (one - other).middle
        if _changed(difference, 0 * difference, one.doubt + other.doubt, case, other.magnitude):
            return True
    return False


def _changed(
    wrong: Array, right: Array, doubt: Array | float, case: Case, size: Array | None = None
) -> bool:
    size = np.abs(right.astype(np.float64)) if size is None else size
    difference = np.abs(wrong.astype(np.float64) - right.astype(np.float64))
    return bool(np.any(difference - doubt > CHANGE * case.format.unit_roundoff * size))
