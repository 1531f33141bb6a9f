"""The checker examined by its own catalogue: what it catches, what it misses, false alarms.

Each mistake is made on random architectures. It is viable on one if an exact entry of the
gradient changes by more than 4u|g|; that is decided in double-doubles, not by an engine. A
viable mistake is caught if a tensor is judged DEFECT.
"""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from crosscheck import sampling, suite
from crosscheck.arithmetic import Arithmetic
from crosscheck.distribution import Distribution
from crosscheck.engines.interface import Engine, Unsupported
from crosscheck.faults.catalogue import FaultyEngine, variants
from crosscheck.faults.interface import Fault, Parameters
from crosscheck.faults.viability import Exact, viable
from crosscheck.values import Case, Gradients
from crosscheck.verdict import Evidence, TensorErrors

SCALES = (1.0, 5.0, 20.0)
"""The strata: factors on Xavier weights; 20 saturates."""

FIRST_INDEX = 8
"""The indices below are special cases in every run."""

SQUARE_WIDTHS = (2, 12)
"""Widths of the square networks, for mistakes that other widths would not survive."""

RUN = 100
"""Cases of one run: a mistake must be caught in one of them."""

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Examination:
    """How much is examined: `cases` architectures of each scale and dtype."""

    cases: int = 200
    seed: int = 0
    dtypes: tuple[str, ...] = ("float32", "float64")
    widths: tuple[int, int] = (1, 64)
    correct: int = 2000
    rivals: int = 20

    def __post_init__(self) -> None:
        unknown = [d for d in self.dtypes if d not in ("float32", "float64")]
        if unknown:
            raise ValueError(f"unknown dtype {unknown[0]!r}: power knows float32 and float64")


def networks(of: Examination, dtype: str, scale: float) -> Iterator[tuple[Case, Case]]:
    """A network of any widths and a square one, for each index."""
    for index in range(FIRST_INDEX, FIRST_INDEX + of.cases):
        low, high = SQUARE_WIDTHS
        width = low + index % (high - low + 1)
        yield (
            sampling.draw(Distribution(widths=of.widths, scales=(scale,)), of.seed, index, dtype),
            sampling.draw(
                Distribution(widths=(width, width), scales=(scale,)), of.seed, index, dtype
            ),
        )


def caught(evidence: Evidence, gradients: Gradients) -> bool:
    """Whether any tensor is proved wrong: the verdict DEFECT, without the rest of the row."""
    arithmetic = Arithmetic(evidence.case.dtype, "either", flushes=True)
    limits = evidence.bound(arithmetic)
    if limits.overflow:
        return False
    return any(
        bool(TensorErrors.of(got, evidence.enclosure, which, limits.tensors[which]).beyond.any())
        for which, got in enumerate(gradients.tensors())
    )


def trials(of: Examination, jobs: int = 1) -> pd.DataFrame:
    """A row per mistake and network: fault, variant, family, dtype, scale, index, outcome."""
    tasks = [(of, dtype, scale) for dtype in of.dtypes for scale in SCALES]
    if jobs == 1:
        return pd.concat(map(_stratum, tasks), ignore_index=True)
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        return pd.concat(pool.map(_stratum, tasks), ignore_index=True)


def _stratum(task: tuple[Examination, str, float]) -> pd.DataFrame:
    of, dtype, scale = task
    return pd.DataFrame(row for pair in networks(of, dtype, scale) for row in _on(pair, scale))


def _on(pair: tuple[Case, Case], scale: float) -> Iterator[dict[str, Any]]:
    evidence = [Evidence(case) for case in pair]
    exact = [Exact(case) for case in pair]
    for fault, parameters in variants():
        square = fault.needs.equal_from is not None
        case = pair[square]
        if case.dtype not in fault.dtypes:
            continue
        yield {
            "fault": fault.id,
            "variant": fault.label(parameters),
            "family": fault.family,
            "dtype": case.dtype,
            "scale": scale,
            "index": case.index,
            "outcome": _outcome(fault, parameters, case, evidence[square], exact[square]),
        }


def _outcome(
    fault: Fault, parameters: Parameters, case: Case, evidence: Evidence, exact: Exact
) -> str:
    if not fault.applies(case) or not viable(fault, case, parameters, exact):
        return "unviable"
    gradients = FaultyEngine(fault, parameters).gradients(case)
    return "caught" if caught(evidence, gradients) else "missed"


def interval(hits: int, of: int) -> tuple[float, float]:
    """Clopper-Pearson: the exact two-sided interval of a binomial share, at 95 %."""
    from scipy.stats import beta

    tail = (1 - CONFIDENCE) / 2
    low = 0.0 if hits == 0 else float(beta.ppf(tail, hits, of - hits + 1))
    high = 1.0 if hits == of else float(beta.ppf(1 - tail, hits + 1, of - hits))
    return low, high


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """A line per variant, dtype and scale: counts by outcome, the share caught, its interval."""
    keys = ["family", "fault", "variant", "dtype", "scale"]
    counts = rows.groupby([*keys, "outcome"], sort=False).size().unstack(fill_value=0)
    for outcome in ("caught", "missed", "unviable"):
        if outcome not in counts:
            counts[outcome] = 0
    frame = counts[["caught", "missed", "unviable"]].reset_index()
    frame["viable"] = frame["caught"] + frame["missed"]
    with np.errstate(invalid="ignore"):
        frame["share"] = frame["caught"] / frame["viable"]
    bounds = [
        interval(int(c), int(v)) if v else (0.0, 1.0)
        for c, v in zip(frame["caught"], frame["viable"], strict=True)
    ]
    frame["low"], frame["high"] = zip(*bounds, strict=True) if bounds else ((), ())
    frame.columns.name = None
    return frame


def by_family(rows: pd.DataFrame) -> pd.DataFrame:
    """The same, per family, dtype and scale; single entries apart, as their size is chosen."""
    grouped = rows.copy()
    entry = grouped["fault"] == "entry-scaled"
    grouped.loc[entry, "family"] = "one entry × (1 + ε)"
    grouped["fault"], grouped["variant"] = grouped["family"], grouped["family"]
    grouped.loc[entry, "variant"] = rows.loc[entry, "variant"].str.replace("entry-scaled", "ε =")
    return table(grouped)


def by_run(rows: pd.DataFrame) -> pd.DataFrame:
    """A line per variant and dtype: runs of 100 cases of all scales in which it was caught."""
    frame = rows[rows["outcome"] != "unviable"].copy()
    frame["run"] = (frame["index"] - FIRST_INDEX) * len(SCALES) // RUN
    hit = frame.assign(hit=frame["outcome"] == "caught")
    runs = hit.groupby(["family", "variant", "dtype", "run"], sort=False)["hit"].any()
    counted = runs.groupby(["family", "variant", "dtype"], sort=False).agg(["sum", "size"])
    return counted.rename(columns={"sum": "caught", "size": "runs"}).reset_index()


def false_alarms(of: Examination, engines: Sequence[str]) -> pd.DataFrame:
    """A line per correct engine and dtype: cases, and those judged DEFECT."""
    lines = []
    for name in engines:
        engine = suite.muster([name])[name]
        for dtype in of.dtypes:
            count = 0 if isinstance(engine, Unsupported) else of.correct
            alarms = _alarms(engine, of, dtype, count)
            lines.append({"engine": name, "dtype": dtype, "cases": count, "false alarms": alarms})
    return pd.DataFrame(lines)


def _alarms(engine: Engine | Unsupported, of: Examination, dtype: str, count: int) -> int:
    if isinstance(engine, Unsupported):
        return 0
    alarms = 0
    for index in range(count):
        case = sampling.draw(Distribution(widths=of.widths), of.seed, index, dtype)
        evidence = Evidence(case)
        limits = evidence.bound(engine.arithmetic(dtype))
        found = engine.gradients(case).tensors()
        alarms += limits.overflow is None and any(
            TensorErrors.of(got, evidence.enclosure, which, limits.tensors[which]).beyond.any()
            for which, got in enumerate(found)
        )
    return alarms


def smallest_always_caught(rows: pd.DataFrame) -> pd.DataFrame:
    """Per dtype and scale: the smallest ε of a single entry that no viable network hid."""
    entries = table(rows[rows["fault"] == "entry-scaled"])
    entries = entries.assign(epsilon=entries["variant"].str.split().str[-1].astype(float))
    sure = entries[(entries["missed"] == 0) & (entries["caught"] > 0)]
    keys = ["dtype", "scale"]
    found = sure.groupby(keys)["epsilon"].min()
    every = entries.groupby(keys)["variant"].size().index
    return found.reindex(every).rename("smallest ε always caught").reset_index()


WHITE_BOX_CASES = 320
"""Networks on which the stagewise checks are examined, at least."""


def with_intervals(counts: pd.DataFrame) -> pd.DataFrame:
    """`viable` and `caught` with the share in per cent and its interval."""
    limits = [interval(c, v) for c, v in zip(counts["caught"], counts["viable"], strict=True)]
    return counts.assign(
        share=[
            f"{100 * c / v:.1f}" for c, v in zip(counts["caught"], counts["viable"], strict=True)
        ],
        interval=[f"{100 * low:.1f} … {100 * high:.1f}" for low, high in limits],
    )


CORRECT = ("paper", "paper-contracted", "paper-stable", "torch.backward")
"""Correct engines that are cheap enough for thousands of shapes."""


def run(
    of: Examination, out: Path, report: Path | None, say: Callable[[str], None], jobs: int = 1
) -> int:
    """Examine, write `power.csv` and a report, print the tables; the exit status.

    1 where a correct engine was accused.
    """
    from crosscheck import rivals, white_box
    from crosscheck.reports import power as pages

    rows = trials(of, jobs)
    alarms = false_alarms(of, CORRECT)
    beside = rivals.compare(of.rivals, of.seed) if of.rivals else pd.DataFrame()
    out.mkdir(parents=True, exist_ok=True)
    table(rows).to_csv(out / "power.csv", index=False)
    text = pages.page(
        {
            "families": by_family(rows),
            "variants": table(rows),
            "runs": by_run(rows),
            "entries": smallest_always_caught(rows),
            "alarms": alarms,
            "rivals": beside,
            "stages": with_intervals(white_box.trials(max(of.cases, WHITE_BOX_CASES), of.seed)),
            "slack": white_box.slack(of.cases, of.seed),
        },
        command_line(of),
    )
    (report or out / "detection-power.md").write_text(text, encoding="utf-8")
    say(pages.short(by_family(rows), alarms, beside))
    return int(bool(alarms["false alarms"].sum()))


def command_line(of: Examination) -> str:
    """The command that makes the report."""
    words = ["crosscheck power", f"--cases {of.cases}", f"--seed {of.seed}"]
    words += [f"--dtypes {','.join(of.dtypes)}", f"--correct {of.correct}", f"--rivals {of.rivals}"]
    return " ".join(words)
