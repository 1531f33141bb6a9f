"""Verdicts: error, enclosure, bound -> CONSISTENT, SUSPECT, DEFECT or INCONCLUSIVE, and why.

Nothing here is tuned. An engine beyond its bound is proved wrong; where no statement can be
made, none is, and the reason is named.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from crosscheck import stagewise, tensor_errors, watched
from crosscheck.arithmetic import Arithmetic
from crosscheck.evaluation import Bound
from crosscheck.evidence import Evidence
from crosscheck.measuring import Measures, Ruler, end_to_end, flat, row_of
from crosscheck.stagewise import ABSOLUTE_ONLY, Check
from crosscheck.tensor_errors import TensorErrors
from crosscheck.values import Array, Enclosure, Gradients


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


@watched.stage("ℓ2 and stagewise")
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

Measured = tuple[Row, bool]
"""The measured columns of a tensor's row, and whether it is proved to lie within the bound."""


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
    allowed = flat([[evidence.bound(arithmetic).tensors] for arithmetic in kinds])
    got = flat([[claim.gradients.tensors()] for claim in claims])
    ruler = evidence.ruler
    measures = ruler.measure(got, allowed[places])
    powers = ruler.powers(allowed)[places]
    tensors = range(len(ruler.shapes))
    return [
        judge_measured(
            evidence,
            claim,
            [measured_row(ruler, measures, powers, place, which) for which in tensors]
            if measures.sound[place, 0]
            else None,
            deep,
        )
        for place, claim in enumerate(claims)
    ]


def decide(
    evidence: Evidence, arithmetic: Arithmetic, gradients: Gradients
) -> list[tuple[str, str]]:
    """The verdict and reason of each tensor: those of `judge`, without what rows measure."""
    enclosure, limits = evidence.wide_enclosure, evidence.bound(arithmetic)
    certain = not limits.overflow and not any(limits.kinks)
    if certain and enclosure and _is_clear(enclosure, limits, gradients):
        return [("CONSISTENT", "")] * len(limits.tensors)
    return [(row["verdict"], row["reason"]) for row in judge(evidence, arithmetic, gradients)]


def _is_clear(of: Enclosure, limits: Bound, gradients: Gradients) -> bool:
    """Whether every entry is proved to lie within B, and B below most entries of each tensor."""
    (error,) = flat([[gradients.tensors()]])
    hi, lo, radius, allowed = map(end_to_end, (of.hi, of.lo, of.radius, limits.tensors))
    with np.errstate(all="ignore"):
        error -= hi
        error -= lo
        np.abs(error, error)
        error += radius
        if not (error <= allowed).all():
            return False
        below = np.abs(hi) > allowed + radius
    # Where the median of B / |g| could exceed 1, it has to be known.
    start = 0
    for tensor in limits.tensors:
        stop = start + tensor.size
        if 2 * np.count_nonzero(below[start:stop]) <= tensor.size:
            return False
        start = stop
    return True


def measured_row(
    ruler: Ruler, measures: Measures, powers: Array, claim: int, which: int
) -> Measured:
    """One tensor's measured columns, and whether it is proved to lie within its bound."""
    row = row_of(ruler, measures, claim, which)
    row["power"] = powers.item(claim, which)
    return row, measures.within.item(claim, which)


def judge_measured(
    evidence: Evidence, claim: Claim, measured: Sequence[Measured] | None, deep: bool
) -> list[Row]:
    """The rows of one claim, from its measures if none of its entries is beyond its bound."""
    seen = stagewise_checks(evidence, claim.arithmetic, claim.stages)
    judgement = Judgement(evidence, claim, evidence.bound(claim.arithmetic), seen, deep)
    names = evidence.case.architecture.tensor_names
    if measured is None:
        return [judgement.of_wrong(which, name) for which, name in enumerate(names)]
    rows = []
    for which, (row, within) in enumerate(measured):
        row["tensor"] = names[which]
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
        row = {"tensor": name, **tensor_errors.measure(errors, self.evidence.case.format)}
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
            sensitivities = self.evidence.sensitivities(self.claim.arithmetic)
            row |= sensitivities.measure(full.error, full.radius, which)
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
