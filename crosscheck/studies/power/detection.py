"""Every known mistake on random networks: caught, missed, unviable there, or out of time.

A mistake is viable on a network if an exact entry of the gradient changes by more than 4u|g|;
that is decided in double-doubles, not by an engine. A viable mistake is caught if a tensor is
judged DEFECT; it is flagged if one is DEFECT or SUSPECT.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import pandas as pd

from crosscheck.faults.catalogue import table as catalogue
from crosscheck.faults.catalogue.fault import Fault, Parameters
from crosscheck.faults.catalogue.table import FaultyEngine
from crosscheck.faults.shrinking import OutOfTime
from crosscheck.networks.network import Case
from crosscheck.reports.proportions import interval
from crosscheck.studies.power import caught
from crosscheck.studies.power.extent import FIRST_INDEX, SCALES, Examination, network
from crosscheck.studies.power.mistakes.viability import ExactGradient, viable
from crosscheck.studies.power.processes import workers
from crosscheck.studies.power.processes.deadline import limited
from crosscheck.verdicts.evidence import Evidence

RUN = 100
"""Cases of one run: a mistake must be caught in one of them."""

BLOCK = 10
"""Networks that a process takes at a time."""


class NetworkBlock(NamedTuple):
    """Networks of one stratum: the indices start … stop - 1."""

    extent: Examination
    dtype: str
    scale: float
    start: int
    stop: int


def trials(extent: Examination, jobs: int = 1) -> pd.DataFrame:
    """A row per mistake and network: its names, where it was made, `outcome` and `flagged`."""
    end = FIRST_INDEX + extent.cases
    blocks = [
        NetworkBlock(extent, dtype, scale, start, min(start + BLOCK, end))
        for dtype in extent.dtypes
        for scale in SCALES
        for start in range(FIRST_INDEX, end, BLOCK)
    ]
    return pd.concat(map(pd.DataFrame, workers.each(_block, blocks, jobs)), ignore_index=True)


def _block(block: NetworkBlock) -> list[dict[str, Any]]:
    return [
        row
        for index in range(block.start, block.stop)
        for row in _on(
            block.extent, block.scale, network(block.extent, block.dtype, block.scale, index)
        )
    ]


def _on(extent: Examination, scale: float, pair: tuple[Case, Case]) -> Iterator[dict[str, Any]]:
    evidence = [Evidence(case) for case in pair]
    exact = [ExactGradient(case) for case in pair]
    for fault, parameters in catalogue.variants():
        square = fault.needs.equal_from is not None
        case = pair[square]
        if case.dtype not in fault.dtypes:
            continue
        fate = outcome_of(extent, fault, parameters, evidence[square], exact[square])
        yield {
            "fault": fault.id,
            "variant": fault.label(parameters),
            "family": fault.family,
            "natural": fault.is_natural(parameters),
            "dtype": case.dtype,
            "scale": scale,
            "index": case.index,
            "outcome": fate.outcome,
            "flagged": fate.flagged,
            "ordered": fate.ordered,
        }


class Fate(NamedTuple):
    """What came of a mistake; `ordered`: it is caught where the engine names its order."""

    outcome: str
    flagged: bool = False
    ordered: bool = False


def outcome_of(
    extent: Examination,
    fault: Fault,
    parameters: Parameters,
    evidence: Evidence,
    exact: ExactGradient,
) -> Fate:
    """What came of one mistake on one network."""
    case = evidence.case
    try:
        with limited(extent.seconds):
            if not fault.applies(case) or not viable(fault, case, parameters, exact):
                return Fate("unviable")
            gradients = FaultyEngine(fault, parameters).gradients(case)
    except OutOfTime:
        return Fate("timeout")
    judged = caught.outcome(evidence, gradients)
    if judged.caught:
        return Fate("caught", True, True)
    ordered = caught.outcome(evidence, gradients, caught.of_order(case.dtype))
    return Fate("missed", judged.flagged, ordered.caught)


OUTCOMES = ("caught", "missed", "unviable", "timeout")


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """A line per variant, dtype and scale: counts by outcome, and shares of the viable.

    `share` is of those caught, `low` and `high` its interval, `flagged_share` of those flagged,
    `ordered_share` of those caught where the engine names its order.
    """
    keys = ["family", "fault", "variant", "natural", "dtype", "scale"]
    groups = rows.groupby([*keys, "outcome"], sort=False)
    counts = groups.size().unstack(fill_value=0).reindex(columns=OUTCOMES, fill_value=0)
    for also in ("flagged", "ordered"):
        counts[also] = rows.groupby(keys, sort=False)[also].sum()
    frame = counts.reset_index()
    frame["viable"] = frame["caught"] + frame["missed"]
    viable_or_nan = frame["viable"].where(frame["viable"] > 0)
    frame["share"] = frame["caught"] / viable_or_nan
    frame["flagged_share"] = frame["flagged"] / viable_or_nan
    frame["ordered_share"] = frame["ordered"] / viable_or_nan
    bounds = [interval(c, v) for c, v in zip(frame["caught"], frame["viable"], strict=True)]
    frame["low"], frame["high"] = zip(*bounds, strict=True) if bounds else ((), ())
    frame.columns.name = None
    return frame


def by_family(rows: pd.DataFrame) -> pd.DataFrame:
    """The same, per family, of the mistakes at the sizes that people make them in."""
    grouped = rows[rows["natural"]].copy()
    grouped["fault"], grouped["variant"] = grouped["family"], grouped["family"]
    return table(grouped)


def by_size(rows: pd.DataFrame) -> pd.DataFrame:
    """The same, per variant, of the mistakes at sizes that were chosen to see how small may be."""
    return table(rows[~rows["natural"]])


def missed(rows: pd.DataFrame) -> pd.DataFrame:
    """The networks × 1 that hid a mistake of natural size from every proof: Xavier's own scale."""
    columns = ["dtype", "index", "variant", "flagged", "ordered"]
    hidden = rows["natural"] & (rows["outcome"] == "missed") & (rows["scale"] == 1.0)
    return rows.loc[hidden & (rows["family"] != "precision"), columns].reset_index(drop=True)


def by_run(rows: pd.DataFrame) -> pd.DataFrame:
    """A line per variant and dtype: runs of 100 cases of all scales in which it was caught."""
    frame = rows[rows["outcome"].isin(["caught", "missed"])].copy()
    frame["run"] = (frame["index"] - FIRST_INDEX) * len(SCALES) // RUN
    hit = frame.assign(hit=frame["outcome"] == "caught")
    runs = hit.groupby(["family", "variant", "dtype", "run"], sort=False)["hit"].any()
    counted = runs.groupby(["family", "variant", "dtype"], sort=False).agg(["sum", "size"])
    return counted.rename(columns={"sum": "caught", "size": "runs"}).reset_index()


def smallest_always_caught(rows: pd.DataFrame) -> pd.DataFrame:
    """Per dtype and scale: the smallest ε of a single entry that no viable network hid."""
    entries = table(rows[rows["fault"] == "entry-scaled"])
    entries = entries.assign(epsilon=entries["variant"].str.split().str[-1].astype(float))
    sure = entries[(entries["missed"] == 0) & (entries["caught"] > 0)]
    keys = ["dtype", "scale"]
    found = sure.groupby(keys)["epsilon"].min()
    every = entries.groupby(keys)["variant"].size().index
    return found.reindex(every).rename("smallest ε always caught").reset_index()
