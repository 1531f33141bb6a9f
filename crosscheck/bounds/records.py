"""An evaluation in float64 with all that it passes through, and the bound made of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from crosscheck.networks.network import Array, Tensors


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
    may; `kinks` counts, a tensor, the kinks within rounding errors that it depends on. `growth` is
    the ρ of `bound`.
    """

    tensors: Tensors
    overflow: str | None
    kinks: Sequence[int]
    growth: float


class GradientBounds(NamedTuple):
    """What one pass of the rules gives: the float64 gradient it was made of, and a B for each rule.

    `gradient` is as `Architecture.tensor_names`; `least` as in `reverse.by_rules`: the least E by
    any of the rules.
    """

    gradient: Sequence[Array]
    bounds: Sequence[Bound]
    least: Mapping[str, float]
