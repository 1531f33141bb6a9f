"""The trial of one equation at one layer of one network, and its verdict.

The right side is evaluated on exact ingredients; B is the bound of that evaluation (`rounded`).
The judge is the oracle, whose left side is enclosed in balls; a rival's left side carries its own
roundings, and gets their bound besides (`paths`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from crosscheck.arithmetic.formats import FloatFormat
from crosscheck.audit.left_sides import EnclosedSide, diagonal
from crosscheck.audit.symbols import Ingredients, Undefined
from crosscheck.bounds.error_array import Computed
from crosscheck.networks.network import Array
from crosscheck.paper.equation import Equation, LeftSide

ORACLE = "oracle"
VERDICTS = ("HOLDS", "FAILS", "UNDEFINED", "UNDECIDED")

CERTAIN = 2.0**-50
"""Covers the roundings of forming |right - left| itself in float64."""


@dataclass(frozen=True)
class Place:
    """Where an equation is tried: at λ = `layer`, shown as `label`, relative to the output."""

    layer: int
    label: str | None


@dataclass(frozen=True)
class Outcome:
    """One judge's verdict on one equation at one place of one case.

    `bound_use` is the largest error over its bound; `worst` names the entry, with both sides.
    """

    verdict: str
    max_abs_error: float = 0.0
    bound_use: float = 0.0
    worst: tuple[tuple[int, ...], float, float] | None = None


def places(subject: LeftSide, layers: int) -> list[Place]:
    """Where the equation is tried in a net of N = `layers`: every λ whose lower index exists."""
    if subject.at == "":
        first = 2 if subject.by else layers
        return [Place(layer, None) for layer in range(first, layers + 1)]
    if subject.at in ("N", "N-1"):
        layer = layers if subject.at == "N" else layers - 1
        return [Place(layer, subject.at)] if layer >= (1 if subject.by == "a" else 2) else []
    shift = 1 if subject.at == "l+1" else 0
    first = 1 if subject.by == "a" else 2
    return [Place(l, _relative(layers - l + shift)) for l in range(first, layers + 1)]


def _relative(below: int) -> str:
    return f"N-{below}" if below else "N"


def left_key(subject: LeftSide, layer: int, layers: int) -> str:
    """The left side's key, as in `exact.left_sides`."""
    upper = {
        "z": f"z{layer}",
        "a": f"a{layer}",
        "sigma": f"s{layer}",
        "next": f"a{layer + 1}",
        "output": f"a{layers}",
        "cost": "cost",
    }[subject.of]
    if not subject.by:
        return upper
    lower = f"a{layer - 1}" if subject.by == "previous" else f"{subject.by}{layer}"
    return f"{upper}/{lower}"


@dataclass(frozen=True)
class RivalSides:
    """A rival's left sides of one case, with the bounds of their roundings."""

    name: str
    left: Mapping[str, Array]
    bounds: Mapping[str, Array]


def tried(
    equation: Equation,
    place: Place,
    ingredients: Ingredients,
    rivals: list[RivalSides],
) -> dict[str, Outcome]:
    """Each judge's outcome; a rival that lacks the left side is left out.

    Raises ValueError where the equation has no subject, or its shape does not fit.
    """
    if equation.subject is None:
        raise ValueError(f"equation {equation.id} does not say what its left side is")
    key = left_key(equation.subject, place.layer, ingredients.layers)
    judges = [ORACLE, *(rival.name for rival in rivals)]
    try:
        right = _evaluated(equation, ingredients, place.layer)
        exact = ingredients.facts[key]
    except (Undefined, KeyError):
        return {name: Outcome("UNDEFINED") for name in judges}
    exact = exact.diagonal if equation.subject.diagonal else exact
    outcomes = {ORACLE: ruled(right, exact, np.zeros(()))}
    for rival in rivals:
        if key in rival.left:
            left = rival.left[key].astype(np.float64)
            extra = np.broadcast_to(rival.bounds[key], left.shape)
            if equation.subject.diagonal:
                left, extra = diagonal(left), diagonal(extra)
            zeros = np.zeros_like(left)
            outcomes[rival.name] = ruled(right, EnclosedSide(left, zeros, zeros), extra)
    return outcomes


def _evaluated(equation: Equation, ingredients: Ingredients, layer: int) -> Computed:
    """The right side with its bound; a plain array is exact."""
    with np.errstate(all="ignore"):
        right = equation.at(ingredients.at(equation, layer))
    of = ingredients.case.format
    return right if isinstance(right, Computed) else Computed.exact(np.asarray(right), of)


def ruled(right: Computed, left: EnclosedSide, extra: Array) -> Outcome:
    """The verdict on right = left, with E of the right side and `extra` for the left one.

    FAILS: at some entry |right - left| exceeds what both may be off by, so they differ.
    UNDECIDED: the median of bound / |value| over the values that are not 0 exceeds 1, so that a
    mistake could hide in half of them; or the left side's radius straddles the bound.
    HOLDS: otherwise.
    """
    shape = np.broadcast_shapes(right.shape, left.hi.shape)
    value = np.broadcast_to(right.value.astype(np.float64), shape)
    hi, lo, radius = (np.broadcast_to(x, shape) for x in (left.hi, left.lo, left.radius))
    # One rounding of the result is allowed even to an expression that has none.
    allowed = np.maximum(right.bound, _one_rounding(value, right.format)) + extra
    with np.errstate(all="ignore"):
        error = np.abs((value - hi) - lo)
    error = np.where(np.isnan(error), np.inf, error)
    fails = error * (1 - CERTAIN) - radius > allowed
    within = error * (1 + CERTAIN) + radius <= allowed
    worst = tuple(int(i) for i in np.unravel_index(int(error.argmax()), shape))
    verdict = "FAILS" if fails.any() else _held(within, allowed, hi)
    use = _use(error, allowed, _one_rounding(hi, right.format))
    return Outcome(verdict, float(error.max()), use, (worst, float(value[worst]), float(hi[worst])))


def _one_rounding(value: Array, of: FloatFormat) -> Array:
    """What rounding a result of this size to the format may change; 0 is never rounded."""
    rounding = of.unit_roundoff * np.abs(value) + of.smallest_subnormal
    return np.where(value == 0, 0.0, rounding)


def _held(within: Array, allowed: Array, exact: Array) -> str:
    """HOLDS or UNDECIDED, where nothing fails."""
    nonzero = exact != 0
    if nonzero.any():
        with np.errstate(over="ignore"):
            blind = float(np.median(allowed[nonzero] / np.abs(exact[nonzero]))) > 1
    else:
        blind = bool(np.any(allowed > 0))
    return "HOLDS" if within.all() and not blind else "UNDECIDED"


def _use(error: Array, allowed: Array, rounding: Array) -> float:
    """Largest error / bound; where the bound is 0, error in roundings of the exact value."""
    divisor = np.where(allowed > 0, allowed, rounding)
    with np.errstate(all="ignore"):
        use = np.where(error == 0, 0.0, error / divisor)
    return float(np.nanmax(use))
