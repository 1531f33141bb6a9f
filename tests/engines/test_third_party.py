"""Engines of other packages: a small package, installed for real."""

import subprocess
import sys

import pytest

from crosscheck.engines import registry
from crosscheck.engines.interface import Unsupported
from crosscheck.results.outcome import OK, exit_status
from crosscheck.runs import evaluate

PYPROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "halved-engine"
version = "1.2"

[project.entry-points."crosscheck.engines"]
theirs = "their_engine:make"
broken = "their_engine:missing"
no-engine = "their_engine:number"
"""

MODULE = '''
from crosscheck.engines.paper import contracted

class Theirs:
    """The paper's gradient under another name."""

    name = "theirs"

    def __init__(self):
        self.inner = contracted()

    def supports(self, architecture, dtype):
        return self.inner.supports(architecture, dtype)

    def arithmetic(self, dtype):
        return self.inner.arithmetic(dtype)

    def gradients(self, case):
        return self.inner.gradients(case)

def make():
    return Theirs()

def number():
    return 5
'''


@pytest.fixture(scope="class")
def installed(tmp_path_factory):
    """The package, installed by pip into a folder that is on the path."""
    source = tmp_path_factory.mktemp("source")
    target = tmp_path_factory.mktemp("site")
    (source / "pyproject.toml").write_text(PYPROJECT + '\n[tool.hatch.build]\ninclude = ["*.py"]\n')
    (source / "their_engine.py").write_text(MODULE)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", "--target", str(target), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(target))
        yield


@pytest.mark.usefixtures("installed")
class TestInstalled:
    def test_it_runs_beside_ours(self):
        crew = evaluate.muster(["theirs", "paper"])
        frames = evaluate.run(evaluate.Plan(("theirs", "paper"), ("float64",), 10), crew)
        assert exit_status(frames.errors, frames.cases, ["theirs"]) == OK
        assert set(frames.errors["engine"]) == {"theirs", "paper"}

    def test_it_is_listed_with_its_package(self):
        found = {engine.name: engine for engine in registry.listing()}
        assert found["theirs"].origin == "halved-engine 1.2"
        assert "float64" in found["theirs"].dtypes
        assert not found["theirs"].default
        assert "no-engine" in found
        assert "made a int, not an Engine" in found["no-engine"].why

    def test_one_that_cannot_be_imported_says_why(self):
        with pytest.raises(Unsupported, match=r"broken .*their_engine:missing.*AttributeError"):
            registry.load("broken")

    def test_a_name_that_nobody_has_lists_theirs_too(self):
        with pytest.raises(ValueError, match=r"known are .*theirs.*did you mean theirs"):
            registry.load("their")


def test_without_packages_there_is_none():
    assert "theirs" not in registry.third_party()
