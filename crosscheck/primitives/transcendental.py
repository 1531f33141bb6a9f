"""Functions of one variable that libraries approximate.

A row has the function, its ball, its derivative in primitives, the largest slope over an
interval, and how many unit roundoffs a library's result may be off by, relatively and absolutely.
The accuracies are those of NumPy, PyTorch and XLA, measured over all magnitudes, with room.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special

from crosscheck.primitives.row import (
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
    roundings: float,
    absolute: float = 0.0,
    extended: bool = True,
) -> Primitive:
    """A row; `partial(build, x, result)` is f′(x) in primitives."""

    def evaluate(params: Params, x: Array) -> Array:
        with np.errstate(all="ignore"):
            return function(x)

    def error(r: Rounding, params: Params, value: Array, x: Known) -> Array:
        size = np.abs(value)
        if x.error is None:
            return roundings * r.u * size + (absolute * r.u + r.eta)
        with np.errstate(all="ignore"):
            steepest = slope(x.low, x.high)
            change = np.where(x.error == 0, 0.0, steepest * x.error)
        limit = roundings * r.u
        return change + limit * (size + change) + (absolute * r.u + r.eta)

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


def _sqrt_error(r: Rounding, params: Params, value: Array, x: Known) -> Array:
    """|√t - √x| <= |t - x| / √x, and <= √|t - x|."""
    change: Any = 0.0
    if x.error is not None:
        with np.errstate(all="ignore"):
            change = np.fmin(x.error / value, np.sqrt(x.error))
            change = np.where(x.low < 0, np.where(x.error == 0, 0.0, np.inf), change)
            change = np.where((x.low < 0) & (x.high >= 0), np.sqrt(x.error), change)
    error: Array = change + 2 * r.u * (np.abs(value) + change) + r.eta
    return error


def _sqrt() -> Primitive:
    row = _smooth(
        "sqrt",
        np.sqrt,
        lambda a: a if a.is_zero() else a.sqrt(),
        lambda build, x, result: build("div", 0.5, result),
        lambda low, high: 0.5 / np.sqrt(low),
        2,
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


def _log_gamma_ball(a: Any) -> Any:
    """log |Γ(x)|, on the left by reflection: Γ(x) Γ(1 - x) = π / sin πx."""
    if a > 0:
        return a.lgamma()
    sine = abs(a.sin_pi())
    return (a.pi() / sine).log() - (1 - a).lgamma()


def _polygamma() -> Primitive:
    """ψ⁽ⁿ⁾ for n = params["order"] >= 1: (-1)^(n+1) n! ζ(n + 1, x)."""

    def evaluate(params: Params, x: Array) -> Array:
        value: Array = special.polygamma(params["order"], x)
        return value

    def balls(params: Params, x: Array) -> Array:
        from flint import arb

        n = params["order"]
        factor = arb((-1) ** (n + 1)) * arb(n + 1).gamma()
        return entries_of(lambda a: factor * arb(n + 1).zeta(a))(x)

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
        8,
    ),
    _smooth(
        "exp",
        np.exp,
        lambda a: a.exp(),
        lambda build, x, result: result,
        lambda low, high: np.exp(high),
        4,
    ),
    _smooth(
        "exp2",
        np.exp2,
        lambda a: (a * a.const_log2()).exp(),
        lambda build, x, result: build("mul", result, build.irrational("log(2)", x)),
        lambda low, high: np.log(2) * np.exp2(high),
        8,
    ),
    _smooth(
        "expm1",
        np.expm1,
        lambda a: a.expm1(),
        lambda build, x, result: build("exp", x),
        lambda low, high: np.exp(high),
        8,
    ),
    _smooth(
        "log",
        np.log,
        lambda a: a.log(),
        lambda build, x, result: build("reciprocal", x),
        lambda low, high: 1 / np.where(low > 0, low, 0.0),
        6,
    ),
    _smooth(
        "log1p",
        np.log1p,
        lambda a: a.log1p(),
        lambda build, x, result: build("reciprocal", build("add", x, 1.0)),
        lambda low, high: 1 / np.where(low > -1, 1 + low, 0.0),
        8,
    ),
    _smooth(
        "cbrt",
        np.cbrt,
        lambda a: -((-a).root(3)) if a < 0 else (a if a.is_zero() else a.root(3)),
        lambda build, x, result: build("div", result, build("mul", 3.0, x)),
        lambda low, high: _least(low, high) ** (-2 / 3) / 3,
        8,
    ),
    _smooth(
        "sin",
        np.sin,
        lambda a: a.sin(),
        lambda build, x, result: build("cos", x),
        _wave(np.cos),
        8,
    ),
    _smooth(
        "cos",
        np.cos,
        lambda a: a.cos(),
        lambda build, x, result: build("neg", build("sin", x)),
        _wave(np.sin),
        8,
    ),
    _smooth(
        "tan",
        np.tan,
        lambda a: a.tan(),
        lambda build, x, result: build("add", build("square", result), 1.0),
        _no_pole,
        10,
    ),
    _smooth(
        "asin",
        np.arcsin,
        lambda a: a.asin(),
        lambda build, x, result: build("rsqrt", _under_root(build, x, -1)),
        lambda low, high: 1 / np.sqrt((1 - _most(low, high)) * (1 + _most(low, high))),
        8,
    ),
    _smooth(
        "acos",
        np.arccos,
        lambda a: a.acos(),
        lambda build, x, result: build("neg", build("rsqrt", _under_root(build, x, -1))),
        lambda low, high: 1 / np.sqrt((1 - _most(low, high)) * (1 + _most(low, high))),
        8,
    ),
    _smooth(
        "atan",
        np.arctan,
        lambda a: a.atan(),
        lambda build, x, result: build("reciprocal", build("add", build("square", x), 1.0)),
        lambda low, high: 1 / (1 + _least(low, high) ** 2),
        8,
    ),
    _smooth(
        "sinh",
        np.sinh,
        lambda a: a.sinh(),
        lambda build, x, result: build("cosh", x),
        lambda low, high: np.cosh(_most(low, high)),
        8,
    ),
    _smooth(
        "cosh",
        np.cosh,
        lambda a: a.cosh(),
        lambda build, x, result: build("sinh", x),
        lambda low, high: np.sinh(_most(low, high)),
        8,
    ),
    _smooth(
        "tanh",
        np.tanh,
        lambda a: a.tanh(),
        _tanh_partial,
        lambda low, high: 4 * _two_sided(2 * _least(low, high)),
        16,
    ),
    _smooth(
        "asinh",
        np.arcsinh,
        lambda a: a.asinh(),
        lambda build, x, result: build("rsqrt", _under_root(build, x, 1)),
        lambda low, high: 1 / np.sqrt(1 + _least(low, high) ** 2),
        10,
    ),
    _smooth(
        "acosh",
        np.arccosh,
        lambda a: a.acosh(),
        lambda build, x, result: build(
            "rsqrt", build("mul", build("sub", x, 1.0), build("add", x, 1.0))
        ),
        lambda low, high: 1 / np.sqrt(np.where(low > 1, (low - 1) * (low + 1), 0.0)),
        10,
    ),
    _smooth(
        "atanh",
        np.arctanh,
        lambda a: a.atanh(),
        lambda build, x, result: build("reciprocal", _under_root(build, x, -1)),
        lambda low, high: 1 / np.maximum((1 - _most(low, high)) * (1 + _most(low, high)), 0.0),
        10,
    ),
    _smooth(
        "logistic",
        _logistic,
        _logistic_ball,
        _logistic_partial,
        lambda low, high: _two_sided(_least(low, high)),
        10,
    ),
    _smooth(
        "erf",
        special.erf,
        lambda a: a.erf(),
        lambda build, x, result: _gaussian(build, x, "2/sqrt(pi)"),
        lambda low, high: BELL * np.exp(-(_least(low, high) ** 2)),
        8,
        absolute=2,
        extended=False,
    ),
    _smooth(
        "erfc",
        special.erfc,
        lambda a: a.erfc(),
        lambda build, x, result: build("neg", _gaussian(build, x, "2/sqrt(pi)")),
        lambda low, high: BELL * np.exp(-(_least(low, high) ** 2)),
        64,
        absolute=2,
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
        16,
        extended=False,
    ),
    _smooth(
        "lgamma",
        special.gammaln,
        _log_gamma_ball,
        lambda build, x, result: build("digamma", x),
        lambda low, high: np.where(
            low > 0, np.maximum(abs(special.digamma(low)), abs(special.digamma(high))), np.inf
        ),
        16,
        absolute=16,
        extended=False,
    ),
    _smooth(
        "digamma",
        special.digamma,
        lambda a: a.digamma(),
        lambda build, x, result: build("polygamma", x, order=1),
        lambda low, high: np.where(
            low > 0, special.polygamma(1, np.where(low > 0, low, 1)), np.inf
        ),
        16,
        absolute=16,
        extended=False,
    ),
    _polygamma(),
)
