"""A finished run, read from its folder: the only way that reports and the gate get one."""

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from crosscheck.results import journal, record, rows
from crosscheck.results.disk import files

FRAMES = {"errors": rows.ERRORS, "cases": rows.CASES, "pairs": rows.PAIRS}
"""The frames of a run, each in a Parquet file of its name, with the columns it must have."""

SEALED = (*(f"{name}.parquet" for name in FRAMES), "errors.csv", "summary.csv")
"""The files whose digests stand in run.json."""


@dataclass(frozen=True)
class FinishedRun:
    """The rows of a run (columns as in `rows`), its run.json, and what a baseline said of it.

    `comparison` is the content of comparison.json, where the run was compared.
    """

    errors: pd.DataFrame
    cases: pd.DataFrame
    pairs: pd.DataFrame
    record: dict[str, Any]
    comparison: dict[str, Any] | None = None
    folder: str = field(default="", compare=False)

    @property
    def of_functions(self) -> bool:
        """Whether the rows are of gradcheck(), of functions and not of networks."""
        return "mode" in self.errors


def read(folder: Path) -> FinishedRun:
    """The run in this folder.

    Raises ValueError where there is no folder, a file is missing or damaged, a column is missing
    or has another type, or a newer version wrote it.
    """
    about = _record(folder)
    frames = {name: _frame(folder, name, about["digests"]) for name in FRAMES}
    _require_digests(folder, about["digests"], [f for f in SEALED if not f.endswith(".parquet")])
    frames["cases"] = _with_engine_columns(frames["cases"], folder)
    compared = folder / "comparison.json"
    comparison = record.read_comparison(compared) if compared.exists() else None
    return FinishedRun(**frames, record=about, comparison=comparison, folder=str(folder))


def record_of(folder: Path) -> dict[str, Any]:
    """The run.json of the run in this folder, whose files are what was sealed.

    Raises ValueError as `read` does, but for the content of the frames.
    """
    about = _record(folder)
    _require_digests(folder, about["digests"], SEALED)
    return about


def _record(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise ValueError(f"there is no run in {folder}: it is no folder")
    if journal.is_ready(folder):
        raise ValueError(
            f"the run in {folder} is incomplete: it was ended while its files took their places; "
            "the same command, `run` with --resume, completes it"
        )
    if not (folder / "run.json").exists() and journal.has_parts(folder / journal.IN_RUN):
        raise ValueError(
            f"the run in {folder} is unfinished: the same command with --resume goes on"
        )
    about = record.read(folder / "run.json")
    lacking = [f"{name}.parquet" for name in FRAMES if f"{name}.parquet" not in about["digests"]]
    if lacking:
        raise ValueError(f"{folder / 'run.json'} is damaged: it has no digest of {lacking[0]}")
    return about


def seal(folder: Path) -> None:
    """Write the digests of the run's files into run.json, and its own seal.

    Parquet notices only some of the damage that a file can take. Raises ValueError where a file
    cannot be read.
    """
    path = folder / "run.json"
    _, about = record.parsed(path)
    there = [name for name in SEALED if (folder / name).exists()]
    digests = {name: _digest(folder / name) for name in there}
    files.write(path, record.sealed(about | {"digests": digests}))


def _require_digests(folder: Path, digests: dict[str, str], names: Iterable[str]) -> None:
    """Raises ValueError where one of these files is not what was sealed."""
    for name in names:
        if name in digests and _digest(folder / name) != digests[name]:
            raise ValueError(f"{folder / name} is damaged, or of another run")


def _digest(path: Path) -> str:
    try:
        return files.digest(path)
    except FileNotFoundError:
        raise ValueError(f"the run lacks {path}") from None
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None


def _content(path: Path, digest: str) -> bytes:
    """A file's content. Raises ValueError where it is not what was sealed."""
    try:
        content = files.read(path)
    except FileNotFoundError:
        raise ValueError(f"the run lacks {path}") from None
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    if files.digest_of(content) != digest:
        raise ValueError(f"{path} is damaged, or of another run")
    return content


def _frame(folder: Path, name: str, digests: dict[str, str]) -> pd.DataFrame:
    columns, path = FRAMES[name], folder / f"{name}.parquet"
    content = _content(path, digests[path.name])
    try:
        frame = pd.read_parquet(io.BytesIO(content))
    except Exception as error:
        # pyarrow raises some ten unrelated kinds of exception for damaged files.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{path} is damaged: {reason}") from None
    missing = [column for column in columns if column not in frame]
    if missing:
        raise ValueError(f"{path} lacks the columns {', '.join(missing)}")
    return _typed(frame, columns, path)


def _typed(frame: pd.DataFrame, columns: Mapping[str, rows.Column], path: Path) -> pd.DataFrame:
    try:
        return frame.astype({name: column.dtype for name, column in columns.items()})
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged: {error}") from None


def _with_engine_columns(cases: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """Every engine has its three columns, of their types."""
    path = folder / "cases.parquet"
    columns: dict[str, rows.Column] = {}
    for engine in rows.engine_names(cases):
        columns |= rows.engine_columns(engine)
    for name in columns:
        if name not in cases:
            raise ValueError(f"{path} lacks the column {name}")
    return _typed(cases, columns, path)
