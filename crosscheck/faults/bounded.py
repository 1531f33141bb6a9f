"""Arrays that carry a bound of their rounding errors: running error analysis by operators.

A gradient is a composition of a table of equations, and those run on whatever has operators. On
`Bounded` arrays any table, a wrong one too, yields its gradient together with a bound of what
an engine's evaluation of the same table may be off by, by the rules of `bound` (Higham,
*Accuracy and Stability of Numerical Algorithms*, 2nd ed., section 3.3).

The values are float64, or double-doubles (xprec) where the question is what is exactly true.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from crosscheck import activation_rules, rounding_rules
from crosscheck.arithmetic import Arithmetic
from crosscheck.formats import FORMATS
from crosscheck.values import Array

VALUE_ROUNDOFF = {"float64": 2.0**-53, "ddouble": 2.0**-100}
"""Unit roundoff of the number types that values come in; xprec's is some units above 2^-104."""


@lru_cache
def _name(dtype: Any) -> str:
    """The dtype's name, which NumPy is slow to spell."""
    return str(dtype)


class Bounded:
    """An array of exact numbers, known by `value` and by `error`, E of an engine's evaluation.

    `error` >= |computed by the engine - exact|, float64, of the shape of `value`. The value's
    own distance from exact is `doubt`, which is E in the value's roundoff.
    """

    __array_ufunc__ = None  # so that ndarray * Bounded asks Bounded

    def __init__(self, value: Any, error: Array, rules: rounding_rules.Rules) -> None:
        self.value, self.error, self.rules = value, error, rules

    @classmethod
    def exact(
        cls, array: Array, rules: rounding_rules.Rules, double_double: bool = False
    ) -> "Bounded":
        """An array that the engine is given, so that nobody has an error in it."""
        value = array.astype(np.float64)
        error = np.zeros(value.shape)
        return cls(_double_double(value) if double_double else value, error, rules)

    @property
    def middle(self) -> Array:
        """The value in float64."""
        plain: Array = self.value.astype(np.float64)
        return plain

    @property
    def size(self) -> Array:
        """At least the magnitude of the exact number."""
        size: Array = np.abs(self.middle) + self.doubt
        return size

    @property
    def doubt(self) -> Array:
        """What the value itself may be off by: E is linear in u."""
        return self.error * (VALUE_ROUNDOFF[_name(self.value.dtype)] / self.rules.u)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.value.shape)

    @property
    def dtype(self) -> Any:
        return self.value.dtype

    def __len__(self) -> int:
        return len(self.value)

    def _like(self, other: Any) -> "Bounded":
        """A plain number or array as one that is exact."""
        if isinstance(other, Bounded):
            return other
        plain = np.asarray(other, np.float64)
        return Bounded(plain, np.zeros(plain.shape), self.rules)

    def _rounded(self, value: Any, error: Array, underflow: float = 0.0) -> "Bounded":
        """One rounding of `value` on top of `error`."""
        size = np.abs(value.astype(np.float64)) + 2 * error
        return Bounded(value, error + self.rules.u * size + underflow, self.rules)

    def __add__(self, other: Any) -> "Bounded":
        other = self._like(other)
        return self._rounded(self.value + other.value, self.error + other.error)

    __radd__ = __add__

    def __neg__(self) -> "Bounded":
        return Bounded(-self.value, self.error, self.rules)

    def __sub__(self, other: Any) -> "Bounded":
        return self + -self._like(other)

    def __rsub__(self, other: Any) -> "Bounded":
        return self._like(other) + -self

    def __mul__(self, other: Any) -> "Bounded":
        other = self._like(other)
        error = self.size * other.error + self.error * (other.size + other.error)
        return self._rounded(self.value * other.value, error, self.rules.eta)

    __rmul__ = __mul__

    def __truediv__(self, number: float) -> "Bounded":
        """Division by a plain number."""
        return self._rounded(self.value / number, self.error / abs(number), self.rules.eta)

    def __matmul__(self, other: "Bounded") -> "Bounded":
        return self.product(other)

    def product(self, other: "Bounded", rules: rounding_rules.Rules | None = None) -> "Bounded":
        """The matrix product; `rules` of a coarser arithmetic if it is not formed in one's own."""
        value = self.value @ other.value
        left = rounding_rules.Uncertain(self.size, self.error)
        right = rounding_rules.Uncertain(other.size, other.error)
        error = (rules or self.rules).product(left, right, value.astype(np.float64))
        return Bounded(value, error, self.rules)

    def sum(self, axis: int) -> "Bounded":
        """Sum over an axis of a matrix, by the rule of the product with ones."""
        matrix = self if axis == 0 else self.T
        ones = Bounded(np.ones((1, len(matrix))), np.zeros((1, len(matrix))), self.rules)
        return (ones @ matrix)[0]

    @property
    def T(self) -> "Bounded":
        return Bounded(self.value.T, self.error.T, self.rules)

    def __getitem__(self, index: Any) -> "Bounded":
        return Bounded(self.value[index], self.error[index], self.rules)

    def reshape(self, *shape: int) -> "Bounded":
        return Bounded(self.value.reshape(*shape), self.error.reshape(*shape), self.rules)

    def rounded_to(self, name: str) -> "Bounded":
        """Rounded to a narrower format, as an engine would.

        Where the error leaves open which of two neighbours it is, both are allowed.
        """
        low, high = (narrowed(self.middle + sign * self.error, name) for sign in (-1, 1))
        value = narrowed(self.middle, name)
        return Bounded(value, np.maximum(high - value, value - low), self.rules)


def _double_double(array: Array) -> Any:
    import xprec

    return array.astype(xprec.ddouble)


def narrowed(array: Array, name: str) -> Array:
    """float64 rounded to nearest in a format, or in "tf32" (10 bits kept), as float64."""
    if name == "tf32":
        bits = array.astype(np.float32).view(np.uint32)
        kept = (bits + np.uint32(0x0FFF) + ((bits >> np.uint32(13)) & np.uint32(1))) & np.uint32(
            0xFFFFE000
        )
        return kept.view(np.float32).astype(np.float64)
    with np.errstate(over="ignore"):
        rounded: Array = array.astype(FORMATS[name].numpy).astype(np.float64)
    return rounded


def rules(arithmetic: Arithmetic) -> rounding_rules.Rules:
    """The rules of an arithmetic."""
    return rounding_rules.Rules(arithmetic)


def activation(name: str) -> Callable[[Bounded], Bounded]:
    """σ on Bounded arrays, by the bound's rule for the activation of this name."""

    def apply(z: Bounded) -> Bounded:
        value = _activated(name, z.value)
        plain = value.astype(np.float64)
        slope = None if name == "identity" else _slope(name, plain)
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            layer = activation_rules.ACTIVATIONS[name](z.rules, z.middle, z.error, plain, slope)
        return Bounded(value, layer.error, z.rules)

    return apply


def _activated(name: str, z: Any) -> Any:
    """Accurate on both sides: from e = exp(-|z|), in float64 and double-double alike."""
    if name == "identity":
        return z
    if name == "relu":
        return np.where(z > 0, z, 0 * z)
    if name == "tanh":
        shortfall = np.expm1(-2 * np.abs(z))
        return np.where(z < 0, shortfall, -shortfall) / (2 + shortfall)
    e = np.exp(-np.abs(z))
    return np.where(z < 0, e, 1 + 0 * e) / (1 + e)


def _slope(name: str, a: Array) -> Array:
    return {"sigmoid": a * (1 - a), "tanh": 1 - a * a, "relu": (a > 0) * 1.0}[name]
