"""The package as an installer, a newcomer and a linter see it."""

import ast
import io
import json
import os
import re
import stat
import subprocess
import sys
import tokenize
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "crosscheck"
SOURCES = sorted(PACKAGE.rglob("*.py"))
SCRIPTS = [ROOT / "scripts" / name for name in ("bench", "report", "run", "setup", "test")]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def python(code, *arguments):
    """What a fresh interpreter prints as JSON on its last line."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


# --- imports ---------------------------------------------------------------------------------

IMPORT_ALL_BARE = """
import importlib, json, pkgutil, sys, traceback

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "jax", "jaxlib"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Block())
import crosscheck

outcomes = {}
for module in pkgutil.walk_packages(crosscheck.__path__, "crosscheck."):
    if module.name.endswith("__main__"):
        continue
    try:
        importlib.import_module(module.name)
        outcomes[module.name] = ""
    except BaseException:
        outcomes[module.name] = traceback.format_exc()
print(json.dumps(outcomes))
"""


def needs_a_framework(module):
    return re.search(r"\.(torch|jax)(_\w+)?(\.|$)", module) is not None


def test_every_module_imports_without_torch_and_jax():
    outcomes = python(IMPORT_ALL_BARE)
    assert "crosscheck.networks.network" in outcomes
    failures = {
        name: trace for name, trace in outcomes.items() if trace and not needs_a_framework(name)
    }
    assert not failures, "\n".join(failures.values())


def test_the_block_on_torch_and_jax_blocks():
    code = IMPORT_ALL_BARE.split("import crosscheck")[0] + (
        "blocked = []\n"
        "for name in ('torch', 'jax.numpy', 'jaxlib'):\n"
        "    try:\n"
        "        importlib.import_module(name)\n"
        "    except ModuleNotFoundError:\n"
        "        blocked.append(name)\n"
        "print(json.dumps(blocked))\n"
    )
    assert python(code) == ["torch", "jax.numpy", "jaxlib"]


HELP = """
import json, sys

from crosscheck.cli import main

sys.argv = ["crosscheck", *sys.argv[1:]]
try:
    main()
except SystemExit as stop:
    assert not stop.code, stop.code
print()
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""

HEAVY = {
    "autograd", "dask", "distributed", "flint", "jax", "jaxlib", "matplotlib", "mpmath",
    "pandas", "pyarrow", "scipy", "sympy", "torch", "xprec",
}  # fmt: skip


def test_help_loads_nothing_heavy():
    loaded = set(python(HELP, "--help"))
    assert "click" in loaded
    assert not loaded & HEAVY


# --- who may import whom -------------------------------------------------------------------------


@pytest.fixture
def skeleton(tmp_path):
    """Our contracts over empty modules, and a function that names those a line of code breaks."""
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    modules = ("networks/network", "exact/oracle", "bounds/reverse", "verdicts/verdict",
               "runs/evaluate", "results/rows", "paper/equations", "reports/tables",
               "engines/torch", "engines/jax", "studies/soundness",
               "studies/atlas/run")  # fmt: skip
    for module in modules:
        path = tmp_path / "crosscheck" / f"{module}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        (path.parent / "__init__.py").touch()
        path.touch()
    (tmp_path / "crosscheck" / "__init__.py").touch()

    def broken(module, line):
        path = tmp_path / "crosscheck" / f"{module}.py"
        path.parent.mkdir(exist_ok=True)
        (path.parent / "__init__.py").touch()
        path.write_text(line + "\n")
        code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
        done = subprocess.run(
            [sys.executable, "-c", code, "--no-logo", "--no-cache"],
            capture_output=True,
            text=True,
            cwd=tmp_path,
        )
        names = re.findall(r"^(.+) BROKEN$", done.stdout, re.MULTILINE)
        assert (done.returncode == 0) == (not names), done.stdout + done.stderr
        return {name.split()[0] for name in names}

    return broken


@pytest.mark.parametrize(
    ("module", "line", "expected"),
    [
        ("exact/oracle", "from crosscheck.networks import network", set()),
        ("runs/evaluate", "from crosscheck.engines import jax", set()),
        ("networks/network", "from crosscheck.exact import oracle", {"A"}),
        ("bounds/reverse", "from crosscheck.exact import oracle", {"A"}),
        ("verdicts/verdict", "from crosscheck.runs import evaluate", {"A"}),
        ("of_no_room/at_all", "", {"A"}),
        ("reports/tables", "import torch.nn", {"Reports"}),
        ("results/rows", "from crosscheck.engines import jax", {"A", "Reports"}),
        ("engines/jax", "from crosscheck.engines import torch", {"What"}),
        ("engines/torch", "from crosscheck.paper import equations", {"What", "No"}),
        ("engines/jax_padded", "from crosscheck.paper import equations", {"No"}),
    ],
)
def test_contracts_break_when_they_should(skeleton, module, line, expected):
    assert skeleton(module, line) == expected


# --- names and tolerances ----------------------------------------------------------------------

VAGUE = re.compile(r"(^|_)(utils?|helpers?|common|managers?)(_|$)")


def test_no_module_has_a_name_that_says_nothing():
    assert SOURCES
    parts = {part for path in SOURCES for part in path.relative_to(PACKAGE).with_suffix("").parts}
    assert [part for part in sorted(parts) if VAGUE.search(part)] == []


@pytest.mark.parametrize("name", ["utils", "array_utils", "helper", "common", "run_manager"])
def test_vague_names_are_recognised(name):
    assert VAGUE.search(name)


TOLERANCES = {
    "abs_tol", "allclose", "approx", "assert_allclose", "assert_almost_equal",
    "assert_array_almost_equal", "assert_close", "atol", "isclose", "rel_tol", "rtol",
}  # fmt: skip
# Rivals are shown with the tolerances that their users set; they decide nothing of ours.
RIVALS = re.compile(r"studies/.+\.py")


def tolerances(source):
    """Names in the code, not in comments and docstrings, that stand for a tolerance."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return [
        (token.start[0], token.string)
        for token in tokens
        if token.type == tokenize.NAME and token.string in TOLERANCES
    ]


def test_no_tolerance_decides_anything():
    found = {
        name: hits
        for path in SOURCES
        if not RIVALS.fullmatch(name := path.relative_to(PACKAGE).as_posix())
        and (hits := tolerances(path.read_text()))
    }
    assert found == {}


def test_a_tolerance_in_code_is_found_and_one_in_prose_is_not():
    source = '"""No atol here."""\n# nor rtol\nok = np.allclose(a, b, rtol=1e-5)\n'
    assert tolerances(source) == [(3, "allclose"), (3, "rtol")]


def test_type_hints_are_announced():
    assert (PACKAGE / "py.typed").is_file()


def test_no_module_changes_a_framework_for_the_whole_process():
    changes = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).endswith(("config.update", "set_default_dtype"))
    ]
    assert changes == []


# --- scripts -----------------------------------------------------------------------------------


def test_the_scripts_are_these():
    found = {path for path in (ROOT / "scripts").iterdir() if not path.suffix}
    assert found == set(SCRIPTS)


@pytest.mark.parametrize("path", [*SCRIPTS, ROOT / ".ci" / "run"], ids=lambda path: path.name)
def test_scripts_can_be_run(path):
    assert path.stat().st_mode & stat.S_IXUSR
    assert path.read_text().startswith("#!/usr/bin/env bash\n")
    subprocess.run(["bash", "-n", path], check=True)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_hold_no_logic(path):
    assert len(path.read_text().splitlines()) <= 20


# An interpreter that makes a venv of itself, and whose pip notes that it was called.
PRETENDER = """#!/bin/bash
set -e
case "$1 $2 $3" in
"-V  ") echo "Python $VERSION" ;;
"-c "*) [ "$VERSION" = 3.11.0 ] && echo "$0" ;;
"-m venv .venv") mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
"-m pip install") echo install >>.venv/installs; echo "${@: -1}" >.venv/what
    [ -z "$BREAK" ] || kill -9 $$ ;;
*) echo "unexpected: $*"; exit 9 ;;
esac
"""


@pytest.fixture
def sandbox(tmp_path):
    """A checkout with setup alone, and a function that runs it with a pretended python3."""
    root, commands = tmp_path / "a checkout", tmp_path / "bin"
    (root / "scripts").mkdir(parents=True)
    commands.mkdir()
    for name in ("pyproject.toml", "scripts/constraints.txt", "scripts/setup"):
        (root / name).write_bytes((ROOT / name).read_bytes())
    for name in ("python3", "python3.11", "python3.12", "python3.13"):
        (commands / name).write_text(PRETENDER)
        (commands / name).chmod(0o755)

    def setup(*options, version="3.11.0", broken=""):
        environment = {"PATH": f"{commands}:{os.defpath}", "VERSION": version, "BREAK": broken}
        return subprocess.run(
            ["bash", root / "scripts" / "setup", *options],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )

    return root, setup


def installs(root):
    path = root / ".venv" / "installs"
    return path.read_text().split() if path.exists() else []


def test_setup_installs_once_and_says_so_on_stderr(sandbox):
    root, setup = sandbox
    first, second = setup(), setup()
    assert (first.returncode, second.returncode) == (0, 0), first.stderr
    assert installs(root) == ["install"]
    assert second.stderr.splitlines() == ["setup: .venv is up to date"]
    assert first.stdout == second.stdout == ""


@pytest.mark.parametrize("name", ["pyproject.toml", "scripts/constraints.txt"])
def test_setup_installs_again_when_the_packages_change(sandbox, name):
    root, setup = sandbox
    setup()
    with (root / name).open("a") as file:
        file.write("\n# changed\n")
    assert setup().returncode == 0
    assert installs(root) == ["install", "install"]
    assert setup().stderr.splitlines() == ["setup: .venv is up to date"]


def test_setup_starts_afresh_after_an_interruption(sandbox):
    root, setup = sandbox
    assert setup(broken="yes").returncode != 0
    (root / ".venv" / "half-installed").touch()
    assert setup().returncode == 0
    assert not (root / ".venv" / "half-installed").exists()
    assert installs(root) == ["install"]


def test_setup_starts_afresh_when_an_update_was_interrupted(sandbox):
    root, setup = sandbox
    setup()
    with (root / "pyproject.toml").open("a") as file:
        file.write("\n# changed\n")
    assert setup(broken="yes").returncode != 0
    assert setup().returncode == 0
    assert installs(root) == ["install"]


def test_setup_starts_afresh_in_another_folder(sandbox):
    root, setup = sandbox
    setup()
    stamp = root / ".venv" / "complete"
    stamp.write_text(stamp.read_text().replace(str(root), "/elsewhere"))
    assert setup().returncode == 0
    assert installs(root) == ["install"]


def test_setup_leaves_out_what_is_heavy_and_keeps_to_it_until_asked_for_all(sandbox):
    root, setup = sandbox
    what = root / ".venv" / "what"
    kinds = []
    for options in (("--light",), (), ("--all",), ()):
        assert setup(*options).returncode == 0
        kinds.append(what.read_text().strip())
    assert kinds == [".[dev]", ".[dev]", ".[all,dev,dask]", ".[all,dev,dask]"]
    extras = PYPROJECT["project"]["optional-dependencies"]
    light = " ".join([*extras["dev"], *extras["test"], *extras["report"], *extras["shrink"]])
    assert not re.search(r"torch|jax|dask|distributed|\[all", light)


def test_setup_knows_no_other_option(sandbox):
    root, setup = sandbox
    done = setup("--tiny")
    assert done.returncode == 2
    assert done.stderr == "setup: unknown option --tiny; known are --light and --all\n"
    assert not (root / ".venv").exists()


def test_setup_says_that_python_is_too_old(sandbox):
    root, setup = sandbox
    done = setup(version="3.9.2")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "setup: needs Python 3.11 or newer with venv; python3 here is Python 3.9.2"
    ]
    assert not (root / ".venv").exists()


# --- dependencies ------------------------------------------------------------------------------


def required():
    """Every requirement of pyproject.toml but those on its own extras."""
    project = PYPROJECT["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    found = [Requirement(text) for texts in lists for text in texts]
    return [requirement for requirement in found if requirement.name != project["name"]]


def pins():
    lines = (ROOT / "scripts" / "constraints.txt").read_text().splitlines()
    found = [Requirement(line) for line in lines if line and not line.startswith("#")]
    assert [pin for pin in found if [part.operator for part in pin.specifier] != ["=="]] == []
    return {canonicalize_name(pin.name): next(iter(pin.specifier)).version for pin in found}


@pytest.mark.parametrize("requirement", required(), ids=lambda requirement: requirement.name)
def test_every_dependency_is_pinned_within_its_range(requirement):
    assert requirement.specifier.contains(pins()[canonicalize_name(requirement.name)])


@pytest.mark.parametrize("requirement", required(), ids=lambda requirement: requirement.name)
def test_every_dependency_has_a_lower_and_an_upper_bound(requirement):
    assert {part.operator for part in requirement.specifier} == {">=", "<"}


def unpinned(name, extras, known):
    """Names that the installed packages need and the constraints leave open."""
    seen, queue, missing = set(), [(name, frozenset(extras))], set()
    while queue:
        name, extras = queue.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        for requirement in map(Requirement, metadata.requires(name) or ()):
            if not applies(requirement, extras) or pinned_by_parent(requirement):
                continue
            child = canonicalize_name(requirement.name)
            if child != name and child not in known:
                missing.add(child)
            queue.append((child, frozenset(requirement.extras)))
    return missing


def applies(requirement, extras):
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in {"", *extras})


def pinned_by_parent(requirement):
    return any(part.operator == "==" for part in requirement.specifier)


def test_what_the_dependencies_need_is_pinned_too():
    extras = {"all", "dev", "dask"}
    assert unpinned("gradcrosscheck", extras, pins().keys() | {"gradcrosscheck"}) == set()
    assert "sympy" in unpinned("gradcrosscheck", extras, pins().keys() - {"sympy"})
