"""The rows of a run as Parquet."""

import io

from crosscheck.finished import FinishedRun


def report(run: FinishedRun) -> bytes:
    """A row per case × engine × tensor; columns as in `rows.ERRORS`."""
    buffer = io.BytesIO()
    run.errors.to_parquet(buffer, index=False)
    return buffer.getvalue()
