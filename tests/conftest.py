"""Cases that many tests share; hypothesis runs the same examples every time."""

import numpy as np
import pytest
from hypothesis import settings

from crosscheck import sampling
from crosscheck.values import Architecture, Case, Distribution

settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=25)
settings.load_profile("repeatable")

SMALL = Distribution(widths=(1, 8), samples=(1, 8))
"""Small architectures of all depths, with the special cases first."""


@pytest.fixture(scope="session")
def small():
    """small(index, dtype) is a case of the small distribution."""
    return lambda index, dtype="float64", output=None: sampling.draw(SMALL, 0, index, dtype, output)


@pytest.fixture(scope="session")
def mazur():
    """M. Mazur, *A Step by Step Backpropagation Example* (2015): 2-2-2, D = 1, σ everywhere."""
    return Case(
        Architecture((2, 2, 2), "sigmoid", "sigmoid"),
        "float64",
        0,
        0,
        (np.array([[0.15, 0.25], [0.20, 0.30]]), np.array([[0.40, 0.50], [0.45, 0.55]])),
        (np.full(2, 0.35), np.full(2, 0.60)),
        np.array([[0.05, 0.10]]),
        np.array([[0.01, 0.99]]),
    )
