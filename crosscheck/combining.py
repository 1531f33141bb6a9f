"""Entries added up so that shared roundings cancel: a certificate that no roundings explain them.

Whatever the weights λ, errors that are Σ_k c_ek ε_k + ρ_e with |ε_k| <= 1 and |ρ_e| <= local_e
have |Σ_e λ_e err_e| <= Σ_k |Σ_e λ_e c_ek| + Σ_e |λ_e| local_e (the easy half of Farkas' lemma).
Where a λ breaks this, there are no such ε and ρ. How λ was found does not matter: it is put into
the inequality, evaluated in float64 with room for every rounding of that.

The best λ is the solution of a linear program. We come near it by reweighted least squares
(Lawson's idea, for the sum of magnitudes): each round minimizes Σ_k (c_k λ)² / |c_k λ'| +
Σ_e local_e λ_e² / |λ'_e| for the last λ', with Σ_e λ_e err_e = 1.
"""

from typing import NamedTuple

import numpy as np

from crosscheck.deviations import UNIT, VANISHING
from crosscheck.values import Array

ROUNDS = 40
"""Reweightings at most."""

GAIN = 1.002
"""A round must gain this much, or the search ends: it is then within a few per cent."""

LEAST = 1e-9
"""Magnitudes below this share of the largest are weighted as if they were that."""


class System(NamedTuple):
    """Errors (P,) in terms of K symbols: what is claimed of correct roundings.

    `coefficients` (P, K), `local` (P,); `magnitudes` (P,) at least Σ_k |c_ek| each; `room` (P,)
    what the errors may be wrong by.
    """

    errors: Array
    coefficients: Array
    local: Array
    magnitudes: Array
    room: Array


def use(weights: Array, system: System) -> float:
    """|Σ_e λ_e err_e|, less what may be wrong with it, over what roundings can make it.

    Above 1 no roundings explain the errors. Sums of P products in float64 are off by
    P 2^-53 Σ |products| at most, and by what underflows; that is taken from one side and given to
    the other. NaN, which proves nothing, where λ is no number.
    """
    size = np.abs(weights)
    if not np.isfinite(size).all():
        return float("nan")
    unit = (len(weights) + 8) * UNIT * (1 + 1e-9)
    total = abs(float(weights @ system.errors)) - unit * float(size @ np.abs(system.errors))
    shared = float(np.abs(weights @ system.coefficients).sum())
    most = shared * (1 + 1e-9) + float(size @ (system.local + system.room)) * (1 + 1e-9)
    most += unit * float(size @ system.magnitudes) * (1 + 1e-9)
    return total / (most + VANISHING)


def best(system: System, rounds: int = ROUNDS) -> float:
    """The largest use that reweighting finds; it ends where one is above 1, or gains little."""
    # In units of each entry's own allowance, all numbers are of one size.
    scale = system.magnitudes + system.local + system.room
    found = 0.0
    with np.errstate(all="ignore"):
        errors, matrix = system.errors / scale, system.coefficients / scale[:, None]
        local = (system.local + system.room) / scale
        shared, size = np.sqrt(np.square(matrix).sum(0)), np.ones_like(errors)
        for _ in range(rounds):
            weights = _reweighted(shared, size, errors, matrix, local)
            shared, size = np.abs(weights @ matrix), np.abs(weights)
            reached = use(weights / scale, system)
            if not GAIN * found < reached <= 1:
                return max(found, reached) if np.isfinite(reached) else found
            found = reached
    return found


def _reweighted(shared: Array, size: Array, errors: Array, matrix: Array, local: Array) -> Array:
    """λ of the next round, its largest entry 1 in magnitude: `shared` |c_k λ'|, `size` |λ'|."""
    normal = (matrix / _floored(shared)) @ matrix.T
    normal[np.diag_indices_from(normal)] += local / _floored(size)
    try:
        found: Array = np.linalg.solve(normal, errors)
    except np.linalg.LinAlgError:
        return np.full_like(errors, np.nan)
    return found / np.abs(found).max()


def _floored(magnitudes: Array) -> Array:
    """None of them far below the largest, nor 0."""
    largest = magnitudes.max(initial=0.0)
    floored: Array = np.maximum(magnitudes, LEAST * largest if largest > 0 else 1.0)
    return floored
