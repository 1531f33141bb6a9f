"""Verdicts: error, enclosure, bound -> CONSISTENT, SUSPECT, DEFECT or INCONCLUSIVE, and why.

Nothing here is tuned. An engine beyond its bound is proved wrong; where no statement can be
made, none is, and the reason is named.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from crosscheck import bound, double_double, orders, reference, stagewise, ulp
from crosscheck.arithmetic import Arithmetic
from crosscheck.evaluation import Bound, Trace
from crosscheck.measuring import Ruler, Scale
from crosscheck.sensitivities import Sensitivities
from crosscheck.stagewise import ABSOLUTE_ONLY, Check
from crosscheck.values import Array, Case, Enclosure, Gradients

HIGHEST_BITS = 4096
"""Working precision beyond which the oracle gives up doubling."""

RADIUS_SHARE = 2.0**-20
"""The oracle's precision doubles until every radius is at most this share of B."""

LEAST_RADIUS = 2.0**-1070
"""Below this a radius is float64's own underflow, which no working precision mends."""


class Evidence:
    """What a case is judged by: its float64 trace, its enclosure, and bounds by arithmetic.

    Each is computed when first needed and kept; the bounds of `expected` arithmetics are made
    together, which is cheaper. float64 engines are judged by the oracle's
    balls, narrower ones by the float64 trace and the bound on it.
    """

    def __init__(self, case: Case, expected: Iterable[Arithmetic] = ()) -> None:
        self.case = case
        self._expected = expected
        self._bounds: dict[tuple[Arithmetic, bool], Bound] = {}
        self._sensitivities: dict[Arithmetic, Sensitivities] = {}
        self._scales: dict[Arithmetic, Scale] = {}
        self._enclosure: Enclosure | None = None
        self._radius: Bound | None = None

    @cached_property
    def ruler(self) -> Ruler:
        """The exact gradient as errors are measured by it."""
        return Ruler(self.enclosure, self.case.architecture.tensor_shapes, self.case.format)

    def scale(self, arithmetic: Arithmetic) -> Scale:
        """The ruler with the bound of an arithmetic."""
        if arithmetic not in self._scales:
            self._scales[arithmetic] = Scale(self.ruler, self.bound(arithmetic).tensors)
        return self._scales[arithmetic]

    @cached_property
    def trace(self) -> Trace:
        return reference.evaluate(self.case)

    def bound(self, arithmetic: Arithmetic, absolute: bool = False) -> Bound:
        """B for an engine of this arithmetic; `absolute` as in `orders.for_order`."""
        key = (arithmetic, absolute)
        if key not in self._bounds and not absolute and _joins(arithmetic):
            self._bounds |= self._together({self._plain, arithmetic, *self._expected})
        if key not in self._bounds:
            self._bounds[key] = orders.for_order(self.case, self.trace, arithmetic, absolute)
        return self._bounds[key]

    @property
    def _plain(self) -> Arithmetic:
        return Arithmetic(self.case.dtype)

    def _together(self, wanted: set[Arithmetic]) -> "dict[tuple[Arithmetic, bool], Bound]":
        """The contracted bounds of these in one pass, and with them the reference's radius."""
        keys = [(a, False) for a in wanted if _joins(a) and (a, False) not in self._bounds]
        rules = [bound.rules_of(arithmetic) for arithmetic, _ in keys]
        if double_double.supports(self.case) and self._radius is None:
            rules.append(double_double.RULES)
        found = bound.by_rules(self.case, self.trace, bound.Together(rules))
        if len(found) > len(keys):
            self._radius = found[-1]
        return dict(zip(keys, found, strict=False))

    def sensitivities(self, arithmetic: Arithmetic) -> Sensitivities:
        """The ℓ2 bound and what goes with it."""
        if arithmetic not in self._sensitivities:
            order = self.bound(arithmetic).tensors
            self._sensitivities[arithmetic] = Sensitivities.of(
                self.case, self.trace, arithmetic, order
            )
        return self._sensitivities[arithmetic]

    @property
    def enclosure(self) -> Enclosure:
        """The enclosure so far."""
        if self._enclosure is None:
            narrower = self.case.dtype != "float64"
            self._enclosure = self._from_float64() if narrower else self._for_float64()
        return self._enclosure

    @property
    def relative_radius(self) -> float:
        """The largest radius of the reference, as a share of the plain bound B."""
        allowed = self.bound(self._plain).tensors
        pairs = zip(self.enclosure.radius, allowed, strict=True)
        with np.errstate(invalid="ignore"):
            return float(max(np.nanmax(radius / most, initial=0.0) for radius, most in pairs))

    def _from_float64(self) -> Enclosure:
        """The trace, with the bound at u = 2^-53 as its radius."""
        exact = self.trace.tensors()
        radius = bound.of_evaluation(self.case, self.trace, self.bound(self._plain))
        return Enclosure(exact, [np.zeros_like(x) for x in exact], radius, "float64", 53)

    def _for_float64(self) -> Enclosure:
        """Double-double where its radius suffices, else balls."""
        allowed = self.bound(self._plain).tensors
        found = double_double.enclose(self.case, self.trace, self._radius)
        return found if found is not None and _is_narrow(found, allowed) else self._balls()

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


def _joins(arithmetic: Arithmetic) -> bool:
    """Whether its bound can be made in one pass with others."""
    return arithmetic.order == "contracted" and arithmetic.accumulate is None


def first_disagreement(one: Enclosure, other: Enclosure) -> int | None:
    """The first tensor on which two enclosures of one gradient have an entry apart, if any."""
    parts = zip(one.hi, one.lo, one.radius, other.hi, other.lo, other.radius, strict=True)
    for which, (h, l, r, g, k, s) in enumerate(parts):
        # Two differences of doubles a few roundings apart; the slack covers their own rounding.
        room = (r + s) * (1 + 2.0**-40) + 2.0**-104 * np.abs(h) + LEAST_RADIUS
        if np.any(np.abs((h - g) + (l - k)) > room):
            return which
    return None


def _is_narrow(enclosure: Enclosure, allowed: Sequence[Array]) -> bool:
    """Whether every radius is at most 2^-20 of what the bound allows."""
    return all(
        bool(np.all(radius <= RADIUS_SHARE * most + LEAST_RADIUS))
        for radius, most in zip(enclosure.radius, allowed, strict=True)
    )


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


class Cleared(NamedTuple):
    """Errors none of which is beyond its bound, as far as a verdict needs them."""

    within: bool
    got: Array = np.zeros(1)
    beyond: Array = np.zeros(1, bool)
    power: float = 0.0


@dataclass(frozen=True)
class Suspicion:
    """What speaks against a tensor without proving it wrong; empty where nothing was tried."""

    l2_use: float = float("nan")
    absolute_only: bool = False

    @property
    def reason(self) -> str:
        if self.absolute_only:
            return ABSOLUTE_ONLY
        if self.l2_use > 1:
            return "beyond the ℓ2 bound: biased or lower-precision arithmetic"
        return ""


def rule(
    errors: TensorErrors | Cleared,
    overflow: str | None,
    kinks: int,
    suspicion: Suspicion = Suspicion(),
    broken: str = "",
    power: float | None = None,
) -> tuple[str, str]:
    """The verdict on one tensor, and its reason, in the order that the verdicts are defined.

    `broken` says which stage broke its bound; `power` is the strict bound's where `errors` has
    a wider one.
    """
    if overflow:
        return "INCONCLUSIVE", f"overflow from {overflow} on"
    if broken:
        return "DEFECT", broken
    if errors.beyond.any():
        finite = np.isfinite(errors.got).all()
        return "DEFECT", "beyond the bound" if finite else "not a finite number"
    if kinks:
        return "INCONCLUSIVE", f"{kinks} kinks within rounding errors"
    if (errors.power if power is None else power) > 1:
        return "INCONCLUSIVE", "the bound exceeds the gradient"
    if not errors.within:
        return "INCONCLUSIVE", "the reference's radius straddles the bound"
    return ("SUSPECT", suspicion.reason) if suspicion.reason else ("CONSISTENT", "")


@dataclass(frozen=True)
class Stagewise:
    """The stagewise checks of one engine on one case."""

    checks: Sequence[Check] = ()

    @property
    def broken(self) -> Check | None:
        """The first operation beyond its bound."""
        return next((check for check in self.checks if check.broken), None)

    @property
    def telling(self) -> Check | None:
        """The first broken one, else the one that uses most of its bound."""
        return self.broken or max(self.checks, key=lambda check: check.use, default=None)

    @property
    def absolute_only(self) -> bool:
        """An activation without relative accuracy."""
        return any(check.absolute_only for check in self.checks)

    @property
    def activations_seen(self) -> bool:
        """Whether activations were checked, and are known to be relatively accurate."""
        seen = any(check.stage.startswith("a") for check in self.checks)
        return seen and not self.absolute_only

    def sentence_for(self, tensor: str) -> str:
        """What is wrong with a tensor by the first broken stage, if it depends on it."""
        broken = self.broken
        if broken is None:
            return ""
        kind, layer = broken.stage[0], int(broken.stage[1:])
        affected = {"w": tensor == broken.stage, "b": tensor == broken.stage}.get(
            kind, kind in "za" or int(tensor[1:]) <= layer
        )
        return broken.sentence if affected else ""


def stagewise_checks(
    evidence: Evidence, arithmetic: Arithmetic, stages: Mapping[str, Array] | None
) -> Stagewise:
    """Check what an engine shows; nothing where it shows nothing, or the case overflows."""
    if not stages or evidence.bound(arithmetic).overflow:
        return Stagewise()
    return Stagewise(tuple(stagewise.checks(evidence.case, stages, arithmetic)))


def judge(
    evidence: Evidence,
    arithmetic: Arithmetic,
    gradients: Gradients,
    deep: bool = False,
    stages: Mapping[str, Array] | None = None,
) -> list[dict[str, Any]]:
    """A row per tensor: the case's columns are the caller's to add.

    `deep` adds the ℓ2 bound and what the formula loses; `stages`, what the engine shows of its
    intermediates, the stagewise checks.
    """
    seen = stagewise_checks(evidence, arithmetic, stages)
    measured = evidence.scale(arithmetic).measure(gradients.tensors())
    if measured is not None:
        return _cleared(evidence, arithmetic, gradients, measured, deep, seen)
    tensors = zip(evidence.case.architecture.tensor_names, gradients.tensors(), strict=True)
    return [
        _row(evidence, arithmetic, which, name, got, deep, seen)
        for which, (name, got) in enumerate(tensors)
    ]


def _cleared(
    evidence: Evidence,
    arithmetic: Arithmetic,
    gradients: Gradients,
    measured: Sequence[tuple[dict[str, Any], bool]],
    deep: bool,
    seen: Stagewise,
) -> list[dict[str, Any]]:
    """The rows of a gradient of which no entry is beyond its bound."""
    limits, power = evidence.bound(arithmetic), evidence.scale(arithmetic).power
    found = []
    for which, name in enumerate(evidence.case.architecture.tensor_names):
        row, within = measured[which]
        row["tensor"], row["power"] = name, power[which]
        suspicion = Suspicion(absolute_only=seen.absolute_only)
        checks = "B"
        if deep:
            got, allowed = gradients.tensors()[which], limits.tensors[which]
            errors = TensorErrors.of(got, evidence.enclosure, which, allowed)
            row |= evidence.sensitivities(arithmetic).measure(errors, which)
            suspicion = replace(suspicion, l2_use=row["l2_use"])
            checks += ", ℓ2"
        if telling := seen.telling:
            row |= {"stage": telling.place, "stage_use": telling.use}
            checks += ", stages"
        broken, kinks = seen.sentence_for(name), limits.kinks[which]
        verdict, reason = rule(
            Cleared(within), limits.overflow, kinks, suspicion, broken, power[which]
        )
        row |= {"checks": checks, "verdict": verdict, "reason": reason}
        found.append({**UNTRIED, **row})
    return found


def _row(
    evidence: Evidence,
    arithmetic: Arithmetic,
    which: int,
    name: str,
    got: Array,
    deep: bool,
    seen: Stagewise,
) -> dict[str, Any]:
    limits = evidence.bound(arithmetic)
    strict = TensorErrors.of(got, evidence.enclosure, which, limits.tensors[which])
    errors = strict
    if strict.beyond.any() and not limits.overflow and not seen.activations_seen:
        lax = evidence.bound(arithmetic, absolute=True).tensors[which]
        errors = replace(strict, allowed=lax)
    row = {"tensor": name, **measure(errors, evidence.case), "power": strict.power}
    absolute_only = seen.absolute_only or errors is not strict
    suspicion = Suspicion(absolute_only=absolute_only)
    checks = ["B"]
    if deep:
        row |= evidence.sensitivities(arithmetic).measure(errors, which)
        suspicion = replace(suspicion, l2_use=row["l2_use"])
        checks.append("ℓ2")
    if telling := seen.telling:
        row |= {"stage": telling.place, "stage_use": telling.use}
        checks.append("stages")
    broken = seen.sentence_for(name)
    verdict, reason = rule(
        errors, limits.overflow, limits.kinks[which], suspicion, broken, strict.power
    )
    return {**UNTRIED, **row, "checks": ", ".join(checks), "verdict": verdict, "reason": reason}


UNTRIED: Mapping[str, Any] = {
    "l2_use": float("nan"),
    "stage": "",
    "stage_use": float("nan"),
    "digits_lost": float("nan"),
    "roundoff_bits": float("nan"),
}
"""The columns of the deeper checks where they were not made."""


def measure(errors: TensorErrors, case: Case) -> dict[str, Any]:
    """Everything a row says of a tensor's errors but its verdict."""
    worst = _worst(errors)
    nonzero = errors.exact != 0
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        relative = errors.error[nonzero] / np.abs(errors.exact[nonzero])
        use = np.where(errors.error == 0, 0.0, errors.error / errors.allowed)
    distance = ulp.in_ulps(errors.error, errors.exact, case.format)
    max_relative = float(relative.max()) if nonzero.any() else float("nan")
    median = float(np.median(relative)) if nonzero.any() else float("nan")
    return {
        "entries": errors.got.size,
        "mismatched": int(errors.beyond.sum()),
        "max_abs_error": float(errors.error.max()),
        "max_rel_error": max_relative,
        "max_ulp": float(distance.max()),
        "median_ulp": float(np.median(distance)),
        "effective_bits": ulp.effective_bits(max_relative, case.format),
        "correct_digits": ulp.effective_bits(median, case.format) * float(np.log10(2)),
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
