"""The exact left sides: values and Jacobians of a network, enclosed in balls.

Keys are texts: "z3" and "a3" are layer 3's, (D, n_3); "a4/w3" is ∂a^4_(i,j)/∂w^3_(m,t), of shape
(D, n_4, n_2, n_3); "a4/a2" and "a4/b2" are (D, n_4, n_2); "s4" is σ(z^4) whatever the output is,
and "s4/a3" its Jacobian; "cost" is a scalar, "cost/w3" and "cost/b3" have the parameters' shapes.

Derivatives are pushed forward from their source, ∂a^{k}/∂x = σ′(z^k) w^k ∂a^{k-1}/∂x: the other way
round from the paper's recursion, with σ′ = σ(z) σ(-z), and no line of code is the paper's.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from flint import arb, arb_mat

from crosscheck.arithmetic.activations import ACTIVATIONS
from crosscheck.arithmetic.formats import FloatFormat
from crosscheck.exact import oracle
from crosscheck.networks.network import Array, Case

BITS = 192
"""Working precision: a pair of float64 holds 106 bits, and cancellation may take some."""


@dataclass(frozen=True)
class EnclosedSide:
    """Exact numbers x with |x - hi - lo| <= radius, entry by entry; float64 arrays."""

    hi: Array
    lo: Array
    radius: Array

    @property
    def diagonal(self) -> "EnclosedSide":
        """Of ∂a_(i,j)/∂p_(…,t) the part j = t: (D, n, …, n) to (D, …, n)."""
        return EnclosedSide(*(diagonal(part) for part in (self.hi, self.lo, self.radius)))

    def stored(self, of: FloatFormat) -> tuple[Array, Array]:
        """The numbers rounded to a format, and a bound of that rounding; 0 where it is exact.

        Rounding to nearest errs by u |x̂|; twice that allows for a `hi` that misses the nearest
        float64 in the last bit, and leaves room for the radius.
        """
        value = self.hi.astype(of.numpy)
        wide = value.astype(np.float64)
        actual = np.abs(wide - self.hi) + np.abs(self.lo) + 2 * self.radius
        allowed = 2 * of.unit_roundoff * np.abs(wide) + of.smallest_subnormal
        return value, np.where(actual == 0, 0.0, np.maximum(actual, allowed))


def diagonal(jacobian: Array) -> Array:
    """Entry [i, …, t] is jacobian[i, t, …, t]."""
    part: Array = np.diagonal(jacobian, axis1=1, axis2=jacobian.ndim - 1)
    return part


def enclosed(balls: Any) -> EnclosedSide:
    """An object array of balls as float64 pairs with their radii."""
    balls = np.asarray(balls, dtype=object)
    parts = np.array([oracle.split(ball) for ball in balls.ravel()]).reshape(*balls.shape, 3)
    return EnclosedSide(parts[..., 0], parts[..., 1], parts[..., 2])


def left_sides(case: Case) -> dict[str, EnclosedSide]:
    """All left sides that an equation may have, by key."""
    with oracle.working_precision(BITS):
        return {key: enclosed(balls) for key, balls in ball_left_sides(case).items()}


def ball_left_sides(case: Case) -> dict[str, Any]:
    """The same as object arrays of balls, in the working precision that is set."""
    network = oracle.BallNetwork.of(case)
    layers = case.architecture.layers
    weights = {l: _array(w) for l, w in enumerate(network.weights, 2)}
    activations, slopes = oracle.forward(network)
    a = {l: _array(x) for l, x in enumerate(activations, 1)}
    slope = {l: np.array(s, dtype=object).reshape(a[l].shape) for l, s in enumerate(slopes, 2)}
    found = {f"a{l}": x for l, x in a.items()}
    for l in range(2, layers + 1):
        found |= _of_one_layer(l, network, a[l - 1], weights[l])
        found |= _pushed(f"b{l}", l, _spread(slope[l]), weights, slope)
        by_weight = _spread(slope[l])[:, :, None, :] * a[l - 1][:, None, :, None]
        found |= _pushed(f"w{l}", l, by_weight, weights, slope)
    for l in range(1, layers):
        local = slope[l + 1][:, :, None] * weights[l + 1].T[None]
        found |= _pushed(f"a{l}", l + 1, local, weights, slope)
    outputs = a[layers].shape
    found[f"a{layers}/a{layers}"] = _spread(np.full(outputs, arb(1), dtype=object))
    return found | _costs(network)


def _array(matrix: arb_mat) -> Any:
    return np.array(matrix.entries(), dtype=object).reshape(matrix.nrows(), matrix.ncols())


def _spread(per_neuron: Any) -> Any:
    """(D, n) to (D, n, n) with zeros off the diagonal."""
    samples, neurons = per_neuron.shape
    square = np.full((samples, neurons, neurons), arb(0), dtype=object)
    square[:, range(neurons), range(neurons)] = per_neuron
    return square


def _of_one_layer(l: int, network: oracle.BallNetwork, a_previous: Any, w: Any) -> dict[str, Any]:
    """z^l, σ(z^l) and ∂σ(z^l)/∂a^{l-1}."""
    z = a_previous @ w + _array(network.biases[l - 2])
    s, slope = ACTIVATIONS["sigmoid"].balls(list(z.ravel()))
    by_previous = np.array(slope, dtype=object).reshape(z.shape)[:, :, None] * w.T[None]
    return {
        f"z{l}": z,
        f"s{l}": np.array(s, dtype=object).reshape(z.shape),
        f"s{l}/a{l - 1}": by_previous,
    }


def _pushed(source: str, start: int, local: Any, weights: Any, slope: Any) -> dict[str, Any]:
    """∂a^{k}/∂source for the layers k that an equation speaks of, from k = `start` up to N.

    `local` is ∂a^start/∂source, (D, n_start, …).
    """
    layers = max(weights)
    found, jacobian, tail = {}, local, local.shape[2:]
    for k in range(start, layers + 1):
        if k > start:
            flat = jacobian.reshape(*jacobian.shape[:2], -1)
            jacobian = (slope[k][:, :, None] * (weights[k].T[None] @ flat)).reshape(
                len(flat), -1, *tail
            )
        if k <= start + 1 or k == layers:
            found[f"a{k}/{source}"] = jacobian
    return found


def _costs(network: oracle.BallNetwork) -> dict[str, Any]:
    """The cost and its gradient, as the oracle has them."""
    gradient = oracle.gradient(network)
    found: dict[str, Any] = {"cost": np.array(gradient.cost, dtype=object)}
    for l, (w, b) in enumerate(zip(gradient.weights, gradient.biases, strict=True), 2):
        found[f"cost/w{l}"] = _array(w)
        found[f"cost/b{l}"] = _array(b)[0]
    return found
