"""The source files of a user's function: its own, and every module imported from beside it.

Imports are read in the text, without running it: those inside functions count, those made of
names at run time do not. So the answer is the same before and after the file is loaded, in each
process and on each machine.
"""

import ast
import hashlib
import importlib.util
from collections.abc import Iterator, Sequence
from importlib.machinery import all_suffixes
from pathlib import Path
from typing import NamedTuple


class Origin(NamedTuple):
    """A function's file, the folder that it imports its neighbours from, and whose they are.

    `package` is the only one that counts as beside it, where others' packages lie there too.
    """

    file: Path
    root: Path
    package: str = ""


def digest(text: str) -> str | None:
    """16 hexadecimal digits for the source files of "module:function" or "file.py:function".

    The same for a copy of these files in another folder. None where there is none to be read.
    """
    place = locate(text)
    if place is None:
        return None
    hashed = hashlib.blake2b(digest_size=8)
    for path in files(place):
        content = path.read_bytes()
        hashed.update(f"{path.relative_to(place.root).as_posix()} {len(content)}\n".encode())
        hashed.update(content)
    return hashed.hexdigest()


def locate(text: str) -> Origin | None:
    """Where the function of "module:function" or "file.py:function" is; None if in no file.

    Nothing is imported for it.
    """
    place = text.rpartition(":")[0]
    if place.endswith(".py"):
        file = Path(place).absolute()
        return Origin(file, file.parent) if file.is_file() else None
    parts = place.split(".")
    root = _root(parts[0])
    reached = list(_along(root, parts)) if root else []
    if root is None or not reached:
        return None
    installed = root.name in ("site-packages", "dist-packages", "lib-dynload")
    return Origin(reached[-1], root, parts[0] if installed else "")


def _root(name: str) -> Path | None:
    """The folder that importing this name would find it in."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        return Path.cwd()
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations))).parent
    return Path(spec.origin).parent if spec.has_location and spec.origin else None


def files(place: Origin) -> list[Path]:
    """The function's file and all that it imports from beside it, and so on; sorted."""
    reached: set[Path] = set()
    waiting = [place.file]
    while waiting:
        path = waiting.pop()
        if path not in reached:
            reached.add(path)
            waiting += _imported(path, place)
    return sorted(reached)


def _imported(path: Path, place: Origin) -> Iterator[Path]:
    """The files beside it that a file imports; none where it is no Python that can be read."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in ast.walk(tree):
        for base, parts in _names(node, path, place):
            yield from _along(base, parts)


def _names(node: ast.AST, path: Path, place: Origin) -> Iterator[tuple[Path, Sequence[str]]]:
    """(folder, dotted name) of each module that a statement may import."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            if _beside(alias.name, place):
                yield place.root, alias.name.split(".")
    elif isinstance(node, ast.ImportFrom):
        within = node.module.split(".") if node.module else []
        if node.level:
            above = path.parents[min(node.level, len(path.parents)) - 1]
            base = above if above.is_relative_to(place.root) else None
        else:
            base = place.root if _beside(node.module or "", place) else None
        for alias in node.names if base else ():
            assert base is not None
            yield base, [*within, alias.name]


def _beside(name: str, place: Origin) -> bool:
    return place.package in ("", name.partition(".")[0])


def _along(folder: Path, parts: Sequence[str]) -> Iterator[Path]:
    """The files that importing this dotted name from this folder runs, as far as there are any."""
    for part in parts:
        package, modules = folder / part, [folder / (part + end) for end in all_suffixes()]
        if package.is_dir():
            yield from (file for file in [package / "__init__.py"] if file.is_file())
            folder = package
            continue
        yield from [file for file in modules if file.is_file()][:1]
        return
