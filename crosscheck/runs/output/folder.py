"""A run's folder on disk: its files are made inside it, and put in their places when complete.

Only the names that a run writes are ever written, replaced or deleted, one by one, in the folder
as it is: it may be a link's target, a mount point or another owner's, and hold files of others.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pandas as pd

from crosscheck.reports import spreadsheet, written
from crosscheck.results import journal, record
from crosscheck.results.disk import files
from crosscheck.results.journal import IN_RUN, READY, writing

OF_A_RUN = (
    *("cases.parquet", "errors.parquet", "errors.csv", "pairs.parquet"),
    *("summary.csv", "summary.md", "run.json"),
)
"""The files of a run, in the order in which they take their places."""

MADE_OF_A_RUN = ("comparison.json", *(made.file for made in written.FORMATS.values()))
"""The files that are made of a run when it stands: an earlier run's go when it does."""


def require_writable(out: Path) -> None:
    """Raises ValueError where a run cannot be written to `out`; changes nothing there."""
    above = next(place for place in (out, *out.absolute().parents) if os.path.lexists(place))
    if above == out and not os.path.isdir(out):
        raise ValueError(f"cannot write to {out}: it is not a folder")
    if not os.path.isdir(above):
        raise ValueError(f"cannot write to {out}: {above} is not a folder")
    if not os.access(above, os.W_OK | os.X_OK):
        reason = "the file system is read-only" if _read_only(above) else "permission denied"
        raise ValueError(f"cannot write to {out}: {reason}")
    for name in OF_A_RUN:
        if os.path.isdir(out / name) and not os.path.islink(out / name):
            raise ValueError(f"cannot write to {out}: {name} in it is a folder")


def _read_only(place: Path) -> bool:
    return bool(os.statvfs(place).f_flag & os.ST_RDONLY)


class Interrupted(KeyboardInterrupt):
    """A user stopped a run; the message says what became of its files."""


@contextmanager
def made(out: Path) -> Iterator[None]:
    """Folders down to `out` that are made in the block go again where nothing stays in them."""
    new = [place for place in (out, *out.parents) if not os.path.lexists(place)]
    try:
        yield
    finally:
        with suppress(OSError):
            for place in new:
                place.rmdir()


@contextmanager
def staged(out: Path) -> Iterator[Path]:
    """An empty folder, whose files are put into `out` when the block ends without an exception.

    Whatever goes wrong in the block, what `out` held stays as it was. An unfinished run's parts
    stay where they are.

    Raises ValueError where another process writes to `out`, and journal.Unwritable.
    """
    inside = out / IN_RUN
    with made(out):
        lock = journal.locked(inside)
        try:
            place = journal.rows_in(inside)
            yield place
            replace(place, out)
        finally:
            journal.tidy(inside)
            lock.close()


def replace(place: Path, out: Path) -> None:
    """Put the files of a run, made in its journal's folder, into `out`.

    Until the last is there, the folder says that it is incomplete, and `complete` goes on.

    Raises journal.Unwritable, and Interrupted where a user stops it once it has begun.
    """
    with writing(out):
        for path in place.iterdir():
            files.settle(path)
        place.rename(place.with_name(READY))
    try:
        _put(out)
    except KeyboardInterrupt:
        raise Interrupted(_how_far(out)) from None


def _how_far(out: Path) -> str:
    if journal.is_ready(out):
        said = f"the files of the run were taking their places in {out}"
        return f"{said}; --resume goes on, and so does another merge"
    return f"the run in {out} is complete"


def complete(out: Path) -> bool:
    """Put into `out` what is left of a run that was ended in the middle of that; whether any was.

    Raises ValueError where another process does that now, and journal.Unwritable.
    """
    if not journal.is_ready(out):
        return False
    with journal.locked(out / IN_RUN):
        _put(out)
    return True


def _put(out: Path) -> None:
    """Each file by a single renaming; run.json, which seals all others, comes last."""
    ready = out / IN_RUN / READY
    with writing(out):
        if record.is_one(out / "run.json"):
            for name in MADE_OF_A_RUN:
                if not (out / name).is_dir():
                    (out / name).unlink(missing_ok=True)
        for name in OF_A_RUN:
            if (ready / name).exists():
                files.put(ready / name, out / name)
        ready.rmdir()


def write(folder: Path, frames: Mapping[str, pd.DataFrame], run: Mapping[str, Any]) -> None:
    """run.json, and each frame as Parquet; errors and summary also as CSV."""
    for name, frame in frames.items():
        if name != "summary":
            frame.to_parquet(folder / f"{name}.parquet", index=False)
        if name in ("errors", "summary"):
            spreadsheet.as_text(frame).to_csv(folder / f"{name}.csv", index=False)
    write_record(folder, run)


def write_record(folder: Path, run: Mapping[str, Any]) -> None:
    """run.json alone, not sealed yet."""
    files.write(folder / "run.json", record.as_text(run))
