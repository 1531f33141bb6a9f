"""Whose an exception is: ours, a sentence on bad input, or that of the function on trial."""

import sysconfig
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from crosscheck.programs.frontends import leaves

_OURS = str(Path(__file__).parents[2])
_LIBRARIES = tuple(
    str(Path(sysconfig.get_paths()[name])) for name in ("stdlib", "purelib", "platlib")
)


def raised_by_theirs(error: BaseException) -> bool:
    """Whether it came from, or through, code that is neither ours nor an installed library's."""
    frames = traceback.extract_tb(error.__traceback__)
    return any(not frame.filename.startswith((_OURS, *_LIBRARIES, "<frozen")) for frame in frames)


def require_real_numbers(args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Raises ValueError where an array among the arguments is complex."""
    tree = leaves.tree((list(args), dict(kwargs)))
    for leaf, (part, *rest) in zip(tree.leaves, tree.steps, strict=True):
        if is_complex(leaf):
            path = leaves.path("args" if part.key == 0 else "kwargs", rest)
            raise ValueError(f"{path} is complex: gradients of complex numbers are not checked yet")


def is_complex(leaf: Any) -> bool:
    """Whether this is a complex number, or an array of them, of any framework."""
    return isinstance(leaf, complex) or "complex" in str(getattr(leaf, "dtype", ""))


def require_no_nan(named: Sequence[str], arrays: Sequence[np.ndarray]) -> None:
    """Raises ValueError with the place of the first entry that is no number."""
    for name, array in zip(named, arrays, strict=True):
        missing = np.isnan(array.astype(np.float64))
        if missing.any():
            index = [int(i) for i in np.argwhere(missing)[0]]
            raise ValueError(
                f"{name}{index if index else ''} is not a number (NaN): give arguments at which "
                "the function has a value"
            )
