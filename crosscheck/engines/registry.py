"""Engines by name: one line a mode. A module is imported when its engine is first used."""

import difflib
from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType

from crosscheck.engines import third_party
from crosscheck.engines.interface import Engine, Unsupported
from crosscheck.results.extras import EXTRAS, sentence

NAMES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "paper": ("crosscheck.engines.paper", "literal"),
        "paper-contracted": ("crosscheck.engines.paper", "contracted"),
        "paper-stable": ("crosscheck.engines.paper", "stable"),
        "paper-printed": ("crosscheck.engines.paper", "printed"),
        "torch.backward": ("crosscheck.engines.torch", "backward"),
        "torch.forward": ("crosscheck.engines.torch_forward", "forward"),
        "jax.packed": ("crosscheck.engines.jax_padded", "packed"),
        "jax.grad": ("crosscheck.engines.jax", "grad"),
    }
)
"""Name to (module, function that makes the engine)."""

DEFAULT = ("paper", "paper-contracted", "torch.backward", "jax.packed", "jax.grad")
"""The engines of a run that names none. `paper-printed` is wrong by design, and not here."""

SAMPLED: tuple[tuple[str, int], ...] = (("jax.grad", 20),)
"""Engines that take only the indices divisible by a number, in a run that names none."""


def nearest(name: str, known: list[str], what: str) -> str:
    """A sentence that says `name` is no known `what`, lists the known, suggests the nearest."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"; did you mean {close[0]}?" if close else ""
    return f"unknown {what} {name!r}: known are {', '.join(known)}{hint}"


def is_known(name: str) -> bool:
    """Whether an engine is called so, ours or a package's; imports nothing."""
    return name in NAMES or name in third_party.found()


def require_known(name: str) -> None:
    """Raises ValueError for an unknown name, without importing anything."""
    if not is_known(name):
        raise ValueError(nearest(name, [*NAMES, *third_party.found()], "engine"))


def load(name: str) -> Engine:
    """The engine of this name: ours, or an installed package's.

    Raises ValueError for an unknown name, Unsupported where its library is not installed.
    """
    if name not in NAMES:
        theirs = third_party.load(name)
        if theirs is not None:
            return theirs
    require_known(name)
    module, maker = NAMES[name]
    try:
        engine: Engine = getattr(import_module(module), maker)()
    except ModuleNotFoundError as error:
        library = (error.name or "").split(".")[0]
        if library not in EXTRAS:
            raise
        raise Unsupported(sentence(name, library)) from None
    return engine
