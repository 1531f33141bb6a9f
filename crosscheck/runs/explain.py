"""What a finished run's defects are: the mistake behind each failing engine, if it is known.

Engines run again for that, so they do in a watched process, with the run's limits for each
gradient and one for all: what an engine does to it costs the explanation and nothing else.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from crosscheck.engines.interface import Broken, Unsupported
from crosscheck.engines.user.contained import described
from crosscheck.runs import evaluate, explaining
from crosscheck.runs.explaining import Explanation, Suspect
from crosscheck.runs.plan import Plan
from crosscheck.runs.processes import supervised, worker
from crosscheck.runs.processes.pool import Limits
from crosscheck.runs.processes.supervised import Ended

SECONDS = 60.0
"""Time that one engine's explanation may take."""


class Explained(NamedTuple):
    """A suspect, and what was found out about it."""

    suspect: Suspect
    explanation: Explanation


class How(NamedTuple):
    """`limits` of a run; `own`, the user's functions, which are explained too if they only raised.

    With `shrink` the smallest case of each of these is looked for, in the first dtype in which it
    fails; with `full` there is all of a traceback.
    """

    limits: Limits
    own: Sequence[str] = ()
    shrink: bool = False
    full: bool = False


def of_run(plan: Plan, folder: Path, how: How) -> list[Explained]:
    """What each engine × dtype with a defect does wrong, and each of the user's own that raised.

    `folder` holds errors.parquet and cases.parquet.
    """
    columns = list(explaining.ERRORS_READ)
    errors = pd.read_parquet(folder / "errors.parquet", columns=columns)
    columns = explaining.cases_read(plan.engines)
    cases = pd.read_parquet(folder / "cases.parquet", columns=columns)
    explained: list[Explained] = []
    for suspect in explaining.suspects(errors, cases, how.own):
        first = suspect.engine not in {one.suspect.engine for one in explained}
        small = how.shrink and first and suspect.engine in how.own
        explained.append(Explained(suspect, apart(plan, suspect, how._replace(shrink=small))))
    return explained


def apart(plan: Plan, suspect: Suspect, how: How) -> Explanation:
    """The explanation of a suspect, made in a process of its own, as far as it came."""
    told, trouble = Explanation(), ""
    allowed = how.limits.allowed(suspect.engine, total=SECONDS)
    arguments = plan, suspect, how.shrink, how.full
    try:
        for answer in supervised.answers(work, *arguments, allowed=allowed):
            if isinstance(answer, Ended):
                trouble = answer.message
            else:
                told = answer
    except (ValueError, supervised.CannotWork) as error:  # the function is not found any more
        trouble = described(error)
    return replace(told, trouble=trouble or told.trouble)


def work(plan: Plan, suspect: Suspect, shrink: bool, full: bool) -> Iterator[Explanation]:
    """Inside the process: the explanation, each time that there is more of it."""
    worker.begin(worker.LOADING, 0, 0)
    engine = evaluate.load(plan.address(suspect.engine), plan.arrays)
    worker.rest()
    if not isinstance(engine, (Unsupported, Broken)):
        yield from explaining.explain(worker.Timed(engine), plan, suspect, shrink, full)
