"""Comparisons, and what is chosen by them: maxima, magnitudes, branches, steps.

A choice that rounding may turn is not guessed: its value is held to all that it may be.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from crosscheck.arithmetic.primitives.row import (
    BOOLEAN,
    Array,
    Build,
    Known,
    Params,
    Primitive,
    Rounding,
    alike,
    by_partials,
    constant,
    entries_of,
    no_cotangents,
)


def _jumps(
    name: str,
    evaluate: Callable[..., Array],
    balls: Callable[..., Array],
    error: Callable[..., Array | None],
    kind: str = "real",
) -> Primitive:
    """A row of something that is constant almost everywhere."""
    return Primitive(
        name, evaluate, balls, error, no_cotangents, constant, alike, kind, elementwise=True
    )


def _open(x: Known, y: Known) -> Array | None:
    """Where x and y are nearer to each other than their errors are large."""
    if x.error is None and y.error is None:
        return None
    with np.errstate(all="ignore"):
        sure = np.abs(x.value - y.value) > x.deviation + y.deviation
    exact = (x.deviation == 0) & (y.deviation == 0)
    unsure: Array = ~(sure | exact)
    return unsure if unsure.any() else None


def _comparison(name: str, compare: Callable[[Any, Any], Any]) -> Primitive:
    opposite = {"lt": "ge", "ge": "lt", "gt": "le", "le": "gt", "eq": "ne", "ne": "eq"}[name]

    def ball(a: Any, b: Any) -> Any:
        if compare(a, b):
            return True
        return False if COMPARISONS[opposite](a, b) else None

    return _jumps(
        name,
        lambda params, x, y: compare(x, y),
        lambda params, x, y: entries_of(lambda a, b: ball(a, b))(x, y),
        lambda r, params, value, x, y: _open(x, y),
        BOOLEAN,
    )


COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
}


def _and_ball(a: Any, b: Any) -> Any:
    if a is False or b is False:
        return False
    return None if a is None or b is None else True


def _or_ball(a: Any, b: Any) -> Any:
    if a is True or b is True:
        return True
    return None if a is None or b is None else False


def _mask(known: Known) -> Array:
    return np.zeros(known.value.shape, bool) if known.error is None else known.error


def _and_error(r: Rounding, params: Params, value: Array, x: Known, y: Known) -> Array | None:
    if x.error is None and y.error is None:
        return None
    unsure_x, unsure_y = _mask(x), _mask(y)
    settled: Array = (~x.value & ~unsure_x) | (~y.value & ~unsure_y)
    return (unsure_x | unsure_y) & ~settled


def _or_error(r: Rounding, params: Params, value: Array, x: Known, y: Known) -> Array | None:
    if x.error is None and y.error is None:
        return None
    unsure_x, unsure_y = _mask(x), _mask(y)
    settled: Array = (x.value & ~unsure_x) | (y.value & ~unsure_y)
    return (unsure_x | unsure_y) & ~settled


def _either_unsure(r: Rounding, params: Params, value: Array, *x: Known) -> Array | None:
    masks = [known.error for known in x if known.error is not None]
    if not masks:
        return None
    unsure = masks[0]
    for mask in masks[1:]:
        unsure = unsure | mask
    return unsure


def _select(params: Params, c: Array, x: Array, y: Array) -> Array:
    return np.where(c, x, y)


def _select_ball(c: Any, a: Any, b: Any) -> Any:
    if c is None:
        if a is b:
            return a
        return a.union(b) if hasattr(a, "union") else (a if a == b else None)
    return a if c else b


def _select_error(
    r: Rounding, params: Params, value: Array, c: Known, x: Known, y: Known
) -> Array | None:
    """Where the condition is open the other branch may have been taken as well."""
    if value.dtype == bool:
        if c.error is None and x.error is None and y.error is None:
            return None
        chosen = np.where(c.value, _mask(x), _mask(y))
        return chosen | (_mask(c) & (x.value != y.value))
    if c.error is None and x.error is None and y.error is None:
        return None
    error = np.where(c.value, x.deviation, y.deviation)
    if c.error is not None:
        with np.errstate(all="ignore"):
            apart = np.abs(x.value - y.value)
            other = np.where(np.isnan(apart), np.inf, apart)
            other = np.where(x.value == y.value, 0.0, other)
            other = other + np.where(c.value, y.deviation, x.deviation)
        error = np.where(c.error, np.maximum(error, other), error)
    return error


def _select_pullback(build: Build, applied: Any, cotangent: int) -> list[int | None]:
    condition = applied.operands[0]
    return [
        None,
        build("select", condition, cotangent, 0.0),
        build("select", condition, 0.0, cotangent),
    ]


def _select_pushforward(build: Build, applied: Any, tangents: Sequence[int | None]) -> int | None:
    first, second = tangents[1], tangents[2]
    if first is None and second is None:
        return None
    return build(
        "select",
        applied.operands[0],
        0.0 if first is None else first,
        0.0 if second is None else second,
    )


def _either_error(r: Rounding, params: Params, value: Array, *ways: Known) -> Array | None:
    """Whoever computes it took one of the ways, and nobody says which."""
    errors = [known.error for known in ways if known.error is not None]
    if not errors:
        return None
    unknown = np.isnan(errors).any(0)
    worst: Array = np.where(unknown, np.inf, np.maximum.reduce(errors))
    return worst


def _either() -> Primitive:
    """One thing written in several ways that are equal in exact arithmetic: the first's value."""
    return Primitive(
        "either",
        lambda params, x, y, *rest: x,
        lambda params, x, y, *rest: x,
        _either_error,
        lambda build, applied, cotangent: [cotangent, *(None,) * (len(applied.operands) - 1)],
        lambda build, applied, tangents: tangents[0],
        alike,
        elementwise=True,
    )


def _extreme_error(r: Rounding, params: Params, value: Array, x: Known, y: Known) -> Array | None:
    """A maximum moves by no more than the operand that moves more."""
    if x.error is None and y.error is None:
        return None
    largest: Array = np.maximum(x.deviation, y.deviation)
    # What is surely not chosen does not count.
    with np.errstate(all="ignore"):
        sure = np.abs(x.value - y.value) > x.deviation + y.deviation
        chosen = np.where(value == x.value, x.deviation, y.deviation)
    return np.where(sure, chosen, largest)


def _extreme(name: str, evaluate: Callable[..., Array], ball: Callable[..., Any]) -> Primitive:
    larger = name == "max"

    def partials(
        build: Build, operands: tuple[int, ...], result: int, params: Params
    ) -> list[int | float | None]:
        x, y = operands if larger else operands[::-1]
        first = build("step", x, y)
        return [first, build("sub", 1.0, first)]

    pullback, pushforward = by_partials(partials)
    return Primitive(
        name,
        lambda params, x, y: evaluate(x, y),
        lambda params, x, y: entries_of(lambda a, b: ball(a, b))(x, y),
        _extreme_error,
        pullback,
        pushforward,
        alike,
        elementwise=True,
    )


def _step(params: Params, x: Array, y: Array) -> Array:
    """1 where x > y, 0 where x < y, ½ for a tie: any weight between 0 and 1 is right there."""
    weights: Array = np.where(x > y, 1.0, np.where(x < y, 0.0, 0.5))
    return weights.astype(x.dtype)


def _step_ball(a: Any, b: Any) -> Any:
    ball = type(a)
    if a > b:
        return ball(1)
    return ball(0) if a < b else ball(0.5, 0.5)


def _step_error(r: Rounding, params: Params, value: Array, x: Known, y: Known) -> Array | None:
    tie: Array = x.value == y.value
    unsure = _open(x, y)
    loose = tie if unsure is None else tie | unsure
    if not loose.any():
        return None
    return np.where(loose, np.where(tie, 0.5, 1.0), 0.0)


def _abs_partials(
    build: Build, operands: tuple[int, ...], result: int, params: Params
) -> list[int | None]:
    """Any slope between -1 and 1 is right at the kink."""
    step = build("step", operands[0], 0.0)
    return [build("sub", build("mul", step, 2.0), 1.0)]


def _abs() -> Primitive:
    pullback, pushforward = by_partials(_abs_partials)
    return Primitive(
        "abs",
        lambda params, x: np.abs(x),
        lambda params, x: entries_of(lambda a: abs(a))(x),
        lambda r, params, value, x: x.error,
        pullback,
        pushforward,
        alike,
        elementwise=True,
    )


def _sign_error(r: Rounding, params: Params, value: Array, x: Known) -> Array | None:
    unsure = _open(x, Known(np.zeros(x.value.shape), None))
    if unsure is None:
        return None
    return np.where(unsure, 1.0 + np.abs(value), 0.0)


def _whole(name: str, round_down: Callable[[Array], Array]) -> Primitive:
    """floor, ceil and round: a whole number, one beside it where rounding may turn it."""

    def balls(params: Params, x: Array) -> Array:
        from flint import arb

        def ball(a: Any) -> Any:
            if a.is_exact():
                return arb(float(round_down(np.asarray(float(a)))))
            low = float(round_down(np.asarray(float(a.lower()))))
            high = float(round_down(np.asarray(float(a.upper()))))
            return arb(low) if low == high else arb(low).union(arb(high))

        return entries_of(lambda a: ball(a))(x)

    def error(r: Rounding, params: Params, value: Array, x: Known) -> Array | None:
        if x.error is None:
            return None
        with np.errstate(all="ignore"):
            ends = round_down(x.high), round_down(x.low)
        spread: Array = np.maximum(np.abs(ends[0] - value), np.abs(value - ends[1]))
        return spread

    return _jumps(name, lambda params, x: round_down(x), balls, error)


def _is_finite_ball(a: Any) -> Any:
    return bool(a.is_finite())


ROWS = (
    *(_comparison(name, compare) for name, compare in COMPARISONS.items()),
    _jumps(
        "and",
        lambda params, x, y: x & y,
        lambda params, x, y: entries_of(lambda a, b: _and_ball(a, b))(x, y),
        _and_error,
        BOOLEAN,
    ),
    _jumps(
        "or",
        lambda params, x, y: x | y,
        lambda params, x, y: entries_of(lambda a, b: _or_ball(a, b))(x, y),
        _or_error,
        BOOLEAN,
    ),
    _jumps(
        "not",
        lambda params, x: ~x,
        lambda params, x: entries_of(lambda a: None if a is None else not a)(x),
        _either_unsure,
        BOOLEAN,
    ),
    _jumps(
        "xor",
        lambda params, x, y: x ^ y,
        lambda params, x, y: entries_of(
            lambda a, b: None if a is None or b is None else bool(a) != bool(b)
        )(x, y),
        _either_unsure,
        BOOLEAN,
    ),
    _jumps(
        "is_finite",
        lambda params, x: np.isfinite(x),
        lambda params, x: entries_of(lambda a: _is_finite_ball(a))(x),
        lambda r, params, value, x: (
            None if x.error is None or np.isfinite(x.error).all() else ~np.isfinite(x.error)
        ),
        BOOLEAN,
    ),
    Primitive(
        "select",
        _select,
        lambda params, c, x, y: entries_of(lambda p, a, b: _select_ball(p, a, b))(c, x, y),
        _select_error,
        _select_pullback,
        _select_pushforward,
        lambda params, *shapes: shapes[0],
        elementwise=True,
    ),
    _either(),
    _extreme("max", np.maximum, lambda a, b: a.max(b)),
    _extreme("min", np.minimum, lambda a, b: a.min(b)),
    _jumps(
        "step",
        _step,
        lambda params, x, y: entries_of(lambda a, b: _step_ball(a, b))(x, y),
        _step_error,
    ),
    _abs(),
    _jumps(
        "sign",
        lambda params, x: np.sign(x),
        lambda params, x: entries_of(lambda a: a.sgn())(x),
        _sign_error,
    ),
    _whole("floor", np.floor),
    _whole("ceil", np.ceil),
    _whole("round", np.round),
)
