"""`crosscheck run`: a plan, run and reported; what the command does, without the command."""

import os
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from crosscheck.engines import registry
from crosscheck.engines.user import function as user_engine
from crosscheck.networks import sampling
from crosscheck.networks.distribution import SHAPED
from crosscheck.reports import spreadsheet, written
from crosscheck.reports.formats import markdown, terminal
from crosscheck.reports.tables import Summary
from crosscheck.reports.visible import visible
from crosscheck.results import environment, finished, outcome, rows
from crosscheck.results.disk import files
from crosscheck.results.journal import Journal, Unwritable, writing
from crosscheck.runs import explain, explaining, gating, progress
from crosscheck.runs.explain import Explained
from crosscheck.runs.explaining import Explanation, Suspect
from crosscheck.runs.output import folder, writer
from crosscheck.runs.plan import Plan, Span, shard
from crosscheck.runs.processes import supervised, worker
from crosscheck.runs.processes.pool import Limits, Pool
from crosscheck.runs.processes.supervised import Ended
from crosscheck.runs.spread import cluster, sweep


class Wanted(NamedTuple):
    """Engines as a user asked for them: `named` by --engines, `own` by --engine."""

    named: Sequence[str] | None
    own: Sequence[str]


@dataclass(frozen=True)
class Conduct:
    """How a run is carried out; no row depends on it.

    `jobs` processes, `timeout` seconds for one engine on one case, `memory` bytes a process may
    hold; `shard` (K, N), or None for the whole; `dask` the address of a scheduler. `verbose`
    shows what a user's function raised with all of its traceback.
    """

    jobs: int | None = None
    timeout: float = 120.0
    memory: int | None = None
    shard: tuple[int, int] | None = None
    dask: str | None = None
    resume: bool = False
    verbose: bool = False

    @property
    def limits(self) -> Limits:
        return Limits(self.jobs or cores(), self.timeout, self.memory)


Message = Callable[[Path, Plan, Suspect, Explanation], str]
"""(the run's folder, its plan, a failing engine, what explains it) to what a person is told."""


def cores() -> int:
    """The processors that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def choose(plan: Plan, wanted: Wanted) -> tuple[Plan, list[str]]:
    """The plan with its engines, and which of them were asked for by name.

    Nothing of an engine is loaded here: that is for processes that are watched.

    Raises ValueError for an unknown name, or what cannot be the address of a function.
    """
    for text in wanted.own:
        if ":" not in text:
            user_engine.found(text)  # which says what it should be
    for name in wanted.named or ():
        registry.require_known(name)
    for name, _ in plan.accumulate:
        if name and ":" not in name:
            registry.require_known(name)
    if wanted.named is None and not wanted.own:
        return replace(plan, engines=registry.DEFAULT, sampled=registry.SAMPLED), []
    engines = dict.fromkeys([*wanted.own, *(wanted.named or ())])
    return replace(plan, engines=tuple(engines)), list(engines)


Broken = dict[str, tuple[str, str]]
"""Engines that cannot be loaded: the status and the message of each attempt."""


def load(plan: Plan, own: Sequence[str], limits: Limits) -> Broken:
    """Load each function of the user's once, so that one that is not there is known at once.

    It runs a file of the user's, which may do anything to its process.

    Raises ValueError where a function cannot be found.
    """
    broken, left = {}, list(dict.fromkeys(own))
    while left:
        allowed = limits.allowed(left[0])
        for answer in supervised.answers(worker.load, plan, tuple(left), allowed=allowed):
            name = left.pop(0)
            if isinstance(answer, Ended):
                broken[name] = answer.status, f"when it was loaded: {answer.message}"
    return broken


def run(
    plan: Plan,
    wanted: Wanted,
    out: Path,
    console: Console,
    ending: gating.Ending = gating.PLAINLY,
    conduct: Conduct | None = None,
    message: Message | None = None,
) -> int:
    """Run the plan, write the folder, and end as asked; returns the exit status.

    `message` puts into words what a function of the user's does wrong.

    Raises ValueError for bad input, before anything is computed or written, and
    journal.Unwritable where the disk is full: what was finished is kept then.
    """
    gating.require(ending)
    conduct = conduct or Conduct()
    plan, by_name = choose(plan, wanted)
    broken = load(plan, wanted.own, conduct.limits)
    span = shard(plan.cases, *conduct.shard) if conduct.shard else plan.whole
    folder.require_writable(out)
    with folder.made(out), _journal(out, plan, span, conduct.resume) as (journal, log):
        assembling = writer.Assembly(plan.engines, journal.rows())
        with _source(plan, conduct, broken) as source, progress.shown(log) as show, assembling:
            sweep.complete(journal, plan, span, source, show, assembling.add)
        summary, explained = finish(assembling, plan, span, out, by_name, ending, conduct)
    status = end(out, summary, ending, console)
    if ending.output_format == "full" and message is not None:
        for said in _messages(plan, wanted.own, out, explained, message):
            console.print(f"\n{visible(said)}", markup=False, highlight=False, soft_wrap=True)
    return status


def _messages(
    plan: Plan, own: Sequence[str], out: Path, explained: Sequence[Explained], message: Message
) -> Iterator[str]:
    """What each failing function of the user's does wrong, as check() says it."""
    for name in own:
        mine = [one for one in explained if one.suspect.engine == name]
        if mine:
            yield message(out, plan, *mine[0])


@contextmanager
def _journal(out: Path, plan: Plan, span: Span, resume: bool) -> Iterator[tuple[Journal, Console]]:
    """The run's journal, and where to say what concerns it; it stays where the run is not done."""
    journal, found = sweep.open_journal(out, plan, span, resume)
    log = Console(stderr=True)
    for sentence in found:
        log.print(f"Note: {visible(sentence)}", markup=False, style="yellow", soft_wrap=True)
    done = False
    try:
        yield journal, log
        done = True
    except Unwritable as error:
        raise Unwritable(f"{error}; what is finished is kept, and --resume goes on") from None
    except folder.Interrupted:
        raise
    except KeyboardInterrupt:
        goes_on = "; --resume goes on" if journal.spans else ""
        raise folder.Interrupted(f"nothing was replaced{goes_on}") from None
    finally:
        if done or not journal.spans:
            journal.remove()
        else:
            journal.close()


@contextmanager
def _source(plan: Plan, conduct: Conduct, broken: Broken) -> Iterator[sweep.Source]:
    """The workers: of this machine, or of a Dask cluster."""
    source = (
        cluster.Cluster(plan, conduct.limits, conduct.dask)
        if conduct.dask
        else Pool(plan, conduct.limits, broken)
    )
    with source:
        yield source


def finish(
    assembled: writer.Assembly,
    plan: Plan,
    span: Span,
    out: Path,
    by_name: Sequence[str],
    ending: gating.Ending,
    conduct: Conduct,
) -> tuple[Summary, list[Explained]]:
    """Put the files of the run in the place of those that `out` held.

    What they amount to, and what the failing engines do wrong: of that no exit status depends.
    """
    summary, staging = assembled.summary, assembled.folder
    with writing(staging):
        status = outcome.status_of(summary.verdicts, summary.statuses, by_name, ending.strict)
        record = _record(plan, span, summary, status, by_name)
        own = [name for name in plan.engines if ":" in name]
        full = ending.output_format == "full"
        explained: list[Explained] = []
        if summary.verdicts["DEFECT"] or any(summary.statuses[name]["error"] for name in own):
            how = explain.How(conduct.limits, own, full, conduct.verbose)
            explained = explain.of_run(plan, staging, how)
            record["diagnoses"] = _diagnoses(explained)
        conclude(staging, summary, record)
    folder.replace(staging, out)
    return summary, explained


def _diagnoses(explained: Sequence[Explained]) -> list[dict[str, Any]]:
    """What run.json says of the mistakes that are known."""
    return [
        explaining.as_json(suspect, told.diagnosis)
        for suspect, told in explained
        if told.diagnosis is not None
    ]


READABLE_ROWS = 250_000
"""Rows of errors up to which a run is read at once for its reports; beyond, its summary is."""


def conclude(staging: Path, summary: Summary, record: dict[str, Any]) -> None:
    """Write run.json and the summaries beside the rows."""
    spreadsheet.as_text(summary.engines).to_csv(staging / "summary.csv", index=False)
    folder.write_record(staging, record)
    finished.seal(staging)
    if summary.tensors <= READABLE_ROWS:
        written.write_summary(finished.read(staging), staging)
    else:
        text = markdown.brief(summary, record)
        files.write(staging / "summary.md", text)


def end(out: Path, summary: Summary, ending: gating.Ending, console: Console) -> int:
    """Show the run in `out`, and end as asked; the exit status.

    A run with more rows than memory should hold is read only where reports or a baseline need
    all of them.
    """
    plainly = ending.output_format == "full" and not ending.formats and not ending.baseline
    if plainly and summary.tensors > READABLE_ROWS:
        record = finished.record_of(out)
        terminal.show(console, summary, record)
        status: int = record["exit_status"]
    else:
        status = gating.conclude(out, ending, console)
    if ending.output_format == "full":
        console.print(f"Rows and summary: {visible(str(out))}", markup=False, soft_wrap=True)
    return status


OPTIONS = ("layers", "widths", "samples", "output", "hidden", "cost", *SHAPED)
"""Options of a distribution, in the order of the command."""


def command_line(plan: Plan) -> str:
    """The command that repeats the plan, with every option that is not the default."""
    words = ["crosscheck", "run", "--cases", str(plan.cases), "--seed", str(plan.seed)]
    own = [name for name in plan.engines if ":" in name]
    words += [word for name in own for word in ("--engine", name)]
    tabled = [name for name in plan.engines if ":" not in name]
    if tabled and (plan.engines, plan.sampled) != (registry.DEFAULT, registry.SAMPLED):
        words += ["--engines", ",".join(tabled)]
    words += ["--dtypes", ",".join(plan.dtypes), *plan.distribution.options(*OPTIONS)]
    words += [] if plan.arrays == Plan().arrays else ["--arrays", plan.arrays]
    words += ["--deep", plan.deep] if plan.deep != Plan().deep else []
    words += ["--certify", plan.certify] if plan.certify != Plan().certify else []
    for engine, wider in plan.accumulate:
        words += ["--declare-accumulate", f"{engine}={wider}" if engine else wider]
    return shlex.join(words)


def _record(
    plan: Plan, span: Span, summary: Summary, status: int, by_name: Sequence[str]
) -> dict[str, Any]:
    """What run.json holds; `span` are the indices of a shard, or all."""
    _, left_out = sampling.specials(plan.distribution)
    return {
        "schema_version": rows.SCHEMA_VERSION,
        "command": command_line(plan),
        "plan": plan.as_json(),
        "span": list(span),
        "asked_for": list(by_name),
        "specials_left_out": left_out,
        "counts": summary.verdicts,
        "cases": summary.cases,
        "exit_status": status,
        "environment": environment.describe(threads=1) | {"own_code": sweep.own_code(plan)},
    }
