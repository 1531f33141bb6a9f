"""The bound against exact rational arithmetic, and against evaluations in every order."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, strategies as st

from crosscheck import bound, orders, reference, sampling
from crosscheck.arithmetic import Arithmetic
from crosscheck.distribution import Distribution

F32 = bound.Rules(Arithmetic("float32"))


def exact_product(a, b):
    return [
        [
            sum(Fraction(float(x)) * Fraction(float(y)) for x, y in zip(row, col, strict=True))
            for col in b.T
        ]
        for row in a
    ]


@given(st.integers(0, 10**6), st.integers(1, 40), st.sampled_from([1.0, 1e3, 1e-3]))
def test_product_rule_holds_for_every_order(seed, n, spread):
    """Sums in random order, in pairs, and NumPy's own lie within the rule; compared exactly."""
    rng = np.random.default_rng(seed)
    a = (rng.standard_normal((2, n)) * spread).astype(np.float32)
    b = rng.standard_normal((n, 2)).astype(np.float32)
    left, right = (F32.known(x.astype(float), None) for x in (a, b))
    error, most = F32.product(left, right, a.astype(float) @ b.astype(float))
    exact = exact_product(a, b)
    order = rng.permutation(n)
    for computed in (a @ b, _one_by_one(a[:, order], b[order]), _in_pairs(a, b)):
        for i in range(2):
            for j in range(2):
                off = abs(Fraction(float(computed[i, j])) - exact[i][j])
                assert off <= Fraction(float(error[i, j]))
                assert abs(float(computed[i, j])) <= most[i, j] + error[i, j]


def _one_by_one(a, b):
    total = np.zeros((len(a), b.shape[1]), np.float32)
    for k in range(a.shape[1]):
        total += a[:, k : k + 1] * b[k : k + 1]
    return total


def _in_pairs(a, b):
    terms = [a[:, k : k + 1] * b[k : k + 1] for k in range(a.shape[1])]
    while len(terms) > 1:
        terms = [sum(terms[k + 1 : k + 2], terms[k]) for k in range(0, len(terms), 2)]
    return terms[0]


def test_product_rule_is_not_vacuous():
    """A perturbation of n u |A||B| + a little lies beyond it."""
    rng = np.random.default_rng(0)
    a, b = rng.random((3, 20)), rng.random((20, 3))
    error, most = F32.product(F32.known(a, None), F32.known(b, None), a @ b)
    assert np.all(error <= 1.01 * 20 * 2.0**-24 * most)


@given(st.floats(-300, 300), st.floats(0, 5))
def test_sigmoid_rule_covers_the_ball(z, e):
    """σ anywhere in z ± e, to 10 u, and both forms of σ′, lie within the rule."""
    from scipy.special import expit

    array = np.array([z])
    a, slope = reference.ACTIVATIONS["sigmoid"](array)
    layer = bound.ACTIVATIONS["sigmoid"](F32, array, np.array([e]), a, slope)
    for x in np.linspace(z - e, z + e, 9):
        for wiggle in (-9 * 2.0**-24, 9 * 2.0**-24):
            computed = expit(x) * (1 + wiggle)
            assert abs(computed - a[0]) <= layer.error[0]
            for s in (computed * (1 - computed), expit(x) * expit(-x) * (1 + wiggle)):
                assert abs(s - slope[0]) <= layer.slope.error[0] * (1 + 1e-9)


@pytest.mark.parametrize("order", ["contracted", "literal", "forward"])
def test_bound_grows_with_the_unit_roundoff(order, small):
    """B(c u) <= c B(u): what lets the float64 reference take its radius from the same pass."""
    for index in (8, 9, 10, 11):
        case = small(index, "float32")
        trace = reference.evaluate(case)
        (rule,) = orders.RULES[order]
        wide = rule(case, trace, Arithmetic("float32"))
        fine = rule(case, trace, Arithmetic("float64"))
        for b32, b64 in zip(wide.tensors, fine.tensors, strict=True):
            assert np.all(b64 <= 2.0**-29 * b32)


def test_flushing_costs_where_operands_are_subnormal():
    """x = 1e-39 read as zero against w = 1000 is off by 1e-36, beyond 2 n η by far."""
    rules = bound.Rules(Arithmetic("float32", flushes=True))
    x, w = np.array([[1e-39]]), np.array([[1000.0]])
    error, _ = rules.product(rules.known(x, None), rules.known(w, None), x @ w)
    assert error[0, 0] >= 1e-36
    plain, _ = F32.product(F32.known(x, None), F32.known(w, None), x @ w)
    assert plain[0, 0] < 1e-36


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_permuted_computation_stays_within(dtype):
    """Neurons and samples in another order round differently, and stay within the bound."""
    from crosscheck.paper import contracted_numpy
    from crosscheck.values import Gradients
    from crosscheck.verdict import Evidence, judge

    for index in range(8, 14):
        case = sampling.draw(Distribution((3, 3), (2, 30), (2, 30), "sigmoid"), 2, index, dtype)
        rng = np.random.default_rng(index)
        rows, hidden = rng.permutation(case.samples), rng.permutation(case.architecture.widths[1])
        composed = contracted_numpy.gradient(
            [case.weights[0][:, hidden], case.weights[1][hidden]],
            [case.biases[0][hidden], case.biases[1]],
            case.inputs[rows],
            case.targets[rows],
            False,
        )
        back = np.argsort(hidden)
        gradients = Gradients(
            None,
            [composed.weights[0][:, back], composed.weights[1][back]],
            [composed.biases[0][back], composed.biases[1]],
        )
        verdicts = {r["verdict"] for r in judge(Evidence(case), Arithmetic(dtype), gradients)}
        assert "DEFECT" not in verdicts
