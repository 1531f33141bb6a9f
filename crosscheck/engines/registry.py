"""Engines by name: one line a mode. A module is imported when its engine is first used.

Other packages add theirs as entry points of the group `crosscheck.engines`. An installed package
says in its pyproject.toml::

    [project.entry-points."crosscheck.engines"]
    my-engine = "my_package.engine:make"

and `make()` returns an Engine. It is then in `crosscheck engines` and in `--engines`.
"""

import difflib
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import NamedTuple

from crosscheck.arithmetic.formats import FORMATS
from crosscheck.engines.interface import Engine, Unsupported
from crosscheck.engines.user.contained import Contained
from crosscheck.networks.network import Architecture
from crosscheck.results.extras import EXTRAS, sentence

NAMES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "paper": ("crosscheck.engines.paper", "literal"),
        "paper-contracted": ("crosscheck.engines.paper", "contracted"),
        "paper-stable": ("crosscheck.engines.paper", "stable"),
        "paper-printed": ("crosscheck.engines.paper", "printed"),
        "torch.backward": ("crosscheck.engines.torch", "backward"),
        "torch.forward": ("crosscheck.engines.torch", "forward"),
        "jax.packed": ("crosscheck.engines.jax_padded", "packed"),
        "jax.grad": ("crosscheck.engines.jax", "grad"),
    }
)
"""Name to (module, function that makes the engine)."""

DEFAULT = ("paper", "paper-contracted", "torch.backward", "jax.packed", "jax.grad")
"""The engines of a run that names none. `paper-printed` is wrong by design, and not here."""

GROUP = "crosscheck.engines"
"""The entry points of other packages' engines."""

SAMPLED: tuple[tuple[str, int], ...] = (("jax.grad", 20),)
"""Engines that take only the indices divisible by a number, in a run that names none."""


def nearest(name: str, known: list[str], what: str) -> str:
    """A sentence that says `name` is no known `what`, lists the known, suggests the nearest."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"; did you mean {close[0]}?" if close else ""
    return f"unknown {what} {name!r}: known are {', '.join(known)}{hint}"


def is_known(name: str) -> bool:
    """Whether an engine is called so, ours or a package's; imports nothing."""
    return name in NAMES or name in third_party()


def require_known(name: str) -> None:
    """Raises ValueError for an unknown name, without importing anything."""
    if not is_known(name):
        raise ValueError(nearest(name, [*NAMES, *third_party()], "engine"))


def load(name: str) -> Engine:
    """The engine of this name: ours, or an installed package's.

    Raises ValueError for an unknown name, Unsupported where its library is not installed.
    """
    if name not in NAMES:
        theirs = _load_third_party(name)
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


def third_party() -> dict[str, EntryPoint]:
    """Other packages' engines by name; where two claim one, the first in the alphabet has it."""
    points = sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value))
    return {point.name: point for point in reversed(points)}


def _load_third_party(name: str) -> Engine | None:
    """The engine of this name, or None where no package has it.

    Raises Unsupported where the package cannot be imported or hands out no Engine.
    """
    point = third_party().get(name)
    if point is None:
        return None
    try:
        engine = point.load()()
    except Exception as error:
        raise Unsupported(f"{name} ({point.value}) {type(error).__name__}: {error}") from None
    if not isinstance(engine, Engine):
        raise Unsupported(f"{name} ({point.value}) made a {type(engine).__name__}, not an Engine")
    return Contained(engine)


class Listed(NamedTuple):
    """An engine: `origin` is this project or a package, `dtypes` what it takes, `why` if none."""

    name: str
    origin: str
    default: bool
    dtypes: tuple[str, ...]
    why: str


def listing() -> list[Listed]:
    """All engines, ours first; each is imported to find out."""
    listed = [_listed(name, "crosscheck") for name in NAMES]
    for name, point in third_party().items():
        if name not in NAMES:
            package = f"{point.dist.name} {point.dist.version}" if point.dist else point.value
            listed.append(_listed(name, package))
    return listed


def _listed(name: str, origin: str) -> Listed:
    default = name in DEFAULT
    try:
        engine = load(name)
    except Unsupported as why:
        return Listed(name, origin, default, (), str(why))
    either = (Architecture((1, 1, 1), output=output) for output in ("identity", "sigmoid"))
    kinds = list(either)
    dtypes = tuple(d for d in FORMATS if any(engine.supports(kind, d) for kind in kinds))
    return Listed(name, origin, default, dtypes, "")


def listing_text() -> str:
    """What `crosscheck engines` shows: a line an engine, whence it is and whether it can run."""
    lines = []
    for engine in listing():
        mark = "*" if engine.default else " "
        said = ", ".join(engine.dtypes) or engine.why
        lines.append(f"{mark} {engine.name:18} {engine.origin:14} {said}")
    lines.append("* runs by default. Other packages add theirs as entry points crosscheck.engines.")
    return "\n".join(lines)
