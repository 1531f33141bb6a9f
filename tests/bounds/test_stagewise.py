"""Stagewise checks: every operation of every engine that shows its own, each spoiled in turn."""

import dataclasses
from fractions import Fraction

import numpy as np
import pytest

from crosscheck.arithmetic.promise import Arithmetic
from crosscheck.bounds import stagewise
from crosscheck.engines import registry
from crosscheck.networks import sampling
from crosscheck.networks.distribution import Distribution
from crosscheck.networks.network import Architecture
from crosscheck.verdicts.evidence import Evidence
from crosscheck.verdicts.verdict import judge

SHOWING = [name for name in registry.NAMES if hasattr(registry.load(name), "stages")]
ALL = ["float64", "float32", "float16", "bfloat16"]
NET = Distribution((4, 4), (5, 9), (6, 6), "sigmoid", scales=(1.0,))


def test_who_shows_intermediates():
    assert {"paper-contracted", "torch.backward", "jax.grad"} <= set(SHOWING)


@pytest.mark.parametrize("dtype", ALL)
@pytest.mark.parametrize("name", SHOWING)
def test_no_stage_of_a_right_engine_breaks(name, dtype, small):
    """Special cases first: zero weights, width 1, subnormal inputs, saturation."""
    engine = registry.load(name)
    largest, seen = 0.0, set()
    for index in range(14):
        case = small(index, dtype)
        evidence = Evidence(case)
        arithmetic = engine.arithmetic(dtype)
        if evidence.bound(arithmetic).overflow:
            continue
        for check in stagewise.checks(case, engine.stages(case), arithmetic):
            assert not check.broken, (case.id, case.special, check.sentence)
            assert not check.absolute_only
            largest = max(largest, check.use)
            seen.add(check.stage[0])
    assert seen >= set("zaGdwb")
    assert largest > 0.1


@pytest.mark.parametrize("dtype", ALL)
@pytest.mark.parametrize("stage", ["z2", "a2", "z4", "a4", "G4", "d4", "G3", "d3", "w2", "b3"])
def test_the_first_broken_operation_is_named(stage, dtype):
    """One operation off by one part in a hundred: that one is named, and no earlier one."""
    engine = registry.load("paper-contracted")
    case = sampling.draw(NET, 0, 20, dtype)
    shown = dict(engine.stages(case))
    spoiled = shown[stage].copy()
    spoiled *= spoiled.dtype.type(1.125)
    shown[stage] = spoiled
    broken = [c for c in stagewise.checks(case, shown, Arithmetic(dtype)) if c.broken]
    assert broken[0].stage == stage
    assert "is off by" in broken[0].sentence
    assert f"^{stage[1:]}" in broken[0].sentence


def test_the_verdict_names_the_operation():
    case = sampling.draw(NET, 0, 20, "float32")
    engine = registry.load("paper-contracted")
    shown = dict(engine.stages(case))
    shown["d3"] = shown["d3"] * np.float32(1.001)
    rows = judge(Evidence(case), Arithmetic("float32"), engine.gradients(case), stages=shown)
    wrong = {row["tensor"]: row["reason"] for row in rows if row["verdict"] == "DEFECT"}
    assert set(wrong) == {"w2", "b2", "w3", "b3"}
    assert all(r.startswith("at δ^3: the product with σ′ is off by") for r in wrong.values())


def tf32(x):
    """Operands cut to 11 significant bits, as tensor cores read them."""
    mantissa, exponent = np.frexp(x.astype(np.float64))
    return np.ldexp(np.round(np.ldexp(mantissa, 11)), exponent - 11).astype(np.float32)


@pytest.mark.parametrize("stage", ["z3", "G2", "w3"])
def test_one_product_in_tf32_is_found(stage):
    case = sampling.draw(NET, 0, 21, "float32")
    shown = dict(registry.load("paper-contracted").stages(case))
    if stage == "z3":
        shown[stage] = tf32(shown["a2"]) @ tf32(case.weights[1]) + case.biases[1]
    elif stage == "G2":
        shown[stage] = tf32(shown["d3"]) @ tf32(case.weights[1]).T
    else:
        shown[stage] = tf32(shown["a2"]).T @ tf32(shown["d3"])
    broken = [c.stage for c in stagewise.checks(case, shown, Arithmetic("float32")) if c.broken]
    assert broken[0] == stage


def with_sigmoid(case, sigmoid):
    """The stages of a network evaluated in the case's dtype with this sigmoid."""
    shown, a = {}, case.inputs
    one = a.dtype.type(1)
    for layer, (w, b) in enumerate(zip(case.weights, case.biases, strict=True), start=2):
        shown[f"z{layer}"] = z = a @ w + b
        shown[f"a{layer}"] = a = sigmoid(z)
    last = case.architecture.layers
    g = (a - case.targets) * a.dtype.type(2) / a.dtype.type(case.samples)
    for layer in range(last, 1, -1):
        shown[f"G{layer}"] = g
        a = shown[f"a{layer}"]
        shown[f"d{layer}"] = d = g * a * (one - a)
        before = shown.get(f"a{layer - 1}", case.inputs)
        shown[f"w{layer}"], shown[f"b{layer}"] = before.T @ d, d.sum(0)
        g = d @ case.weights[layer - 2].T
    return shown


def by_tanh(z):
    """½ + ½ tanh(z/2): right to 2u absolutely, without relative accuracy for negative z."""
    half = z.dtype.type(0.5)
    return half + half * np.tanh(half * z)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_sigmoid_of_absolute_accuracy_is_suspect_not_wrong(dtype):
    case = sampling.draw(NET, 0, 22, dtype)
    case = dataclasses.replace(case, biases=tuple(b - b.dtype.type(9) for b in case.biases))
    shown = with_sigmoid(case, by_tanh)
    checks = list(stagewise.checks(case, shown, Arithmetic(dtype)))
    assert any(check.absolute_only for check in checks)
    assert not any(check.broken for check in checks)
    from crosscheck.networks.network import Gradients

    weights, biases = ([shown[f"{kind}{l}"] for l in (2, 3, 4)] for kind in "wb")
    for stages in (shown, None):
        rows = judge(
            Evidence(case), Arithmetic(dtype), Gradients(None, weights, biases), stages=stages
        )
        reasons = {row["reason"] for row in rows if row["verdict"] == "SUSPECT"}
        assert reasons == {"sigmoid with absolute accuracy only"}
        assert "DEFECT" not in {row["verdict"] for row in rows}


def test_a_sigmoid_worse_than_that_is_wrong():
    case = sampling.draw(NET, 0, 22, "float32")
    shown = with_sigmoid(case, lambda z: by_tanh(z) + np.float32(1e-5))
    broken = [c.stage for c in stagewise.checks(case, shown, Arithmetic("float32")) if c.broken]
    assert broken[0] == "a2"


@pytest.mark.parametrize("spread", [1.0, 1e30, 1e-200])
@pytest.mark.parametrize("n", [1, 2, 7, 40])
def test_split_products_are_exact_to_their_radius(n, spread):
    rng = np.random.default_rng(n)
    left, right = rng.standard_normal((3, n)) * spread, rng.standard_normal((n, 2))
    bias = rng.standard_normal(2) * spread
    left[0, 0] *= 1e8
    exact = stagewise.split_product(left, right, bias)
    for i in range(3):
        for j in range(2):
            terms = zip(left[i], right[:, j], strict=True)
            true = sum(Fraction(float(x)) * Fraction(float(y)) for x, y in terms)
            true += Fraction(float(bias[j]))
            held = Fraction(float(exact.hi[i, j])) + Fraction(float(exact.lo[i, j]))
            assert abs(true - held) <= Fraction(float(exact.radius[i, j]))
    size = np.abs(left).max(1)[:, None] * np.abs(right).max(0)
    assert np.all(exact.radius <= 2.0**-60 * n**2 * size + 2.0**-1000)


def test_other_activations_are_checked_by_their_own_rules():
    case = sampling.draw(NET, 0, 23, "float64")
    for hidden in ("tanh", "relu"):
        architecture = Architecture(case.architecture.widths, hidden, "identity")
        of = dataclasses.replace(case, architecture=architecture)
        shown = registry.load("torch.backward").stages(of)
        checks = list(stagewise.checks(of, shown, Arithmetic("float64")))
        assert not any(check.broken for check in checks)
        spoiled = {**shown, "d2": shown["d2"] * (1 + 1e-13)}
        assert any(c.broken for c in stagewise.checks(of, spoiled, Arithmetic("float64")))
