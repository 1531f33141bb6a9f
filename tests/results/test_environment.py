"""What a run records of the code that made it: nothing that computes is left out."""

import ast
import shutil
from pathlib import Path

import pytest

import crosscheck
from crosscheck.results import environment

PACKAGE = Path(crosscheck.__file__).parent

CARRYING = {"results/rows.py", "results/journal.py", "results/disk/files.py", "results/extras.py"}
"""What a worker imports and no number depends on: columns, bytes of parts, what is installed."""


def names_in(source):
    """Our modules that a source imports, at its head or within functions, or names as text."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def file_of(name):
    """The file of the module of this name, relative to the package; None for what is none."""
    head, _, rest = name.partition(".")
    if head != "crosscheck" or not all(part.isidentifier() for part in rest.split(".")):
        return None
    path = Path(*rest.split("."))
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if (PACKAGE / file).is_file():
            return file
    return None


def reached_from(name):
    """The files of our modules that a process may load which begins with this module."""
    seen, queue = set(), [file_of(name)]
    while queue:
        file = queue.pop()
        if file is not None and file not in seen:
            seen.add(file)
            queue += map(file_of, names_in((PACKAGE / file).read_text()))
    return seen


COMPUTING = sorted(
    path
    for path in reached_from("crosscheck.runs.processes.worker")
    if path.as_posix() not in CARRYING and path.name != "__init__.py"
)
"""What a process may load that makes the rows of a run: engines, bounds, references, verdicts."""


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of the package that may be changed, and a function that gives its digest."""
    package = tmp_path_factory.mktemp("copy") / "crosscheck"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    return package, lambda: environment.code(package)


def test_what_computes_is_found():
    found = {path.stem for path in COMPUTING}
    assert {"worker", "evaluate", "jax_padded", "paper", "equations", "oracle"} <= found
    assert not found & {"commands", "page", "command"}


def test_a_change_of_any_file_that_computes_changes_the_code(copy):
    package, code = copy
    seen = {code()}
    for path in COMPUTING:
        with (package / path).open("a") as file:
            file.write("# changed\n")
        assert code() not in seen, path
        seen.add(code())


def test_a_file_that_computes_may_move_but_not_unnoticed(copy):
    package, code = copy
    before = code()
    (package / "room").mkdir()
    (package / "exact" / "oracle.py").rename(package / "room" / "balls.py")
    moved = code()
    (package / "room" / "balls.py").write_text("")
    assert len({before, moved, code()}) == 3


def test_a_change_of_what_only_shows_does_not(copy):
    package, code = copy
    before = code()
    showing = [*package.glob("reports/*"), *package.glob("audit/*.py"), package / "cli.py"]
    for path in [*showing, *package.glob("baseline/*.py"), package / "running.py"]:
        if path.is_file():
            with path.open("a") as file:
                file.write("# changed\n")
    assert code() == before


def test_every_name_of_what_shows_is_there():
    """A name of nothing would be a file that has moved, and counts as computing since."""
    for name in environment.SHOWING:
        assert (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").is_file(), name
