"""Which known mistake explains an engine's errors: its gradient, put to the bound of the mistake.

Each entry of the catalogue predicts a wrong gradient with a bound of its evaluation, by the same
rules as the right one's. An entry explains a case if every number that the engine returned lies
within that bound. Nothing is named that does not explain most of the failing cases, and cases
that pass must be explained as well: there the mistake must not show.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from crosscheck.arithmetic import Arithmetic
from crosscheck.engines.interface import Engine
from crosscheck.faults import scale
from crosscheck.faults.bounded import narrowed
from crosscheck.faults.catalogue import CATALOGUE
from crosscheck.faults.interface import Fault, Parameters, Setting, Tensors
from crosscheck.values import Array, Case

SCREENED = 8
"""Failing cases, small and of many kinds, on which every entry of the catalogue is tried."""

LEAST_SHARE = 0.5
"""A mistake is named only if it explains at least this share of the failing cases."""

LEAST_USE = 2.0**-16
"""A coarser arithmetic whose wider bounds are used less than this is no explanation."""

LOOSER_BITS = 3.0
"""Of two entries that explain the same, the one whose bound is this many bits looser is dropped."""


@dataclass(frozen=True)
class Diagnosis:
    """The mistake that an engine's errors look like.

    `fault` is an id of the catalogue, `parameters` its layer, factor and so on, and "scale" a
    second mistake of scale; `share` of `total` conclusive cases are explained. `also` are other
    entries that are the same on every case tried.
    """

    fault: str
    parameters: Mapping[str, Any]
    sentence: str
    share: float
    total: int
    also: tuple[str, ...] = ()

    @property
    def explained(self) -> int:
        """How many cases are explained."""
        return round(self.share * self.total)

    def __str__(self) -> str:
        text = f"It behaves as: {self.sentence}. Explains {self.explained} of {self.total} cases."
        if self.also:
            text += f" On these cases it is the same as: {'; '.join(self.also)}."
        return text


@dataclass(frozen=True)
class Hypothesis:
    """An entry of the catalogue with its parameters, and perhaps a factor on top."""

    fault: Fault
    parameters: Parameters
    factor: scale.Exponents | None = None

    @property
    def key(self) -> str:
        return f"{self.fault.label(self.parameters)} {self.factor}"

    @property
    def sentence(self) -> str:
        said = self.fault.describe(self.parameters)
        if self.factor is None:
            return said
        return f"factor {scale.name(self.factor)}{_because(self.factor)}, and {said}"


def _because(factor: scale.Exponents) -> str:
    why = scale.reason(factor)
    return f" ({why})" if why else ""


@dataclass(eq=False)
class Observation:
    """What an engine returned for a case, and what each mistake would have returned."""

    case: Case
    got: Sequence[Array]
    failing: bool
    arithmetic: Arithmetic
    _predicted: dict[str, Tensors] = field(default_factory=dict)

    @cached_property
    def exact(self) -> Setting:
        return Setting.exact(self.case, self.arithmetic)

    def predicted(self, fault: Fault, parameters: Parameters) -> Tensors | None:
        """The wrong gradient, or None where the mistake cannot be made or needs other numbers."""
        if not fault.possible(self.case):
            return None
        if self.case.architecture.output not in fault.needs.output:
            return self.exact.right
        if fault.fit and not fault.shared:
            fitted = fault.fit(self.exact, self.got)
            if fitted is None:
                return None if self.failing else self.exact.right
            parameters = {**parameters, **fitted}
        with np.errstate(all="ignore"):
            return fault.compute(self.exact, parameters)

    def explained_by(self, hypothesis: Hypothesis) -> bool:
        """Whether everything the engine returned lies within the mistake's bound."""
        fault, factor = hypothesis.fault, hypothesis.factor
        times = 1.0 if factor is None else scale.value(factor, self.case)
        got = self.got if times == 1 else [t / times for t in self.got]
        seen = self if times == 1 else self._scaled(got)
        predicted = seen.predicted(fault, hypothesis.parameters)
        if predicted is None or not _representable(self.got, fault):
            return False
        return all(_within(t, values, times) for t, values in zip(predicted, got, strict=True))

    def _scaled(self, got: Sequence[Array]) -> "Observation":
        other = Observation(self.case, got, self.failing, self.arithmetic)
        other.__dict__["exact"] = self.exact
        return other


def _within(tensor: Any, values: Array, times: float) -> bool:
    """Entry by entry: distance at most E, the value's own doubt, and the factor's roundings."""
    allowed = tensor.error + tensor.doubt
    if times != 1:
        allowed = allowed + 8 * tensor.rules.u * (np.abs(tensor.middle) + allowed)
    with np.errstate(invalid="ignore"):
        return bool(np.all(np.abs(values - tensor.middle) <= allowed))


def _representable(got: Sequence[Array], fault: Fault) -> bool:
    """Whether all results are exact in the format that the fault leaves them in."""
    if not fault.representable:
        return True
    return all(np.array_equal(narrowed(t, fault.representable), t) for t in got)


def observe(engine: Engine, cases: Sequence[Case], failing: set[str]) -> list[Observation]:
    """The engine's gradients once more, for the cases that can be told apart.

    Cases whose gradient is not finite say nothing of a mistake, and are left out.
    """
    seen = []
    for case in cases:
        arithmetic = Arithmetic(case.dtype, flushes=True)
        got = [np.asarray(t).astype(np.float64) for t in engine.gradients(case).tensors()]
        observation = Observation(case, got, case.id in failing, arithmetic)
        if all(np.isfinite(t).all() for t in got) and _finite(observation):
            seen.append(observation)
    return seen


def _finite(observation: Observation) -> bool:
    return all(np.isfinite(t.error).all() for t in observation.exact.right)


def screened(observations: Sequence[Observation]) -> list[Observation]:
    """The failing cases to try first: the smallest, and the smallest of each kind."""
    failing = sorted(
        (o for o in observations if o.failing),
        key=lambda o: (o.case.scale, bool(o.case.special), o.case.architecture.parameters),
    )
    kinds = [
        lambda o: o.case.architecture.layers >= 4 and o.case.samples > 1,
        lambda o: o.case.architecture.layers >= 3 and o.case.architecture.widths[-1] > 1,
        lambda o: o.case.samples > 2 and o.case.architecture.widths[-1] > 2,
        lambda o: min(o.case.architecture.widths) > 1,
        lambda o: o.case.architecture.output == "identity",
        lambda o: o.case.architecture.output != "identity",
    ]
    chosen = [next((o for o in failing if kind(o)), None) for kind in kinds]
    unique = {id(o): o for o in [*chosen, *failing] if o is not None}
    return list(unique.values())[:SCREENED]


def hypotheses(screen: Sequence[Observation]) -> Iterator[Hypothesis]:
    """Every entry in every variant; parameters that all cases share are read from a case."""
    for fault in CATALOGUE.values():
        if fault.shared:
            yield from _fitted(fault, screen)
        elif fault.fit:
            yield Hypothesis(fault, {})
        elif fault.repeatable:
            yield from (Hypothesis(fault, parameters) for parameters in fault.variants)


def _fitted(fault: Fault, screen: Sequence[Observation]) -> Iterator[Hypothesis]:
    """The shared parameters as the screened cases have them, at most a few readings."""
    assert fault.fit is not None
    for observation in screen[:3]:
        if not fault.possible(observation.case):
            continue
        with np.errstate(all="ignore"):
            parameters = fault.fit(observation.exact, observation.got)
        if parameters is not None:
            yield Hypothesis(fault, parameters)


def _share(hypothesis: Hypothesis, observations: Sequence[Observation]) -> float:
    return sum(o.explained_by(hypothesis) for o in observations) / len(observations)


def _survivors(candidates: Iterator[Hypothesis], screen: Sequence[Observation]) -> list[Hypothesis]:
    """Those that explain enough of the screened cases; most fall at the first or second."""
    allowed = int(len(screen) * (1 - LEAST_SHARE))
    kept = []
    for candidate in candidates:
        missed = 0
        for observation in screen:
            missed += not observation.explained_by(candidate)
            if missed > allowed:
                break
        else:
            kept.append(candidate)
    return kept


def _with_factor(
    candidates: Iterator[Hypothesis], screen: Sequence[Observation]
) -> Iterator[Hypothesis]:
    """Each entry together with the factors that its first screened case leaves possible."""
    for candidate in candidates:
        if candidate.fault.family == "scale" or candidate.fault.shared:
            continue
        factors = [f for o in screen for f in _factors(candidate, o)]
        counts = {f: factors.count(f) for f in dict.fromkeys(factors)}
        for factor, count in counts.items():
            if count >= len(screen) * LEAST_SHARE:
                yield Hypothesis(candidate.fault, candidate.parameters, factor)


def _factors(candidate: Hypothesis, observation: Observation) -> list[scale.Exponents]:
    """The named factors that fit the entry which is known best."""
    fault = candidate.fault
    fits = fault.fit is not None
    predicted = (
        observation.exact.right if fits else observation.predicted(fault, candidate.parameters)
    )
    if predicted is None:
        return []
    ratios = [
        r for r in (_ratio(*pair) for pair in zip(predicted, observation.got, strict=True)) if r
    ]
    if not ratios:
        return []
    if fits:
        middle, spread = sorted(ratios)[len(ratios) // 2]
    else:
        middle, spread = min(ratios, key=lambda r: r[1])
    return [
        f
        for f in scale.SCALES
        if abs(scale.value(f, observation.case) - middle) <= spread * abs(middle)
    ]


def _ratio(tensor: Any, values: Array) -> tuple[float, float] | None:
    """got / predicted at the tensor's best-known entry, and how well it is known, relatively."""
    size = np.abs(tensor.middle)
    with np.errstate(all="ignore"):
        doubt = np.where(size > 0, 2 * (tensor.error + tensor.doubt) / size, np.inf)
    where = np.unravel_index(int(np.argmin(doubt)), doubt.shape)
    if not doubt[where] < 0.1:
        return None
    return float(values[where] / tensor.middle[where]), float(doubt[where]) + 1e-14


@dataclass(frozen=True)
class Looseness:
    """How much wider than the right gradient's a mistake's bounds are, and how well it is seen.

    `bits` is the median of log₂ of the ratio. Over the entries whose bound is wider by more than
    LOOSER_BITS, `seen` is the median distance from the right gradient in units of its bound, and
    `used` that in units of the mistake's: coarser arithmetic must show, and in most entries.
    """

    bits: float
    seen: float
    used: float

    @classmethod
    def of(cls, hypothesis: Hypothesis, screen: Sequence[Observation]) -> "Looseness":
        parts: list[Array] = [np.zeros((3, 0))]
        for observation in screen:
            predicted = observation.predicted(hypothesis.fault, hypothesis.parameters)
            right = observation.exact.right
            for tensor, true, got in zip(predicted or (), right, observation.got, strict=False):
                with np.errstate(all="ignore"):
                    distance = np.abs(got - true.middle)
                    wider = _bits(tensor) - _bits(true)
                    part = wider, distance / (true.error + true.doubt), distance / tensor.error
                parts.append(np.stack(part)[:, np.isfinite(wider)])
        wider, seen, used = np.concatenate(parts, axis=1)
        touched = wider > LOOSER_BITS
        if not touched.any():
            return cls(float(np.median(wider)) if len(wider) else 0.0, np.inf, np.inf)
        medians = np.median(wider), np.median(seen[touched]), np.median(used[touched])
        return cls(*map(float, medians))

    def allows(self, fault: Fault) -> bool:
        """Whether the errors show what a coarser arithmetic would do."""
        return fault.family != "precision" or (self.seen > 1 and self.used >= LEAST_USE)


def _bits(tensor: Any) -> Array:
    """log₂ of the bound relative to the entry."""
    relative: Array = np.log2(tensor.error / np.abs(tensor.middle))
    return relative


def _best(
    candidates: Sequence[Hypothesis],
    observations: Sequence[Observation],
    screen: Sequence[Observation],
) -> tuple[float, list[Hypothesis]]:
    """The largest share of all cases, and the candidates that have it, the simplest first."""
    failing = [o for o in observations if o.failing]
    shares = [(_share(c, observations), c) for c in candidates if _share(c, failing) >= LEAST_SHARE]
    if not shares:
        return 0.0, []
    most = max(share for share, _ in shares)
    equal = [candidate for share, candidate in shares if share == most]
    loose = {c.key: Looseness.of(c, screen) for c in equal}
    equal = [c for c in equal if loose[c.key].allows(c.fault)]
    tightest = min((loose[c.key].bits for c in equal), default=0.0)
    equal = [c for c in equal if loose[c.key].bits <= tightest + LOOSER_BITS]
    return most if equal else 0.0, sorted(equal, key=lambda c: c.fault.simplicity)


def repeats(engine: Engine, screen: Sequence[Observation]) -> bool:
    """Whether a second call gives the same, within what rounding allows."""
    for observation in screen:
        again = engine.gradients(observation.case).tensors()
        for tensor, one, two in zip(observation.exact.right, observation.got, again, strict=True):
            if np.any(
                np.abs(one - np.asarray(two, np.float64)) > 2 * (tensor.error + tensor.doubt)
            ):
                return False
    return True


def diagnose(engine: Engine, cases: Sequence[Case], failing: set[str]) -> Diagnosis | None:
    """The known mistake that explains the engine's gradients on these cases, if there is one.

    `failing` holds the ids of cases that were judged DEFECT. Single mistakes come before a
    mistake with a factor on top. None where nothing in the catalogue explains them.
    """
    observations = observe(engine, cases, failing)
    screen = screened(observations)
    if not screen:
        return None
    if not repeats(engine, screen[:3]):
        stochastic = CATALOGUE["stochastic"]
        return Diagnosis("stochastic", {}, stochastic.describe({}), 1.0, len(observations))
    share, best = _best(_survivors(hypotheses(screen), screen), observations, screen)
    if share < 1:
        pairs = _survivors(_with_factor(hypotheses(screen), screen), screen)
        pair_share, best_pair = _best(pairs, observations, screen)
        if pair_share > share:
            share, best = pair_share, best_pair
    return _report(best, share, observations) if best else None


def _report(
    best: Sequence[Hypothesis], share: float, observations: Sequence[Observation]
) -> Diagnosis:
    named, *others = best
    parameters = {k: v for k, v in named.parameters.items() if k != "doubt"}
    if named.factor is not None:
        parameters["scale"] = scale.name(named.factor)
    sentence = named.sentence + _convention(named, observations[0].case)
    also = tuple(dict.fromkeys(o.sentence for o in others if not o.fault.shared))
    return Diagnosis(named.fault.id, parameters, sentence, share, len(observations), also)


def _convention(named: Hypothesis, case: Case) -> str:
    """That the factor is only another convention of the cost, if it is."""
    exponents = next((e for e in scale.SCALES if f"factor {scale.name(e)}" == named.fault.id), None)
    if exponents is None:
        return ""
    cost = scale.convention(exponents, case.architecture.cost)
    if cost is None:
        return ""
    _, twos, samples, outputs = exponents
    inverse = scale.name((1, -twos, -samples, -outputs))
    return f'. It is the gradient of another cost: pass cost="{cost}", or multiply it by {inverse}'
