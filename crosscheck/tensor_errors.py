"""One tensor's errors against the exact gradient, entry by entry, and what a row says of them."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from crosscheck import ulp
from crosscheck.formats import FloatFormat
from crosscheck.values import Array, Enclosure


@dataclass(frozen=True)
class TensorErrors:
    """A tensor's errors against the exact gradient, entry by entry, in float64."""

    got: Array
    exact: Array
    error: Array
    radius: Array
    allowed: Array

    @classmethod
    def of(cls, got: Array, enclosure: Enclosure, which: int, allowed: Array) -> "TensorErrors":
        values = got.astype(np.float64)
        hi, lo = enclosure.hi[which], enclosure.lo[which]
        with np.errstate(invalid="ignore", over="ignore"):
            error = np.abs((values - hi) - lo)
        error[np.isnan(error)] = np.inf
        return cls(values, hi, error, enclosure.radius[which], allowed)

    @property
    def beyond(self) -> Array:
        """Entries proved wrong: even the nearest exact value is farther than B."""
        with np.errstate(invalid="ignore"):
            proved: Array = self.error - self.radius > self.allowed
        return proved | ~np.isfinite(self.got)

    @property
    def any_beyond(self) -> bool:
        """Whether any entry is proved wrong."""
        return bool(self.beyond.any())

    @property
    def within(self) -> bool:
        """Whether every entry is proved to lie within B."""
        return bool(np.all(self.error + self.radius <= self.allowed))

    @property
    def power(self) -> float:
        """Median B / |g| over g ≠ 0, or NaN where the gradient is exactly zero."""
        nonzero = (self.exact != 0) | (np.abs(self.exact) + self.radius > self.allowed)
        if not nonzero.any():
            return float("nan")
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            return float(np.median(self.allowed[nonzero] / np.abs(self.exact[nonzero])))


def measure(errors: TensorErrors, format: FloatFormat) -> dict[str, Any]:
    """Everything a row says of a tensor's errors but its verdict."""
    worst = _worst(errors)
    nonzero = errors.exact != 0
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        relative = errors.error[nonzero] / np.abs(errors.exact[nonzero])
        use = np.where(errors.error == 0, 0.0, errors.error / errors.allowed)
    distance = ulp.in_ulps(errors.error, errors.exact, format)
    max_relative = float(relative.max()) if nonzero.any() else float("nan")
    median = float(np.median(relative)) if nonzero.any() else float("nan")
    bits, typical_bits = ulp.effective_bits((max_relative, median), format)
    return {
        "entries": errors.got.size,
        "mismatched": int(errors.beyond.sum()),
        "max_abs_error": float(errors.error.max()),
        "max_rel_error": max_relative,
        "max_ulp": float(distance.max()),
        "median_ulp": float(np.median(distance)),
        "effective_bits": bits,
        "correct_digits": typical_bits * float(np.log10(2)),
        "bound_use": float(np.fmax.reduce(use, axis=None)),
        "worst_index": str([int(i) for i in worst]),
        "got": float(errors.got[worst]),
        "exact": float(errors.exact[worst]),
        "bound": float(errors.allowed[worst]),
        "radius": float(np.spacing(np.abs(errors.exact[worst])) / 2 + errors.radius[worst]),
        "got_hex": float(errors.got[worst]).hex(),
        "exact_hex": float(errors.exact[worst]).hex(),
    }


def _worst(errors: TensorErrors) -> tuple[int, ...]:
    """The entry of the greatest absolute error, among those beyond their bound if any are."""
    beyond = errors.beyond
    candidates = np.where(beyond, errors.error, -1.0) if beyond.any() else errors.error
    return tuple(int(i) for i in np.unravel_index(int(candidates.argmax()), candidates.shape))
