"""What PyTorch's memory holds, as values of a program: storages, and tensors as views of them.

A storage holds one value; a tensor reads it by its strides. So views and their aliases need no
rule of their own, and a write through any of them is seen by all.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from crosscheck.arithmetic.primitives.row import Array
from crosscheck.programs.program import Builder, Unreadable

FORMATS = {
    torch.float64: "float64",
    torch.float32: "float32",
    torch.bfloat16: "bfloat16",
    torch.float16: "float16",
    torch.bool: "bool",
}
"""What enters a program; other dtypes are known numbers."""

Layout = tuple[tuple[int, ...], tuple[int, ...], int]
"""Sizes, strides, offset, all counted in entries."""


def as_array(tensor: torch.Tensor) -> Array:
    """A tensor's numbers as NumPy has them, copied, bfloat16 as ml_dtypes'."""
    plain = tensor.detach().cpu().contiguous()
    if plain.dtype != torch.bfloat16:
        return np.array(plain.numpy())
    import ml_dtypes

    return np.array(plain.view(torch.int16).numpy()).view(ml_dtypes.bfloat16)


def as_tensor(array: Array) -> torch.Tensor:
    """The other way round, copied."""
    if array.dtype.name != "bfloat16":
        return torch.from_numpy(np.array(array))
    return torch.from_numpy(np.array(array).view(np.int16)).view(torch.bfloat16)


def layout_of(tensor: torch.Tensor) -> Layout:
    """Strides of axes of one entry, which mean nothing, are 0."""
    strides = [s if n > 1 else 0 for n, s in zip(tensor.shape, tensor.stride(), strict=True)]
    return tuple(tensor.shape), tuple(strides), tensor.storage_offset()


def places(layout: Layout) -> Array:
    """Where in the storage each entry of a tensor stands."""
    shape, strides, offset = layout
    index = np.full(shape, offset, np.int64)
    for axis, (n, stride) in enumerate(zip(shape, strides, strict=True)):
        steps = np.arange(n, dtype=np.int64) * stride
        index += steps.reshape((-1,) + (1,) * (len(shape) - axis - 1))
    return index


@dataclass
class Stored:
    """A storage: the `value` it holds, laid out as `layout`; `views` are those read before.

    `owner` keeps the memory, so that no other storage takes its address.
    """

    value: int
    layout: Layout
    dtype: torch.dtype
    owner: Any
    views: dict[Layout, int] = field(default_factory=dict)


@dataclass
class Memory:
    """All storages that depend on the program's inputs."""

    build: Builder
    stored: dict[int, Stored] = field(default_factory=dict)

    def holds(self, tensor: torch.Tensor) -> bool:
        """Whether a tensor's numbers are the program's."""
        return tensor.layout == torch.strided and _address(tensor) in self.stored

    def keep(self, tensor: torch.Tensor, value: int) -> None:
        """From now on the memory of this fresh tensor holds the value."""
        layout, owner = layout_of(tensor), tensor.untyped_storage()
        self.stored[owner._cdata] = Stored(value, layout, tensor.dtype, owner, {layout: value})

    def read(self, tensor: torch.Tensor) -> int:
        """The value of a tensor, a constant where nothing of the program is in its memory."""
        if not self.holds(tensor):
            # PyTorch makes a tensor without dimensions of a number in code, rounded to its format.
            return self.build.constant(
                as_array(tensor), FORMATS[tensor.dtype], literal=tensor.ndim == 0
            )
        stored, layout = self.stored[_address(tensor)], layout_of(tensor)
        if stored.dtype != tensor.dtype:
            raise Unreadable(
                f"view of {stored.dtype} as {tensor.dtype} at {self.build.source}: the bits of a "
                "number are no function of it; pass reference="
            )
        if layout not in stored.views:
            stored.views[layout] = self._viewed(stored, layout)
        return stored.views[layout]

    def write(self, tensor: torch.Tensor, value: int) -> None:
        """Write a value into a tensor's memory, under all its views."""
        address, layout = _address(tensor), layout_of(tensor)
        stored = self.stored.get(address)
        if stored is None or tensor.numel() == len(places(stored.layout).reshape(-1)):
            return self._replace(tensor, value)
        where, into = places(stored.layout), places(layout).reshape(-1)
        index = np.full(int(max(where.max(initial=0), into.max(initial=0))) + 1, -1, np.int64)
        index[into] = np.arange(into.size)
        taken = index[where]
        new = self.build("take", value, index=taken)
        merged = self.build("select", self.build.constant(taken >= 0), new, stored.value)
        self.stored[address] = Stored(
            merged, stored.layout, stored.dtype, stored.owner, {stored.layout: merged}
        )

    def _replace(self, tensor: torch.Tensor, value: int) -> None:
        """What is written covers all that is held; memory that held data is read first."""
        owner = tensor.untyped_storage()
        known = self.stored.get(owner._cdata)
        whole = owner.nbytes() // tensor.element_size()
        if known is None and tensor.numel() < whole:
            everything = torch.as_strided(tensor.detach(), (whole,), (1,), 0)
            self.keep(everything, self.build.constant(as_array(everything), FORMATS[tensor.dtype]))
            return self.write(tensor, value)
        self.keep(tensor, value)

    def _viewed(self, stored: Stored, layout: Layout) -> int:
        """A view: repeated axes, then moved axes, then another shape; any other by its index."""
        shape, strides, offset = layout
        repeated = [n > 1 and stride == 0 for n, stride in zip(shape, strides, strict=True)]
        if any(repeated):
            once = tuple(1 if r else n for n, r in zip(shape, repeated, strict=True))
            inner = stored.views.get((once, strides, offset))
            if inner is None:
                inner = self._viewed(stored, (once, strides, offset))
            return self.build("broadcast", inner, shape=shape)
        where = places(stored.layout)
        index = np.full(int(where.max(initial=0)) + 1, -1, np.int64)
        index[where.reshape(-1)] = np.arange(where.size)
        wanted = places(layout)
        if wanted.size and wanted.max() >= index.size:
            raise Unreadable(f"memory beyond what was written is read at {self.build.source}")
        return self.moved(stored.value, index[wanted])

    def moved(self, value: int, index: Array) -> int:
        """`take`, or the plainer operation that it is: none, a reshape, a transpose of axes."""
        build, shape = self.build, self.build.shape(value)
        size = int(np.prod(shape, dtype=int))
        if index.size == size and np.array_equal(index.reshape(-1), np.arange(size)):
            return value if index.shape == shape else build("reshape", value, shape=index.shape)
        axes = _axes(index, shape)
        if axes is not None:
            return build("transpose", value, axes=axes)
        return build("take", value, index=index)


def _axes(index: Array, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """The order of axes that this index is, if it is one."""
    if sorted(index.shape) != sorted(shape) or index.size == 0 or index.ndim < 2:
        return None
    source = np.arange(index.size).reshape(shape)
    steps = [
        int(np.take(index, 1, axis).reshape(-1)[0] - index.reshape(-1)[0]) if n > 1 else 0
        for axis, n in enumerate(index.shape)
    ]
    strides = [
        s // source.itemsize if n > 1 else 0 for n, s in zip(shape, source.strides, strict=True)
    ]
    axes: list[int] = []
    for n, step in zip(index.shape, steps, strict=True):
        match = [
            place
            for place in range(len(shape))
            if place not in axes and shape[place] == n and strides[place] == step
        ]
        if not match:
            return None
        axes.append(match[0])
    order = tuple(axes)
    return order if np.array_equal(source.transpose(order), index) else None


def _address(tensor: torch.Tensor) -> int:
    address: int = tensor.untyped_storage()._cdata
    return address
