"""What a finished run's defects are: the known mistake behind each failing engine, if there is one.

Engines run again for that, so they do in a process of their own, with an end to its time: what
an engine does to it costs the diagnosis and nothing else.
"""

from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from crosscheck import worker
from crosscheck.plan import Plan

CASES = 24
"""Cases that a diagnosis looks at, at most: failing ones and, to rule mistakes out, others."""

SECONDS = 60.0
"""Time that one engine's diagnosis may take."""


class Suspect(NamedTuple):
    """An engine with defects in a dtype: ids of cases to look at, and which of them failed."""

    engine: str
    dtype: str
    indices: tuple[int, ...]
    failing: frozenset[str]


def of_run(plan: Plan, folder: Path) -> list[dict[str, Any]]:
    """For each engine × dtype with a defect that is explained: what run.json says of it.

    `folder` holds errors.parquet.
    """
    columns = ["engine", "dtype", "case", "index", "verdict"]
    errors = pd.read_parquet(folder / "errors.parquet", columns=columns)
    told = [_apart(plan, suspect) for suspect in find(errors)]
    return [found for found in told if found is not None]


def find(errors: pd.DataFrame) -> list[Suspect]:
    """The engines × dtypes with a defect, in order, each with the cases to look at."""
    found = []
    for (engine, dtype), mine in errors.groupby(["engine", "dtype"], sort=False):
        wrong = mine[mine["verdict"] == "DEFECT"]
        if not len(wrong):
            continue
        failing = wrong.drop_duplicates("case")[["case", "index"]]
        silent = mine.loc[mine["verdict"] == "INCONCLUSIVE", "case"]
        sound = mine[~mine["case"].isin({*failing["case"], *silent})].drop_duplicates("case")
        chosen = pd.concat([failing.head(CASES), sound[["case", "index"]]]).head(CASES)
        indices = tuple(sorted(int(index) for index in chosen["index"]))
        found.append(Suspect(str(engine), str(dtype), indices, frozenset(failing["case"])))
    return found


def _apart(plan: Plan, suspect: Suspect) -> dict[str, Any] | None:
    """The diagnosis of one engine, made in a process of its own; None where none came of it."""
    from multiprocessing import get_context

    from pebble import ProcessPool

    context = get_context("spawn")
    with ProcessPool(1, context=context, initializer=worker.limit_threads) as pool:
        future = pool.schedule(diagnosed, args=(plan, suspect), timeout=SECONDS)
        try:
            found: dict[str, Any] | None = future.result()
        except Exception:
            # It ran out of time, died, or raised: there is a report without it.
            pool.stop()
            return None
    return found


def diagnosed(plan: Plan, suspect: Suspect) -> dict[str, Any] | None:
    """The known mistake that explains the engine's defects on these cases, or None."""
    from crosscheck import sampling, suite
    from crosscheck.diagnosis import diagnose
    from crosscheck.engines.interface import Unsupported

    engine = suite.load(suspect.engine, plan.arrays)
    if isinstance(engine, Unsupported):
        return None
    cases = [
        sampling.draw(plan.distribution, plan.seed, index, suspect.dtype)
        for index in suspect.indices
    ]
    said = diagnose(engine, cases, set(suspect.failing))
    if said is None:
        return None
    return {
        "engine": suspect.engine,
        "dtype": suspect.dtype,
        "fault": said.fault,
        "sentence": f"{said.sentence} (explains {said.explained} of {said.total} cases looked at)",
        "share": said.share,
        "also": list(said.also),
    }
