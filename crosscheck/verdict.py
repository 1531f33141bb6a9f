"""Verdicts: error, enclosure, bound -> CONSISTENT, SUSPECT, DEFECT or INCONCLUSIVE, and why.

Nothing here is tuned. An engine beyond its bound is proved wrong; where no statement can be
made, none is, and the reason is named.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from crosscheck import (
    abreast,
    bound,
    double_double,
    orders,
    reference,
    rounding_rules,
    stagewise,
    tensor_errors,
)
from crosscheck.arithmetic import Arithmetic
from crosscheck.evaluation import Bound, Trace
from crosscheck.measuring import Measured, Ruler, flat
from crosscheck.rounding_rules import Rules
from crosscheck.sensitivities import Sensitivities, standard_deviations
from crosscheck.stagewise import ABSOLUTE_ONLY, Check
from crosscheck.tensor_errors import TensorErrors as TensorErrors
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
        self._expected = tuple(expected)
        self._bounds: dict[tuple[Arithmetic, bool], Bound] = {}
        self._sensitivities: dict[Arithmetic, Sensitivities] = {}
        self._deviations: dict[str | None, list[Array]] = {}
        self._enclosure: Enclosure | None = None
        self._radius: Bound | None = None
        self._gradient: Sequence[Array] | None = None

    @cached_property
    def ruler(self) -> Ruler:
        """The exact gradient as errors are measured by it."""
        return Ruler(self.enclosure, self.case.architecture.tensor_shapes, self.case.format)

    def allowed(self, arithmetic: Arithmetic) -> Array:
        """B of an arithmetic, all tensors end to end."""
        return flat([self.bound(arithmetic).tensors])[0]

    @cached_property
    def trace(self) -> Trace:
        return reference.evaluate(self.case)

    def bound(self, arithmetic: Arithmetic, absolute: bool = False) -> Bound:
        """B for an engine of this arithmetic; `absolute` as in `orders.for_order`."""
        key = (arithmetic, absolute)
        if key not in self._bounds and not absolute and arithmetic in self.joined:
            together = rounding_rules.Together(self.rules)
            self.take(bound.by_rules(self.case, self.trace, together), self.trace.tensors())
        if key not in self._bounds:
            self._bounds[key] = orders.for_order(self.case, self.trace, arithmetic, absolute)
        return self._bounds[key]

    @property
    def _plain(self) -> Arithmetic:
        return Arithmetic(self.case.dtype)

    @property
    def joined(self) -> tuple[Arithmetic, ...]:
        """The arithmetics whose bounds are made in one pass, if any is asked for."""
        wanted = {self._plain, *filter(_joins, self._expected)}
        return tuple(sorted(wanted, key=lambda arithmetic: arithmetic.flushes))

    @property
    def rules(self) -> list[Rules]:
        """The rules of that pass: those of the reference's radius last, if it needs its own."""
        rules = [rounding_rules.rules_of(arithmetic) for arithmetic in self.joined]
        return [*rules, double_double.RULES] if double_double.supports(self.case) else rules

    def take(self, bounds: Sequence[Bound], gradient: Sequence[Array] | None = None) -> None:
        """What a pass with `rules` found, and the float64 gradient with it."""
        self._bounds |= {(of, False): b for of, b in zip(self.joined, bounds, strict=False)}
        self._radius = bounds[-1] if len(bounds) > len(self.joined) else None
        self._gradient = gradient

    def sensitivities(self, arithmetic: Arithmetic) -> Sensitivities:
        """The ℓ2 bound and what goes with it."""
        if arithmetic not in self._sensitivities:
            order = self.bound(arithmetic).tensors
            wider = arithmetic.accumulate
            if wider not in self._deviations:
                found = standard_deviations(self.case, self.trace, arithmetic)
                self._deviations[wider] = found
            self._sensitivities[arithmetic] = Sensitivities.of(
                self.case, self.trace, arithmetic, order, self._deviations[wider]
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
        with np.errstate(divide="ignore", invalid="ignore"):
            shares = self.ruler.radius / self.allowed(self._plain)
        return float(np.fmax.reduce(shares, initial=0.0))

    def _from_float64(self) -> Enclosure:
        """The trace, with the bound at u = 2^-53 as its radius."""
        limits = self.bound(self._plain)
        exact = self._gradient or self.trace.tensors()
        radius = bound.of_evaluation(self.case, limits)
        return Enclosure(exact, [np.zeros_like(x) for x in exact], radius, "float64", 53)

    def _for_float64(self) -> Enclosure:
        """Double-double where its radius suffices, else balls."""
        allowed = self.bound(self._plain).tensors
        found = double_double.enclose(self.case, self._radius)
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


def prepare(evidence: Sequence[Evidence]) -> None:
    """Make the float64 gradients and contracted bounds of many cases together; see `abreast`."""
    groups: dict[tuple[Any, ...], list[Evidence]] = {}
    for one in evidence:
        if abreast.supports(one.case):
            of = one.case.architecture
            key = (one.case.dtype, of.hidden, of.output, one.joined)
            groups.setdefault(key, []).append(one)
    for group in groups.values():
        together = abreast.evaluate([one.case for one in group], group[0].rules)
        for one, found in zip(group, together, strict=True):
            if found:
                one.take(found.bounds, found.gradient)


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


class Cleared(NamedTuple):
    """Errors none of which is beyond its bound, as far as a verdict needs them."""

    within: bool
    got: Array = np.zeros(1)
    any_beyond: bool = False
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


NO_SUSPICION, ABSOLUTELY = Suspicion(), Suspicion(absolute_only=True)


def rule(
    errors: TensorErrors | Cleared,
    overflow: str | None,
    kinks: int,
    suspicion: Suspicion = NO_SUSPICION,
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
    if errors.any_beyond:
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


class Claim(NamedTuple):
    """What an engine returned for a case, by which arithmetic, and what it shows of its stages."""

    arithmetic: Arithmetic
    gradients: Gradients
    stages: Mapping[str, Array] | None = None


Row = dict[str, Any]


def judge(
    evidence: Evidence,
    arithmetic: Arithmetic,
    gradients: Gradients,
    deep: bool = False,
    stages: Mapping[str, Array] | None = None,
) -> list[Row]:
    """A row per tensor of one engine's gradient; see `judge_all`."""
    return judge_all(evidence, [Claim(arithmetic, gradients, stages)], deep)[0]


def judge_all(evidence: Evidence, claims: Sequence[Claim], deep: bool = False) -> list[list[Row]]:
    """For each claim a row per tensor: the case's columns are the caller's to add.

    `deep` adds the ℓ2 bound and what the formula loses; stages, where they are shown, the
    stagewise checks.
    """
    if not claims:
        return []
    kinds = list(dict.fromkeys(claim.arithmetic for claim in claims))
    places = [kinds.index(claim.arithmetic) for claim in claims]
    allowed = flat([evidence.bound(arithmetic).tensors for arithmetic in kinds])
    got = flat([claim.gradients.tensors() for claim in claims])
    measured = evidence.ruler.measure(got, allowed[places])
    powers = evidence.ruler.powers(allowed)
    return [
        _judge_one(evidence, claim, rows, powers[place], deep)
        for claim, place, rows in zip(claims, places, measured, strict=True)
    ]


def _judge_one(
    evidence: Evidence,
    claim: Claim,
    measured: list[Measured] | None,
    powers: Sequence[float],
    deep: bool,
) -> list[Row]:
    """The rows of one claim, from its measures if none of its entries is beyond its bound."""
    seen = stagewise_checks(evidence, claim.arithmetic, claim.stages)
    judgement = Judgement(evidence, claim, evidence.bound(claim.arithmetic), seen, deep)
    names = evidence.case.architecture.tensor_names
    if measured is None:
        return [judgement.of_wrong(which, name) for which, name in enumerate(names)]
    rows = []
    for which, (row, within) in enumerate(measured):
        row["tensor"], row["power"] = names[which], powers[which]
        rows.append(judgement.of_cleared(which, row, within))
    return rows


class Judgement(NamedTuple):
    """What all tensors of a claim are judged by."""

    evidence: Evidence
    claim: Claim
    limits: Bound
    seen: Stagewise
    deep: bool

    def of_cleared(self, which: int, row: Row, within: bool) -> Row:
        """The row of a tensor of which no entry is beyond its bound."""
        return self._ruled(row, which, Cleared(within), self.seen.absolute_only, row["power"])

    def of_wrong(self, which: int, name: str) -> Row:
        """The row of a tensor in a gradient that has an entry beyond its bound somewhere."""
        strict = errors = self._errors(which)
        if strict.any_beyond and not self.limits.overflow and not self.seen.activations_seen:
            lax = self.evidence.bound(self.claim.arithmetic, absolute=True).tensors[which]
            errors = replace(strict, allowed=lax)
        row = {"tensor": name, **tensor_errors.measure(errors, self.evidence.case)}
        row["power"] = strict.power
        absolute_only = self.seen.absolute_only or errors is not strict
        return self._ruled(row, which, errors, absolute_only, strict.power)

    def _errors(self, which: int) -> TensorErrors:
        got = self.claim.gradients.tensors()[which]
        allowed = self.limits.tensors[which]
        return TensorErrors.of(got, self.evidence.enclosure, which, allowed)

    def _ruled(
        self,
        row: Row,
        which: int,
        errors: TensorErrors | Cleared,
        absolute_only: bool,
        power: float,
    ) -> Row:
        """The row with the deeper checks, where they are made, and the verdict."""
        row |= UNTRIED
        suspicion = ABSOLUTELY if absolute_only else NO_SUSPICION
        checks, broken = "B", ""
        if self.deep:
            full = self._errors(which) if isinstance(errors, Cleared) else errors
            row |= self.evidence.sensitivities(self.claim.arithmetic).measure(full, which)
            suspicion = replace(suspicion, l2_use=row["l2_use"])
            checks += ", ℓ2"
        if telling := self.seen.telling:
            row |= {"stage": telling.place, "stage_use": telling.use}
            broken = self.seen.sentence_for(row["tensor"])
            checks += ", stages"
        limits = self.limits
        verdict = rule(errors, limits.overflow, limits.kinks[which], suspicion, broken, power)
        row["checks"] = checks
        row["verdict"], row["reason"] = verdict
        return row


UNTRIED: Mapping[str, Any] = {
    "l2_use": float("nan"),
    "stage": "",
    "stage_use": float("nan"),
    "digits_lost": float("nan"),
    "roundoff_bits": float("nan"),
}
"""The columns of the deeper checks where they were not made."""
