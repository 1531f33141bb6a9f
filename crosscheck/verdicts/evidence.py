"""What a case is judged by: its enclosure, and the bounds of what engines promise."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from crosscheck.arithmetic import rounding_rules
from crosscheck.arithmetic.promise import Arithmetic, plain
from crosscheck.arithmetic.rounding_rules import Rules
from crosscheck.bounds import float64, orders, reverse
from crosscheck.bounds.fast import batched
from crosscheck.bounds.records import Bound, GradientBounds, Trace
from crosscheck.bounds.statistical import Parts, Sensitivities, standard_deviations
from crosscheck.exact import enclosure, slices
from crosscheck.networks import watched
from crosscheck.networks.network import Array, Case, Enclosure
from crosscheck.programs.network import NetworkPrograms
from crosscheck.verdicts.measures import Ruler


class Evidence:
    """What a case is judged by: its float64 trace, its enclosure, and bounds by arithmetic.

    Each is computed when first needed and kept; the bounds of `expected` arithmetics are made
    together, which is cheaper.
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
    def programs(self) -> NetworkPrograms | None:
        """What the case is judged through where the quick path does not know its architecture."""
        return None if self.case.architecture.quick else NetworkPrograms(self.case)

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
        """B for an engine of this arithmetic; `absolute` as in `orders.for_order`.

        Through programs, it allows each thing in its best way alone, and `absolute` in any way.
        """
        key = (arithmetic, absolute)
        if self.programs and key not in self._bounds:
            self._bounds[key] = self.programs.bound(arithmetic, wide=absolute)
        if key not in self._bounds and not absolute and arithmetic in self.joined:
            self.take(self._limits(self.trace))
        if key not in self._bounds:
            self._bounds[key] = orders.for_order(self.case, self.trace, arithmetic, absolute)
        return self._bounds[key]

    @watched.stage("float64 gradient and B")
    def _limits(self, trace: Trace) -> GradientBounds:
        """B of the arithmetics that are joined, by this evaluation, and the least E."""
        rules, least = self.rules, dict[str, float]()
        of = rules[0] if len(rules) == 1 else rounding_rules.together(tuple(rules))
        bounds = reverse.by_rules(self.case, trace, of, least)
        return GradientBounds(trace.tensors(), bounds, least)

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

    def take(self, limits: GradientBounds) -> None:
        """Keep what a pass with `rules` gave."""
        pairs = zip(self.joined, limits.bounds, strict=True)
        self._bounds |= {(arithmetic, False): bound for arithmetic, bound in pairs}
        self._gradient, self._least = limits.gradient, limits.least

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
            self._enclosure = self._chosen()
        return self._enclosure

    def _chosen(self) -> Enclosure:
        limits = self.bound(self.plain)
        if self.programs:
            return self.programs.enclosure(limits.tensors)
        if self.case.dtype == "float64":
            return enclosure.cheapest(self.case, lambda: self.trace, limits, self._least)
        return enclosure.by_float64(self.case, self._gradient or self.trace.tensors(), limits)

    @cached_property
    def wide_enclosure(self) -> Enclosure | None:
        """An enclosure to prove by that errors are below B: cheaper, and perhaps wide.

        None where there is none. B is made of its evaluation, if it is not there already and
        something is proved of that evaluation.
        """
        if self._enclosure is not None or self.programs or self.case.dtype != "float64":
            return self.enclosure
        evaluated = slices.evaluate(self.case, wide=True)
        if evaluated is None:
            return None
        if self._bounds:
            return slices.enclose_widely(evaluated, self.bound(self.plain), self._least)
        limits = self._limits(evaluated.trace)
        bound = limits.bounds[self.joined.index(self.plain)]
        proof = slices.enclose_widely(evaluated, bound, limits.least)
        if proof is not None:
            self.trace = evaluated.trace
            self.take(limits)
        return proof


@watched.stage("float64 gradient and B")
def prepare(evidence: Sequence[Evidence]) -> None:
    """Make the float64 gradients and contracted bounds of many cases together; see `batched`."""
    groups: dict[tuple[Any, ...], list[Evidence]] = {}
    for one in evidence:
        if one.programs is None and batched.supports(one.case):
            of = one.case.architecture
            key = (one.case.dtype, of.hidden, of.output, of.cost, one.joined)
            groups.setdefault(key, []).append(one)
    for group in groups.values():
        together = batched.evaluate([one.case for one in group], group[0].rules)
        for one, limits in zip(group, together, strict=True):
            if limits:
                one.take(limits)


def _joins(arithmetic: Arithmetic) -> bool:
    """Whether its bound can be made in one pass with others."""
    return arithmetic.order == "contracted" and arithmetic.accumulate is None
