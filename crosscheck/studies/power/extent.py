"""What `crosscheck power` examines: how many networks, and which."""

from collections.abc import Iterator
from dataclasses import dataclass

from crosscheck.networks import sampling
from crosscheck.networks.distribution import Distribution
from crosscheck.networks.network import Case

SCALES = (1.0, 5.0, 20.0)
"""The strata: factors on Xavier weights; 20 saturates."""

FIRST_INDEX = 8
"""The indices below are special cases in every run."""

SQUARE_WIDTHS = (2, 12)
"""Widths of the square networks, for mistakes that other widths would not survive."""


@dataclass(frozen=True)
class Examination:
    """How much is examined: `cases` architectures of each scale and dtype.

    `correct` cases of engines that are right; `rivals` networks for the checkers in use; every
    mistake is given to the diagnosis in `diagnoses` runs, every rule of an operation to
    gradcheck() on `arguments` sets of arguments. A mistake that takes more than
    `seconds` on a network is out of time there.
    """

    cases: int = 200
    seed: int = 0
    dtypes: tuple[str, ...] = ("float32", "float64")
    widths: tuple[int, int] = (1, 64)
    correct: int = 2000
    rivals: int = 20
    diagnoses: int = 1
    seconds: float = 10.0
    arguments: int = 20

    def __post_init__(self) -> None:
        unknown = [d for d in self.dtypes if d not in ("float32", "float64")]
        if unknown:
            raise ValueError(f"unknown dtype {unknown[0]!r}: power knows float32 and float64")


def square_width(index: int) -> int:
    """The width of the square network of this index."""
    low, high = SQUARE_WIDTHS
    return low + index % (high - low + 1)


def network(of: Examination, dtype: str, scale: float, index: int) -> tuple[Case, Case]:
    """A network of any widths and a square one."""
    width = square_width(index)
    anyhow = Distribution(widths=of.widths, scales=(scale,))
    square = Distribution(widths=(width, width), scales=(scale,))
    return (
        sampling.draw(anyhow, of.seed, index, dtype),
        sampling.draw(square, of.seed, index, dtype),
    )


def networks(of: Examination, dtype: str, scale: float) -> Iterator[tuple[Case, Case]]:
    """A network of any widths and a square one, for each index."""
    for index in range(FIRST_INDEX, FIRST_INDEX + of.cases):
        yield network(of, dtype, scale, index)
