"""The contracted composition as fast as NumPy goes: the sums of `backprop.contracted`, in place.

Large arrays are mapped afresh at each allocation, and the page faults cost half as much as the
products. So the intermediates live in buffers that a plan owns and uses again. The gradients
handed out are the caller's: no later call touches them while anything refers to them.
"""

from collections.abc import Sequence
from functools import lru_cache
from threading import get_ident
from typing import Any

import numpy as np

from crosscheck.networks.buffers import LEAST_KEPT, kept
from crosscheck.networks.network import Array
from crosscheck.paper.composition import Composed

CACHED_PLANS = 32
"""Plans kept; each holds two arrays of shape (D, n_l) a layer."""


LEAST_BY_COLUMNS = 512
"""Width from which on a hidden layer's buffers lie by columns in float32, where it is more than D.

What a BLAS takes transposed it has to copy: for δ wᵀ the weights, but for its transpose w δᵀ only
δ, which is smaller. OpenBLAS is slow at that in float32, and at 1024 wide a gradient wins 2 %; in
float64 it would lose as much.
"""


def room(samples: int, n: int, dtype: np.dtype[Any]) -> Array:
    """A buffer (D, n) for a hidden layer."""
    if dtype == np.float32 and n >= LEAST_BY_COLUMNS and n > samples:
        return np.empty((n, samples), dtype).T
    return np.empty((samples, n), dtype)


def _multiply(one: Array, other: Array, into: Array) -> None:
    """A product of matrices, into a buffer by rows or by columns."""
    if into.flags.c_contiguous:
        one.dot(other, into)
    else:
        other.T.dot(one.T, into.T)


class GradientBuffers:
    """Buffers for networks of one shape, and the gradient computed in them."""

    def __init__(self, widths: Sequence[int], samples: int, dtype: np.dtype[Any]) -> None:
        hidden = widths[1:-1]
        self.activations, self.deltas = ([room(samples, n, dtype) for n in hidden] for _ in "ad")
        # The output meets the targets, which lie by rows.
        self.activations.append(np.empty((samples, widths[-1]), dtype))
        self.deltas.append(np.empty((samples, widths[-1]), dtype))
        self.ones = np.ones(samples, dtype)
        # Arrays without axes: NumPy takes them at half the cost of its scalars.
        self.one = np.ones((), dtype)
        self.scale = np.array(dtype.type(2) / dtype.type(samples))
        self.shown: dict[str, Array] | None = None

    def _show(self, name: str, array: Array) -> None:
        """Keep a copy of an intermediate, where somebody asked to see them."""
        if self.shown is not None:
            self.shown[name] = array.copy()

    def _forward(
        self, weights: Sequence[Array], biases: Sequence[Array], inputs: Array, linear: bool
    ) -> None:
        """N2 at each layer, as 1 / (1 + exp(-b - a w)): one buffer, no temporary."""
        a = inputs
        for k, (w, b) in enumerate(zip(weights, biases, strict=True)):
            z = self.activations[k]
            _multiply(a, w, z)
            if linear and k == len(weights) - 1:
                z += b
                self._show(f"z{k + 2}", z)
            else:
                np.subtract(-b, z, z)
                if self.shown is not None:
                    self._show(f"z{k + 2}", -z)
                np.exp(z, z)
                np.add(z, self.one, z)
                np.divide(self.one, z, z)
            self._show(f"a{k + 2}", z)
            a = z

    def _times_derivative(self, delta: Array, a: Array) -> None:
        """G2 in place: delta becomes delta a (1 - a), and the buffer of a is spent."""
        delta *= a
        np.subtract(self.one, a, a)
        delta *= a

    def gradient(
        self,
        weights: Sequence[Array],
        biases: Sequence[Array],
        inputs: Array,
        expected: Array,
        linear: bool,
    ) -> Composed:
        """Cost and gradients; `linear` for the reading `identity`. Shapes as in Case.

        `activations` is left empty: the buffers are spent on the way back.
        """
        self._forward(weights, biases, inputs, linear)
        delta = self.deltas[-1]
        np.subtract(self.activations[-1], expected, delta)
        cost = np.vdot(delta, delta) / delta.dtype.type(len(expected))
        delta *= self.scale
        self._show(f"G{len(weights) + 1}", delta)
        if not linear:
            self._times_derivative(delta, self.activations[-1])
        by_weight, by_bias = [], []
        for k in range(len(weights) - 1, -1, -1):
            self._show(f"d{k + 2}", delta)
            a_previous = self.activations[k - 1] if k else inputs
            w = weights[k]
            into = kept.empty(w.shape, w.dtype) if w.nbytes >= LEAST_KEPT else None
            by_weight.append(a_previous.T.dot(delta, into))
            by_bias.append(self.ones.dot(delta))
            if k:
                pulled_back = self.deltas[k - 1]
                _multiply(delta, w.T, pulled_back)
                self._show(f"G{k + 1}", pulled_back)
                self._times_derivative(pulled_back, a_previous)
                delta = pulled_back
        return Composed(cost, by_weight[::-1], by_bias[::-1], [])


@lru_cache(maxsize=CACHED_PLANS)
def plan_of(
    widths: tuple[int, ...], samples: int, dtype: np.dtype[Any], thread: int
) -> GradientBuffers:
    """The buffers of a thread for networks of one shape, made once."""
    return GradientBuffers(widths, samples, dtype)


def gradient(
    weights: Sequence[Array],
    biases: Sequence[Array],
    inputs: Array,
    expected: Array,
    linear: bool,
) -> Composed:
    """`Plan.gradient` with the plan for these shapes, kept from earlier calls in this thread.

    Overflow of the exponential is part of the formula (1 / ∞ = 0) and raises no warning; nor do
    numbers that are none, which the gradients show.
    """
    widths = (inputs.shape[1], *[w.shape[1] for w in weights])
    plan = plan_of(widths, len(inputs), inputs.dtype, get_ident())
    with np.errstate(over="ignore", invalid="ignore"):
        return plan.gradient(weights, biases, inputs, expected, linear)


def stages(
    weights: Sequence[Array],
    biases: Sequence[Array],
    inputs: Array,
    expected: Array,
    linear: bool,
) -> dict[str, Array]:
    """The intermediates of the same operations: z, a, G = ∂cost/∂a, δ as "d", and w, b."""
    plan = GradientBuffers(
        (inputs.shape[1], *[w.shape[1] for w in weights]), len(inputs), inputs.dtype
    )
    plan.shown = {}
    with np.errstate(over="ignore", invalid="ignore"):
        composed = plan.gradient(weights, biases, inputs, expected, linear)
    for k, (w, b) in enumerate(zip(composed.weights, composed.biases, strict=True)):
        plan.shown |= {f"w{k + 2}": w, f"b{k + 2}": b}
    return plan.shown
