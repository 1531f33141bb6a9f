"""The commands `baseline` and `compare`, and `run --baseline`: sentences and exit statuses."""

import json

import pytest
from support.invented import changed, mutations

from crosscheck.cli import main
from crosscheck.results import finished
from crosscheck.results.finished import FinishedRun


@pytest.fixture
def command(capsys):
    """command(…) runs crosscheck in this process: (exit status, stdout, stderr)."""

    def call(*arguments):
        with pytest.raises(SystemExit) as stop:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return stop.value.code or 0, out, err

    return call


def test_a_baseline_is_recorded_and_met(command, made, put, tmp_path):
    folder, base = put(made()), tmp_path / "deep" / "base.jsonl"
    status, out, _ = command("baseline", folder, "--out", base)
    assert status == 0
    assert "80 gradients" in out
    status, out, _ = command("compare", folder, base)
    assert status == 0
    assert "No regression against base.jsonl: 80 gradients, all with the same errors" in out
    assert finished.read(folder).comparison["exit_status"] == 0


def test_a_regression_is_told_with_the_command_that_accepts_it(command, made, put, tmp_path):
    command("baseline", put(made()), "--out", tmp_path / "b")
    worse = put(changed(made(), verdict="DEFECT"), "worse")
    status, out, _ = command("compare", worse, tmp_path / "b")
    assert status == 1
    assert "REGRESSION against b: 4 newly failing results" in out
    assert f"crosscheck baseline reports/latest --out {tmp_path / 'b'}" in out
    status, out, _ = command("compare", worse, tmp_path / "b", "--output-format", "concise")
    assert (status, out.count("\n")) == (1, 1)
    status, out, _ = command("compare", worse, tmp_path / "b", "--output-format", "json")
    assert (status, json.loads(out)["comparison"]["exit_status"]) == (1, 1)


def test_an_improvement_fails_only_under_strict(command, made, put, tmp_path):
    command("baseline", put(changed(made(), verdict="DEFECT")), "--out", tmp_path / "b")
    better = put(made(), "better")
    status, out, _ = command("compare", better, tmp_path / "b")
    assert status == 0
    assert "improvements over the baseline" in out
    status, out, _ = command("compare", better, tmp_path / "b", "--strict")
    assert status == 1
    assert "BETTER than b" in out
    assert "crosscheck baseline reports/latest" in out


@pytest.mark.parametrize(
    ("arguments", "expected", "words"),
    [
        (("compare", "RUN", "nowhere"), 4, "there is no baseline nowhere"),
        (("compare", "nowhere", "BASE"), 2, "there is no run in nowhere"),
        (("baseline", "nowhere", "--out", "x"), 2, "there is no run in nowhere"),
        (("baseline", "RUN", "--out", "RUN/run.json"), 2, "is no baseline"),
        (("baseline", "RUN", "--out", "BASE/x"), 2, "cannot write to"),
        (("report", "RUN", "--format", "docx"), 2, "unknown format 'docx'"),
        (("report", "nowhere"), 2, "there is no run in nowhere"),
        (("run", "--cases", "1", "--baseline", "nowhere"), 4, "there is no baseline nowhere"),
        (("run", "--cases", "1", "--format", "docx"), 2, "unknown format 'docx'"),
        (("run", "--cases", "1", "--output-format", "docx"), 2, "not one of"),
    ],
)
def test_bad_input_is_one_sentence(command, made, put, tmp_path, arguments, expected, words):
    folder, base = put(made(cases=4)), tmp_path / "base"
    command("baseline", folder, "--out", base)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    named = [a.replace("RUN", str(folder)).replace("BASE", str(base)) for a in arguments]
    status, out, err = command(*named)
    assert (status, out) == (expected, "")
    assert words in err
    assert err.count("\n") == 1
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("name", ["run.json", "errors.parquet", "cases.parquet", "pairs.parquet"])
def test_a_damaged_run_is_refused(made, put, name):
    """Every one of 60 mutations of each file: one sentence, never a run."""
    folder = put(made(cases=4))
    good = (folder / name).read_bytes()
    for bad in mutations(good, 60):
        (folder / name).write_bytes(bad)
        if bad.strip() == good.strip():
            continue
        with pytest.raises(ValueError, match=r"damaged|lacks|schema version|no record") as caught:
            finished.read(folder)
        assert "\n" not in str(caught.value)
    (folder / name).write_bytes(good)
    assert len(finished.read(folder).cases) == 4


def test_a_run_of_a_newer_version_is_refused(made, put):
    run = made(cases=2)
    run.record["schema_version"] = 99
    with pytest.raises(ValueError, match="install a newer one"):
        finished.read(put(run))


def test_a_run_without_a_file_or_column_is_refused(made, put):
    folder = put(made(cases=2))
    (folder / "pairs.parquet").unlink()
    with pytest.raises(ValueError, match=r"the run lacks .*pairs\.parquet"):
        finished.read(folder)
    whole = made(cases=2)
    run = FinishedRun(whole.errors.drop(columns="power"), whole.cases, whole.pairs, whole.record)
    with pytest.raises(ValueError, match="lacks the columns power"):
        finished.read(put(run, "other"))


WRONG = "def gradient(w, b, x, y):\n    return [0 * m for m in w], [0 * v for v in b]\n"
RIGHT = """
import numpy as np


def gradient(weights, biases, inputs, targets):
    a = [inputs]
    for w, b in zip(weights, biases):
        a.append(1 / (1 + np.exp(-(a[-1] @ w + b))))
    delta = 2 * (a[-1] - targets) / len(inputs) * a[-1] * (1 - a[-1])
    gradients = []
    for k in reversed(range(len(weights))):
        gradients.insert(0, (a[k].T @ delta, delta.sum(0)))
        delta = delta @ weights[k].T * a[k] * (1 - a[k])
    return [w for w, _ in gradients], [b for _, b in gradients]
"""


def test_run_holds_itself_to_a_baseline(command, tmp_path, monkeypatch):
    """A user's function is right, recorded, then broken: status 1, and the report says so."""
    monkeypatch.chdir(tmp_path)
    source = tmp_path / "mine.py"
    source.write_text(RIGHT)
    plan = ("--engine", "mine.py:gradient", "--cases", "6", "--widths", "1-6", "--samples", "1-6")
    plan += ("--output", "sigmoid", "--dtypes", "float64", "--out", "r")
    assert command("run", *plan)[0] == 0
    assert command("baseline", "r", "--out", "base")[0] == 0
    status, out, _ = command("run", *plan, "--baseline", "base", "--output-format", "concise")
    assert status == 0
    assert "all with the same errors to the bit" in out
    status, out, _ = command("run", *plan, "--output-format", "json")
    assert (status, json.loads(out)["verdict"]) == (0, "No defect")
    source.write_text(WRONG)
    status, out, _ = command("run", *plan, "--baseline", "base", "--format", "md,json")
    assert status == 1
    assert "REGRESSION" in out
    assert "REGRESSION" in (tmp_path / "r" / "report.md").read_text()
    assert "REGRESSION" in (tmp_path / "r" / "summary.md").read_text()
    differs = json.loads((tmp_path / "r" / "report.json").read_text())["comparison"]["differs"]
    assert any(line.startswith("own_code mine.py:gradient") for line in differs)
