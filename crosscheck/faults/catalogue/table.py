"""The table of all known mistakes, and a mistake as an engine."""

from collections.abc import Iterator, Mapping

import numpy as np

from crosscheck.arithmetic.promise import Arithmetic
from crosscheck.faults.catalogue import biases, precision, samples, scale, structure, tensors
from crosscheck.faults.catalogue.fault import Fault, Parameters, Tensors
from crosscheck.networks.network import Architecture, Case, Gradients

FAMILIES = (scale, biases, samples, tensors, structure, precision)

CATALOGUE: Mapping[str, Fault] = {fault.id: fault for family in FAMILIES for fault in family.FAULTS}
"""Every known mistake by its id."""


def variants() -> Iterator[tuple[Fault, Parameters]]:
    """Each mistake in each of its variants."""
    for fault in CATALOGUE.values():
        for parameters in fault.variants:
            yield fault, parameters


class FaultyEngine:
    """An engine that makes one mistake: a black box, the same numbers at every run.

    A mistake that is not repeatable gives other numbers at each call for the same case.
    """

    def __init__(self, fault: Fault, parameters: Parameters | None = None) -> None:
        self.fault = fault
        self.parameters = dict(fault.variants[0] if parameters is None else parameters)
        self.name = fault.label(self.parameters)
        self._calls: dict[str, int] = {}

    def supports(self, architecture: Architecture, dtype: str) -> bool:
        """Whether the mistake can be made in this precision; `applies` knows the rest."""
        return dtype in self.fault.dtypes

    def arithmetic(self, dtype: str) -> Arithmetic:
        return Arithmetic(dtype)

    def gradients(self, case: Case) -> Gradients:
        """The wrong gradient, in the case's dtype."""
        setting, parameters = self.fault.at(case, self.parameters)
        if not self.fault.repeatable:
            self._calls[case.id] = self._calls.get(case.id, -1) + 1
            parameters = {**parameters, "call": self._calls[case.id]}
        with np.errstate(all="ignore"):
            return gradients(self.fault.compute(setting, parameters), case)


class ScaledEngine:
    """Another engine's gradient times a factor of scale: a second mistake on top of its own."""

    def __init__(self, engine: FaultyEngine, factor: scale.Exponents) -> None:
        self.engine, self.factor = engine, factor
        self.name = f"{engine.name}, times {scale.name(factor)}"
        self.supports, self.arithmetic = engine.supports, engine.arithmetic

    def gradients(self, case: Case) -> Gradients:
        """The wrong gradient times the factor, in the case's dtype."""
        factor = scale.value(self.factor, case)
        with np.errstate(all="ignore"):
            return gradients(scale.times(self.engine.gradients(case).tensors(), factor), case)


def gradients(tensors: Tensors, case: Case) -> Gradients:
    """Tensors of floats as an engine hands them out."""
    typed = [np.asarray(t, case.inputs.dtype) for t in tensors]
    return Gradients(None, typed[0::2], typed[1::2])
