"""The checker examined: what it catches, flags, misses and names, and when it is wrong itself."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from crosscheck.faults.catalogue.table import CATALOGUE
from crosscheck.reports.proportions import with_intervals
from crosscheck.results.disk import files
from crosscheck.studies.power import (
    comparison,
    detection,
    false_alarms,
    naming,
    page as pages,
    stagewise,
)
from crosscheck.studies.power.extent import Examination as Examination

WHITE_BOX_CASES = 320
"""Networks on which the stagewise checks are examined, at least."""


def run(
    of: Examination, out: Path, report: Path | None, say: Callable[[str], None], jobs: int = 1
) -> int:
    """Examine, write `power.csv`, `diagnosis.csv` and a report, print the tables; exit status.

    1 where a correct engine was accused.
    """
    rows = detection.trials(of, jobs)
    named = naming.examine(of, jobs)
    frames = {
        **detected(rows),
        **diagnosed(named),
        "alarms": false_alarms.count(of, jobs=jobs),
        "rivals": comparison.compare(of.rivals, of.seed) if of.rivals else pd.DataFrame(),
        "stages": _stages(of),
        "slack": stagewise.slack(of.cases, of.seed),
    }
    out.mkdir(parents=True, exist_ok=True)
    for name, table in (("power", detection.table(rows)), ("diagnosis", named)):
        files.write(out / f"{name}.csv", table.to_csv(index=False))
    text = pages.page(frames, command_line(of), unseen())
    files.write(report or out / "detection-power.md", text)
    say(pages.short(frames))
    return int(bool(frames["alarms"]["false alarms"].sum()))


def detected(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """What the page says of the trials in which mistakes were to be caught."""
    return {
        "families": detection.by_family(rows),
        "sizes": detection.by_size(rows),
        "missed": detection.missed(rows),
        "variants": detection.table(rows),
        "runs": detection.by_run(rows),
        "entries": detection.smallest_always_caught(rows),
    }


def diagnosed(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """What the page says of the trials in which mistakes were to be named."""
    return {
        "named": naming.table(rows),
        "named wrong": naming.exceptions(rows, naming.WRONG),
        "one alone": naming.exceptions(rows, naming.ALONE),
        "unnamed": naming.exceptions(rows, naming.UNNAMED),
        "not failing": naming.exceptions(rows, naming.NOT_FAILING),
    }


def _stages(of: Examination) -> pd.DataFrame:
    counts = stagewise.trials(max(of.cases, WHITE_BOX_CASES), of.seed)
    return with_intervals(counts, "caught", "viable")


def unseen() -> tuple[list[str], int]:
    """The ids of the mistakes that nobody is cited for, and how many mistakes there are."""
    return [fault.id for fault in CATALOGUE.values() if not fault.seen], len(CATALOGUE)


def command_line(of: Examination) -> str:
    """The command that makes the report."""
    words = ["crosscheck power", f"--cases {of.cases}", f"--seed {of.seed}"]
    words += [f"--dtypes {','.join(of.dtypes)}", f"--widths {of.widths[0]}-{of.widths[1]}"]
    words += [f"--correct {of.correct}", f"--rivals {of.rivals}", f"--diagnoses {of.diagnoses}"]
    return " ".join(words)
