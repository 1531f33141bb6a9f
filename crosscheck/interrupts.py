"""Ctrl-C that is never lost.

Python drops an exception that is raised inside a destructor or a callback, KeyboardInterrupt too.
So an interrupt is remembered as well, and raised again where the run looks.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def remembered() -> Iterator[Callable[[], None]]:
    """A function that raises KeyboardInterrupt if one was asked for before.

    Only where Python's own handler is in place, and in the main thread; elsewhere it does nothing.
    """
    asked: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        signal.default_int_handler(number, frame)

    def look() -> None:
        if asked:
            raise KeyboardInterrupt

    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not ours or threading.current_thread() is not threading.main_thread():
        yield look
        return
    signal.signal(signal.SIGINT, handle)
    try:
        yield look
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
