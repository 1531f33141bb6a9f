"""How NumPy's and SciPy's ufuncs are written down: a rule each, in primitives."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy import special

from crosscheck.arithmetic.primitives.row import Array
from crosscheck.programs.frontends.numpy.functions.contractions import matrix_product
from crosscheck.programs.frontends.numpy.recorder import (
    REFERENCE,
    Recorder,
    format_of,
    is_float,
    unread,
)
from crosscheck.programs.frontends.numpy.traced_array import TracedArray, numbers

Rule = Callable[..., int]
"""(recorder, format of the loop, *inputs) to the number of the result."""


def called(
    recorder: Recorder, ufunc: Any, method: str, inputs: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """A ufunc's call on arrays of which at least one is traced, written down."""
    if method != "__call__":
        return _by_method(recorder, ufunc, method, inputs, kwargs)
    (out,) = kwargs.pop("out", (None,))
    where = kwargs.pop("where", True)
    value = _value(ufunc, inputs, kwargs, out, where)
    if isinstance(value, tuple):
        unread(f"np.{ufunc.__name__}, which has two results,", "take np.floor, np.mod or np.divide")
    if value.dtype != bool and not is_float(value.dtype):
        format_of(value.dtype) if value.dtype.kind not in "biu" else None
        recorder.decided(f"the whole numbers made by np.{ufunc.__name__}")
        return value
    if out is not None and not isinstance(out, TracedArray):
        _into_fresh(ufunc)
    rule = RULES.get(ufunc)
    if rule is None:
        unread(f"{ufunc.__name__}", REFERENCE)
    number = rule(recorder, _loop(inputs, kwargs, value), *inputs)
    if where is not True:
        number = _masked(recorder, ufunc, number, where, out)
    if out is None:
        return recorder.array(number, value)
    out.write(number, value)
    return out


def _value(ufunc: Any, inputs: Any, kwargs: Any, out: Any, where: Any) -> Any:
    """What NumPy itself gives, in an array of its own."""
    plain = [numbers(x) for x in inputs]
    masked = kwargs if where is True else {**kwargs, "where": numbers(where)}
    if out is None:
        value = ufunc(*plain, **masked)
        return value if isinstance(value, tuple) else np.asarray(value)
    target = numbers(out).copy()
    ufunc(*plain, out=target, **masked)
    return target


def _loop(inputs: Any, kwargs: Any, value: Array) -> str:
    """The format that the operands are brought to: the result's, or of a comparison their own."""
    if "dtype" in kwargs:
        return format_of(np.dtype(kwargs["dtype"]))
    common = np.result_type(*(numbers(x) for x in inputs))
    if common.kind in "iu":
        common = value.dtype if is_float(value.dtype) else np.dtype(np.float64)
    if common.kind == "b" and is_float(value.dtype):
        common = value.dtype
    return format_of(common)


def _into_fresh(ufunc: Any) -> None:
    unread(
        f"np.{ufunc.__name__} of a traced array into an array made by np.zeros or the like",
        "make that one by np.zeros_like(x, shape=…) of a traced array x, or write a = a + b "
        "in place of a += b",
    )


def _masked(recorder: Recorder, ufunc: Any, number: int, where: Any, out: Any) -> int:
    if out is None:
        unread(f"np.{ufunc.__name__} with where= and without out=", "use np.where")
    mask = recorder.number(where, "bool")
    return recorder.emit(
        "select", mask, number, recorder.number(out, recorder.builder.format(number))
    )


REDUCTIONS: Mapping[Any, Callable[..., Any]] = {
    np.add: np.sum, np.multiply: np.prod, np.maximum: np.max, np.minimum: np.min,
    np.logical_or: np.any, np.logical_and: np.all,
}  # fmt: skip
ACCUMULATIONS: Mapping[Any, Callable[..., Any]] = {np.add: np.cumsum, np.multiply: np.cumprod}


def _by_method(
    recorder: Recorder, ufunc: Any, method: str, inputs: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """ufunc.reduce, accumulate, outer and at."""
    if method == "reduce" and ufunc in REDUCTIONS:
        x, *rest = inputs
        axis = kwargs.pop("axis", rest[0] if rest else 0)
        return REDUCTIONS[ufunc](x, axis=axis, **_given(kwargs))
    if method == "reduce" and ufunc is np.logaddexp:
        return _log_sum_exp(*inputs, **_given(kwargs) | {"axis": kwargs.get("axis", 0)})
    if method == "accumulate" and ufunc in ACCUMULATIONS:
        x, *rest = inputs
        axis = kwargs.pop("axis", rest[0] if rest else 0)
        return ACCUMULATIONS[ufunc](x, axis=axis, **_given(kwargs))
    if method == "outer":
        x, y = inputs
        spread = np.reshape(x, np.shape(x) + (1,) * np.ndim(y))
        return ufunc(spread, y, **kwargs)
    if method == "at" and ufunc in (np.add, np.subtract):
        return _added_at(recorder, ufunc, *inputs)
    unread(f"np.{ufunc.__name__}.{method}", REFERENCE)


def _given(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Keywords without those that say nothing; an `out` of one array as that array."""
    left = {name: value for name, value in kwargs.items() if value is not None}
    if isinstance(left.get("out"), tuple):
        (left["out"],) = left["out"]
    return left


def _log_sum_exp(x: Any, axis: Any = 0, keepdims: bool = False, **left: Any) -> Any:
    """log Σ e^x one by one, as NumPy makes it."""
    moved = np.ravel(x) if axis is None else np.moveaxis(x, axis, 0)
    total = moved[0]
    for term in moved[1:]:
        total = np.logaddexp(total, term)
    if not keepdims:
        return total
    return np.reshape(total, (1,) * x.ndim) if axis is None else np.expand_dims(total, axis)


def _added_at(recorder: Recorder, ufunc: Any, x: Any, key: Any, y: Any = None) -> None:
    """x.flat[places] ± y, where a place may come up more than once: sums in any order."""
    if not isinstance(x, TracedArray):
        _into_fresh(ufunc)
    plain, value = x._plain(key), x.value.copy()
    ufunc.at(value, plain, numbers(y))
    format = format_of(x.dtype)
    places = np.arange(x.size).reshape(x.shape)
    targets = np.asarray(places[plain])
    terms = recorder.broadcast(recorder.number(y, format), targets.shape)
    if ufunc is np.subtract:
        terms = recorder.emit("neg", terms)
    joined = recorder.emit("concatenate", x.number, terms, axis=None)
    index = np.concatenate([places.reshape(-1), targets.reshape(-1)])
    x.write(recorder.emit("put", joined, index=index, shape=x.shape), value)


def _plain(primitive: str) -> Rule:
    """The primitive of these operands, as it is."""

    def rule(recorder: Recorder, format: str, *inputs: Any) -> int:
        given = [recorder.number(x, format) for x in inputs]
        boolean = {"format": format} if format != "bool" else {}
        return recorder.emit(primitive, *given, **boolean)

    return rule


def _comparing(primitive: str) -> Rule:
    def rule(recorder: Recorder, format: str, *inputs: Any) -> int:
        wide = "float64" if format == "bool" else format
        return recorder.emit(primitive, *(recorder.number(x, wide) for x in inputs))

    return rule


def _logical(primitive: str) -> Rule:
    return lambda recorder, format, *inputs: recorder.emit(
        primitive, *(recorder.number(x, "bool") for x in inputs)
    )


def _composed(body: Callable[..., int]) -> Rule:
    """A composition: `body(emit, *numbers)`."""
    return lambda recorder, format, *inputs: body(
        recorder.emit, *(recorder.number(x, format) for x in inputs)
    )


def _multiplied(recorder: Recorder, format: str, x: Any, y: Any) -> int:
    if format == "bool":
        return _logical("and")(recorder, format, x, y)
    if x is y:
        return recorder.emit("square", recorder.number(x, format))
    return recorder.emit("mul", recorder.number(x, format), recorder.number(y, format))


def _added(recorder: Recorder, format: str, x: Any, y: Any) -> int:
    kind = _logical("or") if format == "bool" else _plain("add")
    return kind(recorder, format, x, y)


def _power(recorder: Recorder, format: str, x: Any, y: Any) -> int:
    """x ** n for whole n by products, ** ½ as a square root, else by the library's pow."""
    base = recorder.number(x, format)
    exponents = None if isinstance(y, TracedArray) else np.asarray(y)
    if exponents is None or exponents.size == 0 or np.ptp(exponents) != 0:
        return recorder.emit("pow", base, recorder.number(y, format))
    n = float(exponents.flat[0])
    shape = np.broadcast_shapes(recorder.builder.shape(base), exponents.shape)
    base = recorder.broadcast(base, shape)
    if n == 2:
        return recorder.emit("square", base)
    if n == 0.5:
        return recorder.emit("sqrt", base)
    if n == int(n) and abs(n) <= 64:
        return recorder.emit("integer_pow", base, exponent=int(n))
    return recorder.emit("pow", base, recorder.number(y, format))


def _log_to(base: str) -> Rule:
    def rule(recorder: Recorder, format: str, x: Any) -> int:
        number = recorder.number(x, format)
        scale = recorder.builder.irrational(base, number)
        return recorder.emit("div", recorder.emit("log", number), scale)

    return rule


def _turned(degrees: bool) -> Rule:
    def rule(recorder: Recorder, format: str, x: Any) -> int:
        number = recorder.number(x, format)
        half = recorder.builder.irrational("pi", number)
        if degrees:
            return recorder.emit("mul", recorder.emit("div", number, half), 180.0)
        return recorder.emit("mul", recorder.emit("div", number, 180.0), half)

    return rule


def _log_add(emit: Callable[..., int], x: int, y: int) -> int:
    """log (e^x + e^y), moved by the larger, which the derivative need not see."""
    larger = emit("stop", emit("max", x, y))
    first, second = emit("exp", emit("sub", x, larger)), emit("exp", emit("sub", y, larger))
    return emit("add", larger, emit("log", emit("add", first, second)))


def _heaviside(emit: Callable[..., int], x: int, half: int) -> int:
    positive = emit("select", emit("gt", x, 0.0), 1.0, half)
    return emit("select", emit("lt", x, 0.0), 0.0, positive)


def _with_sign(emit: Callable[..., int], x: int, y: int) -> int:
    size = emit("abs", x)
    return emit("select", emit("lt", y, 0.0), emit("neg", size), size)


def _modulo(emit: Callable[..., int], x: int, y: int) -> int:
    return emit("sub", x, emit("mul", emit("floor", emit("div", x, y)), y))


def _settled(ufunc: Any) -> Rule:
    """Booleans that are as they come out here."""

    def rule(recorder: Recorder, format: str, *inputs: Any) -> int:
        recorder.decided(f"np.{ufunc.__name__}")
        return recorder.builder.constant(np.asarray(ufunc(*(numbers(x) for x in inputs))), "bool")

    return rule


def _x_log_y(emit: Callable[..., int], x: int, y: int) -> int:
    zero = emit("eq", x, 0.0)
    log = emit("log", emit("select", zero, 1.0, y))
    return emit("select", zero, 0.0, emit("mul", x, log))


def _x_log1p_y(emit: Callable[..., int], x: int, y: int) -> int:
    zero = emit("eq", x, 0.0)
    log = emit("log1p", emit("select", zero, 0.0, y))
    return emit("select", zero, 0.0, emit("mul", x, log))


def _normal_distribution(recorder: Recorder, format: str, x: Any) -> int:
    """Φ(x) = erfc(-x/√2)/2."""
    number = recorder.number(x, format)
    root = recorder.emit("sqrt", recorder.builder.number(2.0, format))
    tail = recorder.emit("erfc", recorder.emit("neg", recorder.emit("div", number, root)))
    return recorder.emit("mul", tail, 0.5)


def _log_logistic(emit: Callable[..., int], x: int) -> int:
    """log σ(x) = -log(e^0 + e^-x)."""
    return emit("neg", _log_add(emit, emit("mul", x, 0.0), emit("neg", x)))


def _gamma(recorder: Recorder, format: str, x: Any) -> int:
    """e^log|Γ(x)|, with the sign that Γ has between the poles on the left."""
    size = recorder.emit("exp", recorder.emit("lgamma", recorder.number(x, format)))
    signs = special.gammasgn(numbers(x))
    if np.all(signs == 1):
        return size
    return recorder.emit("mul", size, recorder.builder.constant(signs, format))


def _beta_log(emit: Callable[..., int], x: int, y: int) -> int:
    both = emit("add", emit("lgamma", x), emit("lgamma", y))
    return emit("sub", both, emit("lgamma", emit("add", x, y)))


def _matmul(recorder: Recorder, format: str, x: Any, y: Any) -> int:
    return matrix_product(recorder, format, x, y)


PLAIN: Mapping[Any, str] = {
    np.subtract: "sub", np.divide: "div", np.negative: "neg", np.square: "square",
    np.reciprocal: "reciprocal", np.sqrt: "sqrt", np.cbrt: "cbrt", np.exp: "exp",
    np.exp2: "exp2", np.expm1: "expm1", np.log: "log", np.log1p: "log1p", np.sin: "sin",
    np.cos: "cos", np.tan: "tan", np.arcsin: "asin", np.arccos: "acos", np.arctan: "atan",
    np.arctan2: "atan2", np.sinh: "sinh", np.cosh: "cosh", np.tanh: "tanh", np.arcsinh: "asinh",
    np.arccosh: "acosh", np.arctanh: "atanh", np.absolute: "abs", np.fabs: "abs",
    np.sign: "sign", np.maximum: "max", np.minimum: "min", np.fmax: "max", np.fmin: "min",
    np.floor: "floor", np.ceil: "ceil", np.rint: "round", special.expit: "logistic",
    special.erf: "erf", special.erfc: "erfc", special.erfinv: "erfinv",
    special.gammaln: "lgamma", special.psi: "digamma", special.exp2: "exp2",
    special.cbrt: "cbrt", special.log1p: "log1p", special.expm1: "expm1",
}  # fmt: skip
"""Ufuncs that are primitives."""

COMPARISONS: Mapping[Any, str] = {
    np.less: "lt", np.less_equal: "le", np.greater: "gt", np.greater_equal: "ge",
    np.equal: "eq", np.not_equal: "ne",
}  # fmt: skip

LOGIC: Mapping[Any, str] = {
    np.logical_and: "and", np.bitwise_and: "and", np.logical_or: "or", np.bitwise_or: "or",
    np.logical_xor: "xor", np.bitwise_xor: "xor", np.logical_not: "not", np.invert: "not",
}  # fmt: skip

RULES: dict[Any, Rule] = {
    **{ufunc: _plain(name) for ufunc, name in PLAIN.items()},
    **{ufunc: _comparing(name) for ufunc, name in COMPARISONS.items()},
    **{ufunc: _logical(name) for ufunc, name in LOGIC.items()},
    **{ufunc: _settled(ufunc) for ufunc in (np.isnan, np.isinf, np.signbit)},
    np.isfinite: _plain("is_finite"),
    np.add: _added,
    np.multiply: _multiplied,
    np.matmul: _matmul,
    np.power: _power,
    np.float_power: _power,
    np.positive: _composed(lambda emit, x: x),
    np.conjugate: _composed(lambda emit, x: x),
    np.log2: _log_to("log(2)"),
    np.log10: _log_to("log(10)"),
    np.hypot: _composed(
        lambda emit, x, y: emit("sqrt", emit("add", emit("square", x), emit("square", y)))
    ),
    np.logaddexp: _composed(_log_add),
    np.heaviside: _composed(_heaviside),
    np.copysign: _composed(_with_sign),
    np.remainder: _composed(_modulo),
    np.floor_divide: _composed(lambda emit, x, y: emit("floor", emit("div", x, y))),
    np.trunc: _composed(
        lambda emit, x: emit("mul", emit("sign", x), emit("floor", emit("abs", x)))
    ),
    np.degrees: _turned(degrees=True),
    np.rad2deg: _turned(degrees=True),
    np.radians: _turned(degrees=False),
    np.deg2rad: _turned(degrees=False),
    special.xlogy: _composed(_x_log_y),
    special.xlog1py: _composed(_x_log1p_y),
    special.entr: _composed(lambda emit, x: emit("neg", _x_log_y(emit, x, x))),
    special.rel_entr: _composed(lambda emit, x, y: _x_log_y(emit, x, emit("div", x, y))),
    special.logit: _composed(lambda emit, x: emit("log", emit("div", x, emit("sub", 1.0, x)))),
    special.log_expit: _composed(_log_logistic),
    special.ndtr: _normal_distribution,
    special.gamma: _gamma,
    special.betaln: _composed(_beta_log),
}
"""Every ufunc that is read. scipy.special.logsumexp and softmax are none, and do not dispatch."""
