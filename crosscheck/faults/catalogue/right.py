"""The right table for any architecture, in any number type, for mistakes to be made in.

The paper's own equations wherever it has them: N2 and G2 change with the activations, and G1
with the cost's convention.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from crosscheck.arithmetic.activations import ACTIVATIONS
from crosscheck.arithmetic.costs import COSTS
from crosscheck.bounds import error_array
from crosscheck.networks.network import Architecture
from crosscheck.paper.equation import Equation
from crosscheck.paper.equations import EQUATIONS, preactivation
from crosscheck.paper.unprinted import UNPRINTED

Activation = Callable[[Any], Any]
ByName = Callable[[str], Activation]


def plain(name: str) -> Activation:
    """An activation on NumPy arrays, as a NumPy user writes it."""
    return ACTIVATIONS[name].plain


def _layer(sigma: Activation) -> Equation:
    def activation(w: Any, a_previous: Any, b: Any) -> Any:
        return sigma(preactivation(w, a_previous, b))

    return equation("N2", activation)


def _delta(name: str) -> Equation:
    """G2 for an activation; the paper's own for σ, and G3 where the layer is linear."""
    if name == "identity":
        return UNPRINTED["G3"]
    if name == "sigmoid":
        return UNPRINTED["G2"]
    if ACTIVATIONS[name].slope is None:
        return equation("G2", partial(_times_slope_of_z, name))
    return equation("G2", lambda pulled_back, a: pulled_back * ACTIVATIONS[name].derivative(a))


def _times_slope_of_z(name: str, pulled_back: Any, w: Any, a_previous: Any, b: Any) -> Any:
    """G2 where a does not tell σ′."""
    return pulled_back * derivative(name)(preactivation(w, a_previous, b))


def derivative(name: str) -> Activation:
    """What a user takes for σ′, see `Activation.derivative`; on numbers that carry errors too."""

    def at(x: Any) -> Any:
        if ACTIVATIONS[name].slope is None and hasattr(x, "rules"):
            return error_array.derivative(name)(x)
        return ACTIVATIONS[name].derivative(x)

    return at


def _residual(name: str) -> Equation:
    """G1 for a cost: its slope times its factor, in the order that it is written."""
    cost = COSTS[name]
    if name == "squared_error":
        return UNPRINTED["G1"]
    if not cost.squares:
        return equation("G1", partial(error_array.pulled_back, cost))
    twos, samples, outputs = cost.exponents

    def residual(a_output: Any, expected: Any) -> Any:
        scaled = (a_output - expected) * 2.0 ** (1 + twos)
        divisor = a_output.shape[0] ** -samples * a_output.shape[1] ** -outputs
        return scaled / divisor

    return equation("G1", residual)


def equation(identity: str, function: Callable[..., Any]) -> Equation:
    """An equation outside the paper's tables, from a function of the paper's symbols."""
    import inspect

    return Equation(identity, "", "", "", function, tuple(inspect.signature(function).parameters))


def table(architecture: Architecture, activations: ByName) -> dict[str, Equation]:
    """The contracted composition's table that is right for the architecture."""
    return {
        **EQUATIONS,
        **UNPRINTED,
        "N2": _layer(activations(architecture.hidden)),
        "N2 output": _layer(activations(architecture.output)),
        "C1": equation("C1", lambda: None),  # nobody asks a mistake for its cost
        "G1": _residual(architecture.cost),
        "G2": _delta(architecture.hidden),
        "G2 output": _delta(architecture.output),
    }
