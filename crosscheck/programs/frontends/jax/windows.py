"""JAX's convolutions and windowed reductions: windows are taken, then multiplied or reduced."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from crosscheck.arithmetic.primitives.row import Array
from crosscheck.programs.frontends.jax.indexing import taken
from crosscheck.programs.frontends.jax.reader import Handler, JaxReader, Traced, Value


class Windows(NamedTuple):
    """Windows over some axes: sizes, steps, padding at both ends, dilations of both sides."""

    sizes: Sequence[int]
    strides: Sequence[int]
    padding: Sequence[tuple[int, int]]
    base_dilation: Sequence[int]
    window_dilation: Sequence[int]

    def entries(self, shape: Sequence[int]) -> Array:
        """The places of each window's entries: axes (windows…, entry), -1 in the padding."""
        lines = [self._line(axis, n) for axis, n in enumerate(shape)]
        count = len(shape)
        index, outside = np.zeros((), np.int64), np.zeros((), bool)
        for axis, line in enumerate(lines):
            spread = [1] * (2 * count)
            spread[axis], spread[count + axis] = line.shape
            grid = line.reshape(spread)
            index, outside = index * shape[axis] + np.maximum(grid, 0), outside | (grid < 0)
        index = np.where(outside, -1, index)
        return index.reshape(*index.shape[:count], -1)

    def _line(self, axis: int, n: int) -> Array:
        """Along one axis: the place of window i's entry k, -1 outside and between."""
        low, high = self.padding[axis]
        spread = (n - 1) * self.base_dilation[axis] + 1 if n else 0
        extent = (self.sizes[axis] - 1) * self.window_dilation[axis] + 1
        count = max(0, (spread + low + high - extent) // self.strides[axis] + 1)
        starts = np.arange(count) * self.strides[axis] - low
        at = starts[:, None] + np.arange(self.sizes[axis]) * self.window_dilation[axis]
        inside = (at >= 0) & (at < spread) & (at % self.base_dilation[axis] == 0)
        return np.where(inside, at // self.base_dilation[axis], -1)


def convolution(reader: JaxReader, equation: Any, operands: Sequence[Value]) -> Value:
    """conv_general_dilated: the windows' entries as rows of a matrix, times the kernel's."""
    params, build = equation.params, reader.build
    left, right, out = _specs(params["dimension_numbers"])
    x = build("transpose", reader.number(operands[0]), axes=left)
    kernel = build("transpose", reader.number(operands[1]), axes=right)
    outputs, channels, *sizes = build.shape(kernel)
    windows = Windows(
        sizes,
        params["window_strides"],
        params["padding"],
        params["lhs_dilation"],
        params["rhs_dilation"],
    )
    groups = params["feature_group_count"] * params["batch_group_count"]
    index, spatial = _rows(build.shape(x), windows, params["batch_group_count"], groups)
    rows = build("take", x, index=index)
    summed = channels * int(np.prod(sizes, dtype=int))
    grouped = build("reshape", kernel, shape=(groups, outputs // groups, summed))
    columns = build("transpose", grouped, axes=(0, 2, 1))
    format = reader.format(equation.outvars[0].aval)
    product = build("dot", rows, columns, format=format)
    batch = build.shape(x)[0] // params["batch_group_count"]
    apart = build("reshape", product, shape=(groups, batch, *spatial, outputs // groups))
    last = len(spatial) + 2
    joined = build("transpose", apart, axes=(1, 0, last, *range(2, last)))
    standard = build("reshape", joined, shape=(batch, outputs, *spatial))
    return Traced(build("transpose", standard, axes=tuple(int(a) for a in np.argsort(out))))


def _specs(numbers: Any) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """(batch, feature, space…) of the input, (out, in, space…) of the kernel, and the result."""
    specs = numbers.lhs_spec, numbers.rhs_spec, numbers.out_spec
    left, right, out = (tuple(int(axis) for axis in spec) for spec in specs)
    return left, right, out


def _rows(
    shape: Sequence[int], windows: Windows, batch_groups: int, groups: int
) -> tuple[Array, tuple[int, ...]]:
    """Places with axes (group, batch and window, channel and entry), and the windows' shape."""
    batch, channels, *space = shape
    within = windows.entries(space)
    spatial, entries = within.shape[:-1], within.shape[-1]
    base = np.arange(batch * channels).reshape(batch, channels) * int(np.prod(space, dtype=int))
    flat = within.reshape(1, 1, -1, entries)
    whole = np.where(flat < 0, -1, base[:, :, None, None] + flat)
    feature_groups = groups // batch_groups
    apart = whole.reshape(
        batch_groups,
        batch // batch_groups,
        feature_groups,
        channels // feature_groups,
        -1,
        entries,
    )
    ordered = apart.transpose(0, 2, 1, 4, 3, 5)
    summed = channels // feature_groups * entries
    per_group = batch // batch_groups * int(np.prod(spatial, dtype=int))
    return ordered.reshape(groups, per_group, summed), spatial


def _windows_of(params: Mapping[str, Any], rank: int) -> Windows:
    ones = (1,) * rank
    return Windows(
        params["window_dimensions"],
        params["window_strides"],
        params["padding"],
        params.get("base_dilation") or ones,
        params.get("window_dilation") or ones,
    )


def _windowed(reader: JaxReader, equation: Any, value: Value) -> tuple[Array, tuple[int, ...]]:
    shape = reader.shape(value)
    index = _windows_of(equation.params, len(shape)).entries(shape)
    return index, (index.ndim - 1,)


def window_sum(reader: JaxReader, equation: Any, operands: Sequence[Value]) -> Value:
    """reduce_window_sum: the sum of each window."""
    index, axes = _windowed(reader, equation, operands[0])
    entries = taken(reader, operands[0], index)
    return Traced(reader.build("sum", reader.number(entries), axes=axes))


def window_extreme(primitive: str, outside: float) -> Handler:
    """The largest or smallest of each window."""

    def handle(reader: JaxReader, equation: Any, operands: Sequence[Value]) -> Value:
        index, axes = _windowed(reader, equation, operands[0])
        entries = taken(reader, operands[0], index, outside)
        return Traced(reader.build(primitive, reader.number(entries), axes=axes))

    return handle


def _weights(reader: JaxReader, equation: Any, operand: Value) -> tuple[int, Array]:
    """Which entry of each window is chosen, as shares; and the places of the entries."""
    index, axes = _windowed(reader, equation, operand)
    chosen = equation.params["select_prim"].name
    if chosen not in ("ge", "gt", "le", "lt"):
        reader.refuse(f"windows that choose by {chosen} are not read")
    largest = chosen in ("ge", "gt")
    entries = taken(reader, operand, index, -np.inf if largest else np.inf).number
    ranked = entries if largest else reader.build("neg", entries)
    return reader.build("largest", ranked, axes=axes), index


def select_and_gather(reader: JaxReader, equation: Any, operands: Sequence[Value]) -> Value:
    """select_and_gather_add: the tangent of the entry that each window chooses."""
    tangents, operand = operands
    weights, index = _weights(reader, equation, operand)
    build = reader.build
    entries = build("take", reader.number(tangents), index=index)
    each = build("mul", entries, weights, annihilates=True)
    return Traced(build("sum", each, axes=(index.ndim - 1,)))


def select_and_scatter(reader: JaxReader, equation: Any, operands: Sequence[Value]) -> Value:
    """select_and_scatter_add: each window's cotangent goes to the entry that it chooses."""
    source, operand = operands
    weights, index = _weights(reader, equation, operand)
    build, number = reader.build, reader.number(source)
    lifted = build("reshape", number, shape=(*build.shape(number), 1))
    each = build("mul", build("broadcast", lifted, shape=index.shape), weights, annihilates=True)
    return Traced(build("put", each, index=index, shape=reader.shape(operand)))


TABLE: Mapping[str, Handler] = {
    "conv_general_dilated": convolution,
    "reduce_window_sum": window_sum,
    "reduce_window_max": window_extreme("reduce_max", -np.inf),
    "reduce_window_min": window_extreme("reduce_min", np.inf),
    "select_and_gather_add": select_and_gather,
    "select_and_scatter_add": select_and_scatter,
}
