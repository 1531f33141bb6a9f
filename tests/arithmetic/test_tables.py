"""The tables of activations and costs: an entry each, and the whole product knows them."""

from dataclasses import replace

import numpy as np
import pytest

import crosscheck
from crosscheck.arithmetic.activation_rules import smooth
from crosscheck.arithmetic.activations import ACTIVATIONS, Activation
from crosscheck.arithmetic.costs import COSTS, Cost, Exponents
from crosscheck.arithmetic.promise import Arithmetic
from crosscheck.bounds import float64, reverse, stagewise
from crosscheck.checking.check import Report
from crosscheck.engines import registry
from crosscheck.exact import certificate, oracle
from crosscheck.faults.catalogue.table import CATALOGUE, FaultyEngine
from crosscheck.networks import sampling
from crosscheck.networks.distribution import Distribution
from crosscheck.runs import evaluate
from crosscheck.verdicts.evidence import Evidence
from crosscheck.verdicts.verdict import judge

ARCTAN = Activation(
    function=lambda z: (np.arctan(z), 1 / (1 + z * z)),
    rule=smooth(steepest=1.0, curvature=0.65, roundings=8),
    balls=lambda z: ([x.atan() for x in z], [1 / (1 + x * x) for x in z]),
    torch="torch.atan",
    jax="jax.numpy.arctan",
    plain=np.arctan,
    curvature=lambda z: -2 * z / (1 + z * z) ** 2,
    at_zero=0.0,
)


def error_of_cube(rules, a, error, expected, factor, outputs):
    e = np.zeros(np.shape(a)) if error is None else error
    size = np.abs(a - expected) + rules.evaluation * e
    most = size + e + rules.u * (size + e)
    return 4 * factor * (most**3 - size**3 + 8 * rules.u * most**3) + 8 * rules.eta


def _powers(a, y, n):
    return [(p - q) ** n for p, q in zip(a, y, strict=True)]


FOURTH_POWERS = Cost(
    exponents=Exponents(samples=-1),
    ball_factor=lambda samples, outputs: 1 / oracle.arb(samples),
    slope=lambda a, y: 4 * (a - y) ** 3,
    curvature=lambda a, y: 12 * (a - y) ** 2,
    most=lambda distance, error: (distance + error) ** 4,
    rule=error_of_cube,
    balls=lambda a, y: (_powers(a, y, 4), [2 * cube for cube in _powers(a, y, 3)]),
    torch=lambda a, y: (a - y).square().square().sum(dim=1).mean(),
    jax=lambda a, y: ((a - y) * (a - y) * (a - y) * (a - y)).sum(axis=1).mean(),
    jax_term=lambda a, y: (a - y) * (a - y) * (a - y) * (a - y),
)
ENGINES = ("torch.backward", "torch.forward", "jax.grad", "jax.packed")


def of(**ranges):
    small = {"layers": (2, 4), "widths": (1, 6), "samples": (1, 6), "scales": (1.0,)}
    named = {"hidden": "arctan", "output": "arctan", "cost": "fourth_powers"}
    return Distribution(**{**small, **named, **ranges})


@pytest.fixture(autouse=True)
def entries(monkeypatch):
    monkeypatch.setitem(ACTIVATIONS, "arctan", ARCTAN)
    monkeypatch.setitem(COSTS, "fourth_powers", FOURTH_POWERS)


def by_hand(weights, biases, inputs, targets, factor=1.0):
    """Backpropagation as a user writes it."""
    a, zs = [inputs], []
    for w, b in zip(weights, biases, strict=True):
        zs.append(a[-1] @ w + b)
        a.append(np.arctan(zs[-1]))
    g, by_weight, by_bias = factor * 4 * (a[-1] - targets) ** 3 / len(inputs), [], []
    for k in range(len(weights) - 1, -1, -1):
        delta = g / (1 + zs[k] * zs[k])
        by_weight.insert(0, a[k].T @ delta)
        by_bias.insert(0, delta.sum(0))
        g = delta @ weights[k].T
    return by_weight, by_bias


def checked(gradient) -> Report:
    return crosscheck.check(
        gradient, hidden="arctan", output="arctan", cost="fourth_powers", widths=(1, 6), cases=20
    )


def test_a_right_gradient_by_hand_is_right_and_a_wrong_one_is_named():
    assert checked(by_hand).ok
    report = checked(lambda *numbers: by_hand(*numbers, factor=2.0))
    assert not report.ok
    assert report.diagnosis.fault == "factor 2"


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_every_engine_is_judged_consistent(dtype):
    """Special cases among them, and the ℓ2 bound and stagewise checks."""
    plan = evaluate.Plan(ENGINES, (dtype,), 14, 3, of(), deep="all")
    errors = evaluate.run(plan, evaluate.muster(ENGINES)).errors
    assert set(errors["engine"]) == set(ENGINES)
    assert set(errors["verdict"]) <= {"CONSISTENT", "INCONCLUSIVE"}
    assert (errors["verdict"] == "CONSISTENT").mean() > 0.7
    assert errors["l2_use"].max() <= 1


def case(index=10, dtype="float64"):
    return sampling.draw(of(), 3, index, dtype)


def test_the_oracle_is_certified_and_the_float64_evaluation_lies_within_its_bound():
    for index in range(8, 12):
        assert certificate.certify(case(index)).verdict == "certified"
        exact, trace = oracle.enclose(case(index)), float64.evaluate(case(index))
        limits = reverse.contracted(case(index), trace, Arithmetic("float64"))
        for got, hi, most in zip(trace.tensors(), exact.hi, limits.tensors, strict=True):
            assert np.all(np.abs(got - hi) <= most)


@pytest.mark.parametrize("stage", ["a2", "d2", "d3", "G3"])
def test_a_spoiled_stage_is_named(stage):
    engine = registry.load("torch.backward")
    net, promised = sampling.draw(of(layers=(3, 3)), 0, 9, "float64"), Arithmetic("float64")
    shown = engine.stages(net)
    assert not any(check.broken for check in stagewise.checks(net, shown, promised))
    spoiled = {**shown, stage: shown[stage] * (1 + 1e-13)}
    broken = [c for c in stagewise.checks(net, spoiled, promised) if c.broken]
    assert broken[0].stage == stage


@pytest.mark.parametrize("identity", ["slope-missing", "slope-twice", "slope-of-other", "factor 2"])
def test_a_mistake_is_caught(identity):
    fault = CATALOGUE[identity]
    engine = FaultyEngine(fault, fault.variants[0])
    rows = judge(Evidence(case()), Arithmetic("float64"), engine.gradients(case()))
    assert "DEFECT" in {row["verdict"] for row in rows}


WRONG = {
    "a slope": (ACTIVATIONS, "arctan", lambda z: ([x.atan() for x in z], [1 / (1 + x) for x in z])),
    "a cost": (COSTS, "fourth_powers", lambda a, y: (_powers(a, y, 4), _powers(a, y, 1))),
}


@pytest.mark.parametrize("what", WRONG)
def test_an_entry_that_is_wrong_is_found_out(what, monkeypatch):
    """The sides of an entry share no code: a wrong one is not the derivative of its own cost."""
    table, name, balls = WRONG[what]
    monkeypatch.setitem(table, name, replace(table[name], balls=balls))
    assert certificate.certify(case()).verdict == "failed"
