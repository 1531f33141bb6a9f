"""FILE.py:f as a module: neighbours, dataclasses, processes, and other files of the same name."""

import subprocess
import sys

import pandas as pd
import pytest

from crosscheck.cli import main
from crosscheck.engines.user import file, function as user_engine

GRADIENT = """
from __future__ import annotations

import multiprocessing
from dataclasses import dataclass, field
from typing import ClassVar

import neighbour

@dataclass
class Layer:
    name: ClassVar[str] = "layer"
    sizes: list[int] = field(default_factory=list)

def halved(x):
    return x / 2

def gradient(weights, biases, inputs, targets):
    import late  # a neighbour that is imported when the function runs
    Layer([2])
    (w,), (b,) = weights, biases
    delta = (inputs @ w + b - targets) * (neighbour.FACTOR * late.ONE / len(inputs))
    if {processes}:
        with multiprocessing.get_context("{processes}").Pool(1) as pool:
            (delta,) = pool.map(halved, [2 * delta])
    return [inputs.T @ delta], [delta.sum(0)]
"""

SMALL = ["--layers", "2-2", "--widths", "1-4", "--output", "identity", "--dtypes", "float64"]


@pytest.fixture(autouse=True)
def _as_it_was(tmp_path):
    """Neither the path nor the registered modules are another test's."""
    path = list(sys.path)
    yield
    assert sys.path == path
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def project(folder, factor=2, processes="", name="mine.py"):
    folder.mkdir(exist_ok=True)
    (folder / "neighbour.py").write_text(f"FACTOR = {factor}\n")
    (folder / "late.py").write_text("ONE = 1\n")
    text = repr(processes) if not processes else "True"
    (folder / name).write_text(
        GRADIENT.replace("if {processes}", f"if {text}").replace("{processes}", processes)
    )
    return f"{folder / name}:gradient"


def run(out, *words):
    with pytest.raises(SystemExit) as stopped:
        main(["run", *SMALL, "--cases", "3", "--jobs", "1", "--out", str(out), *words])
    return stopped.value.code


def test_neighbours_and_postponed_annotations_in_parent_and_workers(tmp_path, capsys):
    own = project(tmp_path / "here")
    assert run(tmp_path / "run", "--engine", own) == 0, capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        main(["reproduce", "s0-i1-float64", "--engine", own, *SMALL[:4]])
    assert stopped.value.code == 0


def test_the_test_to_copy_finds_the_neighbours(tmp_path, capsys):
    own = project(tmp_path / "here", factor=1)
    with pytest.raises(SystemExit) as stopped:
        main(["reproduce", "s0-i1-float64", "--engine", own, *SMALL[:4]])
    assert stopped.value.code == 1
    text = capsys.readouterr().out.partition("A test to copy:\n\n")[2]
    (tmp_path / "test_copied.py").write_text(text)
    code = f"import runpy; runpy.run_path({str(tmp_path / 'test_copied.py')!r})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("way", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_a_function_may_start_processes(way, tmp_path, capsys):
    own = project(tmp_path / "here", processes=way)
    assert run(tmp_path / "run", "--engine", own) == 0, capsys.readouterr()


def test_two_versions_of_a_project_keep_their_neighbours_apart(tmp_path):
    old, new = project(tmp_path / "old", factor=1), project(tmp_path / "new", factor=2)
    assert run(tmp_path / "run", "--engine", old, "--engine", new) == 1
    errors = pd.read_parquet(tmp_path / "run" / "errors.parquet")
    wrong = errors[errors["verdict"] == "DEFECT"]
    assert set(wrong["engine"]) == {old}


def test_each_call_sees_its_own_neighbours(tmp_path, small):
    """Also those that are first imported when the function runs."""
    engines = []
    for name, one in (("old", 1), ("new", 5)):
        own = project(tmp_path / name)
        (tmp_path / name / "late.py").write_text(f"ONE = {one}\n")
        engines.append(user_engine.from_text(own))
    case = next(
        small(i, "float64", "identity") for i in range(9) if small(i).architecture.layers < 3
    )
    first, second = (engine.gradients(case).biases[0] for engine in engines)
    again, _ = (engine.gradients(case).biases[0] for engine in engines)
    assert (first * 5 == second).all()
    assert (first == again).all()


@pytest.mark.parametrize("name", ["random", "numpy", "crosscheck", "my-net"])
def test_a_file_replaces_no_module_of_its_name(name, tmp_path):
    before = sys.modules.get(name)
    own = project(tmp_path / "here", name=f"{name}.py")
    engine = user_engine.from_text(own)
    assert sys.modules.get(name) is (before or sys.modules["my-net"])
    assert sys.modules[engine.function.__module__].gradient is engine.function


def test_what_the_file_raises_is_the_cause(tmp_path):
    (tmp_path / "broken.py").write_text("1 / 0\n")
    with pytest.raises(ValueError, match=r"cannot run .*broken\.py: ZeroDivisionError") as failure:
        user_engine.from_text(f"{tmp_path / 'broken.py'}:gradient")
    assert isinstance(failure.value.__cause__, ZeroDivisionError)
    assert "broken" not in sys.modules


def test_our_own_modules_are_nobodys_neighbours(tmp_path):
    """Though the file lies beside the package, as in a checkout."""
    import crosscheck

    folder = file.Folder(str(next(iter(crosscheck.__path__)).rpartition("/")[0]))
    folder.remember()
    assert not any(name.startswith("crosscheck") for name in folder.modules)
