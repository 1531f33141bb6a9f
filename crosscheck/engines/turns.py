"""Processes that need the same compiled programs take turns: each is compiled by one of them.

Compiled programs are kept in JAX's persistent cache, where the others find them. Who finds that
another compiles a program goes on with the next, and comes back to it.
"""

import contextlib
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

try:
    import fcntl
except ImportError:  # not on every system: each process compiles for itself there
    fcntl = None  # type: ignore[assignment]

LONGEST_WAIT = 10.0
"""Seconds after which a program is compiled here too: what another does may never end."""

POLL_SECONDS = 0.02

Key = TypeVar("Key")


def in_turn(keys: Iterable[Key], have: Collection[Key], run: Callable[[Key], None]) -> None:
    """Run all keys: those that this process has compiled first, what others compile now last."""
    waiting: list[Key] = []
    for key in sorted(keys, key=lambda key: key not in have):
        if key in have:
            run(key)
            continue
        with _turn(key) as mine:
            if mine:
                run(key)
            else:
                waiting.append(key)
    for key in waiting:
        with _turn(key, LONGEST_WAIT):
            run(key)


@contextmanager
def _turn(key: object, seconds: float = 0.0) -> Iterator[bool]:
    """A program's turn, held until it is compiled; False where another keeps it for so long.

    Where processes share no compiled programs, or cannot lock a file, it is everybody's.
    """
    if fcntl is None or not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        yield True
        return
    name = hashlib.sha256(repr(key).encode()).hexdigest()[:16]
    path = Path(tempfile.gettempdir(), f"crosscheck-{os.getuid()}-{name}.lock")
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError:
        yield True
        return
    try:
        yield _locked(file, time.monotonic() + seconds)
    finally:
        # Closing alone would not let go where the process has been forked.
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_UN)
        os.close(file)


def _locked(file: int, until: float) -> bool:
    """Whether the file could be locked in time, or cannot be locked at all."""
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(POLL_SECONDS)
        except OSError:
            return True
        else:
            return True
