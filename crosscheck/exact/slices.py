"""A reference for float64 from BLAS products alone, whose radius is a share of B.

It computes in pairs hi + lo what `double_double` does, at half the cost. A matrix is cut once,
under its largest entry, for all products that it takes part in: into two pieces of so few bits
that products of pieces are exact in float64, and a rest (Ozaki, Ogita, Oishi and Rump,
*Error-free transformations of matrix multiplication*, Numer. Algorithms 59 (2012)). A column of
ones among the activations stands for the biases. Only sigmoids take another way. Where a wide
radius will do, one piece and a rest are enough, for half of the cost.

The radius needs no pass of the bound's rules. Let no operation err by more than κ_i times the E
that B has for its result. Every rule of B is E = P(E of the operands) + what is rounded, and
P(κ E) <= g κ P(E) for κ <= 1, with the factors g of ρ in `bound`, which has room in B of float64
for an evaluation that errs by E itself. So where operands err by at most κ E, the result errs by
at most g (κ + κ_i) E, and gradients err by at most ρ Σ κ_i B.

What underflows is nothing against E where the E of sums of products is nowhere below LEAST: none
of their pieces is under an entry below 2^-500, and σ′ is above 2^-127, so that E of a product with
it is at least 2^-1027, 2^47 times what underflows there. Saturated networks, matrices of zeros, and
numbers beyond 2^500 are for the other references.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from crosscheck.arithmetic.activations import sigmoid_of
from crosscheck.arithmetic.error_free import (
    Pair,
    bits_of_slice,
    fast_two_sum,
    leading,
    unit_of_slice,
)
from crosscheck.arithmetic.rounding_rules import ALLOWANCE
from crosscheck.bounds import float64
from crosscheck.bounds.records import Bound, Trace
from crosscheck.exact import double_double, exponential
from crosscheck.networks.buffers import kept
from crosscheck.networks.network import Array, Case, Enclosure, Tensors

SOURCE = "double-double by slices"

LEAST = 2.0**-900
"""The least E of a result with which underflow is nothing to speak of."""

MOST_CUT = 2.0**500
"""Matrices whose largest entry is above this, or below its reciprocal, are not cut."""

MOST_SHARE, WIDEST_SHARE = 2.0**-20, 2.0**-4
"""The largest shares of B that are of use as a radius: to measure errors, and to prove that they
are below B."""

ENTRYWISE_SHARE = 2.0**-36
"""The κ of a layer's entrywise products, and of the residual: within 2^-95, where E has 2^-53."""

BITS = 75
"""Bits of the result that the sigmoid is good for; products have more."""


class Cut(NamedTuple):
    """A matrix hi + lo as pieces: one or two of few bits, the rest, and hi itself.

    `largest` is the magnitude of its largest entry; ∞ where it cannot be cut.
    """

    first: Array
    second: Array | None
    rest: Array
    hi: Array
    largest: float

    def block(self, start: int, stop: int, shape: tuple[int, int]) -> "Cut":
        """A part of a vector as a matrix."""

        def part(piece: Array) -> Array:
            return piece[start:stop].reshape(shape)

        second = None if self.second is None else part(self.second)
        return Cut(part(self.first), second, part(self.rest), part(self.hi), self.largest)

    @property
    def transposed(self) -> "Cut":
        first, second, rest, hi, largest = self
        return Cut(first.T, None if second is None else second.T, rest.T, hi.T, largest)

    @property
    def back(self) -> "Cut":
        """The transposed without what was the last row, in which the biases stand."""
        first, second, rest, hi, largest = self
        second = None if second is None else second[:-1].T
        return Cut(first[:-1].T, second, rest[:-1].T, hi[:-1].T, largest)


class Cutting(NamedTuple):
    """How matrices are cut: to pieces of so many bits; `wide` is one piece and a rest."""

    bits: int
    wide: bool = False

    @classmethod
    def of(cls, n: int, wide: bool = False) -> "Cutting":
        """So few bits that sums of 2 n products of pieces are exact in float64."""
        return cls(bits_of_slice(2 * n), wide)

    def cut(self, hi: Array, lo: Array | None, largest: float | None = None) -> Cut:
        """The pieces of hi + lo, of bits under its largest entry."""
        if largest is None:
            largest = float(np.abs(hi).max())
        if not 1 / MOST_CUT <= largest <= MOST_CUT:
            largest = math.inf
        rooms = kept.rooms(3, hi.shape)
        first = leading(hi, unit_of_slice(largest, self.bits), rooms[0])
        rest, second = np.subtract(hi, first, rooms[1]), None
        if not self.wide:
            second = leading(rest, unit_of_slice(largest, 2 * self.bits), rooms[2])
            rest -= second
        if lo is not None:
            rest += lo
        return Cut(first, second, rest, hi, largest)

    def error_of(self, a: Cut, b: Cut) -> float:
        """What an entry of `product` may be off by, for operands (m, n) and (n, k).

        In units of 2^(-2 bits) of the powers of two that pieces are cut under: the terms of the
        last three products add up to 1.3 n, each product rounds its own n times, and adding them
        twice more: 1.3 n (n + 2). Operands' roundings and the left out product of low parts come
        to 1.6 n, the last sums to 4 n. The largest entries are at least half of those powers: four
        times that. With one piece it is 2^-bits, 1.1 n (n + 1), and 5 n.
        """
        n = a.hi.shape[1]
        pieces = 1 if self.wide else 2
        return (6 * n + 40) * n * 2.0 ** (-pieces * self.bits - 53) * a.largest * b.largest


def product(a: Cut, b: Cut) -> Pair:
    """The product of two matrices that are cut in the same way; see `Cutting.error_of`."""
    if a.second is None or b.second is None:
        return _product_of_one_piece(a, b)
    rooms = kept.rooms(5, (len(a.hi), b.hi.shape[1]))
    hi, lo = a.first.dot(b.first, rooms[0]), a.first.dot(b.second, rooms[1])
    part = a.second.dot(b.first, rooms[2])
    lo += part
    rest = a.first.dot(b.rest, rooms[3])
    rest += a.second.dot(b.second + b.rest, part)
    rest += a.rest.dot(b.hi, part)
    total = np.add(hi, lo, part)
    of_lo = np.subtract(total, hi, rooms[4])
    lo -= of_lo
    rest += lo
    of_lo -= total
    hi += of_lo
    rest += hi  # hi + lo - total, exactly (Knuth), with the rest
    return fast_two_sum(total, rest, hi)


def _product_of_one_piece(a: Cut, b: Cut) -> Pair:
    rooms = kept.rooms(3, (len(a.hi), b.hi.shape[1]))
    hi, lo = a.first.dot(b.first, rooms[0]), a.first.dot(b.rest, rooms[1])
    total = a.rest.dot(b.hi, rooms[2])
    lo += total
    return fast_two_sum(hi, lo, rooms[2])


class SlicedGradient(NamedTuple):
    """The gradients, in the order of `Architecture.tensor_names`, and what they may be off by.

    `trace` has the leading parts, rounded better than float64 alone would. `inner` are errors of
    products on the way, `last` those of the gradients themselves, by the names under which
    `bound.by_rules` notes the least E; `of_exponential` is the relative error of those.
    """

    hi: Tensors
    lo: Tensors
    trace: Trace
    inner: dict[str, float]
    last: dict[str, float]
    of_exponential: float


class SlicedLayers:
    """The way there and back, layer by layer; what it meets is kept for the trace."""

    def __init__(self, case: Case, wide: bool) -> None:
        of = case.architecture
        self.case, self.scale = case, float64.cost_scale(case)
        self.cutting = Cutting.of(max(*of.widths, case.samples) + 1, wide)
        self.long = wide and has_long()
        self.weights = _cut_weights(case, self.cutting)
        self.activations: list[Cut] = []
        self.a: list[Array] = [case.inputs]
        self.z: list[Array] = []
        self.slopes: list[Pair | None] = []
        self.inner: dict[str, float] = {}
        self.last: dict[str, float] = {}
        self.most = 0.0

    def forward(self) -> Pair | None:
        """a^N; None where a sigmoid is saturated."""
        hi, lo, largest = _with_last(self.case.inputs, 1.0), None, None
        a = None
        for k, name in enumerate(self.case.architecture.activations):
            if a is not None:
                hi, lo = _with_last(a.hi, 1.0), _with_last(a.lo, 0.0)
            operands = self.cutting.cut(hi, lo, largest), self.weights[k]
            self.activations.append(operands[0])
            self.inner[f"z{k + 2}"] = self.cutting.error_of(*operands)
            a, slope, largest = product(*operands), None, None
            self.z.append(a.hi)
            if name == "sigmoid":
                of_z = np.abs(a.hi)
                self.most = max(self.most, float(np.maximum.reduce(of_z, None)))
                if not self.most <= exponential.MOST_OF_PAIR:
                    return None
                few = a.hi.size <= MOST_LONG
                a, slope = long_sigmoid(a) if self.long and few else pair_sigmoid(a, of_z)
                largest = 1.0
            self.a.append(a.hi)
            self.slopes.append(slope)
        return a

    def back(self, a: Pair) -> SlicedGradient:
        """The gradients, from a^N."""
        pulled_back = double_double.residual(a, self.case.targets, self.scale)
        pulled, deltas, gradients = [pulled_back.hi], list[Array](), list[Pair]()
        for k in range(len(self.weights) - 1, -1, -1):
            slope = self.slopes[k]
            delta = pulled_back if slope is None else double_double.times(pulled_back, slope)
            pieces, before = self.cutting.cut(*delta), self.activations[k].transposed
            gradients.insert(0, product(before, pieces))
            deltas.insert(0, delta.hi)
            error = self.cutting.error_of(before, pieces)
            self.last |= {f"gradient of w{k + 2}": error, f"gradient of b{k + 2}": error}
            if k:
                through = self.weights[k].back
                pulled_back = product(pieces, through)
                self.inner[f"gradient of a{k + 1}"] = self.cutting.error_of(pieces, through)
                pulled.insert(0, pulled_back.hi)
        hi, lo = (self._tensors([pair[place] for pair in gradients]) for place in range(2))
        slopes = [None if slope is None else slope.hi for slope in self.slopes]
        trace = Trace(self.a, self.z, slopes, pulled, deltas, hi[0::2], hi[1::2], self.scale)
        error_of = error_of_long if self.long else exponential.error_of_pair
        return SlicedGradient(hi, lo, trace, self.inner, self.last, error_of(self.most))

    def _tensors(self, gradients: Sequence[Array]) -> Tensors:
        """Gradients whose last row is that of the biases: end to end they lie as tensors do."""
        (room,) = kept.rooms(1, (self.case.architecture.parameters,))
        flat = np.concatenate([of.ravel() for of in gradients], out=room)
        return self.case.architecture.split(flat)


def evaluate(case: Case, wide: bool = False) -> SlicedGradient | None:
    """The case's gradients; None where this way is not for the network, or a sigmoid saturates.

    `wide` is for a radius with which to prove, but not to measure.
    """
    if not double_double.supports(case):
        return None
    with np.errstate(all="ignore"):
        layers = SlicedLayers(case, wide)
        a = layers.forward()
        found = None if a is None else layers.back(a)
    # Where a matrix could not be cut, an error is ∞, or no number beside a matrix of zeros.
    known = found and math.isfinite(sum(found.inner.values()) + sum(found.last.values()))
    return found if known else None


def _cut_weights(case: Case, cutting: Cutting) -> list[Cut]:
    """The weights of each layer with the biases as their last row, cut all at once."""
    parts = [x for pair in zip(case.weights, case.biases, strict=True) for x in pair]
    (room,) = kept.rooms(1, (case.architecture.parameters,))
    flat = np.concatenate(parts, axis=None, out=room)
    whole = cutting.cut(flat, None)
    cuts, start = [], 0
    for n, m in case.architecture.weight_shapes:
        stop = start + (n + 1) * m
        cuts.append(whole.block(start, stop, (n + 1, m)))
        start = stop
    return cuts


def _with_last(array: Array, last: float) -> Array:
    """The matrix with one more column, of one number."""
    rows, n = array.shape
    found = np.empty((rows, n + 1))
    found[:, :n], found[:, n] = array, last
    return found


def pair_sigmoid(z: Pair, size: Array) -> tuple[Pair, Pair]:
    """σ(z), and σ′ = σ(z) σ(-z), from one exponential each and without cancellation."""
    low = np.copysign(1.0, z.hi)
    low *= z.lo
    e = double_double.wide(exponential.exp_of_pair(-size, -low))
    value, slope = sigmoid_of(z.hi < 0, e)
    return double_double.pair_of(value), double_double.pair_of(slope)


MOST_LONG = 1024
"""Entries up to which long doubles are faster: they are computed one by one."""

ONE_OVER_E = np.longdouble(0.36787944117144233) - np.longdouble(1.2428753672788363e-17)


def has_long() -> bool:
    """Whether long double has 64 bits at least, as it is now: processors can be set to fewer."""
    one, least = np.longdouble(1), np.longdouble(2.0**-63)
    return bool(one + least != one and abs(np.exp(-one) - ONE_OVER_E) <= least * ONE_OVER_E)


def long_sigmoid(z: Pair) -> tuple[Pair, Pair]:
    """The same in long double, for a wide radius."""
    e = z.hi.astype(np.longdouble)
    e += z.lo
    np.abs(e, e)
    np.negative(e, e)
    np.exp(e, e)
    value, slope = sigmoid_of(z.hi < 0, e)
    return _pair_of_long(value), _pair_of_long(slope)


def _pair_of_long(array: Array) -> Pair:
    hi = array.astype(np.float64)
    array -= hi
    return Pair(hi, array.astype(np.float64))


def error_of_long(most: float) -> float:
    """The relative error of its exponential for |z| up to `most`, and of what follows.

    z is rounded to 2^-64 of it, the exponential right to two ulps, 2^-62, and σ′ = e c c takes six
    more operations, of 2^-64 each: 10 of those.
    """
    return 2.0**-60 + most * 2.0**-63


def share_of(found: SlicedGradient, least: Mapping[str, float]) -> float:
    """Σ κ_i: the share of its E that a result may be off by; ∞ where E is too small to tell.

    A relative error ε of the exponential leaves ε of σ, for which B has ten roundings, and as
    much of σ′, for which it has twenty: no more than ε / 5u.
    """
    if not all(of >= LEAST for of in least.values()):
        return math.inf
    inner, last = (
        [error / least[name] for name, error in of.items()] for of in (found.inner, found.last)
    )
    sigmoids = sum(slope is not None for slope in found.trace.slopes)
    of_sigmoid = found.of_exponential * 2.0**53 / 5
    entrywise = (len(found.trace.z) + 1) * ENTRYWISE_SHARE
    return sum(inner) + max(last) + sigmoids * of_sigmoid + entrywise


def enclose(
    found: SlicedGradient, limits: Bound, least: Mapping[str, float], most: float = MOST_SHARE
) -> Enclosure | None:
    """The enclosure of the exact gradient, or None where its radius is above `most` of B.

    `limits` is the contracted B of float64, and `least` what `bound.by_rules` noted with it.
    """
    if limits.overflow or limits.growth > ALLOWANCE:
        return None
    share = limits.growth * share_of(found, least)
    if not share <= most:
        return None
    return Enclosure(found.hi, found.lo, limits.tensors.times(share), SOURCE, BITS)


def enclose_widely(
    found: SlicedGradient, limits: Bound, least: Mapping[str, float]
) -> Enclosure | None:
    """The same with a radius that is of use to prove by, not to measure."""
    return enclose(found, limits, least, WIDEST_SHARE)
