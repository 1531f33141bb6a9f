"""A finished run, read from its folder: the only way that reports and the gate get one."""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from crosscheck import rows

FRAMES = {"errors": rows.ERRORS, "cases": rows.CASES, "pairs": rows.PAIRS}
"""The frames of a run, each in a Parquet file of its name, with the columns it must have."""

RECORD = ("schema_version", "command", "plan", "environment", "exit_status")
"""What run.json must hold."""


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
    record = record_of(folder)
    frames = {name: _frame(folder / f"{name}.parquet", name) for name in FRAMES}
    _require_engine_columns(frames["cases"], folder)
    compared = folder / "comparison.json"
    comparison = _json(compared) if compared.exists() else None
    return FinishedRun(**frames, record=record, comparison=comparison, folder=str(folder))


def record_of(folder: Path) -> dict[str, Any]:
    """The run.json of the run in this folder, whose files are what was sealed.

    Raises ValueError as `read` does, but for the content of the frames.
    """
    if not folder.is_dir():
        raise ValueError(f"there is no run in {folder}: it is no folder")
    record = _record(folder / "run.json")
    _require_seal(folder, record)
    return record


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} is damaged: it is no JSON object")
    return content


def seal(folder: Path) -> None:
    """Write the digests of the frames, and of run.json itself, into run.json.

    Parquet notices only some of the damage that a file can take. Raises ValueError where a file
    cannot be read.
    """
    path = folder / "run.json"
    record = _json(path)
    record["digests"] = {name: _digest_of_file(folder / f"{name}.parquet") for name in FRAMES}
    record["digest"] = _digest_of_record(record)
    path.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _require_seal(folder: Path, record: dict[str, Any]) -> None:
    """Raise ValueError where a sealed run is not what was sealed."""
    if "digest" not in record and "digests" not in record:
        return
    if record.get("digest") != _digest_of_record(record):
        raise ValueError(f"{folder / 'run.json'} is damaged: its digest is not that of its content")
    for name, digest in record["digests"].items():
        if _digest_of_file(folder / f"{name}.parquet") != digest:
            raise ValueError(f"{folder / name}.parquet is damaged, or of another run")


def _digest_of_record(record: dict[str, Any]) -> str:
    content = {name: value for name, value in record.items() if name != "digest"}
    text = json.dumps(content, sort_keys=True, ensure_ascii=False)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _digest_of_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16))
    except FileNotFoundError:
        raise ValueError(f"the run lacks {path}") from None
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    return digest.hexdigest()


def _record(path: Path) -> dict[str, Any]:
    record = _json(path)
    missing = [name for name in RECORD if name not in record]
    if missing:
        raise ValueError(f"{path} is no record of a run: it lacks {', '.join(missing)}")
    version = record["schema_version"]
    if not isinstance(version, int) or version < 1:
        raise ValueError(f"{path} is damaged: its schema version is {version!r}")
    if version > rows.SCHEMA_VERSION:
        raise ValueError(
            f"{path} has schema version {version}, and this crosscheck knows "
            f"{rows.SCHEMA_VERSION}: install a newer one"
        )
    for name, kind in (("plan", dict), ("environment", dict), ("exit_status", int)):
        if not isinstance(record[name], kind):
            raise ValueError(f"{path} is damaged: {name} is {record[name]!r}")
    return record


def _frame(path: Path, name: str) -> pd.DataFrame:
    columns = FRAMES[name]
    try:
        frame = pd.read_parquet(path)
    except FileNotFoundError:
        raise ValueError(f"the run lacks {path}") from None
    except Exception as error:
        # pyarrow raises some ten unrelated kinds of exception for damaged files.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{path} is damaged: {reason}") from None
    missing = [column for column in columns if column not in frame]
    if missing:
        raise ValueError(f"{path} lacks the columns {', '.join(missing)}")
    try:
        return frame.astype({column: columns[column].dtype for column in columns})
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged: {error}") from None


def _require_engine_columns(cases: pd.DataFrame, folder: Path) -> None:
    """Every engine has its three columns."""
    for engine in rows.engine_names(cases):
        for column in rows.engine_columns(engine):
            if column not in cases:
                raise ValueError(f"{folder / 'cases.parquet'} lacks the column {column}")
