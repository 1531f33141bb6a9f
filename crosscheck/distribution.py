"""What random cases are drawn from."""

from dataclasses import dataclass, field

from crosscheck.conventions import ACTIVATIONS, COSTS, require_known


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
        require_known("hidden activation", self.hidden, ACTIVATIONS)
        require_known("output activation", self.output, (*ACTIVATIONS, "both"))
        require_known("cost", self.cost, COSTS)

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
