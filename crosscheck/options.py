"""What options of the command take, such as ranges and sizes, and options that they share."""

from collections.abc import Callable, Sequence
from typing import Any

import click

from crosscheck.conventions import ACTIVATIONS, ARRAYS, COSTS

Option = Callable[[Callable[..., Any]], Callable[..., Any]]
"""What makes a command take an option."""


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


class Shard(click.ParamType):
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


class Folder(click.Path):
    """A folder; "" is none, though it would mean the current one: a variable was empty."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if value == "":
            self.fail("the name of the folder is empty: for the current one, give .", param, ctx)
        return super().convert(value, param, ctx)


class Memory(click.ParamType):
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


def _one_of(flag: str, known: Sequence[str], usual: str, meaning: str) -> Option:
    """An option that takes one of these names."""
    kind = click.Choice(known)
    return click.option(flag, type=kind, default=usual, show_default=True, help=meaning)


def _range(flag: str, usual: str, meaning: str, least: int = 1) -> Option:
    """An option that takes a range."""
    return click.option(flag, type=Range(least), default=usual, show_default=True, help=meaning)


CASES_OF = (
    _range("--layers", "2-6", "N.", least=2),
    _range("--widths", "1-64", "n_l."),
    _range("--samples", "1-64", "D."),
    _one_of("--hidden", ACTIVATIONS, "sigmoid", "Activation of the hidden layers."),
    _one_of("--cost", COSTS, "squared_error", "The cost's convention."),
    _one_of("--arrays", ARRAYS, "numpy", "What arrays your function is handed."),
)
"""What random cases are drawn from, and how a user's function sees them."""


def cases_of(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of CASES_OF, for a command that draws cases for a user's function."""
    for option in reversed(CASES_OF):
        command = option(command)
    return command
