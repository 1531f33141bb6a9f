"""A reference for float64: the gradient in double-double arithmetic, with its own bound.

A number is a pair hi + lo of float64 (Dekker 1971; Joldes, Muller and Popescu, *Tight and
rigorous error bounds for basic building blocks of double-word arithmetic*, ACM TOMS 44 (2017)).
Entrywise operations are xprec's. Its sums and products are within 2^-101.5 of the sum of the
magnitudes of their operands, its exponential and that of `exponential` within 2^-96 as measured
(2^-102 for |z| below 5, and |z| 2^-105 beyond); the rules of `bound` are applied with u = 2^-98,
in which a sigmoid may be off by ten u, so that each operation has a factor of two to spare at
least, and sums and products eight. A test holds it against balls.

Products of matrices of any size are sliced: each operand is cut into two pieces of so few bits
that products of pieces are exact in float64, and a rest (Ozaki, Ogita, Oishi and Rump,
*Error-free transformations of matrix multiplication*, Numer. Algorithms 59 (2012)). Pairs of
pieces of one order are one BLAS product, and what that rounds is small against the largest
entries of a row and a column: an absolute term of the bound.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from crosscheck.arithmetic import rounding_rules
from crosscheck.arithmetic.activations import sigmoid_of
from crosscheck.arithmetic.costs import COSTS
from crosscheck.arithmetic.error_free import (
    Pair,
    bits_of_slice,
    exact,
    fast_two_sum,
    leading,
    two_sum,
    unit_of_slice,
)
from crosscheck.arithmetic.promise import Arithmetic
from crosscheck.arithmetic.rounding_rules import Rules, Uncertain
from crosscheck.bounds import float64, reverse
from crosscheck.bounds.records import Trace
from crosscheck.exact.exponential import exp
from crosscheck.networks.network import Array, Case, Enclosure

UNIT = 2.0**-98
UNDERFLOW = 2.0**-1066
"""u, and the underflow error of an operation, in the rules of the bound."""

LEAST_SLICED = 6000
"""Multiplications from which on a product is sliced: below, xprec's own is faster."""

LEAST_EXPONENTIALS = 200
"""Exponentials from which on ours are faster than xprec's."""

SOURCE = "double-double"


@lru_cache
def _ddouble() -> Any:
    """xprec's dtype. It has to be imported behind numpy.ma, or np.median breaks on its finfo."""
    import numpy.ma  # noqa: F401
    from xprec import ddouble

    return ddouble


def wide(pair: Pair) -> Any:
    """The pair as one array of xprec's dtype, which is hi and lo side by side in memory."""
    both = np.empty((*pair.hi.shape, 2))
    both[..., 0], both[..., 1] = pair
    return both.view(_ddouble())[..., 0]


def pair_of(array: Any) -> Pair:
    """An array of xprec's dtype as a pair, whose parts lie apart: others read them faster."""
    both = np.ascontiguousarray(array)[..., None].view(np.float64)
    return Pair(both[..., 0].copy(), both[..., 1].copy())


def _slices(pair: Pair, bits: int, axis: int) -> tuple[Array, Array, Array]:
    """Two pieces of `bits` bits under the largest entry along the axis, and the rest."""
    largest = np.abs(pair.hi).max(axis, keepdims=True, initial=0.0)
    first = leading(pair.hi, unit_of_slice(largest, bits))
    rest = pair.hi - first
    second = leading(rest, unit_of_slice(largest, 2 * bits))
    return first, second, (rest - second) + pair.lo


def sliced_product(a: Pair, b: Pair) -> Pair:
    """a b for a (m, n) and b (n, k), as BLAS products of slices; see `sliced_error`."""
    bits = bits_of_slice(2 * a.hi.shape[1])
    a1, a2, a3 = _slices(a, bits, 1)
    b1, b2, b3 = _slices(b, bits, 0)
    first = a1 @ b1
    second = np.hstack([a1, a2]) @ np.vstack([b2, b1])
    rest = np.hstack([a1, a2, a3]) @ np.vstack([b3, b2 + b3, b1 + (b2 + b3)])
    total = two_sum(first, second)
    return fast_two_sum(total.hi, total.lo + rest)


def sliced_error(a: Array, b: Array) -> Array:
    """What `sliced_product` may round, from |a| (m, n) and |b| (n, k), at most (m, k).

    In units of 2^(-2 bits) of the largest entries, the 3 n terms of its last BLAS product are at
    most 2, 1 and 2, each rounded at most 3 n times: 15 n². Forming the operands rounds 6 n, and
    adding the whole to the rest 5 n.
    """
    n = a.shape[1]
    share = 26 * n * n * 2.0 ** (-2 * bits_of_slice(2 * n) - 53)
    rows = a.max(1, initial=0.0)[:, None]
    columns = b.max(0, initial=0.0)[None]
    error: Array = share * rows * columns
    return error


def product(a: Pair, b: Pair) -> Pair:
    """a b, sliced where that is faster."""
    if is_sliced(a.hi.shape, b.hi.shape):
        return sliced_product(a, b)
    return pair_of(wide(a) @ wide(b))


def is_sliced(left: Sequence[int], right: Sequence[int]) -> bool:
    """Whether `product` slices operands of these shapes."""
    return left[0] * left[1] * right[1] >= LEAST_SLICED


def sigmoid(z: Pair) -> tuple[Pair, Pair]:
    """σ(z), and σ′ = σ(z) σ(-z), from one exponential each and without cancellation."""
    of_z, negative = wide(z), z.hi < 0
    exponential = exp if z.hi.size >= LEAST_EXPONENTIALS else np.exp
    value, slope = sigmoid_of(negative, exponential(np.where(negative, of_z, -of_z)))
    return pair_of(value), pair_of(slope)


def identity(z: Pair) -> tuple[Pair, None]:
    """z, whose derivative is no factor."""
    return z, None


ACTIVATIONS: Mapping[str, Callable[[Pair], tuple[Pair, Pair | None]]] = {
    "sigmoid": sigmoid,
    "identity": identity,
}
"""z to (σ(z), σ′(z)), by name; balls rule where a network has another."""


def supports(case: Case) -> bool:
    """Whether this reference is for the case: float64, squares, activations that are here."""
    of = case.architecture
    known = set(of.activations) <= set(ACTIVATIONS) and COSTS[of.cost].squares
    return case.dtype == "float64" and known


def gradient(case: Case, scale: float) -> list[Pair]:
    """The gradients in the order of `Architecture.tensor_names`.

    `scale` is as in Trace: 1 over a whole number in every convention of the cost.
    """
    a, slopes = [exact(case.inputs)], []
    for w, b, name in zip(case.weights, case.biases, case.architecture.activations, strict=True):
        z = pair_of(wide(product(a[-1], exact(w))) + b)
        value, slope = ACTIVATIONS[name](z)
        a.append(value)
        slopes.append(slope)
    pulled_back = residual(a[-1], case.targets, scale)
    tensors: list[Pair] = []
    for k in range(len(case.weights) - 1, -1, -1):
        slope = slopes[k]
        delta = pulled_back if slope is None else times(pulled_back, slope)
        ones = exact(np.ones((1, case.samples)))
        by_bias = product(ones, delta)
        tensors[:0] = [product(a[k].transposed, delta), Pair(by_bias.hi[0], by_bias.lo[0])]
        if k:
            pulled_back = product(delta, exact(case.weights[k].T))
    return tensors


def times(a: Pair, b: Pair) -> Pair:
    """a b, entry by entry."""
    return pair_of(wide(a) * wide(b))


def residual(a: Pair, targets: Array, scale: float) -> Pair:
    """2 scale (a - targets), where they cancel too: the difference of leading parts is exact."""
    gap = two_sum(a.hi, -targets)
    difference = fast_two_sum(gap.hi, gap.lo + a.lo)
    return pair_of(wide(difference) * 2 / float(round(1 / scale)))


class DoubleDoubleRules(Rules):
    """The rules of the bound for the arithmetic above."""

    @classmethod
    def of(cls, unit: float = UNIT) -> "DoubleDoubleRules":
        plain = rounding_rules.rules_of(Arithmetic("float64"))
        return cls(
            u=unit,
            inner=unit,
            eta=UNDERFLOW,
            tau=0.0,
            largest=plain.largest,
            evaluation=rounding_rules.ALLOWANCE * 2.0**-53 / unit,
            allowance=plain.allowance,
            cancels=0.0,
        )

    def adds(self, left: Sequence[int], right: Sequence[int]) -> bool:
        return is_sliced(left, right)

    def add_to_product(self, error: Array, left: Uncertain, right: Uncertain) -> None:
        """What a sliced product rounds."""
        if self.adds(left.size.shape, right.size.shape):
            error += sliced_error(left.most, right.most)


RULES = DoubleDoubleRules.of()


def enclose(case: Case, trace: Trace | None = None) -> Enclosure | None:
    """The enclosure of the case's exact gradient, or None where this arithmetic cannot tell.

    `trace` is the evaluation in float64 that the bound needs, where it is known already.
    """
    if not supports(case):
        return None
    with np.errstate(all="ignore"):
        pairs = gradient(case, float64.cost_scale(case))
    if not all(np.isfinite(pair.hi).all() for pair in pairs):
        return None
    radius = reverse.by_rules(case, trace or float64.evaluate(case), RULES)[0]
    return Enclosure(
        [pair.hi for pair in pairs],
        [pair.lo for pair in pairs],
        radius.tensors,
        SOURCE,
        int(-np.log2(UNIT)),
    )
