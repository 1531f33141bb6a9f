"""What a run's rows amount to: counts by verdict, and the exit status."""

from collections.abc import Sequence

import pandas as pd

from crosscheck import rows

OK, DEFECT, USAGE, FAILED, NOT_COMPARABLE, NOTHING, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130
"""Exit statuses: see `exit_status`; USAGE is bad input, NOT_COMPARABLE a baseline's."""


def counts(errors: pd.DataFrame) -> dict[str, int]:
    """Tensors by verdict; every verdict is there."""
    found = errors["verdict"].value_counts()
    return {verdict: int(found.get(verdict, 0)) for verdict in rows.VERDICTS}


def exit_status(
    errors: pd.DataFrame, cases: pd.DataFrame, wanted: Sequence[str] = (), strict: bool = False
) -> int:
    """The exit status: 1 before 3 before 5, else 0.

    1 for a defect (with `strict`, a suspect too); 3 where an engine raised, crashed or timed
    out, or is among `wanted`, those asked for by name, and ran on no case; 5 where nothing is
    consistent.
    """
    found = counts(errors)
    if found["DEFECT"] or (strict and found["SUSPECT"]):
        return DEFECT
    if engine_failed(cases, wanted):
        return FAILED
    return OK if found["CONSISTENT"] else NOTHING


def engine_failed(cases: pd.DataFrame, wanted: Sequence[str]) -> bool:
    """Whether an engine raised, crashed or timed out, or a wanted one never ran."""
    statuses = cases.filter(regex="^status:")
    if statuses.isin(["error", "crash", "timeout"]).to_numpy().any():
        return True
    return len(cases) > 0 and any(
        bool((cases[f"status:{name}"] == "unsupported").all()) for name in wanted
    )
