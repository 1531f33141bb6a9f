"""The values that pass from stage to stage: frozen, with their shapes, no algorithms."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from crosscheck.arithmetic.activations import ACTIVATIONS
from crosscheck.arithmetic.conventions import require_known
from crosscheck.arithmetic.costs import COSTS
from crosscheck.arithmetic.formats import FORMATS, Array as Array, FloatFormat


@dataclass(frozen=True)
class Architecture:
    """A fully connected network: layers l = 1 … N with widths n_l.

    `hidden` names the activation of layers 2 … N-1, `output` that of layer N, `cost` the cost.

    Raises ValueError for fewer than two layers, a width below 1, or an unknown name.
    """

    widths: tuple[int, ...]
    hidden: str = "sigmoid"
    output: str = "identity"
    cost: str = "squared_error"

    def __post_init__(self) -> None:
        if len(self.widths) < 2 or min(self.widths) < 1:
            raise ValueError(f"widths {self.widths} must be two or more positive numbers")
        require_known("hidden activation", self.hidden, tuple(ACTIVATIONS))
        require_known("output activation", self.output, tuple(ACTIVATIONS))
        require_known("cost", self.cost, tuple(COSTS))

    @property
    def layers(self) -> int:
        """N, the number of layers, input and output included."""
        return len(self.widths)

    @property
    def label(self) -> str:
        """The widths as rows write them, "3-5-2"."""
        return "-".join(map(str, self.widths))

    @property
    def activations(self) -> tuple[str, ...]:
        """Activation names of layers 2 … N."""
        return (self.hidden,) * (self.layers - 2) + (self.output,)

    @cached_property
    def weight_shapes(self) -> tuple[tuple[int, int], ...]:
        """(n_{l-1}, n_l) for l = 2 … N."""
        return tuple(zip(self.widths[:-1], self.widths[1:], strict=True))

    @cached_property
    def tensor_names(self) -> tuple[str, ...]:
        """ "w2", "b2", "w3", "b3", … with the paper's layer index."""
        return tuple(f"{kind}{layer}" for layer in range(2, self.layers + 1) for kind in "wb")

    @cached_property
    def tensor_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of the tensors, in the order of `tensor_names`."""
        return tuple(s for shape in self.weight_shapes for s in (shape, shape[1:]))

    @cached_property
    def parameters(self) -> int:
        """The number of weights and biases."""
        return sum((n + 1) * m for n, m in self.weight_shapes)

    def split(self, flat: Array) -> "Tensors":
        """A vector of all parameters as tensors, in the order of `tensor_names`; views of it.

        Raises ValueError for a vector of another length.
        """
        if flat.size != self.parameters:
            raise ValueError(f"{flat.size} numbers came for {self.parameters} parameters")
        return Tensors(flat, self.tensor_shapes)


class Tensors(Sequence[Array]):
    """Arrays of these shapes, end to end in one vector: `flat`, of which they are views.

    Views are made when first asked for: most of what is judged is judged end to end.
    """

    def __init__(self, flat: Array, shapes: Sequence[tuple[int, ...]]) -> None:
        self.flat, self._shapes = flat, shapes

    @cached_property
    def _views(self) -> list[Array]:
        views, start = [], 0
        for shape in self._shapes:
            stop = start + math.prod(shape)
            views.append(self.flat[start:stop].reshape(shape))
            start = stop
        return views

    def __reduce__(self) -> tuple[Any, ...]:
        return Tensors, (self.flat, self._shapes)  # views of a copy would be copies of their own

    def __len__(self) -> int:
        return len(self._shapes)

    def __iter__(self) -> Iterator[Array]:
        return iter(self._views)

    def __getitem__(self, which: Any) -> Any:
        return self._views[which]

    def times(self, factor: float) -> "Tensors":
        """All entries multiplied."""
        return Tensors(factor * self.flat, self._shapes)


@dataclass(frozen=True, eq=False)
class Case:
    """An architecture with its numbers, all exact in `dtype`, so that all engines see the same.

    weights[k] (n_{l-1}, n_l) and biases[k] (n_l,) belong to layer l = k + 2;
    inputs (D, n_1), targets (D, n_N). `scale` is the stratum: the factor on Xavier weights.
    `special` names a special case, or is empty.

    Raises ValueError for a wrong shape, ∞ or NaN, or a number that dtype cannot represent.
    """

    architecture: Architecture
    dtype: str
    seed: int
    index: int
    weights: tuple[Array, ...]
    biases: tuple[Array, ...]
    inputs: Array
    targets: Array
    scale: float = 1.0
    special: str = ""

    def __post_init__(self) -> None:
        require_known("dtype", self.dtype, tuple(FORMATS))
        if self.inputs.ndim != 2 or self.targets.ndim != 2 or not len(self.inputs):
            raise ValueError("inputs and targets must have shapes (D, n_1) and (D, n_N), D >= 1")
        shapes = self.architecture.weight_shapes
        outputs = (len(self.inputs), self.architecture.widths[-1])
        for name, arrays, wanted in (
            ("weights", self.weights, shapes),
            ("biases", self.biases, [shape[1:] for shape in shapes]),
            ("inputs", (self.inputs,), [(outputs[0], self.architecture.widths[0])]),
            ("targets", (self.targets,), [outputs]),
        ):
            if [array.shape for array in arrays] != list(wanted):
                raise ValueError(
                    f"{name} have the shapes {[array.shape for array in arrays]}, "
                    f"the architecture {self.architecture.label} needs {list(wanted)}"
                )
            stored = tuple(_in_format(name, array, FORMATS[self.dtype]) for array in arrays)
            if name in ("inputs", "targets"):
                object.__setattr__(self, name, stored[0])
            else:
                object.__setattr__(self, name, stored)

    @property
    def samples(self) -> int:
        """D, the number of training entries."""
        return int(self.inputs.shape[0])

    @property
    def format(self) -> FloatFormat:
        return FORMATS[self.dtype]

    @property
    def id(self) -> str:
        """Text like "s0-i17-float32-sigmoid"."""
        return f"s{self.seed}-i{self.index}-{self.dtype}-{self.architecture.output}"


@dataclass(frozen=True, eq=False)
class Gradients:
    """What an engine computed: `weights` and `biases` with the shapes of the case's.

    `stages`, where an engine shows its intermediates, maps names such as "z3" to arrays.
    """

    cost: float | None
    weights: Sequence[Array]
    biases: Sequence[Array]
    stages: Mapping[str, Array] | None = None

    def tensors(self) -> list[Array]:
        """The gradients in the order of `Architecture.tensor_names`."""
        return [t for pair in zip(self.weights, self.biases, strict=True) for t in pair]


@dataclass(frozen=True, eq=False)
class Enclosure:
    """The exact gradient, enclosed: |exact - hi - lo| <= radius, entry by entry.

    Lists follow `Architecture.tensor_names`; all arrays are float64. `source` says which
    reference ruled, `bits` its working precision; `cost` (hi, lo, radius) encloses the cost.
    """

    hi: Sequence[Array]
    lo: Sequence[Array]
    radius: Sequence[Array]
    source: str
    bits: int
    cost: tuple[float, float, float] | None = None


def _in_format(name: str, array: Array, of: FloatFormat) -> Array:
    """The array in its format, which must hold each of its numbers exactly."""
    if not np.isfinite(array).all():
        raise ValueError(f"{name} hold ∞ or NaN: a gradient is asked for at finite numbers only")
    if array.dtype == of.numpy:
        return array
    with np.errstate(over="ignore"):
        rounded = array.astype(of.numpy)
    if not np.array_equal(rounded.astype(np.float64), array.astype(np.float64)):
        raise ValueError(f"{name} hold numbers that {of.name} cannot represent: round them first")
    return rounded
