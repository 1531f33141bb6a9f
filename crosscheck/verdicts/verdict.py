"""Verdicts: error, enclosure, bound -> CONSISTENT, SUSPECT, DEFECT or INCONCLUSIVE, and why.

Nothing here is tuned. An engine beyond its bound is proved wrong; where no statement can be made,
none is, and the reason is named. All tensors of many cases are measured together; where a bound
says all there is to say, the verdicts are columns, and other claims get their rows one by one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np

from crosscheck.arithmetic.promise import Arithmetic
from crosscheck.bounds import stagewise
from crosscheck.bounds.records import Bound
from crosscheck.bounds.stagewise import ABSOLUTE_ONLY, Stagewise
from crosscheck.networks import watched
from crosscheck.networks.network import Array, Enclosure, Gradients, Tensors
from crosscheck.verdicts.evidence import Evidence
from crosscheck.verdicts.measures import Measures, Ruler, end_to_end, flat

Row = dict[str, Any]


class Claim(NamedTuple):
    """What an engine returned for a case, by which arithmetic, and what it shows of its stages."""

    arithmetic: Arithmetic
    gradients: Gradients
    stages: Mapping[str, Array] | None = None


class Standing(NamedTuple):
    """What is known of a case before it is judged: a claim for each engine, None for no answer.

    `deep` adds the ℓ2 bound and what the formula loses; stages, where they are shown, add the
    stagewise checks.
    """

    evidence: Evidence
    claims: Sequence[Claim | None]
    deep: bool


class Told(NamedTuple):
    """What a tensor's errors tell: entries proved wrong, all proved right, numbers at all."""

    beyond: bool
    within: bool
    finite: bool
    power: float


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


NO_SUSPICION = Suspicion()
POWERLESS = "INCONCLUSIVE", "the bound exceeds the gradient"
ONE_WAY_IS_LOST = (
    "beyond the best formula, and a right one is lost here: exp of a z that is not shifted "
    "overflows, or y/p, log p and a (1 - a) divide by what underflowed"
)
STRADDLING = "INCONCLUSIVE", "the reference's radius straddles the bound"
CONSISTENT = "CONSISTENT", ""


def rule(
    told: Told,
    overflow: str | None,
    kinks: int,
    suspicion: Suspicion = NO_SUSPICION,
    broken: str = "",
) -> tuple[str, str]:
    """The verdict on one tensor, and its reason, in the order that the verdicts are defined.

    `broken` says which stage broke its bound.
    """
    if overflow:
        return "INCONCLUSIVE", f"overflow from {overflow} on"
    if broken:
        return "DEFECT", broken
    if told.beyond:
        return "DEFECT", "beyond the bound" if told.finite else "not a finite number"
    if kinks:
        return "INCONCLUSIVE", f"{kinks} kinks within rounding errors"
    if told.power > 1:
        return POWERLESS
    if not told.within:
        return STRADDLING
    return ("SUSPECT", suspicion.reason) if suspicion.reason else CONSISTENT


class TensorRuling(IntEnum):
    """The verdict on a tensor within its bound, of which nothing else is known."""

    CONSISTENT = 0
    STRADDLING = 1
    POWERLESS = 2

    @property
    def said(self) -> tuple[str, str]:
        """The verdict and its reason."""
        return (CONSISTENT, STRADDLING, POWERLESS)[self]

    @classmethod
    def of(cls, within: Array, powers: Array) -> Array:
        """Those of many tensors."""
        otherwise = np.where(within, cls.CONSISTENT, cls.STRADDLING)
        return np.where(powers > 1, cls.POWERLESS, otherwise)


UNTRIED: Mapping[str, Any] = {
    "l2_use": float("nan"),
    "stage": "",
    "stage_use": float("nan"),
    "digits_lost": float("nan"),
    "roundoff_bits": float("nan"),
}
"""The columns of the deeper checks where they were not made."""


class JudgedCases(NamedTuple):
    """What came of C cases with T tensors and P entries, from those E engines that answered.

    `engines` are their places in the standings. `cleared` (E, C) says for which claims the
    columns hold: `measures`, `powers` and `rulings`, both (E, T). `others` has the rows of all
    other claims, by place in `engines` and case. `got` (E, P) are the gradients, and `answered`
    (E, C) whether there is one. `relative_radii` (C,) are the reference's, as shares of B.
    """

    engines: list[int]
    ruler: Ruler
    measures: Measures
    powers: Array
    rulings: Array
    cleared: Array
    others: dict[tuple[int, int], list[Row]]
    got: Array
    answered: Array
    relative_radii: Array

    def rows(self, place: int, case: int, names: Sequence[str]) -> list[Row]:
        """The rows of one claim, tensor by tensor."""
        if (place, case) in self.others:
            return self.others[place, case]
        first = self.ruler.first[case]
        return [self._cleared_row(place, first + n, name) for n, name in enumerate(names)]

    def _cleared_row(self, place: int, which: int, name: str) -> Row:
        verdict, reason = TensorRuling(self.rulings.item(place, which)).said
        return {
            **self.measures.row(self.ruler, place, which),
            **UNTRIED,
            "tensor": name,
            "power": self.powers.item(place, which),
            "checks": "B",
            "verdict": verdict,
            "reason": reason,
        }


@watched.stage("judging")
def judge_together(standings: Sequence[Standing]) -> JudgedCases:
    """Judge cases of one dtype; each engine promises the same arithmetic in all of them."""
    ruler = _ruler([standing.evidence for standing in standings])
    by_engine = list(zip(*(standing.claims for standing in standings), strict=True))
    engines = [place for place, claims in enumerate(by_engine) if any(claims)]
    claims = [by_engine[place] for place in engines]
    promised = [next(claim.arithmetic for claim in of_one if claim) for of_one in claims]
    kinds = list(dict.fromkeys(promised))
    places = [kinds.index(arithmetic) for arithmetic in promised]
    got = _end_to_end([_gradients(standings, of_one) for of_one in claims], ruler)
    allowed = _end_to_end([_allowed(standings, kind) for kind in kinds], ruler)
    measures = ruler.measure(got, allowed[places])
    powers = ruler.powers(allowed)[places]
    answered, plain = (_of_claims(standings, claims, what) for what in (_is_there, _is_plain))
    judged = JudgedCases(
        engines,
        ruler,
        measures,
        powers,
        TensorRuling.of(measures.within, powers),
        plain & measures.sound,
        {},
        got,
        answered,
        ruler.relative_radii(flat([_allowed(standings, None)])[0]),
    )
    for place, case in zip(*np.nonzero(answered & ~judged.cleared), strict=True):
        claim = claims[place][case]
        assert claim is not None
        judged.others[place, case] = _one_by_one(judged, standings[case], claim, place, case)
    return judged


def _ruler(evidence: Sequence[Evidence]) -> Ruler:
    if len(evidence) == 1:
        return evidence[0].ruler
    return Ruler(
        [one.enclosure for one in evidence],
        [one.case.architecture.tensor_shapes for one in evidence],
        evidence[0].case.format,
    )


def _end_to_end(rows: Sequence[Sequence[Sequence[Array]]], ruler: Ruler) -> Array:
    return flat(rows) if rows else np.empty((0, len(ruler.hi)))


def _gradients(
    standings: Sequence[Standing], claims: Sequence[Claim | None]
) -> list[Sequence[Array]]:
    """An engine's tensors in all cases; where it has no answer, exact ones stand in."""
    return [
        claim.gradients.tensors() if claim else standing.evidence.enclosure.hi
        for standing, claim in zip(standings, claims, strict=True)
    ]


def _allowed(standings: Sequence[Standing], kind: Arithmetic | None) -> list[Tensors]:
    """B of this arithmetic in all cases; of the plain one, where none of the engines wants it."""
    bounds = []
    for evidence, claims, _ in standings:
        wanted = any(claim and claim.arithmetic == kind for claim in claims)
        bounds.append(evidence.bound(kind if kind and wanted else evidence.plain).tensors)
    return bounds


def _of_claims(
    standings: Sequence[Standing], claims: Sequence[Sequence[Claim | None]], what: Any
) -> Array:
    """(E, C): what holds of each claim."""
    told = [[what(*pair) for pair in zip(standings, of_one, strict=True)] for of_one in claims]
    return np.array(told, bool).reshape(len(claims), len(standings))


def _is_there(standing: Standing, claim: Claim | None) -> bool:
    return claim is not None


def _is_plain(standing: Standing, claim: Claim | None) -> bool:
    """Whether the bound says all there is to say of a claim, if it lies within."""
    if claim is None or (standing.evidence.programs is None and (standing.deep or claim.stages)):
        return False
    limits = standing.evidence.bound(claim.arithmetic)
    return not limits.overflow and not any(limits.kinks)


def _one_by_one(
    judged: JudgedCases, standing: Standing, claim: Claim, place: int, case: int
) -> list[Row]:
    """The rows of one claim, tensor by tensor."""
    evidence, first = standing.evidence, judged.ruler.first[case]
    limits = evidence.bound(claim.arithmetic)
    seen, quick = Stagewise(), evidence.programs is None
    if claim.stages and quick and not limits.overflow:
        seen = stagewise_checks(evidence, claim)
    judgement = Judgement(evidence, claim, limits, seen, standing.deep and quick)
    rows = []
    for which, name in enumerate(evidence.case.architecture.tensor_names):
        row = judged.measures.row(judged.ruler, place, first + which)
        row |= {**UNTRIED, "tensor": name, "power": judged.powers.item(place, first + which)}
        within = judged.measures.within.item(place, first + which)
        rows.append(judgement.ruled(row, which, within))
    return rows


@watched.stage("ℓ2 and stagewise")
def stagewise_checks(evidence: Evidence, claim: Claim) -> Stagewise:
    """The checks of what an engine shows."""
    shown = claim.stages or {}
    return Stagewise(tuple(stagewise.checks(evidence.case, shown, claim.arithmetic)))


class Judgement(NamedTuple):
    """What all tensors of a claim are judged by."""

    evidence: Evidence
    claim: Claim
    limits: Bound
    seen: Stagewise
    deep: bool

    def ruled(self, row: Row, which: int, within: bool) -> Row:
        """A measured row with the deeper checks, where they are made, and the verdict."""
        if self.evidence.programs:
            return self._ruled_by_programs(row, which, within)
        absolute_only = self.seen.absolute_only
        if row["mismatched"] and not self.limits.overflow and not self.seen.activations_seen:
            row, within, absolute_only = self._by_absolute_bound(row, which)
        l2_use, checks, broken = float("nan"), "B", ""
        if self.deep:
            row |= self._sensitivity(which)
            l2_use = row["l2_use"]
            checks += ", ℓ2"
        if telling := self.seen.telling:
            row |= {"stage": telling.place, "stage_use": telling.use}
            broken = self.seen.sentence_for(row["tensor"])
            checks += ", stages"
        finite = bool(np.isfinite(self.claim.gradients.tensors()[which].astype(np.float64)).all())
        told = Told(row["mismatched"] > 0, within, finite, row["power"])
        suspicion = Suspicion(l2_use, absolute_only)
        verdict = rule(told, self.limits.overflow, self.limits.kinks[which], suspicion, broken)
        return row | {"checks": checks, "verdict": verdict[0], "reason": verdict[1]}

    def _ruled_by_programs(self, row: Row, which: int, within: bool) -> Row:
        """Within the bound of the best way, or else by that of all ways that are right."""
        limits = self.limits
        if row["mismatched"] or limits.overflow or not within:
            limits = self.evidence.bound(self.claim.arithmetic, absolute=True)
            row, within, _ = self._by_absolute_bound(row, which)
            allowed = flat([[limits.tensors]])
            row["power"] = float(self.evidence.ruler.powers(allowed)[0, which])
        got = self.claim.gradients.tensors()[which].astype(np.float64)
        told = Told(row["mismatched"] > 0, within, bool(np.isfinite(got).all()), row["power"])
        verdict, reason = rule(told, limits.overflow, limits.kinks[which])
        if limits.overflow and not self.limits.overflow:
            reason = ONE_WAY_IS_LOST
        return row | {"checks": "B", "verdict": verdict, "reason": reason}

    def _by_absolute_bound(self, row: Row, which: int) -> tuple[Row, bool, bool]:
        """The row by the bound of activations that are right absolutely only, with its power."""
        lax = self.evidence.bound(self.claim.arithmetic, absolute=True)
        ruler = self.evidence.ruler
        measures = ruler.measure(flat([[self.claim.gradients.tensors()]]), flat([[lax.tensors]]))
        return row | measures.row(ruler, 0, which), measures.within.item(0, which), True

    def _sensitivity(self, which: int) -> dict[str, float]:
        ruler, shape = self.evidence.ruler, self.limits.tensors[which].shape
        error = ruler.error(flat([[self.claim.gradients.tensors()]]))[0]
        error, radius = (ruler.part(x, which).reshape(shape) for x in (error, ruler.radius))
        return self.evidence.sensitivities(self.claim.arithmetic).measure(error, radius, which)


def judge(
    evidence: Evidence,
    arithmetic: Arithmetic,
    gradients: Gradients,
    deep: bool = False,
    stages: Mapping[str, Array] | None = None,
) -> list[Row]:
    """A row per tensor of one engine's gradient: the case's columns are the caller's to add."""
    return judge_all(evidence, [Claim(arithmetic, gradients, stages)], deep)[0]


def judge_all(evidence: Evidence, claims: Sequence[Claim], deep: bool = False) -> list[list[Row]]:
    """The same for each of these claims."""
    judged = judge_together([Standing(evidence, claims, deep)])
    names = evidence.case.architecture.tensor_names
    return [judged.rows(place, 0, names) for place in range(len(claims))]


def decide(
    evidence: Evidence, arithmetic: Arithmetic, gradients: Gradients
) -> list[tuple[str, str]]:
    """The verdict and reason of each tensor: those of `judge`, without what rows measure."""
    enclosure, limits = evidence.wide_enclosure, evidence.bound(arithmetic)
    certain = not limits.overflow and not any(limits.kinks)
    if certain and enclosure and _is_clear(enclosure, limits, gradients):
        return [CONSISTENT] * len(limits.tensors)
    return [(row["verdict"], row["reason"]) for row in judge(evidence, arithmetic, gradients)]


def _is_clear(exact: Enclosure, limits: Bound, gradients: Gradients) -> bool:
    """Whether every entry is proved to lie within B, and B below most entries of each tensor."""
    (error,) = flat([[gradients.tensors()]])
    hi, lo, radius, allowed = map(end_to_end, (exact.hi, exact.lo, exact.radius, limits.tensors))
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
