"""Files written whole or not at all, and read only where they are files.

A folder may be a stranger's: a link in it is replaced and never written through, and a pipe is
neither waited for nor taken for a file.
"""

import errno
import hashlib
import io
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

UNFINISHED = ".*.writing"
"""How the names of files are made that are being written."""

_NEW = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_CLOEXEC", 0)
_WAITING_FOR_NOBODY = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)


def write(path: Path, content: str | bytes) -> None:
    """Write a file that is either there and whole, or not there; text as UTF-8.

    What is no character, half of a surrogate pair, is written as its escape. Raises OSError.
    """
    if isinstance(content, str):
        content = content.encode("utf-8", "backslashreplace")
    with _whole(path) as file:
        file.write(content)


def copy(source: Path, path: Path) -> None:
    """Write a copy of a file, as `write` does. Raises OSError as `opened` does too."""
    with opened(source) as content, _whole(path) as file:
        shutil.copyfileobj(content, file)


@contextmanager
def _whole(path: Path) -> Iterator[IO[bytes]]:
    """A new file, which takes this path when the block ends without an exception."""
    unfinished = path.with_name(f".{secrets.token_hex(8)}.writing")
    try:
        with open(os.open(unfinished, _NEW, 0o666), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        put(unfinished, path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def put(made: Path, path: Path) -> None:
    """Rename a file to this path; one that it replaces gives it its mode. Raises OSError."""
    try:
        replaced = path.lstat()
    except FileNotFoundError:
        pass
    else:
        if stat.S_ISREG(replaced.st_mode):
            made.chmod(stat.S_IMODE(replaced.st_mode) & 0o777)
    made.replace(path)


def settle(path: Path) -> None:
    """Return when a file that was written is on the disk. Raises OSError."""
    with opened(path) as file:
        os.fsync(file.fileno())


def opened(path: Path) -> io.FileIO:
    """The file, to be read. Raises OSError, also where it is a folder, a pipe or a device."""
    handle = os.open(path, _WAITING_FOR_NOBODY)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    return io.FileIO(handle)


def read(path: Path) -> bytes:
    """The content of a file. Raises OSError as `opened` does."""
    with opened(path) as file:
        return file.read()


def digest(path: Path) -> str:
    """32 hexadecimal digits that stand for a file's content. Raises OSError as `opened` does."""
    with opened(path) as file:
        return hashlib.file_digest(file, _blake).hexdigest()


def digest_of(content: bytes) -> str:
    """The same of content that was read."""
    return _blake(content).hexdigest()


def _blake(content: bytes = b"") -> hashlib.blake2b:
    return hashlib.blake2b(content, digest_size=16)
