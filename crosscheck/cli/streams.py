"""Standard output and error that cannot end a run: what they do not take is remembered instead.

The exit status is that of the run, whatever becomes of the words about it.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any


class Enduring:
    """A text stream that remembers its first OSError in `failure`, and is silent from then on.

    Characters that its encoding lacks are written as escapes.
    """

    def __init__(self, stream: Any) -> None:
        self.failure: OSError | None = None
        self._stream = stream
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")

    def write(self, text: str) -> int:
        if self.failure is None:
            try:
                self._stream.write(text)
            except OSError as error:
                self.failure = error
        return len(text)

    def flush(self) -> None:
        if self.failure is None:
            try:
                self._stream.flush()
            except OSError as error:
                self.failure = error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def give_up(self) -> None:
        """Send what is left in the buffer nowhere, lest the interpreter fail when it ends."""
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


@contextmanager
def enduring() -> Iterator[Enduring]:
    """Both streams endure in the block; gives that of the output. A closed one leads nowhere."""
    before = sys.stdout, sys.stderr
    nowhere = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    out, err = (Enduring(nowhere if stream is None else stream) for stream in before)
    sys.stdout, sys.stderr = out, err
    try:
        yield out
    finally:
        for stream in (out, err):
            stream.flush()
            if stream.failure is not None:
                stream.give_up()
        sys.stdout, sys.stderr = before
        nowhere.close()
