"""What a primitive is: its value, its balls, its derivative and its rounding, in one row."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Shape = tuple[int, ...]
Params = Mapping[str, Any]
"""What an operation is told beside its operands: axes, an index, an exponent."""

REAL, BOOLEAN = "real", "boolean"


class Known(NamedTuple):
    """A value as the error analysis knows it: `error` E >= |computed - exact|, None where 0.

    Of booleans `error` is true where the comparison may come out either way.
    """

    value: Array
    error: Array | None

    @property
    def size(self) -> Array:
        """At least the magnitudes of the exact and of the computed value."""
        size: Array = np.abs(self.value)
        return size if self.error is None else size + self.error

    @property
    def deviation(self) -> Array:
        """E as an array, also where it is 0."""
        return np.zeros(self.value.shape) if self.error is None else self.error

    @property
    def low(self) -> Array:
        return self.value if self.error is None else self.value - self.error

    @property
    def high(self) -> Array:
        return self.value if self.error is None else self.value + self.error


class Rounding(NamedTuple):
    """The arithmetic of one operation: u and eta of the format it is stored in, and of the sums.

    `inner` is the unit roundoff of the accumulator; `tau` the smallest normal number where
    subnormals are flushed, else 0; `largest` the largest finite number; `library` whose
    functions it is (numpy, torch, xla), "" where any of them may be.
    """

    u: float
    eta: float
    tau: float
    largest: float
    inner: float
    library: str = ""

    @property
    def digits(self) -> int:
        """The bits of the significand, the hidden one included."""
        return round(-np.log2(self.u)) if self.u else 0

    def gamma(self, n: float) -> float:
        """γ_n = n u / (1 - n u), or ∞ where n u >= 1."""
        return n * self.u / (1 - n * self.u) if n * self.u < 1 else np.inf


class Accuracy(NamedTuple):
    """What a library's function may be off by, in unit roundoffs: |f̂(x) - f(x)| <=

    (`relative` |f(x)| + `absolute` + `backward` |x f′(x)|) u + `underflow` η + `lost` / f_max.
    `backward` is for those that round on the way to an exponent, or to the distance from a pole;
    `lost` where something may overflow on the way to a small result.
    """

    relative: float
    absolute: float = 0.0
    backward: float = 0.0
    underflow: float = 2.0
    lost: float = 0.0

    def most(self, other: "Accuracy") -> "Accuracy":
        """What covers both."""
        return Accuracy(*(max(pair) for pair in zip(self, other, strict=True)))

    def error(self, r: Any, size: Array, change: Any, more: Any = 0.0) -> Array:
        """E of a result of this magnitude, which may `change` by its operand's error; not backward.

        `r` has u, η and the largest number, of one arithmetic or several; `more` is added.
        """
        error: Array = size + change
        error *= self.relative * r.u
        error += change
        least = self.absolute * r.u + self.underflow * r.eta + self.lost / r.largest
        error += least + more
        return error


class Build(Protocol):
    """What derivative rules are written on: it adds operations to a program.

    An operand that is an int is the number of a value, one that is a float is a constant.
    """

    def __call__(self, primitive: str, *operands: "int | float", **params: Any) -> int:
        """The number of the value that this operation gives."""
        ...

    def shape(self, value: int) -> Shape:
        """The shape of a value."""
        ...

    def format(self, value: int) -> str:
        """The format that a value is stored in."""
        ...

    def constant(self, array: Any, format: str | None = None) -> int:
        """Numbers, or booleans, that are known."""
        ...

    def number(self, value: float, format: str, literal: bool = False) -> int:
        """A constant without dimensions; `literal` where it was rounded when it was written."""
        ...

    def irrational(self, name: str, like: int) -> int:
        """An exact constant of mathematics, such as "2/sqrt(pi)"."""
        ...


class Applied(NamedTuple):
    """An operation in a program, as its derivative rule sees it: numbers of values."""

    operands: tuple[int, ...]
    result: int
    params: Params


Pullback = Callable[[Build, Applied, int], Sequence[int | None]]
"""(build, operation, cotangent of its result) to cotangents of its operands; None is 0."""

Pushforward = Callable[[Build, Applied, Sequence[int | None]], int | None]
"""(build, operation, tangents of its operands) to the tangent of its result; None is 0."""


@dataclass(frozen=True)
class Sample:
    """Operands that tests try a row on: its parameters, shapes, and an interval for each operand.

    Without `shapes` an entrywise row is tried on vectors; without `domains` everywhere;
    `booleans` are the places of the operands that are boolean.
    """

    params: Params = field(default_factory=dict)
    shapes: tuple[Shape, ...] = ()
    domains: tuple[tuple[float, float], ...] = ()
    booleans: tuple[int, ...] = ()


EVERYWHERE = Sample()


@dataclass(frozen=True)
class Primitive:
    """One row of the table.

    `evaluate(params, *arrays)` works in the arrays' own format, float64 or longdouble;
    `balls(params, *arrays)` on object arrays of arb; `error(rounding, params, value, *operands)`
    gives E of the result, None for 0, from what is `Known` of the operands; `shape(params,
    *shapes)` the result's shape. `extended` is whether `evaluate` is as accurate in longdouble.
    `sample` is what tests try it on.
    """

    name: str
    evaluate: Callable[..., Array]
    balls: Callable[..., Array]
    error: Callable[..., Array | None]
    pullback: Pullback
    pushforward: Pushforward
    shape: Callable[..., Shape]
    kind: str = REAL
    elementwise: bool = False
    extended: bool = True
    sample: Sample = EVERYWHERE


def alike(params: Params, *shapes: Shape) -> Shape:
    """The shape of an entrywise operation, whose operands have one shape."""
    return shapes[0]


def constant(build: Build, applied: Applied, given: Any) -> Any:
    """The derivative of what is constant almost everywhere: none."""
    return None


def no_cotangents(build: Build, applied: Applied, cotangent: int) -> list[int | None]:
    """The pullback of the same."""
    return [None] * len(applied.operands)


def entries_of(function: Callable[..., Any]) -> Callable[..., Array]:
    """A function of balls, entry by entry on object arrays."""
    mapped = np.frompyfunc(function, function.__code__.co_argcount, 1)

    def apply(*arrays: Array) -> Array:
        return as_objects(mapped(*arrays))

    return apply


def as_objects(value: Any) -> Array:
    """An object array, also where NumPy hands out the single entry."""
    if isinstance(value, np.ndarray):
        return value
    array = np.empty((), object)
    array[()] = value
    return array


Partials = Callable[[Build, tuple[int, ...], int, Params], Sequence["int | float | None"]]
"""(build, operands, result, params) to the partial derivatives, entry by entry; None is 0."""


def by_partials(partials: Partials) -> tuple[Pullback, Pushforward]:
    """Both derivative rules of an entrywise operation, from its partial derivatives.

    A factor of exactly 0 annihilates what is not a number: a branch that was not taken.
    """

    def scaled(build: Build, factor: int, partial: int | float | None) -> int | None:
        if partial is None:
            return None
        if partial == 1.0 and isinstance(partial, float):
            return factor
        if partial == -1.0 and isinstance(partial, float):
            return build("neg", factor)
        return build("mul", factor, partial, annihilates=True)

    def pullback(build: Build, applied: Applied, cotangent: int) -> list[int | None]:
        slopes = partials(build, applied.operands, applied.result, applied.params)
        return [scaled(build, cotangent, slope) for slope in slopes]

    def pushforward(build: Build, applied: Applied, tangents: Sequence[int | None]) -> int | None:
        slopes = partials(build, applied.operands, applied.result, applied.params)
        terms = [
            scaled(build, tangent, slope)
            for tangent, slope in zip(tangents, slopes, strict=True)
            if tangent is not None
        ]
        return total(build, [term for term in terms if term is not None])

    return pullback, pushforward


def total(build: Build, terms: Sequence[int]) -> int | None:
    """The sum of these values; None of none."""
    if not terms:
        return None
    value = terms[0]
    for term in terms[1:]:
        value = build("add", value, term)
    return value
