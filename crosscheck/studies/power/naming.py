"""The diagnosis examined: known mistakes must be named, and nothing where none is known.

A run is what an explanation looks at of a real one: some random cases, and which of them are judged
DEFECT. In it the engine makes one mistake of the catalogue, or one with a factor of scale on
top, or distorts the right gradient in a way that the catalogue does not hold.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from crosscheck.engines import registry
from crosscheck.engines.interface import Engine
from crosscheck.faults.catalogue import scale, table as catalogue
from crosscheck.faults.catalogue.fault import Fault
from crosscheck.faults.catalogue.table import FaultyEngine, ScaledEngine
from crosscheck.faults.diagnosis import Diagnosis, among
from crosscheck.faults.predictions import Hypothesis, Predictions
from crosscheck.networks import sampling
from crosscheck.networks.distribution import Distribution
from crosscheck.reports.proportions import with_intervals
from crosscheck.studies.power import caught
from crosscheck.studies.power.extent import Examination, square_width
from crosscheck.studies.power.mistakes import distortions
from crosscheck.studies.power.processes import workers
from crosscheck.verdicts.evidence import Evidence
from crosscheck.verdicts.verdict import decide

CASES = 24
"""Cases of a run: fewer than are looked at of a real one, as there are very many runs."""

SHARED = 16
"""Engines that are run on the same cases; others get others."""

DISTORTIONS = 9
"""Distortions of each sort, size and dtype."""

STREAM = 9
"""Spawn key of the runs' seeds."""

ONE, TWO, UNKNOWN = "one mistake", "a mistake and a factor", "no known mistake"
RIGHT, UNNAMED, WRONG, NOT_FAILING = "right", "nothing named", "wrong", "not failing"
ALONE = "one alone"
"""Where two were made: one is named that explains every number of every case alone, as two
negations are one. Nobody could know better, but it is not counted as right."""


@dataclass(frozen=True)
class WrongEngine:
    """An engine that is wrong, in a dtype; `truth` is what it does, None if nothing known."""

    kind: str
    dtype: str
    engine: Engine
    truth: Hypothesis | None
    square: bool = False


def trials(extent: Examination) -> list[WrongEngine]:
    """All trials of one run, in an order that depends on nothing but the catalogue."""
    right = registry.load("paper-contracted")
    return [
        trial
        for dtype in extent.dtypes
        for trial in (*_single(dtype), *_pairs(dtype), *_distorted(dtype, right))
    ]


def _single(dtype: str) -> Iterator[WrongEngine]:
    for fault, parameters in catalogue.variants():
        if dtype in fault.dtypes:
            engine = FaultyEngine(fault, parameters)
            yield WrongEngine(ONE, dtype, engine, Hypothesis(fault, parameters), _is_square(fault))


def _pairs(dtype: str) -> Iterator[WrongEngine]:
    """Each mistake that is none of scale, with the next of the factors on top.

    One that gives other numbers at every call has no gradient to put a factor on.
    """
    factors = 0
    for fault, parameters in catalogue.variants():
        if dtype in fault.dtypes and fault.family != "scale" and fault.repeatable:
            factor = scale.SCALES[factors % len(scale.SCALES)]
            factors += 1
            engine = ScaledEngine(FaultyEngine(fault, parameters), factor)
            truth = Hypothesis(fault, parameters, factor)
            yield WrongEngine(TWO, dtype, engine, truth, _is_square(fault))


def _distorted(dtype: str, right: Engine) -> Iterator[WrongEngine]:
    for sort in distortions.SORTS:
        for size in distortions.SIZES:
            for number in range(DISTORTIONS):
                engine = distortions.DistortedEngine(right, sort, size, number)
                yield WrongEngine(UNKNOWN, dtype, engine, None)


def _is_square(fault: Fault) -> bool:
    return fault.needs.equal_from is not None


class TrialBlock(NamedTuple):
    """Trials of one run that have their cases in common: the places start … stop - 1."""

    extent: Examination
    run: int
    start: int
    stop: int


def examine(extent: Examination, jobs: int = 1) -> pd.DataFrame:
    """A row per trial: what was done, in how many cases it failed, and what was said of it."""
    count = len(trials(extent))
    blocks = [
        TrialBlock(extent, run, start, min(start + SHARED, count))
        for run in range(extent.diagnoses)
        for start in range(0, count, SHARED)
    ]
    found = workers.each(_block, blocks, jobs)
    return pd.DataFrame([row for rows in found for row in rows], columns=COLUMNS)


COLUMNS = ("kind", "dtype", "run", "mistake", "failing", "outcome", "said", "also", "share")
"""Of a row: `failing` cases of CASES, the outcome, the sentence said, other ids, and its share."""


def _block(block: TrialBlock) -> list[dict[str, Any]]:
    seeds = np.random.SeedSequence(block.extent.seed, spawn_key=(STREAM, block.run, block.start))
    seed = int(seeds.generate_state(1)[0])
    drawn = lru_cache(lambda dtype, square: _drawn(block.extent, seed, dtype, square))
    with np.errstate(all="ignore"):
        return [
            {"run": block.run, **_row(trial, drawn(trial.dtype, trial.square))}
            for trial in trials(block.extent)[block.start : block.stop]
        ]


def _drawn(
    extent: Examination, seed: int, dtype: str, square: bool
) -> list[tuple[Evidence, Predictions]]:
    """The cases of a run: what they are judged by, and what mistakes would return for them."""
    cases = [
        sampling.draw(_distribution(extent, index, square), seed, index, dtype)
        for index in range(CASES)
    ]
    return [(Evidence(case), Predictions(case)) for case in cases]


def _distribution(extent: Examination, index: int, square: bool) -> Distribution:
    width = square_width(index)
    return Distribution(widths=(width, width) if square else extent.widths)


def _row(trial: WrongEngine, drawn: list[tuple[Evidence, Predictions]]) -> dict[str, Any]:
    verdicts = {known.case.id: _verdicts(trial.engine, evidence) for evidence, known in drawn}
    failing = {case_id for case_id, found in verdicts.items() if "DEFECT" in found}
    silent = {case_id for case_id, found in verdicts.items() if "INCONCLUSIVE" in found}
    told = [known for _, known in drawn if known.case.id not in silent - failing]
    said = among(trial.engine, told, failing) if failing else None
    return {
        "kind": trial.kind,
        "dtype": trial.dtype,
        "mistake": trial.engine.name,
        "failing": len(failing),
        "outcome": outcome(trial.truth, said) if failing else NOT_FAILING,
        "said": said.sentence if said else "",
        "also": "; ".join(said.also) if said else "",
        "share": said.share if said else float("nan"),
    }


def _verdicts(engine: Engine, evidence: Evidence) -> set[str]:
    """The verdicts on an engine's tensors, as a black box."""
    promised = caught.arithmetic(evidence.case.dtype)
    return {word for word, _ in decide(evidence, promised, engine.gradients(evidence.case))}


def outcome(truth: Hypothesis | None, said: Diagnosis | None) -> str:
    """What the diagnosis is worth, where `truth` is the mistake that was made, if a known one."""
    if truth is None or said is None:
        return RIGHT if truth is None and said is None else (UNNAMED if said is None else WRONG)
    if _names(said, truth) or truth.sentence in said.also:
        return RIGHT
    alone = truth.factor is not None and said.share == 1 and "scale" not in said.parameters
    return ALONE if alone else WRONG


def _names(said: Diagnosis, truth: Hypothesis) -> bool:
    """Whether the mistake is the one named: its id, its variant and its factor.

    Parameters that a diagnosis reads from the gradient are numbers, not variants.
    """
    parameters = dict(said.parameters)
    factor = parameters.pop("scale", None)
    return (
        said.fault == truth.fault.id
        and factor == (scale.name(truth.factor) if truth.factor else None)
        and (truth.fault.fit is not None or parameters == dict(truth.parameters))
    )


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """A line per kind and dtype: runs that failed, those named rightly, and the share of these.

    Of gradients that are wrong in no known way, right is that nothing is named.
    """
    keys = ["kind", "dtype"]
    counts = rows.groupby([*keys, "outcome"], sort=False).size().unstack(fill_value=0)
    counts = counts.reindex(columns=[RIGHT, ALONE, UNNAMED, WRONG, NOT_FAILING], fill_value=0)
    frame = counts.reset_index()
    frame.insert(2, "runs", frame[[RIGHT, ALONE, UNNAMED, WRONG]].sum(axis=1))
    frame.columns.name = None
    return with_intervals(frame, RIGHT, "runs")


def exceptions(rows: pd.DataFrame, which: str) -> pd.DataFrame:
    """The trials with this outcome, and what was said of them; equal ones in one line."""
    columns = ["kind", "mistake", "said", "also"]
    found = rows[rows["outcome"] == which]
    lines = found.groupby(columns, sort=False)["dtype"].agg(["unique", "size"]).reset_index()
    lines["unique"] = lines["unique"].map(", ".join)
    return lines.rename(columns={"unique": "dtypes", "size": "runs"})
