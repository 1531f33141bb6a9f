"""The speed of a sweep: by stage, as it grows, by worker, and the memory that it holds.

Everything runs through the functions of a real sweep, on indices from the middle of a large plan,
where one in a hundred gets the checks that cost most.
"""

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import psutil

from crosscheck.networks import watched
from crosscheck.networks.distribution import Distribution
from crosscheck.results import journal
from crosscheck.runs import evaluate
from crosscheck.runs.plan import Plan, Span, blocks
from crosscheck.runs.processes.attempts import Crew
from crosscheck.runs.processes.pool import Limits, Pool
from crosscheck.studies.speed import stopwatch
from crosscheck.studies.speed.timing import Figure, figure, ratio, short

MILLION = 10**6
SECONDS_OF_AN_HOUR = 3600

SWEEP = Plan(engines=("paper-contracted", "torch.backward", "jax.packed"), cases=MILLION)
"""A large sweep: of a random distribution, three engines, one case in a hundred deep."""

REPRESENTATIVE = Span(1000, 2000)
"""Indices of which as many go deep, and are certified, as in the whole of a large plan."""

WHOLE = "whole"


def cost(plan: Plan, span: Span, crew: Crew) -> dict[str, float]:
    """Seconds of an architecture by stage, and of the whole; by the functions of a worker."""
    count = span.size * len(plan.dtypes)
    with stopwatch.watching() as watch:
        started = time.perf_counter()
        for block in blocks([span], plan.block_size):
            portions = list(evaluate.evaluate_block(plan, watch.crew(crew), block))
            journal.encode(evaluate.as_tables(portions, plan.engines))
        whole = time.perf_counter() - started
    stages = {**dict.fromkeys(stage_clocks(crew), 0.0), **watch.seconds}
    return {name: seconds / count for name, seconds in stages.items()} | {WHOLE: whole / count}


def stage_clocks(crew: Crew) -> list[str]:
    """The names of all stages, in the order that a case goes through them."""
    first, *others = watched.STAGES
    return [first, *(stopwatch.ENGINE + name for name in crew), *others, stopwatch.ELSE]


def costs(
    settings: Mapping[Any, tuple[Plan, Span]], rounds: int
) -> dict[Any, dict[str, list[float]]]:
    """The costs of each setting in turn, for each round; a first round is not counted."""
    crew = evaluate.muster(next(iter(settings.values()))[0].engines)
    for plan, span in settings.values():
        cost(plan, span, crew)
    made: dict[Any, list[dict[str, float]]] = {key: [] for key in settings}
    for _ in range(rounds):
        for key, (plan, span) in settings.items():
            made[key].append(cost(plan, span, crew))
    return {key: {name: [c[name] for c in of] for name in of[0]} for key, of in made.items()}


def stages(rounds: int = 5, plan: Plan = SWEEP, span: Span = REPRESENTATIVE) -> Any:
    """A line per stage and dtype: what it costs, and what a million architectures would."""
    settings = {dtype: (replace(plan, dtypes=(dtype,)), span) for dtype in plan.dtypes}
    found = costs(settings, rounds)
    lines = []
    for stage in next(iter(found.values())):
        for dtype, seconds in found.items():
            of_one = figure(np.array(seconds[stage]) * 1e6)
            lines.append(
                {
                    "stage": stage,
                    "dtype": dtype,
                    "µs": str(of_one),
                    "a second": short(1e6 / of_one.median) if of_one.median else "–",
                    "share": f"{ratio(seconds[stage], seconds[WHOLE]).median:.1%}",
                    "hours a million": f"{of_one.median / SECONDS_OF_AN_HOUR:.2f}",
                }
            )
    return pd.DataFrame(lines)


# --- as it grows -------------------------------------------------------------------------------

GROUPS: Mapping[str, Sequence[str]] = {
    "sampling": ("sampling",),
    "engines": (stopwatch.ENGINE,),
    "reference": ("reference", "certificate"),
    "bounds": ("float64 gradient and B", "ℓ2 and stagewise"),
    "judging": ("judging",),
    "rows": ("rows", stopwatch.ELSE),
}
"""Stages put together, by how their names begin."""

LAYERS, WIDTH, SAMPLES = 4, 16, 16
"""The network of which one of the three grows."""


class Axis(NamedTuple):
    """One thing that grows: its values, and which indices are measured."""

    values: Sequence[int]
    span: Span


AXES: Mapping[str, Axis] = {
    "width": Axis((4, 16, 64, 256), Span(1100, 1200)),
    "layers": Axis((2, 4, 8, 16), Span(1100, 1200)),
    "samples": Axis((4, 16, 64, 256), Span(1100, 1200)),
    "cases": Axis((200, 2_000, 20_000), Span(100, 200)),
}


def grown(plan: Plan, axis: str, value: int) -> Plan:
    """The plan with this one thing as large."""
    if axis == "cases":
        return replace(plan, cases=value)
    sizes = {"layers": LAYERS, "width": WIDTH, "samples": SAMPLES} | {axis: value}
    layers, widths, samples = ((n, n) for n in (sizes["layers"], sizes["width"], sizes["samples"]))
    return replace(plan, distribution=Distribution(layers, widths, samples))


def growth(rounds: int = 5, plan: Plan = SWEEP, axes: Mapping[str, Axis] = AXES) -> Any:
    """A line per size and dtype: architectures a second, and microseconds of each part."""
    lines = []
    for name, axis in axes.items():
        settings = {
            (value, dtype): (replace(grown(plan, name, value), dtypes=(dtype,)), axis.span)
            for value in axis.values
            for dtype in plan.dtypes
        }
        found = costs(settings, rounds)
        for (value, dtype), seconds in found.items():
            first = found[axis.values[0], dtype]
            line = {"grows": name, "to": value, "dtype": dtype}
            line["a second"] = str(figure(1 / np.array(seconds[WHOLE])))
            line["time / first"] = str(ratio(seconds[WHOLE], first[WHOLE]))
            lines.append(line | _grouped(seconds))
    return pd.DataFrame(lines)


def _grouped(seconds: Mapping[str, Sequence[float]]) -> dict[str, str]:
    """Microseconds of each group of stages."""
    medians = {stage: float(np.median(of)) * 1e6 for stage, of in seconds.items()}
    return {
        f"{group} µs": short(sum(us for stage, us in medians.items() if stage.startswith(of)))
        for group, of in ((group, tuple(of)) for group, of in GROUPS.items())
    }


# --- by worker ---------------------------------------------------------------------------------

WORKERS_SPAN, WORKERS_BLOCK = Span(1100, 1612), 16
"""What each number of workers does in a round, and in which pieces."""


def workers(
    rounds: int = 5, plan: Plan = SWEEP, span: Span = WORKERS_SPAN, jobs: Sequence[int] = (1, 2)
) -> Any:
    """A line per number of processes: architectures a second, and how often that of one."""
    seconds: dict[int, list[float]] = {count: [] for count in jobs}
    with ExitStack() as stack:
        pools = {n: stack.enter_context(Pool(plan, Limits(n, timeout=600.0))) for n in jobs}
        for number in range(rounds + 1):
            for count, pool in pools.items():
                started = time.perf_counter()
                for _ in pool.results(blocks([span], WORKERS_BLOCK)):
                    pass
                # In the first round processes start, and programs are compiled.
                seconds[count] += [time.perf_counter() - started] if number else []
    done = span.size * len(plan.dtypes)
    lines = [
        {
            "processes": count,
            "a second": str(figure(done / np.array(of))),
            "/ one process": str(ratio(seconds[jobs[0]], of)),
        }
        for count, of in seconds.items()
    ]
    return pd.DataFrame(lines)


# --- memory ------------------------------------------------------------------------------------

LEAST_CASES, STEP = 2_000, 10
"""The smallest run whose memory is measured, and how many times larger the next is."""

LIGHT = (
    *("--layers", "2-3", "--widths", "1-4", "--samples", "1-4"),
    *("--dtypes", "float32", "--engines", "paper-contracted", "--jobs", "2"),
)
"""Small networks and one engine: what grows then is what is kept of each case.

The output is the default one: a concise one is made of all rows, which are read for it.
"""

POLL_SECONDS = 0.05


class Held(NamedTuple):
    """What a run took: seconds, and the most bytes resident in the parent and in all processes."""

    seconds: float
    parent: int
    together: int


def memory(rounds: int = 3, largest: int = 20_000, options: Sequence[str] = LIGHT) -> Any:
    """A line per number of cases: what the processes of a whole run held at their most."""
    found: dict[int, list[Held]] = {count: [] for count in ladder(largest)}
    for _ in range(rounds):
        for count, of in found.items():
            of.append(held_by_run(count, options))
    first = [held.together for held in next(iter(found.values()))]
    return pd.DataFrame([_memory_line(count, of, first) for count, of in found.items()])


def _memory_line(cases: int, held: Sequence[Held], first: Sequence[int]) -> dict[str, Any]:
    return {
        "cases": cases,
        "seconds": str(figure([of.seconds for of in held])),
        "a second": str(figure([cases / of.seconds for of in held])),
        "parent, MB": str(_megabytes([of.parent for of in held])),
        "all, MB": str(_megabytes([of.together for of in held])),
        "all / first": str(ratio([of.together for of in held], first)),
    }


def _megabytes(of: Sequence[int]) -> Figure:
    return figure(np.array(of) / 1e6)


def ladder(largest: int) -> Iterator[int]:
    """Numbers of cases, ten times as many at each step, up to the largest."""
    count = LEAST_CASES
    while count < largest:
        yield count
        count *= STEP
    yield largest


def held_by_run(cases: int, options: Sequence[str]) -> Held:
    """Run the command on so many cases, and watch its processes.

    Raises ValueError where it ends with a status that is no verdict.
    """
    with TemporaryDirectory() as folder:
        words = ["run", "--cases", str(cases), *options]
        command = [sys.executable, "-m", "crosscheck", *words, "--out", str(Path(folder) / "run")]
        started = time.perf_counter()
        said = Path(folder) / "said"
        with said.open("wb") as file, subprocess.Popen(command, stdout=file, stderr=file) as run:
            parent, together = resident_bytes(run)
        seconds = time.perf_counter() - started
        if run.returncode not in (0, 1):
            raise ValueError(f"a run of {cases} cases failed: {said.read_text().strip()}")
    return Held(seconds, parent, together)


def resident_bytes(run: "subprocess.Popen[bytes]") -> tuple[int, int]:
    """The most bytes that were resident in a run's own process, and in all of its at one time."""
    own = psutil.Process(run.pid)
    parent = together = 0
    before: set[int] = set()
    while run.poll() is None:
        try:
            found = [own, *own.children(recursive=True)]
            # A process that has just begun may still be the image of its parent.
            resident = {p.pid: p.memory_info().rss for p in found if p.pid in before}
        except psutil.Error:
            continue
        parent = max(parent, resident.get(run.pid, 0))
        together = max(together, sum(resident.values()))
        before = {process.pid for process in found}
        time.sleep(POLL_SECONDS)
    return parent, together
