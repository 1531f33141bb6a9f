"""The values that pass from stage to stage: frozen, with their shapes, no algorithms."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from crosscheck.arithmetic.activations import ACTIVATIONS
from crosscheck.arithmetic.conventions import require_known
from crosscheck.arithmetic.costs import COSTS, require_fitting
from crosscheck.arithmetic.formats import FORMATS, Array as Array, FloatFormat


@dataclass(frozen=True)
class Architecture:
    """A fully connected network: layers l = 1 … N with widths n_l.

    `hidden` names the activation of layers 2 … N-1, `output` that of layer N, `cost` the cost.
    Without `with_biases` there are none: z^l = a^{l-1} w^l. `l2` is the λ of λ/2 Σ w² that is
    added to the cost, over the weights, and over the biases too with `l2_biases`.

    Raises ValueError for fewer than two layers, a width below 1, an unknown name, an output that
    the cost is not one of, or a λ below 0.
    """

    widths: tuple[int, ...]
    hidden: str = "sigmoid"
    output: str = "identity"
    cost: str = "squared_error"
    with_biases: bool = True
    l2: float = 0.0
    l2_biases: bool = False

    def __post_init__(self) -> None:
        if len(self.widths) < 2 or min(self.widths) < 1:
            raise ValueError(f"widths {self.widths} must be two or more positive numbers")
        require_names(self.hidden, self.output, self.cost)
        require_penalty(self.l2)

    @cached_property
    def quick(self) -> bool:
        """Whether the quick path knows it; else it is judged through its programs."""
        names = {self.hidden, self.output} if self.layers > 2 else {self.output}
        known = all(ACTIVATIONS[name].quick for name in names) and COSTS[self.cost].quick
        return known and self.with_biases and not self.l2

    @property
    def extras(self) -> str:
        """What is not the default of biases and penalty, as words; empty where all is."""
        words = [] if self.with_biases else ["no biases"]
        if self.l2:
            words.append(f"l2 {self.l2!r}" + (" on biases too" if self.l2_biases else ""))
        return ", ".join(words)

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
        kinds = "wb" if self.with_biases else "w"
        return tuple(f"{kind}{layer}" for layer in range(2, self.layers + 1) for kind in kinds)

    @cached_property
    def tensor_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of the tensors, in the order of `tensor_names`."""
        if not self.with_biases:
            return self.weight_shapes
        return tuple(s for shape in self.weight_shapes for s in (shape, shape[1:]))

    @cached_property
    def parameters(self) -> int:
        """The number of weights and biases."""
        return sum((n + self.with_biases) * m for n, m in self.weight_shapes)

    def split(self, flat: Array) -> "Tensors":
        """A vector of all parameters as tensors, in the order of `tensor_names`; views of it.

        Raises ValueError for a vector of another length.
        """
        if flat.size != self.parameters:
            raise ValueError(f"{flat.size} numbers came for {self.parameters} parameters")
        return Tensors(flat, self.tensor_shapes)


def require_names(hidden: str, output: str, cost: str) -> None:
    """Raises ValueError for an unknown name, or names that do not go together."""
    inner = tuple(name for name in ACTIVATIONS if not ACTIVATIONS[name].output_only)
    if hidden in ACTIVATIONS and hidden not in inner:
        raise ValueError(f"{hidden} is an activation of the output layer, not of hidden ones")
    require_known("hidden activation", hidden, inner)
    require_known("output activation", output, tuple(ACTIVATIONS))
    require_known("cost", cost, tuple(COSTS))
    require_fitting(output, cost)


def require_penalty(l2: float) -> None:
    """Raises ValueError unless λ is a number of 0 or more."""
    if isinstance(l2, bool) or not isinstance(l2, (int, float)) or not 0 <= l2 < math.inf:
        raise ValueError(f"l2={l2!r} must be a number λ, 0 or more: λ/2 Σ w² is added to the cost")


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
    `special` names a special case, or is empty. Where the architecture has no biases, they are 0.

    Raises ValueError for a wrong shape, ∞ or NaN, a number that dtype cannot represent, or targets
    that cannot be expected under the cost.
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
        self._require_fit()

    def _require_fit(self) -> None:
        """Raises ValueError for biases where there are none, and for targets out of range."""
        architecture = self.architecture
        if not architecture.with_biases and any(b.any() for b in self.biases):
            raise ValueError("biases are not 0, and the architecture has none")
        fits = COSTS[architecture.cost].fits
        if fits and not fits.holds(self.targets):
            raise ValueError(f"targets do not fit {architecture.cost}: it expects {fits.sentence}")

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
        if not self.biases:
            return list(self.weights)
        return [t for pair in zip(self.weights, self.biases, strict=True) for t in pair]

    def of(self, architecture: Architecture) -> "Gradients":
        """Without those of biases where there are none."""
        return self if architecture.with_biases else replace(self, biases=[])


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
