"""Arrays that carry the bound of their rounding errors through any expression, by operators.

A running error analysis (Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed.,
section 3.3): whatever equation is evaluated on these arrays, right or wrong, comes out with the
bound of that very expression. With v̂ what is computed and v exact, E_v >= |v̂ - v| entry by entry,
u the unit roundoff and η the underflow error of an operation:

- v = x ± y: E = E_x + E_y + u |v̂|; no sum of two numbers underflows.
- v = x y: E = |x| E_y + E_x |y| + E_x E_y + u |v̂| + 4 η, the last only where a factor is not 0.
- v = x / n: E = E_x / n + u |v̂| + η.
- products of matrices and sums: as each kind of array says.

There are two kinds: `Computed` holds v̂ itself, and `Bounded` v, whatever an engine may compute.
The bounds are float64 numbers, sums and products of non-negative ones, so that their own roundings
are covered by one factor 1 + 1e-9 at the end.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Self

import numpy as np

from crosscheck.arithmetic.activation_rules import SIGMOID, Layer
from crosscheck.arithmetic.activations import ACTIVATIONS
from crosscheck.arithmetic.costs import Cost
from crosscheck.arithmetic.formats import FORMATS, Array, FloatFormat
from crosscheck.arithmetic.rounding_rules import EVALUATION_SLACK, Rules, Uncertain

VALUE_ROUNDOFF = {"float64": 2.0**-53, "ddouble": 2.0**-100}
"""Unit roundoff of the number types that values come in; xprec's is some units above 2^-104."""


class ErrorArray:
    """An array and the bound of its error, float64, of the same shape.

    Supports what the equations use: `+ - * / @`, indexing, `T`, `sum`, `reshape`, `len`, `shape`,
    `size`, `dtype`. A kind says what `magnitude`, `u` and `eta` are, and how sums round.
    """

    __array_ufunc__ = None  # so that an array on the left leaves the operation to us

    value: Any
    error: Array

    @property
    def u(self) -> Any:
        """The unit roundoff."""
        raise NotImplementedError

    @property
    def eta(self) -> Any:
        """The underflow error of an operation."""
        raise NotImplementedError

    @property
    def magnitude(self) -> Array:
        """|x| as the rule of a product wants it."""
        raise NotImplementedError

    def like(self, value: Any, error: Array) -> Self:
        """An array of the same kind."""
        raise NotImplementedError

    def operand(self, other: Any) -> Self:
        """Plain numbers and arrays are exact."""
        raise NotImplementedError

    def rounded(self, value: Any, error: Array) -> Self:
        """One rounding of `value` on top of `error`."""
        raise NotImplementedError

    def product(self, other: Self) -> Self:
        """The product of matrices, or of stacks of them."""
        raise NotImplementedError

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.value.shape)

    @property
    def size(self) -> int:
        return int(self.value.size)

    @property
    def dtype(self) -> Any:
        return self.value.dtype

    @property
    def T(self) -> Self:
        return self.like(self.value.T, self.error.T)

    def __len__(self) -> int:
        return len(self.value)

    def __getitem__(self, index: Any) -> Self:
        return self.like(self.value[index], self.error[index])

    def __setitem__(self, index: Any, part: Self) -> None:
        self.value[index] = part.value
        self.error[index] = part.error

    def reshape(self, *shape: Any) -> Self:
        return self.like(self.value.reshape(*shape), self.error.reshape(*shape))

    def copy(self) -> Self:
        return self.like(self.value.copy(), self.error.copy())

    def __neg__(self) -> Self:
        return self.like(-self.value, self.error)

    def __add__(self, other: Any) -> Self:
        y = self.operand(other)
        return self.rounded(self.value + y.value, self.error + y.error)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Self:
        y = self.operand(other)
        return self.rounded(self.value - y.value, self.error + y.error)

    def __rsub__(self, other: Any) -> Self:
        return self.operand(other) - self

    def __mul__(self, other: Any) -> Self:
        y = self.operand(other)
        size, other_size = self.magnitude, y.magnitude
        propagated = size * y.error + self.error * (other_size + y.error)
        may_underflow = (size + self.error > 0) & (other_size + y.error > 0)
        return self.rounded(self.value * y.value, propagated + 4 * self.eta * may_underflow)

    __rmul__ = __mul__

    def __truediv__(self, number: Any) -> Self:
        propagated = self.error / abs(number) + self.eta * (self.magnitude > 0)
        return self.rounded(self.value / number, propagated)

    def __matmul__(self, other: Any) -> Self:
        return self.product(self.operand(other))

    def __rmatmul__(self, other: Any) -> Self:
        return self.operand(other).product(self)


class Computed(ErrorArray):
    """An array as computed in one format, `value` in its dtype: an equation on trial.

    A matrix product over n terms has E = |x̂| E_y + E_x (|ŷ| + E_y) + γ_n |x̂| |ŷ| + 4 n η, in any
    order of summation; a plain sum of n terms likewise with γ_{n-1}, and without η.
    """

    def __init__(self, value: Array, error: Array, of: FloatFormat) -> None:
        self.value, self.error, self.format = value, error, of

    @classmethod
    def exact(cls, value: Array, of: FloatFormat) -> "Computed":
        """Numbers that are exact as they stand, such as the case's weights."""
        return cls(value, np.zeros(np.shape(value)), of)

    @property
    def bound(self) -> Array:
        """E, with the slack for evaluating it; ∞ where it, or the value, is no number."""
        error = np.asarray(self.error * EVALUATION_SLACK, dtype=float)
        lost = np.isnan(error) | ~np.isfinite(self.value.astype(np.float64))
        return np.where(lost, np.inf, error)

    @property
    def u(self) -> float:
        return self.format.unit_roundoff

    @property
    def eta(self) -> float:
        return self.format.smallest_subnormal

    @property
    def largest(self) -> float:
        return self.format.largest

    @property
    def magnitude(self) -> Array:
        return np.abs(self.value.astype(np.float64))

    def like(self, value: Any, error: Array) -> "Computed":
        return Computed(value, error, self.format)

    def operand(self, other: Any) -> "Computed":
        if isinstance(other, Computed):
            return other
        return Computed.exact(np.asarray(other, self.format.numpy), self.format)

    def rounded(self, value: Array, error: Array) -> "Computed":
        return self.like(value, error + self.u * np.abs(value.astype(np.float64)))

    def __truediv__(self, whole: Any) -> "Computed":
        if not isinstance(whole, int) or whole < 1:
            raise TypeError("an equation on trial may divide by whole numbers above 0 alone")
        return super().__truediv__(whole)

    def product(self, other: "Computed") -> "Computed":
        size, other_size = self.magnitude, other.magnitude
        terms = self.shape[-1]
        propagated = size @ other.error + self.error @ (other_size + other.error)
        nonzero = (size + self.error > 0).astype(float) @ (other_size + other.error > 0)
        rounding = self._gamma(terms) * (size @ other_size)
        error = propagated + rounding + 4 * terms * self.eta * (nonzero > 0)
        return self.like(self.value @ other.value, error)

    def sum(self, axis: int | None = None) -> "Computed":
        value = np.asarray(self.value.sum(axis))
        terms = self.size // max(1, value.size)
        error = self.error.sum(axis) + self._gamma(terms - 1) * self.magnitude.sum(axis)
        return self.like(value, np.asarray(error))

    def _gamma(self, k: int) -> float:
        """γ_k = k u / (1 - k u)."""
        return k * self.u / (1 - k * self.u)


class Bounded(ErrorArray):
    """An array of exact numbers, known by `value` and by `error`, E of an engine's evaluation.

    The value's own distance from exact is `doubt`, which is E in the value's roundoff. Values are
    float64, or double-doubles (xprec) where the question is what is exactly true. Products of
    matrices have the rule of `rounding_rules`, and sums that of a product with ones.
    """

    def __init__(self, value: Any, error: Array, rules: Rules) -> None:
        self.value, self.error, self.rules = value, error, rules

    @classmethod
    def exact(cls, array: Array, rules: Rules, double_double: bool = False) -> "Bounded":
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
    def doubt(self) -> Array:
        """What the value itself may be off by: E is linear in u."""
        return self.error * (VALUE_ROUNDOFF[_name(self.value.dtype)] / self.rules.u)

    @property
    def u(self) -> Any:
        return self.rules.u

    @property
    def eta(self) -> Any:
        return self.rules.eta

    @property
    def magnitude(self) -> Array:
        size: Array = np.abs(self.middle) + self.doubt
        return size

    def like(self, value: Any, error: Array) -> "Bounded":
        return Bounded(value, error, self.rules)

    def operand(self, other: Any) -> "Bounded":
        if isinstance(other, Bounded):
            return other
        plain = np.asarray(other, np.float64)
        return self.like(plain, np.zeros(plain.shape))

    def rounded(self, value: Any, error: Array) -> "Bounded":
        size = np.abs(value.astype(np.float64)) + 2 * error
        return self.like(value, error + self.u * size)

    def product(self, other: "Bounded", rules: Rules | None = None) -> "Bounded":
        """The matrix product; `rules` of a coarser arithmetic if it is not formed in one's own."""
        value = self.value @ other.value
        left, right = (Uncertain(x.magnitude, x.error) for x in (self, other))
        error = (rules or self.rules).product(left, right, value.astype(np.float64))
        return self.like(value, error)

    def sum(self, axis: int) -> "Bounded":
        matrix = self if axis == 0 else self.T
        return (np.ones((1, len(matrix))) @ matrix)[0]

    def rounded_to(self, name: str) -> "Bounded":
        """Rounded to a narrower format, as an engine would.

        Where the error leaves open which of two neighbours it is, both are allowed.
        """
        low, high = (narrowed(self.middle + sign * self.error, name) for sign in (-1, 1))
        value = narrowed(self.middle, name)
        return self.like(value, np.maximum(high - value, value - low))


@lru_cache
def _name(dtype: Any) -> str:
    """The dtype's name, which NumPy is slow to spell."""
    return str(dtype)


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


def activation(name: str) -> Callable[[Bounded], Bounded]:
    """σ on exact numbers, by the bound's rule for the activation of this name."""

    def apply(z: Bounded) -> Bounded:
        value, _, layer = _ruled(name, z)
        return z.like(value, layer.error)

    return apply


def derivative(name: str) -> Callable[[Bounded], Bounded]:
    """σ′ likewise, as it is taken from z."""

    def apply(z: Bounded) -> Bounded:
        _, slope, layer = _ruled(name, z)
        assert layer.slope is not None
        error = layer.slope.error
        return z.like(slope, np.zeros(z.shape) if error is None else error)

    return apply


def _ruled(name: str, z: Bounded) -> tuple[Any, Any, Layer]:
    """σ and σ′ in the number type of z, and what the rule makes of its error."""
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        value, slope = ACTIVATIONS[name].function(z.value)
        s = None if slope is None else slope.astype(np.float64)
        rule = ACTIVATIONS[name].rule
        return value, slope, rule(z.rules, z.middle, z.error, value.astype(np.float64), s)


def pulled_back(cost: Cost, a_output: Any, expected: Any) -> Any:
    """∂cost/∂a^N of any cost, on plain arrays or on exact numbers."""
    samples, outputs = a_output.shape
    factor = cost.factor(samples, outputs)
    if isinstance(a_output, np.ndarray):
        return (factor * cost.slope(a_output, expected)).astype(a_output.dtype)
    y = a_output.operand(expected)
    error = cost.rule(a_output.rules, a_output.middle, a_output.error, y.middle, factor, outputs)
    return a_output.like(factor * cost.slope(a_output.value, y.value), error)


def sigma_on(evaluate: Callable[[Array], Array]) -> Callable[[Computed], Computed]:
    """σ, as `evaluate` computes it, on computed numbers.

    Over the ball ẑ ± E_z the function changes by at most L = E_z σ′(ẑ) e^{E_z}, as |(log σ′)′| <=
    1; then E = L + k u (|â| + L) + 2 η + 1 / f_max, the last for exp's overflow.
    """

    def sigma(z: Computed) -> Computed:
        center = z.value.astype(np.float64)
        above, below = (ACTIVATIONS["sigmoid"].evaluate(x)[0] for x in (center, -center))
        change = np.minimum(1.0, z.error * np.exp(z.error) * above * below)
        value = evaluate(z.value)
        size = np.abs(value.astype(np.float64))
        return z.like(value, SIGMOID.error(z, size, change))

    return sigma
