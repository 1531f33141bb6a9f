"""`crosscheck reproduce`: a case again, in a watched process; what the command does, without it."""

from collections.abc import Iterator

from crosscheck.engines.interface import Broken, Engine, Unsupported
from crosscheck.faults import reproduce
from crosscheck.faults.reproduce import Reproduction
from crosscheck.networks.distribution import Distribution
from crosscheck.results.outcome import FAILED
from crosscheck.runs import evaluate
from crosscheck.runs.processes import supervised, worker
from crosscheck.runs.processes.supervised import Allowed, Ended


class CannotRun(ValueError):
    """An engine that was asked for by name cannot run here."""

    exit_status = 3


class EngineEnded(Exception):
    """The engine ended its process, or had to be ended, before it could be judged."""

    exit_status = FAILED


def run(
    case_id: str,
    address: str,
    of: Distribution,
    seconds: float | None,
    arrays: str = "numpy",
    timeout: float = 120.0,
    full: bool = False,
) -> Reproduction:
    """What is to be printed of the case, and the exit status; what the engine prints is on stderr.

    With `seconds`, the smallest case that fails is looked for so long. One gradient may take
    `timeout` seconds. Of what a function raised the last lines are shown, or all: `full`. Where
    the engine ends its process later than on the case itself, there is what was found out
    before, and how it ended.

    Raises ValueError for a case or an engine that cannot be found, and EngineEnded.
    """
    allowed = Allowed(timeout, supervised.OWN_LOADING_SECONDS if ":" in address else timeout)
    arguments = case_id, address, of, seconds, arrays, full
    last: Reproduction | None = None
    for answer in supervised.answers(work, *arguments, allowed=allowed, loud=True):
        if not isinstance(answer, Ended):
            last = answer
        elif last is None:
            raise EngineEnded(f"{address} on {case_id}: {answer.message}")
        else:
            last = Reproduction(f"{last.text}\n\nThen {answer.message}.", last.exit_status)
    assert last is not None
    return last


def load(address: str, arrays: str = "numpy") -> Engine:
    """The engine of the table, or the function, of this name.

    Raises ValueError where it cannot be found, and CannotRun where it cannot run here.
    """
    engine = evaluate.load(address, arrays)
    if isinstance(engine, (Unsupported, Broken)):
        why = engine.message if isinstance(engine, Broken) else str(engine)
        raise CannotRun(f"{address}: {why}" if isinstance(engine, Broken) else why)
    return engine


def work(
    case_id: str, address: str, of: Distribution, seconds: float | None, arrays: str, full: bool
) -> Iterator[Reproduction]:
    """Inside the process."""
    worker.begin(worker.LOADING, 0, 0)
    engine = load(address, arrays)
    worker.begin(0, 0, 0)
    case = reproduce.rebuild(case_id, of)
    worker.rest()
    place = address if ":" in address else ""
    yield from reproduce.describe(worker.Timed(engine), place, case, seconds, full)
