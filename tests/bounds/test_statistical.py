"""The ℓ2 bound: its Jacobians against finite differences, and what it suspects."""

from dataclasses import replace

import numpy as np
import pytest

from crosscheck.arithmetic import rounding_rules
from crosscheck.arithmetic.activations import ACTIVATIONS
from crosscheck.arithmetic.promise import Arithmetic
from crosscheck.bounds import float64, orders, reverse, statistical
from crosscheck.bounds.statistical import Sensitivities
from crosscheck.engines import registry
from crosscheck.networks import sampling
from crosscheck.networks.distribution import Distribution
from crosscheck.networks.network import Gradients
from crosscheck.verdicts.evidence import Evidence
from crosscheck.verdicts.verdict import judge

F32 = Arithmetic("float32")
NET = Distribution((4, 4), (2, 4), (1, 3), "sigmoid", scales=(1.0,))


def perturbed(case, layer, sample, neuron, dz):
    """The float64 gradient of w^l, b^l with one z^layer moved by dz."""
    a = [case.inputs.astype(float)]
    for k, (w, b) in enumerate(zip(case.weights, case.biases, strict=True)):
        z = a[-1] @ w.astype(float) + b.astype(float)
        if k + 2 == layer:
            z[sample, neuron] += dz
        a.append(1 / (1 + np.exp(-z)))
    g, tensors = 2 * (a[-1] - case.targets) / case.samples, []
    for k in range(len(case.weights) - 1, -1, -1):
        d = g * a[k + 1] * (1 - a[k + 1])
        tensors[:0] = [a[k].T @ d, d.sum(0)]
        g = d @ case.weights[k].astype(float).T
    return tensors


@pytest.mark.parametrize("index", [20, 21, 22])
def test_forward_roundings_enter_by_their_exact_jacobians(index, monkeypatch):
    """With every rounding but those of z^l at zero, the variance is Σ (∂g/∂z c_z)²; numerically."""
    case = sampling.draw(NET, 1, index, "float32")
    trace = float64.evaluate(case)
    exact = replace(ACTIVATIONS["sigmoid"], roundings=0)
    monkeypatch.setitem(ACTIVATIONS, "sigmoid", exact)
    unit = 1.0

    def only_z(rules, left, right, bias=None):
        value = left @ right
        return np.full(value.shape, unit if bias is not None else 0.0)

    monkeypatch.setattr(statistical, "local_product", only_z)
    monkeypatch.setattr(rounding_rules.Rules, "gamma", lambda self, k: 0.0)
    monkeypatch.setattr(rounding_rules.Rules, "residual", lambda self, d, *rest: 0 * d)
    monkeypatch.setattr(statistical, "confidence", lambda entries: 0.0)
    ours = statistical.standard_deviations(case, trace, F32)
    expected = [np.zeros(t.shape) for t in ours]
    h = 1e-5
    for layer in range(2, case.architecture.layers + 1):
        for sample in range(case.samples):
            for neuron in range(case.architecture.widths[layer - 1]):
                up, down = (perturbed(case, layer, sample, neuron, s) for s in (h, -h))
                for total, p, q in zip(expected, up, down, strict=True):
                    total += ((p - q) / (2 * h)) ** 2
    for deviation, total in zip(ours, expected, strict=True):
        np.testing.assert_allclose(deviation, np.sqrt(total), rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
@pytest.mark.parametrize("name", ["paper", "paper-contracted", "paper-stable", "torch.backward"])
def test_right_engines_are_not_suspected(name, dtype, small):
    engine = registry.load(name)
    for index in range(16):
        case = small(index, dtype)
        rows = judge(Evidence(case), engine.arithmetic(dtype), engine.gradients(case), deep=True)
        assert {row["verdict"] for row in rows} <= {"CONSISTENT", "INCONCLUSIVE"}
        assert all(row["checks"] == "B, ℓ2" for row in rows)


def test_biased_arithmetic_is_suspected():
    """float64 gradients each off by 20 u the same way: within B, and beyond independent errors."""
    suspected = 0
    for index in range(20, 30):
        case = sampling.draw(
            Distribution((5, 5), (8, 20), (20, 40), scales=(1.0,)), 0, index, "float64"
        )
        g = registry.load("paper-contracted").gradients(case)
        factor = 1 + 1e-13
        biased = Gradients(None, [w * factor for w in g.weights], [b * factor for b in g.biases])
        rows = judge(Evidence(case), Arithmetic("float64"), biased, deep=True)
        suspected += any(row["verdict"] in ("SUSPECT", "DEFECT") for row in rows)
        assert all(row["l2_use"] > 1 for row in rows if row["verdict"] == "SUSPECT")
    assert suspected >= 8


def test_it_is_sharper_than_b_in_deep_nets():
    ratios = []
    for index in range(20, 30):
        case = sampling.draw(
            Distribution((5, 6), (16, 32), (16, 32), scales=(1.0,)), 0, index, "float32"
        )
        trace = float64.evaluate(case)
        limits = reverse.contracted(case, trace, F32).tensors
        l2 = Sensitivities.of(case, trace, F32, limits).l2
        ratios += [np.median(s / b) for s, b in zip(l2, limits, strict=True)]
    assert np.median(ratios) < 0.25


def test_literal_order_is_allowed_more():
    """Where the literal order's B is larger, so is its ℓ2 bound, in the same proportion."""
    case = sampling.draw(Distribution((4, 4), (8, 16), (8, 16), "identity"), 0, 24, "float32")
    trace = float64.evaluate(case)
    plain, literal = (
        rule(case, trace, F32).tensors for rule in (reverse.contracted, orders.literal)
    )
    ours = Sensitivities.of(case, trace, F32, plain).l2
    wide = Sensitivities.of(case, trace, F32, literal).l2
    for o, w, p, b in zip(ours, wide, plain, literal, strict=True):
        np.testing.assert_allclose(w / o, np.maximum(1, b / p), rtol=1e-12)


def chopped(x, bits):
    mantissa, exponent = np.frexp(x.astype(np.float64))
    return np.ldexp(np.round(np.ldexp(mantissa, bits)), exponent - bits)


@pytest.mark.parametrize("bits", [11, 17, 24])
def test_precision_seen(bits):
    """Products whose operands have so many bits show about that roundoff, whatever is claimed."""
    seen = []
    for index in range(20, 40):
        case = sampling.draw(
            Distribution((3, 5), (8, 32), (8, 32), "identity", scales=(1.0,)), 0, index, "float32"
        )
        a = [case.inputs.astype(float)]
        weights = [w.astype(float) for w in case.weights]
        for k, (w, b) in enumerate(zip(weights, case.biases, strict=True)):
            z = chopped(a[-1], bits) @ chopped(w, bits) + b
            a.append(z if k == len(weights) - 1 else 1 / (1 + np.exp(-z)))
        g, by_weight, by_bias = 2 * (a[-1] - case.targets) / case.samples, [], []
        for k in range(len(weights) - 1, -1, -1):
            d = g if k == len(weights) - 1 else g * a[k + 1] * (1 - a[k + 1])
            by_weight.insert(0, (chopped(a[k], bits).T @ chopped(d, bits)).astype(np.float32))
            by_bias.insert(0, d.sum(0).astype(np.float32))
            g = chopped(d, bits) @ chopped(weights[k], bits).T
        rows = judge(Evidence(case), F32, Gradients(None, by_weight, by_bias), deep=True)
        seen += [row["roundoff_bits"] for row in rows]
    assert abs(np.nanmedian(seen) - bits) < 2.5
