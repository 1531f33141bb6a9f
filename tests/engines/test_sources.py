"""What a run of a user's function depends on: its file, and what it imports from beside it."""

import shutil

import pytest

from crosscheck.engines.user import sources
from crosscheck.runs.plan import Plan
from crosscheck.runs.spread import sweep

PROJECT = {
    "mine.py": "import numpy\nfrom lib import layers\nimport slope as s\n\n\ndef f():\n"
    "    from late import one\n    import os, missing\n",
    "lib/__init__.py": "from . import deep\n",
    "lib/layers.py": "from .deep import inner\nfrom ..outside import x\n",
    "lib/deep/__init__.py": "",
    "lib/deep/inner.py": "import slope\n",
    "slope.py": "def broken(:\n",
    "late.py": "import mine\n",
    "other.py": "unused = 1\n",
    "lib/unused.py": "",
}
USED = {"mine.py", "lib/__init__.py", "lib/layers.py", "lib/deep/__init__.py",
        "lib/deep/inner.py", "slope.py", "late.py"}  # fmt: skip


@pytest.fixture
def project(tmp_path):
    """A folder with PROJECT in it."""
    folder = tmp_path / "project"
    for name, text in PROJECT.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_every_module_imported_from_beside_counts_and_no_other(project):
    place = sources.locate(f"{project}/mine.py:f")
    reached = {path.relative_to(project).as_posix() for path in sources.files(place)}
    assert reached == USED


@pytest.mark.parametrize("name", PROJECT)
def test_the_digest_changes_with_what_counts_only(project, name):
    before = sources.digest(f"{project}/mine.py:f")
    with (project / name).open("a") as file:
        file.write("\nchanged = 1\n")
    assert (sources.digest(f"{project}/mine.py:f") != before) == (name in USED)


def test_a_copy_elsewhere_has_the_same_digest(project, tmp_path):
    shutil.copytree(project, tmp_path / "copy")
    here, there = (sources.digest(f"{tmp_path / name}/mine.py:f") for name in ("project", "copy"))
    assert here == there is not None


def test_a_module_on_the_path_is_found_without_being_imported(project, monkeypatch):
    import sys

    monkeypatch.syspath_prepend(str(project))
    place = sources.locate("lib.layers:f")
    assert place.file == project / "lib" / "layers.py"
    assert project / "slope.py" in sources.files(place)
    assert "lib" not in sys.modules


def test_of_an_installed_package_only_its_own_modules_count():
    place = sources.locate("click.core:main")
    reached = sources.files(place)
    assert place.file.name == "core.py"
    assert {path.parent.name for path in reached} == {"click"}


@pytest.mark.parametrize("text", ["sys:exit", "nowhere.at.all:f", "absent.py:f", ":", "f"])
def test_what_is_in_no_file_has_no_digest(text):
    assert sources.digest(text) is None


def test_a_run_is_bound_to_what_its_function_imports(project):
    """A neighbour changed between a run and its resumption makes it another run."""
    plan = Plan(engines=(f"{project}/mine.py:f",), cases=4)
    before = sweep.identity(plan, plan.whole)
    (project / "lib" / "layers.py").write_text("x = 2\n")
    assert sweep.identity(plan, plan.whole)["own_code"] != before["own_code"]
