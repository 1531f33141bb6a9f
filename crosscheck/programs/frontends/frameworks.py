"""Whose arrays a function takes: the front end for it, imported only then."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

from crosscheck.programs.frontends.subject import Subject

READERS: Mapping[str, str] = {
    "torch": "crosscheck.programs.frontends.torch.subject",
    "jax": "crosscheck.programs.frontends.jax.subject",
    "autograd": "crosscheck.programs.frontends.numpy.subject",
    "numpy": "crosscheck.programs.frontends.numpy.subject",
}
"""The module with `subject(function, args, kwargs, gradient, wrt, afresh)` for each framework."""


def subject(
    function: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    gradient: Callable[..., Any] | None = None,
    wrt: Any = None,
    afresh: bool = False,
) -> Subject:
    """The function with its arguments, by its framework's front end.

    What was read of it before is taken from there, unless it is to be read `afresh`.

    Raises ValueError where nothing says whose function it is, or NumPy's comes without gradient.
    """
    framework = framework_of(function, args, kwargs, gradient)
    reader = import_module(READERS[framework])
    named = {"gradient": gradient, "wrt": wrt, "afresh": afresh}
    on_trial: Subject = reader.subject(function, args, kwargs, **named)
    return on_trial


def framework_of(
    function: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    gradient: Callable[..., Any] | None = None,
) -> str:
    """torch, jax, autograd or numpy: by the arguments, else by what the function names.

    Raises ValueError where it is NumPy's and there is no gradient to check.
    """
    for leaf in leaves((args, kwargs)):
        framework = _of_type(type(leaf))
        if framework:
            return framework
    if gradient is not None:
        return "numpy"
    framework = _of_type(type(function)) or _named_by(function)
    if framework:
        return framework
    raise ValueError(
        "with NumPy arrays there is nothing that differentiates f: pass gradient=, the function "
        "that returns its gradient, or arguments of torch or JAX"
    )


def leaves(tree: Any) -> Iterator[Any]:
    """What stands in lists, tuples, dicts and dataclasses, however deep."""
    if isinstance(tree, Mapping):
        inside: Any = tree.values()
    elif isinstance(tree, list | tuple):
        inside = tree
    elif is_dataclass(tree) and not isinstance(tree, type):
        inside = (getattr(tree, field.name) for field in fields(tree))
    else:
        yield tree
        return
    for entry in inside:
        yield from leaves(entry)


def _of_type(kind: type) -> str:
    """The framework whose class this is, or a subclass of it."""
    for base in kind.__mro__:
        root = (base.__module__ or "").partition(".")[0]
        if root == "torch":
            return "torch"
        if root in ("jax", "jaxlib"):
            return "jax"
    return ""


def _named_by(function: Callable[..., Any]) -> str:
    """The framework that the function's code names among its globals."""
    plain: Any = getattr(function, "__wrapped__", function)
    code = getattr(plain, "__code__", None)
    scope: Mapping[str, Any] = getattr(plain, "__globals__", {})
    named = {_root(scope[name]) for name in getattr(code, "co_names", ()) if name in scope}
    for cell in getattr(plain, "__closure__", None) or ():
        named.add(_root(cell.cell_contents))
    for framework in READERS:
        if framework != "numpy" and framework in named and framework in sys.modules:
            return framework
    return ""


def _root(value: Any) -> str:
    if isinstance(value, ModuleType):
        return value.__name__.partition(".")[0]
    named = _of_type(type(value))
    return named or str(getattr(value, "__module__", None) or "").partition(".")[0]
