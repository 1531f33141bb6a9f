"""Functions whose gradients are right, judged at arguments of many kinds: is any accused?

    python -m crosscheck.studies.soundness tests/support/zoo/torch.py --verdicts 20000

A zoo is a file with a table ZOO: name -> (function, make_arguments(rng, dtype)[, gradient]), all
of them right, so that each DEFECT is a false accusation, of ours or of the framework's.
"""

import contextlib
import importlib.util
import itertools
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd

from crosscheck.arithmetic.formats import FORMATS
from crosscheck.checking import gradient_report
from crosscheck.checking.gradcheck import Question, Template
from crosscheck.checking.gradient_report import Tried
from crosscheck.programs import arguments

FORMATS_OF = {
    "torch": ("float64", "float32", "bfloat16", "float16"),
    "jax": ("float64", "float32", "bfloat16", "float16"),
    "numpy": ("float64", "float32", "float16"),
}
"""The formats that a framework's zoo is tried in."""

OWN = "as drawn for it"
"""The kind of arguments that a zoo's own makers draw: positive where they have to be."""

COLUMNS = (
    "framework", "function", "format", "kind", "index", "mode", "tensor", "verdict", "reason",
    "first_wrong", "bound_use", "power", "l2_use",
)  # fmt: skip
"""Columns of the table of verdicts."""

Zoo = Mapping[str, Any]


def load(path: Path) -> Zoo:
    """The table ZOO of a file. Raises ValueError where there is none."""
    spec = importlib.util.spec_from_file_location(f"zoo_{path.stem}", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ValueError(f"{path} is no file of Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    if not isinstance(getattr(module, "ZOO", None), Mapping):
        raise ValueError(f"{path} has no table ZOO: name -> (function, make_arguments)")
    zoo: Zoo = module.ZOO
    return zoo


def framework_of(path: Path) -> str:
    """torch, jax or numpy, by the file's name. Raises ValueError for another name."""
    if path.stem not in FORMATS_OF:
        raise ValueError(f"{path} has to be called {', '.join(FORMATS_OF)}.py, by its framework")
    return path.stem


def native_dtype(framework: str, format: str) -> Any:
    """What makers of arguments take."""
    if framework == "torch":
        import torch

        return getattr(torch, format)
    return FORMATS[format].numpy


def drawn(framework: str, entry: Any, format: str, seed: int, index: int) -> tuple[str, list[Any]]:
    """The kind and the arguments of this index: every other time as the zoo's maker draws them."""
    generator = np.random.default_rng([seed, index])
    made = list(entry[1](generator, native_dtype(framework, format)))
    if index % 2 == 0:
        return OWN, [_owned(framework, arg) for arg in made]
    question = Question(entry[0], entry[2] if len(entry) > 2 else None)
    template = Template.of(question, [_owned(framework, arg) for arg in made], {})
    args, _ = template.draw(seed, index // 2)
    return arguments.kind(index // 2), [_owned(framework, arg) for arg in args]


def _owned(framework: str, tree: Any) -> Any:
    """NumPy's arrays as JAX's own, where JAX is asked."""
    if framework != "jax":
        return tree
    import jax

    return jax.tree_util.tree_map(jax.numpy.asarray, tree)


def verdicts(
    framework: str, name: str, entry: Any, format: str, seed: int, index: int,
    modes: Sequence[str] | None = None,
) -> list[dict[str, Any]]:  # fmt: skip
    """A row for each leaf in each mode. What cannot be judged is a row that says why."""
    kind = OWN
    place = {"framework": framework, "function": name, "format": format, "index": index}
    try:
        kind, args = drawn(framework, entry, format, seed, index)
        question = Question(entry[0], entry[2] if len(entry) > 2 else None, modes=modes, seed=seed)
        trial = question.trial(args, {})
        tried = Tried(index, kind, trial, question.judged(trial))
    except Exception as error:  # one function's failure is a row, and not the study's end
        return [{**place, "kind": kind, "verdict": "ERROR", "reason": _said(error)}]
    report = gradient_report.of(seed, [tried])
    rows = [
        {**place, "kind": kind, **{column: row[column] for column in COLUMNS if column in row}}
        for row in report.errors.drop(columns="index").to_dict("records")
    ]
    for judged in tried.modes:
        if judged.status != "ok":
            reason = f"{judged.status}: {judged.message}"
            rows.append(
                {**place, "kind": kind, "mode": judged.mode, "verdict": "ERROR", "reason": reason}
            )
    return rows


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error)[:300]}"


def trials(zoo: Zoo, formats: Sequence[str], start: int = 0) -> Iterator[tuple[str, str, int]]:
    """(function, format, index) without end: every function in every format, index by index."""
    for index in itertools.count(start):
        for format, name in itertools.product(formats, zoo):
            yield name, format, index


def study(
    framework: str, zoo: Zoo, formats: Sequence[str], wanted: int, seed: int,
    modes: Sequence[str] | None = None, start: int = 0, seconds: float = float("inf"),
    say: Callable[[str], None] = lambda text: None,
) -> pd.DataFrame:  # fmt: skip
    """At least so many verdicts, or as many as the seconds allow."""
    began, rows = time.monotonic(), list[dict[str, Any]]()
    for name, format, index in trials(zoo, formats, start):
        if len(rows) >= wanted or time.monotonic() - began > seconds:
            break
        new = verdicts(framework, name, zoo[name], format, seed, index, modes)
        rows += new
        for row in new:
            if row["verdict"] in ("DEFECT", "SUSPECT", "ERROR"):
                say(" · ".join(str(row.get(column, "")) for column in COLUMNS))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def counted(rows: pd.DataFrame) -> pd.DataFrame:
    """How many verdicts of each sort there are, by framework, format and mode."""
    return rows.groupby(["framework", "format", "mode", "verdict"]).size().unstack(fill_value=0)


@click.command()
@click.argument("zoo", type=click.Path(path_type=Path))
@click.option("--verdicts", "wanted", type=click.IntRange(1), default=2000, show_default=True)
@click.option("--seconds", type=float, default=float("inf"), help="End before, when they are over.")
@click.option("--formats", default="", help="Between commas; all that the framework has if none.")
@click.option("--modes", default="", help="Between commas; all that apply if none.")
@click.option("--only", default="", help="A regular expression that the functions' names match.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--start", type=click.IntRange(0), default=0, show_default=True, help="First index.")
@click.option("--out", type=click.Path(path_type=Path), help="Where the verdicts go, as CSV.")
def main(
    zoo: Path,
    wanted: int,
    seconds: float,
    formats: str,
    modes: str,
    only: str,
    seed: int,
    start: int,
    out: Path | None,
) -> None:
    """Judge the right functions of a ZOO file at random arguments; exit status 1 on a DEFECT."""
    framework = framework_of(zoo)
    chosen = tuple(formats.split(",")) if formats else FORMATS_OF[framework]
    entries = {name: entry for name, entry in load(zoo).items() if re.search(only, name)}
    with wide(framework):
        rows = study(
            framework, entries, chosen, wanted, seed,
            modes.split(",") if modes else None, start, seconds, lambda text: click.echo(text),
        )  # fmt: skip
    if out is not None:
        rows.to_csv(out, index=False)
    click.echo(counted(rows).to_string())
    sys.exit(int((rows["verdict"] == "DEFECT").any()))


def wide(framework: str) -> Any:
    """JAX with its float64; the others have theirs."""
    if framework != "jax":
        return contextlib.nullcontext()
    import jax

    return jax.enable_x64(True)


if __name__ == "__main__":
    main()
