"""The state of the floating-point unit: rounding to nearest, subnormals kept; restored if not.

An engine may change both, as torch.set_flush_denormal does; then every number that is computed
after it on this thread is another.
"""

import ctypes
import sys
from collections.abc import Callable
from functools import cache

_SUBNORMAL, _HALF_ULP = 5e-324, 2.0**-53


def is_default() -> bool:
    """Whether subnormals are kept, and sums are rounded to nearest, ties to even."""
    tiny, one = _SUBNORMAL, 1.0
    rounded = (one + _HALF_ULP, -one - _HALF_ULP, one + 3 * _HALF_ULP)
    return tiny * one == tiny != 0.0 and rounded == (1.0, -1.0, 1.0 + 4 * _HALF_ULP)


def restore() -> None:
    """Set the state of this thread back to the default, where it is another."""
    if not is_default():
        _set_default()


def _set_default() -> None:
    """C's fesetenv(FE_DFL_ENV); glibc's clears the bits that flush subnormals as well."""
    set_environment, default = _library()
    if set_environment is not None:
        set_environment(default)
    if "torch" in sys.modules and not is_default():
        sys.modules["torch"].set_flush_denormal(False)


@cache
def _library() -> tuple[Callable[..., object] | None, ctypes.c_void_p]:
    """fesetenv, and its default environment: address -1 with glibc, a variable with macOS."""
    try:
        library = ctypes.CDLL(None)
        function = library.fesetenv
        if sys.platform == "darwin":
            place = ctypes.addressof(ctypes.c_byte.in_dll(library, "_FE_DFL_ENV"))
            return function, ctypes.c_void_p(place)
        return function, ctypes.c_void_p(-1)
    except (AttributeError, OSError, TypeError, ValueError):
        return None, ctypes.c_void_p(0)
