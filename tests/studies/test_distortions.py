"""The distortions: each is what it says, of the size it says, and no entry of the catalogue."""

import numpy as np
import pytest

from crosscheck.engines import registry
from crosscheck.networks import sampling
from crosscheck.networks.distribution import Distribution
from crosscheck.studies.power.mistakes import distortions

RIGHT = registry.load("paper-contracted")
ALL = [(sort, size) for sort in distortions.SORTS for size in distortions.SIZES]


def net(index, dtype="float64"):
    return sampling.draw(Distribution((3, 5), (2, 7), (2, 7), scales=(1.0,)), 0, index, dtype)


def tensors(sort, size, index, number=0):
    case = net(index)
    wrong = distortions.DistortedEngine(RIGHT, sort, size, number).gradients(case).tensors()
    return RIGHT.gradients(case).tensors(), wrong


@pytest.mark.parametrize(("sort", "size"), ALL)
def test_the_change_is_of_the_size_that_is_said(sort, size):
    changes = []
    for index in range(8, 28):
        right, wrong = tensors(sort, size, index)
        change = np.sqrt(sum(np.sum((w - r) ** 2) for w, r in zip(wrong, right, strict=True)))
        changes.append(change / np.sqrt(sum(np.sum(r**2) for r in right)))
    assert size / 5 < np.median(changes) < 2 * size


@pytest.mark.parametrize(("sort", "size"), ALL)
def test_no_factor_is_common_to_two_networks(sort, size):
    """Otherwise it would be a mistake of scale."""
    ratios = []
    for index in (8, 9):
        right, wrong = tensors(sort, size, index)
        ratios.append(np.concatenate([(w / r).ravel() for w, r in zip(wrong, right, strict=True)]))
    assert np.ptp(np.concatenate(ratios)) > size / 100
    assert abs(np.median(ratios[0]) - np.median(ratios[1])) > 1e-12


@pytest.mark.parametrize("sort", distortions.SORTS)
def test_the_same_case_is_distorted_in_the_same_way(sort):
    _, one = tensors(sort, 0.1, 9)
    _, again = tensors(sort, 0.1, 9)
    _, other = tensors(sort, 0.1, 9, number=1)
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(one, other, strict=True) if a.size > 1)


def test_a_rotation_keeps_the_norms_of_columns():
    right, wrong = tensors("rows rotated", 1.0, 9)
    for r, w in zip(right, wrong, strict=True):
        assert np.allclose(np.linalg.norm(w, axis=0), np.linalg.norm(r, axis=0), rtol=1e-12)


def test_what_is_added_has_rank_one():
    right, wrong = tensors("a matrix of rank one added", 0.1, 9)
    for r, w in zip(right[0::2], wrong[0::2], strict=True):
        values = np.linalg.svd(w - r, compute_uv=False)
        assert np.isclose(values[0], 0.1 * np.linalg.norm(r))
        assert np.all(values[1:] < 1e-12 * values[0])


def test_a_wave_over_the_layers_is_one_factor_in_each_layer():
    right, wrong = tensors("a wave over the layers", 0.1, 9)
    factors = [w.ravel() / r.ravel() for r, w in zip(right, wrong, strict=True)]
    assert all(np.ptp(f) < 1e-12 for f in factors)
    assert np.allclose([f[0] for f in factors[0::2]], [f[0] for f in factors[1::2]])
