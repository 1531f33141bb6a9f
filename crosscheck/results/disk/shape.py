"""What a JSON value must look like: types, by name, checked before anybody relies on them."""

from collections.abc import Mapping
from typing import Any

Shape = type | tuple[type, ...] | list[Any] | Mapping[str, Any]
"""A type, or several; a list of one shape; or an object's shapes by name.

A name that ends with "?" may be missing, "*" stands for every name, and a name that is not
listed may hold anything.
"""

WORDS = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    dict: "an object",
    list: "a list",
    type(None): "null",
}


def require(value: Any, shape: Shape, what: str) -> None:
    """Raises ValueError, naming the first part of `what` that is of another shape."""
    if isinstance(shape, Mapping):
        _require_type(value, dict, what)
        for name, inner in shape.items():
            _require_entry(value, name, inner, what)
    elif isinstance(shape, list):
        _require_type(value, list, what)
        for number, entry in enumerate(value):
            require(entry, shape[0], f"{what}[{number}]")
    else:
        _require_type(value, shape, what)


def _require_entry(value: dict[str, Any], name: str, shape: Shape, what: str) -> None:
    if name == "*":
        for key, entry in value.items():
            require(entry, shape, f"{what}.{key}")
    elif name.removesuffix("?") in value:
        require(value[name.removesuffix("?")], shape, f"{what}.{name.removesuffix('?')}")
    elif not name.endswith("?"):
        raise ValueError(f"{what} lacks {name}")


def _require_type(value: Any, types: type | tuple[type, ...], what: str) -> None:
    types = types if isinstance(types, tuple) else (types,)
    # To Python, true is a number; and a number may be written without its fraction.
    known = (*types, int) if float in types else types
    if not isinstance(value, known) or (isinstance(value, bool) and bool not in types):
        text = repr(value)
        brief = text if len(text) <= 40 else text[:40] + "…"
        expected = " or ".join(WORDS[one] for one in types)
        raise ValueError(f"{what} is {brief}, expected {expected}")
