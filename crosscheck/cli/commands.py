"""The command `crosscheck`: options and exit statuses; no logic.

Everything heavy is imported inside the commands, so that asking for help costs nothing.
"""

import os
import sys
import traceback
from typing import Any

import click

from crosscheck.cli.options import (
    Commands,
    Declared,
    FolderParam,
    MemoryParam,
    NamesParam,
    Range,
    Seconds,
    ShardParam,
    cases_of,
    output_format,
    verbose_option,
    whole,
)
from crosscheck.cli.streams import enduring
from crosscheck.reports.visible import visible

DEFECT, USAGE, FAILED, INTERRUPTED = 1, 2, 3, 130


FORMATS = ("html", "md", "csv", "parquet", "latex", "json", "junit", "github")
SHOWN = ("full", "concise", "md", "json", "junit", "github")

output_format_option = output_format(SHOWN)
timeout_option = click.option(
    "--timeout",
    type=Seconds(min_open=True),
    default=120.0,
    show_default=True,
    help="Seconds for one engine on one case.",
)
speed_option = click.option(
    "--speed", is_flag=True, help="Compare times too: one machine only, as ratios."
)


def baseline_option(text: str) -> Any:
    """--baseline, with this help."""
    return click.option("--baseline", type=click.Path(dir_okay=False), help=text)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="gradcrosscheck", prog_name="crosscheck")
def crosscheck() -> None:
    """Check hand-written gradients on random networks, with verdicts that are proofs."""


@crosscheck.command()
@click.option("--cases", type=whole(0), default=200, show_default=True)
@click.option("--seed", type=whole(0), default=0, show_default=True)
@click.option("--engines", type=NamesParam(), help="Engines of the table, between commas.")
@click.option(
    "--engine",
    "own",
    multiple=True,
    help="Your function, package.module:function or path/to/file.py:function.",
)
@click.option("--dtypes", type=NamesParam(), default="float32,float64", show_default=True)
@cases_of
@click.option("--out", type=FolderParam(), default="reports/latest", show_default=True)
@output_format_option
@click.option(
    "--format", "formats", type=NamesParam(), default=(), help="Reports to write, as `report`."
)
@baseline_option("Hold the run to this baseline.")
@speed_option
@click.option(
    "--strict", is_flag=True, help="A SUSPECT, or being better than the baseline, fails too."
)
@click.option("--jobs", type=whole(1), help="Processes; the cores by default.")
@timeout_option
@click.option("--memory-limit", type=MemoryParam(), help="Most memory of a process, such as 4G.")
@verbose_option
@click.option("--shard", type=ShardParam(), help="Only part K of N; see `crosscheck merge`.")
@click.option("--dask", metavar="ADDRESS", help="Compute on this Dask scheduler's cluster.")
@click.option("--resume", is_flag=True, help="Go on with an unfinished run into the same folder.")
@click.option(
    "--deep",
    type=click.Choice(["sample", "all"]),
    default="sample",
    show_default=True,
    help="Cases that get the ℓ2 bound and stagewise checks.",
)
@click.option(
    "--certify",
    type=click.Choice(["sample", "all"]),
    default="sample",
    show_default=True,
    help="Cases on which the oracle is held to the definition of the derivative.",
)
@click.option(
    "--declare-accumulate",
    "accumulate",
    type=Declared(),
    multiple=True,
    metavar="[ENGINE=]FORMAT",
    help="An engine, or all, forms its sums in this wider format.",
)
def run(
    cases: int,
    seed: int,
    engines: tuple[str, ...] | None,
    own: tuple[str, ...],
    dtypes: tuple[str, ...],
    distribution: Any,
    arrays: str,
    out: str,
    output_format: str,
    formats: tuple[str, ...],
    baseline: str | None,
    speed: bool,
    strict: bool,
    deep: str,
    certify: str,
    accumulate: tuple[tuple[str, str], ...],
    memory_limit: int | None,
    **conduct: Any,
) -> int:
    """Judge engines on random architectures, and write the rows and a summary."""
    from pathlib import Path

    from rich.console import Console

    from crosscheck.checking import check
    from crosscheck.runs import command
    from crosscheck.runs.gating import Ending
    from crosscheck.runs.plan import Plan

    plan = Plan(
        dtypes=dtypes,
        cases=cases,
        seed=seed,
        distribution=distribution,
        deep=deep,
        certify=certify,
        accumulate=accumulate,
        arrays=arrays,
    )
    wanted = command.Wanted(engines, own)
    held_to = Path(baseline) if baseline else None
    ending = Ending(output_format, formats, held_to, strict, speed)
    how = command.Conduct(memory=memory_limit, **conduct)
    return command.run(plan, wanted, Path(out), Console(), ending, how, check.message_of_run)


@crosscheck.command()
@click.argument("run", type=click.Path())
@click.option(
    "--format",
    "formats",
    type=NamesParam(),
    default="html",
    show_default=True,
    help=f"Between commas: {', '.join(FORMATS)}.",
)
@click.option("--out", type=FolderParam(), help="Folder to write into, instead of the run's.")
@baseline_option("Show what this baseline says of the run.")
def report(run: str, formats: tuple[str, ...], out: str | None, baseline: str | None) -> int:
    """Write reports of a finished run."""
    from pathlib import Path

    from crosscheck.runs import gating

    ending = gating.Ending(formats=formats, baseline=Path(baseline) if baseline else None)
    for path in gating.report(Path(run), ending, Path(out) if out else None):
        click.echo(path)
    return 0


@crosscheck.command()
@click.argument("run", type=click.Path())
@click.option("--out", type=click.Path(dir_okay=False), required=True, help="The file to write.")
def baseline(run: str, out: str) -> int:
    """Record a finished run, so that later runs can be held to it."""
    from pathlib import Path

    from crosscheck.runs import gating

    click.echo(gating.record(Path(run), Path(out)))
    return 0


@crosscheck.command()
@click.argument("run", type=click.Path())
@click.argument("baseline", type=click.Path())
@output_format_option
@speed_option
@click.option("--strict", is_flag=True, help="Being better than the baseline fails too.")
def compare(run: str, baseline: str, output_format: str, speed: bool, strict: bool) -> int:
    """Hold a finished run to a baseline: 1 is a regression, 4 not comparable."""
    from pathlib import Path

    from rich.console import Console

    from crosscheck.runs import gating

    ending = gating.Ending(output_format, (), Path(baseline), strict, speed)
    return gating.compare(Path(run), ending, Console())


@crosscheck.command()
@click.argument("shards", nargs=-1, required=True, type=click.Path())
@click.option("--out", type=FolderParam(), default="reports/latest", show_default=True)
@click.option("--strict", is_flag=True, help="A SUSPECT fails the run too.")
def merge(shards: tuple[str, ...], out: str, strict: bool) -> int:
    """Put the folders of the shards of one run together."""
    from pathlib import Path

    from rich.console import Console

    from crosscheck.runs.spread import merge

    return merge.merge([Path(shard) for shard in shards], Path(out), Console(), strict)


@crosscheck.command()
@click.option("--architectures", type=whole(1), default=50, show_default=True)
@click.option("--seed", type=whole(0), default=0, show_default=True)
@click.option("--dtype", default="float64", show_default=True, help="float64 or float32.")
@click.option("--out", type=FolderParam(), default="reports/latest", show_default=True)
@click.option("--name", default="audit", show_default=True, help="Files are called so.")
@click.option(
    "--format", "formats", type=NamesParam(), default="json,md,csv,tex,html", show_default=True
)
@output_format(("full", "concise", "json", "github"))
def audit(
    architectures: int,
    seed: int,
    dtype: str,
    out: str,
    name: str,
    formats: tuple[str, ...],
    output_format: str,
) -> int:
    """Put each printed equation of the paper on trial, and compare with the known outcome."""
    from pathlib import Path

    from rich.console import Console

    from crosscheck.audit import command
    from crosscheck.audit.audit import AuditPlan

    plan = AuditPlan(architectures, seed, dtype)
    return command.run(plan, Path(out), name, formats, output_format, Console())


@crosscheck.command()
@click.argument("case")
@click.option(
    "--engine",
    required=True,
    help="An engine of the table, or your package.module:function or path/to/file.py:function.",
)
@click.option("--shrink", is_flag=True, help="Look for the smallest case that still fails.")
@click.option("--seconds", type=Seconds(), default=30.0, show_default=True)
@timeout_option
@verbose_option
@cases_of
def reproduce(
    case: str,
    engine: str,
    shrink: bool,
    seconds: float,
    timeout: float,
    verbose: bool,
    distribution: Any,
    arrays: str,
) -> int:
    """Run one engine on one CASE, such as s0-i17-float64-sigmoid, entry by entry."""
    from crosscheck.runs import reproducing

    shrinking = seconds if shrink else None
    found = reproducing.run(case, engine, distribution, shrinking, arrays, timeout, verbose)
    click.echo(found.text)
    return found.exit_status


@crosscheck.command()
@click.argument("function", metavar="FILE.py:f")
@click.option("--args", required=True, metavar="FILE.py:make", help="Makes f's arguments.")
@click.option("--gradient", metavar="FILE.py:g", help="The gradient that you wrote of f.")
@click.option("--reference", metavar="FILE.py:r", help="A plain function that f stands for.")
@click.option("--wrt", type=NamesParam(), default=(), help="Leaves to differentiate, by path.")
@click.option("--modes", type=NamesParam(), default=(), help="Ways of differentiation.")
@click.option("--accumulate", metavar="FORMAT", help="The wider format that sums are formed in.")
@click.option("--operands", type=click.Choice(["tf32"]), help="Products of rounded operands.")
@click.option(
    "--intended", type=NamesParam(), default=(), help="Custom rules that are meant to differ."
)
@click.option("--cases", type=whole(1), default=1, show_default=True)
@click.option("--seed", type=whole(0), default=0, show_default=True)
@click.option("--strict", is_flag=True, help="A SUSPECT fails too.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=600.0,
    show_default=True,
    help="Seconds that all of it may take.",
)
@click.option("--out", type=click.Path(), help="A folder for the rows and reports.")
@click.option("--format", "formats", type=NamesParam(), default=(), help="Reports to write.")
@output_format_option
def gradcheck(out: str | None, formats: tuple[str, ...], output_format: str, **options: Any) -> int:
    """Prove the gradient of any function, FILE.py:f or package.module:f, or prove it wrong.

    make() returns f's arguments; make(generator) draws them, a set for each of --cases.
    """
    from pathlib import Path

    from rich.console import Console

    from crosscheck.cli import gradcheck

    asked = gradcheck.GradcheckOptions(**options, words=sys.argv[2:])
    folder = None if out is None else Path(out)
    return gradcheck.run(asked, folder, formats, output_format, Console())


@crosscheck.command()
@click.option("--cases", type=whole(1), default=200, show_default=True)
@click.option("--seed", type=whole(0), default=0, show_default=True)
@click.option("--dtypes", type=NamesParam(), default="float32,float64", show_default=True)
@click.option("--widths", type=Range(1), default="1-64", show_default=True, help="n_l.")
@click.option("--correct", type=whole(0), default=2000, show_default=True, help="Cases judged.")
@click.option("--rivals", type=whole(0), default=20, show_default=True, help="Networks; 0: none.")
@click.option(
    "--diagnoses",
    type=whole(0),
    default=1,
    show_default=True,
    help="Runs in which each mistake is to be named; 0: none.",
)
@click.option(
    "--arguments",
    type=whole(0),
    default=20,
    show_default=True,
    help="Sets of arguments for each rule of an operation; 0: none.",
)
@click.option(
    "--only",
    type=NamesParam(),
    default="networks,rules",
    show_default=True,
    help="What to examine: gradients of networks, rules of operations.",
)
@click.option("--out", type=FolderParam(), default="reports/latest", show_default=True)
@click.option("--report", type=click.Path(dir_okay=False), help="Write the page here instead.")
@click.option("--jobs", type=whole(1), default=2, show_default=True)
def power(
    cases: int,
    seed: int,
    dtypes: tuple[str, ...],
    widths: tuple[int, int],
    correct: int,
    rivals: int,
    diagnoses: int,
    arguments: int,
    only: tuple[str, ...],
    out: str,
    report: str | None,
    jobs: int,
) -> int:
    """Examine the checker by the catalogue of known mistakes, beside the checkers in use."""
    from pathlib import Path

    from crosscheck.studies.power import command as stage

    examination = stage.Examination(
        cases, seed, dtypes, widths, correct, rivals, diagnoses, arguments=arguments
    )
    page = Path(report) if report else None
    return stage.run(examination, Path(out), page, click.echo, jobs, only)


@crosscheck.command()
@click.option("--function", help="One function, such as torch.special.i0 or softplus.")
@click.option("--framework", type=click.Choice(["torch", "jax"]), help="One framework alone.")
@click.option("--dtype", "dtypes", type=NamesParam(), default="float64,float32", show_default=True)
@click.option("--quick", is_flag=True, help="A coarse grid, float64, one mode: for CI.")
@click.option("--exhaustive", is_flag=True, help="All numbers of 16-bit formats; a dense grid.")
@click.option("--compare", type=click.Path(dir_okay=False), help="An earlier atlas.csv.")
@click.option("--out", type=FolderParam(), default="reports/latest", show_default=True)
@click.option("--name", default="atlas", show_default=True, help="Files are called so.")
@click.option("--jobs", type=whole(1), default=2, show_default=True)
def atlas(
    function: str | None,
    framework: str | None,
    dtypes: tuple[str, ...],
    quick: bool,
    exhaustive: bool,
    compare: str | None,
    out: str,
    name: str,
    jobs: int,
) -> int:
    """Judge the derivatives of the functions of PyTorch and JAX; 1 is newly wrong."""
    from pathlib import Path

    from rich.console import Console

    from crosscheck.studies.atlas import command
    from crosscheck.studies.atlas.run import AtlasOptions

    if quick and exhaustive:
        raise click.UsageError("--quick and --exhaustive exclude each other")
    density = "quick" if quick else "exhaustive" if exhaustive else "default"
    asked = AtlasOptions(function, framework, dtypes[:1] if quick else dtypes, density, jobs)
    old = Path(compare) if compare else None
    return command.main(asked, Path(out), old, name, Console())


@crosscheck.command()
def engines() -> None:
    """List the engines: where each is from, and the precisions it takes."""
    from crosscheck.engines import registry

    click.echo(registry.listing_text())


@crosscheck.command()
@click.option(
    "--only",
    type=NamesParam(),
    default="gradients,verdicts,costs,stages,growth,workers,memory",
    show_default=True,
    help="What to measure, between commas.",
)
@click.option("--rounds", type=whole(1), default=15, show_default=True)
@click.option(
    "--largest",
    type=whole(1),
    default=20_000,
    show_default=True,
    help="Cases of the largest run whose memory is measured.",
)
@click.option("--out", type=click.Path(dir_okay=False), help="A Markdown file to write.")
def bench(only: tuple[str, ...], rounds: int, largest: int, out: str | None) -> int:
    """Measure speed side by side with other libraries, and of a sweep and what it holds."""
    from pathlib import Path

    from crosscheck.studies.speed import command as benchmark

    extent = benchmark.Extent(rounds, largest)
    return benchmark.main(only, extent, Path(out) if out else None)


def _open_standard_streams() -> None:
    """Where stdin, stdout or stderr is closed, as in `crosscheck run >&-`, open it to nowhere.

    Else the first file that is opened takes its number, and what is printed would go into it.
    """
    descriptor = os.open(os.devnull, os.O_RDWR)
    while descriptor <= 2:
        os.set_inheritable(descriptor, True)  # as those that were never closed
        descriptor = os.dup(descriptor)
    os.close(descriptor)


def main(arguments: list[str] | None = None) -> None:
    """Run the command; every error is one sentence on stderr and an exit status."""
    _open_standard_streams()
    with enduring() as output:
        status = _status(arguments)
        output.flush()
        if output.failure is not None and not isinstance(output.failure, BrokenPipeError):
            _say(f"cannot write to the standard output: {output.failure.strerror}")
            status = status if status in (DEFECT, USAGE, INTERRUPTED) else FAILED
    sys.exit(status)


def _status(arguments: list[str] | None) -> int:
    """The exit status of the command, whose errors are told."""
    try:
        status = crosscheck.main(arguments, prog_name="crosscheck", standalone_mode=False)
    except (click.exceptions.Abort, KeyboardInterrupt) as error:
        how_far = str(error.__cause__ or error)  # click raises Abort from the interrupt
        return _say(f"interrupted: {how_far}" if how_far else "interrupted", INTERRUPTED)
    except click.ClickException as error:
        return _say(error.format_message(), USAGE)
    except ValueError as error:
        return _say(str(error), getattr(error, "exit_status", USAGE))
    except Exception as error:
        if hasattr(error, "exit_status"):
            return _say(str(error), error.exit_status)
        traceback.print_exc()
        return FAILED
    return int(status or 0)


def _say(sentence: str, status: int = FAILED) -> int:
    """Tell the user, and return the status."""
    click.echo(f"crosscheck: {visible(sentence)}", err=True)
    return status
