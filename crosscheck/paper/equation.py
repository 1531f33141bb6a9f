"""What an equation is: a function with an id, registered by one decorator."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Symbols = Mapping[str, Any]


@dataclass(frozen=True)
class LeftSide:
    """What a left side is, for whoever computes it otherwise: `of`, derived `by`, at a layer.

    `of` is "z", "a", "sigma" (σ of z), "next" (a^{λ+1}), "output" (a^N) or "cost"; `by` is "w",
    "b", "a", "previous" (a^{λ-1}), or empty where nothing is derived. λ, the layer at which the
    symbols stand, is what `at` says: "l" or "l+1" for every printed l, "N", "N-1", or empty for
    an equation that speaks of no layer. `diagonal`: of a neuron by its own parameters alone.
    """

    of: str
    by: str = ""
    at: str = "l"
    diagonal: bool = False


@dataclass(frozen=True)
class Equation:
    """One equation: `function` evaluates `right`, and `right` is LaTeX, as is `left`.

    `symbols` are the names of the function's parameters: a composition supplies each from
    what it knows at a layer, so an equation can be replaced by another that needs others.
    `defined_for` says for which layers it speaks; `subject` what the left side is, if that can
    be computed without the equation.
    """

    id: str
    left: str
    right: str
    defined_for: str
    function: Callable[..., Any]
    symbols: tuple[str, ...]
    subject: LeftSide | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    def at(self, symbols: Symbols) -> Any:
        """Evaluate with the symbols that this equation needs, taken from all there are."""
        return self.function(*[symbols[name] for name in self.symbols])

    @property
    def summary(self) -> str:
        """The first line of the docstring: the formula in plain text."""
        return (self.function.__doc__ or "").strip().split("\n")[0]


Table = Mapping[str, Equation]
Registrar = Callable[[Callable[..., Any]], Equation]


def registrar(table: dict[str, Equation]) -> Callable[..., Registrar]:
    """A decorator `equation(id, left, right, defined_for, subject)` that fills `table`.

    Raises ValueError where an id is registered twice.
    """

    def equation(
        identity: str,
        left: str,
        right: str,
        defined_for: str,
        subject: LeftSide | None = None,
    ) -> Registrar:
        def register(function: Callable[..., Any]) -> Equation:
            if identity in table:
                raise ValueError(f"equation {identity} is registered twice")
            symbols = tuple(inspect.signature(function).parameters)
            table[identity] = Equation(
                identity, left, right, defined_for, function, symbols, subject
            )
            return table[identity]

        return register

    return equation
