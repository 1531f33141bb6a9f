"""Distances in ulps against hand-computed ones and NumPy's spacing."""

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from crosscheck.arithmetic.formats import FORMATS
from crosscheck.verdicts import ulp


@given(st.floats(-(2.0**1023), 2.0**1023))
def test_ulp_is_the_spacing_of_float64(x):
    assert ulp.ulp(np.array(x), FORMATS["float64"]) == np.spacing(abs(x))


@given(st.floats(-(2.0**127), 2.0**127, width=32))
def test_ulp_is_the_spacing_of_float32(x):
    assert ulp.ulp(np.array(x), FORMATS["float32"]) == np.spacing(np.float32(abs(x)))


@pytest.mark.parametrize(
    ("x", "name", "expected"),
    [
        (1.0, "float16", 2.0**-10),
        (0.0, "float16", 2.0**-24),
        (1.5, "bfloat16", 2.0**-7),
        (3.0, "float32", 2.0**-22),
        (1e-40, "float32", 2.0**-149),
    ],
)
def test_hand_computed(x, name, expected):
    assert ulp.ulp(np.array(x), FORMATS[name]) == expected


def test_distances_are_real_numbers():
    assert ulp.in_ulps(np.array(2.0**-53), np.array(1.0), FORMATS["float64"]) == 0.5


def test_effective_bits():
    of = FORMATS["float32"]
    assert ulp.effective_bits([2.0**-11, 0.0, 3.0, 0.75], of) == [11, 24, 0, -math.log2(0.75)]
    assert math.isnan(*ulp.effective_bits([float("nan")], of))
