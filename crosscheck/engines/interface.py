"""What an engine is: a name, what it supports, and the gradient of a case."""

from typing import Protocol, runtime_checkable

from crosscheck.arithmetic.promise import Arithmetic
from crosscheck.networks.network import Architecture, Case, Gradients


class Unsupported(Exception):
    """The engine cannot run here, or not on this; the message says why and how to mend it."""


class EngineFailed(Exception):
    """An attempt failed with this status (error, timeout or crash), for this reason."""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status = status


@runtime_checkable
class Engine(Protocol):
    """An engine; `arithmetic` is what it promises, and the bound holds it to that.

    An engine may also have `stages(case)`, its intermediates by name; `compiles = True`
    where the first call on a shape compiles, so that the second is the one to be timed; and
    `gradients_of(cases)`, the gradients of many cases at once, none of which depends to the
    bit on the others.
    """

    name: str

    def supports(self, architecture: Architecture, dtype: str) -> bool:
        """Whether `gradients` can take such a case."""
        ...

    def arithmetic(self, dtype: str) -> Arithmetic:
        """The number format, order of evaluation and accumulator it claims in `dtype`."""
        ...

    def gradients(self, case: Case) -> Gradients:
        """Cost and gradients, in the case's dtype and shapes."""
        ...
