"""The stopwatch times the suite's own functions, each moment once."""

from dataclasses import replace

import pytest

from crosscheck import stopwatch, suite
from crosscheck.distribution import Distribution
from crosscheck.plan import Plan, Span

SMALL = Plan(
    ("paper-contracted", "paper"),
    ("float64",),
    4,
    distribution=Distribution((2, 3), (1, 4), (1, 4)),
)


def test_of_stages_within_each_other_the_inner_one_has_the_time():
    clock = iter(range(0, 100, 10))
    watch = stopwatch.Stopwatch(lambda: next(clock))
    inner = watch.timed("inner", lambda: None)
    watch.timed("outer", inner)()
    assert watch.seconds == {stopwatch.ELSE: 10, "outer": 20, "inner": 10}
    assert watch.calls == {"outer": 1, "inner": 1}


def test_a_stage_that_fails_ends_all_the_same():
    watch = stopwatch.Stopwatch()
    with pytest.raises(ZeroDivisionError):
        watch.timed("failing", lambda: 1 / 0)()
    assert watch._within == [stopwatch.ELSE]


def test_every_function_of_every_stage_is_called_by_a_sweep(monkeypatch):
    """What is renamed in the suite, or no longer called, would be measured as nothing."""
    alone = {
        f"{stage}: {name}": (place,)
        for stage, places in stopwatch.STAGES.items()
        for place in places
        for _, name in [place]
    }
    monkeypatch.setattr(stopwatch, "STAGES", alone)
    with stopwatch.watching() as watch:
        crew = watch.crew(suite.muster(SMALL.engines))
        portions = list(suite.evaluate_block(replace(SMALL, certify="all"), crew, Span(0, 4)))
        stopwatch.journal.encode(suite.as_tables(portions, SMALL.engines))
    assert watch.calls.keys() == {*alone, "engine paper-contracted", "engine paper"}


def test_afterwards_every_function_is_as_it_was():
    places = [place for of in stopwatch.STAGES.values() for place in of]
    before = [vars(owner)[name] for owner, name in places]
    with stopwatch.watching():
        assert all(vars(o)[n] is not b for (o, n), b in zip(places, before, strict=True))
    assert [vars(owner)[name] for owner, name in places] == before


def test_the_rows_are_those_of_a_sweep_that_is_not_timed():
    plain = list(suite.evaluate_block(SMALL, suite.muster(SMALL.engines), Span(0, 4)))
    with stopwatch.watching() as watch:
        crew = watch.crew(suite.muster(SMALL.engines))
        timed = list(suite.evaluate_block(SMALL, crew, Span(0, 4)))
    assert repr([p.errors.to_pylist() for p in timed]) == repr(
        [p.errors.to_pylist() for p in plain]
    )
