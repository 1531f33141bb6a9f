"""A user's function on a Dask cluster: its own source runs there, and nothing of it stays."""

import os
import sys
from pathlib import Path

import pandas as pd
import pytest
from support import clusters

pytest.importorskip("distributed")

from crosscheck.cli import main
from crosscheck.runs.plan import Plan
from crosscheck.runs.spread import shipping

RIGHT = """
import neighbour
def gradient(weights, biases, inputs, targets):
    {first}
    (w,), (b,) = weights, biases
    delta = (inputs @ w + b - targets) * (neighbour.FACTOR / len(inputs))
    return [inputs.T @ delta], [delta.sum(0)]
"""
SMALL = ["--cases", "2", "--layers", "2-2", "--widths", "1-3", "--output", "identity"]


def project(folder, factor=2, first="pass", name="mine"):
    folder.mkdir(exist_ok=True)
    (folder / "neighbour.py").write_text(f"FACTOR = {factor}\n")
    (folder / f"{name}.py").write_text(RIGHT.format(first=first))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """The address of a scheduler with one worker, in whose folder a right mine.py lies."""
    there = tmp_path_factory.mktemp("there")
    project(there)
    with clusters.cluster(there) as (address, _):
        yield address


@pytest.fixture
def run(cluster, tmp_path, capsys, monkeypatch):
    """run(engine) on the cluster, from a folder of its own: (status, stderr, cases)."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)

    def runs(engine):
        out = ["--out", str(tmp_path / "run"), "--dtypes", "float64", "--timeout", "20", "-q"]
        with pytest.raises(SystemExit) as stopped:
            main(["run", "--engine", engine, *SMALL, *out, "--dask", cluster])
        table = tmp_path / "run" / "cases.parquet"
        cases = pd.read_parquet(table) if table.exists() else None
        return stopped.value.code, capsys.readouterr().err, cases

    return runs


def test_a_wrong_function_fails_though_a_right_one_lies_in_the_workers_folder(run):
    project(Path(), factor=1)
    status, err, _ = run("mine.py:gradient")
    assert status == 1, err


def test_a_right_function_and_its_neighbours_pass(run):
    project(Path("deep"), name="other")
    status, err, _ = run("deep/other.py:gradient")
    assert status == 0, err


def test_another_module_of_the_same_name_is_refused(run, monkeypatch):
    project(Path(), factor=1)
    monkeypatch.syspath_prepend(os.getcwd())
    for name in ("mine", "neighbour"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    status, err, cases = run("mine:gradient")
    assert status == 2
    assert "a Dask worker has no mine:gradient, or another than here" in err
    assert "Traceback" not in err
    assert cases is None


@pytest.mark.parametrize(
    ("act", "told"),
    [
        pytest.param("raise RuntimeError('no')", "error", marks=pytest.mark.slow),
        pytest.param("import os; os._exit(0)", "crash", marks=pytest.mark.slow),
        ("import sys; sys.exit(0)", "error"),
        pytest.param(
            "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
            "crash",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_what_an_engine_does_to_its_process_costs_its_rows_and_no_next_job(act, told, run):
    project(Path(), first=act)
    status, err, cases = run("mine.py:gradient")
    assert status == 3, err
    assert list(cases["status:mine.py:gradient"]) == [told] * 2
    project(Path())
    status, err, _ = run("mine.py:gradient")
    assert status == 0, err


def test_a_parcel_holds_what_the_file_imports_and_nothing_else(tmp_path):
    project(tmp_path)
    (tmp_path / "private.py").write_text("")
    (parcel,) = shipping.pack(["paper", f"{tmp_path / 'mine.py'}:gradient"])
    assert [name for name, _ in parcel.files] == ["mine.py", "neighbour.py"]
    there = shipping.Unpacked([parcel])
    ((name, address),) = there.addresses
    assert name == parcel.name
    assert Path(address.rpartition(":")[0]).read_text() == (tmp_path / "mine.py").read_text()
    plan = Plan((name,), shipped=there.addresses)
    assert plan.address(name) == address
    assert plan == Plan((name,))
    assert "shipped" not in plan.as_json()
    there.close()
    assert not Path(address.rpartition(":")[0]).exists()
