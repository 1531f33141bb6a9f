"""Many cases judged together: verdicts as columns where a bound says all there is to say.

The rules are those of `verdict`, applied to all tensors at once. A claim that needs more than its
bound (an entry beyond it, stages, the checks that cost most) gets its rows one by one there.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from crosscheck import watched
from crosscheck.arithmetic import Arithmetic
from crosscheck.evidence import Evidence
from crosscheck.measuring import Measures, Ruler, flat
from crosscheck.values import Array, Tensors
from crosscheck.verdict import Claim, Cleared, Row, judge_measured, measured_row, rule

RULINGS = [
    rule(Cleared(bool(within)), None, 0, power=2.0 if powerless else 0.0)
    for powerless in (False, True)
    for within in (False, True)
]
"""The verdict and reason of a tensor within its bound, by whether that exceeds the gradient, and
whether all its entries are proved to lie within; see `Judged.ruling`."""


class Standing(NamedTuple):
    """What is known of a case before it is judged: a claim for each engine, None for no answer."""

    evidence: Evidence
    claims: Sequence[Claim | None]
    deep: bool


class Judged(NamedTuple):
    """What came of C cases with T tensors and P entries, from those E engines that answered.

    `engines` are their places in the standings. `cleared` (E, C) says for which claims the
    columns hold: `measures`, `powers` and the places in RULINGS, `ruling`, both (E, T). `others`
    has the rows of all other claims, by place in `engines` and case. `got` (E, P) are the
    gradients, and `answered` (E, C) whether there is one.
    """

    engines: list[int]
    ruler: Ruler
    measures: Measures
    powers: Array
    ruling: Array
    cleared: Array
    others: dict[tuple[int, int], list[Row]]
    got: Array
    answered: Array
    relative_radii: Array


@watched.stage("judging")
def judge_together(standings: Sequence[Standing]) -> Judged:
    """Judge cases of one dtype; each engine promises the same arithmetic in all of them."""
    evidence = [standing.evidence for standing in standings]
    ruler = Ruler(
        [one.enclosure for one in evidence],
        [one.case.architecture.tensor_shapes for one in evidence],
        evidence[0].case.format,
    )
    by_engine = list(zip(*(standing.claims for standing in standings), strict=True))
    engines = [place for place, claims in enumerate(by_engine) if any(claims)]
    claims = [by_engine[place] for place in engines]
    promised = [next(claim.arithmetic for claim in of if claim) for of in claims]
    kinds = list(dict.fromkeys(promised))
    places = [kinds.index(arithmetic) for arithmetic in promised]
    got = _end_to_end([_gradients(evidence, of) for of in claims], ruler)
    allowed = _end_to_end([_allowed(standings, kind) for kind in kinds], ruler)
    measures = ruler.measure(got, allowed[places])
    powers = ruler.powers(allowed)[places]
    of_claims = (len(claims), len(standings))
    answered = np.array([bool(claim) for of in claims for claim in of], bool).reshape(of_claims)
    plain = np.array(
        [_is_plain(*pair) for of in claims for pair in zip(standings, of, strict=True)], bool
    ).reshape(of_claims)
    cleared = plain & measures.sound
    found = Judged(
        engines,
        ruler,
        measures,
        powers,
        2 * (powers > 1) + measures.within,
        cleared,
        {},
        got,
        answered,
        ruler.relative_radii(flat([_allowed(standings, None)])[0]),
    )
    for place, of in zip(*np.nonzero(answered & ~cleared), strict=True):
        found.others[place, of] = _one_by_one(found, standings[of], int(place), int(of))
    return found


def _end_to_end(rows: Sequence[Sequence[Sequence[Array]]], ruler: Ruler) -> Array:
    return flat(rows) if rows else np.empty((0, len(ruler.hi)))


def _gradients(
    evidence: Sequence[Evidence], claims: Sequence[Claim | None]
) -> list[Sequence[Array]]:
    """An engine's tensors in all cases; where it has no answer, exact ones stand in."""
    return [
        claim.gradients.tensors() if claim else one.enclosure.hi
        for one, claim in zip(evidence, claims, strict=True)
    ]


def _allowed(standings: Sequence[Standing], kind: Arithmetic | None) -> list[Tensors]:
    """B of this arithmetic in all cases; of the plain one, where none of the engines wants it."""
    bounds = []
    for evidence, claims, _ in standings:
        wanted = any(claim and claim.arithmetic == kind for claim in claims)
        bounds.append(evidence.bound(kind if kind and wanted else evidence.plain).tensors)
    return bounds


def _is_plain(standing: Standing, claim: Claim | None) -> bool:
    """Whether the bound says all there is to say of a claim, if it lies within."""
    if claim is None or standing.deep or claim.stages:
        return False
    limits = standing.evidence.bound(claim.arithmetic)
    return not limits.overflow and not any(limits.kinks)


def _one_by_one(found: Judged, standing: Standing, place: int, of: int) -> list[Row]:
    """The rows of one claim, tensor by tensor."""
    claim = standing.claims[found.engines[place]]
    assert claim is not None
    measured = None
    if found.measures.sound[place, of]:
        first = found.ruler.first[of]
        measured = [
            measured_row(found.ruler, found.measures, found.powers, place, which)
            for which in range(first, first + found.ruler.counts[of])
        ]
    return judge_measured(standing.evidence, claim, measured, standing.deep)
