"""A user's function as an engine."""

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from crosscheck.engines.conformity import Malformed
from crosscheck.values import Architecture, Arithmetic, Array, Case, Gradients

UserFunction = Callable[..., Any]


class CallableEngine:
    """gradient(weights, biases, inputs, targets) -> (weight gradients, bias gradients).

    The function gets copies of the case's arrays. Nothing is known of how it computes, so the
    bound allows both orders of evaluation, and subnormals read as zero.
    """

    def __init__(self, function: UserFunction, name: str | None = None) -> None:
        self.function = function
        self.name = name or str(getattr(function, "__name__", type(function).__name__))

    def supports(self, architecture: Architecture, dtype: str) -> bool:
        return True

    def arithmetic(self, dtype: str) -> Arithmetic:
        return Arithmetic(dtype, "either", flushes=True)

    def gradients(self, case: Case) -> Gradients:
        """Raises Malformed where the result is not a pair of lists of arrays."""
        result = self.function(
            [np.array(w) for w in case.weights],
            [np.array(b) for b in case.biases],
            np.array(case.inputs),
            np.array(case.targets),
        )
        if not isinstance(result, (tuple, list)) or len(result) != 2:
            raise Malformed(
                f"the function returned {_describe(result)}, expected a pair: "
                "weight gradients and bias gradients"
            )
        weights, biases = (self._arrays(part) for part in result)
        return Gradients(None, weights, biases)

    def _arrays(self, part: Any) -> list[Array]:
        if not isinstance(part, (tuple, list)):
            raise Malformed(f"{_describe(part)} came, expected a list with one array per layer")
        return [np.asarray(array) for array in part]


def _describe(thing: Any) -> str:
    if isinstance(thing, (tuple, list)):
        return f"a {type(thing).__name__} of {len(thing)}"
    return f"a {type(thing).__name__}"


def from_text(text: str) -> CallableEngine:
    """The engine of "package.module:function" or "path/to/file.py:function".

    Raises ValueError where the module, the file or the function cannot be found.
    """
    place, _, attribute = text.rpartition(":")
    if not place or not attribute:
        raise ValueError(
            f"engine {text!r} must be package.module:function or path/to/file.py:function"
        )
    module = _load_file(place) if place.endswith(".py") else _load_module(place)
    function = getattr(module, attribute, None)
    if not callable(function):
        raise ValueError(f"{place} has no function {attribute!r}")
    return CallableEngine(function, text)


def source(text: str) -> str:
    """The path of the file that the function of "place:function" is in; empty where unknown."""
    place = text.rpartition(":")[0]
    if place.endswith(".py"):
        return place
    return str(getattr(sys.modules.get(place), "__file__", None) or "")


def _load_module(name: str) -> Any:
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ValueError(f"cannot import {name}: {error}") from None


def _load_file(path: str) -> Any:
    if not Path(path).is_file():
        raise ValueError(f"there is no file {path}")
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ValueError(f"cannot run {path}: {type(error).__name__}: {error}") from None
    return module
