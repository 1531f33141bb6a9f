"""The GitHub action: its step as a runner would call it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
ACTION = ROOT / ".github" / "actions" / "crosscheck"

RIGHT = """
def gradient(weights, biases, inputs, targets):
    (w,), (b,) = weights, biases
    delta = (inputs @ w + b - targets) * (2 / len(inputs))
    return [inputs.T @ delta], [delta.sum(0)]
"""


@pytest.fixture
def step(tmp_path):
    """step(source, …) runs the action on this function: (exit status, stdout, outputs, summary)."""
    (tmp_path / "temp").mkdir()
    written = {name: tmp_path / name for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}

    def run(source, **inputs):
        (tmp_path / "mine.py").write_text(source)
        for path in written.values():
            path.write_text("")
        variables = {"ENGINE": "mine.py:gradient", "CASES": "3", "BASELINE": ""}
        variables["OPTIONS"] = "--layers 2-2 --widths 1-4 --output identity --dtypes float64"
        variables |= {name: str(path) for name, path in written.items()}
        variables |= {"RUNNER_TEMP": str(tmp_path / "temp"), **inputs}
        # The interpreter beside its packages, whatever the virtual environment is called.
        variables["PATH"] = f"{Path(sys.executable).parent}:{os.defpath}"
        variables["PYTHONPATH"] = str(ROOT)
        done = subprocess.run(
            ["bash", ACTION / "run.sh"],
            env={**os.environ, **variables},
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        lines = written["GITHUB_OUTPUT"].read_text().splitlines()
        outputs = dict(line.split("=", 1) for line in lines)
        return done.returncode, done.stdout, outputs, written["GITHUB_STEP_SUMMARY"].read_text()

    return run


def test_a_right_function_passes_and_is_held_to_a_baseline(step, tmp_path):
    status, out, outputs, summary = step(RIGHT)
    assert (status, outputs["verdict"]) == (0, "pass"), out
    assert out.startswith("::notice title=crosscheck::No defect")
    assert "# crosscheck" in summary
    assert (Path(outputs["report"]) / "report.html").stat().st_size > 10_000
    subprocess.run(
        [sys.executable, "-m", "crosscheck", "baseline", outputs["report"], "--out", "base"],
        check=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    status, out, outputs, summary = step(RIGHT, BASELINE="base")
    assert (status, outputs["verdict"]) == (0, "pass")
    assert "No regression against base" in summary


def test_a_wrong_function_fails_with_annotations(step):
    status, out, outputs, summary = step(RIGHT.replace("2 /", "1 /"))
    assert (status, outputs["verdict"]) == (1, "defect or regression")
    assert out.startswith("::error title=crosscheck::DEFECT")
    assert "DEFECT" in summary


@pytest.mark.parametrize(
    ("inputs", "status", "verdict"),
    [
        ({"BASELINE": "nowhere"}, 4, "not comparable"),
        ({"CASES": "many"}, 2, "bad input"),
        ({"ENGINE": "mine.py:gradient; touch struck"}, 2, "bad input"),
        ({"ENGINE": "$(touch struck)"}, 2, "bad input"),
        ({"BASELINE": "$(touch struck)"}, 4, "not comparable"),
        ({"OPTIONS": "; touch struck"}, 2, "bad input"),
    ],
)
def test_bad_input_is_said_and_never_run(step, tmp_path, inputs, status, verdict):
    got, out, outputs, summary = step(RIGHT, **inputs)
    assert (got, outputs["verdict"]) == (status, verdict)
    assert out.startswith("::error title=crosscheck::crosscheck: ")
    assert "crosscheck: " in summary
    assert not (tmp_path / "struck").exists()


def test_each_use_in_a_job_has_a_report_of_its_own(step):
    _, _, first, summary = step(RIGHT)
    assert "# crosscheck" in summary
    status, out, second, summary = step(RIGHT, CASES="many", ARTIFACT="mine")
    assert (status, second["verdict"]) == (2, "bad input")
    assert "# crosscheck" not in summary
    assert "'many' is not a valid integer" in summary
    assert out.startswith("::error title=crosscheck::crosscheck: ")
    assert first["report"] != second["report"]
    assert (Path(first["report"]) / "report.html").exists()
    assert (first["artifact"], second["artifact"]) == ("crosscheck", "mine-2")


def test_every_input_and_output_is_described_and_used():
    action = yaml.safe_load((ACTION / "action.yml").read_text())
    assert {"engine", "cases", "baseline"} <= set(action["inputs"])
    assert {"verdict", "report", "artifact"} == set(action["outputs"])
    whole = [*action["inputs"].values(), *action["outputs"].values()]
    assert all(entry["description"] for entry in whole)
    steps = action["runs"]["steps"]
    used = next(step for step in steps if step.get("id") == "run")["env"]
    assert {f"${{{{ inputs.{name} }}}}" for name in action["inputs"]} == set(used.values())
    assert not any("inputs." in step.get("run", "") for step in steps)
