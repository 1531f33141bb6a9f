"""The binary floating-point formats that cases and engines come in."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class FloatFormat:
    """A binary floating-point format.

    `digits` p counts the significand's bits, the hidden one included; `exponent_min` is the
    exponent of the smallest normal number 2^e_min; `largest` the largest finite number.
    """

    name: str
    digits: int
    exponent_min: int
    largest: float

    @property
    def unit_roundoff(self) -> float:
        """u = 2^-p, the largest relative error of rounding to nearest."""
        return 2.0**-self.digits

    @property
    def smallest_normal(self) -> float:
        return 2.0**self.exponent_min

    @property
    def smallest_subnormal(self) -> float:
        return 2.0 ** (self.exponent_min - self.digits + 1)

    @cached_property
    def numpy(self) -> np.dtype[Any]:
        """The NumPy dtype; bfloat16 is ml_dtypes'."""
        if self.name == "bfloat16":
            import ml_dtypes

            return np.dtype(ml_dtypes.bfloat16)
        return np.dtype(self.name)


FORMATS: Mapping[str, FloatFormat] = {
    "float64": FloatFormat("float64", 53, -1022, float(np.finfo(np.float64).max)),
    "float32": FloatFormat("float32", 24, -126, float(np.finfo(np.float32).max)),
    "float16": FloatFormat("float16", 11, -14, 65504.0),
    "bfloat16": FloatFormat("bfloat16", 8, -126, (2 - 2.0**-7) * 2.0**127),
}
"""The precisions, by the dtype names that cases and rows carry."""
