"""Sums, products, quotients and powers, entry by entry.

The roundings are those of Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed.,
section 3.3 (running error analysis): E >= |computed - exact|.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import errstate

from crosscheck.arithmetic.primitives.row import (
    Array,
    Build,
    Known,
    Params,
    Partials,
    Primitive,
    Rounding,
    alike,
    by_partials,
    entries_of,
)

QUOTIENT_ROUNDINGS = 3
"""A division, or a product with a reciprocal that was rounded before (XLA, by a constant)."""


def _row(
    name: str,
    evaluate: Callable[..., Array],
    balls: Callable[..., Array],
    error: Callable[..., Array | None],
    partials: Partials,
) -> Primitive:
    pullback, pushforward = by_partials(partials)
    return Primitive(name, evaluate, balls, error, pullback, pushforward, alike, elementwise=True)


def rounded(rounding: Rounding, value: Array, carried: Any, count: float, eta: float) -> Array:
    """E of a result that `carried` errors reach and `count` roundings: c + γ (|v| + c) + η."""
    factor = rounding.u if count == 1 else rounding.gamma(count)
    error: Array = carried + factor * (np.abs(value) + carried)
    if eta:
        error += eta
    return error


def _sum_error(r: Rounding, params: Params, value: Array, x: Known, y: Known) -> Array:
    return rounded(r, value, _either(x, y), 1, 0.0)


def _either(x: Known, y: Known) -> Array | Any:
    """E_x + E_y."""
    if x.error is None:
        return 0.0 if y.error is None else y.error
    return x.error if y.error is None else x.error + y.error


def crossed(x: Known, y: Known) -> Array | Any:
    """|x| E_y + E_x |y| + E_x E_y, what errors come to in a product."""
    if x.error is None:
        return 0.0 if y.error is None else np.abs(x.value) * y.error
    carried = x.error * y.size
    return carried if y.error is None else carried + np.abs(x.value) * y.error


def _product_error(r: Rounding, params: Params, value: Array, x: Known, y: Known) -> Array:
    error = rounded(r, value, crossed(x, y), 1, r.eta)
    if params.get("annihilates"):
        sure_zero = (x.value == 0) & (x.deviation == 0)
        if sure_zero.any():
            error = np.where(sure_zero, 0.0, error)
    return error


def _times(params: Params, x: Array, y: Array) -> Array:
    with errstate(all="ignore"):
        product: Array = x * y
        if params.get("annihilates") and not np.isfinite(product).all():
            product = np.where(x == 0, x.dtype.type(0), product)
    return product


def _times_balls(params: Params, x: Array, y: Array) -> Array:
    if params.get("annihilates"):
        return _annihilating(x, y)
    return np.asarray(x * y, object)


_annihilating = entries_of(lambda a, b: a if a.is_zero() else a * b)


def _quotient_error(r: Rounding, params: Params, value: Array, x: Known, y: Known) -> Array:
    if y.error is None:
        carried = 0.0 if x.error is None else x.error / np.abs(y.value)
    else:
        least = np.abs(y.value) - y.error
        carried = (x.deviation + np.abs(value) * y.error) / np.where(least > 0, least, 0.0)
    return rounded(r, value, carried, QUOTIENT_ROUNDINGS, 2 * r.eta)


def _quotient_partials(
    build: Build, operands: tuple[int, ...], result: int, params: Params
) -> list[int | None]:
    return [build("reciprocal", operands[1]), build("neg", build("div", result, operands[1]))]


def _reciprocal_error(r: Rounding, params: Params, value: Array, x: Known) -> Array:
    carried: Any = 0.0
    if x.error is not None:
        least = np.abs(x.value) - x.error
        carried = np.abs(value) * x.error / np.where(least > 0, least, 0.0)
    return rounded(r, value, carried, 2, r.eta)


def _exact(r: Rounding, params: Params, value: Array, x: Known) -> Array | None:
    return x.error


def _square_error(r: Rounding, params: Params, value: Array, x: Known) -> Array:
    return rounded(r, value, crossed(x, x), 1, r.eta)


def _power_error(r: Rounding, params: Params, value: Array, x: Known) -> Array:
    """x^n by products, in any order, or by the library's pow: at most 2 |n| roundings."""
    n = params["exponent"]
    carried: Any = 0.0
    if x.error is not None:
        most = x.size if n > 0 else np.maximum(np.abs(x.value) - x.error, 0.0)
        carried = abs(n) * most ** (n - 1.0) * x.error
    return rounded(r, value, carried, max(2 * abs(n), 4), 2 * r.eta * max(1, abs(n)))


def _power_partials(
    build: Build, operands: tuple[int, ...], result: int, params: Params
) -> list[int | float | None]:
    n = params["exponent"]
    if n == 0:
        return [None]
    if n == 1:
        return [1.0]
    lower = build("integer_pow", operands[0], exponent=n - 1)
    return [build("mul", lower, float(n))]


def _powers(params: Params, x: Array) -> Array:
    with errstate(all="ignore"):
        power: Array = x ** params["exponent"]
    return power


def _pow_value(params: Params, x: Array, y: Array) -> Array:
    with errstate(all="ignore"):
        power: Array = np.power(x, y)
    return power


POW_ROUNDINGS = 16.0


def _pow_error(r: Rounding, params: Params, value: Array, x: Known, y: Known) -> Array:
    """|x^y| (exp(t) - 1) with t the largest change of y log |x|."""
    with errstate(all="ignore"):
        least = np.abs(x.value) - x.deviation
        change = y.size * x.deviation / np.where(least > 0, least, 0.0)
        change = np.where(x.deviation == 0, 0.0, change)
        logs = np.maximum(np.abs(np.log(np.maximum(least, 0))), np.abs(np.log(x.size)))
        change = change + np.where(y.deviation == 0, 0.0, logs * y.deviation)
        carried = np.abs(value) * np.expm1(change)
        # exp(y log x) loses what y log x has before the point.
        scale = 1 + np.where(value == 0, 0.0, y.size * logs)
        scale = np.where(np.isfinite(scale), scale, 1.0)
        error: Array = carried + POW_ROUNDINGS * r.u * scale * (np.abs(value) + carried) + r.eta
        at_zero = (x.value == 0) & (y.value > 0) & (y.deviation == 0)
        return np.where(at_zero, x.deviation**y.value + r.eta, error)


def _pow_ball(x: Any, y: Any) -> Any:
    if y.is_exact() and y.is_integer():
        return x ** int(float(y))
    if x.is_zero() and y > 0:
        return x
    return x**y


def _pow_partials(
    build: Build, operands: tuple[int, ...], result: int, params: Params
) -> list[int | None]:
    x, y = operands
    by_base = build("mul", y, build("pow", x, build("sub", y, 1.0)))
    positive = build("gt", x, 0.0)
    safe = build("select", positive, x, 1.0)
    log = build("select", positive, build("log", safe), 0.0)
    by_exponent = build("mul", result, log, annihilates=True)
    return [by_base, by_exponent]


def _angle_error(r: Rounding, params: Params, value: Array, y: Known, x: Known) -> Array:
    """arg(x + iy): a disc of radius d around a point at distance r turns it by asin(d/r).

    Where the disc holds 0 or meets the cut the angle may be any; XLA, which flushes subnormals,
    has none at 0.
    """
    with np.errstate(all="ignore"):
        moved = np.hypot(x.deviation, y.deviation)
        distance = np.hypot(x.value, y.value)
        turned = np.arcsin(np.minimum(moved / distance, 1.0))
        open_cut = (x.low < 0) & (y.deviation > 0) & (np.abs(y.value) <= y.deviation)
        any_angle = (moved >= distance) & (moved > 0)
    most = np.where(any_angle & (r.tau > 0), np.inf, 2 * np.pi)
    carried = np.where(moved == 0, 0.0, np.where(open_cut | any_angle, most, turned))
    return rounded(r, value, carried, 10, 2 * r.eta)


def _angle_partials(
    build: Build, operands: tuple[int, ...], result: int, params: Params
) -> list[int | None]:
    y, x = operands
    squares = build("add", build("square", x), build("square", y))
    return [build("div", x, squares), build("neg", build("div", y, squares))]


def _balls(operation: Callable[..., Array]) -> Callable[..., Array]:
    return lambda params, *arrays: operation(*arrays)


ROWS = (
    _row(
        "add",
        lambda params, x, y: x + y,
        _balls(entries_of(lambda a, b: a + b)),
        _sum_error,
        lambda build, operands, result, params: (1.0, 1.0),
    ),
    _row(
        "sub",
        lambda params, x, y: x - y,
        _balls(entries_of(lambda a, b: a - b)),
        _sum_error,
        lambda build, operands, result, params: (1.0, -1.0),
    ),
    _row(
        "mul",
        _times,
        _times_balls,
        _product_error,
        lambda build, operands, result, params: (operands[1], operands[0]),
    ),
    _row(
        "div",
        lambda params, x, y: x / y,
        _balls(entries_of(lambda a, b: a / b)),
        _quotient_error,
        _quotient_partials,
    ),
    _row(
        "neg",
        lambda params, x: -x,
        _balls(entries_of(lambda a: -a)),
        _exact,
        lambda build, operands, result, params: (-1.0,),
    ),
    _row(
        "square",
        lambda params, x: x * x,
        _balls(entries_of(lambda a: a**2)),
        _square_error,
        lambda build, operands, result, params: (build("mul", operands[0], 2.0),),
    ),
    _row(
        "reciprocal",
        lambda params, x: 1 / x,
        _balls(entries_of(lambda a: 1 / a)),
        _reciprocal_error,
        lambda build, operands, result, params: (build("neg", build("square", result)),),
    ),
    _row(
        "integer_pow",
        _powers,
        lambda params, x: entries_of(lambda a: a ** params["exponent"])(x),
        _power_error,
        _power_partials,
    ),
    _row("pow", _pow_value, _balls(entries_of(_pow_ball)), _pow_error, _pow_partials),
    _row(
        "atan2",
        lambda params, y, x: np.arctan2(y, x),
        _balls(entries_of(lambda a, b: type(a).atan2(a, b))),
        _angle_error,
        _angle_partials,
    ),
)
