"""Which stage of a sweep takes how long.

Each moment is counted once: of stages within each other, the inner one has it.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

from crosscheck.engines.interface import Engine, Unsupported
from crosscheck.networks import watched

ENGINE = "engine "
"""An engine's stage is this and its name."""

ELSE = "everything else"

Result = TypeVar("Result")


class Stopwatch:
    """Seconds and calls by stage."""

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self.seconds: dict[str, float] = {}
        self.calls: Counter[str] = Counter()
        self._now, self._within, self._since = now, [ELSE], now()

    def run(self, stage: str, function: Callable[[], Result]) -> Result:
        """What the function returns; its time counts as the stage's."""
        self.calls[stage] += 1
        self.turn()
        self._within.append(stage)
        try:
            return function()
        finally:
            self.turn()
            self._within.pop()

    def turn(self) -> None:
        """The time since the last turn is that of the innermost stage."""
        now, stage = self._now(), self._within[-1]
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._since
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
        self._engine, self._watch, self._stage = engine, watch, stage

    def __getattr__(self, name: str) -> Any:
        what = getattr(self._engine, name)
        if name not in ("gradients", "gradients_of", "stages"):
            return what
        return lambda *args: self._watch.run(self._stage, partial(what, *args))


@contextmanager
def watching() -> Iterator[Stopwatch]:
    """Time every stage in here."""
    watch = Stopwatch()
    with watched.by(watch):
        yield watch
    watch.turn()
