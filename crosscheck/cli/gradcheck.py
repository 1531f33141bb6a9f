"""`crosscheck gradcheck`: a function from a file, its arguments from another, on trial."""

import inspect
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from rich.console import Console

from crosscheck.checking import gradient_report
from crosscheck.checking.gradcheck import Question
from crosscheck.checking.gradient_report import GradientReport, Tried
from crosscheck.engines.user import function as user_engine
from crosscheck.programs.frontends import theirs
from crosscheck.reports import written
from crosscheck.results import environment, outcome, rows
from crosscheck.results.finished import FinishedRun
from crosscheck.runs.processes import supervised
from crosscheck.runs.processes.supervised import Allowed, Ended

Make = Callable[..., Any]
"""What makes the arguments: make(), or make(generator) for as many sets as are asked for."""


@dataclass(frozen=True)
class GradcheckOptions:
    """The command's options: addresses as FILE.py:name or package.module:name."""

    function: str
    args: str
    gradient: str | None = None
    reference: str | None = None
    wrt: tuple[str, ...] = ()
    modes: tuple[str, ...] = ()
    accumulate: str | None = None
    operands: str | None = None
    intended: tuple[str, ...] = ()
    cases: int = 1
    seed: int = 0
    strict: bool = False
    timeout: float = 600.0
    words: Sequence[str] = field(default=(), compare=False)

    def question(self) -> Question:
        """Raises ValueError where a function cannot be found."""
        return Question(
            user_engine.found(self.function),
            _function(self.gradient),
            _function(self.reference),
            list(self.wrt) or None,
            list(self.modes) or None,
            None,
            self.accumulate,
            self.operands,
            frozenset(self.intended),
            self.seed,
        )


def _function(address: str | None) -> Callable[..., Any] | None:
    return None if address is None else user_engine.found(address)


def run(
    asked: GradcheckOptions,
    out: Path | None,
    formats: Sequence[str],
    output_format: str,
    console: Console,
) -> int:
    """Check the function, show what was found, write the reports asked for; the exit status.

    Raises ValueError for bad input, before anything is written.
    """
    written.require(formats)
    if formats and out is None:
        raise ValueError(f"--format {','.join(formats)} needs --out, the folder to write to")
    judgement = supervised_check(asked)
    if isinstance(judgement, Ended):
        console.print(f"ERROR  {asked.function}: {judgement.message}", markup=False, soft_wrap=True)
        return outcome.FAILED
    finished = judgement.finished
    if out is not None:
        _keep(finished, out)
        written.write(finished, formats, out)
    if output_format == "full":
        show(judgement, console)
    else:
        written.show(finished, output_format, console)
    return int(finished.record["exit_status"])


class ContainedJudgement(NamedTuple):
    """What comes back of the process in which the function was judged."""

    finished: FinishedRun
    notes: tuple[str, ...]
    text: str


def supervised_check(asked: GradcheckOptions) -> ContainedJudgement | Ended:
    """The check in a process of its own, which the function may end, or never come back from.

    Raises ValueError for bad input.
    """
    allowed = Allowed(asked.timeout, total=asked.timeout)
    answers: list[ContainedJudgement | Ended] = list(
        supervised.answers(work, asked, allowed=allowed, loud=True)
    )
    return answers[-1] if answers else Ended("crash", "its process ended without an answer")


def work(asked: GradcheckOptions) -> Iterator[ContainedJudgement]:
    """Inside the process."""
    try:
        report = check(asked)
    except TypeError as error:
        if theirs.raised_by_theirs(error):
            raise
        raise ValueError(str(error)) from error
    text = report.message() or f"No defect. {report}"
    yield ContainedJudgement(as_run(report, asked), tuple(report.notes), text)


def check(asked: GradcheckOptions) -> GradientReport:
    """The report of the function at the arguments that the maker gives."""
    question, make = asked.question(), user_engine.found(asked.args)
    tried = []
    for index in range(asked.cases):
        args, kwargs = made(make, asked.seed, index)
        tried.append(Tried(index, "", *question.tried(args, kwargs, index == 0)))
        if not _takes_generator(make):
            break
    return gradient_report.of(asked.seed, tried)


def made(make: Make, seed: int, index: int) -> tuple[Sequence[Any], Mapping[str, Any]]:
    """The arguments and keyword arguments of this index.

    The maker returns the arguments as a tuple or list, or (arguments, keyword arguments), or the
    one argument. Raises ValueError where it raises or returns nothing.
    """
    generator = [np.random.default_rng([seed, index])] if _takes_generator(make) else []
    try:
        given = make(*generator)
    except Exception as error:
        text = user_engine.their_traceback(error)
        raise ValueError(f"the arguments could not be made:\n{text}") from error
    if given is None:
        raise ValueError("the arguments' function returned None: is a return missing?")
    if not isinstance(given, tuple | list):
        return [given], {}
    if len(given) == 2 and isinstance(given[0], tuple | list) and isinstance(given[1], dict):
        return given[0], given[1]
    return given, {}


def _takes_generator(make: Make) -> bool:
    """Whether it asks for one argument."""
    parameters = inspect.signature(make).parameters.values()
    return any(parameter.default is inspect.Parameter.empty for parameter in parameters)


def as_run(report: GradientReport, asked: GradcheckOptions) -> FinishedRun:
    """The report as a run that the reports know."""
    status = outcome.exit_status(report.errors, report.cases, strict=asked.strict)
    pairs = pd.DataFrame({name: pd.Series(dtype=c.dtype) for name, c in rows.PAIRS.items()})
    plan = {
        name: value
        for name, value in vars(asked).items()
        if value not in (None, (), False) and name not in ("words", "timeout")
    }
    record = {
        "schema_version": rows.SCHEMA_VERSION,
        "command": shlex.join(["crosscheck", "gradcheck", *asked.words]),
        "plan": plan,
        "environment": environment.describe(),
        "exit_status": status,
    }
    return FinishedRun(report.errors, report.cases, pairs, record)


def _keep(finished: FinishedRun, out: Path) -> None:
    """The rows as a run's folder has them. Raises ValueError where they cannot be written."""
    from crosscheck.results.finished import seal
    from crosscheck.runs.output import folder

    frames = {name: getattr(finished, name) for name in ("errors", "cases", "pairs")}
    with folder.staged(out) as staging:
        folder.write(staging, frames, finished.record)
        seal(staging)


def show(judgement: ContainedJudgement, console: Console) -> None:
    """The leaves by mode as a table, then the message, or that all is right."""
    from crosscheck.reports.formats.terminal import table

    console.print(table(judgement.finished.errors, COLUMNS, ""))
    console.print()
    for note in dict.fromkeys(judgement.notes):
        console.print(f"Not covered: {note}", markup=False, style="yellow", soft_wrap=True)
    console.print(judgement.text, markup=False, highlight=False, soft_wrap=True)


COLUMNS = {
    "tensor": "leaf",
    "mode": "mode",
    "dtype": "dtype",
    "verdict": "verdict",
    "max_ulp": "ulp\nmax",
    "bound_use": "bound\nuse",
    "power": "power",
}
"""Columns of the table on the terminal."""
