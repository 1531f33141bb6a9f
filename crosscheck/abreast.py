"""The float64 gradients and contracted bounds of many networks at once: `bound`, side by side.

On small networks a call costs more than its arithmetic. So the arrays of many networks lie end to
end, and every rule that goes entry by entry is applied to all of them in one call; only products
of matrices are formed one by one, on the networks' own shapes. No number of a network depends on
its neighbours.

Levels are counted from the output, j = 0 … : the networks, the deepest first, have their layer
N - j there, if they have so many. Biases are one more row of the weights, and activations have a
column of ones for it.
"""

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from crosscheck import activation_rules, reference, rounding_rules
from crosscheck.evaluation import Bound
from crosscheck.rounding_rules import Rules, Together, Uncertain
from crosscheck.values import Array, Case, Tensors

SUPPORTED = ("sigmoid", "tanh", "identity")
"""Activations without kinks, which a bound would have to count network by network."""


class Found(NamedTuple):
    """A network's float64 gradient, as `Architecture.tensor_names`, and a bound for each rule.

    `least` is as in `bound.by_rules`: the least E by any of the rules, in float64.
    """

    gradient: Tensors
    bounds: list[Bound]
    least: dict[str, float]


def supports(case: Case) -> bool:
    """Whether the case's activations are among those that are treated here."""
    return {case.architecture.hidden, case.architecture.output} <= set(SUPPORTED)


def evaluate(cases: Sequence[Case], rules: Sequence[Rules]) -> list[Found | None]:
    """The gradients of these cases and their bounds by each of the rules, as `bound.by_rules`.

    The cases have one dtype and the same activations. None where a quantity may overflow, or
    where errors are so large that magnitudes need more room: those are for `bound` alone.
    """
    order = sorted(range(len(cases)), key=lambda i: -cases[i].architecture.layers)
    found: list[Found | None] = [None] * len(cases)
    with np.errstate(all="ignore"):
        for place, one in zip(order, Pass([cases[i] for i in order], rules).run(), strict=True):
            found[place] = one
    return found


class Shapes:
    """Matrices of these shapes, end to end in one vector."""

    def __init__(self, shapes: Sequence[tuple[int, int]]) -> None:
        self.sizes = np.array([rows * columns for rows, columns in shapes])
        ends = self.sizes.cumsum()
        self.starts, self.total = ends - self.sizes, int(ends[-1])
        self._spans = list(zip(self.starts.tolist(), ends.tolist(), shapes, strict=True))

    def views(self, flat: Array) -> list[Array]:
        """The matrices, behind the leading axes of `flat`."""
        if flat.ndim == 1:
            return [flat[start:end].reshape(shape) for start, end, shape in self._spans]
        lead = flat.shape[:-1]
        return [flat[..., start:end].reshape(lead + shape) for start, end, shape in self._spans]

    def view(self, flat: Array, i: int) -> Array:
        """One of them."""
        start, end, shape = self._spans[i]
        return flat[..., start:end].reshape(flat.shape[:-1] + shape)

    def spread(self, values: Any) -> Array:
        """A number of each matrix, along the last axis, at each of its entries."""
        return np.repeat(values, self.sizes, axis=-1)

    def most(self, flat: Array) -> Array:
        """The largest entry of each matrix, in any row of `flat`."""
        most: Array = np.maximum.reduceat(flat.max(0), self.starts)
        return most

    def least(self, flat: Array) -> Array:
        """The smallest entry of each matrix, in any row of `flat`."""
        least: Array = np.minimum.reduceat(flat.min(0), self.starts)
        return least


class Level:
    """One layer of each network that has so many; `inner` and `outer` are what it takes and gives.

    `a` holds the values that are taken. `known` (2, V, total) holds magnitudes and E by each of
    V rules, of what is taken, `most` (V, total) their sum; `given` is `known` of what is given.
    Each network has its number of `samples`, of `inputs` and of `outputs`, without the ones;
    `heaviest` is the largest magnitude among its weights and biases.
    """

    slope: Array | None
    slope_known: Uncertain | None
    activation: Array
    errors: Array
    given: Array
    most: Array

    def __init__(self, cases: Sequence[Case], j: int, rules: int) -> None:
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
        self.a = self.inner.views(np.ones(self.inner.total))
        self._known = np.zeros((2, rules, self.inner.total))
        self._known[0] = 1.0
        self.known = self.inner.views(self._known)

    @property
    def name(self) -> str:
        """The activation of this layer."""
        architecture = self.cases[0].architecture
        return architecture.output if self.output else architecture.hidden

    def take(self, below: "Level | None") -> None:
        """Inputs, for networks whose first layer this is, and activations of the layer below."""
        values = below.outer.views(below.activation) if below else []
        known = below.outer.views(below.given) if below else []
        for i, case in enumerate(self.cases):
            if self.first[i]:
                self.a[i][:, :-1] = case.inputs
                self.known[i][0, ..., :-1] = np.abs(self.a[i][:, :-1])
            else:
                self.a[i][:, :-1] = values[i]
                self.known[i][..., :-1] = known[i]
        self.most = self._known[0] + self._known[1]


Sums = Callable[[int, int], Array]
"""The places of a rule and of a network to a vector of sums."""

NEGLIGIBLE = 2.0**-40
"""A share of E: what stays below it is added by its largest value, not entry by entry."""


class Rounding:
    """The rules, for arrays (V, total), of which each matrix has its own number of terms."""

    def __init__(self, rules: Sequence[Rules]) -> None:
        if any(type(of) is not Rules for of in rules):
            raise ValueError("rules of another kind add to products: they are for `bound` alone")
        self.together = Together(rules)
        self.flat = copy(self.together)
        for name, value in vars(self.together).items():
            if isinstance(value, np.ndarray):
                setattr(self.flat, name, value.reshape(-1, 1))
        self.flushing = [place for place, of in enumerate(rules) if of.tau]
        self.summing = all(of.u > 0 for of in rules)
        self._factors = {name: np.full((len(rules), 1), np.nan) for name in FACTORS}

    def before(self, shapes: Shapes, terms: Array, known: Array) -> tuple[Array, Array]:
        """`Factors.before` of operands (2, V, total), and the factor of their errors."""
        error = self._spread(shapes, terms, "error")
        scaled = error * known[1]
        scaled += known[0] if self.summing else self._spread(shapes, terms, "size") * known[0]
        return scaled, error

    def rounded(self, shapes: Shapes, terms: Array, error: Array, value: Array) -> None:
        """E of sums of so many terms, from what their operands give; as in `Rules`."""
        error *= self._spread(shapes, terms, "scale")
        error += self._spread(shapes, terms, "value") * np.abs(value)
        error += self._spread(shapes, terms, "underflow")

    def _spread(self, shapes: Shapes, terms: Array, name: str) -> Array:
        """A factor at each entry, (V, total), or (1, total) where the rules have it in common."""
        factors = self._factors
        known = factors[name][0]
        if terms.max() >= len(known) or np.isnan(known[terms]).any():
            factors = self._factors = self._with(factors, terms)
        factor = factors[name][:, terms]
        return shapes.spread(factor[:1] if (factor == factor[0]).all() else factor)

    def _with(self, known: dict[str, Array], terms: Array) -> dict[str, Array]:
        """What is known, and the rules' factors of sums of so many terms.

        Other threads may be reading what is known, so it is left as it is.
        """
        missing = max(0, int(terms.max()) + 1 - known["scale"].shape[1])
        found = {
            name: np.pad(of, ((0, 0), (0, missing)), constant_values=np.nan)
            for name, of in known.items()
        }
        for n in np.unique(terms).tolist():
            rule, factors = self.together.sum_of(n), self.together.factors_of(n)
            for name, of in found.items():
                of[:, n] = np.ravel(getattr(rule if name in SUMMED else factors, name))
        return found

    def add_flushed(
        self, error: Array, shapes: Shapes, terms: Array, largest: Array, rows: Sums, columns: Sums
    ) -> None:
        """The rule of `Rules` for operands that are flushed, of all products in one call.

        `rows` and `columns` give the sums along each product's operands, of whose entries no two
        add up to more than `largest` of each network.
        """
        for place in self.flushing:
            tau = self.together.members[place].tau
            for i in add_negligible(error[place], shapes, tau * terms * (largest + tau)):
                flushed = rows(place, i)[:, None] + columns(place, i) + tau * terms[i]
                shapes.view(error[place], i)[:] += tau * flushed

    def stack(self, value: Array, error: Array) -> Array:
        """Magnitudes and E of what has this float64 value."""
        both = np.empty((2, *error.shape))
        np.multiply(self.flat.evaluation, error, out=both[0])
        both[0] += np.abs(value)
        both[1] = error
        return both


SUMMED = ("value", "underflow")
FACTORS = ("size", "error", "scale", *SUMMED)
"""What sums are made of: by `rounding_rules.Sum`, and by `rounding_rules.Factors`."""


def add_negligible(error: Array, shapes: Shapes, most: Array) -> list[int]:
    """Add `most` of each network to all entries of its E, where it is negligible.

    The places of the others, to which nothing is added.
    """
    small = most <= NEGLIGIBLE * shapes.least(error[None])
    error += shapes.spread(np.where(small, most, 0.0))
    left: list[int] = np.flatnonzero(~small).tolist()
    return left


@lru_cache
def _rounding(rules: tuple[Rules, ...]) -> Rounding:
    """The rules side by side, with the factors of sums that they have been asked for."""
    return Rounding(rules)


class Pass:
    """One pass over networks in the order of their depth, the deepest first."""

    def __init__(self, cases: Sequence[Case], rules: Sequence[Rules]) -> None:
        self.cases, self.rounding, self.count = cases, _rounding(tuple(rules)), len(rules)
        self.depths = [case.architecture.layers - 1 for case in cases]
        self.levels = [
            Level([c for c, d in zip(cases, self.depths, strict=True) if d > j], j, self.count)
            for j in range(self.depths[0])
        ]
        self.growth, self.doubtful = np.ones(len(cases)), np.zeros(len(cases), bool)
        self.narrow = cases[0].dtype != "float64"
        self.least: list[dict[str, float]] = [{} for _ in cases]
        self.scale = np.array([reference.cost_scale(case) for case in cases])
        self.unscaled = np.maximum(1.0, 1 / self.scale)
        flat = self.rounding.flat
        self.largest = float(np.min(flat.largest))
        self.safe = self.rounding.together.safe / self.unscaled

    def run(self) -> Iterator[Found | None]:
        """What was found of each network, in the order of the pass."""
        below: Level | None = None
        for level in reversed(self.levels):
            level.take(below)
            self._forward(level)
            below = level
        values, known = self._residual(self.levels[0])
        gradients: list[list[Array]] = []
        for level, under in zip(self.levels, [*self.levels[1:], None], strict=True):
            values, known = self._times_slope(level, values, known)
            gradients.append(self._gradients(level, values, known))
            if under:
                values, known = self._pull_back(level, under, values, known)
        allowance = self.rounding.together.allowance
        for i, (case, depth) in enumerate(zip(self.cases, self.depths, strict=True)):
            certain = not self.doubtful[i] and self.growth[i] <= allowance
            mine = [gradients[j][i] for j in range(depth - 1, -1, -1)]
            yield self._found(case, np.concatenate(mine, axis=1), i) if certain else None

    def _found(self, case: Case, rows: Array, i: int) -> Found:
        """`rows` are the values of all tensors, and E by each rule."""
        rows[1:] *= rounding_rules.EVALUATION_SLACK
        kinks = [0] * len(case.architecture.tensor_names)
        growth = float(self.growth[i])
        gradient, *errors = map(case.architecture.split, rows)
        bounds = [Bound(of, None, kinks, growth) for of in errors]
        return Found(gradient, bounds, self.least[i])

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

    def _forward(self, level: Level) -> None:
        z, error = np.empty(level.outer.total), np.empty((self.count, level.outer.total))
        terms = level.inputs + 1
        before, _ = self.rounding.before(level.inner, terms, level._known)
        products = zip(
            level.inner.views(before), level.outer.views(z), level.outer.views(error), strict=True
        )
        for i, (of_before, of_z, of_error) in enumerate(products):
            level.a[i].dot(level.theta[i], of_z)
            np.matmul(of_before, level.sizes[i], out=of_error)
        self.rounding.rounded(level.outer, terms, error, z)
        self.rounding.add_flushed(
            error,
            level.outer,
            level.inputs,
            level.inner.most(level.most) + level.heaviest,
            lambda place, i: level.inner.view(level.most[place], i)[:, :-1].sum(1),
            lambda place, i: level.sizes[i][:-1].sum(0),
        )
        most = self._watch(level, level.outer, error, ["z"])
        self.growth[: len(most)] *= activation_rules.growth_of(level.name, most)
        level.activation, level.slope = reference.ACTIVATIONS[level.name](z)
        rule = activation_rules.ACTIVATIONS[level.name]
        layer = rule(self.rounding.flat, z, error, level.activation, level.slope)
        level.slope_known, level.errors = layer.slope, layer.error
        level.given = np.stack([np.broadcast_to(layer.size, error.shape), layer.error])

    def _residual(self, level: Level) -> tuple[Array, Array]:
        """∂cost/∂a^N: its values, and its magnitudes and E."""
        targets = np.concatenate([case.targets.ravel() for case in self.cases])
        difference = level.activation - targets.astype(np.float64)
        scale = level.outer.spread(self.scale)
        outputs = level.outer.spread(level.outputs)
        squares = np.square(np.abs(difference) + level.errors)
        costs = np.add.reduceat(squares, level.outer.starts, axis=-1).max(0)
        self.doubtful |= ~(costs * np.maximum(1.0, self.scale) < self.largest)
        error = self.rounding.flat.residual(difference, level.errors, scale, outputs)
        values = 2 * scale * difference
        return values, self.rounding.stack(values, error)

    def _times_slope(self, level: Level, values: Array, known: Array) -> tuple[Array, Array]:
        """δ from ∂cost/∂a."""
        if level.slope is None or level.slope_known is None:
            return values, known
        error = self.rounding.flat.hadamard(Uncertain(*known), level.slope_known)
        delta = values * level.slope
        return delta, self.rounding.stack(delta, error)

    def _gradients(self, level: Level, delta: Array, known: Array) -> list[Array]:
        """For each network the gradients of weights and biases, (1 + V, entries): values and E."""
        both = np.empty((1 + self.count, level.block.total))
        value, error = both[0], both[1:]
        before, of_error = self.rounding.before(level.outer, level.samples, known)
        most = known[0] + known[1]
        parts = (delta, before, of_error * most)
        operands = zip(*(level.outer.views(part) for part in parts), strict=True)
        products = zip(level.block.views(value), level.block.views(error), strict=True)
        for i, ((of_value, mine), (deltas, scaled, weighted)) in enumerate(
            zip(products, operands, strict=True)
        ):
            level.a[i].T.dot(deltas, of_value)
            taken = level.known[i].swapaxes(-1, -2)
            np.matmul(taken[0], scaled, out=mine)
            if not level.first[i]:
                mine += taken[1] @ weighted
        self.rounding.rounded(level.block, level.samples, error, value)
        largest = level.outer.most(most)
        self.rounding.add_flushed(
            error,
            level.block,
            level.samples,
            level.inner.most(level.most) + largest,
            lambda place, i: level.inner.view(level.most[place], i).sum(0),
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

    def _pull_back(
        self, level: Level, under: Level, delta: Array, known: Array
    ) -> tuple[Array, Array]:
        """∂cost/∂a of the layer below, of the networks that have one."""
        value, error = np.empty(under.outer.total), np.empty((self.count, under.outer.total))
        before, _ = self.rounding.before(level.outer, level.outputs, known)
        operands = zip(level.outer.views(delta), level.outer.views(before), strict=True)
        products = zip(under.outer.views(value), under.outer.views(error), operands, strict=False)
        for i, (of_value, of_error, (deltas, scaled)) in enumerate(products):
            deltas.dot(level.theta[i][:-1].T, of_value)
            np.matmul(scaled, level.sizes[i][:-1].T, out=of_error)
        here = slice(len(under.cases))
        self.rounding.rounded(under.outer, level.outputs[here], error, value)
        most = known[0] + known[1]
        self.rounding.add_flushed(
            error,
            under.outer,
            level.outputs[here],
            (level.outer.most(most) + level.heaviest)[here],
            lambda place, i: level.outer.view(most[place], i).sum(1),
            lambda place, i: level.sizes[i][:-1].sum(1),
        )
        self._watch(under, under.outer, error, ["gradient of a"])
        return value, self.rounding.stack(value, error)
