"""The paper's equations as engines, in NumPy.

`paper` carries the Jacobian as the paper does and takes the unprinted correct equation where a
printed one does not hold; `paper-contracted` carries δ; `paper-printed` follows the print to the
letter, and is wrong.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from crosscheck.paper import contracted_numpy
from crosscheck.paper.backprop import Composed, Network, literal as literal_recursion
from crosscheck.paper.unprinted import corrected_table, printed_table
from crosscheck.values import READINGS, Architecture, Arithmetic, Array, Case, Gradients, Order


def sigma(z: Array) -> Array:
    """σ(z) = 1 / (1 + e^-z); where e^-z overflows, 1 / ∞ = 0."""
    one = z.dtype.type(1)
    with np.errstate(over="ignore"):
        return one / (one + np.exp(-z))


@dataclass(frozen=True)
class PaperEngine:
    """A composition of the paper's equations under the reading that the architecture names."""

    name: str
    order: Order
    compose: Callable[[Case], Composed]
    dtypes: tuple[str, ...] = ("float64", "float32")

    def supports(self, architecture: Architecture, dtype: str) -> bool:
        """The paper speaks of sigmoid hidden layers, two readings of the output, and C1."""
        return (
            dtype in self.dtypes
            and architecture.hidden == "sigmoid"
            and architecture.output in READINGS
            and architecture.cost == "squared_error"
        )

    def arithmetic(self, dtype: str) -> Arithmetic:
        return Arithmetic(dtype, self.order)

    def gradients(self, case: Case) -> Gradients:
        composed = self.compose(case)
        return Gradients(float(composed.cost), composed.weights, composed.biases)


def _network(case: Case) -> Network:
    return Network(case.weights, case.biases, case.inputs, case.targets, sigma)


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
    return PaperEngine(
        "paper-contracted",
        "contracted",
        lambda case: contracted_numpy.gradient(
            case.weights,
            case.biases,
            case.inputs,
            case.targets,
            linear=case.architecture.output == "identity",
        ),
    )
