"""What is not installed costs one sentence, and nothing is left where the user works."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import crosscheck
from crosscheck.results import extras

ROOT = Path(crosscheck.__file__).parents[1]

MINE = """
def gradient(weights, biases, inputs, targets):
    {wrong}
    (w,), (b,) = weights, biases
    delta = (inputs @ w + b - targets) * (2 / len(inputs))
    return [inputs.T @ delta], [delta.sum(0)]
"""
"""Right for networks without a hidden layer and a linear output, but for what is put in."""

SMALL = ["--cases", "3", "--layers", "2-2", "--widths", "1-3", "--output", "identity"]


@pytest.fixture
def without(tmp_path):
    """without(library, *words) runs Python without it in a folder, which is `tmp_path / here`."""
    here, blocked = tmp_path / "here", tmp_path / "blocked"
    here.mkdir()
    blocked.mkdir()

    def run(library, *words):
        if library:
            text = f"raise ModuleNotFoundError('No module named {library}', name='{library}')"
            (blocked / f"{library}.py").write_text(text)
        path = os.pathsep.join([str(blocked), str(ROOT)])
        return subprocess.run(
            [sys.executable, *words],
            cwd=here,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
        )

    return run


def command(*words):
    return ("-m", "crosscheck", *words)


@pytest.mark.parametrize(
    "words",
    [
        ["run", "--engines", "paper-contracted", *SMALL, "--format", "html"],
        ["report", "run", "--format", "md,html"],
        ["audit", "--architectures", "15"],
        ["bench", "--only", "costs", "--out", "bench.md"],
    ],
)
def test_pictures_without_matplotlib_are_one_sentence(words, without, tmp_path):
    done = without("matplotlib", *command(*words))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "needs matplotlib, which is not installed: pip install 'gradcrosscheck[report]'" in (
        done.stderr
    )
    assert os.listdir(tmp_path / "here") == []


def test_a_run_needs_neither(without, tmp_path):
    (tmp_path / "blocked" / "hypothesis.py").write_text(
        "raise ModuleNotFoundError('No module named hypothesis', name='hypothesis')"
    )
    (tmp_path / "here" / "mine.py").write_text(MINE.format(wrong=""))
    words = ["run", "--engine", "mine.py:gradient", *SMALL, "--jobs", "1", "--format", "md"]
    done = without("matplotlib", *command(*words))
    assert done.returncode == 0, done.stderr


def test_shrinking_without_hypothesis_is_one_sentence(without, tmp_path):
    (tmp_path / "here" / "mine.py").write_text(MINE.format(wrong="inputs = 2 * inputs"))
    sentence = "needs hypothesis, which is not installed: pip install 'gradcrosscheck[shrink]'"
    case = ["reproduce", "s0-i1-float64-identity", *SMALL[2:6], "--engine", "mine.py:gradient"]
    done = without("hypothesis", *command(*case, "--shrink"))
    assert (done.returncode, done.stderr) == (1, "")  # the defect is told all the same
    assert sentence in done.stdout
    done = without("hypothesis", *command(*case))
    assert done.returncode == 1
    assert "hypothesis" not in done.stdout
    text = (
        "import crosscheck, mine\n"
        "r = crosscheck.check(mine.gradient, layers=2, widths=(1, 3), cases=8)\n"
        "print(r.message())"
    )
    done = without("hypothesis", "-c", text)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("DEFECT")
    assert f"Note: looking for the smallest case that fails {sentence}" in done.stdout


def test_nothing_is_left_in_the_users_folder(without, tmp_path):
    wrong = "inputs = inputs * (2 if len(inputs) > 2 and abs(inputs[0, 0]) == 1.25 else 1)"
    (tmp_path / "here" / "mine.py").write_text(MINE.format(wrong=wrong))
    text = (
        "from crosscheck.faults import shrinking\nfrom crosscheck.networks import sampling\n"
        "from crosscheck.networks.distribution import Distribution\n"
        "from crosscheck.engines.user import function as callable\n"
        "from dataclasses import replace\n"
        "import hypothesis.configuration as c, numpy as np\n"
        "of = Distribution((2, 2), (2, 2), (4, 4), 'identity')\n"
        "case = sampling.draw(of, 0, 3, 'float64')\n"
        "case = replace(case, inputs=np.full_like(case.inputs, 1.25))\n"
        "shrinking.shrink(callable.from_text('mine.py:gradient'), case, 3.0)\n"
        "assert str(c.storage_directory('x').path).endswith('.hypothesis/x')\n"
    )
    done = without("", "-B", "-c", text)
    assert done.returncode == 0, done.stderr
    assert os.listdir(tmp_path / "here") == ["mine.py"]


def test_every_extra_is_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = project["optional-dependencies"]
    for library, extra in extras.EXTRAS.items():
        assert any(line.startswith(library) for line in declared[extra])
        assert not any(line.startswith(library) for line in project["dependencies"])


def test_a_library_that_is_broken_is_not_called_missing(monkeypatch):
    def raises(name):
        raise ModuleNotFoundError("No module named inner", name="inner")

    monkeypatch.setattr(extras, "import_module", raises)
    with pytest.raises(ModuleNotFoundError, match="inner"):
        extras.require("this", "matplotlib")
