"""Names that cases may carry: activations, readings and costs."""

from collections.abc import Sequence

ACTIVATIONS = ("sigmoid", "identity", "tanh", "relu")
"""Activation functions a layer may have; the paper knows the first two."""

READINGS = ("identity", "sigmoid")
"""The paper's two readings, named by the activation of the output layer."""

COSTS = ("squared_error", "half_squared_error", "sum_squared_error", "mean_squared_error")
"""C1 of the paper, and the other conventions of the same cost, which are factors on it."""

ARRAYS = ("numpy", "torch", "jax")
"""Whose arrays a user's function may be handed."""


def require_known(role: str, name: str, known: Sequence[str]) -> None:
    """Raises ValueError, with the known ones, for a name that is not among them."""
    if not isinstance(name, str) or name not in known:
        raise ValueError(f"unknown {role} {name!r}: it is one of {', '.join(known)}")
