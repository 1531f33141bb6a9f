"""Value, first and second derivative along x, in balls: the mathematics of a definition.

A definition is a formula on jets, written once; both derivatives follow by Faà di Bruno's rule
(Griewank and Walther, *Evaluating Derivatives*, chapter 13). Each function of one variable
brings its derivatives in closed form, or as an analytic function, by quotients of differences
whose truncation Cauchy's estimate bounds.

A jet stands for f(x + s ε), ε an infinitesimal and s its `side`: where two values are equal, the
derivatives decide which is larger, so that both one-sided derivatives of a kink come of the same
formula.
"""

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import NamedTuple, TypeAlias

from flint import acb, arb, ctx

Number: TypeAlias = int | float | Fraction | arb
Triple = tuple[arb, arb, arb]


class Undecided(ArithmeticError):
    """Balls overlap where a comparison has to be decided: more bits may tell."""


class Tie(ArithmeticError):
    """Two values are equal, and it has not been said from which side x comes."""


class Beyond(ArithmeticError):
    """A number so large that no format and no ball holds it."""


class Jet(NamedTuple):
    """f, f′ and f″ at x, coming from `side`: +1, -1, or 0 where it has not been said."""

    value: arb
    first: arb
    second: arb
    side: int = 0

    @property
    def constant(self) -> bool:
        """Whether both derivatives are exactly 0."""
        return self.first.is_zero() and self.second.is_zero()

    def __add__(self, other: "Jet | Number") -> "Jet":
        b = jet(other)
        return Jet(
            self.value + b.value,
            self.first + b.first,
            self.second + b.second,
            self.side or b.side,
        )

    def __radd__(self, other: Number) -> "Jet":
        return self + other

    def __neg__(self) -> "Jet":
        return Jet(-self.value, -self.first, -self.second, self.side)

    def __sub__(self, other: "Jet | Number") -> "Jet":
        return self + -jet(other)

    def __rsub__(self, other: Number) -> "Jet":
        return jet(other) + -self

    def __mul__(self, other: "Jet | Number") -> "Jet":
        b = jet(other)
        if b.constant:
            return Jet(self.value * b.value, self.first * b.value, self.second * b.value, self.side)
        if self.constant:
            return b * Jet(self.value, ZERO, ZERO, self.side)
        return Jet(
            self.value * b.value,
            self.first * b.value + self.value * b.first,
            self.second * b.value + 2 * self.first * b.first + self.value * b.second,
            self.side or b.side,
        )

    def __rmul__(self, other: Number) -> "Jet":
        return self * other

    def __truediv__(self, other: "Jet | Number") -> "Jet":
        return self * reciprocal(jet(other))

    def __rtruediv__(self, other: Number) -> "Jet":
        return jet(other) * reciprocal(self)

    def __pow__(self, exponent: int) -> "Jet":
        n, a = exponent, self.value
        if n < 0:
            return reciprocal(self) ** -n
        first = n * a ** (n - 1) if n else ZERO
        second = n * (n - 1) * a ** (n - 2) if n > 1 else ZERO
        return chain(self, a**n, first, second)


ZERO = arb(0)


def ball(number: Number) -> arb:
    """A number as a ball: floats exactly, fractions to the working precision."""
    if isinstance(number, Fraction):
        return arb(number.numerator) / number.denominator
    return arb(number)


def jet(number: Jet | Number) -> Jet:
    """A constant as a jet; a jet as it is."""
    return number if isinstance(number, Jet) else Jet(ball(number), ZERO, ZERO)


def variable(at: Number, side: int = 0) -> Jet:
    """x itself at this point, from this side."""
    return Jet(ball(at), arb(1), ZERO, side)


def chain(x: Jet, value: arb, first: arb, second: arb) -> Jet:
    """g(x) from g, g′ and g″ at the value of x."""
    if x.constant:
        return Jet(value, ZERO, ZERO, x.side)
    second = second * x.first**2
    if not x.second.is_zero():
        second += first * x.second
    return Jet(value, first * x.first, second, x.side)


def smooth(triple: Callable[[arb], Triple]) -> Callable[[Jet | Number], Jet]:
    """A function of jets from (g, g′, g″) in balls."""

    def apply(x: Jet | Number) -> Jet:
        x = jet(x)
        return chain(x, *triple(x.value))

    return apply


def reciprocal(x: Jet) -> Jet:
    """1/x, also where x is constant."""
    inverse = 1 / x.value
    return chain(x, inverse, -(inverse**2), 2 * inverse**3)


def sign(x: Jet) -> int:
    """The sign of x where it comes from its side; 0 where it is 0 all around.

    Raises Undecided where a ball contains 0 and is not 0, Tie where the side decides.
    """
    if x.value.is_zero() and not x.side and not x.constant:
        raise Tie
    towards = (1, x.side, 1)
    for term, factor in zip((x.value, x.first, x.second), towards, strict=True):
        if term > 0:
            return factor
        if term < 0:
            return -factor
        if not term.is_zero():
            raise Undecided
    return 0


def less(a: Jet | Number, b: Jet | Number) -> bool:
    """Whether a < b on this side of x."""
    return sign(jet(a) - b) < 0


def absolute(x: Jet | Number) -> Jet:
    """|x|."""
    x = jet(x)
    return -x if sign(x) < 0 else x


def maximum(*terms: Jet | Number) -> Jet:
    """The largest."""
    best = jet(terms[0])
    for term in terms[1:]:
        if less(best, term):
            best = jet(term)
    return best


def minimum(*terms: Jet | Number) -> Jet:
    """The smallest."""
    return -maximum(*(-jet(term) for term in terms))


def clip(x: Jet | Number, low: Number, high: Number) -> Jet:
    """x held between two numbers."""
    return minimum(maximum(x, low), high)


def total(terms: Sequence[Jet | Number]) -> Jet:
    """The sum."""
    result = jet(0)
    for term in terms:
        result = result + term
    return result


def product(terms: Sequence[Jet | Number]) -> Jet:
    """The product."""
    result = jet(1)
    for term in terms:
        result = result * term
    return result


LARGEST_EXPONENT = arb(10) ** 15


def bounded(a: arb) -> arb:
    """The argument of an exponential. Raises Beyond where no ball holds the result."""
    if a > LARGEST_EXPONENT:
        raise Beyond
    return a


def analytic(function: Callable[[acb], acb]) -> Callable[[Jet | Number], Jet]:
    """A function of jets from any function that is analytic around the real line.

    With h = 2^-p and M >= |f| on the disc of radius r around x, the central quotients are off by
    at most 2 M h² / r³ and 4 M h² / r⁴ where h <= r/2 (Cauchy's estimate of the third and the
    fourth derivative, summed over the rest of the series).
    """
    return smooth(lambda a: _by_quotients(function, a))


def _by_quotients(function: Callable[[acb], acb], a: arb) -> Triple:
    bits = ctx.prec
    ctx.prec = 4 * bits
    try:
        middle = a.mid()
        radius = _radius(middle)
        bound, radius = _bounded_disc(function, middle, radius)
        h = radius / arb(2) ** bits
        left, centre, right = (function(acb(x)).real for x in (middle - h, middle, middle + h))
        slack = bound * (h / radius) ** 2
        first = (right - left) / (2 * h) + _plus_minus(2 * slack / radius)
        second = (right - 2 * centre + left) / h**2 + _plus_minus(4 * slack / radius**2)
        return centre, first, second
    finally:
        ctx.prec = bits


def _radius(middle: arb) -> arb:
    """Where the disc is tried first: an eighth of |x|, or of 1 at 0."""
    return (abs(middle) if not middle.is_zero() else arb(1)) / 8


def _bounded_disc(function: Callable[[acb], acb], middle: arb, radius: arb) -> tuple[arb, arb]:
    """A bound of |f| on a disc, and the disc's radius, halved until balls enclose f there."""
    for _ in range(60):
        disc = acb(middle + _plus_minus(radius), _plus_minus(radius))
        bound = arb(abs(function(disc)).abs_upper())
        if bound.is_finite():
            return bound, radius.mid()
        radius = radius / 4
    raise Undecided


def _plus_minus(radius: arb) -> arb:
    """[-radius, radius]."""
    return arb(0, radius.abs_upper())
