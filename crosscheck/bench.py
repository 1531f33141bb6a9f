"""Speed side by side, as ratios: gradients, verdicts, their parts, and a sweep.

Rivals are run in turn, round after round, in one process with one thread for each library, and
the ratio of a round is that of neighbours in time: what disturbs the machine disturbs both. A
figure is the median of the rounds, with the least and the greatest.
"""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from crosscheck import worker
from crosscheck.contestants import (
    Action,
    case_of,
    jax_steady,
    products,
    rivals,
    torch_steady,
    verdict_of,
)

ROUNDS, ROUND_SECONDS = 15, 0.02
"""Rounds of each comparison, and the least time of one action in one."""

LADDER = (
    ((4, 8, 3), 8),
    ((8, 16, 16, 4), 16),
    ((64, 64, 64, 10), 32),
    ((256, 256, 256, 256), 128),
    ((512, 512, 512, 512), 128),
    ((1024, 1024, 1024), 128),
)
"""(widths, D) of the gradients that are compared."""

VERDICTS = (
    ((4, 8, 3), 8),
    ((8, 16, 16, 4), 16),
    ((32, 64, 32, 4), 32),
    ((128, 192, 64, 10), 32),
)
"""(widths, D) of the verdicts that are compared: 67, 484, 4 k and 38 k parameters."""

RIVAL_SECONDS = 60.0
"""A rival that would take longer is extrapolated from the network before, and marked."""


class Figure(NamedTuple):
    """A ratio over rounds."""

    median: float
    least: float
    greatest: float

    def __str__(self) -> str:
        return f"{self.median:.3g} ({self.least:.3g} – {self.greatest:.3g})"


def times(actions: Mapping[str, Action], rounds: int = ROUNDS) -> dict[str, list[float]]:
    """Seconds of one call of each action, for each round; the first call is not counted."""
    repeats = {}
    for name, action in actions.items():
        action()
        started = time.perf_counter()
        action()
        once = max(time.perf_counter() - started, 1e-7)
        repeats[name] = max(1, int(ROUND_SECONDS / once))
    found: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(rounds):
        for name, action in actions.items():
            started = time.perf_counter()
            for _ in range(repeats[name]):
                action()
            found[name].append((time.perf_counter() - started) / repeats[name])
    return found


def ratio(one: Sequence[float], other: Sequence[float]) -> Figure:
    """one / other, round by round."""
    rounds = np.array(one) / np.array(other)
    return Figure(float(np.median(rounds)), float(rounds.min()), float(rounds.max()))


@contextmanager
def one_thread(count: int = 1) -> Iterator[None]:
    """So many threads for the BLAS and for torch, and as before afterwards."""
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        with threadpool_limits(count):
            yield
    finally:
        torch.set_num_threads(before)


def gradients(rounds: int = ROUNDS, ladder: Any = LADDER, compile_torch: bool = False) -> Any:
    """A line per network and dtype: `paper-contracted` against each rival, and the floor."""
    from crosscheck.engines import names

    ours, literal = names.load("paper-contracted"), names.load("paper")
    lines = []
    for widths, samples in ladder:
        for dtype in ("float32", "float64"):
            case = case_of(widths, samples, dtype)
            actions: dict[str, Action] = {
                "ours": lambda case=case: ours.gradients(case),  # type: ignore[misc]
                "products": products(case),
                "torch": torch_steady(case),
                "jax": jax_steady(case),
            }
            if compile_torch:
                actions["torch.compile"] = torch_steady(case, compiled=True)
            if max(widths) <= 16:
                actions["paper"] = lambda case=case: literal.gradients(case)  # type: ignore[misc]
            found = times(actions, rounds)
            line = {"network": _label(widths), "D": samples, "dtype": dtype}
            line["µs"] = round(float(np.median(found["ours"])) * 1e6, 1)
            for name in actions:
                if name != "ours":
                    line[f"/ {name}"] = str(ratio(found["ours"], found[name]))
            lines.append(line)
    return pd.DataFrame(lines).fillna("–")


def _label(widths: Sequence[int]) -> str:
    return "-".join(map(str, widths))


def verdicts(rounds: int = 5, ladder: Any = VERDICTS) -> Any:
    """A line per network: each rival's time over ours."""
    lines = []
    last: dict[str, tuple[int, float]] = {}
    for widths, samples in ladder:
        case = case_of(widths, samples, "float64")
        parameters = case.architecture.parameters
        ours = verdict_of(case)
        line: dict[str, Any] = {"parameters": parameters, "D": samples}
        line["ms"] = round(float(np.median(times({"ours": ours}, rounds)["ours"])) * 1e3, 3)
        for name, rival in rivals(case).items():
            expected = _grown(last.get(name), parameters)
            if expected > RIVAL_SECONDS:
                line[name] = f"≈ {expected / line['ms'] * 1e3:.3g} (extrapolated)"
                continue
            few = 2 if expected > 1 else rounds
            found = times({"rival": rival, "ours": ours}, few)
            last[name] = (parameters, float(np.median(found["rival"])))
            line[name] = str(ratio(found["rival"], found["ours"]))
        lines.append(line)
    return pd.DataFrame(lines)


def _grown(known: tuple[int, float] | None, parameters: int) -> float:
    """The time of a rival whose work grows with the square of the parameters, from one known."""
    return known[1] * (parameters / known[0]) ** 2 if known else 0.0


COSTS = (((8, 16, 8, 4), 16), ((64, 64, 64, 10), 32), ((256, 256, 10), 32))


def costs(rounds: int = 5, ladder: Any = COSTS) -> Any:
    """A line per network: milliseconds of each part of a verdict in float64, the least of some."""
    lines = []
    for widths, samples in ladder:
        found = times(_parts_of_a_verdict(widths, samples), rounds)
        line = {"network": _label(widths), "D": samples}
        lines.append(line | {name: f"{min(of) * 1e3:.2f}" for name, of in found.items()})
    return pd.DataFrame(lines)


def _parts_of_a_verdict(widths: tuple[int, ...], samples: int) -> dict[str, Action]:
    from crosscheck import bound, double_double, oracle, reference, stagewise
    from crosscheck.engines import names
    from crosscheck.sensitivities import Sensitivities

    engine: Any = names.load("paper-contracted")
    promise = engine.arithmetic("float64")
    case, narrow = (case_of(widths, samples, dtype) for dtype in ("float64", "float32"))
    trace = reference.evaluate(case)
    order = bound.contracted(case, trace, promise).tensors
    stages, narrow_promise = engine.stages(narrow), engine.arithmetic("float32")
    return {
        "float64 trace": lambda: reference.evaluate(case),
        "B": lambda: bound.contracted(case, trace, promise),
        "stagewise (float32)": lambda: list(stagewise.checks(narrow, stages, narrow_promise)),
        "ℓ2": lambda: Sensitivities.of(case, trace, promise, order),
        "double-double": lambda: double_double.enclose(case, trace),
        "oracle": lambda: oracle.enclose(case),
        "verdict": verdict_of(case),
    }


PARTS: Mapping[str, Callable[[int], Any]] = {
    "gradients": lambda rounds: gradients(rounds),
    "verdicts": lambda rounds: verdicts(min(rounds, 5)),
    "costs": lambda rounds: costs(min(rounds, 5)),
}
"""What can be measured, by name."""

HEADINGS = {
    "gradients": "A gradient: the time of `paper-contracted` over that of each rival",
    "verdicts": "A certified float64 verdict: the time of each rival over ours",
    "costs": "The parts of a verdict, in milliseconds (the least of several)",
}


PICTURED = ("gradients", "verdicts")


def run(parts: Sequence[str], rounds: int = ROUNDS) -> dict[str, Any]:
    """The tables of these parts, measured now, on one thread."""
    worker.limit_threads()
    with one_thread():
        return {name: PARTS[name](rounds) for name in parts}


def as_markdown(tables: Mapping[str, Any]) -> str:
    """The tables with what they say, the processor and the BLAS kernel that ran."""
    from crosscheck import environment
    from crosscheck.reports.markdown import table

    described = environment.describe()
    kernels = ", ".join(
        f"{blas['internal_api']} {blas['version']} ({blas['architecture']})"
        for blas in described["blas"]
        if blas["architecture"]
    )
    parts = ["# Performance", f"One thread on {described['cpu']}; BLAS: {kernels}."]
    parts.append("Ratios are medians over rounds, with the least and the greatest.")
    for name, frame in tables.items():
        parts += [f"## {HEADINGS[name]}", table(frame)]
    return "\n\n".join(parts) + "\n"


def picture(name: str, frame: Any) -> Any:
    """A part's ratios as a figure: a line a rival, from the smallest network to the largest."""
    from matplotlib.figure import Figure as Drawing

    figure = Drawing(figsize=(7, 3.5), layout="constrained")
    axes = figure.subplots()
    keys = [c for c in ("network", "parameters", "dtype") if c in frame]
    labels = [" ".join(map(str, row)) for row in frame[keys].itertuples(index=False)]
    for column in frame.columns[len(keys) + 2 :]:
        axes.plot(labels, [_median(text) for text in frame[column]], "o-", label=column)
    axes.axhline(1, color="black", linewidth=0.8)
    axes.set_yscale("log")
    axes.set_title(HEADINGS[name], fontsize=10)
    axes.tick_params(axis="x", labelrotation=60, labelsize=7)
    axes.legend(fontsize=7)
    return figure


def _median(text: str) -> float:
    """The first number of a ratio's text; NaN where there is none."""
    first = text.removeprefix("≈ ").split(" ")[0]
    return float("nan") if first == "–" else float(first)


def main(parts: Sequence[str], rounds: int, out: Path | None) -> int:
    """Measure, print, and write to `out` if it is given; the exit status.

    Raises ValueError for an unknown part, a library that is missing, or a file that cannot be
    written.
    """
    for name in parts:
        if name not in PARTS:
            raise ValueError(f"unknown part {name!r}: known are {', '.join(PARTS)}")
    try:
        tables = run(parts, rounds)
    except ModuleNotFoundError as error:
        raise ValueError(
            f"bench needs {error.name}, which is not installed: "
            "pip install 'gradcrosscheck[all,test]'"
        ) from None
    sys.stdout.write(as_markdown(tables))
    if out is not None:
        try:
            _write(tables, out)
        except OSError as error:
            raise ValueError(f"cannot write to {out}: {error.strerror}") from None
    return 0


def _write(tables: Mapping[str, Any], out: Path) -> None:
    """The tables as Markdown, and beside it a picture of each part that is of ratios."""
    out.parent.mkdir(parents=True, exist_ok=True)
    text = as_markdown(tables) + f"\nMade by `crosscheck bench --only {','.join(tables)}`.\n"
    for name, frame in tables.items():
        if name in PICTURED:
            path = out.with_name(f"{out.stem}-{name}.png")
            picture(name, frame).savefig(path, dpi=100)
            text += f"\n![{HEADINGS[name]}]({path.name})\n"
    out.write_text(text, encoding="utf-8")
