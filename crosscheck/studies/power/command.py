"""The checker examined: what it catches, flags, misses and names, and when it is wrong itself."""

from collections.abc import Callable, Mapping, Sequence
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
from crosscheck.studies.power.rules import networks, page as rules_page, trials as rule_trials

WHITE_BOX_CASES = 320
"""Networks on which the stagewise checks are examined, at least."""


PARTS = ("networks", "rules")
"""What can be examined: gradients of networks, and rules of operations."""


def run(
    of: Examination,
    out: Path,
    report: Path | None,
    say: Callable[[str], None],
    jobs: int = 1,
    parts: Sequence[str] = PARTS,
) -> int:
    """Examine, write `power.csv`, `diagnosis.csv`, `rules.csv` and a report, print the tables.

    The exit status: 1 where something correct was accused. Raises ValueError for an unknown part.
    """
    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        raise ValueError(f"unknown part {unknown[0]!r}: known are {', '.join(PARTS)}")
    out.mkdir(parents=True, exist_ok=True)
    frames: dict[str, pd.DataFrame] = {}
    if "networks" in parts:
        frames |= _of_networks(of, out, jobs)
    if "rules" in parts and of.arguments:
        frames["rules"] = _of_rules(of, out, jobs)
    text = pages.page(frames, command_line(of, parts), unseen())
    files.write(report or out / "detection-power.md", text)
    say(pages.short(frames))
    return int(bool(_accused(frames)))


def _of_networks(of: Examination, out: Path, jobs: int) -> dict[str, pd.DataFrame]:
    rows = detection.trials(of, jobs)
    named = naming.examine(of, jobs)
    for name, table in (("power", detection.table(rows)), ("diagnosis", named)):
        files.write(out / f"{name}.csv", table.to_csv(index=False))
    return {
        **detected(rows),
        **diagnosed(named),
        "alarms": false_alarms.count(of, jobs=jobs),
        "rivals": comparison.compare(of.rivals, of.seed) if of.rivals else pd.DataFrame(),
        "stages": _stages(of),
        "slack": stagewise.slack(of.cases, of.seed),
    }


def _of_rules(of: Examination, out: Path, jobs: int) -> pd.DataFrame:
    rows = rule_trials.trials(of.arguments, of.seed, networks.FORMATS, networks.installed(), jobs)
    files.write(out / "rules.csv", rows.to_csv(index=False))
    return rows


def _accused(frames: Mapping[str, pd.DataFrame]) -> int:
    """How many correct engines and right rules were accused."""
    engines = int(frames["alarms"]["false alarms"].sum()) if "alarms" in frames else 0
    return engines + (rules_page.accused(frames["rules"]) if "rules" in frames else 0)


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


def command_line(of: Examination, parts: Sequence[str] = PARTS) -> str:
    """The command that makes the report."""
    if tuple(parts) == ("rules",):
        return f"crosscheck power --only rules --arguments {of.arguments} --seed {of.seed}"
    words = ["crosscheck power", f"--cases {of.cases}", f"--seed {of.seed}"]
    words += [f"--dtypes {','.join(of.dtypes)}", f"--widths {of.widths[0]}-{of.widths[1]}"]
    words += [f"--correct {of.correct}", f"--rivals {of.rivals}", f"--diagnoses {of.diagnoses}"]
    words += [f"--arguments {of.arguments}"] if "rules" in parts else ["--only networks"]
    return " ".join(words)
