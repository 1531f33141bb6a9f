"""The fixture `gradcheck` in a test of one's own: it fails with the message of the report."""

import numpy as np


def energy(x):
    return np.sum(x**4) / 4


def force(x):
    return x**3


def test_the_force_is_the_gradient_of_the_energy(gradcheck):
    gradcheck(energy, np.linspace(-1, 2, 7), gradient=force)
