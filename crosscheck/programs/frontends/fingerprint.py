"""What a function computes with beside its arguments: its code, and the data that its code names.

Two functions of one fingerprint are the same function, as far as Python can tell: their code is
equal, and so is all that they close over, name among their globals, or carry as attributes.
"""

import functools
import hashlib
import sys
from collections.abc import Iterable, Iterator, Mapping
from types import (
    BuiltinFunctionType,
    CodeType,
    FunctionType,
    MethodType,
    ModuleType,
)
from typing import Any

import numpy as np

LIBRARIES = sys.stdlib_module_names | {"numpy", "scipy", "torch", "jax", "jaxlib", "autograd"}
"""Modules whose own functions are what they are, whatever was computed with them before."""

PLAIN = (type(None), bool, int, str, bytes, complex, type(Ellipsis), np.dtype)

DERIVED = frozenset(
    {"__dict__", "__weakref__", "__dataclass_fields__", "__dataclass_params__", "_abc_impl"}
)
"""What a class has of what else stands in it."""

VISITS, BYTES = 5_000, 1 << 26
"""Objects that are looked at, and bytes of arrays that are read, for one function at most."""


class Unfathomed(Exception):
    """Something of the function cannot be looked into, or is too much."""


def of(*roots: Any) -> tuple[Any, ...] | None:
    """What these functions, arrays and containers are; None where that cannot be told.

    Equal fingerprints are those of equal code and data. The parameters of a module that is a root
    itself are arguments, and only their shapes count.
    """
    look = _Look()
    try:
        for root in roots:
            look.own_parameters(root)
            look.at(root)
    except Unfathomed:
        return None
    return tuple(look.tokens)


class _Look:
    """One walk over a function: tokens in the order in which things are met."""

    def __init__(self) -> None:
        self.tokens: list[Any] = []
        self.seen: dict[int, int] = {}
        self.alive: list[Any] = []  # so that no id is given twice
        self.modules: set[int] = set()
        self.bytes = 0

    def own_parameters(self, root: Any) -> None:
        torch = sys.modules.get("torch")
        if torch is not None and isinstance(root, torch.nn.Module):
            self.modules |= {id(module) for module in root.modules()}

    def at(self, x: Any) -> None:
        if isinstance(x, PLAIN):
            self.tokens += (type(x), x)
        elif isinstance(x, float):
            self.tokens.append(x.hex())
        elif id(x) in self.seen:
            self.tokens.append(("again", self.seen[id(x)]))
        else:
            self.seen[id(x)] = len(self.seen)
            self.alive.append(x)
            if len(self.seen) > VISITS:
                raise Unfathomed
            self._into(x)

    def _into(self, x: Any) -> None:
        array = _as_array(x)
        if array is not None:
            self._array(x, array)
        elif isinstance(x, (FunctionType, type, BuiltinFunctionType, np.ufunc)):
            self._callable(x)
        elif isinstance(x, ModuleType):
            self.tokens.append(x.__name__)
        elif isinstance(x, CodeType):
            self.tokens += (x, x.co_filename)
        elif isinstance(x, (list, tuple, set, frozenset, Mapping)):
            self._container(x)
        else:
            self._object(x)

    def _array(self, x: Any, array: np.ndarray[Any, Any]) -> None:
        self.bytes += array.nbytes
        if array.dtype.hasobject or self.bytes > BYTES:
            raise Unfathomed
        content = hashlib.blake2b(np.ascontiguousarray(array).data, digest_size=16).digest()
        steps = getattr(x, "requires_grad", None), getattr(x, "strides", None)
        self.tokens += (type(x), str(x.dtype), array.shape, steps, content)

    def _container(self, x: Any) -> None:
        self.tokens += (type(x), len(x))
        if isinstance(x, (set, frozenset)):
            if not all(isinstance(entry, PLAIN) for entry in x):
                raise Unfathomed
            self.tokens.append(frozenset(x))
            return
        for entry in _flat(x.items()) if isinstance(x, Mapping) else x:
            self.at(entry)

    def _callable(self, x: Any) -> None:
        if _is_of_library(x) or isinstance(x, np.ufunc):
            # A method of some object, such as a generator of random numbers, has its state.
            owner = getattr(x, "__self__", None)
            if not isinstance(owner, (type(None), ModuleType, type)):
                raise Unfathomed
            self.tokens.append(x)
        elif isinstance(x, FunctionType):
            self._function(x)
        elif isinstance(x, type):
            self.tokens.append(x.__qualname__)
            for base in x.__bases__:
                self.at(base)
            for name, entry in vars(x).items():
                if name not in DERIVED:
                    self.at(name)
                    self.at(entry)
        else:
            raise Unfathomed

    def _function(self, x: FunctionType) -> None:
        self.at(x.__code__)
        for part in (x.__defaults__, x.__kwdefaults__, vars(x)):
            self.at(part)
        for cell in x.__closure__ or ():
            try:
                self.at(cell.cell_contents)
            except ValueError:
                self.tokens.append("empty")
        names = set(_names(x.__code__))
        for name in sorted(names & x.__globals__.keys()):
            self.at(name)
            value = x.__globals__[name]
            self.at(value)
            if isinstance(value, ModuleType) and not _is_of_library(value):
                for inner in sorted(names & vars(value).keys()):
                    self.at(inner)
                    self.at(vars(value)[inner])

    def _object(self, x: Any) -> None:
        self.at(type(x))
        if isinstance(x, MethodType):
            parts: Iterable[Any] = (x.__func__, x.__self__)
        elif isinstance(x, functools.partial):
            parts = (x.func, x.args, x.keywords)
        elif isinstance(x, property):
            parts = (x.fget,)
        elif isinstance(x, (staticmethod, classmethod)):
            parts = (x.__func__,)
        elif hasattr(x, "__dict__"):
            parts = self._attributes(x)
        elif hasattr(x, "__wrapped__"):
            parts = (x.__wrapped__,)
        elif type(x).__module__ in ("torch", "jaxlib._jax") and _is_hashable(x):
            self.tokens.append(x)  # a dtype, a device: a name
            return
        else:
            raise Unfathomed
        for part in parts:
            self.at(part)

    def _attributes(self, x: Any) -> Iterator[Any]:
        for name, value in vars(x).items():
            yield name
            if name == "_parameters" and id(x) in self.modules:
                yield [(key, getattr(p, "requires_grad", None)) for key, p in value.items()]
            else:
                yield value
        if hasattr(x, "__wrapped__"):
            yield x.__wrapped__


def _flat(pairs: Iterable[tuple[Any, Any]]) -> Iterator[Any]:
    for pair in pairs:
        yield from pair


def _names(code: CodeType) -> Iterator[str]:
    """All names that the code and the code in it look up."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _is_of_library(x: Any) -> bool:
    name = x.__name__ if isinstance(x, ModuleType) else getattr(x, "__module__", None)
    return (name or "builtins").partition(".")[0] in LIBRARIES


def _is_hashable(x: Any) -> bool:
    try:
        hash(x)
    except TypeError:
        return False
    return True


def _as_array(x: Any) -> np.ndarray[Any, Any] | None:
    """An array of NumPy, torch or JAX as one of NumPy; None for all else.

    Raises Unfathomed for one that has no numbers, as while something is traced.
    """
    if isinstance(x, (np.ndarray, np.generic)):
        return np.asarray(x)
    torch, jax = sys.modules.get("torch"), sys.modules.get("jax")
    if torch is not None and isinstance(x, torch.Tensor):
        if type(x) not in (torch.Tensor, torch.nn.Parameter) or x.layout != torch.strided:
            raise Unfathomed
        flat = x.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        return np.asarray(flat.numpy())
    if jax is not None and isinstance(x, jax.Array):
        if isinstance(x, jax.core.Tracer):
            raise Unfathomed
        if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key):
            return np.asarray(jax.random.key_data(x))
        return np.asarray(x)
    return None
