"""Cheaper rigorous references than the oracle's balls.

For engines narrower than float64: an evaluation in float64, whose own rounding errors the bound
of `bound` at u = 2^-53 encloses.
"""

from collections.abc import Callable, Mapping

import numpy as np
from scipy.special import expit

from crosscheck.evaluation import Trace
from crosscheck.values import Array, Case

Activation = Callable[[Array], tuple[Array, Array | None]]


def _sigmoid(z: Array) -> tuple[Array, Array]:
    """σ(z), and σ′ = σ(z) σ(-z), which does not cancel."""
    a = expit(z)
    return a, a * expit(-z)


def _tanh(z: Array) -> tuple[Array, Array]:
    """tanh z, and sech² z = 4 e^(-2|z|) / (1 + e^(-2|z|))², which does not cancel."""
    e = np.exp(-2 * np.abs(z))
    return np.tanh(z), 4 * e / ((1 + e) * (1 + e))


ACTIVATIONS: Mapping[str, Activation] = {
    "sigmoid": _sigmoid,
    "identity": lambda z: (z, None),
    "tanh": _tanh,
    "relu": lambda z: (np.maximum(z, 0), (z > 0).astype(float)),
}
"""z to (σ(z), σ′(z)), by name; the derivative of a linear layer is None."""


def cost_scale(case: Case) -> float:
    """The factor of the case's cost convention on Σ_i Σ_j (a^N - expected)²."""
    outputs = case.architecture.widths[-1]
    return {
        "squared_error": 1 / case.samples,
        "half_squared_error": 1 / (2 * case.samples),
        "sum_squared_error": 1.0,
        "mean_squared_error": 1 / (case.samples * outputs),
    }[case.architecture.cost]


def evaluate(case: Case) -> Trace:
    """Cost and gradient in float64, with all intermediates.

    Overflow is left as ∞ or NaN; the bound is infinite there, and says so.
    """
    weights = [w.astype(np.float64) for w in case.weights]
    biases = [b.astype(np.float64) for b in case.biases]
    with np.errstate(all="ignore"):
        activations, z, slopes = [case.inputs.astype(np.float64)], [], []
        for w, b, name in zip(weights, biases, case.architecture.activations, strict=True):
            z.append(activations[-1] @ w + b)
            a, slope = ACTIVATIONS[name](z[-1])
            activations.append(a)
            slopes.append(slope)
        scale = cost_scale(case)
        pulled_back = [2 * scale * (activations[-1] - case.targets.astype(np.float64))]
        deltas: list[Array] = []
        for k in range(len(weights) - 1, -1, -1):
            slope = slopes[k]
            deltas.insert(0, pulled_back[0] if slope is None else pulled_back[0] * slope)
            if k:
                pulled_back.insert(0, deltas[0] @ weights[k].T)
        return Trace(
            activations,
            z,
            slopes,
            pulled_back,
            deltas,
            [a.T @ d for a, d in zip(activations[:-1], deltas, strict=True)],
            [d.sum(0) for d in deltas],
            scale,
        )
