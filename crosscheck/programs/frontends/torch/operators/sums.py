"""ATen operators that add up and multiply: reductions, norms, matrix products."""

from typing import Any

import numpy as np

from crosscheck.programs.frontends.torch.operators.table import Call, Number, Value, row
from crosscheck.programs.program import Builder


def axes_of(dim: Any, ndim: int) -> tuple[int, ...]:
    """The axes that `dim` names; all for None and for an empty list."""
    if dim is None or (isinstance(dim, (list, tuple)) and not dim):
        return tuple(range(ndim))
    return tuple(sorted(d % max(ndim, 1) for d in ([dim] if isinstance(dim, int) else dim)))


def reduced(call: Call, primitive: str, x: int, dim: Any, keepdim: bool = False) -> int:
    """A reduction over `dim`."""
    shape = call.shape(x)
    axes = axes_of(dim, len(shape))
    axes = axes if shape else ()
    value = call.build(primitive, x, axes=axes) if axes else x
    if not keepdim:
        return value
    kept = tuple(1 if axis in axes else n for axis, n in enumerate(shape))
    return call.build("reshape", value, shape=kept)


def average(call: Call, x: int, dim: Any, keepdim: bool = False, less: float = 0.0) -> int:
    """The mean over `dim`, by n - `less`."""
    shape = call.shape(x)
    count = float(
        np.prod([shape[axis] for axis in axes_of(dim, len(shape))], dtype=int) if shape else 1
    )
    divisor = max(count - less, 0.0)
    return call.build("div", reduced(call, "sum", x, dim, keepdim), divisor)


@row("sum", "prims::sum")
def _sum(call: Call, x: Value, dim: Any = None, keepdim: bool = False, **kwargs: Any) -> int:
    return reduced(call, "sum", call.number(x), dim, keepdim)


@row("mean")
def _mean(call: Call, x: Value, dim: Any = None, keepdim: bool = False, **kwargs: Any) -> int:
    return average(call, call.number(x), dim, keepdim)


@row("prod")
def _prod(call: Call, x: Value, dim: Any = None, keepdim: bool = False, **kwargs: Any) -> int:
    return reduced(call, "prod", call.number(x), dim, keepdim)


@row("amax", "max.default", "amin", "min.default")
def _extreme(call: Call, x: Value, dim: Any = None, keepdim: bool = False) -> int:
    largest = "max" in call.func._schema.name
    return reduced(call, "reduce_max" if largest else "reduce_min", x, dim, keepdim)


@row("cumsum", "cumprod")
def _running(call: Call, x: Value, dim: int, **kwargs: Any) -> int:
    value, ndim = call.number(x), len(call.shape(x))
    if not ndim:
        return value
    name = call.func._schema.name.removeprefix("aten::")
    return call.build(name, value, axis=dim % ndim, reverse=False)


def _variance(call: Call, x: Value, dim: Any, correction: Any, keepdim: bool) -> tuple[int, int]:
    inner = call.number(x, call.inner)
    mean = average(call, inner, dim, True)
    centred = call.build("sub", inner, mean)
    less = 1.0 if correction is None else float(correction)
    variance = average(call, call.build("square", centred), dim, keepdim, less)
    shape = call.shape(variance)
    return variance, call.build("reshape", mean, shape=shape)


@row("var", "std", "var_mean", "std_mean")
def _var(
    call: Call, x: Value, dim: Any = None, correction: Any = None, keepdim: bool = False, **_: Any
) -> Any:
    if isinstance(dim, bool):  # the old overload, `unbiased`
        dim, correction = None, int(dim)
    variance, mean = _variance(call, x, dim, correction, keepdim)
    name = call.func._schema.name
    spread = call.build("sqrt", variance) if "std" in name else variance
    return (spread, mean) if name.endswith("mean") else spread


@row("linalg_vector_norm", "norm")
def _norm(
    call: Call, x: Value, ord: Any = 2, dim: Any = None, keepdim: bool = False, dtype: Any = None
) -> int:
    build, inner = call.build, call.number(x, call.inner)
    order = 2.0 if ord is None else float(ord)
    if order == 2:
        return build("sqrt", reduced(call, "sum", build("square", inner), dim, keepdim))
    size = build("abs", inner)
    if np.isinf(order):
        return reduced(call, "reduce_max" if order > 0 else "reduce_min", size, dim, keepdim)
    if order == 1:
        return reduced(call, "sum", size, dim, keepdim)
    if order == 0:
        return reduced(
            call, "sum", build("cast", build("ne", x, 0.0), format=call.inner), dim, keepdim
        )
    powers = build("pow", size, call.number(order, call.inner))
    total = reduced(call, "sum", powers, dim, keepdim)
    return build("pow", total, call.number(1 / order, call.inner))


# Products


def affine(call: Call, x: int, y: int, bias: int | None) -> int:
    """x y + bias as one sum, whose first term the bias may be: a last column of ones."""
    build = call.build
    if bias is None:
        return build("dot", x, y)
    wide = _beside(build, x, build.number(1.0, build.format(x)), -1)
    return build("dot", wide, _beside(build, y, bias, -2))


def _beside(build: Builder, x: int, more: int, axis: int) -> int:
    """One more column (or row) after the others."""
    shape = list(build.shape(x))
    n = shape[axis]
    shape[axis] = n + 1
    before = np.arange(int(np.prod(build.shape(x), dtype=int))).reshape(build.shape(x))
    index = np.full(shape, -1)
    places = [slice(None)] * len(shape)
    places[axis] = slice(0, n)
    index[tuple(places)] = before
    extra = build("broadcast", more, shape=tuple(shape))
    return build("select", build.constant(index >= 0), build("take", x, index=index), extra)


@row("mm", "bmm", "matmul")
def _mm(call: Call, x: Value, y: Value, **kwargs: Any) -> int:
    return call.build("dot", x, y)


@row("mv")
def _mv(call: Call, x: Value, y: Value) -> int:
    column = call.build("reshape", y, shape=(*call.shape(y), 1))
    return call.build("dot", x, column)


@row("dot", "vdot")
def _dot(call: Call, x: Value, y: Value) -> int:
    n = call.shape(x)[0]
    line, column = call.build("reshape", x, shape=(1, n)), call.build("reshape", y, shape=(n, 1))
    return call.build("dot", line, column)


@row("addmm", "baddbmm", "addmv", "addbmm")
def _addmm(
    call: Call, bias: Value, x: Value, y: Value, *, beta: Number = 1, alpha: Number = 1
) -> int:
    build = call.build
    if len(call.shape(y)) == 1:
        y = Value(build("reshape", y, shape=(*call.shape(y), 1)))
        bias = Value(build("reshape", bias, shape=(*call.shape(bias), 1)))
    if "addbmm" in call.func._schema.name and "badd" not in call.func._schema.name:
        x, y = _stacked(build, x, y)
    scaled = build("mul", x, call.number(alpha)) if alpha != 1 else x
    if beta == 0:
        return build("dot", scaled, y)
    shape = (*call.shape(x)[:-1], call.shape(y)[-1])
    first = build("mul", bias, call.number(beta)) if beta != 1 else bias
    if call.shape(first) not in {(shape[-1],), (1, shape[-1])}:
        return _summed_after(call, scaled, y, first, shape)
    return affine(call, scaled, y, build("reshape", first, shape=(shape[-1],)))


def _summed_after(call: Call, x: int, y: int, bias: int, shape: tuple[int, ...]) -> int:
    """A matrix added to a product, as one more term of each sum: its factor times ones."""
    build = call.build
    product = build("dot", x, y)
    *batch, m, n = shape
    stacked = [
        build("reshape", build("broadcast", value, shape=tuple(shape)), shape=(*batch, m, n, 1))
        for value in (product, bias)
    ]
    index = np.arange(int(np.prod(shape))).reshape(*batch, m, n, 1)
    pair = np.concatenate([index, np.full_like(index, -1)], -1)
    terms = build(
        "select",
        build.constant(pair >= 0),
        build("take", stacked[0], index=pair),
        build("take", stacked[1], index=np.flip(pair, -1)),
    )
    return build("sum", terms, axes=(len(shape),))


def _stacked(build: Builder, x: int, y: int) -> tuple[Value, Value]:
    """Σ_b x_b y_b as one product."""
    b, m, k = build.shape(x)
    n = build.shape(y)[-1]
    left = build("reshape", build("transpose", x, axes=(1, 0, 2)), shape=(m, b * k))
    return Value(left), Value(build("reshape", y, shape=(b * k, n)))
