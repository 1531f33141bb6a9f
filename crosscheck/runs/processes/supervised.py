"""A process of its own for what engines are asked, watched: it may hang, die or leak alone.

What it is doing it writes into shared memory, so that its parent can say of what it died, or end
it where that takes too long. It is ended together with everything that it forked.
"""

import contextlib
import multiprocessing
import os
import pickle
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import connection
from multiprocessing.util import Finalize
from typing import Any, NamedTuple

import psutil

from crosscheck.runs.processes import worker
from crosscheck.runs.processes.worker import (
    CLOSED,
    COUNT,
    ENGINE,
    IDLE,
    INDEX,
    LOADING,
    PID,
    PLACES,
    Answer,
    End,
)

POLL_SECONDS = 0.05
LOADING_SECONDS = 120.0
"""Least time allowed for importing an engine's library, whatever the timeout of a case."""

OWN_LOADING_SECONDS = 20.0
"""The same for loading the file of a user's function."""

ENDING_SECONDS = 1.0
"""How long a process may take to end, once its descriptors are closed."""


class Allowed(NamedTuple):
    """What a process may take: seconds for one thing, seconds in all, bytes; None: no limit."""

    each: float
    loading: float = LOADING_SECONDS
    total: float | None = None
    memory: int | None = None


class Ended(NamedTuple):
    """The process ended, or was ended, before it gave all answers: `status` as of a case."""

    status: str
    message: str


Outcome = Answer | End | worker.Raised | Ended


class CannotWork(Exception):
    """Watched processes end before they have begun anything."""

    exit_status = 3


class Process:
    """A process, the state it shares, and what it was asked; `loud` lets engines print to stderr.

    Its parent may ask it again once it has come to the end of what it was asked before.
    """

    def __init__(self, loud: bool = False) -> None:
        context = multiprocessing.get_context("spawn")
        self.state: Any = context.Array("q", PLACES, lock=False)
        self.state[ENGINE] = IDLE
        self._channel, theirs = context.Pipe()
        # mypy has no Process of a context that it does not know.
        self._process: Any = context.Process(target=worker.serve, args=(theirs, self.state, loud))
        self._process.daemon = False  # engines may have processes of their own
        self._process.start()
        theirs.close()
        self._sentence: tuple[str, str] | None = None
        self._seen, self._since, self._began = -1, time.monotonic(), time.monotonic()
        # Before multiprocessing waits, at the interpreter's end, for processes that do not end.
        self._at_exit = Finalize(self, end_group, (self._process.pid,), exitpriority=100)

    @property
    def entered(self) -> bool:
        """Whether it ever came so far that it could be asked."""
        return bool(self.state[PID])

    @property
    def handles(self) -> tuple[Any, int]:
        """What becomes ready when `outcome` has something to say."""
        return self._channel, self._process.sentinel

    def ask(self, function: Callable[..., Iterator[Any]], *arguments: object) -> None:
        """Let it yield what the generator function does."""
        self._seen, self._since, self._began = -1, time.monotonic(), time.monotonic()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # `outcome` says it
            self._channel.send((function, arguments))

    def outcome(self) -> Outcome | None:
        """What came of it since this was called last, if anything."""
        try:
            if self._channel.poll():
                answer: Outcome = self._channel.recv()
                return answer
        except (EOFError, OSError, pickle.UnpicklingError):
            return self._end()
        # What it forked and left behind keeps its sentinel from becoming ready.
        if connection.wait([self._process.sentinel], 0) or self._process.exitcode is not None:
            return self._end()
        return None

    def watch(self, allowed: Allowed) -> None:
        """Kill the process where it takes too long or too much."""
        now, count = time.monotonic(), self.state[COUNT]
        if count != self._seen:
            self._seen, self._since = count, now
        each = max(allowed.each, allowed.loading) if self.loading else allowed.each
        busy = self.state[ENGINE] != IDLE
        if busy and now - self._since > each:
            self._kill("timeout", f"no answer within {each:g} s")
        elif allowed.total is not None and now - self._began > allowed.total:
            self._kill("timeout", f"no end within {allowed.total:g} s")
        elif busy and allowed.memory is not None and self._resident() > allowed.memory:
            self._kill("crash", f"passed the memory limit of {allowed.memory / 2**20:.0f} MiB")

    @property
    def loading(self) -> bool:
        """Whether it loads an engine."""
        return bool(self.state[ENGINE] != IDLE and self.state[INDEX] == LOADING)

    def _kill(self, status: str, message: str) -> None:
        if self._sentence is None:
            self._sentence = status, message
            end_group(self._process.pid)

    def _resident(self) -> int:
        try:
            return int(psutil.Process(self._process.pid).memory_info().rss)
        except psutil.Error:
            return 0

    def _end(self) -> Ended:
        """How it ended, of which all handles tell; it is helped where it has not quite."""
        self._process.join(ENDING_SECONDS)
        code = self._process.exitcode
        self.stop()
        if self._sentence is not None:
            return Ended(*self._sentence)
        return Ended("crash", how_it_ended(CLOSED if code is None else code))

    def stop(self) -> None:
        """End the process and what it forked, whatever they do."""
        self._at_exit()
        self._process.join()
        self._channel.close()


def end_group(leader: int) -> None:
    """End a process that leads a session, and all that it forked, in its group or out of it."""
    try:
        children = psutil.Process(leader).children(recursive=True)
    except psutil.Error:
        children = []
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(leader, signal.SIGKILL)
    with contextlib.suppress(psutil.Error):
        psutil.Process(leader).kill()  # it may not lead a group yet
    for child in children:
        with contextlib.suppress(psutil.Error):
            child.kill()


def how_it_ended(code: int) -> str:
    """The end of a process in words."""
    if code == CLOSED:
        return "it closed the descriptors that its process needs"
    if code >= 0:
        return f"its process ended with status {code}"
    try:
        return f"its process was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"its process was killed by signal {-code}"


def wait(processes: Sequence[Process]) -> None:
    """Until one of them has something to say, or it is time to watch them."""
    connection.wait([handle for one in processes for handle in one.handles], POLL_SECONDS)


def answers(
    function: Callable[..., Iterator[Any]],
    *arguments: object,
    allowed: Allowed,
    loud: bool = False,
) -> Iterator[Any]:
    """What the generator function yields in a process of its own; an `Ended` last if it ends it.

    Raises the ValueError that it raises, and CannotWork where there can be no such process.
    """
    process = Process(loud)
    try:
        process.ask(function, *arguments)
        while True:
            wait([process])
            outcome = process.outcome()
            if isinstance(outcome, Answer):
                yield outcome.value
            elif outcome is None:
                process.watch(allowed)
            else:
                if isinstance(outcome, Ended) and not process.entered:
                    raise CannotWork(no_start(outcome))
                if isinstance(outcome, worker.Raised):
                    if outcome.error is not None:
                        raise outcome.error
                    yield Ended("error", outcome.message)
                if isinstance(outcome, Ended):
                    yield outcome
                return
    finally:
        process.stop()


def no_start(ended: Ended) -> str:
    """A sentence for processes that cannot even begin."""
    return (
        f"processes for engines end as soon as they start ({ended.message}): nothing can be "
        "computed here; is there memory, and may this user start processes?"
    )
