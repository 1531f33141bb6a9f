"""Whether what an engine returned has the form of a gradient of the case."""

import numpy as np

from crosscheck.values import Case, Gradients


class Malformed(Exception):
    """What came is no gradient of the case; the message says what came and what would be right."""


def require(case: Case, gradients: Gradients) -> None:
    """Raise Malformed unless there is one array per tensor, with its shape and dtype."""
    architecture = case.architecture
    for what, given in (("weight", gradients.weights), ("bias", gradients.biases)):
        if len(given) != architecture.layers - 1:
            raise Malformed(
                f"{len(given)} {what} gradients came, expected {architecture.layers - 1}, "
                f"one for each of the layers 2 … {architecture.layers}"
            )
    expected = zip(
        architecture.tensor_names, architecture.tensor_shapes, gradients.tensors(), strict=True
    )
    for name, shape, got in expected:
        if not isinstance(got, np.ndarray):
            raise Malformed(f"{name} is a {type(got).__name__}, expected an array {shape}")
        if got.shape != shape:
            hint = ": it looks transposed" if got.shape == shape[::-1] else ""
            raise Malformed(f"{name} has shape {got.shape}, expected {shape}{hint}")
        if got.dtype != case.format.numpy:
            raise Malformed(f"{name} has dtype {got.dtype}, expected {case.dtype}, as the weights")
