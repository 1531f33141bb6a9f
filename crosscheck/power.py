"""The checker examined: what it catches, flags, misses and names, and when it is wrong itself."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from crosscheck import comparison, detecting, false_alarms, files, naming, white_box
from crosscheck.examination import Examination as Examination
from crosscheck.faults.catalogue import CATALOGUE
from crosscheck.proportions import with_intervals
from crosscheck.reports import power as pages

WHITE_BOX_CASES = 320
"""Networks on which the stagewise checks are examined, at least."""


def run(
    of: Examination, out: Path, report: Path | None, say: Callable[[str], None], jobs: int = 1
) -> int:
    """Examine, write `power.csv`, `diagnosis.csv` and a report, print the tables; exit status.

    1 where a correct engine was accused.
    """
    rows = detecting.trials(of, jobs)
    named = naming.examine(of, jobs)
    frames = {
        **detected(rows),
        **diagnosed(named),
        "alarms": false_alarms.count(of, jobs=jobs),
        "rivals": comparison.compare(of.rivals, of.seed) if of.rivals else pd.DataFrame(),
        "stages": _stages(of),
        "slack": white_box.slack(of.cases, of.seed),
    }
    out.mkdir(parents=True, exist_ok=True)
    detecting.table(rows).to_csv(out / "power.csv", index=False)
    named.to_csv(out / "diagnosis.csv", index=False)
    text = pages.page(frames, command_line(of), unseen())
    files.write(report or out / "detection-power.md", text)
    say(pages.short(frames))
    return int(bool(frames["alarms"]["false alarms"].sum()))


def detected(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """What the page says of the trials in which mistakes were to be caught."""
    return {
        "families": detecting.by_family(rows),
        "sizes": detecting.by_size(rows),
        "missed": detecting.missed(rows),
        "variants": detecting.table(rows),
        "runs": detecting.by_run(rows),
        "entries": detecting.smallest_always_caught(rows),
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
    counts = white_box.trials(max(of.cases, WHITE_BOX_CASES), of.seed)
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
