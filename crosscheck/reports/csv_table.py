"""The rows of a run as CSV."""

from crosscheck.finished import FinishedRun


def report(run: FinishedRun) -> str:
    """A line per case × engine × tensor; columns as in `rows.ERRORS`."""
    return str(run.errors.to_csv(index=False, lineterminator="\n"))
