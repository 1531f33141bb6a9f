"""The stopwatch times the suite's own functions, each moment once."""

import sys
from dataclasses import replace

import pytest

from crosscheck.networks import watched
from crosscheck.networks.distribution import Distribution
from crosscheck.results import journal
from crosscheck.runs import evaluate
from crosscheck.runs.plan import Plan, Span
from crosscheck.studies.speed import stopwatch

SMALL = Plan(
    ("paper-contracted", "paper"),
    ("float64",),
    4,
    distribution=Distribution((2, 3), (1, 4), (1, 4)),
)


def test_of_stages_within_each_other_the_inner_one_has_the_time():
    clock = iter(range(0, 100, 10))
    watch = stopwatch.Stopwatch(lambda: next(clock))
    watch.run("outer", lambda: watch.run("inner", lambda: None))
    assert watch.seconds == {stopwatch.ELSE: 10, "outer": 20, "inner": 10}
    assert watch.calls == {"outer": 1, "inner": 1}


def test_a_stage_that_fails_ends_all_the_same():
    watch = stopwatch.Stopwatch()
    with pytest.raises(ZeroDivisionError):
        watch.run("failing", lambda: 1 / 0)
    watch.seconds.clear()
    watch.turn()
    assert watch.seconds.keys() == {stopwatch.ELSE}


class Noting:
    """A watcher that notes what is run."""

    def __init__(self):
        self.stages = []

    def run(self, stage, function):
        self.stages.append(stage)
        return function()


def test_every_stage_is_gone_through_by_a_sweep():
    """A stage that nobody marks, or that is no longer called, would be measured as nothing."""
    noting = Noting()
    with watched.by(noting):
        crew = evaluate.muster(SMALL.engines)
        portions = list(evaluate.evaluate_block(replace(SMALL, certify="all"), crew, Span(0, 4)))
        journal.encode(evaluate.as_tables(portions, SMALL.engines))
    assert set(noting.stages) == set(watched.STAGES) == {stage for stage, _ in watched.MARKED}


def test_every_function_that_is_marked_is_called_by_a_sweep(monkeypatch):
    called = set()
    profiled = {name for _, name in watched.MARKED}

    def note(frame, event, _):
        if event == "call" and frame.f_code.co_qualname in profiled:
            called.add(frame.f_code.co_qualname)

    sys.setprofile(note)
    try:
        crew = evaluate.muster(SMALL.engines)
        portions = list(evaluate.evaluate_block(replace(SMALL, certify="all"), crew, Span(0, 4)))
        journal.encode(evaluate.as_tables(portions, SMALL.engines))
    finally:
        sys.setprofile(None)
    assert called == profiled


def test_afterwards_nobody_watches():
    noting = Noting()
    with pytest.raises(ZeroDivisionError), watched.by(noting):
        raise ZeroDivisionError
    evaluate.as_tables([], SMALL.engines)
    assert noting.stages == []


def test_a_marked_function_keeps_its_name_and_hands_on_what_it_is_given():
    @watched.stage("rows")
    def twice(x, *, plus=0):
        return 2 * x + plus

    watched.MARKED.pop()
    assert twice.__name__ == "twice"
    with watched.by(Noting()):
        assert twice(3, plus=1) == 7
    with pytest.raises(AssertionError):
        watched.stage("of no sweep")


def test_the_rows_are_those_of_a_sweep_that_is_not_timed():
    plain = list(evaluate.evaluate_block(SMALL, evaluate.muster(SMALL.engines), Span(0, 4)))
    with stopwatch.watching() as watch:
        crew = watch.crew(evaluate.muster(SMALL.engines))
        timed = list(evaluate.evaluate_block(SMALL, crew, Span(0, 4)))
    assert repr([p.errors.to_pylist() for p in timed]) == repr(
        [p.errors.to_pylist() for p in plain]
    )
