"""What `crosscheck engines` shows: every engine by name, where it is from, whether it can run."""

from typing import NamedTuple

from crosscheck.engines import registry, third_party
from crosscheck.engines.interface import Unsupported


class Listed(NamedTuple):
    """An engine: `origin` is this project or a package, `dtypes` what it takes, `why` if none."""

    name: str
    origin: str
    default: bool
    dtypes: tuple[str, ...]
    why: str


def listing() -> list[Listed]:
    """All engines, ours first; each is imported to find out."""
    found = [_listed(name, "crosscheck") for name in registry.NAMES]
    for name, point in third_party.found().items():
        if name not in registry.NAMES:
            package = f"{point.dist.name} {point.dist.version}" if point.dist else point.value
            found.append(_listed(name, package))
    return found


def _listed(name: str, origin: str) -> Listed:
    from crosscheck.arithmetic.formats import FORMATS
    from crosscheck.networks.network import Architecture

    default = name in registry.DEFAULT
    try:
        engine = registry.load(name)
    except Unsupported as why:
        return Listed(name, origin, default, (), str(why))
    either = (Architecture((1, 1, 1), output=output) for output in ("identity", "sigmoid"))
    kinds = list(either)
    dtypes = tuple(d for d in FORMATS if any(engine.supports(kind, d) for kind in kinds))
    return Listed(name, origin, default, dtypes, "")


def as_text() -> str:
    """The list, a line an engine."""
    lines = []
    for engine in listing():
        mark = "*" if engine.default else " "
        said = ", ".join(engine.dtypes) or engine.why
        lines.append(f"{mark} {engine.name:18} {engine.origin:14} {said}")
    lines.append("* runs by default. Other packages add theirs as entry points crosscheck.engines.")
    return "\n".join(lines)
