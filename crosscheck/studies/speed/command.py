"""Speed side by side, as ratios: gradients, verdicts and their parts; and what is measured of all.

Rivals are run in turn, round after round, in one process, with as many threads for each library.
"""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from crosscheck.networks.network import Architecture
from crosscheck.results import extras
from crosscheck.results.disk import files
from crosscheck.runs.processes import worker
from crosscheck.studies.speed import plots, sweep, timing
from crosscheck.studies.speed.actions import (
    case_of,
    has_cpp_compiler,
    jax_steady,
    products,
    rivals,
    torch_steady,
    verdict_of,
)
from crosscheck.studies.speed.timing import ROUNDS, Action, ratio, times
from crosscheck.verdicts.evidence import Evidence

THREADS = (1, 2)
"""Threads of each library, for which gradients are compared."""

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
    ((4, 16, 8, 5), 16),
    ((8, 16, 16, 4), 16),
    ((32, 64, 32, 4), 32),
    ((128, 192, 64, 10), 32),
)
"""(widths, D) of the verdicts that are compared: 67, 261, 484, 4 k and 38 k parameters."""

RIVAL_SECONDS = 60.0
"""A rival that would take longer is extrapolated from the network before, and marked."""

LITERAL_CALLS = 5
"""How often the literal recursion is called where it takes long: two calls are not counted."""


def gradients(rounds: int = ROUNDS, ladder: Any = LADDER, threads: Sequence[int] = THREADS) -> Any:
    """A line per network, dtype and threads: `paper-contracted` over each rival, and the floor."""
    lines = []
    known: dict[tuple[str, int], tuple[int, float]] = {}
    with timing.processes(threads) as process:
        for widths, samples in ladder:
            work = _literal_work(widths, samples)
            for dtype in ("float32", "float64"):
                of_first: list[float] = []
                for count in threads:
                    before = known.get((dtype, count))
                    expected = before[1] * work / before[0] if before else 0.0
                    literal = LITERAL_CALLS * expected <= RIVAL_SECONDS
                    wanted = (widths, samples, dtype, rounds, count, literal)
                    found = process[count].submit(gradient_times, *wanted).result()
                    if "paper" in found:
                        known[dtype, count] = work, float(np.median(found["paper"]))
                    of_first = of_first or found["ours"]
                    line = {"network": _label(widths), "D": samples, "dtype": dtype}
                    line |= {"threads": count, **_compared(found, expected)}
                    lines.append(line | {ONE_THREAD: str(ratio(found["ours"], of_first))})
    return pd.DataFrame(lines)


def _literal_work(widths: Sequence[int], samples: int) -> int:
    """What the time of the paper's literal recursion grows with: its Jacobians by weights."""
    return samples * widths[-1] * Architecture(tuple(widths)).parameters


def gradient_times(
    widths: tuple[int, ...], samples: int, dtype: str, rounds: int, threads: int, literal: bool
) -> dict[str, list[float]]:
    """Seconds of one gradient by ours, by each rival that is there, and of the products alone."""
    from crosscheck.engines import registry

    ours, paper = registry.load("paper-contracted"), registry.load("paper")
    case = case_of(widths, samples, dtype)
    actions: dict[str, Action] = {
        "ours": lambda: ours.gradients(case),
        "products": products(case),
        "torch": torch_steady(case),
        "jax": jax_steady(case),
    }
    if has_cpp_compiler():
        actions["torch.compile"] = torch_steady(case, compiled=True)
    with timing.threads(threads):
        found = times(actions, rounds)
        if literal:
            # By itself: a call of it may take as long as all rounds of the others.
            found["paper"] = times({"paper": lambda: paper.gradients(case)}, min(rounds, 3))[
                "paper"
            ]
    return found


def _compared(found: Mapping[str, list[float]], expected: float) -> dict[str, Any]:
    """Our microseconds, and our time over that of each; `expected` seconds of the literal."""
    once = float(np.median(found["ours"]))
    line: dict[str, Any] = {"µs": timing.short(once * 1e6)}
    for name in ("products", "torch", "torch.compile", "jax"):
        known = name in found
        line[f"/ {name}"] = str(ratio(found["ours"], found[name])) if known else NOT_AVAILABLE
    line[FLOOR] = str(ratio(found["products"], found["jax"]))
    if "paper" in found:
        line["/ paper"] = str(timing.figure(once / np.array(found["paper"])))
    else:
        line["/ paper"] = f"≈ {once / expected:.3g} (extrapolated)"
    return line


NOT_AVAILABLE = "not available: no C++ compiler"
ONE_THREAD = "/ ours on one thread"
FLOOR = "products / jax"
"""Where the bare products of this BLAS take longer than the whole of a rival, nothing helps."""


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
    from crosscheck.bounds import float64, reverse, stagewise
    from crosscheck.bounds.statistical import Sensitivities
    from crosscheck.engines import registry
    from crosscheck.exact import double_double, oracle, slices
    from crosscheck.verdicts import verdict

    engine: Any = registry.load("paper-contracted")
    promise = engine.arithmetic("float64")
    case, narrow = (case_of(widths, samples, dtype) for dtype in ("float64", "float32"))
    trace = float64.evaluate(case)
    order = reverse.contracted(case, trace, promise).tensors
    stages, narrow_promise = engine.stages(narrow), engine.arithmetic("float32")
    return {
        "float64 trace": lambda: float64.evaluate(case),
        "B": lambda: reverse.contracted(case, trace, promise),
        "stagewise (float32)": lambda: list(stagewise.checks(narrow, stages, narrow_promise)),
        "ℓ2": lambda: Sensitivities.of(case, trace, promise, order),
        "slices": lambda: slices.evaluate(case),
        "double-double": lambda: double_double.enclose(case),
        "oracle": lambda: oracle.enclose(case),
        "verdict": verdict_of(case),
        "with rows": lambda: verdict.judge(Evidence(case), promise, engine.gradients(case)),
    }


class Extent(NamedTuple):
    """How much is measured: rounds of each comparison, and cases of the largest whole run."""

    rounds: int = ROUNDS
    largest: int = 20_000


PARTS: Mapping[str, Callable[[Extent], Any]] = {
    "gradients": lambda extent: gradients(extent.rounds),
    "verdicts": lambda extent: verdicts(min(extent.rounds, 5)),
    "costs": lambda extent: costs(min(extent.rounds, 5)),
    "stages": lambda extent: sweep.stages(min(extent.rounds, 5)),
    "growth": lambda extent: sweep.growth(min(extent.rounds, 3)),
    "workers": lambda extent: sweep.workers(min(extent.rounds, 7)),
    "memory": lambda extent: sweep.memory(min(extent.rounds, 3), extent.largest),
}
"""What can be measured, by name."""

HEADINGS = {
    "gradients": "A gradient: the time of `paper-contracted` over that of each rival",
    "verdicts": "A certified float64 verdict: the time of each rival over ours",
    "costs": "The parts of a verdict, in milliseconds (the least of several)",
    "stages": "A sweep by stage: microseconds of one core an architecture",
    "growth": "A sweep as networks and cases grow: architectures a second on one core",
    "workers": "A sweep by processes: architectures a second",
    "memory": "Peak resident memory of a run's processes",
}


def run(parts: Sequence[str], extent: Extent) -> dict[str, Any]:
    """The tables of these parts, measured now; on one thread where a table says nothing else."""
    worker.limit_threads()
    with timing.threads():
        return {name: PARTS[name](extent) for name in parts}


def as_markdown(tables: Mapping[str, Any]) -> str:
    """The tables with what they say, the processor and the BLAS kernel that ran."""
    from crosscheck.reports.formats.markdown import table
    from crosscheck.results import environment

    described = environment.describe()
    kernels = ", ".join(
        f"{blas['internal_api']} {blas['version']} ({blas['architecture']})"
        for blas in described["blas"]
        if blas["architecture"]
    )
    threads = "One thread, where a table says nothing else"
    parts = ["# Performance", f"{threads}, on {described['cpu']}; BLAS: {kernels}."]
    parts.append("Ratios are medians over rounds, with the least and the greatest.")
    for name, frame in tables.items():
        parts += [f"## {HEADINGS[name]}", table(frame)]
    return "\n\n".join(parts) + "\n"


def main(parts: Sequence[str], extent: Extent, out: Path | None) -> int:
    """Measure, print, and write to `out` if it is given; the exit status.

    Raises ValueError for an unknown part, a library that is missing, or a file that cannot be
    written.
    """
    for name in parts:
        if name not in PARTS:
            raise ValueError(f"unknown part {name!r}: known are {', '.join(PARTS)}")
    if out is not None:
        extras.require("--out", "matplotlib")
    try:
        tables = run(parts, extent)
    except ModuleNotFoundError as error:
        raise ValueError(
            f"bench needs {error.name}, which is not installed: "
            "pip install 'gradcrosscheck[all,test]'"
        ) from None
    sys.stdout.write(as_markdown(tables))
    if out is not None:
        try:
            _write(tables, extent, out)
        except OSError as error:
            raise ValueError(f"cannot write to {out}: {error.strerror}") from None
    return 0


def _write(tables: Mapping[str, Any], extent: Extent, out: Path) -> None:
    """The tables as Markdown, and beside it a picture of each part that has one."""
    out.parent.mkdir(parents=True, exist_ok=True)
    text = as_markdown(tables) + f"\nMade by `{_command(tables, extent)}`.\n"
    for name, frame in tables.items():
        if name in plots.PICTURES:
            path = out.with_name(f"{out.stem}-{name}.png")
            files.write(path, plots.png(name, HEADINGS[name], frame))
            text += f"\n![{HEADINGS[name]}]({path.name})\n"
    files.write(out, text)


def _command(parts: Iterable[str], extent: Extent) -> str:
    """The command that measures the same again."""
    words = ["crosscheck", "bench", "--only", ",".join(parts)]
    for name, value in extent._asdict().items():
        words += [f"--{name}", str(value)] if value != Extent._field_defaults[name] else []
    return " ".join(words)
