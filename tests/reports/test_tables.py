"""The summary that is counted part by part is that of all rows at once."""

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from support.invented import changed, failing

from crosscheck.networks.distribution import Distribution
from crosscheck.reports import quantiles, tables
from crosscheck.reports.formats import markdown, terminal
from crosscheck.results import outcome
from crosscheck.runs import command, evaluate, gating, progress
from crosscheck.runs.plan import Plan, Span
from crosscheck.runs.spread.sweep import Done

PLAN = Plan(
    ("paper", "paper-contracted"),
    ("float32", "float64"),
    12,
    0,
    Distribution((2, 4), (1, 5), (1, 5)),
)


@pytest.fixture(scope="module")
def parts():
    crew = evaluate.muster(PLAN.engines)
    found = []
    for span in (Span(0, 5), Span(5, 6), Span(6, 12)):
        frames = evaluate.as_frames(list(evaluate.evaluate_block(PLAN, crew, span)), PLAN.engines)
        found.append(tables.Part(frames.errors, frames.cases, frames.pairs))
    return found


def summed(parts):
    counting = tables.RunTally()
    for part in parts:
        counting.add(part)
    return counting.summary()


def test_the_tally_is_the_summary_of_all_rows(parts):
    whole = tables.Part(*(pd.concat(of, ignore_index=True) for of in zip(*parts, strict=True)))
    summary = summed(parts)
    at_once = tables.summary(whole)
    assert summary.engines.equals(at_once.engines)
    assert summary.pairs.equals(at_once.pairs)
    assert summary.not_covered == at_once.not_covered
    assert summary.cases == len(whole.cases)
    assert summary.tensors == len(whole.errors)


def test_the_summary_of_a_large_run_shows_what_a_reader_needs(parts):
    summary = summed(parts)
    record = {"exit_status": 0, "specials_left_out": ["one"], "command": "crosscheck run"}
    text = markdown.brief(summary, record)
    assert "No defect" in text
    assert "special case left out: one" in text
    console = Console(record=True, width=120)
    terminal.show(console, summary, record)
    assert "paper-contracted" in console.export_text()


@pytest.mark.parametrize("verdict", ["SUSPECT", "DEFECT"])
def test_a_run_too_large_to_be_read_at_once_has_the_same_words_and_figures(
    verdict, made, put, monkeypatch
):
    """Above the limit a run is shown from what was counted, below it from all of its rows."""
    run = changed(failing(made(), "b", 5), verdict=verdict)
    record = run.record | {"exit_status": outcome.DEFECT}
    monkeypatch.setattr(quantiles, "EXACT_VALUES", 50)
    errors = [run.errors[run.errors["index"] % 3 == third] for third in range(3)]
    cases = [run.cases[run.cases["index"] % 3 == third] for third in range(3)]
    summary = summed(tables.Part(e, c, run.pairs) for e, c in zip(errors, cases, strict=True))
    shown = {}
    for limit in (command.READABLE_ROWS, 0):
        monkeypatch.setattr(command, "READABLE_ROWS", limit)
        folder, console = put(run, f"run{limit}"), Console(record=True, width=140)
        command.conclude(folder, summary, record)
        assert command.end(folder, summary, gating.PLAINLY, console) == 1
        figures = (folder / "summary.csv").read_text()
        engines = (folder / "summary.md").read_text().split("## Engines\n\n")[1].split("\n\n")[0]
        shown[limit] = figures, engines, console.export_text().replace(folder.name, "")
    below, above = shown.values()
    assert above == below
    assert f"{verdict}: " in above[2]


def counted(values, pieces):
    found = quantiles.Quantiles()
    for piece in np.array_split(values, pieces):
        found.add(piece)
    return found


@pytest.mark.parametrize("q", [0.01, 0.5, 0.99, 1])
def test_few_values_have_exact_quantiles(q):
    values = np.random.default_rng(0).exponential(size=1001)
    exact = np.quantile(values, q, method="inverted_cdf")
    assert counted(values, 7).at(q) == exact


@pytest.mark.parametrize("q", [0.01, 0.5, 0.99])
def test_many_values_have_quantiles_within_the_stated_factor(q, monkeypatch):
    monkeypatch.setattr(quantiles, "EXACT_VALUES", 500)
    values = 10.0 ** np.random.default_rng(1).uniform(-12, 12, 20_000)
    values[:5] = np.inf
    values[5:9] = np.nan
    exact = np.quantile(values[~np.isnan(values)], q, method="inverted_cdf")
    found = counted(values, 31)
    assert found.at(q) <= exact <= found.at(q) * (1 + 2.0**-12)
    assert found.at(1) == np.inf
    assert found.at(q) == counted(values[::-1], 5).at(q)


def test_no_values_have_no_quantile():
    assert np.isnan(quantiles.Quantiles().at(0.5))


def test_rate_and_time_left_are_those_of_this_run():
    now = iter([0.0, 10.0])
    clock = progress.Clock(lambda: next(now))
    assert clock.sentence(Done(300, 500, 100)) == "20 cases a second, 0:10 left"
    assert progress.Clock().sentence(Done(100, 500, 100)) == ""


def test_a_plain_log_is_lines_now_and_then(monkeypatch):
    now = iter([0.0, 1.0, 11.0, 11.0, 12.0])
    console = Console(record=True, force_terminal=False, width=80)
    show = progress.plain_log(console, progress.Clock(lambda: 0.0), lambda: next(now))
    for cases in (1, 2, 3):
        show(Done(cases, 9, 0))
    assert console.export_text().count("of 9 cases") == 1
