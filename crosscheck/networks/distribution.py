"""What random cases are drawn from."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from crosscheck.arithmetic.activations import ACTIVATIONS
from crosscheck.arithmetic.conventions import READINGS, require_known
from crosscheck.networks.network import require_names, require_penalty
from crosscheck.networks.ranges import pair, whole

LEAST: Mapping[str, int] = MappingProxyType({"layers": 2, "widths": 1, "samples": 1})
"""The ranges, and where they may begin."""

MOST_ENTRIES = 1 << 31
"""Most weights, inputs or activations that a case may have: 16 GiB of float64."""


@dataclass(frozen=True)
class Distribution:
    """What random cases are drawn from; ranges include both ends.

    A range may be given as any pair, or as one number for both ends. `architecture` fixes all
    widths, as do `widths` of three entries or more, which can be no range; `outputs` fixes n_N.
    `biases`, `l2` and `l2_biases` are those of `Architecture`.

    Raises ValueError for a range that is empty or begins too low, one whose largest case has more
    than MOST_ENTRIES numbers, an unknown name, or what does not go together.
    """

    layers: tuple[int, int] = (2, 6)
    widths: tuple[int, int] = (1, 64)
    samples: tuple[int, int] = (1, 64)
    output: str = "both"
    hidden: str = "sigmoid"
    cost: str = "squared_error"
    scales: tuple[float, ...] = field(default=(1.0, 5.0, 20.0))
    architecture: tuple[int, ...] | None = None
    outputs: int | None = None
    biases: bool = True
    l2: float = 0.0
    l2_biases: bool = False

    def __post_init__(self) -> None:
        self._fix_widths()
        for name, least in LEAST.items():
            object.__setattr__(self, name, pair(name, getattr(self, name), least))
        self._require_room()
        require_known("output activation", self.output, (*ACTIVATIONS, "both"))
        for output in READINGS if self.output == "both" else (self.output,):
            require_names(self.hidden, output, self.cost)
        require_penalty(self.l2)
        for name in ("biases", "l2_biases"):
            if not isinstance(getattr(self, name), (bool, np.bool_)):
                raise ValueError(f"{name}={getattr(self, name)!r} must be True or False")
            object.__setattr__(self, name, bool(getattr(self, name)))

    def _fix_widths(self) -> None:
        """An architecture as ranges of one number of layers; `outputs` must be its last width."""
        given = self.architecture
        if given is None and _are_widths(self.widths):
            given = self.widths
        if self.outputs is not None:
            object.__setattr__(self, "outputs", whole("outputs", self.outputs, least=1))
        if given is None:
            return
        if isinstance(given, str) or not isinstance(given, Iterable):
            raise ValueError(f"architecture={given!r} must be widths, such as (784, 128, 10)")
        fixed = tuple(whole("a width of architecture", width, least=1) for width in given)
        if len(fixed) < 2:
            raise ValueError(
                f"architecture={fixed} has {len(fixed) or 'no'} entries: it needs the widths of "
                "two layers or more, such as (784, 128, 10)"
            )
        layers = pair("layers", self.layers, LEAST["layers"])
        if layers not in (Distribution.layers, (len(fixed),) * 2):
            raise ValueError(f"architecture={fixed} has {len(fixed)} layers, and layers={layers}")
        if self.outputs not in (None, fixed[-1]):
            outputs = self.outputs
            raise ValueError(f"architecture={fixed} ends with {fixed[-1]}, and outputs={outputs}")
        for name, value in (
            ("architecture", fixed),
            ("outputs", None),
            ("layers", (len(fixed),) * 2),
            ("widths", (min(fixed), max(fixed))),
        ):
            object.__setattr__(self, name, value)

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
        if self.output not in ("both", *READINGS):
            words += ["--output", self.output]
        words += self.options("layers", "widths", "samples", "hidden", "cost", *SHAPED)
        words += ["--arrays", arrays] if ":" in engine and arrays != "numpy" else []
        return shlex.join([*words, "--shrink"] if shrink else words)

    def options(self, *names: str) -> list[str]:
        """The command's options for those of `names` that are not the default, as words."""
        default = Distribution()
        ranges = ("layers", "widths") if self.architecture else ()
        words = []
        for name in names:
            value = getattr(self, name)
            if value != getattr(default, name) and name not in ranges:
                words += _option(name, value)
        return words


SHAPED = ("architecture", "outputs", "biases", "l2", "l2_biases")
"""What is newer than the first records: it is in them only where it is not the default."""


def _option(name: str, value: Any) -> list[str]:
    """An option of the command that is not its default."""
    if name == "biases":
        return ["--no-biases"]
    if name == "l2_biases":
        return ["--l2-biases"]
    shown = "-".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return [f"--{name}", shown]


def _are_widths(given: object) -> bool:
    """Whether they are the widths of an architecture, more than the two ends of a range."""
    return isinstance(given, Sequence) and not isinstance(given, str) and len(given) > 2
