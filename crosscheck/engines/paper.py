"""The paper's equations as engines, in NumPy.

`paper` carries the Jacobian as the paper does and takes the unprinted correct equation where a
printed one does not hold; `paper-contracted` carries δ; `paper-printed` follows the print to the
letter, and is wrong.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from crosscheck.arithmetic.conventions import READINGS
from crosscheck.arithmetic.promise import Arithmetic, Order
from crosscheck.networks.network import Architecture, Array, Case, Gradients
from crosscheck.paper import fast
from crosscheck.paper.composition import (
    Composed,
    Network,
    contracted as contracted_table,
    literal as literal_recursion,
)
from crosscheck.paper.unprinted import UNPRINTED, corrected_table, printed_table


def sigma(z: Array) -> Array:
    """σ(z) = 1 / (1 + e^-z); where e^-z overflows, 1 / ∞ = 0."""
    one = z.dtype.type(1)
    with np.errstate(over="ignore"):
        return one / (one + np.exp(-z))


class Rounded(np.ndarray):
    """A bfloat16 array whose products are rounded to bfloat16; ml_dtypes' are float32."""

    def __matmul__(self, other: Any) -> Any:
        return super().__matmul__(other).astype(self.dtype)


@dataclass(frozen=True)
class PaperEngine:
    """A composition of the paper's equations under the reading that the architecture names."""

    name: str
    order: Order
    compose: Callable[[Case], Composed]
    dtypes: tuple[str, ...] = ("float64", "float32", "float16", "bfloat16")

    def supports(self, architecture: Architecture, dtype: str) -> bool:
        """The paper speaks of sigmoid hidden layers, two readings of the output, and C1."""
        return (
            dtype in self.dtypes
            and architecture.quick
            and architecture.hidden == "sigmoid"
            and architecture.output in READINGS
            and architecture.cost == "squared_error"
        )

    def arithmetic(self, dtype: str) -> Arithmetic:
        return Arithmetic(dtype, self.order)

    def gradients(self, case: Case) -> Gradients:
        with np.errstate(over="ignore", invalid="ignore"):
            composed = self.compose(case)
        weights, biases = (
            [np.asarray(t) for t in ts] for ts in (composed.weights, composed.biases)
        )
        return Gradients(float(composed.cost), weights, biases)


@dataclass(frozen=True)
class ContractedEngine(PaperEngine):
    """The contracted composition in place, which can show its intermediates."""

    def gradients(self, case: Case) -> Gradients:
        """As fast as it goes: what is returned are arrays already, fresh ones."""
        composed = fast.gradient(*_numbers(case))
        return Gradients(float(composed.cost), composed.weights, composed.biases)

    def stages(self, case: Case) -> dict[str, Array]:
        """z^l, a^l, G^l = ∂cost/∂a^l, δ^l ("d") and the gradients, of the same operations."""
        return fast.stages(*_numbers(case))


def _network(case: Case) -> Network:
    *arrays, inputs, targets = case.weights, case.biases, case.inputs, case.targets
    if case.dtype == "bfloat16":
        weights, biases = ([t.view(Rounded) for t in ts] for ts in arrays)
        return Network(weights, biases, inputs.view(Rounded), targets.view(Rounded), sigma)
    return Network(case.weights, case.biases, inputs, targets, sigma)


def _numbers(case: Case) -> tuple[Any, Any, Array, Array, bool]:
    """The arguments of the contracted composition."""
    linear = case.architecture.output == "identity"
    return case.weights, case.biases, case.inputs, case.targets, linear


def literal() -> PaperEngine:
    """`paper`."""
    return PaperEngine(
        "paper",
        "literal",
        lambda case: literal_recursion(corrected_table(case.architecture.output), _network(case)),
    )


def printed() -> PaperEngine:
    """`paper-printed`."""
    return PaperEngine(
        "paper-printed",
        "literal",
        lambda case: literal_recursion(printed_table(case.architecture.output), _network(case)),
    )


def contracted() -> PaperEngine:
    """`paper-contracted`."""
    return ContractedEngine(
        "paper-contracted", "contracted", lambda case: fast.gradient(*_numbers(case))
    )


def stable() -> PaperEngine:
    """`paper-stable`: contracted, with σ′ = σ(z) σ(-z), which does not cancel."""
    return PaperEngine("paper-stable", "contracted", _stable_composition)


def _stable_composition(case: Case) -> Composed:
    """The table with G2 replaced by G7 under σ; the pre-activations are what it needs."""
    table = corrected_table(case.architecture.output)
    table["G2"] = UNPRINTED["G7"]
    return contracted_table(table, _network(case))
