"""Stagewise checks: each operation of an engine against its exact value at the engine's own input.

An engine that shows its intermediates is checked one operation at a time. No error accumulates,
so the bound is within a small factor of what is seen, and the first operation that breaks its
bound is where the defect is. The rules are those of `bound`, with exact operands.

Narrow formats are compared with float64. For float64, products are split error-free (Rump,
Ogita and Oishi, *Accurate floating-point summation*, SIAM J. Sci. Comput. 31 (2008); Ozaki et
al., *Error-free transformations of matrix multiplication*, Numer. Algorithms 59 (2012)), and
entrywise operations use the platform's long double; where that is no wider, the reference's own
radius grows to the bound, and a check can only say less.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from crosscheck.arithmetic.activations import ACTIVATIONS
from crosscheck.arithmetic.costs import COSTS
from crosscheck.arithmetic.error_free import bits_of_slice, leading, two_sum, unit_of_slice
from crosscheck.arithmetic.promise import Arithmetic
from crosscheck.arithmetic.rounding_rules import Uncertain, rules_of
from crosscheck.bounds.float64 import cost_scale
from crosscheck.networks.network import Array, Case

Stages = Mapping[str, Array]

ABSOLUTE_ONLY = "sigmoid with absolute accuracy only"
"""The reason of a suspect whose activation is right absolutely, and not relatively."""


class ExactPair(NamedTuple):
    """|exact - hi - lo| <= radius, entry by entry; a radius of ∞ says that nothing is known."""

    hi: Array
    lo: Array
    radius: Array

    def error(self, got: Array) -> Array:
        """|got - exact|; ∞ where `got` is no number."""
        error: Array = np.abs((got.astype(np.float64) - self.hi) - self.lo)
        error[np.isnan(error)] = np.inf
        return error


class Check(NamedTuple):
    """One operation: its worst error, what the bound allows there, and their ratio."""

    stage: str
    operation: str
    error: float
    allowed: float
    use: float
    absolute_only: bool = False

    @property
    def broken(self) -> bool:
        """Proved wrong."""
        return self.use > 1 and not self.absolute_only

    @property
    def place(self) -> str:
        """The stage as the paper writes it: δ^3, z^2, ∂cost/∂w^4."""
        kind, layer = self.stage[0], self.stage[1:]
        return {"d": "δ", "G": "∂cost/∂a", "w": "∂cost/∂w", "b": "∂cost/∂b"}.get(
            kind, kind
        ) + f"^{layer}"

    @property
    def sentence(self) -> str:
        """ "at δ^3: the product with σ′ is off by 1.0e-03, the bound allows 2.4e-07"."""
        return (
            f"at {self.place}: {self.operation} is off by {self.error:.1e}, "
            f"the bound allows {self.allowed:.1e}"
        )


@dataclass(frozen=True)
class Stagewise:
    """The stagewise checks of one engine on one case."""

    checks: Sequence[Check] = ()

    @property
    def broken(self) -> Check | None:
        """The first operation beyond its bound."""
        return next((check for check in self.checks if check.broken), None)

    @property
    def telling(self) -> Check | None:
        """The first broken one, else the one that uses most of its bound."""
        return self.broken or max(self.checks, key=lambda check: check.use, default=None)

    @property
    def absolute_only(self) -> bool:
        """An activation without relative accuracy."""
        return any(check.absolute_only for check in self.checks)

    @property
    def activations_seen(self) -> bool:
        """Whether activations were checked, and are known to be relatively accurate."""
        seen = any(check.stage.startswith("a") for check in self.checks)
        return seen and not self.absolute_only

    def sentence_for(self, tensor: str) -> str:
        """What is wrong with a tensor by the first broken stage, if it depends on it."""
        broken = self.broken
        if broken is None:
            return ""
        kind, layer = broken.stage[0], int(broken.stage[1:])
        affected = {"w": tensor == broken.stage, "b": tensor == broken.stage}.get(
            kind, kind in "za" or int(tensor[1:]) <= layer
        )
        return broken.sentence if affected else ""


def split_product(left: Array, right: Array, bias: Array | None = None) -> ExactPair:
    """The product of float64 matrices to about 2^-75 of |row| × |column|, by BLAS.

    Each operand's leading bits, few enough that their products add up without rounding, and a
    remainder whose products are 2^-β smaller, and so are their roundings. Numbers near the
    largest have no room above them for the split, and leave the product unknown.
    """
    n = left.shape[1]
    bits = bits_of_slice(4 * max(n, 2))
    row, column = (np.abs(x).max(axis=k, keepdims=True) for k, x in ((1, left), (0, right)))
    high, wide = (leading(x, unit_of_slice(y, bits)) for x, y in ((left, row), (right, column)))
    hi = high @ wide
    lo = high @ (right - wide) + (left - high) @ right
    radius = 2.2 * (n + 1) ** 2 * 2.0 ** (-53 - bits) * (row * column)
    if bias is not None:
        hi, rounded = two_sum(hi, np.broadcast_to(bias, hi.shape))
        lo = lo + rounded
    known = np.isfinite(hi) & np.isfinite(lo)
    return ExactPair(hi, lo, np.where(known, radius + 2.0**-1060, np.inf))


class Work:
    """How a check computes its references: in which type, and with which share of the bound."""

    def __init__(self, case: Case, arithmetic: Arithmetic) -> None:
        self.rules = rules_of(arithmetic)
        self.lax = rules_of(arithmetic, absolute=True)
        self.from_z = rules_of(arithmetic, stable=True)
        self.splits = case.dtype == "float64"
        self.dtype: Any = np.longdouble if self.splits else np.float64
        digits = np.finfo(self.dtype).nmant + 1
        self.share = 2.0**-digits / case.format.unit_roundoff

    def exact(self, value: Array, allowed: Array) -> ExactPair:
        """A value computed in the wider type, whose own error is its share of the bound."""
        hi = value.astype(np.float64)
        lo = (value - hi).astype(np.float64)
        return ExactPair(hi, lo, self.share * allowed)

    def product(
        self,
        left: Array,
        right: Array,
        bias: Array | None = None,
        stored: bool = False,
    ) -> tuple[ExactPair, Array]:
        """Exact product of what the engine had, and what it may be off by, as in `Rules`."""
        operands = [x.astype(np.float64) for x in (left, right)]
        b = None if bias is None else bias.astype(np.float64)
        one, other = (Uncertain(np.abs(x), None) for x in operands)
        value = operands[0] @ operands[1] + (0.0 if b is None else b)
        size = None if b is None else np.abs(b)
        allowed = self.rules.product(one, other, value, size, stored)
        if self.splits:
            return split_product(operands[0], operands[1], b), allowed
        return ExactPair(value, np.zeros_like(value), self.share * allowed), allowed


def _compare(stage: str, operation: str, got: Array, exact: ExactPair, allowed: Array) -> Check:
    """The entry that uses most of what it is allowed."""
    excess = np.where(np.isinf(exact.radius), 0.0, exact.error(got) - exact.radius)
    return _worst(stage, operation, excess, allowed)


def _worst(stage: str, operation: str, excess: Array, allowed: Array) -> Check:
    use = np.where(excess <= 0, 0.0, excess / allowed)
    worst = np.unravel_index(int(np.argmax(use)), use.shape)
    return Check(stage, operation, float(excess[worst]), float(allowed[worst]), float(use[worst]))


def _activation(work: Work, name: str, stage: str, z: Array, got: Array) -> Check:
    """a^l against σ at the engine's own z^l."""
    zero = np.zeros(z.shape)
    wide = z.astype(work.dtype)
    activation = ACTIVATIONS[name]
    value, slope = activation.function(wide)
    narrow = [x.astype(np.float64) for x in (wide, value, slope)]
    strict, lax = (
        activation.rule(rules, narrow[0], zero, narrow[1], narrow[2]).error
        for rules in (work.rules, work.lax)
    )
    check = _compare(stage, "the activation", got, work.exact(value, strict), strict)
    if check.use <= 1:
        return check
    loose = _compare(stage, "the activation", got, work.exact(value, strict), lax)
    return check._replace(absolute_only=True) if loose.use <= 1 else loose


class Product(NamedTuple):
    """δ^l = G^l ∘ σ′ for one way to form σ′: by how much it is off, and what it may be off by."""

    excess: Array
    allowed: Array

    @classmethod
    def of(
        cls, work: Work, given: Array, slope: Array, of_slope: Array | None, got: Array
    ) -> "Product":
        """From G^l, σ′ in the wider type and its own E."""
        size, steepness = (np.abs(x.astype(np.float64)) for x in (given, slope))
        allowed = work.rules.hadamard(Uncertain(size, None), Uncertain(steepness, of_slope))
        allowed += work.rules.tau * (size + steepness)
        exact = work.exact(given.astype(work.dtype) * slope, allowed)
        return cls(exact.error(got) - exact.radius, allowed)

    def or_better(self, other: "Product") -> "Product":
        """Entry by entry, the one that uses less of what it is allowed."""
        better = other.excess / other.allowed < self.excess / self.allowed
        return Product(
            *(np.where(better, x, y) for x, y in zip(other, self, strict=True)),
        )


def _times_slope(
    work: Work, name: str, stage: str, given: Array, a: Array, z: Array, got: Array
) -> Check:
    """δ^l against G^l ∘ σ′, where σ′ may come from the engine's own z^l or its own a^l."""
    activation, product = ACTIVATIONS[name], _with_slope_of_z(work, name, given, a, z, got)
    if activation.slope is not None:
        slope, rounding = activation.slope(a.astype(work.dtype)), activation.slope_rounding
        of_slope = None if rounding is None else rounding(a.astype(np.float64), work.rules.u)
        product = Product.of(work, given, slope, of_slope, got).or_better(product)
    return _worst(stage, "the product with σ′", *product)


def _with_slope_of_z(
    work: Work, name: str, given: Array, a: Array, z: Array, got: Array
) -> Product:
    """With σ′ as the bound's rule has it where nothing is derived from a."""
    activation = ACTIVATIONS[name]
    _, slope = activation.function(z.astype(work.dtype))
    wide, known = z.astype(float), np.abs(a.astype(float))
    no_error = np.zeros(z.shape)
    layer = activation.rule(work.from_z, wide, no_error, known, slope.astype(np.float64))
    return Product.of(work, given, slope, None if layer.slope is None else layer.slope.error, got)


def _residual(work: Work, case: Case, a: Array, got: Array) -> Check:
    """∂cost/∂a^N at the engine's own a^N."""
    cost, scale = COSTS[case.architecture.cost], cost_scale(case)
    wide, expected = a.astype(work.dtype), case.targets.astype(work.dtype)
    outputs = case.architecture.widths[-1]
    allowed = cost.rule(work.rules, wide, None, expected, scale, outputs)
    exact = work.exact(cost.slope(wide, expected) / work.dtype(round(1 / scale)), allowed)
    return _compare(f"G{case.architecture.layers}", "the residual", got, exact, allowed)


def checks(case: Case, stages: Stages, arithmetic: Arithmetic) -> Iterator[Check]:
    """The checks of what an engine shows, in the order of evaluation.

    `stages` maps "z2", "a2" … "zN", "aN" (forward), "GN", "dN", "wN", "bN" … "d2", "w2", "b2"
    (backward) to arrays, G being ∂cost/∂a and d δ; what is not shown is not checked.
    """
    with np.errstate(all="ignore"):
        work = Work(case, arithmetic)
        shown = {"a1": case.inputs, **stages}
        yield from _forward_checks(work, case, shown)
        yield from _backward_checks(work, case, shown)


def _forward_checks(work: Work, case: Case, shown: Stages) -> Iterator[Check]:
    for k, name in enumerate(case.architecture.activations):
        z, a, before = (shown.get(key) for key in (f"z{k + 2}", f"a{k + 2}", f"a{k + 1}"))
        if z is not None and before is not None:
            exact, allowed = work.product(before, case.weights[k], case.biases[k])
            yield _compare(f"z{k + 2}", "the product a w + b", z, exact, allowed)
        if z is not None and a is not None and name != "identity":
            yield _activation(work, name, f"a{k + 2}", z, a)


def _backward_checks(work: Work, case: Case, shown: Stages) -> Iterator[Check]:
    layers = case.architecture.layers
    if f"G{layers}" in shown and f"a{layers}" in shown:
        yield _residual(work, case, shown[f"a{layers}"], shown[f"G{layers}"])
    for k in range(layers - 2, -1, -1):
        layer = k + 2
        yield from _delta_checks(work, case, shown, layer)
        delta, before = shown.get(f"d{layer}"), shown.get(f"a{layer - 1}")
        if delta is None:
            continue
        if before is not None and f"w{layer}" in shown:
            exact, allowed = work.product(before.T, delta)
            yield _compare(
                f"w{layer}", "the sum over samples of a δ", shown[f"w{layer}"], exact, allowed
            )
        if f"b{layer}" in shown:
            exact, allowed = work.product(np.ones((1, len(delta))), delta, stored=True)
            yield _compare(
                f"b{layer}", "the sum over samples of δ", shown[f"b{layer}"][None], exact, allowed
            )


def _delta_checks(work: Work, case: Case, shown: Stages, layer: int) -> Iterator[Check]:
    """G^l from δ^{l+1}, then δ^l from G^l."""
    above, given = shown.get(f"d{layer + 1}"), shown.get(f"G{layer}")
    if above is not None and given is not None:
        exact, allowed = work.product(above, case.weights[layer - 1].T)
        yield _compare(f"G{layer}", "the product δ wᵀ", given, exact, allowed)
    name = case.architecture.activations[layer - 2]
    a, z, delta = (shown.get(key) for key in (f"a{layer}", f"z{layer}", f"d{layer}"))
    if given is None or a is None or z is None or delta is None:
        return
    if name == "identity":
        zero = np.zeros(delta.shape)
        exact = ExactPair(given.astype(np.float64), zero, zero)
        yield _compare(f"d{layer}", "δ = ∂cost/∂a", delta, exact, work.rules.eta + zero)
    else:
        yield _times_slope(work, name, f"d{layer}", given, a, z, delta)
