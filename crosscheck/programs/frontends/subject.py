"""What is on trial: a function with its arguments, as a framework's front end sees it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from crosscheck.arithmetic.primitives.row import Array, Shape
from crosscheck.programs.errors import Promise
from crosscheck.programs.frontends.kept import KeptPrograms
from crosscheck.programs.program import Program


class Leaf(NamedTuple):
    """A floating array among the arguments or results: its path, its shape, its format."""

    path: str
    shape: Shape
    format: str


class Numbers(NamedTuple):
    """What an engine computed: the leaves of the value, then of the gradients or tangents.

    NumPy arrays in the engine's own format (bfloat16 as ml_dtypes has it), copied at once.
    """

    values: tuple[Array, ...]
    derivatives: tuple[Array, ...]


@dataclass(frozen=True, eq=False)
class CustomRule:
    """One derivative rule that somebody wrote, by itself: a custom_vjp, an autograd.Function.

    `primal` is what it computes, `rule` what it says the derivative is (inputs, then a cotangent
    for each output; outputs, then a gradient for each input), `inputs` the operands it had in
    this call, as arrays; `source` is where it was called, or else written, as file:line,
    and `written` where the rule itself stands, where that is known.
    """

    name: str
    source: str
    primal: Program
    rule: Program
    inputs: tuple[Array, ...]
    mode: str = "reverse"
    written: str = ""


class Subject(Protocol):
    """A function and its arguments, in one framework.

    `inputs` are all floating leaves of the arguments, in the order of the programs' inputs;
    `wrt` the places of those that are differentiated; `outputs` the floating leaves of the
    value; `arrays` the inputs as NumPy arrays in their own formats; `modes` the ways in which
    the framework differentiates that apply here, the first the plainest; `habits` those of them
    that are ways of use rather than of differentiation. `kept` is what was read of the same
    function before: programs come from there if they are there.
    """

    framework: str
    name: str
    inputs: Sequence[Leaf]
    outputs: Sequence[Leaf]
    arrays: Sequence[Array]
    wrt: Sequence[int]
    modes: Sequence[str]
    habits: Sequence[str]
    kept: KeptPrograms

    def primal(self) -> Program:
        """P: `inputs` to `outputs`, custom derivative rules dropped.

        Raises Unreadable with the operation, its line, and what to do instead.
        """
        ...

    def rule(self, mode: str) -> Program:
        """Q: the framework's own gradient program, custom rules included.

        Inputs are `inputs`, then a cotangent for each output (a tangent for each place in `wrt`
        in forward modes); outputs are the values, then a derivative for each place in `wrt` (for
        each output in forward modes). Raises Unreadable.
        """
        ...

    def numbers(self, mode: str, given: Sequence[Array]) -> Numbers:
        """What the framework computes, with these cotangents (or tangents).

        What the function raises is raised as it is.
        """
        ...

    def replay(self, mode: str, given: Sequence[Array]) -> Mapping[int, Array]:
        """The framework's own value of values of `rule(mode)`, by number.

        Each is made by the framework's own operation from the framework's own operands, so that
        every operation can be held to its bound by itself. Empty where it cannot be had.
        """
        ...

    def custom_rules(self) -> Sequence[CustomRule]:
        """The rules that somebody wrote, one by one, in the order in which they are called."""
        ...

    def promise(self, mode: str) -> Promise:
        """How the framework computes here: whether it flushes subnormals, and what it sums in."""
        ...
