"""Coherent adversarial rounding: every rounding error pushed the same way, in each order.

An evaluation that rounds each operation by a full u, always in the same direction, must stay
within the bound of its order of evaluation, and must use a good part of it: a bound that nothing
comes near would be no bound worth having. Evaluated in float64 with a pretended u of float32, so
that the evaluation's own roundings do not matter.
"""

import numpy as np
import pytest

from crosscheck.arithmetic.formats import FORMATS
from crosscheck.arithmetic.promise import Arithmetic
from crosscheck.bounds import float64, orders
from crosscheck.networks import sampling
from crosscheck.networks.distribution import Distribution

U = FORMATS["float32"].unit_roundoff
TINY = FORMATS["float32"].smallest_normal
NETS = Distribution((2, 5), (1, 12), (1, 12))
WAYS = {
    "up": lambda x: x + U * np.abs(x),
    "down": lambda x: x - U * np.abs(x),
    "away from zero": lambda x: x * (1 + U),
    "towards zero": lambda x: x * (1 - U),
}


class Adversary:
    """Arithmetic that errs by u in each operation, one way; subnormals vanish if it flushes."""

    def __init__(self, way, flushes=False):
        self.push, self.flushes = WAYS[way], flushes

    def r(self, x):
        if self.flushes:
            x = np.where(np.abs(x) < TINY, 0.0, x)
        return self.push(x)

    def read(self, x):
        return np.where(np.abs(x) < TINY, 0.0, x) if self.flushes else x

    def product(self, left, right, bias=None):
        """One term after the other; the bias last."""
        left, right = self.read(left), self.read(right)
        total = self.r(left[..., :, :1] * right[..., :1, :])
        for k in range(1, left.shape[-1]):
            term = self.r(left[..., :, k : k + 1] * right[..., k : k + 1, :])
            total = self.r(total + term)
        return total if bias is None else self.r(total + bias)

    def sigma(self, z):
        """σ with nine tenths of the ten roundings that the bound allows."""
        a = 1 / (1 + np.exp(-z))
        return a + 9 * (self.push(a) - a)

    def slope(self, a, z, stable):
        if stable:
            return self.r(self.sigma(z) * self.sigma(-z))
        return self.r(a * self.r(1 - a))

    def forward(self, case):
        zs, activations = [], [case.inputs.astype(float)]
        for w, b, name in zip(
            case.weights, case.biases, case.architecture.activations, strict=True
        ):
            zs.append(self.product(activations[-1], w.astype(float), b.astype(float)))
            activations.append(zs[-1] if name == "identity" else self.sigma(zs[-1]))
        return zs, activations

    def residual(self, case, a):
        return self.r(2 * self.r(a - case.targets) / case.samples)


def contracted(adversary, case, stable=False):
    zs, activations = adversary.forward(case)
    g, tensors = adversary.residual(case, activations[-1]), []
    for k in range(len(zs) - 1, -1, -1):
        d = g
        if case.architecture.activations[k] != "identity":
            d = adversary.r(g * adversary.slope(activations[k + 1], zs[k], stable))
        ones = np.ones((1, case.samples))
        tensors[:0] = [adversary.product(activations[k].T, d), adversary.product(ones, d)[0]]
        g = adversary.product(d, case.weights[k].astype(float).T)
    return tensors


def stable(adversary, case):
    return contracted(adversary, case, stable=True)


def _sum_last(adversary, case, jacobian, residual, a):
    """Σ_i Σ_j residual × Jacobian (D, n_N, n_l) × a, one term after the other."""
    terms = adversary.r(residual[:, :, None] * jacobian).reshape(-1, jacobian.shape[2])
    repeated = np.repeat(a, residual.shape[1], axis=0)
    ones = np.ones((1, len(terms)))
    return [adversary.product(repeated.T, terms), adversary.product(ones, terms)[0]]


def literal(adversary, case):
    zs, activations = adversary.forward(case)
    residual = adversary.residual(case, activations[-1])
    n = case.architecture.widths[-1]
    jacobian, tensors = np.broadcast_to(np.eye(n), (case.samples, n, n)), []
    for k in range(len(zs) - 1, -1, -1):
        if case.architecture.activations[k] != "identity":
            s = adversary.slope(activations[k + 1], zs[k], False)
            jacobian = adversary.r(jacobian * s[:, None])
        tensors[:0] = _sum_last(adversary, case, jacobian, residual, activations[k])
        jacobian = adversary.product(jacobian, case.weights[k].astype(float).T)
    return tensors


def forward(adversary, case):
    zs, activations = adversary.forward(case)
    residual = adversary.residual(case, activations[-1])
    slopes = [
        None if name == "identity" else adversary.slope(activations[k + 1], zs[k], False)
        for k, name in enumerate(case.architecture.activations)
    ]
    tensors = []
    for k in range(len(zs)):
        n = case.architecture.widths[k + 1]
        tangent = np.broadcast_to(np.eye(n), (case.samples, n, n))
        for later in range(k, len(zs)):
            if later > k:
                tangent = adversary.product(tangent, case.weights[later].astype(float))
            if slopes[later] is not None:
                tangent = adversary.r(tangent * slopes[later][:, None])
        tensors += _sum_last(adversary, case, tangent.transpose(0, 2, 1), residual, activations[k])
    return tensors


ORDERS = {"contracted": (contracted, stable), "literal": (literal,), "forward": (forward,)}
TRIALS = [(order, evaluation) for order, all_of in ORDERS.items() for evaluation in all_of]


def cancelling(index):
    """A net whose outputs cancel: pairs of output neurons with opposite weights and residuals."""
    case = sampling.draw(Distribution((3, 3), (8, 8), (4, 4), "identity"), 5, index, "float32")
    w, b, y = (x.copy() for x in (case.weights[1], case.biases[1], case.targets))
    w[:, 4:], b[4:] = -w[:, :4] * np.float32(1 + 2**-20), -b[:4]
    y[:, 4:] = -y[:, :4]
    import dataclasses

    return dataclasses.replace(
        case, weights=(case.weights[0], w), biases=(case.biases[0], b), targets=y
    )


def use_of(order, evaluation, case, adversary):
    """Largest error over bound in any entry, against the exact gradient in float64."""
    trace = float64.evaluate(case)
    limits = orders.for_order(case, trace, Arithmetic("float32", order, flushes=adversary.flushes))
    if limits.overflow:
        return 0.0
    with np.errstate(all="ignore"):
        computed = evaluation(adversary, case)
        uses = [
            np.abs(c - t) / b
            for c, t, b in zip(computed, trace.tensors(), limits.tensors, strict=True)
        ]
    return max(float(np.nanmax(use)) for use in uses)


@pytest.mark.parametrize(("order", "evaluation"), TRIALS, ids=lambda x: getattr(x, "__name__", x))
def test_no_coherent_rounding_breaks_the_bound_of_its_order(order, evaluation):
    uses = [
        use_of(order, evaluation, sampling.draw(NETS, 4, index, "float32"), Adversary(way))
        for index in range(40)
        for way in WAYS
    ]
    assert max(uses) <= 1
    assert max(uses) >= 0.1


@pytest.mark.parametrize(("order", "evaluation"), TRIALS, ids=lambda x: getattr(x, "__name__", x))
def test_nor_where_outputs_cancel(order, evaluation):
    uses = [
        use_of(order, evaluation, cancelling(i), Adversary(way))
        for i in range(20, 40)
        for way in WAYS
    ]
    assert max(uses) <= 1
    assert max(uses) >= 0.1


@pytest.mark.parametrize(("order", "evaluation"), TRIALS, ids=lambda x: getattr(x, "__name__", x))
def test_nor_where_subnormals_vanish(order, evaluation):
    """Inputs, and in saturation everything else, small enough to be flushed."""
    specials = [
        sampling.draw(NETS, seed, index, "float32") for seed in range(6) for index in (6, 7)
    ]
    assert {case.special for case in specials} == {"subnormal inputs", "saturated"}
    uses = [
        use_of(order, evaluation, case, Adversary(way, flushes=True))
        for case in specials
        for way in WAYS
    ]
    assert max(uses) <= 1


def test_the_contracted_bound_is_too_small_for_a_carried_jacobian():
    """Why each order has its own: where outputs cancel, the literal order passes the other's B."""
    assert (
        max(
            use_of("contracted", literal, cancelling(i), Adversary(way))
            for i in range(20, 40)
            for way in WAYS
        )
        > 1
    )


def test_twice_the_rounding_would_be_noticed(monkeypatch):
    """The trial can say no: four units of roundoff in each operation break the bound."""
    monkeypatch.setitem(WAYS, "up", lambda x: x + 8 * U * np.abs(x))
    assert (
        max(
            use_of("contracted", contracted, sampling.draw(NETS, 4, i, "float32"), Adversary("up"))
            for i in range(40)
        )
        > 1
    )
