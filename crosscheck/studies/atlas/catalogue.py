"""All definitions: the tables of this package, and those of other packages.

An installed package says in its pyproject.toml::

    [project.entry-points."crosscheck.definitions"]
    my-functions = "my_package.definitions:DEFINITIONS"

and DEFINITIONS is a sequence of `crosscheck.studies.atlas.definition.Definition`.
"""

import difflib
import pkgutil
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from types import MappingProxyType

from crosscheck.results.disk import files
from crosscheck.studies.atlas import definitions
from crosscheck.studies.atlas.definition import BrokenDefinition, Definition, PublicCall

GROUP = "crosscheck.definitions"


@cache
def all_definitions() -> Mapping[str, Definition]:
    """By name. Raises BrokenDefinition where a name stands twice or a package's table is none."""
    known: dict[str, Definition] = {}
    for definition in (*_ours(), *_theirs()):
        if definition.name in known:
            raise BrokenDefinition(f"two definitions are called {definition.name!r}")
        known[definition.name] = definition
    return MappingProxyType(known)


@cache
def source(name: str) -> str:
    """A digest of the table that has the definition; of another package's, its repr."""
    for module in pkgutil.iter_modules(definitions.__path__):
        table = import_module(f"{definitions.__name__}.{module.name}")
        if any(definition.name == name for definition in table.DEFINITIONS):
            return files.digest(Path(str(table.__file__)))
    return repr(all_definitions()[name])


def _ours() -> Iterable[Definition]:
    for module in sorted(pkgutil.iter_modules(definitions.__path__), key=lambda m: m.name):
        yield from import_module(f"{definitions.__name__}.{module.name}").DEFINITIONS


def _theirs() -> Iterable[Definition]:
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        try:
            table = tuple(point.load())
        except Exception as error:
            raise BrokenDefinition(
                f"{point.name} ({point.value}) {type(error).__name__}: {error}"
            ) from None
        for definition in table:
            if not isinstance(definition, Definition):
                kind = type(definition).__name__
                raise BrokenDefinition(
                    f"{point.name} ({point.value}) has a {kind}, not a Definition"
                )
            yield definition


def named(name: str) -> Definition:
    """The definition of this name, or of which a public function has this name.

    Raises ValueError for a name that is not known, with the nearest.
    """
    if name in all_definitions():
        return all_definitions()[name]
    return all_definitions()[next(iter(chosen(name)))]


def chosen(name: str | None = None, framework: str | None = None) -> dict[str, list[PublicCall]]:
    """Calls by definition; `name` is a definition's, or a public name, whole or its last part.

    Raises ValueError for a name that is not known, with the nearest.
    """
    calls = {
        definition.name: [
            call
            for call in definition.calls
            if (framework is None or call.framework == framework) and _is_called(call, name)
        ]
        for definition in all_definitions().values()
    }
    selected = {key: found for key, found in calls.items() if found}
    if selected or name is None:
        return selected
    if name in calls:
        raise ValueError(f"{name} is not a function of {framework}")
    raise ValueError(_unknown(name))


def _is_called(call: PublicCall, name: str | None) -> bool:
    if name is None or name in (call.function, call.definition):
        return True
    parts = call.function.split(".")
    return any(name == ".".join(parts[-k:]) for k in (1, 2))


def _unknown(name: str) -> str:
    """The sentence on a name that is not known."""
    known = sorted(
        {d.name for d in all_definitions().values()}
        | {call.function for d in all_definitions().values() for call in d.calls}
    )
    ends = {call.rsplit(".", 1)[-1]: call for call in known}
    close = difflib.get_close_matches(name, [*known, *ends], n=3, cutoff=0.5)
    nearest = ", ".join(dict.fromkeys(ends.get(each, each) for each in close))
    hint = f"; the nearest are {nearest}" if nearest else ""
    return f"the atlas has no function {name!r}{hint}"
