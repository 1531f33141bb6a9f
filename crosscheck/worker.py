"""A worker process: one thread for each library, silent, ends with its parent, tells what it does.

This module imports nothing heavy, so that `enter` can set the environment before any library
reads it.
"""

import gc
import os
import sys
import threading
from collections.abc import MutableSequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from crosscheck.attempts import Condemned, Crew
    from crosscheck.plan import Plan, Span
    from crosscheck.values import Case

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
the plan's engines; the judge and idleness are below 0."""

JUDGE, IDLE = -1, -2
LOADING = -1
"""The INDEX while an engine is loaded."""

State = MutableSequence[int]


class Job(NamedTuple):
    """A span of a plan, with what is known of attempts that ended processes before."""

    plan: "Plan"
    span: "Span"
    condemned: "Condemned"
    broken: dict[str, tuple[str, str]]
    alone: frozenset[str]


_state: State = [0] * PLACES
_crew: "dict[str, Any]" = {}


def enter(state: State) -> None:
    """Prepare this process: the initializer of the pool."""
    global _state
    if not state[PID]:
        # A pool starts another process in the place of a dead one; what the dead one was doing
        # must stay readable.
        _state = state
    _end_with_parent()
    _may_have_children()
    limit_threads()
    _be_silent()
    _state[PID] = os.getpid()


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


def _be_silent() -> None:
    """What engines print goes nowhere: the terminal belongs to the parent."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.close(nowhere)


def _end_with_parent() -> None:
    """End at once when the parent does, even where an engine holds the interpreter (Linux)."""
    from multiprocessing import connection, parent_process

    parent = parent_process()
    if parent is None:
        return

    def wait() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
    if sys.platform == "linux":
        import ctypes
        import signal

        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
        if os.getppid() != parent.pid:
            os._exit(1)


def _may_have_children() -> None:
    """A pool's processes are daemons, which multiprocessing lets have none; engines may."""
    import multiprocessing

    multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined]


def run(job: Job) -> bytes:
    """The rows of the job's span, as the bytes of a journal's part."""
    from crosscheck import journal, suite

    crew = _muster(job)
    gc.freeze()  # libraries stay: looking through them again takes a tenth of a sweep
    overseer = _overseer(job)
    portions = list(suite.evaluate_block(job.plan, crew, job.span, overseer))
    _state[ENGINE] = IDLE
    return journal.encode(suite.as_tables(portions, job.plan.engines))


def _muster(job: Job) -> "Crew":
    """The plan's engines, each loaded once in this process; a broken one stands as such."""
    from crosscheck import suite
    from crosscheck.engines.broken import Broken

    crew: dict[str, Any] = {}
    for number, name in enumerate(job.plan.engines):
        if name in job.broken:
            crew[name] = Broken(name, *job.broken[name])
            continue
        if name not in _crew:
            _begin(LOADING, 0, number)
            _crew[name] = suite.load(job.plan.address(name), job.plan.arrays)
        crew[name] = _crew[name]
    return crew


def _begin(index: int, dtype: int, engine: int, many: bool = False) -> None:
    _state[INDEX], _state[DTYPE], _state[ENGINE], _state[MANY] = index, dtype, engine, many
    _state[COUNT] += 1


def _overseer(job: Job) -> Any:
    from crosscheck.attempts import Overseer

    class Telling(Overseer):
        """Writes what begins where the parent reads it."""

        condemned = job.condemned
        alone = job.alone

        def begin(self, case: "Case", engine: str, many: bool = False) -> None:
            number = job.plan.engines.index(engine) if engine else JUDGE
            _begin(case.index, job.plan.dtypes.index(case.dtype), number, many)

    return Telling()
