"""The same functions in NumPy, PyTorch and XLA, as they are called on arrays of one format."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from scipy import special

from crosscheck.arithmetic.formats import FORMATS

NAMES = {
    "numpy": {
        "logistic": special.expit, "erf": special.erf, "erfc": special.erfc,
        "erfinv": special.erfinv, "lgamma": special.gammaln, "digamma": special.digamma,
        "rsqrt": None, "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan,
        "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh,
        "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide,
        "pow": np.power, "atan2": np.arctan2,
    },
    "torch": {"logistic": "sigmoid", "max": "maximum", "min": "minimum", "cbrt": None},
    "xla": {
        "erfinv": "erf_inv", "square": "square", "add": "add", "sub": "sub", "mul": "mul",
        "div": "div", "reciprocal": None,
    },
}  # fmt: skip
"""Where a library's name for a row is not the row's own; None where it has none."""


def function(library: str, name: str) -> Callable | None:
    """The library's function for a row of the table, on NumPy arrays; None if it has none."""
    given = NAMES[library].get(name, name)
    if given is None:
        return None
    if library == "numpy":
        ufunc = getattr(np, given, None) if isinstance(given, str) else given
        return ufunc if isinstance(ufunc, np.ufunc) else None
    return _torch(given) if library == "torch" else _xla(given)


def _torch(name: str) -> Callable | None:
    import torch

    operation = getattr(torch, name, None)
    if operation is None:
        return None

    def apply(*arrays):
        tensors = [_tensor(array) for array in arrays]
        result = operation(*tensors)
        wide = (
            result.to(torch.float64) if result.dtype in (torch.bfloat16, torch.float16) else result
        )
        return wide.numpy()

    return apply


def _tensor(array):
    import torch

    if array.dtype == FORMATS["bfloat16"].numpy:
        return torch.from_numpy(array.astype(np.float32)).to(torch.bfloat16)
    return torch.from_numpy(np.array(array))


@contextmanager
def _wide() -> Iterator[None]:
    import jax

    with jax.enable_x64(True):
        yield


def _xla(name: str) -> Callable | None:
    import jax

    operation = getattr(jax.lax, name, None)
    if operation is None:
        return None
    compiled = jax.jit(operation)

    def apply(*arrays):
        with _wide():
            return np.asarray(compiled(*(jax.numpy.asarray(array) for array in arrays)))

    return apply
