"""Actions timed in turn, round after round, and ratios between neighbours in time.

What disturbs the machine disturbs both of a ratio. A figure is the median of the rounds, with the
least and the greatest.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from typing import Any, NamedTuple

import numpy as np

from crosscheck.runs.processes import worker

Action = Callable[[], Any]

ROUNDS, ROUND_SECONDS = 15, 0.02
"""Rounds of each comparison, and the least time of one action in one."""

LEAST_CALLS, LONG_SECONDS = 4, 0.1
"""Calls of an action in a round, if one takes no longer than this. One more before them is not
counted: it finds in the caches what another action left there. A longer one is called once."""


class Figure(NamedTuple):
    """A number measured in several rounds."""

    median: float
    least: float
    greatest: float

    def __str__(self) -> str:
        return f"{short(self.median)} ({short(self.least)} – {short(self.greatest)})"


def short(value: float) -> str:
    """Three digits, and those before the point; no power of ten below a million."""
    return f"{value:.0f}" if 1000 <= value < 1e6 else f"{value:.3g}"


def figure(rounds: Any) -> Figure:
    """The median of the rounds, the least and the greatest."""
    values = np.asarray(rounds, dtype=float)
    return Figure(float(np.median(values)), float(values.min()), float(values.max()))


def ratio(one: Sequence[float], other: Sequence[float]) -> Figure:
    """one / other, round by round."""
    return figure(np.array(one) / np.array(other))


def median_of(text: object) -> float:
    """The first number of a figure's text; NaN where there is none."""
    first = str(text).removeprefix("≈ ").split(" ")[0]
    try:
        return float(first)
    except ValueError:
        return float("nan")


def times(actions: Mapping[str, Action], rounds: int = ROUNDS) -> dict[str, list[float]]:
    """Seconds of one call of each action in a steady state, for each round."""
    calls = {}
    for name, action in actions.items():
        action()
        once = max(_seconds(action, 1), 1e-7)
        if ROUND_SECONDS / LEAST_CALLS < once < 1:
            once = min(once, _seconds(action, 1))  # the machine may have been elsewhere
        calls[name] = 1 if once > LONG_SECONDS else max(LEAST_CALLS, int(ROUND_SECONDS / once))
    found: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(rounds):
        for name, action in actions.items():
            if calls[name] > 1:
                action()
            found[name].append(_seconds(action, calls[name]))
    return found


def _seconds(action: Action, calls: int) -> float:
    """The time of one of so many calls."""
    started = time.perf_counter()
    for _ in range(calls):
        action()
    return (time.perf_counter() - started) / calls


@contextmanager
def threads(count: int = 1) -> Iterator[None]:
    """So many threads for the BLAS and for torch, and as before afterwards."""
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        with threadpool_limits(count):
            yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def processes(counts: Sequence[int]) -> Iterator[Mapping[int, Executor]]:
    """A process for each number of threads, to be used in turn: XLA's are fixed at its start."""
    with ExitStack() as stack:
        yield {
            count: stack.enter_context(
                ProcessPoolExecutor(1, get_context("spawn"), worker.limit_threads, (count,))
            )
            for count in counts
        }
