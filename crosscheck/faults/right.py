"""The right table for any architecture, in any number type, for mistakes to be made in.

The paper's own equations wherever it has them: N2 and G2 change with the activations, and G1
with the cost's convention.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from crosscheck.paper.equations import EQUATIONS, preactivation
from crosscheck.paper.registration import Equation
from crosscheck.paper.unprinted import UNPRINTED
from crosscheck.values import Architecture

Activation = Callable[[Any], Any]
ByName = Callable[[str], Activation]

SLOPES: dict[str, Activation] = {
    "sigmoid": lambda a: a * (1 - a),
    "tanh": lambda a: 1 - a * a,
    "relu": lambda a: positive(a),
    "identity": lambda a: 0 * a + 1,
}
"""σ′ from a = σ(z), by name of the activation."""

COST_EXPONENTS = {
    "squared_error": (0, -1, 0),
    "half_squared_error": (-1, -1, 0),
    "sum_squared_error": (0, 0, 0),
    "mean_squared_error": (0, -1, -1),
}
"""The factor of a cost on Σ (a^N - expected)², as exponents of 2, D and n_N."""


def plain(name: str) -> Activation:
    """An activation on NumPy arrays, as a NumPy user writes it."""
    if name == "sigmoid":
        return _sigmoid
    others: dict[str, Activation] = {
        "tanh": np.tanh,
        "relu": lambda z: np.maximum(z, 0),
        "identity": lambda z: z,
    }
    return others[name]


def _sigmoid(z: Any) -> Any:
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-z))


def positive(a: Any) -> Any:
    """1 where a > 0, else 0, in the number type of `a`, as plain numbers."""
    value = getattr(a, "value", a)
    dtype = a.dtype if isinstance(a, np.ndarray) else np.float64
    return (value > 0).astype(dtype)


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
    slope = SLOPES[name]
    return equation("G2", lambda pulled_back, a: pulled_back * slope(a))


def _residual(cost: str) -> Equation:
    """G1 for a cost: 2 (a^N - expected) times its factor, in the order that it is written."""
    if cost == "squared_error":
        return UNPRINTED["G1"]
    twos, samples, outputs = COST_EXPONENTS[cost]

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
