"""Numbers that carry the bound of their own rounding errors through any expression.

A running error analysis (Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed.,
section 3.3), done by the operators: whatever equation is evaluated on these arrays, right or
wrong, comes out with the bound of that very expression. With v̂ what was computed and v exact,
E_v >= |v̂ - v| entry by entry, u the unit roundoff and η the smallest subnormal number:

- v = x ± y: E = E_x + E_y + u |v̂|; no sum of two numbers underflows.
- v = x y: E = |x̂| E_y + E_x |ŷ| + E_x E_y + u |v̂| + 4 η, the last only where a factor is not 0.
- v = x / n, n a whole number: E = E_x / n + u |v̂| + η.
- v = x @ y over n terms: E = |x̂| E_y + E_x (|ŷ| + E_y) + γ_n |x̂| |ŷ| + 2 n η, in any order of
  summation; a plain sum of n terms likewise with γ_{n-1}, and without η.

Rounding to nearest gives |v̂ - v| <= u |v̂|. The bounds are float64 numbers, sums and products of
non-negative ones, so that their own roundings are covered by one factor 1 + 1e-9 at the end.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from crosscheck.activation_rules import SIGMOID_ROUNDINGS
from crosscheck.formats import FloatFormat
from crosscheck.rounding_rules import EVALUATION_SLACK
from crosscheck.values import Array

Operand = Any


class Rounded:
    """An array as computed in one format, and the bound of its error, of the same shape.

    `value` has the format's dtype, `error` is float64. Supports what the equations use:
    `+ - * / @`, indexing, `T`, `sum`, `reshape`, `len`, `shape`, `size`, `dtype`.
    """

    __array_ufunc__ = None  # so that an array on the left leaves the operation to us

    def __init__(self, value: Array, error: Array, of: FloatFormat) -> None:
        self.value, self.error, self.format = value, error, of

    @classmethod
    def exact(cls, value: Array, of: FloatFormat) -> "Rounded":
        """Numbers that are exact as they stand, such as the case's weights."""
        return cls(value, np.zeros(np.shape(value)), of)

    @property
    def bound(self) -> Array:
        """E, with the slack for evaluating it; ∞ where it, or the value, is no number."""
        error = np.asarray(self.error * EVALUATION_SLACK, dtype=float)
        lost = np.isnan(error) | ~np.isfinite(self.value.astype(np.float64))
        return np.where(lost, np.inf, error)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape

    @property
    def size(self) -> int:
        return self.value.size

    @property
    def dtype(self) -> Any:
        return self.value.dtype

    @property
    def T(self) -> "Rounded":
        return Rounded(self.value.T, self.error.T, self.format)

    def __len__(self) -> int:
        return len(self.value)

    def __getitem__(self, index: Any) -> "Rounded":
        return Rounded(self.value[index], self.error[index], self.format)

    def __setitem__(self, index: Any, part: "Rounded") -> None:
        self.value[index] = part.value
        self.error[index] = part.error

    def reshape(self, *shape: Any) -> "Rounded":
        return Rounded(self.value.reshape(*shape), self.error.reshape(*shape), self.format)

    def copy(self) -> "Rounded":
        return Rounded(self.value.copy(), self.error.copy(), self.format)

    def __add__(self, other: Operand) -> "Rounded":
        y = self._operand(other)
        return self._rounded(self.value + y.value, self.error + y.error)

    __radd__ = __add__

    def __sub__(self, other: Operand) -> "Rounded":
        y = self._operand(other)
        return self._rounded(self.value - y.value, self.error + y.error)

    def __rsub__(self, other: Operand) -> "Rounded":
        return self._operand(other) - self

    def __neg__(self) -> "Rounded":
        return Rounded(-self.value, self.error, self.format)

    def __mul__(self, other: Operand) -> "Rounded":
        y = self._operand(other)
        size, other_size = self._size, y._size
        propagated = size * y.error + self.error * (other_size + y.error)
        may_underflow = (size + self.error > 0) & (other_size + y.error > 0)
        propagated = propagated + 4 * self.format.smallest_subnormal * may_underflow
        return self._rounded(self.value * y.value, propagated)

    __rmul__ = __mul__

    def __truediv__(self, whole: int) -> "Rounded":
        if not isinstance(whole, int) or whole < 1:
            raise TypeError("an equation on trial may divide by whole numbers above 0 alone")
        propagated = self.error / whole + self.format.smallest_subnormal * (self._size > 0)
        return self._rounded(self.value / whole, propagated)

    def __matmul__(self, other: Operand) -> "Rounded":
        y = self._operand(other)
        size, other_size = self._size, y._size
        terms = self.shape[-1]
        propagated = size @ y.error + self.error @ (other_size + y.error)
        nonzero = (size + self.error > 0).astype(float) @ (other_size + y.error > 0).astype(float)
        rounding = self._gamma(terms) * (size @ other_size)
        underflow = 4 * terms * self.format.smallest_subnormal * (nonzero > 0)
        error = propagated + rounding + underflow
        return Rounded(self.value @ y.value, error, self.format)

    def __rmatmul__(self, other: Operand) -> "Rounded":
        return self._operand(other) @ self

    def sum(self, axis: int | None = None) -> "Rounded":
        value = np.asarray(self.value.sum(axis))
        terms = self.size // max(1, value.size)
        error = self.error.sum(axis) + self._gamma(terms - 1) * self._size.sum(axis)
        return Rounded(value, np.asarray(error), self.format)

    @property
    def _size(self) -> Array:
        return np.abs(self.value.astype(np.float64))

    def _gamma(self, k: int) -> float:
        """γ_k = k u / (1 - k u)."""
        return k * self.format.unit_roundoff / (1 - k * self.format.unit_roundoff)

    def _operand(self, other: Operand) -> "Rounded":
        """Plain numbers and arrays are exact, in the format of the others."""
        if isinstance(other, Rounded):
            return other
        return Rounded.exact(np.asarray(other, self.format.numpy), self.format)

    def _rounded(self, value: Array, error: Array) -> "Rounded":
        rounding = self.format.unit_roundoff * np.abs(value.astype(np.float64))
        return Rounded(value, error + rounding, self.format)


def sigma_on(evaluate: Callable[[Array], Array]) -> Callable[[Rounded], Rounded]:
    """σ, as `evaluate` computes it, on rounded numbers.

    Over the ball ẑ ± E_z the function changes by at most L = E_z σ′(ẑ) e^{E_z}, as |(log σ′)′| <=
    1; then E = L + k u (|â| + L) + 2 η + 1 / f_max, the last for exp's overflow.
    """

    def sigma(z: Rounded) -> Rounded:
        from scipy.special import expit

        center = z.value.astype(np.float64)
        change = np.minimum(1.0, z.error * np.exp(z.error) * expit(center) * expit(-center))
        value = evaluate(z.value)
        size = np.abs(value.astype(np.float64))
        error = change + SIGMOID_ROUNDINGS * z.format.unit_roundoff * (size + change)
        error = error + 2 * z.format.smallest_subnormal + 1 / z.format.largest
        return Rounded(value, error, z.format)

    return sigma
