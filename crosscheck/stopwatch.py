"""Which stage of a sweep takes how long: its real functions, timed from outside while they run.

Each moment is counted once: of stages within each other, the inner one has it.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from crosscheck import journal, sampling, suite, verdict
from crosscheck.engines.interface import Engine, Unsupported
from crosscheck.evidence import Evidence

STAGES: Mapping[str, tuple[tuple[Any, str], ...]] = {
    "sampling": ((sampling, "draw"),),
    "float64 gradient and B": (
        (suite, "prepare"),
        (Evidence, "trace"),
        (Evidence, "bound"),
    ),
    "reference": ((Evidence, "enclosure"),),
    "certificate": ((suite, "_certificate"),),
    "ℓ2 and stagewise": ((Evidence, "sensitivities"), (verdict, "stagewise_checks")),
    "judging": ((suite, "judge_together"),),
    "rows": ((suite, "_portion"), (suite, "as_tables"), (journal, "encode")),
}
"""What does the work of a stage: (module or class, name of a function or a property)."""

ENGINE = "engine "
"""An engine's stage is this and its name."""

ELSE = "everything else"


class Stopwatch:
    """Seconds and calls by stage."""

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self.seconds: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self._now, self._within, self._since = now, [ELSE], now()

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, whose time counts as the stage's."""

        def run(*args: Any, **named: Any) -> Any:
            self.calls[stage] += 1
            self._turn()
            self._within.append(stage)
            try:
                return function(*args, **named)
            finally:
                self._turn()
                self._within.pop()

        return run

    def _turn(self) -> None:
        """The time since the last turn is that of the innermost stage."""
        now = self._now()
        self.seconds[self._within[-1]] += now - self._since  # type: ignore[assignment]
        self._since = now

    def crew(self, crew: Mapping[str, Engine | Unsupported]) -> dict[str, Any]:
        """The engines, each a stage of its own; those that cannot run as they are."""
        return {
            name: engine if isinstance(engine, Unsupported) else _Timed(engine, self, ENGINE + name)
            for name, engine in crew.items()
        }


class _Timed:
    """An engine whose gradients, and whatever else it computes, are timed."""

    def __init__(self, engine: Any, watch: Stopwatch, stage: str) -> None:
        self._engine = engine
        for name in ("gradients", "gradients_of", "stages"):
            if hasattr(engine, name):
                setattr(self, name, watch.timed(stage, getattr(engine, name)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)


@contextmanager
def watching() -> Iterator[Stopwatch]:
    """Time every stage in here; afterwards all functions are as they were."""
    watch = Stopwatch()
    places = [(stage, *place) for stage, of in STAGES.items() for place in of]
    before = [(owner, name, vars(owner)[name]) for _, owner, name in places]
    try:
        for stage, owner, name in places:
            setattr(owner, name, _wrapped(watch, stage, owner, name))
        yield watch
        watch._turn()
    finally:
        for owner, name, what in before:
            setattr(owner, name, what)


def _wrapped(watch: Stopwatch, stage: str, owner: Any, name: str) -> Any:
    """A function, or a property that is computed when it is read, timed as the stage."""
    what = vars(owner)[name]
    if isinstance(what, property):
        assert what.fget is not None
        return property(watch.timed(stage, what.fget))
    if isinstance(what, cached_property):
        kept = cached_property(watch.timed(stage, what.func))
        kept.__set_name__(owner, name)
        return kept
    return watch.timed(stage, what)
