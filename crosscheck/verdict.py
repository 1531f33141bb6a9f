"""Verdicts: error, enclosure and bound -> CONSISTENT, DEFECT or INCONCLUSIVE, with the reason.

Nothing here is tuned. An engine beyond its bound is proved wrong; where no statement can be
made, none is, and the reason is named.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from crosscheck import bound, reference, ulp
from crosscheck.values import Arithmetic, Array, Bound, Case, Enclosure, Gradients, Trace

HIGHEST_BITS = 4096
"""Working precision beyond which the oracle gives up doubling."""

RADIUS_SHARE = 2.0**-20
"""The oracle's precision doubles until every radius is at most this share of B."""

LEAST_RADIUS = 2.0**-1070
"""Below this a radius is float64's own underflow, which no working precision mends."""


class Evidence:
    """What a case is judged by: its float64 trace, its enclosure, and bounds by arithmetic.

    Each is computed when first needed and kept. float64 engines are judged by the oracle's
    balls, narrower ones by the float64 trace and the bound on it.
    """

    def __init__(self, case: Case) -> None:
        self.case = case
        self._bounds: dict[Arithmetic, Bound] = {}
        self._enclosure: Enclosure | None = None

    @cached_property
    def trace(self) -> Trace:
        return reference.evaluate(self.case)

    def bound(self, arithmetic: Arithmetic) -> Bound:
        """B for an engine of this arithmetic."""
        if arithmetic not in self._bounds:
            self._bounds[arithmetic] = bound.for_order(self.case, self.trace, arithmetic)
        return self._bounds[arithmetic]

    @property
    def enclosure(self) -> Enclosure:
        """The enclosure so far."""
        if self._enclosure is None:
            narrower = self.case.dtype != "float64"
            self._enclosure = self._from_float64() if narrower else self._balls()
        return self._enclosure

    @property
    def relative_radius(self) -> float:
        """The largest radius of the reference, as a share of the plain bound B."""
        allowed = self.bound(Arithmetic(self.case.dtype)).tensors
        pairs = zip(self.enclosure.radius, allowed, strict=True)
        with np.errstate(invalid="ignore"):
            return float(max(np.nanmax(radius / most, initial=0.0) for radius, most in pairs))

    def _from_float64(self) -> Enclosure:
        """The trace, with the bound at u = 2^-53 as its radius."""
        radius = self.bound(Arithmetic("float64")).tensors
        exact = self.trace.tensors()
        return Enclosure(exact, [np.zeros_like(x) for x in exact], radius, "float64", 53)

    def _balls(self) -> Enclosure:
        """Balls whose radii are small against the least bound, as far as precision goes."""
        from crosscheck import oracle

        allowed = self.bound(Arithmetic("float64")).tensors
        bits = oracle.START_BITS
        enclosure = oracle.enclose(self.case, bits)
        while bits < HIGHEST_BITS and not _is_narrow(enclosure, allowed):
            bits *= 2
            enclosure = oracle.enclose(self.case, bits)
        return enclosure


def _is_narrow(enclosure: Enclosure, allowed: Sequence[Array]) -> bool:
    """Whether every radius is at most 2^-20 of what the bound allows."""
    return all(
        bool(np.all(radius <= RADIUS_SHARE * most + LEAST_RADIUS))
        for radius, most in zip(enclosure.radius, allowed, strict=True)
    )


@dataclass(frozen=True)
class TensorErrors:
    """A tensor's errors against the exact gradient, entry by entry, in float64.

    The true value is within `radius` of `exact` + `rest`.
    """

    got: Array
    exact: Array
    error: Array
    radius: Array
    allowed: Array
    rest: Array | float = 0.0

    @classmethod
    def of(cls, got: Array, enclosure: Enclosure, which: int, allowed: Array) -> "TensorErrors":
        values = got.astype(np.float64)
        hi, lo = enclosure.hi[which], enclosure.lo[which]
        with np.errstate(invalid="ignore", over="ignore"):
            error = np.abs((values - hi) - lo)
        error[np.isnan(error)] = np.inf
        return cls(values, hi, error, enclosure.radius[which], allowed, lo)

    @property
    def beyond(self) -> Array:
        """Entries proved wrong: even the nearest exact value is farther than B."""
        proved: Array = self.error - self.radius > self.allowed
        return proved | ~np.isfinite(self.got)

    @property
    def within(self) -> bool:
        """Whether every entry is proved to lie within B."""
        return bool(np.all(self.error + self.radius <= self.allowed))

    @property
    def reach(self) -> Array:
        """The true value is within this of `exact` alone."""
        distance: Array = np.abs(self.rest) + self.radius
        return distance

    @property
    def power(self) -> float:
        """Median B / |g| over g ≠ 0, or NaN where the gradient is exactly zero."""
        nonzero = (self.exact != 0) | (np.abs(self.exact) + self.radius > self.allowed)
        if not nonzero.any():
            return float("nan")
        with np.errstate(divide="ignore", over="ignore"):
            return float(np.median(self.allowed[nonzero] / np.abs(self.exact[nonzero])))


def rule(errors: TensorErrors, overflow: str | None, kinks: int) -> tuple[str, str]:
    """The verdict on one tensor, and its reason, in the order that the verdicts are defined."""
    if overflow:
        return "INCONCLUSIVE", f"overflow from {overflow} on"
    if errors.beyond.any():
        finite = np.isfinite(errors.got).all()
        return "DEFECT", "beyond the bound" if finite else "not a finite number"
    if kinks:
        return "INCONCLUSIVE", f"{kinks} kinks within rounding errors"
    if errors.power > 1:
        return "INCONCLUSIVE", "the bound exceeds the gradient"
    if not errors.within:
        return "INCONCLUSIVE", "the reference's radius straddles the bound"
    return "CONSISTENT", ""


def judge(evidence: Evidence, arithmetic: Arithmetic, gradients: Gradients) -> list[dict[str, Any]]:
    """A row per tensor: the case's columns are the caller's to add."""
    limits = evidence.bound(arithmetic)
    enclosure = evidence.enclosure
    rows = []
    for which, (name, got) in enumerate(
        zip(evidence.case.architecture.tensor_names, gradients.tensors(), strict=True)
    ):
        errors = TensorErrors.of(got, enclosure, which, limits.tensors[which])
        verdict, reason = rule(errors, limits.overflow, limits.kinks[which])
        rows.append({"tensor": name, **measure(errors, evidence.case)})
        rows[-1].update(verdict=verdict, reason=reason)
    return rows


def measure(errors: TensorErrors, case: Case) -> dict[str, Any]:
    """Everything a row says of a tensor but its verdict."""
    worst = _worst(errors)
    nonzero = errors.exact != 0
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        relative = errors.error[nonzero] / np.abs(errors.exact[nonzero])
        use = np.where(errors.error == 0, 0.0, errors.error / errors.allowed)
    distance = ulp.in_ulps(errors.error, errors.exact, case.format)
    max_relative = float(relative.max()) if nonzero.any() else float("nan")
    return {
        "entries": errors.got.size,
        "mismatched": int(errors.beyond.sum()),
        "max_abs_error": float(errors.error.max()),
        "max_rel_error": max_relative,
        "max_ulp": float(distance.max()),
        "median_ulp": float(np.median(distance)),
        "effective_bits": ulp.effective_bits(max_relative, case.format),
        "bound_use": float(np.nanmax(use)),
        "power": errors.power,
        "worst_index": str([int(i) for i in worst]),
        "got": float(errors.got[worst]),
        "exact": float(errors.exact[worst]),
        "bound": float(errors.allowed[worst]),
        "radius": float(errors.reach[worst]),
        "got_hex": float(errors.got[worst]).hex(),
        "exact_hex": float(errors.exact[worst]).hex(),
    }


def _worst(errors: TensorErrors) -> tuple[int, ...]:
    """The entry of the greatest absolute error, among those beyond their bound if any are."""
    beyond = errors.beyond
    candidates = np.where(beyond, errors.error, -1.0) if beyond.any() else errors.error
    return tuple(int(i) for i in np.unravel_index(int(candidates.argmax()), candidates.shape))
