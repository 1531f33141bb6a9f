"""Sums of entries: what a certificate proves, and that a bad λ proves nothing."""

import numpy as np
import pytest

from crosscheck import combining
from crosscheck.combining import System


def system(errors, coefficients, local):
    errors, coefficients, local = (np.array(x, float) for x in (errors, coefficients, local))
    return System(errors, coefficients, local, np.abs(coefficients).sum(1), 0 * errors)


APART = system([1, -1], [[1], [1]], [0.1, 0.1])
"""Both errors may be ±1, but by one rounding: not of different signs."""


def test_two_entries_prove_what_neither_does_alone():
    for one in ([1, 0], [0, 1]):
        assert combining.use(np.array(one, float), APART) == pytest.approx(1 / 1.1)
    assert combining.use(np.array([1.0, -1.0]), APART) == pytest.approx(2 / 0.2)
    assert combining.best(APART) > 1


def test_what_roundings_can_make_is_never_disproved():
    """Errors made of symbols at their largest, and λ at random or searched for."""
    rng = np.random.default_rng(0)
    best = []
    for _ in range(300):
        entries, symbols = rng.integers(1, 9), rng.integers(1, 30)
        coefficients = rng.standard_normal((entries, symbols)) * 10 ** rng.uniform(-3, 3, symbols)
        local = 10 ** rng.uniform(-6, 0, entries)
        epsilon, own = (rng.choice((-1, 1), n) for n in (symbols, entries))
        made = system(coefficients @ epsilon + local * own, coefficients, local)
        weights = rng.standard_normal((20, entries)) * 10 ** rng.uniform(-6, 6, (20, entries))
        best += [combining.best(made), *(combining.use(w, made) for w in weights)]
    assert 0.9 < max(best) <= 1


def test_the_search_comes_near_the_linear_program():
    """min s with |err - C ε| <= s local and |ε| <= s, of which λ is the dual."""
    from scipy.optimize import linprog

    rng = np.random.default_rng(1)
    for _ in range(20):
        errors, matrix = rng.standard_normal(6), rng.standard_normal((6, 20))
        local = rng.uniform(0.1, 1, 6)
        count = matrix.shape[1]
        eye, ones = np.eye(count), np.ones((count, 1))
        above = np.vstack(
            [
                np.hstack([matrix, -local[:, None]]),
                np.hstack([-matrix, -local[:, None]]),
                np.hstack([eye, -ones]),
                np.hstack([-eye, -ones]),
            ]
        )
        most = np.concatenate([errors, -errors, np.zeros(2 * count)])
        cost = np.append(np.zeros(count), 1)
        bounds = [(None, None)] * count + [(0, None)]
        best = linprog(cost, A_ub=above, b_ub=most, bounds=bounds).fun
        found = combining.best(system(errors, matrix, local))
        assert found <= best * (1 + 1e-6)
        assert found >= 0.9 * best


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0, 1e-300])
def test_a_bad_weight_claims_nothing(bad):
    made = system([1, 1], [[1], [1]], [0.1, 0.1])
    assert not combining.use(np.array([bad, 1.0]), made) > 1
    assert not combining.use(np.full(2, bad), made) > 1


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0])
def test_a_search_that_goes_wrong_claims_nothing(bad, monkeypatch):
    monkeypatch.setattr(combining, "_reweighted", lambda *rest: np.full(2, bad))
    assert not combining.best(APART) > 1


def test_float64_itself_is_allowed_for():
    """λ = 1, -1 makes symbols of 2^60 cancel; what float64 rounds there proves nothing."""
    large = system([1.0, 0.0], [[2.0**60], [2.0**60 + 2**9]], [0.0, 0.0])
    exact = system([1.0, 0.0], [[2.0**3], [2.0**3]], [0.0, 0.0])
    weights = np.array([1.0, -1.0])
    assert not combining.use(weights, large) > 1
    assert combining.use(weights, exact) > 1


def test_products_that_vanish_claim_nothing():
    """In units of the least float64: 2.52 and 1.35 + 1.35 read 3 and 1 + 1."""
    made = system([0.84], [[0.45]], [0.45])
    assert combining.use(np.array([1.0]), made) == pytest.approx(0.84 / 0.9)
    for least in (3 * 5e-324, 7 * 5e-324, 1e-310):
        assert not combining.use(np.array([least]), made) > 1
