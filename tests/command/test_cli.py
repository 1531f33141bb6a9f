"""The command: exit statuses, one sentence for bad input, and nothing lost or half written."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest

from crosscheck.arithmetic.conventions import ARRAYS
from crosscheck.cli import main
from crosscheck.engines.user.function import DIALECTS
from crosscheck.results import rows

QUICK = ["--cases", "3", "--widths", "1-4", "--samples", "1-4", "--engines", "paper-contracted"]


@pytest.fixture
def command(capsys):
    """command(*words) runs it in this process and returns (status, stdout, stderr)."""

    def run(*words):
        with pytest.raises(SystemExit) as stopped:
            main(list(words))
        out, err = capsys.readouterr()
        return stopped.value.code, out, err

    return run


def test_a_run_writes_its_folder(command, tmp_path):
    out = tmp_path / "deep" / "run"
    status, shown, _ = command("run", *QUICK, "--out", str(out))
    assert status == 0
    assert {
        "run.json",
        "cases.parquet",
        "errors.parquet",
        "errors.csv",
        "summary.md",
        "summary.csv",
    } <= {path.name for path in out.iterdir()}
    errors = pd.read_parquet(out / "errors.parquet")
    assert list(errors.columns) == list(rows.ERRORS)
    assert len(pd.read_csv(out / "errors.csv")) == len(errors)
    assert len(pd.read_parquet(out / "cases.parquet")) == 6
    record = json.loads((out / "run.json").read_text())
    assert record["exit_status"] == 0
    assert record["counts"]["CONSISTENT"] == (errors["verdict"] == "CONSISTENT").sum() > 0
    assert record["environment"]["packages"]["numpy"]
    assert "No defect" in shown
    assert os.listdir(out.parent) == ["run"]


def test_got_and_exact_survive_as_hexadecimal(command, tmp_path):
    command("run", *QUICK, "--out", str(tmp_path / "run"))
    errors = pd.read_csv(tmp_path / "run" / "errors.csv")
    assert [float.fromhex(text) for text in errors["got_hex"]] == list(errors["got"])
    assert [float.fromhex(text) for text in errors["exact_hex"]] == list(errors["exact"])


def test_the_print_is_a_defect(command, tmp_path):
    words = ["--cases", "12", "--widths", "1-4", "--engines", "paper-printed"]
    status, shown, _ = command("run", *words, "--out", str(tmp_path / "run"))
    assert status == 1
    assert "DEFECT" in shown


BAD = {
    "engine": (["--engines", "papr"], "unknown engine 'papr': known are paper,"),
    "nearest": (["--engines", "torch.backwrd"], "did you mean torch.backward?"),
    "dtype": (["--dtypes", "float23"], "did you mean float32?"),
    "backwards": (["--widths", "5-2"], "did you mean 2-5?"),
    "zero": (["--widths", "0"], "begins below 1"),
    "one layer": (["--layers", "1-3"], "begins below 2"),
    "negative": (["--samples", "-3"], "is not a range"),
    "no number": (["--samples", "few"], "is not a range such as 2-6"),
    "no cases": (["--cases", "-1"], "-1 is not in the range"),
    "seed": (
        ["--seed", "9223372036854775808"],
        "'--seed': 9223372036854775808 is not in the range",
    ),
    "too many cases": (["--cases", "99999999999999999999"], "is not in the range"),
    "samples": (["--samples", "9999999999"], "numbers in one case, more than"),
    "layers": (["--layers", "1000000"], "numbers in one case, more than"),
    "widths": (["--widths", "1-99999999999999999999999"], "must be a whole number up to"),
    "no time": (["--timeout", "nan"], "is no number of seconds"),
    "output": (["--output", "swish"], "'swish' is not one of"),
    "hidden": (["--hidden", "swish"], "'swish' is not one of"),
    "cost": (["--cost", "log"], "'log' is not one of"),
    "arrays": (["--arrays", "cupy"], "'cupy' is not one of"),
    "no function": (["--engine", "math"], "must be package.module:function"),
    "no module": (["--engine", "no_such_module:f"], "cannot import no_such_module"),
    "no attribute": (["--engine", "math:no_such"], "math has no function 'no_such'"),
    "no file": (["--engine", "absent.py:f"], "there is no file absent.py"),
    "option": (["--case", "3"], "No such option"),
    "empty": (["--engines", ","], "no name is given"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_gets_one_sentence(name, command, tmp_path):
    words, sentence = BAD[name]
    status, _, err = command("run", "--out", str(tmp_path / "run"), *words)
    assert status == 2
    assert err.count("\n") == 1
    assert err.startswith("crosscheck: ")
    assert sentence in err
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("place", ["file", "below a file"])
def test_an_output_that_cannot_be_written(place, command, tmp_path):
    (tmp_path / "taken").write_text("mine")
    out = tmp_path / "taken" if place == "file" else tmp_path / "taken" / "run"
    status, _, err = command("run", *QUICK, "--out", str(out))
    assert status == 2
    assert "cannot write to" in err
    assert (tmp_path / "taken").read_text() == "mine"


def test_no_case_is_no_pass(command, tmp_path):
    status, shown, _ = command("run", *QUICK, "--cases", "0", "--out", str(tmp_path / "run"))
    assert status == 5
    assert "Nothing could be confirmed" in shown
    errors = pd.read_parquet(tmp_path / "run" / "errors.parquet")
    assert list(errors.columns) == list(rows.ERRORS)


def test_a_new_run_replaces_the_old_and_keeps_what_is_not_its_own(command, tmp_path):
    out = tmp_path / "run"
    command("run", *QUICK, "--out", str(out))
    (out / "notes.txt").write_text("mine")
    (out / "report.html").write_text("of the old run")
    status, _, _ = command("run", *QUICK, "--seed", "5", "--out", str(out))
    assert status == 0
    assert json.loads((out / "run.json").read_text())["plan"]["seed"] == 5
    assert (out / "notes.txt").read_text() == "mine"
    assert not (out / "report.html").exists()


def test_a_failing_engine_costs_its_case_only(command, tmp_path):
    (tmp_path / "mine.py").write_text(
        "import numpy as np\n"
        "def gradient(weights, biases, inputs, targets):\n"
        "    if len(weights) > 2: raise RuntimeError('too deep for me')\n"
        "    return [0 * w for w in weights], [0 * b for b in biases]\n"
    )
    own = f"{tmp_path / 'mine.py'}:gradient"
    status, shown, _ = command(
        "run",
        "--cases",
        "12",
        "--widths",
        "1-4",
        "--engine",
        own,
        "--engines",
        "paper-contracted",
        "--out",
        str(tmp_path / "run"),
    )
    assert status == 1
    cases = pd.read_parquet(tmp_path / "run" / "cases.parquet")
    deep = cases["layers"] > 3
    assert set(cases.loc[deep, f"status:{own}"]) == {"error"}
    assert set(cases.loc[~deep, f"status:{own}"]) == {"ok"}
    assert set(cases["status:paper-contracted"]) == {"ok"}
    assert "too deep for me" in shown


TANH_OF_TORCH = """
import torch


def gradient(weights, biases, inputs, targets):
    a = [inputs]
    for w, b in zip(weights, biases):
        z = a[-1] @ w + b
        a.append(torch.tanh(z) if len(a) < len(weights) else z)
    delta = {factor} * (a[-1] - targets) / len(inputs)
    gradients = []
    for k in reversed(range(len(weights))):
        gradients.insert(0, (a[k].T @ delta, delta.sum(0)))
        delta = delta @ weights[k].T * (1 - a[k] ** 2)
    return [w for w, _ in gradients], [b for _, b in gradients]
"""

AS_DECLARED = ["--hidden", "tanh", "--cost", "half_squared_error", "--arrays", "torch"]
"""What the function above is, beside the defaults."""


def run_tanh(command, folder, factor):
    (folder / "mine.py").write_text(TANH_OF_TORCH.format(factor=factor))
    own = f"{folder / 'mine.py'}:gradient"
    small = ["--cases", "10", "--widths", "1-4", "--samples", "1-4", "--output", "identity"]
    words = [*small, "--dtypes", "float64", "--jobs", "1", "--format", "json"]
    status, shown, _ = command(
        "run", "--engine", own, *words, *AS_DECLARED, "--out", str(folder / "run")
    )
    return status, shown, json.loads((folder / "run" / "run.json").read_text())


def test_a_function_is_run_as_it_is_declared(command, tmp_path):
    pytest.importorskip("torch")
    status, _, record = run_tanh(command, tmp_path, factor=1)
    assert status == 0
    assert record["counts"]["CONSISTENT"] > 0
    assert record["plan"]["arrays"] == "torch"
    for option, value in zip(AS_DECLARED[::2], AS_DECLARED[1::2], strict=True):
        assert f"{option} {value}" in record["command"]


def test_a_wrong_one_is_diagnosed_and_reproduced_as_it_is_declared(command, tmp_path):
    """The factor 2 is right for another cost, and here it is the mistake."""
    pytest.importorskip("torch")
    status, shown, record = run_tanh(command, tmp_path, factor=2)
    assert status == 1
    assert [found["fault"] for found in record["diagnoses"]] == ["factor 2"]
    assert 'pass cost="squared_error"' in shown
    (line,) = [text for text in shown.splitlines() if text.startswith("Reproduce: ")]
    words = shlex.split(line.removeprefix("Reproduce: crosscheck "))
    assert words[words.index("--hidden") :][:2] == ["--hidden", "tanh"]
    assert {"half_squared_error", "torch"} <= set(words)
    status, shown, _ = command(*[word for word in words if word != "--shrink"])
    assert status == 1
    assert "fails" in shown
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert "--arrays torch" in report["worst"][0]["reproduce"]


def test_the_choices_are_those_that_there_are():
    assert tuple(DIALECTS) == ARRAYS


def run_process(*words, **options):
    """The command, as a terminal starts it: what begins in a shell's background ignores Ctrl-C."""
    return subprocess.Popen(
        [sys.executable, "-m", "crosscheck", "run", *words],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        **options,
    )


def test_ctrl_c_leaves_the_earlier_report_untouched(tmp_path, command):
    out = tmp_path / "run"
    command("run", *QUICK, "--out", str(out))
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    long = ["--cases", "100000", "--engines", "paper-contracted", "--out", str(out)]
    process = run_process(*long)
    deadline = time.monotonic() + 60
    while not (out / ".crosscheck").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in err
    assert "Traceback" not in err
    now = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}
    assert now == before


@pytest.fixture
def without_torch(tmp_path):
    """An environment in which torch cannot be imported."""
    (tmp_path / "blocked").mkdir()
    (tmp_path / "blocked" / "torch.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')"
    )
    path = os.pathsep.join([str(tmp_path / "blocked"), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path}


def test_a_missing_default_engine_is_shown_and_the_run_goes_on(tmp_path, without_torch):
    out = tmp_path / "run"
    process = run_process("--cases", "2", "--widths", "1-3", "--out", str(out), env=without_torch)
    shown, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "torch.backward: unsupported" in shown
    assert "pip install 'gradcrosscheck[torch]'" in shown
    assert "torch.backward: unsupported" in (out / "summary.md").read_text()


def test_a_missing_engine_asked_for_by_name_is_a_failure(tmp_path, without_torch):
    words = ["--cases", "2", "--engines", "paper-contracted,torch.backward"]
    process = run_process(*words, "--out", str(tmp_path / "run"), env=without_torch)
    shown, _ = process.communicate(timeout=120)
    assert process.returncode == 3
    assert "pip install 'gradcrosscheck[torch]'" in shown
