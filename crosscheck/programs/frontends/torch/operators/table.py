"""ATen operators as operations of a program: a row each, by name or name.overload.

A row gets the call, then the operator's own arguments with a `Value` for each tensor of numbers
or booleans, and returns the result's value, or those of several results. What has no row here
is followed into PyTorch's decomposition of it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from crosscheck.programs.frontends.torch.storage import FORMATS, Memory
from crosscheck.programs.program import Builder

Number = Any
"""A Value, a number of Python, or a tensor of integers."""


class Value(int):
    """The number of a value in the program, where an argument could be a number of Python."""


@dataclass(frozen=True)
class Call:
    """An operator's call: PyTorch's own arguments and result beside the program's values."""

    build: Builder
    memory: Memory
    func: Any
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    result: Any

    @property
    def results(self) -> list[Any]:
        return list(self.result) if isinstance(self.result, (tuple, list)) else [self.result]

    @property
    def format(self) -> str:
        """The format of the first result."""
        return FORMATS[self.results[0].dtype]

    @property
    def inner(self) -> str:
        """The format that kernels with several steps compute in: float32 for narrower ones."""
        return "float32" if self.format in ("bfloat16", "float16") else self.format

    def number(self, x: Number, format: str | None = None) -> int:
        """A real value in a format (the result's), from whatever stands among the arguments."""
        name = format or self.format
        if isinstance(x, Value):
            return int(x) if self.build.format(x) == name else self.build("cast", x, format=name)
        if isinstance(x, torch.Tensor):
            return self.build.constant(x.detach().to(torch.float64).numpy(), name)
        return self.build.number(float(x), name, literal=not float(x).is_integer())

    def shape(self, x: int) -> tuple[int, ...]:
        return self.build.shape(x)


Row = Callable[..., Any]

OPERATORS: dict[str, Row] = {}
"""All rows, by "name" or, where overloads differ, "name.overload"."""

DECIDED = frozenset(
    f"aten::{name}"
    for name in (
        "_local_scalar_dense", "argmax", "argmin", "argsort", "nonzero", "searchsorted",
        "bucketize", "multinomial", "equal", "is_nonzero", "isnan", "isinf", "isposinf",
        "isneginf", "allclose", "_unique2", "unique_dim", "histc",
    )
)  # fmt: skip
"""What turns numbers into decisions: known at these arguments, and held to them."""

FRESH = frozenset(
    {
        "empty_like", "zeros_like", "ones_like", "full_like", "rand_like", "randn_like",
        "randint_like", "new_empty", "new_zeros", "new_ones", "new_full", "new_empty_strided",
        "bernoulli", "empty_permuted", "_new_zeros_with_same_feature_meta",
    }
)  # fmt: skip
"""What makes new numbers with no more than the shape or format of its operand."""


def row(*names: str) -> Callable[[Row], Row]:
    """Enter a row under these names."""

    def entered(function: Row) -> Row:
        OPERATORS.update(dict.fromkeys(names, function))
        return function

    return entered


def entrywise(primitive: str) -> Row:
    """An operator that is a primitive."""
    return lambda call, *xs, **kwargs: call.build(primitive, *(call.number(x) for x in xs))


OPERATORS |= {
    name: entrywise(primitive)
    for name, primitive in {
        **{
            name: name
            for name in (
                "abs", "neg", "reciprocal", "exp", "exp2", "expm1", "log", "log1p", "sqrt",
                "rsqrt", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh",
                "asinh", "acosh", "atanh", "erf", "erfc", "erfinv", "lgamma", "digamma", "sign",
                "floor", "ceil", "square",
            )
        },
        "round.default": "round", "div.Tensor": "div", "div.Scalar": "div", "true_divide": "div",
        "sigmoid": "logistic", "sgn": "sign", "maximum": "max", "minimum": "min",
        "max.other": "max", "min.other": "min",
        "clamp_min": "max", "clamp_max": "min",
        "special_erfinv": "erfinv", "special_digamma": "digamma",
    }.items()
}  # fmt: skip


@row("relu")
def _relu(call: Call, x: Value) -> int:
    return call.build("max", x, 0.0)


@row("clamp")
def _clamp(call: Call, x: Value, min: Number = None, max: Number = None) -> int:
    value = call.number(x)
    value = value if min is None else call.build("max", value, call.number(min))
    return value if max is None else call.build("min", value, call.number(max))


@row("add", "sub")
def _add(call: Call, x: Number, y: Number, alpha: Number = 1) -> int:
    name = "add" if "add" in call.func._schema.name else "sub"
    if call.format == "bool":
        return call.build("or", x, y)
    second = call.number(y)
    if alpha != 1:
        second = call.build("mul", second, call.number(alpha))
    return call.build(name, call.number(x), second)


@row("rsub")
def _rsub(call: Call, x: Number, y: Number, alpha: Number = 1) -> int:
    return _add(call, y, x, alpha)


@row("mul")
def _mul(call: Call, x: Number, y: Number) -> int:
    if call.format == "bool":
        return call.build("and", x, y)
    if y == 1 and not isinstance(y, (Value, torch.Tensor)):
        return call.number(x)
    return call.build("mul", call.number(x), call.number(y))


@row("remainder", "fmod", "floor_divide", "div.Tensor_mode", "div.Scalar_mode")
def _divided(call: Call, x: Number, y: Number, rounding_mode: str | None = None) -> int:
    """Quotients rounded to whole numbers, and what they leave."""
    build, name = call.build, call.func._schema.name
    x, y = call.number(x), call.number(y)
    quotient = build("div", x, y)
    if rounding_mode == "trunc" or "fmod" in name:
        whole = build("mul", build("sign", quotient), build("floor", build("abs", quotient)))
    elif rounding_mode is None and "div" in name and "floor" not in name:
        return quotient
    else:
        whole = build("floor", quotient)
    return build("sub", x, build("mul", y, whole)) if name[-3:] in ("der", "mod") else whole


@row("trunc")
def _trunc(call: Call, x: Value) -> int:
    return call.build("mul", call.build("sign", x), call.build("floor", call.build("abs", x)))


@row("frac")
def _frac(call: Call, x: Value) -> int:
    return call.build("sub", x, _trunc(call, x))


def _log_to(constant: str) -> Row:
    return lambda call, x: call.build(
        "div", call.build("log", x), call.build.irrational(constant, x)
    )


OPERATORS |= {"log2": _log_to("log(2)"), "log10": _log_to("log(10)")}


@row("polygamma", "special_polygamma")
def _polygamma(call: Call, n: int, x: Value) -> int:
    return call.build("polygamma", x, order=n) if n else call.build("digamma", x)


@row("pow.Tensor_Scalar")
def _pow_number(call: Call, x: Value, exponent: float) -> int:
    build, base = call.build, call.number(x)
    if exponent == 0.5:
        return build("sqrt", base)
    if exponent == -0.5:
        return build("rsqrt", base)
    if float(exponent).is_integer() and abs(exponent) <= 64:
        return build("integer_pow", base, exponent=int(exponent))
    return build("pow", base, call.number(exponent))


OPERATORS |= {"pow.Tensor_Tensor": entrywise("pow"), "pow.Scalar": entrywise("pow")}


@row("atan2")
def _atan2(call: Call, y: Value, x: Value) -> int:
    """atan(y/x) where |x| is the larger, else ±π/2 - atan(x/y), each in its half plane."""
    build = call.build
    flat = build("gt", build("abs", x), build("abs", y))
    safe_x, safe_y = build("select", flat, x, 1.0), build("select", flat, 1.0, y)
    pi = build(
        "select",
        build("ge", y, 0.0),
        build.irrational("pi", x),
        build("neg", build.irrational("pi", x)),
    )
    near = build("atan", build("div", y, safe_x))
    wide = build("select", build("lt", x, 0.0), build("add", near, pi), near)
    steep = build("sub", build("mul", pi, 0.5), build("atan", build("div", x, safe_y)))
    return build("select", flat, wide, steep)


# Comparisons and choices


def _compared(primitive: str) -> Row:
    def compared(call: Call, x: Number, y: Number) -> int:
        return comparison(call, primitive, x, y)

    return compared


def comparison(call: Call, primitive: str, x: Number, y: Number) -> int:
    """x ≷ y; equality with the largest entry asks which is the largest."""
    build = call.build
    dtype = torch.result_type(*call.args[:2])
    if dtype not in FORMATS:
        dtype = torch.float64
    if dtype == torch.bool:
        unequal = build("xor", _truth(call, x), _truth(call, y))
        return build("not", unequal) if primitive == "eq" else unequal
    x, y = call.number(x, FORMATS[dtype]), call.number(y, FORMATS[dtype])
    if primitive in ("eq", "ne"):
        known = _largest_of(build, x, y) or _largest_of(build, y, x)
        if known is None and x == y:
            known = build.constant(np.ones(call.shape(x), bool))
        if known is not None:
            return known if primitive == "eq" else build("not", known)
    return build(primitive, x, y)


def _truth(call: Call, x: Number) -> int:
    if isinstance(x, Value):
        return int(x)
    return call.build.constant(np.asarray(bool(x)))


def _largest_of(build: Builder, x: int, extreme: int) -> int | None:
    """Whether each of x is the largest (least), where `extreme` is the largest (least) of x."""
    shape, operation = build.shape(extreme), build.operations[extreme]
    while operation.primitive in ("reshape", "broadcast"):
        operation = build.operations[operation.operands[0]]
    if operation.primitive not in ("reduce_max", "reduce_min"):
        return None
    (whole,), axes = operation.operands, operation.params["axes"]
    source = x
    while source != whole and build.operations[source].primitive in ("reshape", "broadcast"):
        source = build.operations[source].operands[0]
    kept = tuple(1 if a in axes else n for a, n in enumerate(build.shape(whole)))
    if source != whole or np.broadcast_shapes(shape, build.shape(x)) != build.shape(whole):
        return None
    if tuple(n for n in shape if n > 1) != tuple(n for n in kept if n > 1):
        return None
    ranked = whole if operation.primitive == "reduce_max" else build("neg", whole)
    hit = build("gt", build("largest", ranked, axes=axes), 0.0)
    return hit if build.shape(hit) == build.shape(x) else None


OPERATORS |= {name: _compared(name) for name in ("lt", "le", "gt", "ge", "eq", "ne")}


def _logical(primitive: str) -> Row:
    def logical(call: Call, *xs: Number) -> int:
        truths = [
            call.build("ne", x, 0.0)
            if isinstance(x, Value) and call.build.format(x) != "bool"
            else _truth(call, x)
            for x in xs
        ]
        return call.build(primitive, *truths)

    return logical


OPERATORS |= {
    f"{family}_{name}": _logical(name)
    for family in ("logical", "bitwise")
    for name in ("and", "or", "not", "xor")
}


@row("isfinite")
def _isfinite(call: Call, x: Value) -> int:
    return call.build("is_finite", x)


@row("where")
def _where(call: Call, condition: Value, x: Number, y: Number) -> int:
    return call.build("select", condition, call.number(x), call.number(y))


@row("masked_fill")
def _masked_fill(call: Call, x: Value, mask: Value, value: Number) -> int:
    return call.build("select", mask, call.number(value), call.number(x))


@row("threshold_backward")
def _threshold_backward(call: Call, grad: Value, x: Value, threshold: float) -> int:
    return call.build("select", call.build("le", x, call.number(threshold)), 0.0, grad)
