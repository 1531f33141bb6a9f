"""Functions of one variable that libraries approximate.

A row has the function, its ball, its derivative in primitives, the largest slope over an
interval, and how accurate a library's result is. The accuracies are those of NumPy 2.4, SciPy
1.17, PyTorch 2.13 and XLA (JAX 0.10) on a CPU, measured over all magnitudes by
tests/test_primitives.py, and allow twice what was seen.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy import special

from crosscheck.arithmetic import activation_rules
from crosscheck.arithmetic.primitives.row import (
    Accuracy,
    Array,
    Build,
    Known,
    Params,
    Primitive,
    Rounding,
    alike,
    by_partials,
    entries_of,
)

Slope = Callable[[Array, Array], Array]
"""(low, high) to at least |f′| at every point between them."""


Measured = Mapping[tuple[str, int], Accuracy]
"""(library, digits of the format, 0 for all) to an accuracy that is not the usual one."""


def _of_library(r: Rounding, usual: Accuracy, measured: Measured) -> Accuracy:
    """The accuracy of a library's function in a format; of all libraries, where none is named."""
    if r.library:
        special_case = measured.get((r.library, r.digits), measured.get((r.library, 0)))
        return special_case or usual
    for (_, digits), accuracy in measured.items():
        if digits in (0, r.digits):
            usual = usual.most(accuracy)
    return usual


def _least(low: Array, high: Array) -> Array:
    """The smallest magnitude between low and high."""
    smallest: Array = np.where((low <= 0) & (high >= 0), 0.0, np.minimum(abs(low), abs(high)))
    return smallest


def _most(low: Array, high: Array) -> Array:
    """The largest magnitude between low and high."""
    largest: Array = np.maximum(abs(low), abs(high))
    return largest


def _smooth(
    name: str,
    function: Callable[[Array], Array],
    ball: Callable[[Any], Any],
    partial: Callable[[Build, int, int], int],
    slope: Slope,
    accuracy: Accuracy,
    measured: Measured | None = None,
    headroom: float = 1.0,
    extended: bool = True,
) -> Primitive:
    """A row; `partial(build, x, result)` is f′(x) in primitives.

    A library may overflow where `headroom` times the result does.
    """

    def evaluate(params: Params, x: Array) -> Array:
        with np.errstate(all="ignore"):
            return function(x)

    def error(r: Rounding, params: Params, value: Array, x: Known) -> Array:
        here = _of_library(r, accuracy, measured or {})
        with np.errstate(all="ignore"):
            steepest = slope(x.low, x.high) if here.backward or x.error is not None else None
            change: Any = 0.0
            if x.error is not None and steepest is not None:
                change = np.where(x.error == 0, 0.0, steepest * x.error)
            size = np.abs(value)
            error: Array = here.error(r, size, change)
            if here.backward and steepest is not None:
                error += here.backward * r.u * np.where(x.size == 0, 0.0, x.size * steepest)
            if headroom > 1 and r.largest < np.inf:
                error = np.where(headroom * (size + change) > r.largest, np.inf, error)
        return error

    pullback, pushforward = by_partials(
        lambda build, operands, result, params: (partial(build, operands[0], result),)
    )
    mapped = entries_of(lambda a: ball(a))
    return Primitive(
        name,
        evaluate,
        lambda params, x: mapped(x),
        error,
        pullback,
        pushforward,
        alike,
        elementwise=True,
        extended=extended,
    )


def _two_sided(magnitude: Array) -> Array:
    """e / (1 + e)² for e = exp(-m): the slope of the logistic function at ±m."""
    e = np.exp(-magnitude)
    slope: Array = e / ((1 + e) * (1 + e))
    return slope


SQRT = 3.0
"""PyTorch's vectorized float32 root is off by 1.47 u; the others' is rounded right."""


def _sqrt_error(r: Rounding, params: Params, value: Array, x: Known) -> Array:
    """|√t - √x| <= |t - x| / √x, and <= √|t - x|."""
    change: Any = 0.0
    if x.error is not None:
        with np.errstate(all="ignore"):
            change = np.fmin(x.error / value, np.sqrt(x.error))
            change = np.where(x.low < 0, np.where(x.error == 0, 0.0, np.inf), change)
            change = np.where((x.low < 0) & (x.high >= 0), np.sqrt(x.error), change)
    error: Array = change + SQRT * r.u * (np.abs(value) + change) + r.eta
    return error


def _sqrt() -> Primitive:
    row = _smooth(
        "sqrt",
        np.sqrt,
        lambda a: a if a.is_zero() else a.sqrt(),
        lambda build, x, result: build("div", 0.5, result),
        lambda low, high: 0.5 / np.sqrt(low),
        Accuracy(SQRT),
    )
    return Primitive(
        row.name,
        row.evaluate,
        row.balls,
        _sqrt_error,
        row.pullback,
        row.pushforward,
        row.shape,
        elementwise=True,
    )


def _logistic(x: Array) -> Array:
    """1 / (1 + e^-x) with full relative accuracy on both sides."""
    e = np.exp(-np.abs(x))
    value: Array = np.where(x < 0, e, 1) / (1 + e)
    return value


def _logistic_ball(a: Any) -> Any:
    if a < 0:
        e = a.exp()
        return e / (1 + e)
    return 1 / (1 + (-a).exp())


def _logistic_partial(build: Build, x: int, result: int) -> int:
    return build("mul", result, build("logistic", build("neg", x)))


def _tanh_partial(build: Build, x: int, result: int) -> int:
    """sech² x = 4 σ(2x) σ(-2x), which does not cancel."""
    doubled = build("mul", x, 2.0)
    sides = build("mul", build("logistic", doubled), build("logistic", build("neg", doubled)))
    return build("mul", sides, 4.0)


def _under_root(build: Build, x: int, sign: float) -> int:
    """(1 - x)(1 + x) for asin and acos, x² + 1 for asinh."""
    if sign < 0:
        return build("mul", build("sub", 1.0, x), build("add", 1.0, x))
    return build("add", build("square", x), 1.0)


def _gaussian(build: Build, x: int, scale: str) -> int:
    """A constant times e^(-x²)."""
    bell = build("exp", build("neg", build("square", x)))
    return build("mul", build.irrational(scale, x), bell)


def _no_pole(low: Array, high: Array) -> Array:
    """1 + tan² at the ends, where tan has no pole between them, else ∞."""
    ends: Array = 1 + np.maximum(np.tan(low) ** 2, np.tan(high) ** 2)
    smooth = (high - low < np.pi / 2) & (np.tan(low) <= np.tan(high))
    return np.where(smooth, ends, np.inf)


def _wave(function: Callable[[Array], Array]) -> Slope:
    """|f| in the middle, and half the width more, at most 1."""

    def slope(low: Array, high: Array) -> Array:
        middle, half = (low + high) / 2, (high - low) / 2
        steepest: Array = np.minimum(1.0, np.abs(function(middle)) + half)
        return steepest

    return slope


def trigamma(x: Array) -> Array:
    """ψ′(x), on the left by reflection: ψ′(x) + ψ′(1 - x) = π² / sin² πx."""
    mirrored = special.polygamma(1, np.where(x > 0, x, 1 - x))
    sine = np.sin(np.pi * (x - np.round(x)))
    value: Array = np.where(x > 0, mirrored, (np.pi / sine) ** 2 - mirrored)
    return value


def _between_poles(function: Callable[[Array], Array]) -> Slope:
    """The largest |f| of ψ or ψ′: at an end on the right; not known where poles may be between."""

    def slope(low: Array, high: Array) -> Array:
        ends: Array = np.maximum(np.abs(function(low)), np.abs(function(high)))
        return np.where((low > 0) | (low == high), ends, np.inf)

    return slope


def _log_gamma_ball(a: Any) -> Any:
    """log |Γ(x)|, on the left by reflection: Γ(x) Γ(1 - x) = π / sin πx."""
    if a > 0:
        return a.lgamma()
    sine = abs(a.sin_pi())
    return (a.pi() / sine).log() - (1 - a).lgamma()


STEPS = 10_000
"""To the left of 0 polygamma balls step right, one by one; none is given from further away."""


def _polygamma_ball(n: int, x: Any) -> Any:
    """(-1)^(n+1) n! ζ(n + 1, x), on the left by ψ⁽ⁿ⁾(x) = ψ⁽ⁿ⁾(x + 1) - (-1)ⁿ n! / x^(n+1)."""
    from flint import arb

    factor = arb((-1) ** (n + 1)) * arb(n + 1).gamma()
    shifted = arb(0)
    for _ in range(STEPS):
        if x > 0 or x.contains(0):
            break
        shifted += factor / x ** (n + 1)
        x = x + 1
    return factor * arb(n + 1).zeta(x) + shifted


def _polygamma() -> Primitive:
    """ψ⁽ⁿ⁾ for n = params["order"] >= 1."""

    def evaluate(params: Params, x: Array) -> Array:
        n = params["order"]
        value: Array = trigamma(x) if n == 1 else special.polygamma(n, x)
        return value.astype(x.dtype)

    def balls(params: Params, x: Array) -> Array:
        return entries_of(lambda a: _polygamma_ball(params["order"], a))(x)

    def error(r: Rounding, params: Params, value: Array, x: Known) -> Array:
        n, start = params["order"], np.where(x.low > 0, x.low, 1.0)
        steepest = np.where(x.low > 0, np.abs(special.polygamma(n + 1, start)), np.inf)
        change = np.where(x.deviation == 0, 0.0, steepest * x.deviation)
        error: Array = change + 64 * r.u * (np.abs(value) + change) + r.eta
        return error

    pullback, pushforward = by_partials(
        lambda build, operands, result, params: (
            build("polygamma", operands[0], order=params["order"] + 1),
        )
    )
    return Primitive(
        "polygamma",
        evaluate,
        balls,
        error,
        pullback,
        pushforward,
        alike,
        elementwise=True,
        extended=False,
    )


BELL = 2 / np.sqrt(np.pi)

ROWS = (
    _sqrt(),
    _smooth(
        "rsqrt",
        lambda x: 1 / np.sqrt(x),
        lambda a: a.rsqrt(),
        lambda build, x, result: build(
            "neg", build("mul", 0.5, build("mul", result, build("square", result)))
        ),
        lambda low, high: 0.5 * np.where(low > 0, low, 0.0) ** -1.5,
        Accuracy(8),
    ),
    _smooth(
        "exp",
        np.exp,
        lambda a: a.exp(),
        lambda build, x, result: result,
        lambda low, high: np.exp(high),
        Accuracy(6),
    ),
    _smooth(
        "exp2",
        np.exp2,
        lambda a: (a * a.const_log2()).exp(),
        lambda build, x, result: build("mul", result, build.irrational("log(2)", x)),
        lambda low, high: np.log(2) * np.exp2(high),
        Accuracy(8),
        {("xla", 0): Accuracy(8, backward=4)},
    ),
    _smooth(
        "expm1",
        np.expm1,
        lambda a: a.expm1(),
        lambda build, x, result: build("exp", x),
        lambda low, high: np.exp(high),
        Accuracy(12),
    ),
    _smooth(
        "log",
        np.log,
        lambda a: a.log(),
        lambda build, x, result: build("reciprocal", x),
        lambda low, high: 1 / np.where(low > 0, low, 0.0),
        Accuracy(8),
    ),
    _smooth(
        "log1p",
        np.log1p,
        lambda a: a.log1p(),
        lambda build, x, result: build("reciprocal", build("add", x, 1.0)),
        lambda low, high: 1 / np.where(low > -1, 1 + low, 0.0),
        Accuracy(8),
        {("xla", 53): Accuracy(400)},
    ),
    _smooth(
        "cbrt",
        np.cbrt,
        lambda a: -((-a).root(3)) if a < 0 else (a if a.is_zero() else a.root(3)),
        lambda build, x, result: build("div", result, build("mul", 3.0, x)),
        lambda low, high: _least(low, high) ** (-2 / 3) / 3,
        Accuracy(10),
    ),
    _smooth(
        "sin",
        np.sin,
        lambda a: a.sin(),
        lambda build, x, result: build("cos", x),
        _wave(np.cos),
        Accuracy(8),
    ),
    _smooth(
        "cos",
        np.cos,
        lambda a: a.cos(),
        lambda build, x, result: build("neg", build("sin", x)),
        _wave(np.sin),
        Accuracy(8),
    ),
    _smooth(
        "tan",
        np.tan,
        lambda a: a.tan(),
        lambda build, x, result: build("add", build("square", result), 1.0),
        _no_pole,
        Accuracy(10),
    ),
    _smooth(
        "asin",
        np.arcsin,
        lambda a: a.asin(),
        lambda build, x, result: build("rsqrt", _under_root(build, x, -1)),
        lambda low, high: 1 / np.sqrt((1 - _most(low, high)) * (1 + _most(low, high))),
        Accuracy(10, underflow=4),
    ),
    _smooth(
        "acos",
        np.arccos,
        lambda a: a.acos(),
        lambda build, x, result: build("neg", build("rsqrt", _under_root(build, x, -1))),
        lambda low, high: 1 / np.sqrt((1 - _most(low, high)) * (1 + _most(low, high))),
        Accuracy(8),
    ),
    _smooth(
        "atan",
        np.arctan,
        lambda a: a.atan(),
        lambda build, x, result: build("reciprocal", build("add", build("square", x), 1.0)),
        lambda low, high: 1 / (1 + _least(low, high) ** 2),
        Accuracy(8),
    ),
    _smooth(
        "sinh",
        np.sinh,
        lambda a: a.sinh(),
        lambda build, x, result: build("cosh", x),
        lambda low, high: np.cosh(_most(low, high)),
        Accuracy(8),
        {("xla", 0): Accuracy(20, backward=2)},
        headroom=2,
    ),
    _smooth(
        "cosh",
        np.cosh,
        lambda a: a.cosh(),
        lambda build, x, result: build("sinh", x),
        lambda low, high: np.sinh(_most(low, high)),
        Accuracy(8),
        {("xla", 0): Accuracy(20, backward=2)},
        headroom=2,
    ),
    _smooth(
        "tanh",
        np.tanh,
        lambda a: a.tanh(),
        _tanh_partial,
        lambda low, high: 4 * _two_sided(2 * _least(low, high)),
        activation_rules.TANH,
    ),
    _smooth(
        "asinh",
        np.arcsinh,
        lambda a: a.asinh(),
        lambda build, x, result: build("rsqrt", _under_root(build, x, 1)),
        lambda low, high: 1 / np.sqrt(1 + _least(low, high) ** 2),
        Accuracy(10),
    ),
    _smooth(
        "acosh",
        np.arccosh,
        lambda a: a.acosh(),
        lambda build, x, result: build(
            "rsqrt", build("mul", build("sub", x, 1.0), build("add", x, 1.0))
        ),
        lambda low, high: 1 / np.sqrt(np.where(low > 1, (low - 1) * (low + 1), 0.0)),
        Accuracy(10),
    ),
    _smooth(
        "atanh",
        np.arctanh,
        lambda a: a.atanh(),
        lambda build, x, result: build("reciprocal", _under_root(build, x, -1)),
        lambda low, high: 1 / np.maximum((1 - _most(low, high)) * (1 + _most(low, high)), 0.0),
        Accuracy(10),
        {("xla", 53): Accuracy(300)},
    ),
    _smooth(
        "logistic",
        _logistic,
        _logistic_ball,
        _logistic_partial,
        lambda low, high: _two_sided(_least(low, high)),
        activation_rules.SIGMOID,
    ),
    _smooth(
        "erf",
        special.erf,
        lambda a: a.erf(),
        lambda build, x, result: _gaussian(build, x, "2/sqrt(pi)"),
        lambda low, high: BELL * np.exp(-(_least(low, high) ** 2)),
        Accuracy(8, absolute=2),
        extended=False,
    ),
    _smooth(
        "erfc",
        special.erfc,
        lambda a: a.erfc(),
        lambda build, x, result: build("neg", _gaussian(build, x, "2/sqrt(pi)")),
        lambda low, high: BELL * np.exp(-(_least(low, high) ** 2)),
        Accuracy(64, absolute=2),
        extended=False,
    ),
    _smooth(
        "erfinv",
        special.erfinv,
        lambda a: a.erfinv(),
        lambda build, x, result: build(
            "mul", build.irrational("sqrt(pi)/2", x), build("exp", build("square", result))
        ),
        lambda low, high: np.exp(special.erfinv(_most(low, high)) ** 2) / BELL,
        Accuracy(16),
        {("xla", 0): Accuracy(16, backward=1), ("xla", 53): Accuracy(60, backward=1)},
        extended=False,
    ),
    _smooth(
        "lgamma",
        special.gammaln,
        _log_gamma_ball,
        lambda build, x, result: build("digamma", x),
        _between_poles(special.digamma),
        Accuracy(16, absolute=16),
        {("xla", 0): Accuracy(16, absolute=64, backward=2)},
        headroom=2,
        extended=False,
    ),
    _smooth(
        "digamma",
        special.digamma,
        lambda a: a.digamma(),
        lambda build, x, result: build("polygamma", x, order=1),
        _between_poles(trigamma),
        Accuracy(16, absolute=36, backward=2),
        extended=False,
    ),
    _polygamma(),
)
