"""Where in a network a mistake is made: at which layers l an equation is the wrong one."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from crosscheck.faults.catalogue.fault import (
    Fault,
    Needs,
    Parameters,
    Setting,
    Tensors,
    interleaved,
)
from crosscheck.faults.catalogue.right import equation
from crosscheck.paper.equation import Equation, Symbols

PLACES: Mapping[str, Callable[[int], Collection[int]]] = {
    "at every layer": lambda N: range(2, N + 1),
    "at the output": lambda N: (N,),
    "at every layer but the last": lambda N: range(2, N),
    "at the first hidden layer": lambda N: range(2, min(3, N)),
    "at the last hidden layer": lambda N: range(max(2, N - 1), N),
    "at every layer but the first": lambda N: range(3, N + 1),
}
"""Names of places, and the layers l = 2 … N that they are in a network of N layers."""

EVERYWHERE = tuple(PLACES)
HIDDEN = ("at every layer but the last", "at the first hidden layer", "at the last hidden layer")
ONCE = ("at every layer",)


@dataclass(frozen=True)
class Placed:
    """An equation of the table that is `mistaken` at some layers and `correct` at the others."""

    mistaken: Equation
    correct: Equation
    layers: Collection[int]

    def at(self, symbols: Symbols) -> Any:
        """Evaluate whichever stands at layer l."""
        return (self.mistaken if symbols["l"] in self.layers else self.correct).at(symbols)


def replaced(
    setting: Setting, identity: str, wrong: Callable[..., Any], place: str = "at every layer"
) -> dict[str, Any]:
    """The entries of the table under which `identity` is the function `wrong` at the place."""
    layers = PLACES[place](setting.architecture.layers)
    mistaken = equation(identity, wrong)
    names = [name for name in (identity, f"{identity} output") if name in setting.table]
    return {name: Placed(mistaken, setting.table[name], layers) for name in names}


def composed(setting: Setting, edits: Mapping[str, Any]) -> Tensors:
    """The tensors of the gradient with these entries in the table."""
    return interleaved(setting.compose(edits))


def misprint(
    identity: str,
    entry: str,
    wrong: Callable[..., Any],
    sentence: str,
    places: tuple[str, ...] = EVERYWHERE,
    family: str = "structure",
    needs: Needs | None = None,
    **more: Any,
) -> Fault:
    """A fault that is one wrong entry of the table, at each of some places."""

    def compute(setting: Setting, parameters: Parameters) -> Tensors:
        return composed(setting, replaced(setting, entry, wrong, parameters["place"]))

    variants = tuple({"place": place} for place in places)
    least = Needs() if needs is None else needs
    return Fault(identity, family, sentence, compute, variants=variants, needs=least, **more)
