"""A limit on the time of one call, in the process that makes it."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from crosscheck.faults.shrinking import OutOfTime


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raises OutOfTime when the block has taken this long.

    The block is interrupted by a timer signal, which reaches all that returns to the interpreter:
    a sleep, a loop. Where there are no such signals (Windows, or another thread than the main
    one) the block goes on to its end, and the exception comes then.
    """
    started = time.monotonic()
    if not hasattr(signal, "setitimer") or not _in_main_thread():
        yield
    else:
        before = signal.signal(signal.SIGALRM, _end)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
    if time.monotonic() - started > seconds:
        raise OutOfTime


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _end(*_: Any) -> None:
    raise OutOfTime
