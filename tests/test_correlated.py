"""Errors by their symbols: coefficients by hand and by trial, and no rounding beyond them.

Adversaries of `test_adversarial` round coherently, and here at random too; each order's limit,
and each sum of entries, must hold for all of them.
"""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from test_adversarial import NETS as NARROW, ORDERS, WAYS, Adversary, U, cancelling

from crosscheck import (
    combining,
    correlated,
    deviations,
    orders,
    pulled_back,
    reference,
    refutation,
    sampling,
)
from crosscheck.arithmetic import Arithmetic
from crosscheck.distribution import Distribution
from crosscheck.engines import names
from crosscheck.engines.interface import Unsupported
from crosscheck.evidence import Evidence
from crosscheck.values import Architecture, Case

TRIALS = [(order, run) for order, all_of in ORDERS.items() for run in all_of]


def analysed(case, order="contracted", flushes=False):
    """A case's symbols for an order; None where there is a hindrance."""
    arithmetic = Arithmetic(case.dtype, order, flushes)
    trace = reference.evaluate(case)
    limits = {
        one: orders.for_order(case, trace, replace(arithmetic, order=one), True)
        for one in orders.NAMES[order]
    }
    if correlated.hindrance(case, arithmetic, limits):
        return None
    return correlated.analyse(case, trace, arithmetic, limits)


def uses(of, errors, room, rng):
    """The largest use of a limit by an entry, and by a sum: λ at random, and searched for."""
    alone, together = [], []
    for which, (error, slack) in enumerate(zip(errors, room, strict=True)):
        for order in of.orders:
            limit = of.limit(which, order)
            use = (np.abs(error) - slack).ravel() / limit.ravel()
            alone.append(use.max())
            entries = np.argsort(-use)[:40]
            system = refutation._system(of, which, order, error, slack, entries)
            with np.errstate(over="ignore"):
                signs = np.sign(system.errors) / (system.magnitudes + system.local)
            weights = [rng.standard_normal(len(entries)), signs]
            together += [combining.use(w, system) for w in weights]
            together.append(combining.best(system))
    return max(alone), float(np.nanmax(together))


class Erratic(Adversary):
    """Errors as large, each of a sign at random."""

    def __init__(self, seed, flushes=False):
        self.rng, self.flushes = np.random.default_rng(seed), flushes

    def push(self, x):
        return x + U * np.abs(x) * self.rng.choice((-1, 1), np.shape(x))

    def sigma(self, z):
        a = 1 / (1 + np.exp(-z))
        return a + 9 * U * a * self.rng.choice((-1, 1), np.shape(a))


def by_weights(adversary, case):
    """Forward mode with a tangent for each weight, which carries the activation from the start."""
    zs, activations = adversary.forward(case)
    residual = adversary.residual(case, activations[-1])
    names_of = case.architecture.activations
    slopes = [
        None if name == "identity" else adversary.slope(activations[k + 1], zs[k], False)
        for k, name in enumerate(names_of)
    ]
    tensors = []
    for k in range(len(zs)):
        m, t = case.architecture.widths[k : k + 2]
        ones = np.ones((case.samples, 1))
        for factors in (activations[k], ones):
            seed = factors[:, :, None, None] * np.eye(t)
            tangent = seed.reshape(case.samples, -1, t)
            for later in range(k, len(zs)):
                if later > k:
                    tangent = adversary.product(tangent, case.weights[later].astype(float))
                if slopes[later] is not None:
                    tangent = adversary.r(tangent * slopes[later][:, None])
            terms = adversary.r(residual[:, None] * tangent).transpose(0, 2, 1)
            flat = terms.reshape(-1, terms.shape[2])
            total = adversary.product(np.ones((1, len(flat))), flat)[0]
            tensors.append(total.reshape(m, t) if factors is not ones else total)
    return tensors


def trial(order, run, case, adversary, rng):
    """Uses by an evaluation in float64 with a pretended u; (0, 0) where nothing is claimed."""
    of = analysed(case, order, adversary.flushes)
    if of is None:
        return 0.0, 0.0
    exact = reference.evaluate(case).tensors()
    with np.errstate(all="ignore"):
        errors = [c - t for c, t in zip(run(adversary, case), exact, strict=True)]
    return uses(of, errors, [np.abs(t) * 2.0**-45 for t in exact], rng)


WORSE = [*TRIALS, ("forward", by_weights)]
EVERYONE = [*map(Adversary, WAYS), Erratic(1), Erratic(2)]


@pytest.mark.parametrize(("order", "run"), WORSE, ids=lambda x: getattr(x, "__name__", x))
@pytest.mark.parametrize("nets", ["any", "cancelling"])
def test_no_roundings_are_beyond_what_roundings_add_up_to(order, run, nets):
    rng = np.random.default_rng(0)
    draw = {"any": lambda i: sampling.draw(NARROW, 4, i, "float32"), "cancelling": cancelling}
    cases = [draw[nets](index) for index in range(20, 40)]
    found = [trial(order, run, case, who, rng) for case in cases for who in EVERYONE]
    assert np.max(found) <= 1
    assert np.max(found, axis=0).min() >= 0.1


@pytest.mark.parametrize(("order", "run"), WORSE, ids=lambda x: getattr(x, "__name__", x))
def test_nor_where_subnormals_vanish(order, run):
    rng = np.random.default_rng(0)
    specials = [
        sampling.draw(NARROW, seed, index, "float32") for seed in range(6) for index in (6, 7)
    ]
    assert {case.special for case in specials} == {"subnormal inputs", "saturated"}
    who = [*(Adversary(way, flushes=True) for way in WAYS), Erratic(3, flushes=True)]
    assert max(max(trial(order, run, case, one, rng)) for case in specials for one in who) <= 1


def test_four_times_the_rounding_would_be_noticed(monkeypatch):
    """The trial can say no."""
    monkeypatch.setitem(WAYS, "up", lambda x: x + 8 * U * np.abs(x))
    rng = np.random.default_rng(0)
    cases = [sampling.draw(NARROW, 4, i, "float32") for i in range(20, 40)]
    contracted = ORDERS["contracted"][0]
    found = [trial("contracted", contracted, case, Adversary("up"), rng) for case in cases]
    assert np.min(np.max(found, axis=0)) > 1


def test_a_carried_jacobian_is_beyond_the_contracted_order():
    """Why each order has its own: of one sample, δ carried makes rows proportional."""
    rng = np.random.default_rng(0)
    one = Distribution((3, 3), (24, 24), (1, 1), "identity", scales=(1.0,))
    literal = ORDERS["literal"][0]
    cases = [sampling.draw(one, 0, i, "float32") for i in range(20, 26)]
    found = [trial("contracted", literal, case, Erratic(1), rng) for case in cases]
    assert np.max(found) > 1


RIGHT = ["paper", "paper-contracted", "paper-stable", "torch.backward", "torch.forward"]
KINDS = [
    ("sigmoid", "identity", "squared_error"),
    ("sigmoid", "sigmoid", "mean_squared_error"),
    ("tanh", "tanh", "half_squared_error"),
    ("relu", "sigmoid", "sum_squared_error"),
    ("identity", "relu", "squared_error"),
]


@pytest.mark.parametrize(("hidden", "output", "cost"), KINDS)
@pytest.mark.parametrize("name", RIGHT)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_right_engine_is_beyond(name, dtype, hidden, output, cost):
    """In its own order and in any: special cases, Xavier weights and those times 5 and 20."""
    try:
        engine = names.load(name)
    except Unsupported:
        pytest.skip(f"{name} is not installed")
    rng = np.random.default_rng(0)
    of = Distribution((2, 5), (1, 16), (1, 16), output, hidden=hidden, cost=cost)
    if not engine.supports(Architecture((2, 2), hidden, output, cost), dtype):
        pytest.skip("the paper speaks of sigmoids")
    found = []
    for index in range(24):
        case = sampling.draw(of, 7, index, dtype)
        evidence, gradients = Evidence(case), engine.gradients(case)
        exact = evidence.enclosure
        for order in (engine.arithmetic(dtype).order, "either"):
            symbols = analysed(case, order, engine.arithmetic(dtype).flushes)
            if symbols is None:
                continue
            errors = [
                (got.astype(float) - hi) - lo
                for got, hi, lo in zip(gradients.tensors(), exact.hi, exact.lo, strict=True)
            ]
            best = uses(symbols, errors, exact.radius, rng) if order != "either" else (0, 0)
            tries = [
                refutation.attempt(symbols, which, error, room)
                for which, (error, room) in enumerate(zip(errors, exact.radius, strict=True))
            ]
            assert not any(one.proved for one in tries)
            found.append(max(best))
    assert len(found) > 20
    assert 0 < max(found) <= 1


def tiny():
    """1-1 and one sample: z = 0, a = 1/2, σ′ = 1/4, G = 1, δ = 1/4."""
    one = np.ones((1, 1))
    return Case(
        Architecture((1, 1), "sigmoid", "sigmoid"),
        "float32",
        0,
        0,
        (one,),
        (-np.ones(1),),
        one,
        0 * one,
    )


def test_a_coefficient_a_symbol_by_hand():
    """err = σ′ e_G + G e_σ′, with e_G = 2 e_a + ρ_G, e_a = σ′ ρ_z + ρ_a and dσ′/da = 0 at 1/2.

    ρ_z is 2u + u (2 + 0)/2 = 3u for x w + b = 1 - 1; ρ_a is 10u a + 2u = 7u; ρ_σ′, where it is
    taken from z, 20u σ′ = 5u; ρ_G is 2u (a - y) + 4u G = 5u. So the coefficients are
    2 σ′² 3u = 3u/8, 2 σ′ 7u = 7u/2 and 5u/4 of G; 0, by its own ρ_z, and 5u of σ′. Local: 3 + 4
    roundings of δ as a product with σ′ and the cost's factor, 4 where the gradient is scaled, and
    one of the product: 12u/4.
    """
    of = analysed(tiny())
    (order,) = of.orders
    for which in (0, 1):
        row = np.abs(of.coefficients(which, order, np.array([0])))[0] / U
        np.testing.assert_allclose(row, [3 / 8, 7 / 2, 5 / 4, 0, 5], rtol=1e-5)
        np.testing.assert_allclose(order.local[which].ravel() / U, 3, rtol=1e-5)


STEP = 1e-7
SLOPES = {"sigmoid": lambda a: a * (1 - a), "tanh": lambda a: 1 - a**2}


def moved(case, signs):
    """a^1 … a^N and σ′ of each layer, with z, a and σ′ moved by STEP × their signs."""
    a, slopes = [case.inputs.astype(float)], []
    for w, b, name, moves in zip(
        case.weights, case.biases, case.architecture.activations, signs, strict=True
    ):
        z = a[-1] @ w.astype(float) + b.astype(float) + STEP * moves[0]
        exact = reference.ACTIVATIONS[name](z)[0]
        a.append(exact + STEP * moves[1])
        slopes.append(SLOPES[name](exact) + STEP * moves[2])
    return a, slopes


def nudged(case, k, passes):
    """The float64 gradient of w^(k + 2) and b^(k + 2): each use is of an evaluation of its own."""
    residual, activation, *slopes = (moved(case, signs) for signs in passes)
    d = 2 * reference.cost_scale(case) * (residual[0][-1] - case.targets)
    for later in range(len(case.weights) - 1, k - 1, -1):
        d = d * slopes[later][1][later]
        if later > k:
            d = d @ case.weights[later].astype(float).T
    return activation[0][k].T @ d, d.sum(0)


def signs_of(case, k, passes):
    """The signs of the symbols of δ^(k + 2), and of a^(k + 1), in their order; 0 of r and G."""
    residual, activation, *slopes = passes

    def chain(signs, last, kind):
        return [m for one in signs[:last] for m in one[:2]] + [signs[last][0], signs[last][kind]]

    top = len(case.weights) - 1
    delta = [*chain(residual, top, 1), 0 * residual[top][0]]
    for later in range(top, k - 1, -1):
        delta += chain(slopes[later], later, 2)
        delta += [0 * residual[later - 1][0]] if later > k else []
    return [
        np.concatenate(of, axis=1) if of else np.zeros((case.samples, 0))
        for of in (delta, chain(activation, k - 1, 1) if k else [])
    ]


@pytest.mark.parametrize("hidden", ["sigmoid", "tanh"])
@pytest.mark.parametrize("index", [20, 21, 22])
def test_errors_that_were_put_in_are_the_sum_of_their_symbols(hidden, index, monkeypatch):
    """With all radii the same: to first order the gradient moves by Σ c ε, signs and all."""
    of = Distribution((4, 4), (2, 4), (1, 3), hidden, hidden=hidden, scales=(1.0,))
    case = sampling.draw(of, 1, index, "float32")
    real = deviations.appended
    for module in (deviations, pulled_back):
        monkeypatch.setattr(
            module, "appended", lambda columns, radius: real(columns, np.full_like(radius, STEP))
        )
    found, rng = analysed(case), np.random.default_rng(index)
    exact = reference.evaluate(case).tensors()
    shapes = [(3, case.samples, width) for width in case.architecture.widths[1:]]
    for k in range(len(case.weights)):
        passes = [[rng.choice((-1.0, 1.0), shape) for shape in shapes] for _ in range(5)]
        delta, activation = signs_of(case, k, passes)
        by_weight = np.concatenate([delta, activation], axis=1)
        for which, got, signs in zip(
            (2 * k, 2 * k + 1), nudged(case, k, passes), (by_weight, delta), strict=True
        ):
            rows = found.coefficients(which, found.orders[0], np.arange(got.size))
            room = 1e-4 * np.abs(rows).sum(1)
            error = (got - exact[which]).ravel()
            np.testing.assert_array_less(np.abs(error - rows @ signs.ravel()), room)


def recomputed(adversaries, case):
    """δ carried backward; residual, slopes and the last activation of an evaluation each."""
    first, second, third = adversaries
    (_, a), (zs, b), (_, c) = (one.forward(case) for one in adversaries)
    g, tensors = first.residual(case, a[-1]), []
    for k in range(len(zs) - 1, -1, -1):
        d = g
        if case.architecture.activations[k] != "identity":
            d = first.r(g * second.slope(b[k + 1], zs[k], False))
        ones = np.ones((1, case.samples))
        tensors[:0] = [third.product(c[k].T, d), first.product(ones, d)[0]]
        g = first.product(d, case.weights[k].astype(float).T)
    return tensors


@pytest.mark.parametrize("order", ["contracted", "either"])
@pytest.mark.parametrize("output", ["identity", "sigmoid"])
def test_a_network_may_be_evaluated_more_than_once(order, output):
    """A compiler may form one sum in two loops, and a user may recompute the forward pass."""
    of, rng = Distribution((2, 5), (1, 4), (1, 2), output), np.random.default_rng(0)
    found = []
    for index in range(60, 100):
        case = sampling.draw(of, 3, index, "float32")
        for ways in product(("up", "down"), repeat=3):
            who = [Adversary(way) for way in ways]
            found.append(trial(order, lambda _, c, who=who: recomputed(who, c), case, who[0], rng))
    assert np.max(found) <= 1
    assert np.max(found) >= 0.5


def test_the_limit_is_never_above_b_and_often_far_below():
    ratios = []
    for index in range(8, 40):
        case = sampling.draw(Distribution(widths=(1, 32), samples=(1, 16)), 0, index, "float32")
        of = analysed(case, "either")
        for which, order in ((w, o) for w in range(len(case.weights) * 2) for o in of.orders):
            ratios.append((of.limit(which, order) / order.allowed[which]).ravel())
    every = np.concatenate(ratios)
    assert every.max() <= 1
    assert np.median(every) < 0.85
    assert np.min([np.median(one) for one in ratios]) < 0.2


def test_what_is_not_tried_has_a_name(small, monkeypatch):
    plain = Arithmetic("float32")
    case = small(20, "float32")
    trace = reference.evaluate(case)
    limits = {"contracted": orders.for_order(case, trace, plain, True)}
    assert correlated.hindrance(case, plain, limits) == ""

    def named(arithmetic=plain, **changed):
        changes = {"contracted": replace(limits["contracted"], **changed)}
        return correlated.hindrance(case, arithmetic, changes)

    assert named(Arithmetic("float32", accumulate="float64")) == "a wider accumulator"
    assert named(overflow="z3") == "overflow"
    assert named(kinks=[0, 0, 2, 2]) == "kinks"
    assert named(growth=3.0) == "errors that grow"
    infinite = limits["contracted"].tensors.times(np.inf)
    assert named(tensors=infinite) == "an infinite bound"
    monkeypatch.setattr(correlated, "LARGEST", 1)
    assert named() == "size"
