"""The verdict on a run in one sentence, with what it covers."""

import pandas as pd

from crosscheck import outcome, rows

WORDS = {
    outcome.OK: "No defect",
    outcome.DEFECT: "DEFECT",
    outcome.FAILED: "An engine failed",
    outcome.NOT_COMPARABLE: "Not comparable",
    outcome.NOTHING: "Nothing could be confirmed",
    outcome.INTERRUPTED: "Interrupted",
}
"""Exit statuses of a run in words."""


def word(errors: pd.DataFrame, status: int) -> str:
    """The verdict in a word or three; a suspect that --strict fails is no defect."""
    if status == outcome.DEFECT and not outcome.counts(errors)["DEFECT"]:
        return "SUSPECT"
    return WORDS.get(status, f"Exit status {status}")


def headline(errors: pd.DataFrame, cases: pd.DataFrame, status: int) -> str:
    """One sentence with the verdict and what it covers."""
    found = outcome.counts(errors)
    counted = ", ".join(f"{found[verdict]} {verdict}" for verdict in rows.VERDICTS)
    return (
        f"{word(errors, status)}: {counted} in {len(errors)} tensors of "
        f"{len(cases)} cases × {errors['engine'].nunique()} engines"
    )
