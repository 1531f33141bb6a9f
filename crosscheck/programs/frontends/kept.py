"""Programs that were read before, so that a function is traced once and not at every call.

A kept program says nothing false, for three reasons. It is kept under the fingerprint of all
that the function computes with beside its arguments (closures, globals, attributes), and where
that cannot be told nothing is kept. It is kept only if it holds at all inputs of its shapes. And
it may only confirm: whatever is not CONSISTENT under it is traced anew and judged again, so that
what no fingerprint sees, such as a file, would have to change the gradient while it leaves the
value at these arguments as it was, or else the value's own row shows it.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from crosscheck.programs.program import Program

FUNCTIONS = 64
"""Functions, with their shapes, of which something is kept; the ones used last."""

ENTRIES = 10_000_000
"""Entries of constants in a program that is kept at most."""

_SHELVES: "OrderedDict[Hashable, dict[str, Any]]" = OrderedDict()

T = TypeVar("T")


@dataclass(eq=False)
class KeptPrograms:
    """What was read of one function, by name: `before`, and now; `used` if any of before was."""

    entries: dict[str, Any] = field(default_factory=dict)
    used: bool = False
    before: frozenset[str] = frozenset()

    def get(self, name: str, make: Callable[[], T]) -> T:
        """What is kept under this name, or is made and kept now."""
        if name in self.entries:
            self.used = self.used or name in self.before
        else:
            self.entries[name] = make()
        kept: T = self.entries[name]
        return kept

    def refuse(self) -> None:
        """Keep nothing of this function for the next time."""
        self.entries.clear()
        self.entries = {}

    def program(self, name: str, read: Callable[[], Program]) -> Program:
        """The program of this name; one that was read is kept if it holds everywhere.

        One that does what another does is that other, so that it is evaluated once.
        """
        if name in self.entries:
            self.used = self.used or name in self.before
            kept: Program = self.entries[name]
            return kept
        program = read()
        for other in self.entries.values():
            if isinstance(other, Program) and same(program, other):
                program = other
        if not program.holds and _constants(program) <= ENTRIES:
            self.entries[name] = program
        return program


def of(key: Hashable | None, afresh: bool = False) -> KeptPrograms:
    """What is kept under this key; nothing where there is no key, or all is to be read `afresh`."""
    if key is None:
        return KeptPrograms()
    if afresh or key not in _SHELVES:
        _SHELVES[key] = {}
    _SHELVES.move_to_end(key)
    while len(_SHELVES) > FUNCTIONS:
        _SHELVES.popitem(last=False)
    return KeptPrograms(_SHELVES[key], before=frozenset(_SHELVES[key]))


def forget() -> None:
    """Keep nothing of what was read until now."""
    _SHELVES.clear()


def same(one: Program, other: Program) -> bool:
    """Whether two programs do the same, operation by operation."""
    if (len(one), one.inputs, one.outputs, one.holds) != (
        len(other), other.inputs, other.outputs, other.holds,
    ):  # fmt: skip
        return False
    return all(
        (a.primitive, a.operands, a.shape, a.format) == (b.primitive, b.operands, b.shape, b.format)
        and a.params.keys() == b.params.keys()
        and all(_equal(a.params[name], b.params[name]) for name in a.params)
        for a, b in zip(one.operations, other.operations, strict=True)
    )


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        one, other = np.asarray(one), np.asarray(other)
        bits = one.dtype == other.dtype and one.shape == other.shape
        return bits and one.tobytes() == other.tobytes()
    return bool(one == other)


def _constants(program: Program) -> int:
    return sum(
        value.size
        for operation in program.operations
        for value in operation.params.values()
        if isinstance(value, np.ndarray)
    )
