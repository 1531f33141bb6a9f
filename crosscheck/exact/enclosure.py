"""The reference of a case: the cheapest enclosure of its exact gradient whose radius suffices.

float64 is judged by slices, double-doubles or balls, in this order; what is narrower by the
evaluation in float64 and the bound on it. Nothing is kept here.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from crosscheck.bounds import reverse
from crosscheck.bounds.records import Bound, Trace
from crosscheck.exact import double_double, slices
from crosscheck.networks.network import Array, Case, Enclosure

HIGHEST_BITS = 4096
"""Working precision beyond which the oracle gives up doubling."""

RADIUS_SHARE = 2.0**-20
"""The oracle's precision doubles until every radius is at most this share of B."""

LEAST_RADIUS = 2.0**-1070
"""Below this a radius is float64's own underflow, which no working precision mends."""


def by_float64(case: Case, gradient: Sequence[Array], limits: Bound) -> Enclosure:
    """For a narrower format: its float64 evaluation, with the bound at u = 2^-53 as its radius.

    `limits` is the contracted B of the case's format.
    """
    radius = reverse.of_evaluation(case, limits)
    nothing = case.architecture.split(np.zeros(radius.flat.size))
    return Enclosure(gradient, nothing, radius, "float64", 53)


def cheapest(
    case: Case, trace: Callable[[], Trace], limits: Bound, least: Mapping[str, float]
) -> Enclosure:
    """For float64: the first of slices, double-doubles and balls whose radius suffices.

    `limits` and `least` are as in `slices.enclose`; `trace` evaluates in float64, if need be.
    """
    evaluated = slices.evaluate(case)
    enclosure = slices.enclose(evaluated, limits, least) if evaluated else None
    if enclosure is not None:
        return enclosure
    enclosure = double_double.enclose(case, trace())
    narrow = enclosure is not None and is_narrow(enclosure, limits.tensors)
    return enclosure if enclosure is not None and narrow else balls(case, limits.tensors)


def balls(case: Case, allowed: Sequence[Array]) -> Enclosure:
    """Balls whose radii are small against the least bound, as far as precision goes."""
    from crosscheck.exact import oracle

    bits = oracle.START_BITS
    enclosure = oracle.enclose(case, bits)
    while bits < HIGHEST_BITS and not is_narrow(enclosure, allowed):
        bits *= 2
        enclosure = oracle.enclose(case, bits)
    return enclosure


def is_narrow(enclosure: Enclosure, allowed: Sequence[Array]) -> bool:
    """Whether every radius is at most 2^-20 of what the bound allows."""
    return all(
        bool(np.all(radius <= RADIUS_SHARE * most + LEAST_RADIUS))
        for radius, most in zip(enclosure.radius, allowed, strict=True)
    )


def first_disagreement(one: Enclosure, other: Enclosure) -> int | None:
    """The first tensor on which two enclosures of one gradient have an entry apart, if any."""
    parts = zip(one.hi, one.lo, one.radius, other.hi, other.lo, other.radius, strict=True)
    for which, (h, l, r, g, k, s) in enumerate(parts):
        # Two differences of doubles a few roundings apart; the slack covers their own rounding.
        room = (r + s) * (1 + 2.0**-40) + 2.0**-104 * np.abs(h) + LEAST_RADIUS
        if np.any(np.abs((h - g) + (l - k)) > room):
            return which
    return None
