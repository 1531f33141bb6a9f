"""What is made of a finished run: shown, written as reports, recorded, held to a baseline."""

from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from crosscheck.reports import written
from crosscheck.results import finished, outcome
from crosscheck.results.baseline import comparing, recording, stored, words
from crosscheck.results.disk import files
from crosscheck.results.finished import FinishedRun
from crosscheck.results.record import sealed

PRECEDENCE = (outcome.DEFECT, outcome.FAILED, outcome.NOT_COMPARABLE, outcome.NOTHING)
"""Which exit status stands where a run and its comparison have one each."""


class Ending(NamedTuple):
    """What a run ends with.

    `output_format` is what the terminal shows, `formats` the reports to write into its folder,
    `baseline` what it is held to. `strict` fails on improvements too, `speed` compares times.
    """

    output_format: str = "full"
    formats: tuple[str, ...] = ()
    baseline: Path | None = None
    strict: bool = False
    speed: bool = False


PLAINLY = Ending()
"""Shown in full, and nothing more."""


def require(ending: Ending) -> None:
    """Read what the ending needs, before anything is computed.

    Raises NotComparable for a baseline that cannot be used, ValueError for an unknown format.
    """
    written.require(ending.formats)
    if ending.baseline is not None:
        stored.read(ending.baseline)


def conclude(folder: Path, ending: Ending, console: Console) -> int:
    """Hold the run in this folder to its baseline, write its reports, show it; the exit status.

    Raises ValueError for a run that cannot be read, NotComparable for such a baseline.
    """
    run = finished.read(folder)
    status = run.record["exit_status"]
    if ending.baseline is not None:
        run = against(run, ending.baseline, ending.strict, ending.speed)
        assert run.comparison is not None
        _keep(folder, run.comparison)
        written.write_summary(run, folder)
        status = worse(status, run.comparison["exit_status"])
    written.write(run, ending.formats, folder)
    written.show(run, ending.output_format, console)
    return status


def worse(*statuses: int) -> int:
    """The exit status that stands for several."""
    for status in PRECEDENCE:
        if status in statuses:
            return status
    return max(statuses)


def report(folder: Path, ending: Ending, out: Path | None = None) -> list[Path]:
    """Write reports of the run in this folder, into it or into `out`; the files written.

    Raises ValueError for a run that cannot be read or a place that cannot be written to.
    """
    require(ending)
    run = finished.read(folder)
    if ending.baseline is not None:
        run = against(run, ending.baseline, ending.strict, ending.speed)
    return written.write(run, ending.formats, out or folder)


def record(folder: Path, out: Path) -> str:
    """Record the run in this folder as a baseline; a sentence on what was written.

    Raises ValueError for a run that cannot be read, or has no case, or a place that cannot be
    written to, or that holds something else.
    """
    baseline = recording.record(finished.read(folder))
    stored.write(out, baseline)
    size = out.stat().st_size / 1000
    return f"{out}: {len(baseline.attempts)} gradients, {size:.0f} kB"


def compare(folder: Path, ending: Ending, console: Console) -> int:
    """Compare the run in this folder with the ending's baseline and show it; the exit status.

    Raises ValueError for a run that cannot be read, NotComparable for such a baseline.
    """
    assert ending.baseline is not None
    run = against(finished.read(folder), ending.baseline, ending.strict, ending.speed)
    assert run.comparison is not None
    _keep(folder, run.comparison)
    written.show_comparison(run, ending.output_format, console)
    status: int = run.comparison["exit_status"]
    return status


def against(run: FinishedRun, path: Path, strict: bool = False, speed: bool = False) -> FinishedRun:
    """The run with what this baseline says of it."""
    baseline = stored.read(path)
    found = comparing.compare(run, baseline, speed)
    told = words.as_json(found, baseline, path, strict)
    return FinishedRun(run.errors, run.cases, run.pairs, run.record, told, run.folder)


def _keep(folder: Path, comparison: dict[str, Any]) -> None:
    """comparison.json beside the run's rows; a folder that cannot be written to goes without."""
    with suppress(OSError):
        files.write(folder / "comparison.json", sealed(comparison))
