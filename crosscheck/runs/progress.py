"""How far a run is: a bar on a terminal, plain lines elsewhere, with rate and time left."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from crosscheck.runs.spread.sweep import Done

LINE_SECONDS = 10.0
"""Least time between two lines of a plain log."""


class Clock:
    """Rate and time left, from the cases that this run has done, not an earlier one."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now, self._started = now, now()

    def sentence(self, done: Done) -> str:
        """Such as "112 cases a second, 0:03 left"; empty before the first case is done."""
        elapsed = self._now() - self._started
        mine = done.cases - done.before
        if not mine or elapsed <= 0:
            return ""
        rate = mine / elapsed
        left = round((done.total - done.cases) / rate)
        shown = f"{rate:.0f}" if rate >= 10 else f"{rate:.2g}"
        return f"{shown} cases a second, {_clock(left)} left"


def _clock(seconds: int) -> str:
    """Seconds as h:mm:ss or m:ss."""
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


@contextmanager
def shown(console: Console) -> Iterator[Callable[[Done], None]]:
    """A function that shows how far a run is, each time it is called."""
    clock = Clock()
    if not console.is_terminal:
        yield plain_log(console, clock)
        return
    columns = (
        TextColumn("cases"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("cases", total=None, rate="")
        yield lambda done: bar.update(
            task, completed=done.cases, total=done.total, rate=clock.sentence(done)
        )


def plain_log(
    console: Console, clock: Clock, now: Callable[[], float] = time.monotonic
) -> Callable[[Done], None]:
    """A line now and then."""
    last = now()

    def show(done: Done) -> None:
        nonlocal last
        if done.cases < done.total and now() - last >= LINE_SECONDS:
            last = now()
            line = f"{done.cases} of {done.total} cases, {clock.sentence(done)}"
            console.print(line, markup=False, highlight=False, soft_wrap=True)

    return show
