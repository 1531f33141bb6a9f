"""What random cases are drawn from."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from crosscheck.arithmetic.activations import ACTIVATIONS
from crosscheck.arithmetic.conventions import require_known
from crosscheck.arithmetic.costs import COSTS
from crosscheck.networks.ranges import pair

LEAST: Mapping[str, int] = MappingProxyType({"layers": 2, "widths": 1, "samples": 1})
"""The ranges, and where they may begin."""

MOST_ENTRIES = 1 << 31
"""Most weights, inputs or activations that a case may have: 16 GiB of float64."""


@dataclass(frozen=True)
class Distribution:
    """What random cases are drawn from; ranges include both ends.

    A range may be given as any pair, or as one number for both ends.

    Raises ValueError for a range that is empty or begins too low, one whose largest case has more
    than MOST_ENTRIES numbers, or an unknown name.
    """

    layers: tuple[int, int] = (2, 6)
    widths: tuple[int, int] = (1, 64)
    samples: tuple[int, int] = (1, 64)
    output: str = "both"
    hidden: str = "sigmoid"
    cost: str = "squared_error"
    scales: tuple[float, ...] = field(default=(1.0, 5.0, 20.0))

    def __post_init__(self) -> None:
        for name, least in LEAST.items():
            object.__setattr__(self, name, pair(name, getattr(self, name), least))
        self._require_room()
        require_known("hidden activation", self.hidden, tuple(ACTIVATIONS))
        require_known("output activation", self.output, (*ACTIVATIONS, "both"))
        require_known("cost", self.cost, tuple(COSTS))

    def _require_room(self) -> None:
        """Raises ValueError where the numbers of the largest case could not be addressed."""
        layers, width, samples = self.layers[1], self.widths[1], self.samples[1]
        parts = {
            f"layers={layers} of widths={width}": layers * width * width,
            f"samples={samples} of widths={width}": samples * width,
            f"layers={layers} and samples={samples} of widths={width}": layers * samples * width,
        }
        for what, entries in parts.items():
            if entries > MOST_ENTRIES:
                raise ValueError(
                    f"{what} would be {entries:.2g} numbers in one case, more than the "
                    f"{MOST_ENTRIES:.2g} that a case may have"
                )

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Distribution":
        """The distribution of these fields, whose tuples may be lists, as run.json has them."""
        as_tuples: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()
        }
        return cls(**as_tuples)

    def line(self, case: str, engine: str, arrays: str = "numpy", shrink: bool = False) -> str:
        """The command that reproduces the case of this id, drawn from here, to the bit.

        It has every option that is not the default and that the id does not tell.
        """
        words = ["crosscheck", "reproduce", case, "--engine", engine]
        words += self.options("layers", "widths", "samples", "hidden", "cost")
        words += ["--arrays", arrays] if ":" in engine and arrays != "numpy" else []
        return shlex.join([*words, "--shrink"] if shrink else words)

    def options(self, *names: str) -> list[str]:
        """The command's options for those of `names` that are not the default, as words."""
        default = Distribution()
        words = []
        for name in names:
            value = getattr(self, name)
            if value != getattr(default, name):
                words += [
                    f"--{name}",
                    value if isinstance(value, str) else "-".join(map(str, value)),
                ]
        return words
