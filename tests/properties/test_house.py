"""The house: rooms small enough to look over, names that are nobody else's, short functions."""

import ast
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

MOST_ENTRIES, MOST_FILES, LONGEST, MEDIAN, NINE_IN_TEN = 20, 9, 40, 7, 17

SIBLINGS = {
    "crosscheck/faults/catalogue",
    "crosscheck/studies/atlas/definitions",
    "crosscheck/studies/atlas/mathematics",
}
"""Rooms of siblings, of which there may be any number: one opens one of them, never all."""

CROWDED_TODAY = {"crosscheck", "crosscheck/arithmetic"}
"""Rooms that are to be cleared; the list may only become shorter."""

TABLES = "crosscheck/studies/atlas/definitions/"
"""Functions there are tables, an entry a line or two."""

LONG_TODAY = {
    "crosscheck/checking/check.py:check",
    "crosscheck/arithmetic/primitives/transcendental.py:_smooth",
    "crosscheck/checking/gradcheck.py:gradcheck",
    "crosscheck/cli/commands.py:run",
    "crosscheck/programs/frontends/jax/reading.py:custom_rule",
    "crosscheck/verdicts/measures.py:_columns",
}
"""Functions that are longer and are to be cut; the list may only become shorter."""

Modules = dict[str, ast.Module]


def modules(root: Path, folder: str) -> Modules:
    """Each Python file of a folder, by its path from the root."""
    paths = sorted((root / folder).rglob("*.py"))
    return {str(path.relative_to(root)): ast.parse(path.read_text("utf-8")) for path in paths}


def crowded(package: Modules) -> list[str]:
    """Rooms with more files than one takes in at a glance, and the package, if it has."""
    rooms = Counter(str(Path(path).parent) for path in package if not path.endswith("__init__.py"))
    entries = {path.split("/")[1] for path in package} - {"__init__.py"}
    many = {room for room, files in rooms.items() if files > MOST_FILES} - SIBLINGS
    # __init__.py and py.typed stand beside the rooms.
    return sorted(many | ({"crosscheck"} if len(entries) + 2 > MOST_ENTRIES else set()))


def shared_names(package: Modules) -> list[str]:
    """Classes at the top of two modules, by name."""
    places = defaultdict(list)
    for path, tree in package.items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                places[node.name].append(path)
    return [f"{name}: {', '.join(paths)}" for name, paths in places.items() if len(paths) > 1]


def lengths(package: Modules) -> dict[str, int]:
    """The lines of each function, by path and name."""
    return {
        f"{path}:{node.name}": node.end_lineno - node.lineno + 1
        for path, tree in package.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
    }


def private_names(tests: Modules) -> list[str]:
    """Where a test takes a name that the module keeps to itself."""
    return [f"{path}: {name}" for path, tree in tests.items() for name in _private(tree)]


def _private(tree: ast.Module) -> Iterator[str]:
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("crosscheck"):
            imported |= {name.asname or name.name for name in node.names}
            yield from (name.name for name in node.names if _is_private(name.name))
        elif isinstance(node, ast.Import):
            imported |= {name.asname or name.name.split(".")[0] for name in node.names
                         if name.name.startswith("crosscheck")}  # fmt: skip
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and _is_private(node.attr) and _root(node) in imported:
            yield ast.unparse(node)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("setattr"):
            yield from (
                f"{node.args[0].id}.{name.value}"
                for name in node.args[1:2]
                if isinstance(node.args[0], ast.Name) and node.args[0].id in imported
                if isinstance(name, ast.Constant) and _is_private(str(name.value))
            )


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def _root(node: ast.AST) -> str:
    """The name that a chain of attributes begins with."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


@pytest.fixture(scope="module")
def package():
    return modules(ROOT, "crosscheck")


def test_a_room_is_seen_at_a_glance(package):
    assert set(crowded(package)) <= CROWDED_TODAY


def test_a_class_shares_its_name_with_none(package):
    assert shared_names(package) == []


def test_functions_are_short(package):
    lines = lengths(package)
    long = {name for name, count in lines.items() if count > LONGEST}
    assert {name for name in long if not name.startswith(TABLES)} <= LONG_TODAY
    assert statistics.median(lines.values()) <= MEDIAN
    assert statistics.quantiles(lines.values(), n=10)[-1] <= NINE_IN_TEN


def test_tests_take_public_names():
    assert private_names(modules(ROOT, "tests")) == []


# --- and each can say no -------------------------------------------------------------------------


def write(root: Path, path: str, text: str = "") -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text, "utf-8")


def test_a_crowded_room_is_named(tmp_path):
    for number in range(MOST_FILES + 1):
        write(tmp_path, f"crosscheck/attic/box{number}.py")
        write(tmp_path, f"crosscheck/faults/catalogue/family{number}.py")
    assert crowded(modules(tmp_path, "crosscheck")) == ["crosscheck/attic"]


def test_a_package_of_too_many_rooms_is_named(tmp_path):
    for number in range(MOST_ENTRIES - 2):
        write(tmp_path, f"crosscheck/room{number}/__init__.py")
    assert crowded(modules(tmp_path, "crosscheck")) == []
    write(tmp_path, "crosscheck/another/__init__.py")
    assert crowded(modules(tmp_path, "crosscheck")) == ["crosscheck"]


def test_two_classes_of_one_name_are_named(tmp_path):
    write(tmp_path, "crosscheck/one.py", "class Plan: ...\nclass Span: ...\n")
    write(tmp_path, "crosscheck/two.py", "class Plan: ...\nclass Case:\n    class Span: ...\n")
    named = shared_names(modules(tmp_path, "crosscheck"))
    assert named == ["Plan: crosscheck/one.py, crosscheck/two.py"]


def test_the_lines_of_a_function_are_counted_with_its_head(tmp_path):
    write(
        tmp_path, "crosscheck/one.py", "class A:\n    def f(\n        self,\n    ):\n        ...\n"
    )
    assert lengths(modules(tmp_path, "crosscheck")) == {"crosscheck/one.py:f": 4}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("from crosscheck.exact.slices import _sigmoid", ["_sigmoid"]),
        ("from crosscheck.exact import slices\nslices._sigmoid(1)", ["slices._sigmoid"]),
        ("import crosscheck\ncrosscheck._HOMES", ["crosscheck._HOMES"]),
        ("import crosscheck.exact as e\ne.slices._f()", ["e.slices._f"]),
        ("from crosscheck import exact\npatch.setattr(exact, '_f', 1)", ["exact._f"]),
        ("from crosscheck.exact import slices\nslices.sigmoid(1), slices.__name__", []),
        ("import os\nos._exit(0)", []),
    ],
)
def test_a_private_name_in_a_test_is_named(tmp_path, text, named):
    write(tmp_path, "tests/test_one.py", text)
    assert private_names(modules(tmp_path, "tests")) == [f"tests/test_one.py: {n}" for n in named]
