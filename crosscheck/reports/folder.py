"""A run's folder on disk: staged beside its place, and put there only when it is complete."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd


@contextmanager
def staged(out: Path) -> Iterator[Path]:
    """A new folder beside `out`, which takes its place when the block ends without an exception.

    Whatever goes wrong, what `out` held stays as it was. Files in `out` that the new folder does
    not have are kept, apart from the reports of the run that is replaced.

    Raises ValueError where `out` cannot be written.
    """
    staging = _staging(out)
    try:
        yield staging
        _put_in_place(staging, out)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def require_writable(out: Path) -> None:
    """Raises ValueError where `out` cannot be written; leaves nothing behind."""
    _staging(out).rmdir()


def _staging(out: Path) -> Path:
    if out.exists() and not out.is_dir():
        raise ValueError(f"cannot write to {out}: it is not a folder")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if out.exists() and not os.access(out, os.W_OK):
            raise PermissionError(13, "Permission denied")
        return Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    except OSError as error:
        raise ValueError(f"cannot write to {out}: {error.strerror}") from None


def _put_in_place(staging: Path, out: Path) -> None:
    """Swap folders by renaming, so that no reader ever sees a mixture."""
    staging.chmod(0o755)
    if not out.exists():
        staging.rename(out)
        return
    for kept in out.iterdir():
        if not (staging / kept.name).exists() and not _of_a_run(kept.name):
            shutil.move(str(kept), staging / kept.name)
    old = staging.with_name(staging.name + ".old")
    out.rename(old)
    try:
        staging.rename(out)
    except OSError:
        old.rename(out)
        raise
    shutil.rmtree(old, ignore_errors=True)


OF_A_RUN = ("run.json", "cases.", "errors.", "pairs.", "summary.", "report.", "comparison.")
"""Beginnings of the names of files that belong to one run."""


def _of_a_run(name: str) -> bool:
    return name.startswith(OF_A_RUN)


def write(folder: Path, frames: Mapping[str, pd.DataFrame], run: Mapping[str, Any]) -> None:
    """run.json, and each frame as Parquet; errors and summary also as CSV."""
    for name, frame in frames.items():
        if name != "summary":
            frame.to_parquet(folder / f"{name}.parquet", index=False)
        if name in ("errors", "summary"):
            frame.to_csv(folder / f"{name}.csv", index=False)
    write_record(folder, run)


def write_record(folder: Path, run: Mapping[str, Any]) -> None:
    """run.json alone."""
    text = json.dumps(run, indent=2, ensure_ascii=False)
    (folder / "run.json").write_text(text + "\n", encoding="utf-8")
