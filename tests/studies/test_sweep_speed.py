"""The tables of a sweep's speed and memory: what they hold and how it is reckoned."""

import subprocess
import sys

import pytest

from crosscheck.networks.distribution import Distribution
from crosscheck.runs.plan import Plan, Span, missing
from crosscheck.studies.speed import stopwatch, sweep, timing

TINY = Plan(
    ("paper-contracted",), ("float32",), 2000, distribution=Distribution((2, 3), (1, 4), (1, 4))
)


def test_the_stages_of_a_sweep_add_up_to_the_whole():
    crew = sweep.evaluate.muster(TINY.engines)
    sweep.cost(TINY, Span(100, 102), crew)
    found = sweep.cost(TINY, Span(100, 140), crew)
    whole = found.pop(sweep.WHOLE)
    assert list(found)[:2] == ["sampling", "engine paper-contracted"]
    assert sum(found.values()) == pytest.approx(whole, rel=0.1)
    assert found[stopwatch.ELSE] < whole / 2


def invented(settings, rounds):
    """Costs of an architecture in each setting: twice as much in the second as in the first."""
    return {
        key: {
            "sampling": [1e-6 * n] * rounds,
            "engine a": [2e-6 * n] * rounds,
            "engine b": [3e-6 * n] * rounds,
            stopwatch.ELSE: [4e-6 * n] * rounds,
            sweep.WHOLE: [10e-6 * n] * rounds,
        }
        for n, key in enumerate(settings, start=1)
    }


def test_a_stage_costs_a_million_times_as_much_for_a_million(monkeypatch):
    monkeypatch.setattr(sweep, "costs", invented)
    table = sweep.stages(3, Plan(dtypes=("float32", "float64")))
    assert list(table["dtype"][:2]) == ["float32", "float64"]
    line = table[(table["stage"] == "engine a") & (table["dtype"] == "float64")].iloc[0]
    assert line["µs"] == "4 (4 – 4)"
    assert line["a second"] == "250000"
    assert line["share"] == "20.0%"
    whole = table.iloc[-1]
    assert (whole["stage"], whole["share"]) == ("whole", "100.0%")
    assert float(whole["hours a million"]) == pytest.approx(20 / 3600, abs=0.005)


def test_what_grows_is_compared_with_its_first_size(monkeypatch):
    monkeypatch.setattr(sweep, "costs", invented)
    axes = {"width": sweep.Axis((4, 8), Span(0, 1)), "cases": sweep.Axis((9,), Span(0, 1))}
    table = sweep.growth(3, Plan(dtypes=("float32",)), axes)
    assert list(table["grows"]) == ["width", "width", "cases"]
    assert list(table["to"]) == [4, 8, 9]
    assert list(table["time / first"]) == ["1 (1 – 1)", "2 (2 – 2)", "1 (1 – 1)"]
    assert list(table["a second"][:2]) == ["100000 (100000 – 100000)", "50000 (50000 – 50000)"]
    parts = [column for column in table if column.endswith(" µs")]
    assert table.loc[1, parts].astype(float).sum() == 20


@pytest.mark.parametrize("axis", sweep.AXES)
def test_one_thing_grows_and_nothing_else(axis):
    small, large = (sweep.grown(TINY, axis, value) for value in (7, 9))
    changed = {
        name
        for name in ("layers", "widths", "samples")
        if getattr(small.distribution, name) != getattr(large.distribution, name)
    }
    assert changed == {{"width": "widths", "cases": None}.get(axis, axis)} - {None}
    assert (small.cases, large.cases) == ((7, 9) if axis == "cases" else (2000, 2000))


def test_all_stages_are_in_one_group():
    names = [*sweep.stage_clocks({"a": None, "b": None})]
    groups = [start for of in sweep.GROUPS.values() for start in of]
    assert all(sum(name.startswith(start) for start in groups) == 1 for name in names)


def test_workers_are_compared_with_one_on_the_same_cases(monkeypatch):
    clock, asked = [0.0], []

    class Pool:
        def __init__(self, plan, limits):
            self.jobs = limits.jobs

        def __enter__(self):
            return self

        def __exit__(self, *_):
            asked.append("closed")

        def results(self, spans):
            asked.append((self.jobs, list(spans)))
            clock[0] += 4 / self.jobs
            return iter(())

    monkeypatch.setattr(sweep, "Pool", Pool)
    monkeypatch.setattr(sweep.time, "perf_counter", lambda: clock[0])
    table = sweep.workers(3, Plan(dtypes=("float32", "float64")), Span(10, 50))
    assert list(table["a second"]) == ["20 (20 – 20)", "40 (40 – 40)"]
    assert list(table["/ one process"]) == ["1 (1 – 1)", "2 (2 – 2)"]
    assert [of[0] for of in asked if of != "closed"] == [1, 2] * 4
    assert not any(missing(Span(10, 50), of[1]) for of in asked if of != "closed")
    assert asked[-2:] == ["closed", "closed"]


def test_memory_is_compared_with_that_of_the_smallest_run(monkeypatch):
    held = {2000: sweep.Held(2.0, 10**8, 4 * 10**8), 20000: sweep.Held(8.0, 10**8, 5 * 10**8)}
    monkeypatch.setattr(sweep, "held_by_run", lambda cases, options: held[cases])
    table = sweep.memory(3, 20_000)
    assert list(table["cases"]) == [2000, 20000]
    assert list(table["all, MB"]) == ["400 (400 – 400)", "500 (500 – 500)"]
    assert list(table["all / first"]) == ["1 (1 – 1)", "1.25 (1.25 – 1.25)"]
    assert [timing.median_of(of) for of in table["a second"]] == [1000, 2500]


@pytest.mark.parametrize(
    ("largest", "ladder"),
    [(100, [100]), (2000, [2000]), (5000, [2000, 5000]), (200_000, [2000, 20_000, 200_000])],
)
def test_runs_grow_to_the_largest(largest, ladder):
    assert list(sweep.ladder(largest)) == ladder


def test_what_a_process_and_its_children_hold_together_is_seen():
    """The child holds it for half a second, long before both end."""
    child = "import time; x = b'1' * 80_000_000; time.sleep(0.5); del x; time.sleep(0.3)"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    with subprocess.Popen([sys.executable, "-c", code]) as run:
        parent, together = sweep.resident_bytes(run)
    assert 0 < parent < 80_000_000 < together - parent


def test_a_run_of_the_command_is_watched_to_its_end():
    held = sweep.held_by_run(4, [*sweep.LIGHT[:-1], "1"])
    assert 0 < held.parent < held.together


def test_a_run_that_fails_is_told():
    with pytest.raises(ValueError, match="a run of 4 cases failed: crosscheck: unknown engine"):
        sweep.held_by_run(4, ["--engines", "dreams"])
