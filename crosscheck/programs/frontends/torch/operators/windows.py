"""ATen operators that look through windows: convolution and pooling, and their backward."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from crosscheck.arithmetic.primitives.row import Array
from crosscheck.programs.frontends.torch.operators.moves import accumulated
from crosscheck.programs.frontends.torch.operators.sums import affine, reduced
from crosscheck.programs.frontends.torch.operators.table import Call, Number, Value, row


class Geometry:
    """Where each output of a convolution looks: indices into flat positions, -1 for padding.

    `forth` (outputs, taps) has the input's position for each, `back` (inputs, taps) the output's.
    """

    def __init__(
        self, inputs: Sequence[int], outputs: Sequence[int], taps: Sequence[int],
        stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int],
    ) -> None:  # fmt: skip
        n = len(inputs)
        grid = np.indices((*outputs, *taps)).reshape(2 * n, int(np.prod(outputs, dtype=int)), -1)
        position = [grid[i] * stride[i] - padding[i] + grid[n + i] * dilation[i] for i in range(n)]
        inside = np.logical_and.reduce(
            [(p >= 0) & (p < m) for p, m in zip(position, inputs, strict=True)]
        )
        clipped = [np.clip(p, 0, m - 1) for p, m in zip(position, inputs, strict=True)]
        self.forth = np.where(inside, np.ravel_multi_index(clipped, tuple(inputs)), -1)
        self.back = np.full((int(np.prod(inputs, dtype=int)), self.forth.shape[1]), -1)
        output, tap = np.nonzero(inside)
        self.back[self.forth[output, tap], tap] = output


def _patches(call: Call, x: int, look: Array, groups: int) -> int:
    """(n, channels, positions) to (n, groups, positions looked from, channels a group · taps)."""
    n, channels, size = call.shape(x)
    base = np.arange(n * channels).reshape(n, groups, 1, channels // groups, 1) * size
    index = np.where(look[None, None, :, None, :] < 0, -1, base + look[None, None, :, None, :])
    return call.build("take", x, index=index.reshape(n, groups, look.shape[0], -1))


def _flat(call: Call, x: int) -> int:
    n, channels, *spatial = call.shape(x)
    return call.build("reshape", x, shape=(n, channels, int(np.prod(spatial, dtype=int))))


def _kernels(call: Call, weight: int, groups: int, onto_inputs: bool) -> int:
    """Weights (o, c, taps) as matrices (1, groups, c · taps, o), or (1, groups, o · taps, c)."""
    build = call.build
    o, c, *taps = call.shape(weight)
    split = build("reshape", weight, shape=(groups, o // groups, c, int(np.prod(taps, dtype=int))))
    axes = (0, 1, 3, 2) if onto_inputs else (0, 2, 3, 1)
    turned = build("transpose", split, axes=axes)
    _, first, second, third = call.shape(turned)
    return build("reshape", turned, shape=(1, groups, first * second, third))


def _correlated(
    call: Call, x: int, weight: int, look: Array, groups: int, onto_inputs: bool, bias: int | None
) -> int:
    """Products of patches and kernels: (n, channels, positions)."""
    build = call.build
    patches = _patches(call, x, look, groups)
    kernel = _kernels(call, weight, groups, onto_inputs)
    n, _, positions, _ = call.shape(patches)
    spread = build("broadcast", kernel, shape=(n, *call.shape(kernel)[1:]))
    width = call.shape(kernel)[-1]
    if bias is not None:
        bias = build("reshape", bias, shape=(1, groups, 1, width))
    out = build("transpose", affine(call, patches, spread, bias), axes=(0, 1, 3, 2))
    return build("reshape", out, shape=(n, groups * width, positions))


def _geometry(call: Call, conv: Sequence[Any], x: Any, weight: Any, y: Any) -> Geometry:
    stride, padding, dilation, transposed = conv[:4]
    inputs, outputs = (y, x) if transposed else (x, y)
    n = len(weight) - 2
    each = [tuple(v) * n if len(v) == 1 else tuple(v) for v in (stride, padding, dilation)]
    return Geometry(inputs[2:], outputs[2:], weight[2:], *each)


def _as_kernels_sum(call: Call, start: int) -> None:
    """Mark the products built since then: in float16 windows are added up in float16 (col2im)."""
    operations = call.build.operations
    for place in range(start, len(operations)):
        one = operations[place]
        if call.format == "float16" and one.primitive in ("dot", "affine"):
            operations[place] = replace(one, params={**one.params, "narrow_sums": True})


@row("convolution", "_convolution", "mkldnn_convolution")
def _convolution(
    call: Call, x: Value, weight: Value, bias: Number, stride: Any, padding: Any, dilation: Any,
    transposed: bool, output_padding: Any, groups: int, *_: Any,
) -> int:  # fmt: skip
    shape = tuple(call.result.shape)
    sides = call.shape(x), call.shape(weight), shape
    look = _geometry(call, (stride, padding, dilation, transposed), *sides)
    inside = look.back if transposed else look.forth
    number = None if bias is None else call.number(bias)
    start = len(call.build.operations)
    out = _correlated(call, _flat(call, x), weight, inside, groups, transposed, number)
    _as_kernels_sum(call, start)
    return call.build("reshape", out, shape=shape)


@row("convolution_backward")
def _convolution_backward(
    call: Call, grad: Value, x: Value, weight: Value, bias_sizes: Any, stride: Any, padding: Any,
    dilation: Any, transposed: bool, output_padding: Any, groups: int, wanted: Sequence[bool],
) -> Any:  # fmt: skip
    build = call.build
    sides = call.shape(x), call.shape(weight), call.shape(grad)
    look = _geometry(call, (stride, padding, dilation, transposed), *sides)
    g, inner = _flat(call, grad), _flat(call, x)
    start = len(build.operations)
    by_input = by_weight = by_bias = None
    if wanted[0]:
        inside = look.forth if transposed else look.back
        pulled = _correlated(call, g, weight, inside, groups, not transposed, None)
        by_input = build("reshape", pulled, shape=sides[0])
    if wanted[1]:
        big, small = (g, inner) if transposed else (inner, g)
        by_weight = _by_weight(call, big, small, look, groups, sides[1])
    if wanted[2]:
        by_bias = reduced(call, "sum", g, [0, 2])
    _as_kernels_sum(call, start)
    return by_input, by_weight, by_bias


def _by_weight(
    call: Call, big: int, small: int, look: Geometry, groups: int, shape: tuple[int, ...]
) -> int:
    """Σ over samples and positions: one product for each group."""
    build = call.build
    patches = _patches(call, big, look.forth, groups)
    n, _, positions, width = call.shape(patches)
    right = build(
        "reshape",
        build("transpose", patches, axes=(1, 0, 2, 3)),
        shape=(groups, n * positions, width),
    )
    o = call.shape(small)[1] // groups
    split = build("reshape", small, shape=(n, groups, o, positions))
    left = build(
        "reshape", build("transpose", split, axes=(1, 2, 0, 3)), shape=(groups, o, n * positions)
    )
    return build("reshape", build("dot", left, right), shape=shape)


@row("max_pool2d_with_indices", "max_pool3d_with_indices", "adaptive_max_pool2d")
def _max_pool(call: Call, x: Value, *_: Any) -> Any:
    _, index = call.results
    sentence = f"max_pool at {call.build.source} takes the entries that are largest here"
    if sentence not in call.build.holds:
        call.build.holds.append(sentence)
    return call.build("take", x, index=_pooled(call.args[0], index)), None


def _pooled(x: torch.Tensor, index: torch.Tensor) -> Array:
    """Indices within a plane as indices into the whole array."""
    spatial = int(np.prod(x.shape[x.ndim - (index.ndim - _planes(x, index)) :], dtype=int))
    planes = index.shape[: _planes(x, index)]
    base = np.arange(int(np.prod(planes, dtype=int))).reshape(
        *planes, *[1] * (index.ndim - len(planes))
    )
    return np.asarray(base * spatial + index.numpy())


def _planes(x: torch.Tensor, index: torch.Tensor) -> int:
    """How many leading axes are samples and channels."""
    return 2 if x.ndim >= 4 else 1


@row("max_pool2d_with_indices_backward", "max_pool3d_with_indices_backward",
     "adaptive_max_pool2d_backward")  # fmt: skip
def _max_pool_backward(call: Call, grad: Value, x: Value, *_: Any) -> int:
    index = call.args[-1]
    return accumulated(call, None, grad, _pooled(call.args[1], index), call.shape(x))


@row("avg_pool1d", "avg_pool2d", "avg_pool3d")
def _avg_pool(
    call: Call, x: Value, kernel: Any, stride: Any = (), padding: Any = (0,), *rest: Any
) -> int:
    index, divisors = _windows(call.args[0], call.args[1:], tuple(call.result.shape))
    inner = call.number(x, call.inner)
    total = call.build("sum", call.build("take", inner, index=index), axes=(index.ndim - 1,))
    return call.build("div", total, call.build.constant(divisors, call.inner))


def _windows(x: torch.Tensor, rest: Sequence[Any], shape: tuple[int, ...]) -> tuple[Array, Array]:
    """The entries of each window, and what their sum is divided by."""
    kernel, stride, padding, _, include, override = [*rest, *_POOLING[len(rest) :]]
    n = len(kernel)
    k, p = _tuple(kernel, n), _tuple(padding, n)
    s = _tuple(stride, n) if stride else k
    spatial, outputs = tuple(x.shape[-n:]), shape[-n:]
    look = Geometry(spatial, outputs, k, s, p, (1,) * n).forth
    size = int(np.prod(spatial, dtype=int))
    planes = np.arange(int(np.prod(x.shape[:-n], dtype=int)))
    index = np.where(look[None] < 0, -1, planes[:, None, None] * size + look[None])
    divisors = _divisors(look, spatial, outputs, k, s, p, include)
    if override:
        divisors = np.full(divisors.shape, float(override))
    return index.reshape(*shape, -1), np.broadcast_to(divisors.reshape(outputs), shape)


_POOLING: tuple[Any, ...] = (None, (), (0,), False, True, None)
"""Defaults of kernel, stride, padding, ceil_mode, count_include_pad, divisor_override."""


def _divisors(
    look: Array, spatial: Sequence[int], outputs: Sequence[int], k: Sequence[int],
    s: Sequence[int], p: Sequence[int], include: bool,
) -> Array:  # fmt: skip
    if not include:
        return (look >= 0).sum(-1).astype(float)
    counts = np.ones(())
    for n, m, size, step, pad in zip(spatial, outputs, k, s, p, strict=True):
        start = np.arange(m) * step - pad
        counts = np.multiply.outer(counts, np.minimum(start + size, n + pad) - start)
    return counts.reshape(-1).astype(float)


def _tuple(value: Any, n: int) -> tuple[int, ...]:
    values = (value,) if isinstance(value, int) else tuple(value)
    return values * n if len(values) == 1 else values


@row("avg_pool2d_backward", "avg_pool3d_backward")
def _avg_pool_backward(call: Call, grad: Value, x: Value, *_: Any) -> int:
    index, divisors = _windows(call.args[1], call.args[2:], call.shape(grad))
    inner = call.number(grad, call.inner)
    share = call.build("div", inner, call.build.constant(divisors, call.inner))
    column = call.build("reshape", share, shape=(*index.shape[:-1], 1))
    narrow = call.build("cast", column, format=call.format) if call.inner != call.format else column
    each = call.build("broadcast", narrow, shape=index.shape)
    return accumulated(call, None, each, index, call.shape(x))
