"""Inside a watched process: one thread for each library, silent, ends with its parent, tells what
it does.

This module imports nothing heavy, so that `enter` can set the environment before any library
reads it.
"""

import contextlib
import gc
import os
import sys
import threading
from collections.abc import Iterator, MutableSequence, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from crosscheck.networks.network import Case, Gradients
    from crosscheck.runs.plan import Plan, Span
    from crosscheck.runs.processes.attempts import Condemned, Crew

ONE_THREAD = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
XLA_ONE_THREAD = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

XLA_THREADS = "NPROC"
"""How many processors XLA believes that there are, and so the size of its pool of threads."""

COUNT, INDEX, DTYPE, ENGINE, MANY, PID = range(6)
PLACES = 6
"""Places in the state that a worker shares with its parent: how often it has begun something,
and what it began last; MANY is 1 where an engine has more than one case at a time. ENGINE counts
the plan's engines; the judge, idleness and the drawing of a case are below 0."""

JUDGE, IDLE, DRAW = -1, -2, -3
LOADING = -1
"""The INDEX while an engine is loaded."""

CLOSED = 97
"""The status with which a process ends whose descriptors an engine closed."""

State = MutableSequence[int]


class Job(NamedTuple):
    """A span of a plan, with what is known of attempts that ended processes before."""

    plan: "Plan"
    span: "Span"
    condemned: "Condemned"
    broken: dict[str, tuple[str, str]]
    alone: frozenset[str]


_state: State = [0] * PLACES
_channel: tuple[int, tuple[int, int]] | None = None
_crew: "dict[str, Any]" = {}


def serve(channel: "Connection", state: State, loud: bool = False) -> None:
    """Do what the parent asks for, one thing after the other: the life of the process.

    What is asked is a generator function and its arguments; each thing that it yields is sent
    back, then its end. What engines print goes nowhere, or where it is `loud` to stderr.
    """
    enter(channel, state, loud)
    while True:
        try:
            function, arguments = channel.recv()
        except EOFError:
            return
        try:
            for answer in function(*arguments):
                _require_channel()
                channel.send(Answer(answer))
            end: Answer | Raised | End = End()
        except Exception as error:
            from crosscheck.engines.user.contained import described

            end = Raised(error if isinstance(error, ValueError) else None, described(error))
        _require_channel()
        channel.send(end)


class Answer(NamedTuple):
    """A thing that a watched process was asked for."""

    value: Any


class End(NamedTuple):
    """There is no more of what it was asked for."""


class Raised(NamedTuple):
    """It raised; `error` only if it is a sentence on bad input."""

    error: ValueError | None
    message: str


def enter(channel: "Connection", state: State, loud: bool = False) -> None:
    """Prepare this process."""
    global _state, _channel
    if hasattr(os, "setsid"):
        os.setsid()  # so that what it forks can be ended with it, and no terminal is in reach
    _end_with_parent()
    limit_threads()
    _redirect(2 if loud else None)
    from crosscheck.engines.user import contained

    contained.ours_alone(_require_channel)
    _state, _channel = state, (channel.fileno(), _identity(channel.fileno()))
    _state[PID] = os.getpid()


def _identity(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def _require_channel() -> None:
    """End where an engine closed the way to the parent, while the state still names it."""
    if _channel is None:
        return
    try:
        if _identity(_channel[0]) == _channel[1]:
            return
    except OSError:
        pass
    os._exit(CLOSED)


def limit_threads(count: int = 1) -> None:
    """One thread for each library, so that results do not depend on the number of workers.

    Another `count` is for the benchmark. Libraries read it when they are first imported.
    """
    for name in ONE_THREAD:
        os.environ[name] = str(count)
    flags = os.environ.get("XLA_FLAGS", "").replace(XLA_ONE_THREAD, "")
    os.environ["XLA_FLAGS"] = (f"{flags} {XLA_ONE_THREAD}" if count == 1 else flags).strip()
    os.environ[XLA_THREADS] = str(count)
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache_folder() / "jax"))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")


def cache_folder() -> Path:
    """Where compiled programs are kept between runs."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "crosscheck"


def _redirect(onto: int | None) -> None:
    """What engines print goes to this descriptor, or nowhere: stdout belongs to the parent."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    target = nowhere if onto is None else onto
    for descriptor in (1, 2):
        if descriptor != target:
            os.dup2(target, descriptor)
    if nowhere > 2:
        os.close(nowhere)


def _end_with_parent() -> None:
    """End at once when the parent does, even where an engine holds the interpreter (Linux)."""
    from multiprocessing import connection, parent_process

    parent = parent_process()
    if parent is None:
        return

    def wait() -> None:
        with contextlib.suppress(OSError, ValueError):
            connection.wait([parent.sentinel])
        # An engine that closed the descriptor wakes this thread as well.
        os._exit(CLOSED if os.getppid() == parent.pid else 1)

    threading.Thread(target=wait, daemon=True).start()
    if sys.platform == "linux":
        import ctypes
        import signal

        pr_set_pdeathsig, pr_set_child_subreaper = 1, 36
        library = ctypes.CDLL(None)
        library.prctl(pr_set_pdeathsig, signal.SIGKILL)
        library.prctl(pr_set_child_subreaper, 1)  # what engines fork stays in sight
        if os.getppid() != parent.pid:
            os._exit(1)


def run(job: Job) -> Iterator[bytes]:
    """The rows of the job's span, as the bytes of a journal's part."""
    from crosscheck.results import journal
    from crosscheck.runs import evaluate

    crew = _muster(job)
    gc.freeze()  # libraries stay: looking through them again takes a tenth of a sweep
    overseer = _overseer(job)
    portions = list(evaluate.evaluate_block(job.plan, crew, job.span, overseer))
    content = journal.encode(evaluate.as_tables(portions, job.plan.engines))
    rest()
    yield content


def _muster(job: Job) -> "Crew":
    """The plan's engines, each loaded once in this process; a broken one stands as such."""
    from crosscheck.engines.interface import Broken
    from crosscheck.runs import evaluate

    crew: dict[str, Any] = {}
    for number, name in enumerate(job.plan.engines):
        if name in job.broken:
            crew[name] = Broken(name, *job.broken[name])
            continue
        if name not in _crew:
            begin(LOADING, 0, number)
            _crew[name] = evaluate.load(job.plan.address(name), job.plan.arrays)
        crew[name] = _crew[name]
    return crew


def load(plan: "Plan", names: Sequence[str]) -> Iterator[str]:
    """Load engines as `run` would; the name of each, once it is loaded.

    Raises ValueError where one cannot be found.
    """
    from crosscheck.runs import evaluate

    for name in names:
        begin(LOADING, 0, plan.engines.index(name))
        evaluate.load(plan.address(name), plan.arrays)
        rest()
        yield name


def begin(index: int, dtype: int, engine: int, many: bool = False) -> None:
    """Say what begins, where the parent reads it."""
    _state[INDEX], _state[DTYPE], _state[ENGINE], _state[MANY] = index, dtype, engine, many
    _state[COUNT] += 1


def rest() -> None:
    """Say that nothing is being done that could not end."""
    _state[ENGINE] = IDLE


class Timed:
    """An engine each of whose gradients the parent sees begin and end."""

    def __init__(self, engine: Any) -> None:
        self.engine, self.name = engine, engine.name
        self.arithmetic, self.supports = engine.arithmetic, engine.supports

    def __getattr__(self, name: str) -> Any:
        if name == "engine":
            raise AttributeError(name)
        return getattr(self.engine, name)

    def gradients(self, case: "Case") -> "Gradients":
        """The engine's."""
        begin(0, 0, 0)
        try:
            return self.engine.gradients(case)
        finally:
            rest()


def _overseer(job: Job) -> Any:
    from crosscheck.runs.processes.attempts import Overseer

    class Telling(Overseer):
        """Writes what begins where the parent reads it."""

        condemned = job.condemned
        alone = job.alone

        def begin(self, case: "Case", engine: str, many: bool = False) -> None:
            number = job.plan.engines.index(engine) if engine else JUDGE
            begin(case.index, job.plan.dtypes.index(case.dtype), number, many)

        def begin_drawing(self, index: int, dtype: str) -> None:
            begin(index, job.plan.dtypes.index(dtype), DRAW)

    return Telling()
