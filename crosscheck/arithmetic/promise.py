"""What an engine promises of its arithmetic."""

from dataclasses import dataclass
from functools import cache
from typing import Literal

from crosscheck.arithmetic.conventions import require_known
from crosscheck.arithmetic.formats import FORMATS

Order = Literal["contracted", "literal", "forward", "either"]


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
            require_known("number format", name, tuple(FORMATS))
        if self.accumulate and FORMATS[self.accumulate].digits < FORMATS[self.dtype].digits:
            raise ValueError(
                f"the declared accumulator {self.accumulate} is narrower than {self.dtype}: "
                f"it needs at least {FORMATS[self.dtype].digits} bits"
            )


@cache
def plain(dtype: str) -> Arithmetic:
    """The arithmetic of a dtype of which nothing else is said."""
    return Arithmetic(dtype)


@cache
def only(arithmetic: Arithmetic) -> Arithmetic:
    """The one object for all that are equal: what is looked up by it is found at once."""
    same = plain(arithmetic.dtype)
    return same if arithmetic == same else arithmetic
