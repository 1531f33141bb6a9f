"""ATen operators that move numbers, or add them into places: PyTorch itself says which."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.utils._pytree import tree_leaves, tree_map_only

from crosscheck.arithmetic.primitives.row import Array
from crosscheck.programs.frontends.torch.operators.table import OPERATORS, Call, Number, Value, row
from crosscheck.programs.program import Builder


def identities(tensors: Sequence[torch.Tensor]) -> tuple[list[torch.Tensor], int]:
    """Numbers 1, 2, … for all entries, by which PyTorch itself says where it moves them."""
    named, start = [], 1
    for tensor in tensors:
        stop = start + tensor.numel()
        named.append(torch.arange(start, stop, dtype=torch.float64).reshape(tensor.shape))
        start = stop
    return named, start


def moved(call: Call, *args: Any, **kwargs: Any) -> Any:
    """Run the operator on the entries' numbers, and take what it took."""
    given = tree_leaves((call.args, call.kwargs))
    floats = [x for x in given if isinstance(x, torch.Tensor) and x.is_floating_point()]
    if not floats:
        floats = [x for x in given if isinstance(x, torch.Tensor) and x.dtype == torch.bool][:1]
    named, _ = identities(floats)
    place = {id(x): new for x, new in zip(floats, named, strict=True)}
    new_args, new_kwargs = tree_map_only(
        torch.Tensor, lambda x: place.get(id(x), x), (tuple(call.args), dict(call.kwargs))
    )
    outputs = call.func(*new_args, **new_kwargs)
    sources = [Value(call.memory.read(x)) for x in floats]
    several = isinstance(outputs, (tuple, list))
    values = [_taken(call, sources, out) for out in (outputs if several else [outputs])]
    return values if several else values[0]


def _taken(call: Call, sources: Sequence[Value], output: torch.Tensor) -> int:
    """Entries by their numbers, out of several arrays; 0 where there is none."""
    index = output.detach().numpy().astype(np.int64) - 1
    start, value = 0, None
    for source in sources:
        stop = start + int(np.prod(call.shape(source), dtype=int))
        inside = (index >= start) & (index < stop)
        if inside.any() or value is None:
            value = _merged(call, value, source, np.where(inside, index - start, -1))
        start = stop
    assert value is not None
    return value


def _merged(call: Call, before: int | None, source: Value, index: Array) -> int:
    number = call.number(source)
    taken = call.memory.moved(number, index)
    if before is None:
        return taken
    return call.build("select", call.build.constant(index >= 0), taken, before)


OPERATORS |= dict.fromkeys(
    (
        "flip", "roll", "index", "_unsafe_index", "index_select", "gather", "cat", "stack",
        "tril", "triu", "repeat", "slice_scatter", "select_scatter", "diagonal_scatter",
        "slice_backward", "select_backward", "diagonal_backward", "pixel_shuffle",
        "pixel_unshuffle", "scatter.src", "rot90", "clone", "take", "masked_select",
        "reflection_pad1d", "reflection_pad2d", "replication_pad1d", "replication_pad2d",
        "upsample_nearest1d", "upsample_nearest2d", "im2col", "_reshape_copy", "view_copy",
        "expand_copy", "permute_copy", "select_copy", "slice_copy", "t_copy", "diag_embed",
        "as_strided_scatter", "as_strided_copy", "embedding", "unfold_copy", "masked_scatter",
        "reshape", "contiguous", "flatten", "ravel", "channel_shuffle",
        "repeat_interleave.self_int", "alias_copy", "detach_copy",
        "split_with_sizes_copy", "split_copy", "unbind_copy", "squeeze_copy", "unsqueeze_copy",
        "transpose_copy", "copy_to", "_pad_circular", "_unsafe_masked_index",
    ),
    moved,
)  # fmt: skip


@row("constant_pad_nd")
def _pad(call: Call, x: Value, pad: Sequence[int], value: Number = 0) -> int:
    (named,), _ = identities([call.args[0]])
    index = call.func(named, pad, 0).numpy().astype(np.int64) - 1
    taken = call.build("take", x, index=index)
    if value == 0:
        return taken
    return call.build("select", call.build.constant(index >= 0), taken, call.number(value))


@row("copy")
def _copy(call: Call, target: Number, source: Number, non_blocking: bool = False) -> int:
    return call.build("broadcast", call.number(source), shape=tuple(call.result.shape))


@row("fill")
def _fill(call: Call, target: Value, value: Number) -> int:
    return call.build("broadcast", call.number(value), shape=tuple(call.result.shape))


@row("_to_copy", "to", "type_as", "prims::convert_element_type")
def _to_copy(call: Call, x: Value, *args: Any, **kwargs: Any) -> int:
    return int(x)


def picked(call: Call, x: Value, index: torch.Tensor, dim: int) -> int:
    """Entries along an axis by an order that was found at these arguments."""
    shape = call.shape(x)
    if not shape:
        return int(x)
    (named,), _ = identities([call.args[0]])
    name = call.func._schema.name.removeprefix("aten::")
    sentence = f"{name} at {call.build.source} takes the order that it found at these arguments"
    if sentence not in call.build.holds:
        call.build.holds.append(sentence)
    taken = torch.gather(named, dim, index).numpy().astype(np.int64) - 1
    return call.build("take", x, index=taken)


@row("max.dim", "min.dim", "median.dim", "nanmedian.dim", "mode", "cummax", "cummin")
def _picked_first(call: Call, x: Value, dim: int = -1, keepdim: bool = False) -> Any:
    values, index = call.results
    if index.ndim < len(call.shape(x)):
        index = index.unsqueeze(dim)
    return call.build("reshape", picked(call, x, index, dim), shape=tuple(values.shape)), None


@row("sort", "topk", "kthvalue")
def _sorted(call: Call, x: Value, *args: Any, **kwargs: Any) -> Any:
    names = [a.name for a in call.func._schema.arguments]
    given = {**dict(zip(names, (None, *args), strict=False)), **kwargs}
    dim = given.get("dim")
    index, dim = call.results[1], -1 if dim is None else dim
    if index.ndim < len(call.shape(x)):
        index = index.unsqueeze(dim)
    value = picked(call, x, index, dim)
    return call.build("reshape", value, shape=tuple(call.results[0].shape)), None


# Sums into places


def accumulated(call: Call, base: Number, source: int, index: Array, shape: Sequence[int]) -> int:
    """base with the source's entries added at these places, in any order."""
    build = call.build
    kept = index.reshape(call.shape(source))
    if base is None or _is_zero(build, base):
        return build("put", source, index=kept, shape=tuple(shape))
    size = int(np.prod(shape, dtype=int))
    count = kept.size
    order = np.arange(size + count)
    both = build(
        "select",
        build.constant(order < size),
        build("take", call.number(base), index=np.where(order < size, order, -1)),
        build("take", source, index=np.where(order < size, -1, order - size)),
    )
    places = np.concatenate([np.arange(size), kept.reshape(-1)])
    return build("put", both, index=places, shape=tuple(shape))


def _is_zero(build: Builder, value: int) -> bool:
    operation = build.operations[value]
    return operation.primitive == "constant" and not operation.params["array"].any()


def _entries(shape: Sequence[int]) -> torch.Tensor:
    return torch.arange(int(np.prod(shape, dtype=int))).reshape(tuple(shape))


def _broadcast_to(call: Call, x: Number, shape: Sequence[int]) -> int:
    value = call.number(x)
    if call.shape(value) == tuple(shape):
        return value
    return call.build("broadcast", value, shape=tuple(shape))


@row("index_put", "_unsafe_index_put", "_index_put_impl")
def _index_put(
    call: Call, x: Value, indices: Any, values: Value, accumulate: bool = False, *_: Any
) -> int:
    target, plain = call.args[0], call.args[1]
    places = torch.ops.aten.index.Tensor(_entries(target.shape), plain)
    source = _broadcast_to(call, values, places.shape)
    if accumulate:
        return accumulated(call, x, source, places.numpy(), target.shape)
    return _overwritten(call, x, source, places, target.shape)


def _overwritten(
    call: Call, base: Number, source: int, places: torch.Tensor, shape: Sequence[int]
) -> int:
    """base with the source's entries in these places, the last where several fall on one."""
    index = np.full(int(np.prod(shape, dtype=int)), -1)
    index[places.numpy().reshape(-1)] = np.arange(places.numel())
    index = index.reshape(tuple(shape))
    taken = call.build("take", source, index=index)
    return call.build("select", call.build.constant(index >= 0), taken, call.number(base))


@row("scatter.value")
def _scatter_value(call: Call, x: Value, dim: int, index: torch.Tensor, value: Number) -> int:
    places = torch.gather(_entries(call.args[0].shape), dim, index)
    source = _broadcast_to(call, value, index.shape)
    return _overwritten(call, x, source, places, call.args[0].shape)


@row("index_fill")
def _index_fill(call: Call, x: Value, dim: int, index: torch.Tensor, value: Number) -> int:
    places = torch.index_select(_entries(call.args[0].shape), dim, index)
    source = _broadcast_to(call, value, places.shape)
    return _overwritten(call, x, source, places, call.args[0].shape)


@row("scatter_add")
def _scatter_add(call: Call, x: Value, dim: int, index: torch.Tensor, source: Value) -> int:
    shape = call.args[0].shape
    places = torch.gather(_entries(shape), dim, index) if len(shape) else index * 0
    corner = tuple(slice(0, n) for n in index.shape)
    inside = _entries(call.args[3].shape)[corner].numpy()
    return accumulated(
        call, x, call.build("take", call.number(source), index=inside), places.numpy(), shape
    )


@row("index_add")
def _index_add(
    call: Call, x: Value, dim: int, index: torch.Tensor, source: Value, *, alpha: Number = 1
) -> int:
    places = torch.index_select(_entries(call.args[0].shape), dim, index)
    value = call.number(source)
    scaled = call.build("mul", value, call.number(alpha)) if alpha != 1 else value
    return accumulated(call, x, scaled, places.numpy(), call.args[0].shape)


@row("embedding_dense_backward")
def _embedding_backward(
    call: Call, grad: Value, indices: torch.Tensor, count: int, padding: int, by_frequency: bool
) -> int:
    width = call.shape(grad)[-1]
    places = indices.unsqueeze(-1) * width + torch.arange(width)
    places = torch.where(indices.unsqueeze(-1) == padding, -1, places)
    value = int(grad)
    if by_frequency:
        counts = torch.bincount(indices.reshape(-1), minlength=count)[indices]
        value = call.build("div", value, call.number(counts.unsqueeze(-1)))
    return accumulated(call, None, value, places.numpy(), (count, width))
