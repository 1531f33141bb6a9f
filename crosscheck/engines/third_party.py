"""Engines of other packages: entry points of the group `crosscheck.engines`.

An installed package says in its pyproject.toml::

    [project.entry-points."crosscheck.engines"]
    my-engine = "my_package.engine:make"

and `make()` returns an Engine. It is then in `crosscheck engines` and in `--engines`.
"""

from importlib.metadata import EntryPoint, entry_points

from crosscheck.engines.interface import Engine, Unsupported
from crosscheck.engines.user.contained import Contained

GROUP = "crosscheck.engines"


def found() -> dict[str, EntryPoint]:
    """The entry points by name; where two packages claim one name, the first in the alphabet."""
    points = sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value))
    return {point.name: point for point in reversed(points)}


def load(name: str) -> Engine | None:
    """The engine of this name, or None where no package has it.

    Raises Unsupported where the package cannot be imported or hands out no Engine.
    """
    point = found().get(name)
    if point is None:
        return None
    try:
        engine = point.load()()
    except Exception as error:
        raise Unsupported(f"{name} ({point.value}) {type(error).__name__}: {error}") from None
    if not isinstance(engine, Engine):
        raise Unsupported(f"{name} ({point.value}) made a {type(engine).__name__}, not an Engine")
    return Contained(engine)
