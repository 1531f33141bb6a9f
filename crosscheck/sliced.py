"""A reference for float64 from BLAS products alone, whose radius is a share of B.

It computes in pairs hi + lo what `double_double` does, at half the cost. A matrix is cut once,
under its largest entry, for all products that it takes part in: into two pieces of so few bits
that products of pieces are exact in float64, and a rest (Ozaki, Ogita, Oishi and Rump,
*Error-free transformations of matrix multiplication*, Numer. Algorithms 59 (2012)). A column of
ones among the activations stands for the biases. Only sigmoids take another way.

The radius needs no pass of the bound's rules. Let no operation err by more than κ_i times the E
that B has for its result. Every rule of B is E = P(E of the operands) + what is rounded, and
P(κ E) <= g κ P(E) for κ <= 1, with the factors g of ρ in `bound`. So where operands err by at
most κ E, the result errs by at most g (κ + κ_i) E, and gradients err by at most ρ Σ κ_i B.

What underflows is below 2^-1050 here, and nothing against E where that is nowhere below LEAST.
Saturated networks, and exact zeros, are for the other references.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from crosscheck import double_double, exponential, reference
from crosscheck.double_double import Pair
from crosscheck.evaluation import Bound
from crosscheck.rounding_rules import ALLOWANCE
from crosscheck.values import Array, Case, Enclosure

SOURCE = "sliced"

LEAST = 2.0**-900
"""The least E of a result with which underflow is nothing to speak of."""

MOST_CUT = 2.0**500
"""Matrices whose largest entry is above this, or below its reciprocal, are not cut."""

MOST_SHARE = 2.0**-20
"""The largest share of B that is of use as a radius."""

ENTRYWISE_SHARE = 2.0**-36
"""The κ of a layer's entrywise products, and of the residual: within 2^-95, where E has 2^-53."""

BITS = 75
"""Bits of the result that the sigmoid is good for; products have more."""


class Cut(NamedTuple):
    """A matrix hi + lo as pieces: two of few bits, the rest, and hi itself.

    `largest` is the magnitude of its largest entry; ∞ where it cannot be cut.
    """

    first: Array
    second: Array
    rest: Array
    hi: Array
    largest: float

    @property
    def transposed(self) -> "Cut":
        first, second, rest, hi, largest = self
        return Cut(first.T, second.T, rest.T, hi.T, largest)

    @property
    def weights(self) -> "Cut":
        """Without the last row, in which the biases stand."""
        first, second, rest, hi, largest = self
        return Cut(first[:-1], second[:-1], rest[:-1], hi[:-1], largest)


def bits_of(n: int) -> int:
    """Bits of a piece, so that sums of 2 n products of pieces are exact in float64."""
    return (51 - math.ceil(math.log2(2 * n))) // 2


def cut(hi: Array, lo: Array | None, bits: int, largest: float | None = None) -> Cut:
    """The pieces of hi + lo, the first two of so many bits under its largest entry."""
    if largest is None:
        largest = float(np.abs(hi).max())
    if largest and not 1 / MOST_CUT <= largest <= MOST_CUT:
        largest = math.inf
    _, exponent = math.frexp(largest)
    unit = math.ldexp(1.5, exponent + 52 - bits)
    first = hi + unit
    first -= unit
    rest = hi - first
    unit = math.ldexp(1.5, exponent + 52 - 2 * bits)
    second = rest + unit
    second -= unit
    rest -= second
    if lo is not None:
        rest += lo
    return Cut(first, second, rest, hi, largest)


def product(a: Cut, b: Cut) -> Pair:
    """The product of two matrices that are cut to the same number of bits; see `error_of`."""
    hi = a.first.dot(b.first)
    lo = a.first.dot(b.second)
    lo += a.second.dot(b.first)
    rest = a.first.dot(b.rest)
    rest += a.second.dot(b.second + b.rest)
    rest += a.rest.dot(b.hi)
    total = hi + lo
    of_lo = total - hi
    rest += lo - of_lo
    of_lo -= total
    hi += of_lo
    rest += hi  # hi + lo - total, exactly (Knuth), with the rest
    np.add(total, rest, hi)
    total -= hi
    total += rest
    return Pair(hi, total)


def error_of(a: Cut, b: Cut, bits: int) -> float:
    """What an entry of `product` may be off by, for operands (m, n) and (n, k).

    In units of 2^(-2 bits) of the largest entries, which are at least half of the powers of two
    that pieces are cut under, the terms of the last three products add up to 1.3 n at most before
    they are rounded 3 n times in float64; what is rounded of operands and of the last sums, to
    10 n. All that four times.
    """
    n = a.hi.shape[1]
    return (6 * n + 40) * n * 2.0 ** (-2 * bits - 53) * a.largest * b.largest


class Evaluated(NamedTuple):
    """The gradients as pairs; errors of products by name; sigmoids, and their largest |z|.

    `inner` are those on the way, `last` those of the gradients themselves, by the names under
    which `bound.by_rules` notes the least E.
    """

    tensors: list[Pair]
    inner: dict[str, float]
    last: dict[str, float]
    sigmoids: int
    most: float


def evaluate(case: Case, scale: float) -> Evaluated | None:
    """The gradients in the order of `Architecture.tensor_names`; None where a sigmoid saturates.

    `scale` is as in Trace: 1 over a whole number in every convention of the cost.
    """
    of = case.architecture
    bits = bits_of(max(*of.widths, case.samples) + 1)
    weights = [
        cut(np.concatenate([w, b[None]]), None, bits)
        for w, b in zip(case.weights, case.biases, strict=True)
    ]
    a = Pair(case.inputs, np.zeros_like(case.inputs))
    activations: list[Cut] = []
    slopes: list[Pair | None] = []
    inner: dict[str, float] = {}
    last: dict[str, float] = {}
    most = 0.0
    for k, name in enumerate(of.activations):
        activations.append(cut(*_with_ones(a), bits))
        inner[f"z{k + 2}"] = error_of(activations[k], weights[k], bits)
        a, slope = product(activations[k], weights[k]), None
        if name == "sigmoid":
            largest = float(np.abs(a.hi).max())
            if not largest <= exponential.MOST_OF_PAIR:
                return None
            most = max(most, largest)
            a, slope = _sigmoid(a)
        slopes.append(slope)
    delta = double_double.residual(a, case.targets, scale)
    tensors: list[Pair] = []
    for k in range(len(weights) - 1, -1, -1):
        slope = slopes[k]
        if slope is not None:
            delta = double_double.times(delta, slope)
        pieces, before = cut(*delta, bits), activations[k].transposed
        hi, lo = product(before, pieces)
        error = error_of(before, pieces, bits)
        last |= {f"gradient of w{k + 2}": error, f"gradient of b{k + 2}": error}
        tensors[:0] = [Pair(hi[:-1], lo[:-1]), Pair(hi[-1], lo[-1])]
        if k:
            back = weights[k].weights.transposed
            delta = product(pieces, back)
            inner[f"gradient of a{k + 1}"] = error_of(pieces, back, bits)
    return Evaluated(tensors, inner, last, of.activations.count("sigmoid"), most)


def _with_ones(a: Pair) -> Pair:
    """Activations with a column of ones behind the others."""
    samples, n = a.hi.shape
    hi, lo = np.ones((samples, n + 1)), np.zeros((samples, n + 1))
    hi[:, :n], lo[:, :n] = a
    return Pair(hi, lo)


def _sigmoid(z: Pair) -> tuple[Pair, Pair]:
    """σ(z), and σ′ = σ(z) σ(-z), from one exponential each and without cancellation."""
    negative = z.hi < 0
    low = np.where(negative, z.lo, -z.lo)
    e = Pair(*exponential.exp_of_pair(-np.abs(z.hi), low))
    return double_double.sigmoid_of(negative, double_double.wide(e))


def share_of(found: Evaluated, least: Mapping[str, float]) -> float:
    """Σ κ_i: the share of its E that a result may be off by; ∞ where E is too small to tell.

    A relative error ε of the exponential leaves 1.5 ε of σ, for which B has ten roundings, and
    2 ε of σ′, for which its product has three: together no more than ε / u.
    """
    if not min(least.values()) >= LEAST:
        return math.inf
    inner, last = (
        [error / least[name] for name, error in of.items()] for of in (found.inner, found.last)
    )
    of_sigmoid = exponential.error_of_pair(found.most) * 2.0**53
    layers = len(found.tensors) // 2
    return sum(inner) + max(last) + found.sigmoids * of_sigmoid + (layers + 1) * ENTRYWISE_SHARE


def enclose(case: Case, limits: Bound, least: Mapping[str, float]) -> Enclosure | None:
    """The enclosure of the case's exact gradient, or None where this way cannot tell.

    `limits` is the contracted B of float64, and `least` what `bound.by_rules` noted with it.
    """
    if not double_double.supports(case) or limits.overflow or limits.growth > ALLOWANCE:
        return None
    with np.errstate(all="ignore"):
        found = evaluate(case, reference.cost_scale(case))
    if found is None:
        return None
    share = limits.growth * share_of(found, least)
    if not share <= MOST_SHARE or not all(np.isfinite(pair.hi).all() for pair in found.tensors):
        return None
    return Enclosure(
        [pair.hi for pair in found.tensors],
        [pair.lo for pair in found.tensors],
        [share * tensor for tensor in limits.tensors],
        SOURCE,
        BITS,
    )
