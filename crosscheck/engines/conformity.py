"""Whether what an engine returned has the form of a gradient of the case."""

import numpy as np

from crosscheck.networks.network import Case, Gradients


class Malformed(Exception):
    """What came is no gradient of the case; the message says what came and what would be right."""


def require(case: Case, gradients: Gradients) -> None:
    """Raise Malformed unless there is one array per tensor, with its shape and dtype."""
    if not _is_right(case, gradients):
        _explain(case, gradients)


def _is_right(case: Case, gradients: Gradients) -> bool:
    shapes, dtype = case.architecture.tensor_shapes, case.format.numpy
    if not len(gradients.weights) == len(gradients.biases) == len(shapes) // 2:
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
        if len(given) != architecture.layers - 1:
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
