"""Containers of arrays: their leaves, the leaves' paths, and the same container of other leaves.

Dicts, lists, tuples, named tuples and dataclasses are containers; all else is a leaf. Paths read
as the Python that reaches the leaf: `params['w1']`, `layers[0].bias`.
"""

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple


class Step(NamedTuple):
    """One step into a container: a `key` of a dict or place of a sequence, or an attribute."""

    key: Any
    attribute: bool = False

    def __str__(self) -> str:
        return f".{self.key}" if self.attribute else f"[{self.key!r}]"


Steps = tuple[Step, ...]


class Tree(NamedTuple):
    """The leaves of a container in order, with their steps, and how to build its like."""

    leaves: list[Any]
    steps: list[Steps]
    rebuild: Callable[[Sequence[Any]], Any]


def is_container(value: Any) -> bool:
    """Whether this is a dict, list, tuple, named tuple or dataclass."""
    return isinstance(value, (dict, list, tuple)) or (
        dataclasses.is_dataclass(value) and not isinstance(value, type)
    )


def children(container: Any) -> list[tuple[Step, Any]]:
    """What is directly in a container, in its own order."""
    if isinstance(container, dict):
        return [(Step(key), child) for key, child in container.items()]
    if dataclasses.is_dataclass(container):
        names = [field.name for field in dataclasses.fields(container)]
        return [(Step(name, True), getattr(container, name)) for name in names]
    if hasattr(container, "_fields"):
        return [(Step(name, True), getattr(container, name)) for name in container._fields]
    return [(Step(place), child) for place, child in enumerate(container)]


def like(container: Any, parts: Sequence[Any]) -> Any:
    """A container of the same type with these children."""
    if isinstance(container, dict):
        copied = container.copy()  # keeps what a subclass knows, such as a default
        copied.update(zip(container, parts, strict=True))
        return copied
    if dataclasses.is_dataclass(container) and not isinstance(container, type):
        names = [field.name for field in dataclasses.fields(container)]
        return _replaced(container, dict(zip(names, parts, strict=True)))
    if hasattr(container, "_fields"):
        return type(container)(*parts)
    return type(container)(parts)


def _replaced(record: Any, values: Mapping[str, Any]) -> Any:
    """A dataclass with these fields, whatever its constructor takes."""
    copied = object.__new__(type(record))
    for name, value in {**getattr(record, "__dict__", {}), **values}.items():
        object.__setattr__(copied, name, value)
    return copied


def tree(value: Any) -> Tree:
    """A container's leaves; of what is no container, itself."""
    if not is_container(value):
        return Tree([value], [()], lambda leaves: leaves[0])
    inner = [(step, tree(child)) for step, child in children(value)]
    leaves = [leaf for _, part in inner for leaf in part.leaves]
    steps = [(step, *rest) for step, part in inner for rest in part.steps]

    def rebuild(new: Sequence[Any]) -> Any:
        parts, start = [], 0
        for _, part in inner:
            parts.append(part.rebuild(new[start : start + len(part.leaves)]))
            start += len(part.leaves)
        return like(value, parts)

    return Tree(leaves, steps, rebuild)


def path(root: str, steps: Sequence[Any]) -> str:
    """`root` and the steps as Python, whether they are ours or keys of a JAX or torch pytree."""
    return root + "".join(str(_step(step)) for step in steps)


def _step(entry: Any) -> Step:
    """A key path's entry of jax.tree_util or torch.utils._pytree as a step."""
    if isinstance(entry, Step):
        return entry
    if hasattr(entry, "name"):
        return Step(entry.name, True)
    if hasattr(entry, "idx"):
        return Step(entry.idx)
    return Step(entry.key)


def roots(
    function: Callable[..., Any], args: Sequence[Any], is_leaf: Callable[[Any], bool]
) -> list[str]:
    """What the paths in each positional argument start with.

    `args[0]` for an argument that is itself a leaf, the parameter's name for a container.
    """
    names = _parameters(function, len(args))
    return [
        f"args[{place}]" if is_leaf(value) or name is None else name
        for place, (value, name) in enumerate(zip(args, names, strict=True))
    ]


def _parameters(function: Callable[..., Any], count: int) -> list[str | None]:
    """The names of the first positional parameters; None where one has none of its own."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return [None] * count
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names: list[str | None] = [p.name for p in parameters if p.kind in kinds]
    return [*names[:count], *[None] * (count - len(names))]


def chosen(
    paths: Sequence[str], wrt: Any, starts: Mapping[str | int, str] | None = None
) -> tuple[int, ...]:
    """The places of the leaves that `wrt` names: all if it is None.

    `wrt` is one or several of: a leaf's path, what paths start with (`params`), the number or
    name of an argument; `starts` says what the paths in such an argument start with (`aliases`).
    Raises ValueError for what is none of these.
    """
    if wrt is None:
        return tuple(range(len(paths)))
    places: set[int] = set()
    for name in [wrt] if isinstance(wrt, (str, int)) else wrt:
        start = (starts or {}).get(name, str(name))
        hits = [place for place, one in enumerate(paths) if _within(one, start)]
        if not hits:
            named = ", ".join(paths) or "none"
            raise ValueError(f"wrt names {name!r}; the floating leaves are {named}")
        places.update(hits)
    return tuple(sorted(places))


def _within(one: str, start: str) -> bool:
    return one == start or (one.startswith(start) and one[len(start)] in "[.")


def aliases(function: Callable[..., Any], starts: Sequence[str]) -> dict[str | int, str]:
    """Numbers and names of positional arguments, and what the paths in them start with."""
    named: dict[str | int, str] = dict(enumerate(starts))
    for name, start in zip(_parameters(function, len(starts)), starts, strict=True):
        if name is not None:
            named[name] = start
    return named
