"""What options of the command take, such as ranges and sizes, and options that they share."""

import difflib
import math
from collections.abc import Callable, Sequence
from functools import cached_property, wraps
from importlib import import_module
from typing import Any

import click

from crosscheck.arithmetic.conventions import ARRAYS
from crosscheck.networks.ranges import LARGEST

Option = Callable[[Callable[..., Any]], Callable[..., Any]]
"""What makes a command take an option."""


def whole(least: int) -> click.IntRange:
    """A whole number, at least this, that a row can hold."""
    return click.IntRange(least, LARGEST)


class Seconds(click.FloatRange):
    """A time, not below zero; nan is none."""

    name = "seconds"

    def __init__(self, min_open: bool = False) -> None:
        super().__init__(min=0, min_open=min_open)

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        seconds = float(super().convert(value, param, ctx))
        if math.isnan(seconds):
            self.fail(f"{value!r} is no number of seconds", param, ctx)
        return seconds


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


class Widths(click.ParamType):
    """Widths of all layers between dashes, "784-128-10"."""

    name = "widths"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        try:
            return tuple(int(width) for width in value.split("-"))
        except ValueError:
            self.fail(f"{value!r} is no architecture such as 784-128-10", param, ctx)


class NamesParam(click.ParamType):
    """Names between commas."""

    name = "names"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        names = tuple(dict.fromkeys(name.strip() for name in value.split(",") if name.strip()))
        return names or self.fail("no name is given", param, ctx)


class ShardParam(click.ParamType):
    """K/N: shard K of N, from 1."""

    name = "K/N"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        number, _, of = value.partition("/")
        try:
            shard = (int(number), int(of))
        except ValueError:
            self.fail(f"{value!r} is not a shard such as 2/5", param, ctx)
        if not 1 <= shard[0] <= shard[1]:
            self.fail(f"{value!r} must be K/N with 1 <= K <= N", param, ctx)
        return shard


class Declared(click.ParamType):
    """An engine and a format, "torch.backward=float32", or a format for all engines."""

    name = "declaration"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        engine, _, wider = value.rpartition("=")
        return engine, wider


class FolderParam(click.Path):
    """A folder; "" is none, though it would mean the current one: a variable was empty."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if value == "":
            self.fail("the name of the folder is empty: for the current one, give .", param, ctx)
        return super().convert(value, param, ctx)


class MemoryParam(click.ParamType):
    """A size in bytes, or with K, M, G or T for powers of 1024."""

    name = "size"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        if isinstance(value, int):
            return value
        text = value.strip().upper().removesuffix("B").removesuffix("I")
        power = "KMGT".find(text[-1:]) + 1 if text[-1:] else 0
        try:
            size = int(float(text[:-1] if power else text) * 1024**power)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is not a size such as 2G or 500M", param, ctx)
        return size if size > 0 else self.fail(f"{value!r} is not more than nothing", param, ctx)


class Commands(click.Group):
    """Commands by name; an unknown one gets a hint at what was probably meant."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            ctx.fail(f"there is no command {name!r}{self._hint(ctx, args)}")
        return super().resolve_command(ctx, args)

    def _hint(self, ctx: Any, args: list[str]) -> str:
        function = next((word for word in args if ":" in word), "FILE.py:function")
        if args[0] == "check" or ":" in args[0]:
            return f": to check your function, crosscheck run --engine {function}"
        known = self.list_commands(ctx)
        close = difflib.get_close_matches(args[0], known, n=1)
        return f"; did you mean {close[0]}?" if close else f": known are {', '.join(known)}"


def output_format(formats: Sequence[str]) -> Option:
    """--output-format, and -q for its shortest; the command gets `output_format`."""
    shown = click.option(
        "--output-format",
        type=click.Choice(formats),
        default="full",
        show_default=True,
        help="What the terminal shows.",
    )
    quiet = click.option("-q", "--quiet", is_flag=True, help="A line: --output-format concise.")

    def with_both(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def run(*, quiet: bool, output_format: str, **rest: Any) -> Any:
            brief = quiet and output_format == "full"
            return command(output_format="concise" if brief else output_format, **rest)

        return shown(quiet(run))

    return with_both


verbose_option = click.option(
    "-v", "--verbose", is_flag=True, help="What your function raised, with all of its traceback."
)


class Entry(click.Choice):
    """One of the names in a table of ours, which is read when it is needed: it imports NumPy."""

    def __init__(self, module: str, table: str, *more: str) -> None:
        self.module, self.table, self.more, self.case_sensitive = module, table, more, True

    @cached_property
    def choices(self) -> tuple[str, ...]:  # type: ignore[override]
        """The names."""
        return (*getattr(import_module(self.module), self.table), *self.more)


def _one_of(flag: str, known: Sequence[str] | Entry, usual: str, meaning: str) -> Option:
    """An option that takes one of these names."""
    kind = known if isinstance(known, Entry) else click.Choice(known)
    return click.option(flag, type=kind, default=usual, show_default=True, help=meaning)


def _range(flag: str, usual: str, meaning: str, least: int = 1) -> Option:
    """An option that takes a range."""
    return click.option(flag, type=Range(least), default=usual, show_default=True, help=meaning)


HIDDEN = Entry("crosscheck.arithmetic.activations", "ACTIVATIONS")
OUTPUT = Entry("crosscheck.arithmetic.activations", "ACTIVATIONS", "both")
COST = Entry("crosscheck.arithmetic.costs", "COSTS")

CASES_OF = (
    _range("--layers", "2-6", "N.", least=2),
    _range("--widths", "1-64", "n_l."),
    _range("--samples", "1-64", "D."),
    click.option("--architecture", type=Widths(), help="All widths, such as 784-128-10."),
    click.option("--outputs", type=whole(1), help="n_N, where widths are drawn."),
    _one_of("--hidden", HIDDEN, "sigmoid", "Activation of the hidden layers."),
    _one_of("--output", OUTPUT, "both", "Activation of the output layer; both: the readings."),
    _one_of("--cost", COST, "squared_error", "The cost, in its convention."),
    click.option(
        "--biases/--no-biases", default=True, show_default=True, help="Networks with biases."
    ),
    click.option("--l2", type=float, default=0.0, show_default=True, help="λ of λ/2 Σ w²."),
    click.option("--l2-biases", is_flag=True, help="The penalty is of the biases too."),
    _one_of("--arrays", ARRAYS, "numpy", "What arrays your function is handed."),
)
"""What random cases are drawn from, and how a user's function sees them."""


DISTRIBUTION = (
    *("layers", "widths", "samples", "architecture", "outputs", "hidden", "output", "cost"),
    *("biases", "l2", "l2_biases"),
)
"""The options that say what cases are drawn from."""


def cases_of(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of CASES_OF, for a command that draws cases for a user's function.

    The command gets a `distribution`, and `arrays`.
    """

    @wraps(command)
    def run(**options: Any) -> Any:
        from crosscheck.networks.distribution import Distribution

        drawn = {name: options.pop(name) for name in DISTRIBUTION}
        return command(distribution=Distribution(**drawn), **options)

    with_options: Callable[..., Any] = run
    for option in reversed(CASES_OF):
        with_options = option(with_options)
    return with_options
