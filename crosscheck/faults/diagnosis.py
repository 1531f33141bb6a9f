"""Which known mistake explains an engine's errors: its gradient, put to the bound of the mistake.

Each entry of the catalogue predicts a wrong gradient with a bound of its evaluation, by the same
rules as the right one's. An entry explains a case if every number that the engine returned lies
within that bound. Nothing is named that does not explain most of the failing cases, and cases
that pass must be explained as well: there the mistake must not show.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from crosscheck.engines.interface import Engine
from crosscheck.faults.catalogue import scale
from crosscheck.faults.catalogue.fault import Fault
from crosscheck.faults.catalogue.table import CATALOGUE
from crosscheck.faults.predictions import Hypothesis, Observation, Predictions, observe, screened
from crosscheck.networks.network import Array, Case

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


def hypotheses(screen: Sequence[Observation]) -> Iterator[Hypothesis]:
    """Every entry in every variant; parameters that all cases share are read from a case."""
    for fault in CATALOGUE.values():
        yield from _fitted(fault, screen) if fault.shared else _unfitted(fault)


def _unfitted(fault: Fault) -> list[Hypothesis]:
    """An entry in its variants, or without the parameters that are read from each case."""
    if fault.fit:
        return [Hypothesis(fault, {})]
    return [Hypothesis(fault, p) for p in fault.variants if fault.repeatable]


def _fitted(
    fault: Fault, screen: Sequence[Observation], factor: scale.Exponents | None = None
) -> Iterator[Hypothesis]:
    """The shared parameters as the screened cases have them, at most a few readings."""
    assert fault.fit is not None
    for observation in (o.divided(factor) for o in screen[:3]):
        if not fault.possible(observation.case):
            continue
        with np.errstate(all="ignore"):
            parameters = fault.fit(observation.exact, observation.got)
        if parameters is not None:
            yield Hypothesis(fault, parameters, factor)


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


def with_factor(screen: Sequence[Observation]) -> Iterator[Hypothesis]:
    """Each entry together with the factors that enough of the screened cases leave possible."""
    for fault in CATALOGUE.values():
        if fault.family == "scale":
            continue
        for base in _unfitted(fault):
            for factor in _common_factors(base, screen):
                if fault.shared:
                    yield from _fitted(fault, screen, factor)
                else:
                    yield Hypothesis(fault, base.parameters, factor)


def _common_factors(
    candidate: Hypothesis, screen: Sequence[Observation]
) -> Iterator[scale.Exponents]:
    """The factors that a share of LEAST_SHARE is left of, of the cases that tell anything."""
    counts: Counter[scale.Exponents] = Counter()
    told = 0
    for left, observation in zip(range(len(screen), 0, -1), screen, strict=True):
        if max(counts.values(), default=0) + left < (told + left) * LEAST_SHARE:
            return
        factors = _factors(candidate, observation)
        told += factors is not None
        counts.update(factors or ())
    yield from (f for f, count in counts.items() if count >= told * LEAST_SHARE)


def _factors(candidate: Hypothesis, observation: Observation) -> list[scale.Exponents] | None:
    """The named factors that fit the entry which is known best; None where none is known.

    Where the mistake is still to be read from the case, those that fit half of the tensors.
    """
    fault = candidate.fault
    right = observation.exact.right
    predicted = right if fault.fit else observation.predicted(fault, candidate.parameters)
    if predicted is None:
        return []
    pairs = zip(predicted, observation.got, strict=True)
    ratios = [ratio for ratio in (_ratio(*pair) for pair in pairs) if ratio]
    if not ratios:
        return None
    if not fault.fit:
        ratios = [min(ratios, key=lambda r: r[1])]
    middles, spreads = np.array(ratios).T[:, :, None]
    fitting = np.abs(observation.predictions.factors - middles) <= spreads * np.abs(middles)
    agreed = 2 * fitting.sum(0) >= len(ratios)
    return [f for f, agrees in zip(scale.SCALES, agreed, strict=True) if agrees]


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

    Of a mistake with a factor, this is of the mistake, once the factor is divided out.

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
        for observation in (o.divided(hypothesis.factor) for o in screen):
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
    return among(engine, [Predictions(case) for case in cases], failing)


def among(
    engine: Engine, predictions: Sequence[Predictions], failing: set[str]
) -> Diagnosis | None:
    """The same, with predictions that were perhaps made before, for another engine."""
    observations = observe(engine, predictions, failing)
    screen = screened(observations)
    if not screen:
        return None
    if not repeats(engine, screen[:3]):
        stochastic = CATALOGUE["stochastic"]
        return Diagnosis("stochastic", {}, stochastic.describe({}), 1.0, len(observations))
    share, best = _best(_survivors(hypotheses(screen), screen), observations, screen)
    if share < 1:
        pairs = _survivors(with_factor(screen), screen)
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
