"""The command `crosscheck`: options and exit statuses; no logic.

Everything heavy is imported inside the commands, so that asking for help costs nothing.
"""

import sys
from typing import Any

import click

INTERRUPTED, USAGE, INTERNAL = 130, 2, 3


class Range(click.ParamType):
    """A whole number "5" or a range "2-6", both ends included, at least `least`."""

    name = "range"

    def __init__(self, least: int) -> None:
        self.least = least

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        low, dash, high = value.partition("-")
        try:
            bounds = (int(low), int(high if dash else low))
        except ValueError:
            self.fail(f"{value!r} is not a range such as 2-6, or a number", param, ctx)
        if bounds[0] < self.least:
            self.fail(f"{value!r} begins below {self.least}", param, ctx)
        if bounds[0] > bounds[1]:
            self.fail(f"{value!r} ends before it begins: did you mean {high}-{low}?", param, ctx)
        return bounds


class Names(click.ParamType):
    """Names between commas."""

    name = "names"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        names = tuple(dict.fromkeys(name.strip() for name in value.split(",") if name.strip()))
        return names or self.fail("no name is given", param, ctx)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="gradcrosscheck", prog_name="crosscheck")
def crosscheck() -> None:
    """Check hand-written gradients on random networks, with verdicts that are proofs."""


@crosscheck.command()
@click.option("--cases", type=click.IntRange(min=0), default=100, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--engines", type=Names(), help="Engines of the table, between commas.")
@click.option(
    "--engine",
    "own",
    multiple=True,
    help="Your function, package.module:function or path/to/file.py:function.",
)
@click.option("--dtypes", type=Names(), default="float32,float64", show_default=True)
@click.option(
    "--output",
    type=click.Choice(["identity", "sigmoid", "both"]),
    default="both",
    show_default=True,
    help="Activation of the output layer: the paper's reading.",
)
@click.option("--layers", type=Range(2), default="2-6", show_default=True, help="N.")
@click.option("--widths", type=Range(1), default="1-64", show_default=True, help="n_l.")
@click.option("--samples", type=Range(1), default="1-64", show_default=True, help="D.")
@click.option("--out", type=click.Path(), default="reports/latest", show_default=True)
@click.option("--strict", is_flag=True, help="A SUSPECT fails the run too.")
def run(
    cases: int,
    seed: int,
    engines: tuple[str, ...] | None,
    own: tuple[str, ...],
    dtypes: tuple[str, ...],
    output: str,
    layers: tuple[int, int],
    widths: tuple[int, int],
    samples: tuple[int, int],
    out: str,
    strict: bool,
) -> int:
    """Judge engines on random architectures, and write the rows and a summary."""
    from pathlib import Path

    from rich.console import Console

    from crosscheck import running
    from crosscheck.suite import Plan
    from crosscheck.values import Distribution

    distribution = Distribution(layers, widths, samples, output)
    plan = Plan(dtypes=dtypes, cases=cases, seed=seed, distribution=distribution)
    wanted = running.Wanted(engines, own)
    return running.run(plan, wanted, Path(out), Console(), strict)


def main(arguments: list[str] | None = None) -> None:
    """Run the command; every error is one sentence on stderr and an exit status."""
    try:
        status = crosscheck.main(arguments, prog_name="crosscheck", standalone_mode=False)
    except (click.exceptions.Abort, KeyboardInterrupt):
        click.echo("crosscheck: interrupted; nothing was replaced", err=True)
        sys.exit(INTERRUPTED)
    except click.ClickException as error:
        click.echo(f"crosscheck: {error.format_message()}", err=True)
        sys.exit(USAGE)
    except ValueError as error:
        click.echo(f"crosscheck: {error}", err=True)
        sys.exit(USAGE)
    sys.exit(status or 0)
