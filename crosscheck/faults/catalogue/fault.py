"""What a fault is: data, and one function that runs on floats and on error-carrying arrays.

An entry of the catalogue computes its wrong gradient in a `Setting`. On the case's own floats
that is an engine that makes the mistake; on `Bounded` arrays it is the wrong gradient itself,
exact, with a bound of its evaluation, which is how the diagnosis recognises the mistake.
"""

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from crosscheck.arithmetic.costs import COSTS
from crosscheck.arithmetic.promise import Arithmetic
from crosscheck.arithmetic.rounding_rules import rules_of
from crosscheck.bounds import error_array
from crosscheck.faults.catalogue import right
from crosscheck.networks.network import Architecture, Array, Case
from crosscheck.paper.composition import Composed, Network, contracted
from crosscheck.paper.equation import Table

Parameters = Mapping[str, Any]
Tensors = list[Any]
"""Gradients in the order of `Architecture.tensor_names`, in any number type."""

FAULT_STREAM = 7
"""Spawn key of what a fault draws; the case's own draws have others."""


@dataclass(frozen=True)
class Setting:
    """Where a mistake is made: a case's numbers in some number type, and its right gradient."""

    case: Case
    network: Network
    table: Table

    @classmethod
    def floats(cls, case: Case) -> "Setting":
        """In the case's own dtype: as an engine computes."""
        of = case.architecture
        network = Network(
            case.weights, case.biases, case.inputs, case.targets, right.plain(of.hidden)
        )
        return cls(case, network, right.table(of, right.plain))

    @classmethod
    def exact(
        cls, case: Case, arithmetic: Arithmetic | None = None, double_double: bool = False
    ) -> "Setting":
        """With bounds of what an engine of this arithmetic may be off by."""
        rules = rules_of(arithmetic or Arithmetic(case.dtype))

        def known(array: Array) -> error_array.Bounded:
            return error_array.Bounded.exact(array, rules, double_double)

        of = case.architecture
        network = Network(
            [known(w) for w in case.weights],
            [known(b) for b in case.biases],
            known(case.inputs),
            known(case.targets),
            error_array.activation(of.hidden),
        )
        return cls(case, network, right.table(of, error_array.activation))

    @property
    def architecture(self) -> Architecture:
        return self.case.architecture

    @property
    def samples(self) -> int:
        return self.case.samples

    @cached_property
    def composed(self) -> Composed:
        """The right gradient, with the activations."""
        return self.compose({})

    @property
    def right(self) -> Tensors:
        """The right gradient's tensors."""
        return interleaved(self.composed)

    def compose(self, edits: Mapping[str, Any]) -> Composed:
        """The gradient of the right table with these entries in it."""
        with np.errstate(all="ignore"):
            return contracted({**self.table, **edits}, self.network)

    def rng(self, identity: str) -> np.random.Generator:
        """A stream that depends on the case's seed and index and on the fault alone."""
        key = (self.case.index, FAULT_STREAM, zlib.crc32(identity.encode()))
        return np.random.default_rng(np.random.SeedSequence(self.case.seed, spawn_key=key))


@dataclass(frozen=True)
class Needs:
    """The least that a network must have for a mistake to be possible on it.

    `equal_from`: all widths from this place in the list on must be equal; 0 is a square net.
    `output` names the output activations, None any; `squares` asks for a cost of squares.
    """

    layers: int = 2
    samples: int = 1
    outputs: int = 1
    equal_from: int | None = None
    least_width: int = 1
    output: tuple[str, ...] | None = None
    squares: bool = False

    def written_for(self, case: Case) -> bool:
        """Whether the output activation is one that is asked for, or any will do."""
        return self.output is None or case.architecture.output in self.output

    def runs_on(self, case: Case) -> bool:
        """Whether code that makes the mistake runs on the case at all."""
        widths = case.architecture.widths
        equal = self.equal_from is None or len(set(widths[self.equal_from :])) == 1
        return equal and (COSTS[case.architecture.cost].squares or not self.squares)

    def met_by(self, case: Case) -> bool:
        """Whether the case has all that is needed."""
        widths = case.architecture.widths
        return (
            len(widths) >= self.layers
            and case.samples >= self.samples
            and widths[-1] >= self.outputs
            and min(widths) >= self.least_width
            and self.runs_on(case)
            and self.written_for(case)
        )


Fit = Callable[[Setting, Sequence[Array]], Parameters | None]
"""(the exact setting, what the engine returned) to the parameters it speaks for, if any."""


@dataclass(frozen=True)
class Fault:
    """One known mistake.

    `compute` gives the wrong gradient in a setting, for one of the `variants` (a layer, a
    factor). `draw` adds what differs from case to case, such as which entry is hit; `fit` reads
    those parameters from an engine's gradient, and `shared` names the ones that must then be
    the same in every case. `representable` names a format that all results must be exact in.
    `seen` are places where people made the mistake. `simplicity` orders entries that explain
    the same errors: the smaller is named. `natural` are the variants of the size that people make
    the mistake in, where its size is free; None where it is not, and all variants count.
    """

    id: str
    family: str
    sentence: str
    compute: Callable[[Setting, Parameters], Tensors]
    seen: tuple[str, ...] = ()
    variants: tuple[Parameters, ...] = field(default=({},))
    needs: Needs = Needs()
    dtypes: tuple[str, ...] = ("float64", "float32")
    draw: Callable[[np.random.Generator, Setting], Parameters] | None = None
    fit: Fit | None = None
    shared: tuple[str, ...] = ()
    representable: str = ""
    repeatable: bool = True
    simplicity: int = 1
    natural: tuple[Parameters, ...] | None = None

    def is_natural(self, parameters: Parameters) -> bool:
        """Whether people make the mistake in this size, or its size is not free."""
        return self.natural is None or parameters in self.natural

    def label(self, parameters: Parameters) -> str:
        """The id, with the variant where there are several: "slope-missing at the output"."""
        stated = [str(v) for k, v in parameters.items() if k in VARIANT_KEYS]
        return f"{self.id} {' '.join(stated)}".strip()

    def describe(self, parameters: Parameters) -> str:
        """The sentence, with the parameters in it."""
        named = {k: f"{v:.6g}" if isinstance(v, float) else v for k, v in parameters.items()}
        return self.sentence.format(**named)

    def applies(self, case: Case) -> bool:
        """Whether the mistake can be made on this case."""
        return case.dtype in self.dtypes and self.needs.met_by(case)

    def possible(self, case: Case) -> bool:
        """Whether such code runs on the case at all: the precision is right, and the widths."""
        return self.needs.runs_on(case) and case.dtype in self.dtypes

    def at(self, case: Case, parameters: Parameters) -> tuple[Setting, Parameters]:
        """The float setting of a case, and the variant with what is drawn for the case."""
        setting = Setting.floats(case)
        drawn = self.draw(setting.rng(self.id), setting) if self.draw else {}
        return setting, {**parameters, **drawn}


VARIANT_KEYS = ("place", "factor", "rate", "epsilon", "product", "width")
"""Parameters that tell variants of a fault apart in its label."""


def interleaved(composed: Composed) -> Tensors:
    """w2, b2, w3, b3, …"""
    return [t for pair in zip(composed.weights, composed.biases, strict=True) for t in pair]
