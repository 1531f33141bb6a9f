"""Whole numbers and ranges of them as people give them: one sentence for what cannot be."""

import operator
from collections.abc import Iterable
from typing import Any

LARGEST = 2**63 - 1
"""The largest whole number that a row holds."""


def whole(name: str, value: Any, least: int = 0, most: int = LARGEST) -> int:
    """The value as an int, NumPy's integers too.

    Raises ValueError for anything else, or what does not lie in least … most.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or type(value).__name__ == "bool_":
        raise ValueError(f"{name}={value!r} must be a whole number")
    if not least <= number <= most:
        upper = f", {least} or more" if number < least else f" up to {most}"
        raise ValueError(f"{name}={number} must be a whole number{upper}")
    return number


def pair(name: str, value: Any, least: int) -> tuple[int, int]:
    """The range (low, high) of a pair, as tuple, list or array, or of one number for both.

    Raises ValueError for anything else, a range that begins below `least`, or an empty one.
    """
    if isinstance(value, str) or not isinstance(value, Iterable):
        number = whole(name, value, least)
        return number, number
    numbers = tuple(value)
    if len(numbers) != 2:
        raise ValueError(f"{name}={value!r} must be a range (low, high)")
    low, high = (whole(name, number, least=-LARGEST) for number in numbers)
    if not least <= low <= high <= LARGEST:
        raise ValueError(f"{name} ({low}, {high}) must be (low, high) with {least} <= low <= high")
    return low, high
