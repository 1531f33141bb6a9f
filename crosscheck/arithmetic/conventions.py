"""Names beside those of activations and costs: the paper's readings, and kinds of arrays."""

from collections.abc import Sequence

READINGS = ("identity", "sigmoid")
"""The paper's two readings, named by the activation of the output layer."""

ARRAYS = ("numpy", "torch", "jax")
"""Whose arrays a user's function may be handed."""


def require_known(role: str, name: str, known: Sequence[str]) -> None:
    """Raises ValueError, with the known ones, for a name that is not among them."""
    if not isinstance(name, str) or name not in known:
        raise ValueError(f"unknown {role} {name!r}: it is one of {', '.join(known)}")
