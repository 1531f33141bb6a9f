"""Fused ATen operators, and their backward, by the formulas that PyTorch's kernels evaluate.

The bound of a gradient is that of the formula which made it, so a row follows the kernel where
that departs from PyTorch's decomposition: aten/src/ATen/native/cpu.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from crosscheck.programs.frontends.torch.operators.moves import accumulated
from crosscheck.programs.frontends.torch.operators.sums import average, reduced
from crosscheck.programs.frontends.torch.operators.table import Call, Number, Value, row


def wide(call: Call, *xs: Number) -> list[int]:
    """Operands in the format that the kernel computes in."""
    return [call.number(x, call.inner) for x in xs]


def stored(call: Call, x: int) -> int:
    """A step that the kernel keeps in the format of its result."""
    if call.build.format(x) == call.format:
        return x
    return call.build("cast", call.build("cast", x, format=call.format), format=call.inner)


def added_rows(call: Call, x: int, axes: Sequence[int]) -> int:
    """A sum over leading axes; in narrow formats row by row into a narrow accumulator."""
    if call.inner == call.format:
        return reduced(call, "sum", x, list(axes))
    shape = call.shape(x)
    kept = [n for axis, n in enumerate(shape) if axis not in axes]
    index = np.arange(int(np.prod(kept, dtype=int))).reshape(
        [1 if axis in axes else n for axis, n in enumerate(shape)]
    )
    narrow = call.build("cast", x, format=call.format)
    return accumulated(call, None, narrow, np.broadcast_to(index, shape), kept)


# Softmax


def _shifted(call: Call, x: int, dim: Any) -> tuple[int, int]:
    """x less its largest entry, which the result does not depend on; and that entry."""
    build = call.build
    largest = build("stop", reduced(call, "reduce_max", x, dim, True))
    return build("sub", x, largest), largest


@row("_softmax", "_safe_softmax")
def _softmax(call: Call, x: Value, dim: int, *_: Any, **__: Any) -> int:
    (inner,) = wide(call, x)
    powers = call.build("exp", _shifted(call, inner, dim)[0])
    return call.build("div", powers, reduced(call, "sum", powers, dim, True))


@row("_log_softmax")
def _log_softmax(call: Call, x: Value, dim: int, half_to_float: bool) -> int:
    build, (inner,) = call.build, wide(call, x)
    shifted = _shifted(call, inner, dim)[0]
    total = reduced(call, "sum", build("exp", shifted), dim, True)
    return build("sub", shifted, build("log", total))


@row("_softmax_backward_data")
def _softmax_backward(call: Call, grad: Value, output: Value, dim: int, dtype: Any) -> int:
    build, (g, y) = call.build, wide(call, grad, output)
    product = build("mul", g, y)
    return build("mul", build("sub", g, reduced(call, "sum", product, dim, True)), y)


@row("_log_softmax_backward_data")
def _log_softmax_backward(call: Call, grad: Value, output: Value, dim: int, dtype: Any) -> int:
    build, (g, y) = call.build, wide(call, grad, output)
    total = reduced(call, "sum", g, dim, True)
    return build("sub", g, build("mul", build("exp", y), total))


@row("logsumexp")
def _logsumexp(call: Call, x: Value, dim: Any, keepdim: bool = False) -> int:
    build = call.build
    shifted, largest = _shifted(call, int(x), dim)
    total = build("log", reduced(call, "sum", build("exp", shifted), dim, True))
    value = build("add", total, largest)
    return build("reshape", value, shape=tuple(call.result.shape))


# Activations


@row("gelu")
def _gelu(call: Call, x: Value, *, approximate: str = "none") -> int:
    build, (inner,) = call.build, wide(call, x)
    half = build("mul", inner, 0.5)
    if approximate == "tanh":
        return build("mul", half, build("add", build("tanh", _gelu_argument(call, inner)), 1.0))
    erf = build("erf", build("mul", inner, _root_half(call)))
    return build("mul", half, build("add", erf, 1.0))


def _root_half(call: Call) -> int:
    return call.build("rsqrt", call.build.number(2.0, call.inner))


def _gelu_argument(call: Call, x: int) -> int:
    """√(2/π) (x + 0.044715 x³)."""
    build = call.build
    cubic = build("mul", build("mul", build("square", x), x), call.number(0.044715, call.inner))
    return build("mul", build("add", x, cubic), _root_two_over_pi(call, x))


def _root_two_over_pi(call: Call, x: int) -> int:
    return call.build("div", 2.0, call.build.irrational("sqrt(2*pi)", x))


@row("gelu_backward")
def _gelu_backward(call: Call, grad: Value, x: Value, *, approximate: str = "none") -> int:
    build, (g, inner) = call.build, wide(call, grad, x)
    if approximate == "tanh":
        return build("mul", g, _gelu_tanh_slope(call, inner))
    erf = build("erf", build("mul", inner, _root_half(call)))
    below = build("mul", build("add", erf, 1.0), 0.5)
    bell = build("exp", build("mul", build("square", inner), -0.5))
    density = build("div", bell, build.irrational("sqrt(2*pi)", inner))
    return build("mul", g, build("add", below, build("mul", inner, density)))


def _gelu_tanh_slope(call: Call, x: int) -> int:
    build = call.build
    tanh = build("tanh", _gelu_argument(call, x))
    left, right = build("mul", x, 0.5), build("add", tanh, 1.0)
    steep = build("sub", 1.0, build("square", tanh))
    cubic = build("mul", build("square", x), call.number(3 * 0.044715, call.inner))
    inner = build("mul", _root_two_over_pi(call, x), build("add", cubic, 1.0))
    return build("add", build("mul", right, 0.5), build("mul", left, build("mul", steep, inner)))


@row("silu")
def _silu(call: Call, x: Value) -> int:
    """x / (1 + e^-x)."""
    (inner,) = wide(call, x)
    return call.build("mul", inner, call.build("logistic", inner))


@row("softshrink_backward", "hardshrink_backward")
def _shrink_backward(call: Call, grad: Value, x: Value, lambd: float) -> int:
    return call.build(
        "select", call.build("gt", call.build("abs", x), call.number(lambd)), grad, 0.0
    )


@row("glu_jvp")
def _glu_jvp(call: Call, glu: Value, x: Value, tangent: Value, dim: int) -> int:
    """glu(x) is a σ(b), and its tangent a' σ(b) + glu(x) (1 - σ(b)) b'."""
    build = call.build
    (_, b), (da, db) = (_halves(call, v, dim) for v in (x, tangent))
    gate = build("logistic", b)
    steep = build("sub", glu, build("mul", glu, gate))
    return build("add", build("mul", da, gate), build("mul", steep, db))


@row("glu_backward")
def _glu_backward(call: Call, grad: Value, x: Value, dim: int) -> int:
    """g σ(b), and g a σ(b) (1 - σ(b)), with σ(b) kept in the result's format."""
    build, shape = call.build, call.shape(x)
    a, b = _halves(call, x, dim)
    gate = build("logistic", b)
    by_a = build("mul", gate, grad)
    steep = build("mul", build("sub", 1.0, gate), gate)
    by_b = build("mul", build("mul", steep, grad), a)
    index = np.arange(int(np.prod(shape, dtype=int))).reshape(shape)
    back = np.full((2, index.size), -1)
    for side, half in enumerate(np.split(index, 2, axis=dim)):
        back[side, half.reshape(-1)] = np.arange(half.size)
    first = build("take", by_a, index=back[0].reshape(shape))
    second = build("take", by_b, index=back[1].reshape(shape))
    return build("select", build.constant(back[0].reshape(shape) >= 0), first, second)


def _halves(call: Call, x: int, dim: int) -> tuple[int, int]:
    shape = call.shape(x)
    index = np.arange(int(np.prod(shape, dtype=int))).reshape(shape)
    first, second = np.split(index, 2, axis=dim)
    return call.build("take", x, index=first), call.build("take", x, index=second)


# Normalization


def _scaled(call: Call, x: int, factor: Number, offset: Number, shape: Sequence[int]) -> int:
    """x · factor + offset, where those are given, in `shape` beside x."""
    build = call.build
    if factor is not None:
        x = build("mul", x, _shaped(call, factor, shape))
    return x if offset is None else build("add", x, _shaped(call, offset, shape))


def _shaped(call: Call, x: Number, shape: Sequence[int]) -> int:
    return call.build("reshape", call.number(x, call.inner), shape=tuple(shape))


def _moments(call: Call, x: int, axes: Sequence[int], eps: float) -> tuple[int, int]:
    """The mean, and 1 / √(variance + eps)."""
    build = call.build
    mean = average(call, x, list(axes), True)
    variance = average(call, build("square", build("sub", x, mean)), list(axes), True)
    shifted = build("add", variance, call.number(eps, call.inner))
    return mean, build("reciprocal", build("sqrt", shifted))


def _standardized(call: Call, x: int, mean: int, rstd: int) -> int:
    """x rstd - mean rstd, as the kernels of layer and group norm evaluate it."""
    build = call.build
    return build("sub", build("mul", x, rstd), build("mul", mean, rstd))


@row("native_layer_norm")
def _layer_norm(
    call: Call, x: Value, shape: Sequence[int], weight: Number, bias: Number, eps: float
) -> Any:
    (inner,) = wide(call, x)
    ndim = len(call.shape(inner))
    mean, rstd = _moments(call, inner, range(ndim - len(shape), ndim), eps)
    normal = _standardized(call, inner, mean, rstd)
    return _scaled(call, normal, weight, bias, shape), mean, rstd


@row("native_layer_norm_backward")
def _layer_norm_backward(
    call: Call, grad: Value, x: Value, shape: Sequence[int], mean: Value, rstd: Value,
    weight: Number, bias: Number, wanted: Sequence[bool],
) -> Any:  # fmt: skip
    g, inner, m, a = wide(call, grad, x, mean, rstd)
    ndim = len(call.shape(inner))
    axes = list(range(ndim - len(shape), ndim))
    rows = list(range(ndim - len(shape)))
    count = float(np.prod(shape, dtype=int))
    weighted = _scaled(call, g, weight, None, shape)
    by_input = _through_moments(call, weighted, inner, m, a, axes, count)
    normal = _standardized(call, inner, m, a)
    each = call.build("mul", g, normal)
    by_weight = added_rows(call, each, rows) if rows else each
    by_bias = added_rows(call, g, rows) if rows else g
    return by_input, by_weight, by_bias


def _through_moments(
    call: Call, weighted: int, x: int, mean: int, rstd: int, axes: Sequence[int], count: float
) -> int:
    """a g + b x + c with b = (Σg · m - Σgx) a³ / n and c = -b m - Σg · a / n."""
    build = call.build
    dot = reduced(call, "sum", build("mul", weighted, x), list(axes), True)
    total = reduced(call, "sum", weighted, list(axes), True)
    cubed = build("mul", build("mul", rstd, rstd), rstd)
    slope = build("div", build("mul", build("sub", build("mul", total, mean), dot), cubed), count)
    drift = build("div", build("mul", total, rstd), count)
    offset = build("neg", build("add", build("mul", slope, mean), drift))
    linear = build("add", build("mul", rstd, weighted), build("mul", slope, x))
    return build("add", linear, offset)


@row("native_group_norm")
def _group_norm(
    call: Call, x: Value, weight: Number, bias: Number, n: int, c: int, hw: int, groups: int,
    eps: float,
) -> Any:  # fmt: skip
    build, (inner,) = call.build, wide(call, x)
    shape = call.shape(inner)
    grouped = build("reshape", inner, shape=(n, groups, c // groups, hw))
    mean, rstd = _moments(call, grouped, (2, 3), eps)
    channels = (1, groups, c // groups, 1)
    scale = rstd if weight is None else build("mul", rstd, _shaped(call, weight, channels))
    offset = build("neg", build("mul", scale, mean))
    if bias is not None:
        offset = build("add", offset, _shaped(call, bias, channels))
    normal = build("add", build("mul", grouped, scale), offset)
    return build("reshape", normal, shape=shape), mean, rstd


@row("native_group_norm_backward")
def _group_norm_backward(
    call: Call, grad: Value, x: Value, mean: Value, rstd: Value, weight: Number, n: int, c: int,
    hw: int, groups: int, wanted: Sequence[bool],
) -> Any:  # fmt: skip
    build, (g, inner, m, a) = call.build, wide(call, grad, x, mean, rstd)
    shape, per = call.shape(inner), c // groups
    g, inner = (build("reshape", v, shape=(n, groups, per, hw)) for v in (g, inner))
    m, a = (build("reshape", v, shape=(n, groups, 1, 1)) for v in (m, a))
    weighted = g if weight is None else build("mul", g, _shaped(call, weight, (1, groups, per, 1)))
    by_input = _through_moments(call, weighted, inner, m, a, (2, 3), float(per * hw))
    total = reduced(call, "sum", g, [3], True)
    dot = reduced(call, "sum", build("mul", g, inner), [3], True)
    centred = build("mul", build("sub", dot, build("mul", total, m)), a)
    by_weight = reduced(call, "sum", centred, [0])
    by_bias = reduced(call, "sum", total, [0])
    return build("reshape", by_input, shape=shape), by_weight, by_bias


def _over_channels(ndim: int) -> list[int]:
    return [axis for axis in range(ndim) if axis != 1]


@row("native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_functional",
     "_native_batch_norm_legit_no_training", "_batch_norm_with_update")  # fmt: skip
def _batch_norm(call: Call, x: Value, weight: Number, bias: Number, *rest: Any) -> Any:
    """x α + β with α = weight / √(variance + eps) and β = bias - mean α."""
    build, (inner,) = call.build, wide(call, x)
    *stats, eps = rest
    shape = call.shape(inner)
    channels = tuple(n if axis == 1 else 1 for axis, n in enumerate(shape))
    mean, rstd = _batch_moments(call, inner, stats, eps, channels)
    mean, rstd = stored(call, mean), stored(call, rstd)
    scale = rstd if weight is None else build("mul", rstd, _shaped(call, weight, channels))
    scale = stored(call, scale)
    offset = build("neg", build("mul", mean, scale))
    if bias is not None:
        offset = build("add", offset, _shaped(call, bias, channels))
    normal = build("add", build("mul", inner, scale), stored(call, offset))
    flat = (build("reshape", v, shape=(shape[1],)) for v in (mean, rstd))
    saved = [v if r.numel() else None for v, r in zip(flat, call.results[1:], strict=False)]
    return normal, *saved


def _batch_moments(
    call: Call, x: int, stats: Sequence[Any], eps: float, channels: tuple[int, ...]
) -> tuple[int, int]:
    """Of the batch in training, else the running ones."""
    training = next((s for s in stats if isinstance(s, bool)), None)
    name = call.func._schema.name
    if name.endswith("no_training") or training is False:
        variance = _shaped(call, stats[1], channels)
        shifted = call.build("add", variance, call.number(eps, call.inner))
        return _shaped(call, stats[0], channels), call.build(
            "reciprocal", call.build("sqrt", shifted)
        )
    return _moments(call, x, _over_channels(len(call.shape(x))), eps)


@row("native_batch_norm_backward")
def _batch_norm_backward(
    call: Call, grad: Value, x: Value, weight: Number, running_mean: Number, running_var: Number,
    save_mean: Number, save_rstd: Number, train: bool, eps: float, wanted: Sequence[bool],
) -> Any:  # fmt: skip
    build, (g, inner) = call.build, wide(call, grad, x)
    shape = call.shape(inner)
    channels = tuple(n if axis == 1 else 1 for axis, n in enumerate(shape))
    axes, count = _over_channels(len(shape)), float(np.prod(shape, dtype=int) // shape[1])
    if train:
        mean, rstd = (_shaped(call, v, channels) for v in (save_mean, save_rstd))
    else:
        mean, rstd = _batch_moments(call, inner, (running_mean, running_var, False), eps, channels)
    # Where the cotangent is not contiguous, as that of a sum, the kernel rounds every step.
    centred = stored(call, build("sub", inner, mean))
    total = reduced(call, "sum", g, axes, True)
    dot = reduced(call, "sum", stored(call, build("mul", centred, g)), axes, True)
    scale = rstd if weight is None else build("mul", rstd, _shaped(call, weight, channels))
    by_input = build("mul", g, scale)
    if train:
        k = stored(call, dot)
        for _ in range(2):
            k = stored(call, build("mul", k, rstd))
        k = stored(call, build("div", k, count))
        along = stored(call, build("mul", centred, k))
        mean_grad = stored(call, build("div", stored(call, total), count))
        less = stored(call, build("sub", stored(call, build("sub", g, mean_grad)), along))
        by_input = build("mul", less, stored(call, scale))
    by_weight = build("reshape", build("mul", dot, rstd), shape=(shape[1],))
    return by_input, by_weight, build("reshape", total, shape=(shape[1],))


@row("native_dropout")
def _dropout(call: Call, x: Value, p: float, train: bool) -> Any:
    kept = call.build.constant(call.results[1].to(torch.float64).numpy(), call.format)
    scale = call.number(1 / (1 - p) if p < 1 else 0.0)
    return call.build("mul", call.build("mul", x, kept), scale), None
