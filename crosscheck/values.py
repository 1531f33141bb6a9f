"""The values that pass from stage to stage: frozen, with their shapes, no algorithms."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from crosscheck.formats import FORMATS, FloatFormat

Array = NDArray[Any]
Order = Literal["contracted", "literal", "forward", "either"]

ACTIVATIONS = ("sigmoid", "identity", "tanh", "relu")
"""Activation functions a layer may have; the paper knows the first two."""

READINGS = ("identity", "sigmoid")
"""The paper's two readings, named by the activation of the output layer."""

COSTS = ("squared_error", "half_squared_error", "sum_squared_error", "mean_squared_error")
"""C1 of the paper, and the other conventions of the same cost, which are factors on it."""


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
        _require_known("hidden activation", self.hidden, ACTIVATIONS)
        _require_known("output activation", self.output, ACTIVATIONS)
        _require_known("cost", self.cost, COSTS)

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

    @property
    def weight_shapes(self) -> tuple[tuple[int, int], ...]:
        """(n_{l-1}, n_l) for l = 2 … N."""
        return tuple(zip(self.widths[:-1], self.widths[1:], strict=True))

    @property
    def tensor_names(self) -> tuple[str, ...]:
        """ "w2", "b2", "w3", "b3", … with the paper's layer index."""
        return tuple(f"{kind}{layer}" for layer in range(2, self.layers + 1) for kind in "wb")

    @property
    def tensor_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of the tensors, in the order of `tensor_names`."""
        return tuple(s for shape in self.weight_shapes for s in (shape, shape[1:]))

    @property
    def parameters(self) -> int:
        """The number of weights and biases."""
        return sum((n + 1) * m for n, m in self.weight_shapes)


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
        _require_known("dtype", self.dtype, tuple(FORMATS))
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
class Trace:
    """A gradient's evaluation in float64 with its intermediates, one entry a layer l = 2 … N.

    `z`, `slopes` (σ′), `pulled_back` (∂cost/∂a^l) and `deltas` (∂cost/∂z^l) have shapes
    (D, n_l); `activations` begins with a^1. `scale` is the factor of the cost's convention on
    Σ (a^N - expected)². A linear layer's slope is None.
    """

    activations: Sequence[Array]
    z: Sequence[Array]
    slopes: Sequence[Array | None]
    pulled_back: Sequence[Array]
    deltas: Sequence[Array]
    weights: Sequence[Array]
    biases: Sequence[Array]
    scale: float

    @property
    def unscaled(self) -> float:
        """How much larger intermediates are where the cost's factor comes last."""
        return max(1.0, 1 / self.scale)

    def tensors(self) -> list[Array]:
        """The gradients in the order of `Architecture.tensor_names`."""
        return [t for pair in zip(self.weights, self.biases, strict=True) for t in pair]


@dataclass(frozen=True, eq=False)
class Bound:
    """What a correct evaluation may be off by: B, entry by entry, as `Architecture.tensor_names`.

    `overflow` names the first quantity that may exceed the format's largest number, if any
    may; `kinks` counts, a tensor, the kinks within rounding errors that it depends on.
    """

    tensors: Sequence[Array]
    overflow: str | None
    kinks: Sequence[int]


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


@dataclass(frozen=True)
class Arithmetic:
    """What an engine promises of its arithmetic; the bound holds it to that.

    `dtype` is the format it stores in and rounds to; `accumulate` a wider format in which it
    forms sums, if it says so; `flushes` is true where subnormals are read and written as 0;
    `order` is the order of evaluation.

    Raises ValueError for an unknown format, or an accumulator narrower than the dtype.
    """

    dtype: str
    order: Order = "contracted"
    flushes: bool = False
    accumulate: str | None = None

    def __post_init__(self) -> None:
        for name in (self.dtype, self.accumulate or self.dtype):
            _require_known("number format", name, tuple(FORMATS))
        if self.accumulate and FORMATS[self.accumulate].digits < FORMATS[self.dtype].digits:
            raise ValueError(
                f"the declared accumulator {self.accumulate} is narrower than {self.dtype}: "
                f"it needs at least {FORMATS[self.dtype].digits} bits"
            )


@dataclass(frozen=True)
class Distribution:
    """What random cases are drawn from; ranges include both ends.

    Raises ValueError for a range that is empty or begins too low, or an unknown name.
    """

    layers: tuple[int, int] = (2, 6)
    widths: tuple[int, int] = (1, 64)
    samples: tuple[int, int] = (1, 64)
    output: str = "both"
    hidden: str = "sigmoid"
    cost: str = "squared_error"
    scales: tuple[float, ...] = field(default=(1.0, 5.0, 20.0))

    def __post_init__(self) -> None:
        for name, least in (("layers", 2), ("widths", 1), ("samples", 1)):
            low, high = getattr(self, name)
            if not least <= low <= high:
                raise ValueError(
                    f"{name} ({low}, {high}) must be (low, high) with {least} <= low <= high"
                )
        _require_known("hidden activation", self.hidden, ACTIVATIONS)
        _require_known("output activation", self.output, (*ACTIVATIONS, "both"))
        _require_known("cost", self.cost, COSTS)


def _require_known(role: str, name: str, known: Sequence[str]) -> None:
    if name not in known:
        raise ValueError(f"unknown {role} {name!r}: it is one of {', '.join(known)}")


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
