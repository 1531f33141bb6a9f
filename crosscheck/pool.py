"""Worker processes, watched: a hang, a crash or a leak costs its own case, and the row says so.

Each worker is a pool of one process (pebble), so that killing one never touches the pipe of
another. What a worker is doing it writes into shared memory; when it dies, or is killed for
the time or the memory it takes, that attempt is condemned, and the rest of its span goes on
in a fresh process.
"""

import contextlib
import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import psutil
from pebble import ProcessExpired, ProcessPool

from crosscheck import worker
from crosscheck.plan import Plan, Span
from crosscheck.worker import (
    COUNT,
    DTYPE,
    ENGINE,
    IDLE,
    INDEX,
    JUDGE,
    LOADING,
    MANY,
    PID,
    PLACES,
    Job,
)

POLL_SECONDS = 0.05
LOADING_SECONDS = 120.0
"""Least time allowed for importing an engine's library, whatever the timeout of a case."""

LOST_SECONDS = 1.0
"""How long a process may be gone before its answer is taken as lost."""


@dataclass(frozen=True)
class Limits:
    """`jobs` processes; `timeout` seconds for one engine on one case; `memory` bytes, if any."""

    jobs: int
    timeout: float
    memory: int | None = None


class Doing(NamedTuple):
    """What a worker does: the case's index and dtype, and the engine; "" is the judge."""

    case: int
    dtype: str
    engine: str


@dataclass(eq=False)
class Task:
    """A span on its way, and what its attempts are suspected of."""

    span: Span
    condemned: dict[tuple[int, str, str], tuple[str, str]] = field(default_factory=dict)
    alone: frozenset[str] = frozenset()
    suspected: frozenset[Doing] = frozenset()


class Worker:
    """A process, the state it shares, and the task it has."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.state: Any = context.Array("q", PLACES, lock=False)
        self.state[ENGINE] = IDLE
        self.task: Task | None = None
        self.future: Future[bytes] | None = None
        self.sentence: tuple[str, str] | None = None
        self._seen, self._since = -1, time.monotonic()
        self._gone_since: float | None = None
        self._pool = ProcessPool(1, 0, worker.enter, (self.state,), context)

    def start(self, task: Task, plan: Plan, broken: dict[str, tuple[str, str]]) -> None:
        self.task, self.sentence = task, None
        self._since = time.monotonic()
        job = Job(plan, task.span, task.condemned, dict(broken), task.alone)
        self.future = self._pool.schedule(worker.run, (job,))

    def doing(self, plan: Plan) -> Doing | None:
        """What it does now; None where it runs no engine and judges nothing."""
        index, dtype, engine = self.state[INDEX], self.state[DTYPE], self.state[ENGINE]
        if engine == IDLE:
            return None
        return Doing(index, plan.dtypes[dtype], plan.engines[engine] if engine != JUDGE else "")

    def watch(self, plan: Plan, limits: Limits) -> None:
        """Kill the process where it takes too long or too much; notice where it is gone."""
        now, pid = time.monotonic(), self.state[PID]
        if self.state[COUNT] != self._seen:
            self._seen, self._since = self.state[COUNT], now
        doing = self.doing(plan)
        if doing is None or self.sentence is not None:
            self._notice_if_gone(pid, now)
            return
        allowed = limits.timeout
        if doing.case == LOADING:
            allowed = max(allowed, LOADING_SECONDS)
        if now - self._since > allowed:
            self._kill(pid, "timeout", f"no answer within {allowed:g} s")
        elif limits.memory is not None and _resident(pid) > limits.memory:
            size = f"{limits.memory / 2**20:.0f} MiB"
            self._kill(pid, "crash", f"passed the memory limit of {size}")
        else:
            self._notice_if_gone(pid, now)

    def _kill(self, pid: int, status: str, message: str) -> None:
        self.sentence = (status, message)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def _notice_if_gone(self, pid: int, now: float) -> None:
        """A process that ends with status 0 is nothing that its pool reports."""
        if not pid or _alive(pid):
            self._gone_since = None
        elif self._gone_since is None:
            self._gone_since = now
        elif now - self._gone_since > LOST_SECONDS and self.future is not None:
            self.future.cancel()

    def stop(self) -> None:
        """End the process, whatever it does."""
        pid = self.state[PID]
        if pid and self.task is not None and _alive(pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._pool.stop()
        self._pool.join()


def _resident(pid: int) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def _alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


class Pool:
    """Workers for one plan; used in a `with`, at whose end every process has ended."""

    def __init__(self, plan: Plan, limits: Limits) -> None:
        self.plan, self.limits = plan, limits
        self.broken: dict[str, tuple[str, str]] = {}
        self._idle: list[Worker] = []
        self._busy: list[Worker] = []

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *_: object) -> None:
        for one in [*self._idle, *self._busy]:
            one.stop()

    def results(self, spans: Iterable[Span]) -> Iterator[tuple[Span, bytes]]:
        """(span, bytes of its part), as they are finished; a span with a crash comes in pieces."""
        waiting = deque(Task(span) for span in spans)
        self._employ(waiting)
        while self._busy:
            futures = [one.future for one in self._busy if one.future is not None]
            wait(futures, POLL_SECONDS, FIRST_COMPLETED)
            finished = []
            for one in list(self._busy):
                if one.future is None or not one.future.done():
                    one.watch(self.plan, self.limits)
                    continue
                self._busy.remove(one)
                task = one.task
                assert task is not None
                content = self._content(one)
                if content is None:
                    waiting.extendleft(reversed(self._again(one, task)))
                    continue
                one.task = None
                self._idle.append(one)
                finished.append((task.span, content))
            # What is finished is written while the next is computed.
            self._employ(waiting)
            yield from finished

    def _employ(self, waiting: "deque[Task]") -> None:
        """Give tasks to workers, as long as there are both."""
        while waiting and len(self._busy) < self.limits.jobs:
            one = self._idle.pop() if self._idle else Worker()
            one.start(waiting.popleft(), self.plan, self.broken)
            self._busy.append(one)

    def _content(self, one: Worker) -> bytes | None:
        """What the worker sent, or None where its process ended before it could."""
        assert one.future is not None
        if one.future.cancelled():
            return None
        error = one.future.exception()
        if error is None:
            return one.future.result()
        if isinstance(error, (ProcessExpired, BrokenProcessPool)):
            if one.sentence is None:
                one.sentence = ("crash", _how_it_ended(error))
            return None
        raise error

    def _again(self, one: Worker, task: Task) -> list[Task]:
        """What is left to do of a task whose process ended: all but the attempt that ended it."""
        doing = one.doing(self.plan)
        status, message = one.sentence or ("crash", "its process ended with status 0")
        one.stop()
        if doing is None:
            return [Task(task.span, task.condemned, task.alone)]
        if doing.case == LOADING:
            self.broken[doing.engine] = (status, f"when it was loaded: {message}")
            return [task]
        if one.state[MANY]:
            # It began with this case, but any of its cases may have ended the process.
            return [replace(task, alone=task.alone | {doing.engine})]
        pieces = _pieces(task, doing)
        here = next(piece for piece in pieces if piece.span.start == doing.case)
        by_chance = "memory" in message or "SIGKILL" in message
        if by_chance and doing not in task.suspected:
            # What was done before may have filled the memory: once more, in a fresh process.
            here.suspected = task.suspected | {doing}
        else:
            here.condemned[doing.case, doing.dtype, doing.engine] = (status, message)
        return pieces


def _pieces(task: Task, doing: Doing) -> list[Task]:
    """The task's span before, at and behind an index."""
    span, at = task.span, doing.case
    cuts = (Span(span.start, at), Span(at, at + 1), Span(at + 1, span.stop))
    return [
        Task(cut, dict(task.condemned), task.alone, task.suspected) for cut in cuts if cut.size > 0
    ]


def _how_it_ended(error: BaseException) -> str:
    """The end of a process in words."""
    code = getattr(error, "exitcode", None)
    if code is None:
        return "its process ended"
    if code < 0:
        try:
            return f"its process was killed by {signal.Signals(-code).name}"
        except ValueError:
            return f"its process was killed by signal {-code}"
    return f"its process ended with status {code}"
