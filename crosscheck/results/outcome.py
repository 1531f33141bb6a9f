"""What a run's rows amount to: counts by verdict, and the exit status."""

from collections import Counter
from collections.abc import Mapping, Sequence

import pandas as pd

from crosscheck.results import rows

OK, DEFECT, USAGE, FAILED, NOT_COMPARABLE, NOTHING, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130
"""Exit statuses: see `exit_status`; USAGE is bad input, NOT_COMPARABLE a baseline's."""


def counts(errors: pd.DataFrame) -> dict[str, int]:
    """Tensors by verdict; every verdict is there."""
    found = errors["verdict"].value_counts()
    return {verdict: int(found.get(verdict, 0)) for verdict in rows.VERDICTS}


def exit_status(
    errors: pd.DataFrame, cases: pd.DataFrame, wanted: Sequence[str] = (), strict: bool = False
) -> int:
    """The exit status of a run with these rows: see `status_of`."""
    statuses = {name: Counter(cases[f"status:{name}"]) for name in rows.engine_names(cases)}
    return status_of(counts(errors), statuses, wanted, strict)


def status_of(
    verdicts: Mapping[str, int],
    statuses: Mapping[str, Counter[str]],
    wanted: Sequence[str] = (),
    strict: bool = False,
) -> int:
    """The exit status: 1 before 3 before 5, else 0.

    1 for a defect (with `strict`, a suspect too); 3 where an engine raised, crashed or timed
    out, or is among `wanted`, those asked for by name, and ran on no case; 5 where nothing is
    consistent. `verdicts` counts tensors, `statuses` cases by engine.
    """
    if verdicts["DEFECT"] or (strict and verdicts["SUSPECT"]):
        return DEFECT
    if any(_failed(of_engine) for of_engine in statuses.values()):
        return FAILED
    if any(_never_ran(statuses.get(name, Counter())) for name in wanted):
        return FAILED
    return OK if verdicts["CONSISTENT"] else NOTHING


def _failed(statuses: Counter[str]) -> bool:
    return any(statuses[status] for status in ("error", "crash", "timeout"))


def _never_ran(statuses: Counter[str]) -> bool:
    return statuses["unsupported"] > 0 and not statuses["ok"]
