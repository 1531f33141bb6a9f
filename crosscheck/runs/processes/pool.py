"""Workers for a plan: a hang, a crash or a leak of an engine costs its case, and the row says so.

Each worker is a watched process. When it dies, or is killed for the time or the memory it takes,
the attempt that it was at is condemned, and the rest of its span goes on in a fresh process.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from crosscheck.runs.plan import Plan, Span
from crosscheck.runs.processes import supervised, worker
from crosscheck.runs.processes.attempts import DRAWING, JUDGE
from crosscheck.runs.processes.supervised import Allowed, CannotWork, Ended
from crosscheck.runs.processes.worker import (
    DTYPE,
    ENGINE,
    IDLE,
    INDEX,
    LOADING,
    MANY,
    Answer,
    Job,
    Raised,
)

STARTS = 2
"""How many processes may end as soon as they start, one after the other."""


@dataclass(frozen=True)
class Limits:
    """`jobs` processes; `timeout` seconds for one engine on one case; `memory` bytes, if any."""

    jobs: int
    timeout: float
    memory: int | None = None

    def allowed(self, engine: str = "", total: float | None = None) -> Allowed:
        """What one process may take that loads this engine."""
        loading = supervised.OWN_LOADING_SECONDS if ":" in engine else supervised.LOADING_SECONDS
        return Allowed(self.timeout, loading, total, self.memory)


class Doing(NamedTuple):
    """What a worker does: the case's index and dtype, and the engine, JUDGE or DRAWING."""

    case: int
    dtype: str
    engine: str


@dataclass(eq=False)
class Task:
    """A span on its way, and what its attempts are suspected of.

    `lost` says that it was once lost by a process that did nothing at the time.
    """

    span: Span
    condemned: dict[tuple[int, str, str], tuple[str, str]] = field(default_factory=dict)
    alone: frozenset[str] = frozenset()
    suspected: frozenset[Doing] = frozenset()
    lost: bool = False


class Worker:
    """A process, and the task it has."""

    def __init__(self) -> None:
        self.process = supervised.Process()
        self.task, self.answered = Task(Span(0, 0)), False

    def start(self, task: Task, plan: Plan, broken: Mapping[str, tuple[str, str]]) -> None:
        self.task, self.answered = task, False
        job = Job(plan, task.span, task.condemned, dict(broken), task.alone)
        self.process.ask(worker.run, job)

    def doing(self, plan: Plan) -> Doing | None:
        """What it does now; None where it runs no engine, draws nothing and judges nothing."""
        state = self.process.state
        index, dtype, engine = state[INDEX], state[DTYPE], state[ENGINE]
        if engine == IDLE:
            return None
        others = {worker.JUDGE: JUDGE, worker.DRAW: DRAWING}
        return Doing(index, plan.dtypes[dtype], others.get(engine) or plan.engines[engine])

    def watch(self, plan: Plan, limits: Limits) -> None:
        doing = self.doing(plan)
        self.process.watch(limits.allowed(doing.engine if doing else ""))


class Pool:
    """Workers for one plan; used in a `with`, at whose end every process has ended.

    `broken` are engines that cannot be loaded, with the status and the message of each attempt.
    """

    def __init__(
        self, plan: Plan, limits: Limits, broken: Mapping[str, tuple[str, str]] | None = None
    ) -> None:
        self.plan, self.limits = plan, limits
        self.broken = dict(broken or {})
        self._idle: list[Worker] = []
        self._busy: list[Worker] = []
        self._failed_starts = 0

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *_: object) -> None:
        for one in [*self._idle, *self._busy]:
            one.process.stop()

    def results(self, spans: Iterable[Span]) -> Iterator[tuple[Span, bytes]]:
        """(span, bytes of its part), as they are finished; a span with a crash comes in pieces.

        Raises the ValueError of an engine that cannot be found, and CannotWork where processes
        cannot start.
        """
        waiting, again = iter(spans), deque[Task]()
        self._employ(waiting, again)
        while self._busy:
            supervised.wait([one.process for one in self._busy])
            finished: list[tuple[Span, bytes]] = []
            for one in list(self._busy):
                self._look_at(one, finished, again)
            # What is finished is written while the next is computed.
            self._employ(waiting, again)
            yield from finished

    def _look_at(
        self, one: Worker, finished: list[tuple[Span, bytes]], again: "deque[Task]"
    ) -> None:
        """Take what a worker has to say, and watch it where it has nothing to say."""
        outcome = one.process.outcome()
        if outcome is None:
            one.watch(self.plan, self.limits)
        elif isinstance(outcome, Answer):
            finished.append((one.task.span, outcome.value))
            one.answered = True
            supervised.wait([one.process])  # its end follows at once, and the next task can begin
            self._look_at(one, finished, again)
        elif isinstance(outcome, Ended):
            self._busy.remove(one)
            if not one.process.entered:
                self._count_start(outcome)
            again.extendleft(reversed(self._left(one, outcome)))
        else:
            self._failed_starts = 0
            self._busy.remove(one)
            self._idle.append(one)
            if isinstance(outcome, Raised):
                again.extendleft(reversed(self._left(one, self._as_end(one, outcome))))

    def _as_end(self, one: Worker, raised: Raised) -> Ended:
        """What an exception of ours, or of an engine where none was awaited, costs."""
        if one.process.loading and raised.error is not None:
            raise raised.error
        return Ended("error", f"internal error: {raised.message}")

    def _count_start(self, ended: Ended) -> None:
        self._failed_starts += 1
        if self._failed_starts >= STARTS:
            raise CannotWork(supervised.no_start(ended))

    def _employ(self, waiting: Iterator[Span], again: "deque[Task]") -> None:
        """Give tasks to workers, as long as there are both."""
        while len(self._busy) < self.limits.jobs:
            task = again.popleft() if again else None
            if task is None:
                span = next(waiting, None)
                if span is None:
                    return
                task = Task(span)
            one = self._idle.pop() if self._idle else Worker()
            one.start(task, self.plan, self.broken)
            self._busy.append(one)

    def _left(self, one: Worker, ended: Ended) -> list[Task]:
        """What is left to do of a task whose process ended: all but the attempt that ended it."""
        doing, task = one.doing(self.plan), one.task
        if one.answered:
            return []
        if doing is None:
            return self._without_doing(task, ended) if one.process.entered else [task]
        if doing.case == LOADING:
            self.broken[doing.engine] = (ended.status, f"when it was loaded: {ended.message}")
            return [task]
        if one.process.state[MANY]:
            # It began with this case, but any of its cases may have ended the process.
            return [replace(task, alone=task.alone | {doing.engine})]
        pieces = _pieces(task, Span(doing.case, doing.case + 1))
        here = next(piece for piece in pieces if piece.span.start == doing.case)
        by_chance = "memory" in ended.message or "SIGKILL" in ended.message
        if by_chance and doing not in task.suspected:
            # What was done before may have filled the memory: once more, in a fresh process.
            here.suspected = task.suspected | {doing}
        else:
            here.condemned[doing.case, doing.dtype, doing.engine] = ended
        return pieces

    def _without_doing(self, task: Task, ended: Ended) -> list[Task]:
        """Where a process ended that did nothing, something that it did before is to blame.

        The span is halved until one index is left; this is tried twice, and then not judged.
        """
        if task.span.size > 1:
            middle = (task.span.start + task.span.stop) // 2
            return _pieces(task, Span(task.span.start, middle))
        if task.lost:
            for dtype in self.plan.dtypes:
                task.condemned[task.span.start, dtype, DRAWING] = ended
        return [replace(task, lost=True)]


def _pieces(task: Task, middle: Span) -> list[Task]:
    """The task's span before, in and behind another."""
    span = task.span
    cuts = (Span(span.start, middle.start), middle, Span(middle.stop, span.stop))
    return [
        Task(cut, dict(task.condemned), task.alone, task.suspected) for cut in cuts if cut.size > 0
    ]
