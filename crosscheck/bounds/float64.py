"""Cheaper rigorous references than the oracle's balls.

For engines narrower than float64: an evaluation in float64, whose own rounding errors the bound
of `bound` at u = 2^-53 encloses.
"""

import numpy as np

from crosscheck.arithmetic.activations import ACTIVATIONS
from crosscheck.arithmetic.costs import COSTS
from crosscheck.bounds.records import Trace
from crosscheck.networks.network import Array, Case


def cost_scale(case: Case) -> float:
    """The factor of the case's cost on its sum of terms; see `costs`."""
    return COSTS[case.architecture.cost].factor(case.samples, case.architecture.widths[-1])


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
            a, slope = ACTIVATIONS[name].evaluate(z[-1])
            activations.append(a)
            slopes.append(slope)
        scale = cost_scale(case)
        cost, targets = COSTS[case.architecture.cost], case.targets.astype(np.float64)
        pulled_back = [scale * cost.slope(activations[-1], targets)]
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
