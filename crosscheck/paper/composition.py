"""Gradients from a table of equations: the literal recursion, and the contracted one.

Both take any table, so a mistake is a table with one entry replaced. An entry such as
"S5 output" overrides S5 where it speaks of the output layer. Both run on whatever the table's
equations run on; `contracted_numpy` is the same contracted sums written for speed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from crosscheck.paper.equation import Equation, Table

BLOCK_ENTRIES = 1 << 18
"""Largest Jacobian by weights held at once, in entries: it has D n_N n_{l-1} n_l."""


@dataclass(frozen=True)
class Network:
    """The numbers of a network: w^l, b^l for l = 2 … N, inputs a^1, expected outputs, and σ."""

    weights: Sequence[Any]
    biases: Sequence[Any]
    inputs: Any
    expected: Any
    sigma: Callable[[Any], Any]

    @property
    def layers(self) -> int:
        """N."""
        return len(self.weights) + 1


@dataclass(frozen=True)
class Composed:
    """What a composition gives: cost, ∂cost/∂w^l and ∂cost/∂b^l for l = 2 … N, and a^1 … a^N."""

    cost: Any
    weights: list[Any]
    biases: list[Any]
    activations: list[Any]


def look_up(table: Table, identity: str, at_output: bool) -> Equation:
    """The equation `identity`, or what overrides it at the output layer."""
    return table.get(f"{identity} output", table[identity]) if at_output else table[identity]


def forward(table: Table, network: Network) -> list[Any]:
    """a^1 … a^N by N2."""
    activations = [network.inputs]
    for layer in range(2, network.layers + 1):
        symbols = {
            "sigma": network.sigma,
            "w": network.weights[layer - 2],
            "a_previous": activations[-1],
            "b": network.biases[layer - 2],
        }
        activations.append(look_up(table, "N2", layer == network.layers).at(symbols))
    return activations


def symbols_at(network: Network, activations: Sequence[Any], layer: int) -> dict[str, Any]:
    """The paper's symbols as they stand at layer l = `layer`, 2 … N.

    `l`, `network` and `activations` are there for equations that look where they should not.
    """
    symbols: dict[str, Any] = {
        "l": layer,
        "sigma": network.sigma,
        "network": network,
        "activations": activations,
        "w": network.weights[layer - 2],
        "b": network.biases[layer - 2],
        "a": activations[layer - 1],
        "a_previous": activations[layer - 2],
        "a_output": activations[-1],
        "expected": network.expected,
    }
    if layer < network.layers:
        symbols["w_next"] = network.weights[layer - 1]
        symbols["a_next"] = activations[layer]
    return symbols


def literal(table: Table, network: Network) -> Composed:
    """The gradient as the paper goes: ∂a^N/∂a^l from layer to layer by S7, then C2 and C3."""
    activations = forward(table, network)
    weights, biases = [], []
    symbols: dict[str, Any] = {}
    for layer in range(network.layers, 1, -1):
        next_by_activation = symbols.get("by_activation")
        symbols = symbols_at(network, activations, layer)
        symbols["by_activation_next"] = next_by_activation
        _add_jacobians(table, symbols, from_output=network.layers - layer)
        biases.append(table["C2"].at(symbols))
        weights.append(_by_weight(table, symbols, layer == network.layers))
    cost = table["C1"].at(symbols)
    return Composed(cost, weights[::-1], biases[::-1], activations)


def _add_jacobians(table: Table, symbols: dict[str, Any], from_output: int) -> None:
    """∂a^N/∂a^l and ∂a^N/∂b^l into `symbols`, at layer l = N - `from_output`."""
    if from_output == 0:
        symbols["start"] = symbols["by_activation"] = table["U1"].at(symbols)
        symbols["output_by_last_bias"] = look_up(table, "S3", True).at(symbols)
        symbols["output_by_bias"] = table["U3"].at(symbols)
        return
    beside_output = from_output == 1
    if beside_output:
        last = {**symbols, "w": symbols["w_next"], "a": symbols["a_next"]}
        symbols["by_activation"] = look_up(table, "S1", True).at(last)
    else:
        symbols["next_by_activation"] = look_up(table, "S6", False).at(symbols)
        symbols["by_activation"] = table["S7"].at(symbols)
    symbols["next_by_bias"] = look_up(table, "S5", beside_output).at(symbols)
    symbols["output_by_bias"] = table["S8"].at(symbols)


def _by_weight(table: Table, symbols: dict[str, Any], at_output: bool) -> Any:
    """∂cost/∂w^l by C3, in blocks of columns t of w^l so that its Jacobian stays small."""
    w, by_activation = symbols["w"], symbols["by_activation"]
    product, equation = ("U2", "S2") if at_output else ("S9", "S4")
    factor = look_up(table, equation, at_output).at(symbols)
    samples, outputs = symbols["a_output"].shape
    columns = max(1, BLOCK_ENTRIES // (samples * outputs * w.shape[0]))
    gradient = 0 * w
    for begin in range(0, w.shape[1], columns):
        block = slice(begin, begin + columns)
        local = dict(symbols)
        local["start"] = local["by_activation"] = by_activation[:, :, block]
        local["output_by_last_weight"] = local["activation_by_weight"] = (
            factor if factor.shape[2] == 1 else factor[:, :, block]
        )
        local["output_by_weight"] = table[product].at(local)
        gradient[:, block] = table["C3"].at(local)
    return gradient


def contracted(table: Table, network: Network) -> Composed:
    """The same sums with the cost's derivative multiplied in first: δ^l from layer to layer."""
    activations = forward(table, network)
    weights, biases = [], []
    symbols: dict[str, Any] = {}
    for layer in range(network.layers, 1, -1):
        at_output = layer == network.layers
        behind = symbols
        symbols = symbols_at(network, activations, layer)
        symbols["delta_next"] = behind.get("delta")
        symbols["pulled_back_next"] = behind.get("pulled_back")
        symbols["pulled_back"] = table["G1" if at_output else "G4"].at(symbols)
        symbols["delta"] = look_up(table, "G2", at_output).at(symbols)
        weights.append(table["G5"].at(symbols))
        biases.append(table["G6"].at(symbols))
    cost = table["C1"].at(symbols)
    return Composed(cost, weights[::-1], biases[::-1], activations)
