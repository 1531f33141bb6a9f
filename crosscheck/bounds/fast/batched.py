"""The float64 gradients and contracted bounds of many networks at once: `bound`, side by side.

On small networks a call costs more than its arithmetic. So the arrays of many networks lie end to
end, and every rule that goes entry by entry is applied to all of them in one call; only products
of matrices are formed one by one, on the networks' own shapes. No number of a network depends on
its neighbours.

Levels are counted from the output, j = 0 … : the networks, the deepest first, have their layer
N - j there, if they have so many. Biases are one more row of the weights, and activations have a
column of ones for it.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from crosscheck.arithmetic import rounding_rules
from crosscheck.arithmetic.activation_rules import growth_of
from crosscheck.arithmetic.activations import ACTIVATIONS
from crosscheck.arithmetic.costs import COSTS
from crosscheck.arithmetic.rounding_rules import Rules, Uncertain
from crosscheck.bounds import float64
from crosscheck.bounds.fast.batched_rules import Entries, Shapes, add_negligible, rounding_of
from crosscheck.bounds.records import Bound, GradientBounds
from crosscheck.networks.network import Array, Case


def supports(case: Case) -> bool:
    """Whether no activation has a kink, which a bound would have to count network by network."""
    names = {case.architecture.hidden, case.architecture.output}
    return not any(ACTIVATIONS[name].kinks for name in names)


def evaluate(cases: Sequence[Case], rules: Sequence[Rules]) -> list[GradientBounds | None]:
    """The gradients of these cases and their bounds by each of the rules, as `bound.by_rules`.

    The cases have one dtype, the same activations and one cost. None where a quantity
    may overflow, or errors are so large that magnitudes need more room: those are for `bound`.
    """
    order = sorted(range(len(cases)), key=lambda i: -cases[i].architecture.layers)
    limits: list[GradientBounds | None] = [None] * len(cases)
    with np.errstate(all="ignore"):
        for place, one in zip(order, Pass([cases[i] for i in order], rules).run(), strict=True):
            limits[place] = one
    return limits


class Level:
    """One layer of each network that has so many; `inner` and `outer` are what it takes and gives.

    Each network has its number of `samples`, of `inputs` and of `outputs`, without the ones;
    `heaviest` is the largest magnitude among its weights and biases. `first` says whose first
    layer it is.
    """

    def __init__(self, cases: Sequence[Case], j: int) -> None:
        self.cases, self.output = cases, j == 0
        widths = [case.architecture.weight_shapes[-1 - j] for case in cases]
        self.first = [case.architecture.layers - 2 == j for case in cases]
        self.layers = [case.architecture.layers - j for case in cases]
        samples = [len(case.inputs) for case in cases]
        self.samples = np.array(samples)
        self.inputs, self.outputs = np.array(widths).T
        self.inner = Shapes([(d, n + 1) for d, (n, _) in zip(samples, widths, strict=True)])
        self.outer = Shapes([(d, m) for d, (_, m) in zip(samples, widths, strict=True)])
        self.block = Shapes([(n + 1, m) for n, m in widths])
        parts: list[Array] = []
        for case in cases:
            parts += [case.weights[-1 - j].ravel(), case.biases[-1 - j]]
        theta = np.concatenate(parts).astype(np.float64)
        sizes = np.abs(theta)
        self.theta, self.sizes = self.block.views(theta), self.block.views(sizes)
        self.heaviest = self.block.most(sizes[None])

    @property
    def name(self) -> str:
        """The activation of this layer."""
        architecture = self.cases[0].architecture
        return architecture.output if self.output else architecture.hidden


class Taken(NamedTuple):
    """What a level takes, with a column of ones: end to end, of each network, and size + E."""

    whole: Entries
    each: list[Entries]
    most: Array

    @classmethod
    def of(cls, level: Level, below: Sequence[Entries], count: int) -> "Taken":
        """Inputs, for networks whose first layer this is, and what the others' layer below gives.

        By so many rules.
        """
        both = count, level.inner.total
        whole = Entries(np.ones(level.inner.total), np.ones(both), np.zeros(both))
        each = level.inner.each(whole)
        for i, (case, (value, size, error)) in enumerate(zip(level.cases, each, strict=True)):
            if level.first[i]:
                value[:, :-1] = case.inputs
                size[..., :-1] = np.abs(value[:, :-1])
            else:
                value[:, :-1], size[..., :-1], error[..., :-1] = below[i]
        return cls(whole, each, whole.size + whole.error)


class Passed(NamedTuple):
    """What a level takes and gives on the way there, and σ′, None where it is linear."""

    taken: Taken
    given: Entries
    slope: Array | None
    slope_known: Uncertain | None


class Pass:
    """One pass over networks in the order of their depth, the deepest first."""

    def __init__(self, cases: Sequence[Case], rules: Sequence[Rules]) -> None:
        self.cases, self.rounding, self.count = cases, rounding_of(tuple(rules)), len(rules)
        self.depths = [case.architecture.layers - 1 for case in cases]
        self.levels = [
            Level([c for c, d in zip(cases, self.depths, strict=True) if d > j], j)
            for j in range(self.depths[0])
        ]
        self.growth, self.doubtful = np.ones(len(cases)), np.zeros(len(cases), bool)
        self.narrow = cases[0].dtype != "float64"
        self.least: list[dict[str, float]] = [{} for _ in cases]
        self.scale = np.array([float64.cost_scale(case) for case in cases])
        self.unscaled = np.maximum(1.0, 1 / self.scale)
        flat = self.rounding.flat
        self.largest = float(np.min(flat.largest))
        self.safe = self.rounding.together.safe / self.unscaled

    def run(self) -> Iterator[GradientBounds | None]:
        """What was found of each network, in the order of the pass."""
        passes: list[Passed] = []
        below: list[Entries] = []
        for level in reversed(self.levels):
            passes.insert(0, self._forward(level, Taken.of(level, below, self.count)))
            below = level.outer.each(passes[0].given)
        pulled_back = self._residual(self.levels[0], passes[0].given)
        gradients: list[list[Array]] = []
        for level, passed, under in zip(self.levels, passes, [*self.levels[1:], None], strict=True):
            delta = self._times_slope(pulled_back, passed)
            gradients.append(self._gradients(level, passed.taken, delta))
            if under:
                pulled_back = self._pull_back(level, under, delta)
        allowance = self.rounding.together.allowance
        for i, (case, depth) in enumerate(zip(self.cases, self.depths, strict=True)):
            certain = not self.doubtful[i] and self.growth[i] <= allowance
            mine = [gradients[j][i] for j in range(depth - 1, -1, -1)]
            yield self._limits(case, np.concatenate(mine, axis=1), i) if certain else None

    def _limits(self, case: Case, rows: Array, i: int) -> GradientBounds:
        """`rows` are the values of all tensors, and E by each rule."""
        rows[1:] *= rounding_rules.EVALUATION_SLACK
        kinks = [0] * len(case.architecture.tensor_names)
        growth = float(self.growth[i])
        gradient, *errors = map(case.architecture.split, rows)
        bounds = [Bound(of, None, kinks, growth) for of in errors]
        return GradientBounds(gradient, bounds, self.least[i])

    def _watch(self, level: Level, shapes: Shapes, error: Array, names: Sequence[str]) -> Array:
        """Mark the networks where something may overflow; the largest E of each.

        The least is noted by these names, behind which each network's own layer stands; float64
        alone has a reference that asks for it.
        """
        most = shapes.most(error)
        self.doubtful[: len(most)] |= ~(most < self.safe[: len(most)])
        if self.narrow:
            return most
        least = shapes.least(error)
        for noted, of, layer in zip(self.least, least.tolist(), level.layers, strict=False):
            for name in names:
                noted[f"{name}{layer}"] = of
        return most

    def _forward(self, level: Level, taken: Taken) -> Passed:
        z, error = np.empty(level.outer.total), np.empty((self.count, level.outer.total))
        terms = level.inputs + 1
        before, _ = self.rounding.before(level.inner, terms, taken.whole)
        products = zip(
            level.inner.views(before), level.outer.views(z), level.outer.views(error), strict=True
        )
        for i, (of_before, of_z, of_error) in enumerate(products):
            taken.each[i].value.dot(level.theta[i], of_z)
            np.matmul(of_before, level.sizes[i], out=of_error)
        self.rounding.rounded(level.outer, terms, error, z)
        self.rounding.add_flushed(
            error,
            level.outer,
            level.inputs,
            level.inner.most(taken.most) + level.heaviest,
            lambda place, i: level.inner.view(taken.most[place], i)[:, :-1].sum(1),
            lambda place, i: level.sizes[i][:-1].sum(0),
        )
        most = self._watch(level, level.outer, error, ["z"])
        activation = ACTIVATIONS[level.name]
        self.growth[: len(most)] *= growth_of(activation.concave, most)
        a, slope = activation.evaluate(z)
        layer = activation.rule(self.rounding.flat, z, error, a, slope)
        given = Entries(a, np.broadcast_to(layer.size, error.shape), layer.error)
        return Passed(taken, given, slope, layer.slope)

    def _residual(self, level: Level, outputs: Entries) -> Entries:
        """∂cost/∂a^N."""
        cost, a = COSTS[self.cases[0].architecture.cost], outputs.value
        targets = np.concatenate([case.targets.ravel() for case in self.cases]).astype(np.float64)
        scale = level.outer.spread(self.scale)
        widths = level.outer.spread(level.outputs)
        terms = cost.most(np.abs(a - targets), outputs.error)
        costs = np.add.reduceat(terms, level.outer.starts, axis=-1).max(0)
        self.doubtful |= ~(costs * np.maximum(1.0, self.scale) < self.largest)
        error = cost.rule(self.rounding.flat, a, outputs.error, targets, scale, widths)
        return self.rounding.entries(scale * cost.slope(a, targets), error)

    def _times_slope(self, pulled_back: Entries, passed: Passed) -> Entries:
        """δ from ∂cost/∂a."""
        if passed.slope is None or passed.slope_known is None:
            return pulled_back
        error = self.rounding.flat.hadamard(pulled_back.known, passed.slope_known)
        return self.rounding.entries(pulled_back.value * passed.slope, error)

    def _gradients(self, level: Level, taken: Taken, delta: Entries) -> list[Array]:
        """For each network the gradients of weights and biases, (1 + V, entries): values and E."""
        both = np.empty((1 + self.count, level.block.total))
        value, error = both[0], both[1:]
        before, of_error = self.rounding.before(level.outer, level.samples, delta)
        most = delta.known.most
        parts = (delta.value, before, of_error * most)
        operands = zip(*(level.outer.views(part) for part in parts), strict=True)
        products = zip(level.block.views(value), level.block.views(error), strict=True)
        for i, ((of_value, mine), (deltas, scaled, weighted)) in enumerate(
            zip(products, operands, strict=True)
        ):
            a, size, of_a = taken.each[i]
            a.T.dot(deltas, of_value)
            np.matmul(size.swapaxes(-1, -2), scaled, out=mine)
            if not level.first[i]:
                mine += of_a.swapaxes(-1, -2) @ weighted
        self.rounding.rounded(level.block, level.samples, error, value)
        largest = level.outer.most(most)
        self.rounding.add_flushed(
            error,
            level.block,
            level.samples,
            level.inner.most(taken.most) + largest,
            lambda place, i: level.inner.view(taken.most[place], i).sum(0),
            lambda place, i: level.outer.view(most[place], i).sum(0),
        )
        self._add_underflow(level, error, most, largest)
        self._watch(level, level.block, error, ["gradient of w", "gradient of b"])
        return [part.reshape(1 + self.count, -1) for part in level.block.views(both)]

    def _add_underflow(self, level: Level, error: Array, most: Array, largest: Array) -> None:
        """What underflows where a mean scales the activations first: η for each sample's δ."""
        unscaled = self.unscaled[: len(largest)]
        for of, deltas, eta in zip(error, most, self.rounding.flat.eta.ravel(), strict=True):
            for i in add_negligible(of, level.block, eta * unscaled * level.samples * largest):
                sums = level.outer.view(deltas, i).sum(0)
                level.block.view(of, i)[:-1] += eta * unscaled[i] * sums

    def _pull_back(self, level: Level, under: Level, delta: Entries) -> Entries:
        """∂cost/∂a of the layer below, of the networks that have one."""
        value, error = np.empty(under.outer.total), np.empty((self.count, under.outer.total))
        before, _ = self.rounding.before(level.outer, level.outputs, delta)
        operands = zip(level.outer.views(delta.value), level.outer.views(before), strict=True)
        products = zip(under.outer.views(value), under.outer.views(error), operands, strict=False)
        for i, (of_value, of_error, (deltas, scaled)) in enumerate(products):
            deltas.dot(level.theta[i][:-1].T, of_value)
            np.matmul(scaled, level.sizes[i][:-1].T, out=of_error)
        here = slice(len(under.cases))
        self.rounding.rounded(under.outer, level.outputs[here], error, value)
        most = delta.known.most
        self.rounding.add_flushed(
            error,
            under.outer,
            level.outputs[here],
            (level.outer.most(most) + level.heaviest)[here],
            lambda place, i: level.outer.view(most[place], i).sum(1),
            lambda place, i: level.sizes[i][:-1].sum(1),
        )
        self._watch(under, under.outer, error, ["gradient of a"])
        return self.rounding.entries(value, error)
