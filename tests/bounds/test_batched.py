"""Many networks at once give what each alone gives, and say where they cannot."""

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from crosscheck.arithmetic import rounding_rules
from crosscheck.arithmetic.promise import Arithmetic
from crosscheck.bounds import float64, reverse
from crosscheck.bounds.fast import batched, batched_rules
from crosscheck.networks import sampling
from crosscheck.networks.distribution import Distribution
from crosscheck.verdicts import verdict
from crosscheck.verdicts.evidence import Evidence, prepare

CASES = 60


def drawn(dtype, hidden, output, **ranges):
    of = Distribution(hidden=hidden, output=output, **ranges)
    return [sampling.draw(of, 0, index, dtype) for index in range(CASES)]


def rules(dtype):
    return [
        rounding_rules.rules_of(Arithmetic(dtype)),
        rounding_rules.rules_of(Arithmetic(dtype, flushes=True)),
    ]


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize(
    ("hidden", "output"), [("sigmoid", "identity"), ("sigmoid", "sigmoid"), ("tanh", "tanh")]
)
def test_bounds_and_gradients_are_those_of_each_network_alone(dtype, hidden, output):
    cases = drawn(dtype, hidden, output)
    told = 0
    for case, found in zip(cases, batched.evaluate(cases, rules(dtype)), strict=True):
        trace, least = float64.evaluate(case), {}
        alone = reverse.by_rules(case, trace, rounding_rules.Together.of(rules(dtype)), least)
        if found is None:  # 16-bit numbers are soon near the largest
            assert dtype == "float16" or alone[0].growth > 1.1 or alone[0].overflow
            continue
        told += 1
        # Noted are weights and biases together, and the biases' column of ones counts as well.
        assert set(found.least) == (set(least) if dtype == "float64" else set())
        for name, of in least.items() if dtype == "float64" else ():
            together = "gradient of w", "gradient of b"
            if name.startswith(together):
                of = min(least[start + name[len(start) :]] for start in together)
            assert found.least[name] == pytest.approx(of, rel=1e-11)
        for one, other in zip(found.bounds, alone, strict=True):
            assert other.overflow is None
            assert one.growth == pytest.approx(other.growth)
            for x, y in zip(one.tensors, other.tensors, strict=True):
                np.testing.assert_allclose(x, y, rtol=1e-11)
        radius = reverse.contracted(case, trace, Arithmetic("float64")).tensors
        for x, y, r in zip(found.gradient, trace.tensors(), radius, strict=True):
            assert np.all(np.abs(x - y) <= 2 * r)
    assert told > (0 if dtype == "float16" else CASES * 0.9)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_number_depends_on_the_neighbours(dtype):
    cases = drawn(dtype, "sigmoid", "sigmoid")
    whole = batched.evaluate(cases, rules(dtype))
    for places in ([3], [40, 8, 21], range(59, 19, -3)):
        for place, found in zip(
            places, batched.evaluate([cases[i] for i in places], rules(dtype)), strict=True
        ):
            assert found is not None
            for one, other in zip(found.bounds, whole[place].bounds, strict=True):
                for x, y in zip(one.tensors, other.tensors, strict=True):
                    np.testing.assert_array_equal(x, y)
            for x, y in zip(found.gradient, whole[place].gradient, strict=True):
                np.testing.assert_array_equal(x, y)


def test_what_is_negligible_is_added_to_all_entries_and_the_rest_is_left():
    """E is never below what it was with the addition, entry by entry, and no share above 2^-40."""
    shapes = batched_rules.Shapes([(2, 2), (1, 3), (2, 1)])
    before = np.array([3.0, 1.0, 2.0, 8.0, 1e-30, 5.0, 5.0, 1.0, np.inf])
    error, most = before.copy(), np.array([2.0**-40, 1e-25, 0.0])
    assert batched_rules.add_negligible(error, shapes, most) == [1]
    np.testing.assert_array_equal(error[:4], before[:4] + 2.0**-40)
    np.testing.assert_array_equal(error[4:], before[4:])
    doubtful = batched_rules.add_negligible(error, shapes, np.array([np.nan, np.inf, 1.0]))
    assert doubtful == [0, 1, 2]


def test_threads_that_learn_factors_together_find_what_one_finds():
    """The factors of sums are kept for the whole process: each thread asks for other numbers."""
    cases = [
        drawn("float32", "sigmoid", "identity")[begin : begin + 8] for begin in (8, 16, 24, 32)
    ]
    alone = [batched.evaluate(of, rules("float32")) for of in cases]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(len(cases)) as threads:
            for _ in range(40):
                batched_rules.rounding_of.cache_clear()
                for many, one in zip(threads.map(evaluated, cases), alone, strict=True):
                    for found, wanted in zip(many, one, strict=True):
                        np.testing.assert_array_equal(found.gradient.flat, wanted.gradient.flat)
                        for b, c in zip(found.bounds, wanted.bounds, strict=True):
                            np.testing.assert_array_equal(b.tensors.flat, c.tensors.flat)
    finally:
        sys.setswitchinterval(before)


def evaluated(cases):
    return batched.evaluate(cases, rules("float32"))


def test_a_network_that_may_overflow_is_left_to_the_bound_alone():
    case = drawn("float32", "sigmoid", "identity")[20]
    huge = tuple(w * np.float32(1e37) for w in case.weights)
    large = replace(case, weights=huge)
    assert reverse.contracted(large, float64.evaluate(large), Arithmetic("float32")).overflow
    first, second = batched.evaluate([large, case], rules("float32"))
    assert first is None
    assert second is not None


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_prepared_evidence_judges_as_evidence_by_itself(dtype):
    """The same verdicts; the float64 reference of a narrower format differs by its rounding."""
    from crosscheck.engines import registry

    engine = registry.load("paper-contracted")
    promise = engine.arithmetic(dtype)
    cases = drawn(dtype, "sigmoid", "both")
    together = [Evidence(case, [promise]) for case in cases]
    prepare(together)
    for case, evidence in zip(cases, together, strict=True):
        gradients = engine.gradients(case)
        prepared = verdict.judge(evidence, promise, gradients)
        alone = verdict.judge(Evidence(case), promise, gradients)
        for one, other in zip(prepared, alone, strict=True):
            assert (one["verdict"], one["reason"]) == (other["verdict"], other["reason"])
            assert one["bound_use"] == pytest.approx(other["bound_use"], abs=1e-9)
