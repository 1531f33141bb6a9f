"""The bound against exact rational arithmetic, and against evaluations in every order."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given, strategies as st

from crosscheck.arithmetic import rounding_rules
from crosscheck.arithmetic.activation_rules import growth_of
from crosscheck.arithmetic.activations import ACTIVATIONS
from crosscheck.arithmetic.promise import Arithmetic
from crosscheck.bounds import float64, reverse
from crosscheck.networks import sampling
from crosscheck.networks.distribution import Distribution
from crosscheck.networks.network import Architecture, Case

SIGMOID = ACTIVATIONS["sigmoid"]
F32 = rounding_rules.rules_of(Arithmetic("float32"))


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
    error = F32.product(left, right, a.astype(float) @ b.astype(float))
    most = F32.most_of(left, right)
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
    error = F32.product(F32.known(a, None), F32.known(b, None), a @ b)
    assert np.all(error <= 1.01 * 20 * 2.0**-24 * (a @ b))


@given(st.floats(-300, 300), st.floats(0, 5))
def test_sigmoid_rule_covers_the_ball(z, e):
    """σ anywhere in z ± e, to 10 u, and both forms of σ′, lie within the rule."""
    from scipy.special import expit

    array = np.array([z])
    a, slope = SIGMOID.evaluate(array)
    with np.errstate(all="ignore"):
        layer = SIGMOID.rule(F32, array, np.array([e]), a, slope)
    for x in np.linspace(z - e, z + e, 9):
        for wiggle in (-9 * 2.0**-24, 9 * 2.0**-24):
            computed = expit(x) * (1 + wiggle)
            assert abs(computed - a[0]) <= layer.error[0]
            for s in (computed * (1 - computed), expit(x) * expit(-x) * (1 + wiggle)):
                assert abs(s - slope[0]) <= layer.slope.error[0] * (1 + 1e-9)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("hidden", ["sigmoid", "tanh", "relu"])
def test_the_float64_evaluation_errs_by_a_share_of_a_narrower_bound(hidden, dtype):
    """B(c u) <= ρ c B(u), in every stratum: what a reference takes its radius from."""
    shares, kinks = [], 0
    for index in range(40):
        case = sampling.draw(Distribution(hidden=hidden, output="sigmoid"), 0, index, dtype)
        trace = float64.evaluate(case)
        wide = reverse.contracted(case, trace, Arithmetic(dtype))
        fine = reverse.contracted(case, trace, Arithmetic("float64"))
        radius = reverse.of_evaluation(case, wide)
        shares += [np.max(b / r) for b, r in zip(fine.tensors, radius, strict=True) if r.all()]
        kinks += any(wide.kinks)
    assert max(shares) <= 1
    assert np.median(shares) > 0.4
    assert (kinks > 0) == (hidden == "relu")


def test_where_errors_of_z_are_large_the_share_grows():
    """L(E) = s m / (1 + min(a, 1-a) m) with m = e^E - 1 is concave: ρ is what that costs."""
    z = np.array([0.0, 3.0, 40.0])
    a, s = SIGMOID.evaluate(z)
    for e in (0.1, 1.0, 5.0, 20.0):
        wide, fine = (
            SIGMOID.rule(F32, z, np.full(3, of), a, s).error - F32.u * 10 * a
            for of in (e, e * 2.0**-20)
        )
        floor = 2 * F32.eta + 1 / F32.largest
        ratio = np.max((fine - floor) / (2.0**-20 * wide))
        assert ratio <= growth_of(SIGMOID.concave, e) * (1 + 1e-5)
        assert e < 1 or ratio > 1 + e * e / 100


def test_the_rules_of_several_arithmetics_are_those_of_each(small):
    """One pass for all gives what a pass for each gives."""
    plain, flushing = Arithmetic("float32"), Arithmetic("float32", flushes=True)
    for index, kinds in product(range(12), ([plain, flushing], [flushing, Arithmetic("float64")])):
        case = small(index, "float32")
        trace = float64.evaluate(case)
        together = reverse.by_rules(
            case, trace, rounding_rules.Together.of([rounding_rules.rules_of(k) for k in kinds])
        )
        for found, kind in zip(together, kinds, strict=True):
            alone = reverse.contracted(case, trace, kind)
            assert (found.overflow, found.kinks) == (alone.overflow, alone.kinks)
            for one, other in zip(found.tensors, alone.tensors, strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-12)


def test_a_wider_accumulator_has_rules_of_its_own():
    wider = rounding_rules.rules_of(Arithmetic("float32", accumulate="float64"))
    with pytest.raises(ValueError, match="wider accumulator"):
        rounding_rules.Together.of([F32, wider])


def test_flushing_costs_where_operands_are_subnormal():
    """x = 1e-39 read as zero against w = 1000 is off by 1e-36, beyond 2 n η by far."""
    rules = rounding_rules.rules_of(Arithmetic("float32", flushes=True))
    x, w = np.array([[1e-39]]), np.array([[1000.0]])
    error = rules.product(rules.known(x, None), rules.known(w, None), x @ w)
    assert error[0, 0] >= 1e-36
    plain = F32.product(F32.known(x, None), F32.known(w, None), x @ w)
    assert plain[0, 0] < 1e-36


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_permuted_computation_stays_within(dtype):
    """Neurons and samples in another order round differently, and stay within the bound."""
    from crosscheck.networks.network import Gradients
    from crosscheck.paper import fast
    from crosscheck.verdicts.evidence import Evidence
    from crosscheck.verdicts.verdict import judge

    for index in range(8, 14):
        case = sampling.draw(Distribution((3, 3), (2, 30), (2, 30), "sigmoid"), 2, index, dtype)
        rng = np.random.default_rng(index)
        rows, hidden = rng.permutation(case.samples), rng.permutation(case.architecture.widths[1])
        composed = fast.gradient(
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


def linear(inputs, targets, *layers):
    """A network of identities, of these (weights, biases)."""
    weights, biases = ([np.array(x, float) for x in of] for of in zip(*layers, strict=True))
    widths = (weights[0].shape[0], *(w.shape[1] for w in weights))
    return Case(
        Architecture(widths, hidden="identity"),
        "float64",
        0,
        0,
        tuple(weights),
        tuple(biases),
        np.array(inputs, float),
        np.array(targets, float),
    )


SIGNS = (-1.0) ** np.arange(30)
CANCELLING = {
    "forward": linear(
        np.full((1, 30), 2.0**510),
        [[0.3]],
        (2.0**507.5 * SIGNS[:, None], [0.0]),
        ([[2.0**-1000]], [1.0]),
    ),
    "backward": linear(
        [[2.0**-300]],
        [[-(2.0**498)]],
        ([[2.0**-700]], [0.0]),
        (2.0**520 * SIGNS[None], np.zeros(30)),
        (np.ones((30, 1)), [0.0]),
    ),
}


@pytest.mark.parametrize("name", CANCELLING)
def test_errors_near_the_largest_number_are_no_overflow(name):
    """Sums that cancel, with an E above 2^971: nothing passes f_max, so B must be finite."""
    case = CANCELLING[name]
    for together in (False, True):
        rules = [rounding_rules.rules_of(Arithmetic("float64"))] * (1 + together)
        of = rounding_rules.Together.of(rules) if together else rules[0]
        for found in reverse.by_rules(case, float64.evaluate(case), of):
            assert found.overflow is None
            assert all(np.isfinite(tensor).all() for tensor in found.tensors)
            assert max(float(tensor.max()) for tensor in found.tensors) > 2.0**400


def test_rules_that_take_operands_apart_or_together_agree():
    for dtype in ("float32", "float64"):
        plain = rounding_rules.rules_of(Arithmetic(dtype))
        for index in range(20):
            case = sampling.draw(Distribution(), 1, index, dtype)
            trace = float64.evaluate(case)
            quick = reverse.by_rules(case, trace, plain)[0]
            overflow = reverse.Overflow(plain, trace.unscaled)
            with np.errstate(all="ignore"):
                apart = reverse.by_rules_apart(case, trace, plain, overflow)[0]
            for one, other in zip(quick.tensors, apart.tensors, strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-310)
