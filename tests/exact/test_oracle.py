"""The oracle against mpmath, against its own promises, and where it must raise its precision."""

import dataclasses

import mpmath
import numpy as np
import pytest
from flint import arb

from crosscheck.arithmetic.activations import ACTIVATIONS
from crosscheck.exact import oracle
from crosscheck.networks import sampling
from crosscheck.networks.distribution import Distribution
from crosscheck.networks.network import Architecture
from crosscheck.verdicts.evidence import Evidence
from crosscheck.verdicts.measures import flat


def mpmath_cost(case, tensor, entry, shift):
    """The cost with one parameter shifted, from the definition, in mpmath's precision."""
    parameters = [t for pair in zip(case.weights, case.biases, strict=True) for t in pair]
    values = [[mpmath.mpf(float(x)) for x in p.ravel()] for p in parameters]
    values[tensor][entry] += shift
    shapes = case.architecture.weight_shapes
    total = mpmath.mpf(0)
    for x, y in zip(case.inputs, case.targets, strict=True):
        a = [mpmath.mpf(float(v)) for v in x]
        for k, ((n, m), name) in enumerate(zip(shapes, case.architecture.activations, strict=True)):
            w, b = values[2 * k], values[2 * k + 1]
            z = [sum(a[i] * w[i * m + j] for i in range(n)) + b[j] for j in range(m)]
            a = z if name == "identity" else [1 / (1 + mpmath.exp(-v)) for v in z]
        total += sum((v - mpmath.mpf(float(t))) ** 2 for v, t in zip(a, y, strict=True))
    return total / case.samples


@pytest.mark.parametrize("index", [1, 2, 8, 9, 10])
def test_agrees_with_mpmath_to_50_digits(index):
    """mpmath differentiates the cost numerically at 200 digits; no derivative formula enters."""
    case = sampling.draw(Distribution((2, 4), (1, 3), (1, 2)), 5, index, "float64")
    enclosure_bits = 256
    with oracle.working_precision(enclosure_bits):
        balls = oracle.gradient(oracle.BallNetwork.of(case)).tensors()
        compared = 0
        with mpmath.workdps(200):
            for tensor, matrix in enumerate(balls):
                for entry, ball in enumerate(matrix.entries()[:4]):
                    h = mpmath.mpf(10) ** -60
                    up, down = (mpmath_cost(case, tensor, entry, s) for s in (h, -h))
                    derivative = (up - down) / (2 * h)
                    ours = mpmath.mpf(ball.mid().str(70, radius=False))
                    assert abs(ours - derivative) <= abs(derivative) * mpmath.mpf(10) ** -50
                    compared += 1
    assert compared >= 2


@pytest.mark.parametrize("index", range(8, 20))
def test_radius_at_128_bits(index, small):
    """Below 2^-90 of the value, but where residuals cancel."""
    enclosure = oracle.enclose(small(index), 128)
    for hi, radius in zip(enclosure.hi, enclosure.radius, strict=True):
        assert np.all(radius <= 2.0**-90 * np.abs(hi).max() + 2.0**-1070)


def test_precision_doubles_where_targets_cancel_the_output():
    """Targets equal to the rounded output: half the bits of the residual are gone."""
    case = sampling.draw(Distribution((3, 3), (4, 4), (4, 4), "sigmoid"), 0, 20, "float64")
    from crosscheck.bounds import float64

    output = float64.evaluate(case).activations[-1]
    close = dataclasses.replace(case, targets=output)
    at_start = oracle.enclose(close, 64)
    loss = [np.max(r / np.abs(h)) for r, h in zip(at_start.radius, at_start.hi, strict=True)]
    assert max(loss) > 2.0**-40
    evidence = Evidence(close)
    allowed = flat([evidence.bound(evidence.plain).tensors])[0]
    assert evidence.ruler.relative_radii(allowed)[0] <= 2.0**-20


@pytest.mark.parametrize("bits", [64, 128, 512])
@pytest.mark.parametrize("index", [0, 3, 7, 11])
def test_more_bits_lie_within_the_enclosure_of_fewer(bits, index, small):
    case = small(index)
    coarse, fine = oracle.enclose(case, bits), oracle.enclose(case, 2048)
    for hi, lo, radius, h, l, r in zip(
        coarse.hi, coarse.lo, coarse.radius, fine.hi, fine.lo, fine.radius, strict=True
    ):
        distance = np.abs((hi - h) + (lo - l))
        assert np.all(distance <= radius + r + 2.0**-104 * np.abs(hi))


@pytest.mark.parametrize("z", [-700.5, -40.0, -1.5, 0.0, 2.0, 36.0, 800.0])
def test_sigmoid_and_its_derivative_keep_relative_accuracy(z):
    with oracle.working_precision(128):
        (value,), (slope,) = ACTIVATIONS["sigmoid"].balls([arb(z)])
        assert value.rel_accuracy_bits() >= 110
        assert slope.rel_accuracy_bits() >= 110
    with mpmath.workdps(500):
        expected = mpmath.exp(-z) / (1 + mpmath.exp(-z)) ** 2
        assert abs(mpmath.mpf(slope.mid().str(60, radius=False)) / expected - 1) < 1e-30


def test_split_holds_the_ball():
    with oracle.working_precision(400):
        ball = arb(1) / 3 + arb(0, 2.0**-200)
        hi, lo, radius = oracle.split(ball)
        assert hi == pytest.approx(1 / 3, rel=1e-15)
        assert abs(ball - hi - lo) < arb(radius) + arb(2.0**-300)
        assert 0 < radius < 2.0**-100
        assert oracle.split(arb(0)) == (0.0, 0.0, 0.0)
        tiny = oracle.split(arb(2) ** -2000)
        assert tiny[2] > 0


def test_a_tampered_case_is_not_enclosed(small):
    """The enclosure is of this case's gradient and of no other's."""
    case = small(10)
    other = dataclasses.replace(case, targets=case.targets + 0.25)
    ours, theirs = oracle.enclose(case), oracle.enclose(other)
    gaps = [
        np.abs(h - g) > r + s
        for h, g, r, s in zip(ours.hi, theirs.hi, ours.radius, theirs.radius, strict=True)
    ]
    assert all(gap.any() for gap in gaps)


def test_the_working_precision_is_put_back():
    from flint import ctx

    before = ctx.prec
    with pytest.raises(ZeroDivisionError), oracle.working_precision(777):
        raise ZeroDivisionError
    assert ctx.prec == before


@pytest.mark.parametrize("cost", ["half_squared_error", "sum_squared_error", "mean_squared_error"])
def test_other_conventions_are_factors(cost, small):
    case = small(9)
    architecture = dataclasses.replace(case.architecture, cost=cost)
    other = dataclasses.replace(case, architecture=Architecture(**vars(architecture)))
    factor = {
        "half_squared_error": 0.5,
        "sum_squared_error": case.samples,
        "mean_squared_error": 1 / case.architecture.widths[-1],
    }[cost]
    for g, h in zip(oracle.enclose(case).hi, oracle.enclose(other).hi, strict=True):
        np.testing.assert_allclose(h, factor * g, rtol=1e-15)
