"""What an engine is: a name, what it supports, and the gradient of a case, in the right form."""

from typing import Protocol, runtime_checkable

import numpy as np

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


class Broken:
    """Stands in every case for an engine that cannot even be loaded, with how its loading ended.

    Importing such a one ends the process, or never ends.
    """

    def __init__(self, name: str, status: str, message: str) -> None:
        self.name, self.status, self.message = name, status, message

    def supports(self, architecture: Architecture, dtype: str) -> bool:
        return True

    def arithmetic(self, dtype: str) -> Arithmetic:
        return Arithmetic(dtype)

    def gradients(self, case: Case) -> Gradients:
        """Raises EngineFailed, always."""
        raise EngineFailed(self.status, self.message)


class Malformed(Exception):
    """What came is no gradient of the case; the message says what came and what would be right."""


def require(case: Case, gradients: Gradients) -> None:
    """Raise Malformed unless there is one array per tensor, with its shape and dtype."""
    if not _is_right(case, gradients):
        _explain(case, gradients)


def _is_right(case: Case, gradients: Gradients) -> bool:
    shapes, dtype = case.architecture.tensor_shapes, case.format.numpy
    biases = len(gradients.weights) if case.architecture.with_biases else 0
    if len(gradients.weights) != case.architecture.layers - 1 or len(gradients.biases) != biases:
        return False
    tensors = gradients.tensors()
    for tensor, shape in zip(tensors, shapes, strict=True):
        if not isinstance(tensor, np.ndarray) or tensor.shape != shape or tensor.dtype != dtype:
            return False
    return True


def _explain(case: Case, gradients: Gradients) -> None:
    """Raise what is wrong in a sentence."""
    architecture = case.architecture
    for what, given in (("weight", gradients.weights), ("bias", gradients.biases)):
        if what == "bias" and not architecture.with_biases:
            if len(given):
                raise Malformed(f"{len(given)} bias gradients came, expected none: biases=False")
        elif len(given) != architecture.layers - 1:
            raise Malformed(
                f"{len(given)} {what} gradients came, expected {architecture.layers - 1}, "
                f"one for each of the layers 2 … {architecture.layers}"
            )
    dtype = case.format.numpy
    expected = zip(
        architecture.tensor_names, architecture.tensor_shapes, gradients.tensors(), strict=True
    )
    for name, shape, got in expected:
        if not isinstance(got, np.ndarray):
            raise Malformed(f"{name} is a {type(got).__name__}, expected an array {shape}")
        if got.shape != shape:
            raise Malformed(
                f"{name} has shape {got.shape}, expected {shape}{_hint(case, shape, got.shape)}"
            )
        if got.dtype != dtype:
            raise Malformed(f"{name} has dtype {got.dtype}, expected {case.dtype}, as the weights")


def _hint(case: Case, expected: tuple[int, ...], got: tuple[int, ...]) -> str:
    """What a wrong shape looks like, if it looks like anything."""
    if len(expected) == 2:
        return ": it looks transposed" if got == expected[::-1] else ""
    if got == (case.samples, *expected):
        return ": it looks like δ that was not summed over the samples"
    if got in ((1, *expected), (*expected, 1)):
        return ": it looks like keepdims=True; the biases are vectors"
    if got == ():
        return ": it looks summed over the neurons too; sum over axis 0 alone"
    return ""
