"""A network's cost, and its gradient as people write it, as programs.

The exact gradient is the derivative of the cost's own program. What a right evaluation may be off
by is that of backpropagation: `narrow` where each thing is written in the way that neither
overflows nor loses digits, `wide` where in any of the ways that are right.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from crosscheck.arithmetic.activations import ACTIVATIONS
from crosscheck.arithmetic.compositions import Writer, through_softmax
from crosscheck.arithmetic.costs import COSTS
from crosscheck.arithmetic.promise import Arithmetic
from crosscheck.bounds.records import Bound
from crosscheck.networks.network import Array, Case, Enclosure
from crosscheck.programs import reference
from crosscheck.programs.derive import reverse
from crosscheck.programs.errors import SLACK, Promise, analyse
from crosscheck.programs.evaluate import evaluate
from crosscheck.programs.program import Builder, Program

LEAST_SHARE = 2.0**-9
"""A radius of this share of B, or less, is as good as none; balls are asked where it is more."""

LEAST_RADIUS = 2.0**-1060
"""Below this a radius is float64's own underflow."""

BALL_BITS = (128, 320, 800, 2000)
"""Precisions of the balls, one after the other."""


class Layers:
    """A network that is being written: its inputs, z^l and a^l so far."""

    def __init__(self, case: Case, wide: bool = False) -> None:
        self.build = Builder()
        self.write = Writer(self.build, wide)
        self.case, self.architecture = case, case.architecture

        def given(array: Array) -> int:
            return self.build.input(array.shape, case.dtype)

        self.weights = [given(w) for w in case.weights]
        self.biases = [given(b) for b in case.biases] if self.architecture.with_biases else []
        self.inputs, self.targets = given(case.inputs), given(case.targets)
        self.z: list[int] = []
        self.a = [self.inputs]

    def ones(self, *shape: int) -> int:
        return self.build.constant(np.ones(shape), self.case.dtype)

    def forward(self) -> None:
        """z^l and a^l of layers 2 … N; a^N is z^N where the cost is one of logits."""
        names = list(self.architecture.activations)
        if COSTS[self.architecture.cost].of_logits:
            names[-1] = "identity"
        for k, name in enumerate(names):
            self.z.append(self._affine(k))
            value = ACTIVATIONS[name].value
            assert value is not None
            self.a.append(value(self.write, self.z[-1]))

    def _affine(self, k: int) -> int:
        """a w + b as one sum, in whatever order: the bias is one more row of the weights."""
        a, w = self.a[-1], self.weights[k]
        if self.architecture.with_biases:
            width = self.architecture.widths[k + 1]
            row = self.write("reshape", self.biases[k], shape=(1, width))
            w = self.write("concatenate", w, row, axis=0)
            a = self.write("concatenate", a, self.ones(self.case.samples, 1), axis=1)
        return self.write("dot", a, w)

    @property
    def parameters(self) -> list[int]:
        """In the order of `Architecture.tensor_names`."""
        return self.in_order(self.weights, self.biases)

    def in_order(self, by_weight: Sequence[int], by_bias: Sequence[int]) -> list[int]:
        """Values that belong to the weights and to the biases, in that order."""
        if not self.architecture.with_biases:
            return list(by_weight)
        return [t for pair in zip(by_weight, by_bias, strict=True) for t in pair]

    @property
    def divisor(self) -> float:
        """One over the cost's factor on its sum of terms."""
        exponents = COSTS[self.architecture.cost].exponents
        return float(exponents.divisor(self.case.samples, self.architecture.widths[-1]))

    @property
    def penalized(self) -> list[int]:
        """The parameters in the penalty."""
        if not self.architecture.l2:
            return []
        return self.weights + (self.biases if self.architecture.l2_biases else [])


def cost_program(case: Case) -> Program:
    """The cost as a function of parameters, inputs and targets, each thing in its first way."""
    net = Layers(case)
    net.forward()
    term = COSTS[case.architecture.cost].term
    assert term is not None
    write = net.write
    terms = term(write, net.a[-1], net.targets)
    total = write("div", write("sum", terms, axes=(0, 1)), net.divisor)
    for tensor in net.penalized:
        axes = tuple(range(len(net.build.shape(tensor))))
        squares = write("sum", write("square", tensor), axes=axes)
        total = write("add", total, write.times(squares, case.architecture.l2 / 2))
    return net.build.program([total])


def gradient_program(case: Case, wide: bool) -> Program:
    """The gradients by backpropagation, as `Architecture.tensor_names`."""
    net = Layers(case, wide)
    net.forward()
    write, delta = net.write, _output_delta(net)
    by_weight: list[int] = []
    by_bias: list[int] = []
    for k in range(len(net.weights) - 1, -1, -1):
        before = write("transpose", net.a[k], axes=(1, 0))
        by_weight.insert(0, write("dot", before, delta))
        by_bias.insert(0, write("sum", delta, axes=(0,)))
        if k:
            pulled_back = write("dot", delta, write("transpose", net.weights[k], axes=(1, 0)))
            delta = _times_slope(net, k - 1, pulled_back)
    gradients = net.in_order(by_weight, by_bias)
    return net.build.program(_with_penalty(net, gradients))


def _output_delta(net: Layers) -> int:
    """∂cost/∂z^N, with the cost's factor first: nowhere else does its rounding count for more."""
    cost, write = COSTS[net.architecture.cost], net.write
    assert cost.steepness is not None
    factor = write.literal(1 / net.divisor, net.targets)
    pulled_back = write("mul", cost.steepness(write, net.a[-1], net.targets), factor)
    if cost.of_logits:
        return pulled_back
    return _times_slope(net, len(net.weights) - 1, pulled_back)


def _times_slope(net: Layers, k: int, pulled_back: int) -> int:
    """∂cost/∂z of layer k + 2 from ∂cost/∂a."""
    name, a = net.architecture.activations[k], net.a[k + 1]
    if name == "identity":
        return pulled_back
    if name == "softmax":
        return through_softmax(net.write, a, pulled_back)
    steepness = ACTIVATIONS[name].steepness
    assert steepness is not None
    return net.write("mul", pulled_back, steepness(net.write, net.z[k], a))


def _with_penalty(net: Layers, gradients: list[int]) -> list[int]:
    """λ w added where w is in the penalty."""
    penalized = set(net.penalized)
    return [
        net.write("add", gradient, net.write.times(tensor, net.architecture.l2))
        if tensor in penalized
        else gradient
        for tensor, gradient in zip(net.parameters, gradients, strict=True)
    ]


@dataclass(eq=False)
class NetworkPrograms:
    """A case judged through its programs: the exact gradient, and what rounding may do to it."""

    case: Case

    @cached_property
    def inputs(self) -> list[Array]:
        """In the order of the programs' inputs."""
        biases = self.case.biases if self.case.architecture.with_biases else ()
        arrays = (*self.case.weights, *biases, self.case.inputs, self.case.targets)
        return [array.astype(np.float64) for array in arrays]

    def bound(self, arithmetic: Arithmetic, wide: bool) -> Bound:
        """B for an engine of this arithmetic; `overflow` says that something may pass f_max."""
        program = gradient_program(self.case, wide)
        accumulate = {"dot": arithmetic.accumulate} if arithmetic.accumulate else None
        values = evaluate(program, self.inputs)
        errors = analyse(program, values, Promise(arithmetic.flushes, accumulate))
        flat = np.concatenate(
            [reference.known(errors[x], values[x]).ravel() for x in program.outputs]
        )
        flat = np.where(np.isnan(flat), np.inf, flat * SLACK)
        architecture = self.case.architecture
        known = bool(np.isfinite(flat).all())
        overflow = None if known else SOMETHING
        return Bound(architecture.split(flat), overflow, [0] * len(program.outputs), 1.0)

    def enclosure(self, allowed: Sequence[Array]) -> Enclosure:
        """The exact gradient, in floating point or, where that is too wide for B, in balls."""
        derivative = self._derivative
        inputs = [*self.inputs, np.ones(())]
        exact = reference.enclosed(derivative, inputs)
        if not _is_narrow(exact, allowed) and reference.size(derivative) <= MOST_BALLS:
            for bits in BALL_BITS:
                exact = reference.in_balls(derivative, inputs, bits)
                if _is_narrow(exact, allowed):
                    break
        hi = [np.asarray(x).astype(np.float64) for x in exact.middle[1:]]
        lo = [
            np.asarray(x - h).astype(np.float64) for x, h in zip(exact.middle[1:], hi, strict=True)
        ]
        radius = [np.where(np.isnan(r), np.inf, r) for r in exact.radius[1:]]
        return Enclosure(hi, lo, radius, f"program, {exact.source}", 64)

    @cached_property
    def _derivative(self) -> Program:
        """G: the cost, then its derivative by each parameter."""
        program = cost_program(self.case)
        return reverse(program, self._places)

    @property
    def _places(self) -> list[int]:
        """Where the parameters stand among the inputs, as `Architecture.tensor_names`."""
        layers = self.case.architecture.layers - 1
        if not self.case.architecture.with_biases:
            return list(range(layers))
        return [place for k in range(layers) for place in (k, layers + k)]


MOST_BALLS = 3_000_000
"""Entries of all values of a program that is evaluated in balls: some seconds."""

SOMETHING = "some intermediate"
"""What overflows: programs have no names for their values."""


def _is_narrow(exact: reference.Enclosed, allowed: Sequence[Array]) -> bool:
    """Whether every radius is a small share of what the bound allows."""
    return all(
        bool(np.all(radius <= LEAST_SHARE * most + LEAST_RADIUS))
        for radius, most in zip(exact.radius[1:], allowed, strict=True)
    )
