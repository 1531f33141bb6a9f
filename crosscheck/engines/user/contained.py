"""Calls of code that somebody else wrote: what it raises, and does to its process, ends with it.

A call costs its own case. What it raised comes out as `Malformed`, an Exception, even where it
was SystemExit; what it set for the whole process is set back; a process that it forked and that
comes back from it ends. What ends or stops the process itself only a parent can contain: see
`supervised`.
"""

import builtins
import math
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any, ClassVar, TypeVar

import numpy as np

from crosscheck.arithmetic.promise import Arithmetic
from crosscheck.engines.interface import Engine, EngineFailed, Malformed
from crosscheck.engines.user import floating_point
from crosscheck.networks.network import Architecture, Case, Gradients

LONGEST_MESSAGE = 1000
"""Characters of a message that are kept: it is shown in a row of a table."""

Called = TypeVar("Called")


def sentence(text: str) -> str:
    """A message of somebody else's as text that can be stored: cut, and no half of a character."""
    if len(text) > LONGEST_MESSAGE:
        text = f"{text[:LONGEST_MESSAGE]} … ({len(text)} characters)"
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def described(error: BaseException) -> str:
    """The exception's type, its message and the line that raised it."""
    try:
        said = str(error)
    except BaseException as another:  # its __str__ is somebody else's as well
        said = f"(its message cannot be had: {type(another).__name__})"
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = ""
    if trace is not None:
        where = f", line {trace.tb_lineno} of {Path(trace.tb_frame.f_code.co_filename).name}"
    colon = ": " if said else ""
    return f"{type(error).__name__}{colon}{sentence(said)}{where}"


class _Process:
    """What a call may not change for good, as it was before the call.

    NumPy's functions and those of Python are compared by identity, all at once: a replaced one
    would compute our bounds too. Modules that are gone would be imported a second time, and
    their classes be others.
    """

    shared = True
    """Whether other code may change the same between calls; a worker's process is ours alone."""

    afterwards: ClassVar[list[Callable[[], None]]] = []
    """What else is asked of the process after each call."""

    _names: ClassVar[dict[ModuleType, dict[str, Any]]] = {}
    _modules: ClassVar[dict[str, ModuleType]] = {}

    def __init__(self) -> None:
        self.pid, self.folder = os.getpid(), _folder()
        self.recursion = sys.getrecursionlimit()
        self.table, self.filters, self.errors = sys.modules, warnings.filters[:], np.geterr()
        if self.shared or not self._names:
            self._look()

    def _look(self) -> None:
        """Remember names and modules, where they are others than those that are remembered."""
        for module in (np, np.linalg, math, builtins):
            if self._names.get(module) != vars(module):
                self._names[module] = dict(vars(module))
        if self._modules != sys.modules:
            self._modules.clear()
            self._modules.update(sys.modules)

    def restore(self) -> None:
        """Set back what differs; end the process if it is another, forked and come back."""
        if os.getpid() != self.pid:
            os._exit(0)
        if sys.getrecursionlimit() != self.recursion:
            sys.setrecursionlimit(self.recursion)
        floating_point.restore()
        self._restore_modules()
        self._restore_names()
        if warnings.filters != self.filters:
            warnings.resetwarnings()
            warnings.filters.extend(self.filters)  # type: ignore[attr-defined]
        if np.geterr() != self.errors:
            np.seterr(**self.errors)
        if self.folder and _folder() != self.folder:
            os.chdir(self.folder)
        for require in self.afterwards:
            require()

    def _restore_modules(self) -> None:
        sys.modules = self.table
        if len(sys.modules) != len(self._modules) or sys.modules.get("numpy") is not np:
            for name in self._modules.keys() - sys.modules.keys():
                sys.modules[name] = self._modules[name]
            sys.modules["numpy"] = np
            self._modules.update(sys.modules)

    def _restore_names(self) -> None:
        for module, names in self._names.items():
            if vars(module) == names:
                continue
            for name, value in names.items():
                if vars(module).get(name) is not value:
                    setattr(module, name, value)
            names.update(vars(module))  # what was added, such as a submodule, may stay


def _folder() -> str:
    try:
        return os.getcwd()
    except OSError:
        return ""


_OUTSIDE = [getattr(signal, name) for name in ("SIGALRM", "SIGTERM") if hasattr(signal, name)]
"""Signals by whose handlers others interrupt a call: a time limit of a test, a stopped service."""


class _Interruptions:
    """Whether an exception in a call came from a signal, and so is not the call's own.

    KeyboardInterrupt says nothing of who raised it. So for the time of the call SIGINT has a
    handler that notes that the signal came, and then does what the handler before it did: a
    KeyboardInterrupt without a note is one that the called code raised by itself. Only the main
    thread gets signals, so in another one it is always the code's own. Where SIGINT is ignored,
    as in a worker, it is so too. A note that no exception followed was swallowed by the called
    code: the user who pressed the key is obeyed all the same.
    """

    def __init__(self) -> None:
        self.came, self.before = False, None
        self.outside: list[Any] = []
        if not _Process.shared:
            return
        self.outside = [signal.getsignal(number) for number in _OUTSIDE]
        before: Any = signal.getsignal(signal.SIGINT)
        main = threading.current_thread() is threading.main_thread()
        self.before = before if main and callable(before) else None
        if self.before is not None:
            signal.signal(signal.SIGINT, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.came = True
        assert callable(self.before)
        self.before(number, frame)

    def end(self) -> None:
        """Give SIGINT its handler back."""
        if self.before is not None:
            signal.signal(signal.SIGINT, self.before)

    def raised(self, error: BaseException) -> bool:
        """Whether the exception is of a signal's handler that was there before the call."""
        if isinstance(error, KeyboardInterrupt):
            return self.came
        handlers = {getattr(handler, "__code__", None) for handler in self.outside} - {None}
        trace = error.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code in handlers:
                return True
            trace = trace.tb_next
        return False


@contextmanager
def contained() -> Iterator[None]:
    """What is done in the block is somebody else's: see the module.

    Raises Malformed in the place of what is no Exception and no signal's.
    """
    process, interruptions = _Process(), _Interruptions()
    try:
        yield
    except BaseException as error:
        if isinstance(error, Exception) or interruptions.raised(error):
            raise
        raise Malformed(described(error)) from error
    finally:
        process.restore()
        interruptions.end()
    if interruptions.came:
        raise KeyboardInterrupt


def method(function: Callable[..., Called]) -> Callable[..., Called]:
    """A method whose body is `contained`."""

    @wraps(function)
    def call(*arguments: Any) -> Called:
        with contained():
            return function(*arguments)

    return call


def loaded(load: Callable[[], Called]) -> Called:
    """What `load` returns, which runs a file or imports a module of somebody else's.

    Raises what it raises, and EngineFailed in the place of what is no Exception.
    """
    try:
        with contained():
            return load()
    except Malformed as error:
        raise EngineFailed("error", f"when it was loaded: {error}") from error


class Contained:
    """An engine of another package, each call contained."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.name = engine, engine.name
        for optional in ("stages", "gradients_of"):
            if hasattr(engine, optional):
                setattr(self, optional, method(getattr(engine, optional)))

    def __getattr__(self, name: str) -> Any:
        if name == "engine":
            raise AttributeError(name)
        return getattr(self.engine, name)

    @method
    def supports(self, architecture: Architecture, dtype: str) -> bool:
        return self.engine.supports(architecture, dtype)

    @method
    def arithmetic(self, dtype: str) -> Arithmetic:
        return self.engine.arithmetic(dtype)

    @method
    def gradients(self, case: Case) -> Gradients:
        """Raises Malformed for what is no Exception."""
        return self.engine.gradients(case)


def ours_alone(require: Callable[[], None]) -> None:
    """Nothing but such calls runs in this process: their state need not be looked at before.

    `require` is called after each, and may end the process.
    """
    _Process.shared = False
    _Process.afterwards[:] = [require]
