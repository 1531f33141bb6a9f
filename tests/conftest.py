"""Cases that many tests share; hypothesis runs the same examples every time."""

import numpy as np
import pytest
from hypothesis import settings
from support import invented

from crosscheck.networks import sampling
from crosscheck.networks.distribution import Distribution
from crosscheck.networks.network import Architecture, Case
from crosscheck.results import finished
from crosscheck.runs.output import folder

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


@pytest.fixture(scope="session")
def made():
    """made(…) is a finished run of invented numbers, for what knows rows only.

    Each tensor has an error that depends on its case, and rounding noise that depends on
    `kernel`; `shift` (bits, a function of engine and index) is added to the log₂ of the errors.
    """
    return invented.run


@pytest.fixture
def put(tmp_path):
    """put(run) writes a finished run into a new folder, sealed, and returns the folder."""

    def written(run, name="run"):
        place = tmp_path / name
        place.mkdir()
        frames = {"errors": run.errors, "cases": run.cases, "pairs": run.pairs}
        folder.write(place, frames, run.record)
        finished.seal(place)
        return place

    return written
