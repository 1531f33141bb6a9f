"""What an engine returned for its cases, held against what each known mistake would return."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from crosscheck.arithmetic.promise import Arithmetic
from crosscheck.bounds.error_array import narrowed
from crosscheck.engines.interface import Engine
from crosscheck.faults.catalogue import scale
from crosscheck.faults.catalogue.fault import Fault, Parameters, Setting, Tensors
from crosscheck.networks.network import Array, Case

SCREENED = 8
"""Failing cases, small and of many kinds, on which every entry of the catalogue is tried."""

LARGEST_KEPT = 1024
"""Parameters of a network up to which its predictions are kept: some megabytes a case."""


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


class Predictions:
    """What each known mistake would return for a case, computed when it is first asked for.

    It depends on no engine, so the diagnoses of many on the same cases may have it in common.
    """

    def __init__(self, case: Case) -> None:
        self.case = case
        self._kept: dict[str, Tensors] = {}

    @cached_property
    def exact(self) -> Setting:
        """The case's numbers as known exactly, with the bounds of a black box."""
        return Setting.exact(self.case, Arithmetic(self.case.dtype, flushes=True))

    @cached_property
    def factors(self) -> Array:
        """The values of all factors of scale on this case, in the order of scale.SCALES."""
        return np.array([scale.value(factor, self.case) for factor in scale.SCALES])

    def of(self, fault: Fault, parameters: Parameters) -> Tensors:
        """The wrong gradient of a variant; kept unless the network is large."""
        key = f"{fault.id} {parameters}"
        if key in self._kept:
            return self._kept[key]
        tensors = self.fitted(fault, parameters)
        if self.case.architecture.parameters <= LARGEST_KEPT:
            self._kept[key] = tensors
        return tensors

    def fitted(self, fault: Fault, parameters: Parameters) -> Tensors:
        """The wrong gradient with parameters that were read from a gradient."""
        with np.errstate(all="ignore"):
            return fault.compute(self.exact, parameters)


@dataclass(eq=False)
class Observation:
    """What an engine returned for a case, and what each mistake would have returned."""

    predictions: Predictions
    got: Sequence[Array]
    failing: bool

    @property
    def case(self) -> Case:
        return self.predictions.case

    @property
    def exact(self) -> Setting:
        return self.predictions.exact

    def predicted(self, fault: Fault, parameters: Parameters) -> Tensors | None:
        """The wrong gradient, or None where the mistake cannot be made or needs other numbers."""
        if not fault.possible(self.case):
            return None
        if not fault.needs.written_for(self.case):
            return self.exact.right
        if fault.fit is None:
            return self.predictions.of(fault, parameters)
        fitted: Parameters | None = {}
        if not fault.shared:
            fitted = fault.fit(self.exact, self.got)
        if fitted is None:
            return None if self.failing else self.exact.right
        return self.predictions.fitted(fault, {**parameters, **fitted})

    def explained_by(self, hypothesis: Hypothesis) -> bool:
        """Whether everything the engine returned lies within the mistake's bound."""
        fault, factor = hypothesis.fault, hypothesis.factor
        times = 1.0 if factor is None else scale.value(factor, self.case)
        seen = self.divided(factor)
        predicted = seen.predicted(fault, hypothesis.parameters)
        if predicted is None or not _representable(self.got, fault, times):
            return False
        return all(_within(t, values, times) for t, values in zip(predicted, seen.got, strict=True))

    def divided(self, factor: scale.Exponents | None) -> "Observation":
        """The same with a factor divided out of what was returned."""
        times = 1.0 if factor is None else scale.value(factor, self.case)
        if times == 1:
            return self
        return Observation(self.predictions, [t / times for t in self.got], self.failing)


def _within(tensor: Any, values: Array, times: float) -> bool:
    """Entry by entry: distance at most E, the value's own doubt, and the factor's roundings."""
    allowed = tensor.error + tensor.doubt
    if times != 1:
        allowed = allowed + 8 * tensor.rules.u * (np.abs(tensor.middle) + allowed)
    with np.errstate(invalid="ignore"):
        return bool(np.all(np.abs(values - tensor.middle) <= allowed))


def _representable(got: Sequence[Array], fault: Fault, times: float) -> bool:
    """Whether all results are exact in the format that the fault leaves them in, but for a factor.

    The factor may have come before the rounding, or after it.
    """
    of = fault.representable
    if not of:
        return True
    before = all(np.array_equal(narrowed(t, of), t) for t in got)
    return before or all(np.array_equal(narrowed(t / times, of) * times, t) for t in got)


def observe(
    engine: Engine, predictions: Sequence[Predictions], failing: set[str]
) -> list[Observation]:
    """The engine's gradients once more, for the cases that can be told apart.

    Cases whose gradient is not finite say nothing of a mistake, and are left out.
    """
    seen = []
    for known in predictions:
        case = known.case
        got = [np.asarray(t).astype(np.float64) for t in engine.gradients(case).tensors()]
        observation = Observation(known, got, case.id in failing)
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
