"""A run's report names the mistake behind its defects, and survives an engine that does not."""

import json

import pytest

from crosscheck.cli import main
from crosscheck.networks.distribution import Distribution
from crosscheck.runs import explain, explaining
from crosscheck.runs.explaining import Suspect
from crosscheck.runs.plan import Plan
from crosscheck.runs.processes.pool import Limits

HALVED = """
import numpy as np


def gradient(weights, biases, inputs, targets):
    a = [inputs]
    for w, b in zip(weights, biases):
        a.append(1 / (1 + np.exp(-(a[-1] @ w + b))))
    delta = (a[-1] - targets) / len(inputs) * a[-1] * (1 - a[-1])
    gradients = []
    for k in reversed(range(len(weights))):
        gradients.insert(0, (a[k].T @ delta, delta.sum(0)))
        delta = delta @ weights[k].T * a[k] * (1 - a[k])
    return [w for w, _ in gradients], [b for _, b in gradients]
"""

SMALL = ("--widths", "1-6", "--samples", "1-6", "--output", "sigmoid", "--dtypes", "float64")


def test_the_page_groups_defects_by_what_explains_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(HALVED)
    with pytest.raises(SystemExit) as stop:
        main(["run", "--engine", "mine.py:gradient", "--cases", "12", *SMALL, "--out", "r",
                  "--format", "html,json"])  # fmt: skip
    assert stop.value.code == 1
    groups = json.loads((tmp_path / "r" / "report.json").read_text())["defects"]
    assert [group["engine"] for group in groups] == ["mine.py:gradient"]
    assert "2" in groups[0]["diagnosis"]
    assert "explains" in groups[0]["diagnosis"]
    assert "explains" in (tmp_path / "r" / "report.html").read_text()


def test_an_engine_that_dies_costs_its_explanation_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text("import os\n\n\ndef gradient(*_):\n    os._exit(1)\n")
    plan = Plan(("mine.py:gradient",), ("float64",), 12, 0, Distribution(widths=(1, 4)))
    suspect = Suspect("mine.py:gradient", "float64", (9, 10), frozenset({"s0-i9"}))
    told = explain.apart(plan, suspect, explain.How(Limits(1, 60.0)))
    assert told.diagnosis is None
    assert "ended with status 1" in told.trouble


def test_failing_and_sound_cases_are_looked_at_and_silent_ones_are_not(made):
    run = made(cases=40)
    errors = run.errors
    assert explaining.suspects(errors, run.cases) == []
    mine = errors["engine"] == "a"
    errors.loc[mine & (errors["index"] < 5) & (errors["tensor"] == "w2"), "verdict"] = "DEFECT"
    errors.loc[mine & (errors["index"] >= 20), "verdict"] = "INCONCLUSIVE"
    (suspect,) = explaining.suspects(errors, run.cases)
    assert suspect.indices == tuple(range(20))
    assert len(suspect.failing) == 5
    assert suspect.smallest == 0
