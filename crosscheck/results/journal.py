"""Finished parts of a run on disk: written atomically, checked when read, resumable.

A journal is a folder with `journal.json`, which says what run it is of, and one file a part,
`part-START-STOP`, with the rows of the indices START … STOP - 1: a digest that binds it to the
run and these indices, a line of JSON with sizes and a SHA-256, then an Arrow file for each kind
of rows. One process alone writes to it.
"""

import errno
import hashlib
import io
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from crosscheck.networks import watched
from crosscheck.results.disk import files

FORMAT = "crosscheck part 2"
DESCRIPTION, LOCK = "journal.json", "lock"
PART = re.compile(r"part-(\d{9,})-(\d{9,})")

IN_RUN = ".crosscheck"
"""The folder of a run's journal, inside the run's own: no other must be there to be written to."""

ROWS, READY = "rows", "ready"
"""Folders beside the parts, for the files that are made of them: while the run goes on; and when
they are complete, and on their way into the run's folder."""

COMPRESSED = pa.ipc.IpcWriteOptions(compression="zstd")

Tables = Mapping[str, pa.Table]
"""Rows by kind: errors, cases, pairs."""


class Damaged(Exception):
    """A part is not as it was written; the message says which."""

    exit_status = 3


class Unwritable(Exception):
    """The disk took no more; the message says where and why. What was finished is kept."""

    exit_status = 3


class Mismatch(ValueError):
    """A journal is of another run; the message says in what they differ."""


@watched.stage("rows")
def encode(tables: Tables) -> bytes:
    """The bytes of a part: a header line, then each table in Arrow's own form, compressed."""
    pieces = {}
    for kind, table in tables.items():
        buffer = io.BytesIO()
        with pa.ipc.new_file(buffer, table.schema, options=COMPRESSED) as writer:
            writer.write_table(table)
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
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Damaged(f"{name} is damaged: it has no header") from None
    if not known or digest != _digest(sizes, body):
        raise Damaged(f"{name} is damaged: its checksum does not match")
    tables, begin = {}, 0
    try:
        for kind, size in sizes.items():
            piece = pa.BufferReader(body[begin : begin + size])
            tables[kind] = pa.ipc.open_file(piece).read_all()
            begin += size
    except (pa.ArrowException, AttributeError, TypeError, OSError) as error:
        raise Damaged(f"{name} is damaged: {str(error).splitlines()[0]}") from None
    return tables


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """Raises Unwritable instead of an OSError while something is written to `place`."""
    try:
        yield
    except OSError as error:
        raise Unwritable(f"cannot write to {place}: {error.strerror or error}") from None


class Journal:
    """The finished parts of one run, by the indices (start, stop) that they cover.

    `identity` is what makes the run the same run; `folder` is made if it does not exist.

    Raises Mismatch where the folder holds another run, Unwritable where it cannot be written,
    and ValueError where another process writes to it now.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        self.folder = folder
        text = json.dumps(identity, sort_keys=True)
        self._run = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        self._lock = locked(folder)
        try:
            description, text = folder / DESCRIPTION, json.dumps(identity, indent=2)
            if os.path.lexists(description):
                _require_same(description, text)
            else:
                with writing(folder):
                    files.write(description, text)
            _drop_unfinished(folder)
        except BaseException:
            self._lock.close()
            raise

    @property
    def spans(self) -> list[tuple[int, int]]:
        """(start, stop) of each part, in order."""
        return sorted(span for span, _ in _parts(self.folder))

    def rows(self) -> Path:
        """An empty folder for the files that are made of the parts. Raises Unwritable."""
        return rows_in(self.folder)

    def path(self, start: int, stop: int) -> Path:
        return self.folder / f"part-{start:09d}-{stop:09d}"

    def add(self, start: int, stop: int, content: bytes) -> None:
        """Keep a part as `encode` made it. Raises Unwritable where the disk takes it not."""
        with writing(self.folder):
            files.write(self.path(start, stop), self._binding(start, stop, content) + content)

    def _binding(self, start: int, stop: int, content: bytes) -> bytes:
        """The line that binds a part to this run and its indices; its header stands for it."""
        header, _, _ = content.partition(b"\n")
        bound = f"{self._run} {start} {stop} ".encode() + header
        return hashlib.sha256(bound).hexdigest().encode() + b"\n"

    def read(self, start: int, stop: int) -> dict[str, pa.Table]:
        """The tables of a part. Raises Damaged, also where it is another's under its name."""
        path = self.path(start, stop)
        try:
            binding, newline, content = files.read(path).partition(b"\n")
        except OSError as error:
            raise Damaged(f"{path.name} cannot be read: {error.strerror}") from None
        if binding + newline != self._binding(start, stop, content):
            raise Damaged(f"{path.name} is damaged, or not these indices of this run")
        return decode(content, path.name)

    def drop_damaged(self) -> list[str]:
        """Remove the parts that are not as they were written; a sentence for each.

        So are parts whose indices another has too.
        """
        sentences, end = [], 0
        for start, stop in self.spans:
            try:
                if start < end:
                    raise Damaged(f"{self.path(start, stop).name} overlaps the part before it")
                self.read(start, stop)
                end = stop
            except Damaged as error:
                with writing(self.folder):
                    self.path(start, stop).unlink()
                sentences.append(f"{error}; its {stop - start} indices are computed again")
        return sentences

    def close(self) -> None:
        """Let another process write here; what was made of the parts so far is dropped."""
        shutil.rmtree(self.folder / ROWS, ignore_errors=True)
        self._lock.close()

    def remove(self) -> None:
        """Delete the journal: the run is complete and stands elsewhere."""
        clear(self.folder)
        self.close()


def _parts(folder: Path) -> Iterator[tuple[tuple[int, int], Path]]:
    """((start, stop), path) of each file that has the name of a part."""
    for path in folder.glob("part-*"):
        name = PART.fullmatch(path.name)
        if name and int(name[1]) < int(name[2]):
            yield (int(name[1]), int(name[2])), path


def has_parts(folder: Path) -> bool:
    """Whether an unfinished run left something in this journal."""
    return any(True for _ in _parts(folder))


def is_ready(run: Path) -> bool:
    """Whether a run was ended while its files were put into this folder of its own."""
    return (run / IN_RUN / READY).is_dir()


def rows_in(folder: Path) -> Path:
    """An empty folder in a journal's, for files in the making. Raises Unwritable."""
    with writing(folder):
        shutil.rmtree(folder / ROWS, ignore_errors=True)
        (folder / ROWS).mkdir()
    return folder / ROWS


def clear(folder: Path) -> None:
    """Delete what a run left in the folder of its journal, and that where nothing else is in it."""
    _drop_unfinished(folder)
    for _, path in _parts(folder):
        path.unlink(missing_ok=True)
    (folder / DESCRIPTION).unlink(missing_ok=True)
    tidy(folder)


def tidy(folder: Path) -> None:
    """Delete the folder of a journal where it holds nothing."""
    shutil.rmtree(folder / ROWS, ignore_errors=True)
    if {path.name for path in folder.glob("*")} <= {LOCK}:
        (folder / LOCK).unlink(missing_ok=True)
        with suppress(OSError):
            folder.rmdir()


def _drop_unfinished(folder: Path) -> None:
    """Delete what was being written when a process ended."""
    for left in folder.glob(files.UNFINISHED):
        left.unlink(missing_ok=True)
    shutil.rmtree(folder / ROWS, ignore_errors=True)


def locked(folder: Path) -> IO[bytes]:
    """A file that no other process has locked; the lock ends with this process.

    The folder is made if it is not there. Raises Unwritable where it cannot be, or is a link,
    and ValueError where another process has the lock.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if folder.is_symlink():
            raise NotADirectoryError(errno.ENOTDIR, "it is a link, and could lead anywhere")
        file = _lock_file(folder)
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:
        return file
    except BlockingIOError:
        file.close()
        raise ValueError(f"another run is writing to {folder}: wait for it, or end it") from None
    if not os.fstat(file.fileno()).st_nlink:
        file.close()
        raise ValueError(f"another run has just ended in {folder}: try again")
    return file


def _lock_file(folder: Path) -> IO[bytes]:
    flags = os.O_CREAT | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    return open(os.open(folder / LOCK, flags, 0o666), "ab")


def _require_same(description: Path, wanted: str) -> None:
    """Raises Mismatch where it says another thing, naming the first few entries that differ."""
    folder = description.parent
    try:
        text = files.read(description)
        there, here = _flat(json.loads(text)), _flat(json.loads(wanted))
    except (OSError, ValueError, RecursionError):
        raise Mismatch(f"{description} is damaged: delete {folder}") from None
    different = [key for key in {**here, **there} if here.get(key) != there.get(key)]
    if different:
        named = [f"{k} is {there.get(k)} there, {here.get(k)} here" for k in different[:3]]
        raise Mismatch(f"{folder} is the journal of another run: {'; '.join(named)}")
    if text != wanted.encode("utf-8", "backslashreplace"):
        raise Mismatch(f"{description} was changed since it was written: delete {folder}")


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dotted keys."""
    if not isinstance(value, dict):
        return {prefix: value}
    return {
        key: leaf
        for name, inner in value.items()
        for key, leaf in _flat(inner, f"{prefix}.{name}" if prefix else name).items()
    }
