"""HIPS autograd on traced arrays: its own differentiation of a function is what is on trial."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any
from unittest.mock import patch

import numpy as np

from crosscheck.programs.frontends.numpy.recorder import format_of, unread
from crosscheck.programs.frontends.numpy.traced_array import TracedArray


@cache
def register() -> None:
    """Let autograd take traced arrays for arrays, with zeros and ones that are traced too."""
    from autograd.extend import VSpace
    from autograd.numpy.numpy_boxes import ArrayBox
    from autograd.numpy.numpy_vspaces import ArrayVSpace

    class TracedSpace(ArrayVSpace):
        """Arrays of one shape and format, made on one recorder."""

        def __init__(self, value: TracedArray) -> None:
            self.shape = value.shape
            self.dtype = value.dtype
            self.recorder = value.recorder

        def _constant(self, array: Any) -> TracedArray:
            number = self.recorder.builder.constant(array, format_of(array.dtype))
            made: TracedArray = self.recorder.array(number, array)
            return made

        def zeros(self) -> TracedArray:
            return self._constant(np.zeros(self.shape, self.dtype))

        def ones(self) -> TracedArray:
            return self._constant(np.ones(self.shape, self.dtype))

    VSpace.register(TracedArray, TracedSpace)
    ArrayBox.register(TracedArray)


class Passing:
    """NumPy for autograd's rules, whose asarray leaves traced arrays as they are."""

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    def asarray(self, array: Any, dtype: Any = None) -> Any:
        if not isinstance(array, TracedArray):
            return np.asarray(array, dtype=dtype)
        return array if dtype in (None, array.dtype) else array.astype(dtype)


@contextmanager
def tracing() -> Iterator[None]:
    """Where autograd is loaded, let it work on traced arrays for as long as this holds."""
    if "autograd" not in sys.modules:
        yield
        return
    from autograd.numpy import numpy_vjps

    register()
    with patch.object(numpy_vjps, "onp", Passing()):
        yield


Refill = Callable[[Sequence[Any]], tuple[Sequence[Any], Mapping[str, Any]]]
"""Arrays for the leaves that are differentiated, to the arguments of the function."""


def gradients(
    function: Callable[..., Any], refill: Refill, inputs: Sequence[Any], cotangent: Any
) -> list[Any]:
    """The gradient by each of these leaves, in one reverse pass.

    Raises Unreadable where the function gives a container.
    """
    from autograd.core import make_vjp

    def of_leaves(boxed: Any) -> Any:
        args, kwargs = refill([boxed[place] for place in range(len(inputs))])
        value = function(*args, **kwargs)
        if isinstance(value, (tuple, list, dict)):
            unread("a container that autograd is to differentiate", "return one array")
        return value

    pull, _ = make_vjp(of_leaves, tuple(inputs))
    return list(pull(cotangent))
