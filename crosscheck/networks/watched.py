"""The stages of a sweep, which somebody may watch: what does a stage's work is marked as such.

Nobody watches by default, which costs a comparison a call.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec, Protocol, TypeVar

STAGES = (
    *("sampling", "float64 gradient and B", "reference", "certificate"),
    *("ℓ2 and stagewise", "judging", "rows"),
)
"""In the order that a case goes through them."""

MARKED: list[tuple[str, str]] = []
"""(stage, qualified name) of each function that is marked, of the modules imported so far."""

Given = ParamSpec("Given")
Result = TypeVar("Result")


class Watcher(Protocol):
    """Runs what belongs to a stage."""

    def run(self, stage: str, function: Callable[[], Result]) -> Result:
        """What the function returns."""
        ...


_watcher: Watcher | None = None


def stage(name: str) -> Callable[[Callable[Given, Result]], Callable[Given, Result]]:
    """Marks a function as the work of this stage, one of STAGES."""
    assert name in STAGES

    def mark(function: Callable[Given, Result]) -> Callable[Given, Result]:
        MARKED.append((name, function.__qualname__))

        @wraps(function)
        def run(*args: Given.args, **named: Given.kwargs) -> Result:
            if _watcher is None:
                return function(*args, **named)
            return _watcher.run(name, lambda: function(*args, **named))

        return run

    return mark


@contextmanager
def by(watcher: Watcher) -> Iterator[Any]:
    """Every stage in here is run by the watcher; nested watchers are not foreseen."""
    global _watcher
    _watcher = watcher
    try:
        yield watcher
    finally:
        _watcher = None
