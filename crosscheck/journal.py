"""Finished parts of a run on disk: written atomically, checked when read, resumable.

A journal is a folder with `journal.json`, which says what run it is of, and one file a part,
`part-START-STOP`, with the rows of the indices START … STOP - 1: a line of JSON with sizes and
a SHA-256, then a Parquet file for each kind of rows. One process alone writes to it.
"""

import hashlib
import io
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
from pyarrow import parquet

from crosscheck import watched

FORMAT = "crosscheck part 1"
DESCRIPTION = "journal.json"

ROWS = "rows"
"""A folder beside the parts, for the files that are made of them while the run goes on."""

Tables = Mapping[str, pa.Table]
"""Rows by kind: errors, cases, pairs."""


class Damaged(Exception):
    """A part is not as it was written; the message says which."""


class Unwritable(Exception):
    """The disk took no more; the message says where and why. What was finished is kept."""

    exit_status = 3


class Mismatch(ValueError):
    """A journal is of another run; the message says in what they differ."""


@watched.stage("rows")
def encode(tables: Tables) -> bytes:
    """The bytes of a part: a header line, then each table as Parquet."""
    pieces = {}
    for kind, table in tables.items():
        buffer = io.BytesIO()
        # Numbers hardly repeat, and nobody looks for a range of them: half of the time for it.
        words = [field.name for field in table.schema if pa.types.is_string(field.type)]
        parquet.write_table(
            table, buffer, compression="zstd", use_dictionary=words, write_statistics=False
        )
        pieces[kind] = buffer.getvalue()
    body = b"".join(pieces.values())
    sizes = {kind: len(piece) for kind, piece in pieces.items()}
    header = {"format": FORMAT, "sizes": sizes, "sha256": _digest(sizes, body)}
    return json.dumps(header).encode() + b"\n" + body


def _digest(sizes: Mapping[str, int], body: bytes) -> str:
    return hashlib.sha256(json.dumps(sizes).encode() + body).hexdigest()


def decode(content: bytes, name: str) -> dict[str, pa.Table]:
    """The tables of a part. Raises Damaged where a single bit differs from what was written."""
    line, _, body = content.partition(b"\n")
    try:
        header = json.loads(line)
        sizes, digest, known = header["sizes"], header["sha256"], header["format"] == FORMAT
    except (ValueError, KeyError, TypeError):
        raise Damaged(f"{name} is damaged: it has no header") from None
    if not known or digest != _digest(sizes, body):
        raise Damaged(f"{name} is damaged: its checksum does not match")
    tables, begin = {}, 0
    for kind, size in sizes.items():
        tables[kind] = parquet.read_table(pa.BufferReader(body[begin : begin + size]))
        begin += size
    return tables


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """Raises Unwritable instead of an OSError while something is written to `place`."""
    try:
        yield
    except OSError as error:
        raise Unwritable(f"cannot write to {place}: {error.strerror or error}") from None


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file that is either there and whole, or not there. Raises OSError."""
    temporary = path.with_name(f".{path.name}.writing")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


class Journal:
    """The finished parts of one run, by the indices (start, stop) that they cover.

    `identity` is what makes the run the same run; `folder` is made if it does not exist.

    Raises Mismatch where the folder holds another run, Unwritable where it cannot be written,
    and ValueError where another process writes to it now.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = _locked(folder)
            description = folder / DESCRIPTION
            if description.exists():
                _require_same(folder, _parsed(description), identity)
            else:
                write_atomically(description, json.dumps(identity, indent=2).encode())
        except OSError as error:
            raise Unwritable(f"cannot write to {folder}: {error.strerror or error}") from None
        for left in folder.glob(".*.writing"):
            left.unlink()
        shutil.rmtree(folder / ROWS, ignore_errors=True)

    @staticmethod
    def require_free(folder: Path) -> None:
        """Raises ValueError where another process writes to the journal in this folder."""
        _locked(folder).close()

    @property
    def spans(self) -> list[tuple[int, int]]:
        """(start, stop) of each part, in order."""
        found = []
        for path in self.folder.glob("part-*"):
            _, start, stop = path.name.split("-")
            found.append((int(start), int(stop)))
        return sorted(found)

    def rows(self) -> Path:
        """An empty folder for the files that are made of the parts. Raises Unwritable."""
        with writing(self.folder):
            (self.folder / ROWS).mkdir()
        return self.folder / ROWS

    def path(self, start: int, stop: int) -> Path:
        return self.folder / f"part-{start:09d}-{stop:09d}"

    def add(self, start: int, stop: int, content: bytes) -> None:
        """Keep a part as `encode` made it. Raises Unwritable where the disk takes it not."""
        with writing(self.folder):
            write_atomically(self.path(start, stop), content)

    def read(self, start: int, stop: int) -> dict[str, pa.Table]:
        """The tables of a part. Raises Damaged."""
        path = self.path(start, stop)
        return decode(path.read_bytes(), path.name)

    def drop_damaged(self) -> list[str]:
        """Remove the parts that are not as they were written; a sentence for each."""
        sentences = []
        for start, stop in self.spans:
            try:
                self.read(start, stop)
            except Damaged as error:
                self.path(start, stop).unlink()
                sentences.append(f"{error}; its {stop - start} indices are computed again")
        return sentences

    def close(self) -> None:
        """Let another process write here; what was made of the parts so far is dropped."""
        shutil.rmtree(self.folder / ROWS, ignore_errors=True)
        self._lock.close()

    def remove(self) -> None:
        """Delete the journal: the run is complete and stands elsewhere."""
        self.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def _locked(folder: Path) -> IO[bytes]:
    """A file that no other process has locked; the lock ends with this process."""
    file = (folder / "lock").open("ab")
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:
        pass
    except BlockingIOError:
        raise ValueError(f"another run is writing to {folder}: wait for it, or end it") from None
    return file


def _parsed(description: Path) -> Any:
    try:
        return json.loads(description.read_bytes())
    except ValueError:
        raise Mismatch(f"{description} is damaged: delete {description.parent}") from None


def _require_same(folder: Path, found: Any, wanted: Mapping[str, Any]) -> None:
    """Raises Mismatch, naming the first few entries that differ."""
    there, here = _flat(found), _flat(json.loads(json.dumps(wanted)))
    different = [key for key in {**here, **there} if here.get(key) != there.get(key)]
    if different:
        named = [f"{k} is {there.get(k)} there, {here.get(k)} here" for k in different[:3]]
        raise Mismatch(f"{folder} is the journal of another run: {'; '.join(named)}")


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dotted keys."""
    if not isinstance(value, dict):
        return {prefix: value}
    return {
        key: leaf
        for name, inner in value.items()
        for key, leaf in _flat(inner, f"{prefix}.{name}" if prefix else name).items()
    }
