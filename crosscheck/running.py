"""`crosscheck run`: a plan, run and reported; what the command does, without the command."""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from crosscheck import environment, finished, gating, outcome, rows, sampling, suite
from crosscheck.engines import callable as user_engine, names
from crosscheck.engines.interface import Engine, Unsupported
from crosscheck.reports import folder, summaries, written
from crosscheck.values import Distribution


class Wanted(NamedTuple):
    """Engines as a user asked for them: `named` by --engines, `own` by --engine."""

    named: Sequence[str] | None
    own: Sequence[str]


def choose(wanted: Wanted) -> tuple[dict[str, Engine | Unsupported], list[str]]:
    """The engines of a run, and which of them were asked for by name.

    Raises ValueError for an unknown name, or a function that cannot be found.
    """
    crew: dict[str, Engine | Unsupported] = {}
    for text in wanted.own:
        crew[text] = user_engine.from_text(text)
    if wanted.named is None and crew:
        return crew, list(crew)
    crew.update(suite.muster(wanted.named if wanted.named is not None else names.DEFAULT))
    return crew, [*wanted.own, *(wanted.named or ())]


def run(
    plan: suite.Plan,
    wanted: Wanted,
    out: Path,
    console: Console,
    ending: gating.Ending = gating.PLAINLY,
) -> int:
    """Run the plan, write the folder, and end as asked; returns the exit status.

    Raises ValueError for bad input, before anything is computed or written.
    """
    gating.require(ending)
    crew, by_name = choose(wanted)
    plan = replace(plan, engines=tuple(crew))
    with folder.staged(out) as staging:
        frames = _with_progress(plan, crew)
        status = outcome.exit_status(frames.errors, frames.cases, by_name, ending.strict)
        record = _record(plan, frames, status, wanted.own)
        summary = summaries.by_engine(frames.errors, frames.cases)
        folder.write(staging, {**vars(frames), "summary": summary}, record)
        finished.seal(staging)
        written.write_summary(finished.read(staging), staging)
    status = gating.conclude(out, ending, console)
    if ending.output_format == "full":
        console.print(f"Rows and summary: {out}", markup=False, soft_wrap=True)
    return status


def _with_progress(plan: suite.Plan, crew: suite.Crew) -> suite.Frames:
    total = plan.cases * len(plan.dtypes)
    columns = (TextColumn("cases"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("cases", total=total)
        advance: Callable[[int], None] = lambda done: bar.update(task, completed=done)  # noqa: E731
        return suite.run(plan, crew, advance)


def command_line(plan: suite.Plan) -> str:
    """The command that repeats the plan, with every option that is not the default."""
    words = ["crosscheck", "run", "--cases", str(plan.cases), "--seed", str(plan.seed)]
    own = [name for name in plan.engines if ":" in name]
    words += [word for name in own for word in ("--engine", name)]
    tabled = [name for name in plan.engines if ":" not in name]
    if tabled:
        words += ["--engines", ",".join(tabled)]
    words += ["--dtypes", ",".join(plan.dtypes), *distribution_options(plan.distribution)]
    return shlex.join(words)


def distribution_options(of: Distribution) -> list[str]:
    """The options of a distribution that are not the default."""
    default = Distribution()
    words = []
    for name in ("layers", "widths", "samples"):
        if getattr(of, name) != getattr(default, name):
            words += [f"--{name}", "-".join(map(str, getattr(of, name)))]
    for name in ("output", "hidden", "cost"):
        if getattr(of, name) != getattr(default, name):
            words += [f"--{name}", getattr(of, name)]
    return words


def _record(
    plan: suite.Plan, frames: suite.Frames, status: int, own: Sequence[str]
) -> dict[str, Any]:
    """What run.json holds."""
    _, left_out = sampling.specials(plan.distribution)
    return {
        "schema_version": rows.SCHEMA_VERSION,
        "command": command_line(plan),
        "plan": plan.as_json(),
        "specials_left_out": left_out,
        "counts": outcome.counts(frames.errors),
        "cases": len(frames.cases),
        "exit_status": status,
        "environment": environment.describe() | {"own_code": _own_code(own)},
    }


def _own_code(own: Sequence[str]) -> dict[str, str | None]:
    """For each function of the user's, a digest of the file that it is in."""
    return {text: environment.digest_of_file(user_engine.source(text)) for text in own}
