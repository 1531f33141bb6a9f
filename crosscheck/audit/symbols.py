"""What an equation on trial is made of: its symbols at a layer, exact but for being stored.

An equation answers only for itself: ∂a^N/∂a^{l+1} in S8 is the exact one, rounded to the format,
not what S7 would give.
"""

from collections.abc import Callable, Mapping

import numpy as np

from crosscheck.audit.left_sides import EnclosedSide
from crosscheck.bounds.error_array import Computed, sigma_on
from crosscheck.engines.paper import sigma
from crosscheck.networks.network import Array, Case
from crosscheck.paper.equation import Equation


class Undefined(Exception):
    """An index runs past the net: the equation says nothing at this layer."""


class Ingredients:
    """The symbols of one case: `at(equation, layer)` gives those that it needs at λ = `layer`."""

    def __init__(self, case: Case, facts: Mapping[str, EnclosedSide]) -> None:
        self.case, self.facts = case, facts
        self.layers = case.architecture.layers

    def at(self, equation: Equation, layer: int) -> dict[str, object]:
        """The symbols of the equation at a layer.

        Raises Undefined where one has an index past the net, ValueError for a symbol that has no
        meaning here.
        """
        unknown = [name for name in equation.symbols if name not in SYMBOLS]
        if unknown:
            raise ValueError(f"equation {equation.id} needs {unknown[0]!r}, which no trial knows")
        return {name: SYMBOLS[name](self, layer) for name in equation.symbols}

    def fact(self, key: str, diagonal: bool = False) -> Computed:
        """An exact quantity, stored."""
        if key not in self.facts:
            raise Undefined(key)
        exact = self.facts[key].diagonal if diagonal else self.facts[key]
        return Computed(*exact.stored(self.case.format), self.case.format)

    def weight(self, layer: int) -> Computed:
        return self._given(self.case.weights, layer)

    def bias(self, layer: int) -> Computed:
        return self._given(self.case.biases, layer)

    def _given(self, parameters: tuple[Array, ...], layer: int) -> Computed:
        if not 2 <= layer <= self.layers:
            raise Undefined(f"layer {layer}")
        return Computed.exact(parameters[layer - 2], self.case.format)

    def expected(self) -> Computed:
        return Computed.exact(self.case.targets, self.case.format)

    def sigma_of_f(self, layer: int) -> Computed:
        """σ(f(x)) for each x_i: (D, n_l, n_{l-1}), with f = z^l and x = a^{l-1}."""
        s = self.fact(f"s{layer}")
        shape = (*s.shape, self.case.architecture.widths[layer - 2])
        value, error = (np.broadcast_to(part[:, :, None], shape) for part in (s.value, s.error))
        return Computed(value, error, self.case.format)

    def f_by_x(self, layer: int) -> Computed:
        """∂z^l/∂a^{l-1} = w^l, for every sample."""
        w = self.weight(layer).T
        shape = (self.case.samples, *w.shape)
        return Computed.exact(np.broadcast_to(w.value, shape), self.case.format)


SYMBOLS: Mapping[str, Callable[[Ingredients, int], object]] = {
    "sigma": lambda of, l: sigma_on(sigma),
    "w": lambda of, l: of.weight(l),
    "w_next": lambda of, l: of.weight(l + 1),
    "b": lambda of, l: of.bias(l),
    "a": lambda of, l: of.fact(f"a{l}"),
    "a_previous": lambda of, l: of.fact(f"a{l - 1}"),
    "a_next": lambda of, l: of.fact(f"a{l + 1}"),
    "a_output": lambda of, l: of.fact(f"a{of.layers}"),
    "expected": lambda of, l: of.expected(),
    "start": lambda of, l: of.fact(f"a{of.layers}/a{of.layers}"),
    "by_activation": lambda of, l: of.fact(f"a{of.layers}/a{l}"),
    "by_activation_next": lambda of, l: of.fact(f"a{of.layers}/a{l + 1}"),
    "next_by_activation": lambda of, l: of.fact(f"a{l + 1}/a{l}"),
    "next_by_bias": lambda of, l: of.fact(f"a{l + 1}/b{l}"),
    "activation_by_weight": lambda of, l: of.fact(f"a{l}/w{l}", diagonal=True),
    "output_by_bias": lambda of, l: of.fact(f"a{of.layers}/b{l}"),
    "output_by_weight": lambda of, l: of.fact(f"a{of.layers}/w{l}"),
    "output_by_last_weight": lambda of, l: of.fact(f"a{of.layers}/w{of.layers}", diagonal=True),
    "output_by_last_bias": lambda of, l: of.fact(f"a{of.layers}/b{of.layers}", diagonal=True),
    "sigma_of_f": lambda of, l: of.sigma_of_f(l),
    "f_by_x": lambda of, l: of.f_by_x(l),
}
"""Each symbol that an equation may name, at layer λ."""
