"""How a (1 - a) loses its digits where σ saturates: digits left in σ′ against z.

The paper's formula cancels: its relative error grows like u e^z, until a = 1 and it is 0.
σ(z) σ(-z), the same number, keeps all its digits.
"""

import math
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import numpy as np
from flint import arb

from crosscheck.arithmetic.activations import ACTIVATIONS
from crosscheck.arithmetic.formats import FORMATS
from crosscheck.engines.paper import sigma
from crosscheck.exact import oracle
from crosscheck.networks.network import Array
from crosscheck.paper.equations import EQUATIONS
from crosscheck.results.extras import EXTRAS

LARGEST_Z = 40
POINTS_PER_UNIT = 64
"""Points at which each formula is evaluated; a step shows the worst of those around it."""

STEPS_PER_UNIT = 2
BITS = 192

Row = dict[str, Any]


def _printed(z: Array) -> Array:
    """a (1 - a), as S0 prints it."""
    slopes: Array = EQUATIONS["S0"](sigma(z), z.dtype.type(1))
    return slopes


def _stable(z: Array) -> Array:
    """σ(z) σ(-z)."""
    return sigma(z) * sigma(-z)


FORMULAS: Mapping[str, Callable[[Array], Array]] = {"a(1-a)": _printed, "σ(z)σ(-z)": _stable}
LIBRARIES = {
    "PyTorch": "crosscheck.audit.judges.torch",
    "JAX": "crosscheck.audit.judges.jax",
}


def _methods() -> dict[str, Callable[[Array], Array]]:
    """The two formulas, and the libraries that are here."""
    found = dict(FORMULAS)
    for name, module in LIBRARIES.items():
        try:
            found[name] = import_module(module).sigmoid_slopes
        except ModuleNotFoundError as error:
            if (error.name or "").split(".")[0] not in EXTRAS:
                raise
    return found


def exact_slopes(z: Array) -> Array:
    """σ′(z) to float64's last bit, from balls."""
    with oracle.working_precision(BITS):
        _, slopes = ACTIVATIONS["sigmoid"].balls([arb(float(x)) for x in z])
        return np.array([float(slope) for slope in slopes])


def rows() -> list[Row]:
    """A row per precision, method and step of z.

    `digits` is the worst within half a step, `relative_error` that at z itself.
    """
    grid = np.arange(LARGEST_Z * POINTS_PER_UNIT + 1) / POINTS_PER_UNIT
    exact = exact_slopes(grid)
    found: list[Row] = []
    for dtype in ("float32", "float64"):
        z = grid.astype(FORMATS[dtype].numpy)
        for method, slopes in _methods().items():
            error = np.abs(slopes(z).astype(np.float64) - exact) / exact
            found += _steps(dtype, method, error)
    return found


def _steps(dtype: str, method: str, error: Array) -> list[Row]:
    apart = POINTS_PER_UNIT // STEPS_PER_UNIT
    most = FORMATS[dtype].digits * math.log10(2)
    steps = []
    for at in range(0, len(error), apart):
        near = error[max(0, at - apart // 2) : at + apart // 2 + 1]
        steps.append(
            {
                "dtype": dtype,
                "method": method,
                "z": at / POINTS_PER_UNIT,
                "digits": correct_digits(float(near.max()), most),
                "relative_error": float(error[at]),
            }
        )
    return steps


def correct_digits(relative_error: float, most: float) -> float:
    """-log10 of the relative error, between 0 and the format's own digits."""
    if relative_error == 0:
        return most
    return min(most, max(0.0, -math.log10(relative_error)))
