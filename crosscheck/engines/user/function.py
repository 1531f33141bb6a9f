"""A user's function as an engine."""

import importlib
import inspect
import sys
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from crosscheck.arithmetic.promise import Arithmetic
from crosscheck.engines.interface import Malformed, Unsupported
from crosscheck.engines.user import contained
from crosscheck.engines.user.file import Folder, folder_of, load
from crosscheck.networks.network import Architecture, Array, Case, Gradients
from crosscheck.results.extras import EXTRAS, sentence

UserFunction = Callable[..., Any]


@dataclass(frozen=True)
class Dialect:
    """The arrays that a function wants: how they are made, and the context it runs in."""

    array: Callable[[Array], Any] = np.array
    context: Callable[[], AbstractContextManager[Any]] = field(default=nullcontext)


def _torch() -> Dialect:
    import torch

    return Dialect(lambda array: torch.from_numpy(np.array(array)))


def _jax() -> Dialect:
    """float64 in a context, so that the user's own setting stays as it is."""
    import jax
    import jax.numpy as jnp

    return Dialect(jnp.asarray, lambda: jax.enable_x64(True))


DIALECTS: dict[str, Callable[[], Dialect]] = {"numpy": Dialect, "torch": _torch, "jax": _jax}
"""Kinds of arrays that a function may be handed, by the value of `arrays`."""


def dialect(arrays: str) -> Dialect:
    """Raises ValueError for an unknown kind, Unsupported where its library is missing."""
    if not isinstance(arrays, str) or arrays not in DIALECTS:
        raise ValueError(f"unknown arrays {arrays!r}: known are {', '.join(DIALECTS)}")
    try:
        return DIALECTS[arrays]()
    except ModuleNotFoundError as error:
        library = (error.name or "").split(".")[0]
        if library not in EXTRAS:
            raise
        raise Unsupported(sentence(f'arrays="{arrays}"', library)) from None


class CallableEngine:
    """gradient(weights, biases, inputs, targets) -> (weight gradients, bias gradients).

    The function gets copies of the case's arrays; `changed` names those that it wrote to. What
    it returns is copied at once, so it may reuse its buffers. `cause` is the first exception
    that it raised. Nothing is known of how it computes, so the bound allows both orders of
    evaluation, and subnormals read as zero. `arrays` is numpy, torch or jax; `folder` is on the
    path while it runs.
    """

    keeps_state = True
    """It may: some cases are given to it twice."""

    def __init__(
        self,
        function: UserFunction,
        name: str | None = None,
        arrays: str = "numpy",
        folder: Folder | None = None,
    ) -> None:
        if not callable(function):
            raise ValueError(
                f"the gradient is a {type(function).__name__}, expected a function "
                "gradient(weights, biases, inputs, targets)"
            )
        self.function = function
        self.name = name or str(getattr(function, "__name__", type(function).__name__))
        self.arrays, self.dialect = arrays, dialect(arrays)
        self.folder: AbstractContextManager[Any] = folder or nullcontext()
        self.changed: set[str] = set()
        self.cause: BaseException | None = None

    def supports(self, architecture: Architecture, dtype: str) -> bool:
        return True

    def arithmetic(self, dtype: str) -> Arithmetic:
        return Arithmetic(dtype, "either", flushes=True)

    @contained.method
    def gradients(self, case: Case) -> Gradients:
        """Raises Malformed where the result is not a pair of lists of arrays."""
        make = self.dialect.array
        with self.dialect.context(), self.folder:
            given = case.biases if case.architecture.with_biases else ()
            weights, biases = ([make(x) for x in part] for part in (case.weights, given))
            inputs, targets = make(case.inputs), make(case.targets)
            try:
                with np.errstate(all="ignore"):  # the verdict says it, entry by entry
                    result = self.function(weights, biases, inputs, targets)
            except BaseException as error:
                self.cause = self.cause or error
                if not isinstance(error, Exception):
                    raise
                raise Malformed(raised(error, case)) from error
            if not case.architecture.with_biases:
                result = _of_weights(result)
            by_weight, by_bias = (_lists(part, what, case) for part, what in _pair(result))
            self._watch(case, weights, biases, inputs, targets)
            return Gradients(None, by_weight, by_bias)

    def _watch(self, case: Case, weights: Any, biases: Any, inputs: Any, targets: Any) -> None:
        """Remember which of its copies the function wrote to."""
        for name, given, now in (
            ("weights", case.weights, weights),
            ("biases", case.biases if biases else (), biases),
            ("inputs", [case.inputs], [inputs]),
            ("targets", [case.targets], [targets]),
        ):
            same = len(given) == len(now) and all(
                np.array_equal(a, np.asarray(as_array(b))) for a, b in zip(given, now, strict=True)
            )
            if not same:
                self.changed.add(name)


def _of_weights(result: Any) -> Any:
    """What a function of networks without biases returned, as a pair: weights' alone will do."""
    if not isinstance(result, (tuple, list)):
        return result
    parts = list(result)
    if len(parts) == 2 and isinstance(parts[0], (tuple, list)):
        return parts[0], parts[1] or []
    return parts, []


def _pair(result: Any) -> list[tuple[Any, str]]:
    """The two parts of what the function returned, with what they should be."""
    if result is None:
        raise Malformed(
            "the function returned None, expected a pair (weight gradients, bias gradients): "
            "is a return missing?"
        )
    if not isinstance(result, (tuple, list)) or len(result) != 2:
        raise Malformed(
            f"the function returned {_describe(result)}, expected a pair: "
            "weight gradients and bias gradients" + _flat(result)
        )
    return [(result[0], "weight"), (result[1], "bias")]


def _flat(result: Any) -> str:
    """A hint for the ways in which a pair is missed."""
    if isinstance(result, (tuple, list)) and len(result) > 2 and len(result) % 2 == 0:
        return "; it looks like w2, b2, w3, … in one list: return (list of w, list of b)"
    if isinstance(result, dict):
        return "; it looks like a dictionary of gradients: return (list of w, list of b)"
    return ""


def _lists(part: Any, what: str, case: Case) -> list[Array]:
    if not isinstance(part, (tuple, list)):
        raise Malformed(
            f"the {what} gradients are {_describe(part)}, expected a list with one array per layer"
        )
    for k, thing in enumerate(part):
        if thing is None:
            raise Malformed(
                f"the {what} gradient of layer {k + 2} is None, expected an array: "
                "was it never computed, or is requires_grad missing?"
            )
    arrays = [_copied(thing, f"{what[0]}{k + 2}") for k, thing in enumerate(part)]
    for k, (thing, array) in enumerate(zip(part, arrays, strict=True)):
        if array.dtype != case.format.numpy and array.dtype.kind == "f":
            raise Malformed(
                f"{what[0]}{k + 2} has dtype {array.dtype}, expected {case.dtype}, as the weights"
                + _narrowing(thing, case)
            )
    return arrays


def _copied(thing: Any, tensor: str) -> Array:
    """A copy of the array, since its memory may be written to by the next call."""
    if isinstance(thing, np.ma.MaskedArray):
        raise Malformed(
            f"{tensor} is a masked array, expected a plain one: which numbers stand where it is "
            "masked? return gradient.filled(0), or the array that was never masked"
        )
    try:
        array = np.array(as_array(thing))
    except ValueError as error:
        raise Malformed(f"{tensor} is {_describe(thing)} that makes no array: {error}") from error
    if array.dtype == object:
        raise Malformed(f"{tensor} is {_describe(thing)}, expected an array of numbers")
    return array


def _narrowing(thing: Any, case: Case) -> str:
    """What usually turns float64 into float32, by the library that the result is of."""
    if case.dtype != "float64":
        return ""
    library = type(thing).__module__.split(".")[0]
    if library in ("jax", "jaxlib"):
        return (
            ': JAX computes in float32 unless jax.config.update("jax_enable_x64", True) is called '
            'first, or arrays="jax" hands it float64 arrays in jax.enable_x64(True)'
        )
    if library == "torch":
        return ": torch makes float32 tensors unless told dtype=torch.float64"
    return ": is there a float32 array, or an astype, on the way?"


def as_array(thing: Any) -> Array:
    """NumPy's view of an array of NumPy, torch or JAX, in its own dtype."""
    if hasattr(thing, "detach"):
        thing = thing.detach().cpu()
    return np.asarray(thing)


def _describe(thing: Any) -> str:
    if isinstance(thing, (tuple, list)):
        return f"a {type(thing).__name__} of {len(thing)}"
    kind = f"a {type(thing).__name__}"
    return f"{kind} of shape {tuple(thing.shape)}" if hasattr(thing, "shape") else kind


def address(function: UserFunction) -> str:
    """How `--engine` finds the function: module:name, or file.py:name; empty if it cannot."""
    name = getattr(function, "__qualname__", "")
    module = sys.modules.get(getattr(function, "__module__", ""))
    if not name.isidentifier() or module is None or getattr(module, name, None) is not function:
        return ""
    if module.__name__ != "__main__":
        return f"{module.__name__}:{name}"
    try:
        return f"{Path(inspect.getfile(function)).name}:{name}"
    except (OSError, TypeError):
        return ""


def from_text(text: str, arrays: str = "numpy") -> CallableEngine:
    """The engine of "package.module:function" or "path/to/file.py:function".

    Raises ValueError where the module, the file or the function cannot be found.
    """
    place = text.rpartition(":")[0]
    folder = folder_of(place) if place.endswith(".py") else None
    return CallableEngine(found(text), text, arrays, folder)


def found(text: str) -> UserFunction:
    """The function of "package.module:function" or "path/to/file.py:function".

    Raises ValueError where the module, the file or the function cannot be found.
    """
    place, _, attribute = text.rpartition(":")
    if not place or not attribute:
        raise ValueError(
            f"engine {text!r} must be package.module:function or path/to/file.py:function"
        )
    module = load(place) if place.endswith(".py") else _load_module(place)
    function = getattr(module, attribute, None)
    if not callable(function):
        raise ValueError(f"{place} has no function {attribute!r}" + _others(module, attribute))
    return function


def _others(module: Any, attribute: str) -> str:
    import difflib

    functions = [n for n, f in vars(module).items() if inspect.isfunction(f)]
    close = difflib.get_close_matches(attribute, functions, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _load_module(name: str) -> Any:
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        return importlib.import_module(name)
    except Exception as error:
        reason = error if isinstance(error, ImportError) else f"{type(error).__name__}: {error}"
        raise ValueError(f"cannot import {name}: {reason}") from error


def raised(error: Exception, case: Case) -> str:
    """What a user's function raised, the line it was in, and what probably happened."""
    theirs = _their_frames(error)
    if isinstance(error, TypeError) and not theirs:
        return f"TypeError: {error} {CALLED_AS}"
    where = ""
    if theirs:
        where = f", line {theirs[-1].lineno} of {Path(theirs[-1].filename).name}"
    return f"{type(error).__name__}: {error}{where}{hint(error, case)}"


CALLED_AS = "(it is called as gradient(weights, biases, inputs, targets))"


def _their_frames(error: BaseException) -> list[traceback.FrameSummary]:
    """Where the exception passed through the user's own code, the call first."""
    frames = traceback.extract_tb(error.__traceback__)
    return [frame for frame in frames if frame.filename not in (__file__, contained.__file__)]


LAST_FRAMES = 2
"""Calls of a traceback that are shown: where it was raised, and what called that."""


def their_traceback(error: BaseException, full: bool = False) -> str:
    """The traceback of a user's function, but for our call of it: the last lines, or `full`.

    In full it begins with the exceptions that led to it.
    """
    frames = _their_frames(error)
    shown = frames if full else frames[-LAST_FRAMES:]
    hidden = len(frames) - len(shown)
    before = [f"  … and {hidden} calls above (shown in full with -v)\n"] if hidden else []
    if full and error.__cause__ is not None:
        before = [f"{their_traceback(error.__cause__, full)}\nwhich led to:\n"]
    said = "".join(traceback.format_exception_only(error))
    lines = [*before, *traceback.format_list(shown), said if full else contained.sentence(said)]
    return "".join(lines).rstrip("\n")


def hint(error: Exception, case: Case) -> str:
    """What probably happened where a user's function raised, or nothing."""
    text = str(error)
    of = case.architecture
    shapes = ("shape", "mismatch", "aligned", "broadcast", "matmul", "size of tensor", "dimension")
    if any(word in text.lower() for word in shapes):
        return (
            f" (layers {of.label}: weights[k] is (n_in, n_out), inputs are (D, {of.widths[0]}); "
            "is a transpose missing or one too many?)"
        )
    if isinstance(error, TypeError) and "numpy" in text:
        return ' (it got NumPy arrays: arrays="torch" or arrays="jax" hands native ones)'
    return ""
