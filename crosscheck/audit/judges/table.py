"""The rivals that take the left sides by themselves, and what they are bound to."""

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Protocol

from crosscheck.audit.judges import bounds
from crosscheck.audit.trial import RivalSides
from crosscheck.networks.network import Array, Case
from crosscheck.results.extras import EXTRAS


class Jacobian(Protocol):
    """Left sides by one library and one mode; `flushes` where subnormals are read as 0."""

    @property
    def name(self) -> str: ...
    @property
    def flushes(self) -> bool: ...

    def left_sides(self, case: Case) -> Mapping[str, Array]:
        """By the keys of `exact.left_sides`, in the case's dtype."""
        ...


RIVALS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "torch.jacrev": ("crosscheck.audit.judges.torch", "reverse"),
        "torch.jacfwd": ("crosscheck.audit.judges.torch", "forward"),
        "jax.jacrev": ("crosscheck.audit.judges.jax", "reverse"),
        "jax.jacfwd": ("crosscheck.audit.judges.jax", "forward"),
    }
)
"""Name to (module, function that makes the rival)."""


def load() -> tuple[list[Jacobian], dict[str, str]]:
    """The rivals whose libraries are here, and for the others a sentence on how to get them."""
    found: list[Jacobian] = []
    absent = {}
    for name, (module, maker) in RIVALS.items():
        try:
            found.append(getattr(import_module(module), maker)())
        except ModuleNotFoundError as error:
            extra = EXTRAS.get((error.name or "").split(".")[0])
            if extra is None:
                raise
            absent[name] = f"not installed: pip install 'gradcrosscheck[{extra}]'"
    return found, absent


def sides(rival: Jacobian, case: Case) -> RivalSides:
    """A rival's left sides of one case with their bounds."""
    return RivalSides(rival.name, rival.left_sides(case), bounds.bounds(case, rival.flushes))
