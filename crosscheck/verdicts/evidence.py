"""What a case is judged by: its enclosure, and the bounds of what engines promise."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from crosscheck.arithmetic import rounding_rules
from crosscheck.arithmetic.promise import Arithmetic, plain
from crosscheck.arithmetic.rounding_rules import Rules
from crosscheck.bounds import float64, orders, reverse
from crosscheck.bounds.fast import batched
from crosscheck.bounds.records import Bound, Trace
from crosscheck.bounds.statistical import Parts, Sensitivities, standard_deviations
from crosscheck.exact import double_double, slices
from crosscheck.networks import watched
from crosscheck.networks.network import Array, Case, Enclosure
from crosscheck.verdicts.measures import Ruler

HIGHEST_BITS = 4096
"""Working precision beyond which the oracle gives up doubling."""

RADIUS_SHARE = 2.0**-20
"""The oracle's precision doubles until every radius is at most this share of B."""

LEAST_RADIUS = 2.0**-1070
"""Below this a radius is float64's own underflow, which no working precision mends."""


class Evidence:
    """What a case is judged by: its float64 trace, its enclosure, and bounds by arithmetic.

    Each is computed when first needed and kept; the bounds of `expected` arithmetics are made
    together, which is cheaper. float64 engines are judged by pairs of doubles (`sliced`,
    `double_double`) or the oracle's balls, narrower ones by the float64 trace and the bound on it.
    """

    def __init__(self, case: Case, expected: Iterable[Arithmetic] = ()) -> None:
        self.case = case
        self._expected = tuple(expected)
        self._bounds: dict[tuple[Arithmetic, bool], Bound] = {}
        self._sensitivities: dict[Arithmetic, Sensitivities] = {}
        self._parts: dict[Arithmetic, Parts] = {}
        self._deviations: dict[str | None, list[Array]] = {}
        self._enclosure: Enclosure | None = None
        self._least: Mapping[str, float] = {}
        self._gradient: Sequence[Array] | None = None

    @cached_property
    def ruler(self) -> Ruler:
        """The exact gradient as errors are measured by it."""
        return Ruler([self.enclosure], [self.case.architecture.tensor_shapes], self.case.format)

    @cached_property
    @watched.stage("float64 gradient and B")
    def trace(self) -> Trace:
        return float64.evaluate(self.case)

    @watched.stage("float64 gradient and B")
    def bound(self, arithmetic: Arithmetic, absolute: bool = False) -> Bound:
        """B for an engine of this arithmetic; `absolute` as in `orders.for_order`."""
        key = (arithmetic, absolute)
        if key not in self._bounds and not absolute and arithmetic in self.joined:
            self._bound_joined()
        if key not in self._bounds:
            self._bounds[key] = orders.for_order(self.case, self.trace, arithmetic, absolute)
        return self._bounds[key]

    def _bound_joined(self) -> None:
        """B of the arithmetics that are joined, and what the reference's radius needs."""
        rules, least = self.rules, dict[str, float]()
        of = rules[0] if len(rules) == 1 else rounding_rules.together(tuple(rules))
        found = reverse.by_rules(self.case, self.trace, of, least)
        self.take(found, self.trace.tensors(), least)

    @property
    def plain(self) -> Arithmetic:
        """The arithmetic of the case's dtype, of which nothing else is said."""
        return plain(self.case.dtype)

    @cached_property
    def joined(self) -> tuple[Arithmetic, ...]:
        """The arithmetics whose bounds are made in one pass, if any is asked for."""
        wanted = {self.plain, *filter(_joins, self._expected)}
        return tuple(sorted(wanted, key=lambda arithmetic: arithmetic.flushes))

    @property
    def rules(self) -> list[Rules]:
        """The rules of that pass."""
        return [rounding_rules.rules_of(arithmetic) for arithmetic in self.joined]

    def take(
        self, bounds: Sequence[Bound], gradient: Sequence[Array], least: Mapping[str, float]
    ) -> None:
        """What a pass with `rules` found: the float64 gradient with it, and the least E."""
        self._bounds |= {(of, False): b for of, b in zip(self.joined, bounds, strict=True)}
        self._gradient, self._least = gradient, least

    @watched.stage("ℓ2 and stagewise")
    def sensitivities(self, arithmetic: Arithmetic) -> Sensitivities:
        """The ℓ2 bound and what goes with it."""
        if arithmetic not in self._sensitivities:
            order = self.bound(arithmetic).tensors
            wider = arithmetic.accumulate
            if wider not in self._deviations:
                found = standard_deviations(self.case, self.trace, arithmetic)
                self._deviations[wider] = found
            contracted = replace(arithmetic, order="contracted")
            if contracted not in self._parts:
                self._parts[contracted] = Parts.of(self.case, self.trace, contracted)
            known = self._deviations[wider], self._parts[contracted]
            self._sensitivities[arithmetic] = Sensitivities.of(
                self.case, self.trace, arithmetic, order, *known
            )
        return self._sensitivities[arithmetic]

    @property
    @watched.stage("reference")
    def enclosure(self) -> Enclosure:
        """The exact gradient, by the cheapest reference whose radius suffices."""
        if self._enclosure is None:
            narrower = self.case.dtype != "float64"
            self._enclosure = self._from_float64() if narrower else self._for_float64()
        return self._enclosure

    @cached_property
    def wide_enclosure(self) -> Enclosure | None:
        """An enclosure to prove by that errors are below B: cheaper, and perhaps wide.

        None where there is none. B is made of its evaluation, if it is not there already.
        """
        if self._enclosure is not None or self.case.dtype != "float64":
            return self.enclosure
        found = slices.evaluate(self.case, wide=True)
        if found is None:
            return None
        first = not self._bounds
        if first:
            self.trace = found.trace
        limits = self.bound(self.plain)
        enclosure = slices.enclose(found, limits, self._least, slices.WIDEST_SHARE)
        if first and enclosure is None:
            # Nothing is proved of that evaluation: B is made of another.
            del self.trace
            self._bounds.clear()
        return enclosure

    def _from_float64(self) -> Enclosure:
        """The trace, with the bound at u = 2^-53 as its radius."""
        limits = self.bound(self.plain)
        exact = self._gradient or self.trace.tensors()
        radius = reverse.of_evaluation(self.case, limits)
        nothing = self.case.architecture.split(np.zeros(radius.flat.size))
        return Enclosure(exact, nothing, radius, "float64", 53)

    def _for_float64(self) -> Enclosure:
        """The cheapest whose radius suffices: slices, double-doubles, balls."""
        limits = self.bound(self.plain)
        of_slices = slices.evaluate(self.case)
        found = slices.enclose(of_slices, limits, self._least) if of_slices else None
        if found is not None:
            return found
        found = double_double.enclose(self.case, self.trace)
        narrow = found is not None and _is_narrow(found, limits.tensors)
        return found if found is not None and narrow else self._balls()

    def _balls(self) -> Enclosure:
        """Balls whose radii are small against the least bound, as far as precision goes."""
        from crosscheck.exact import oracle

        allowed = self.bound(self.plain).tensors
        bits = oracle.START_BITS
        enclosure = oracle.enclose(self.case, bits)
        while bits < HIGHEST_BITS and not _is_narrow(enclosure, allowed):
            bits *= 2
            enclosure = oracle.enclose(self.case, bits)
        return enclosure


@watched.stage("float64 gradient and B")
def prepare(evidence: Sequence[Evidence]) -> None:
    """Make the float64 gradients and contracted bounds of many cases together; see `abreast`."""
    groups: dict[tuple[Any, ...], list[Evidence]] = {}
    for one in evidence:
        if batched.supports(one.case):
            of = one.case.architecture
            key = (one.case.dtype, of.hidden, of.output, of.cost, one.joined)
            groups.setdefault(key, []).append(one)
    for group in groups.values():
        together = batched.evaluate([one.case for one in group], group[0].rules)
        for one, found in zip(group, together, strict=True):
            if found:
                one.take(found.bounds, found.gradient, found.least)


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
