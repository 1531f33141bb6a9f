"""What roundings can add up to where they are the same roundings everywhere: sharper than B.

B takes each error at its largest and adds magnitudes. But the rounding of one z reaches a
gradient along many paths, with signs that are known (affine arithmetic: de Figueiredo and Stolfi,
*Affine arithmetic: concepts and applications*, Numer. Algorithms 37 (2004)). So for the error of
entry e of a gradient

    err_e = Σ_k c_ek ε_k + ρ_e,   |ε_k| <= 1 the same in all entries,   |ρ_e| <= local_e,

and |err_e| <= Σ_k |c_ek| + local_e. `combining` adds up entries.

What is taken for granted beside the rules of B: an operand of a product is an array, of which
each entry is one number wherever that product uses it. But a network may be evaluated more than
once, with other instructions (recomputation, or a compiler that fuses one sum into two loops):
in a gradient the residual, each σ′ and the activation that δ is multiplied by come of evaluations
of their own, with symbols of their own, though an engine may well evaluate once. Roundings in
products with σ′, of the cost's factor and of 1 - a² may differ from use to use. As no sum is
taken over two tensors, these have nothing in common; and as in forward mode blocks of weights may
have evaluations of their own, no entries are added up there.

The argument. A gradient is a polynomial in the activations a, the slopes s and the residual r, in
each of which it is linear along every path, and the weights are exact. Every engine evaluates it
at the same kind of numbers: a + e_a, s + e_s, r + e_r.

- Forward, e_z = e_a W + ρ_z exactly, e_a = σ′ e_z + ρ_a and e_s = σ″ e_z + ρ_s, where ρ holds the
  curvature (half the largest second derivative over the ball times E²), the library's own
  roundings, and a difference between forms of σ′. Each ρ has a symbol of its own a sample, a
  neuron, and an evaluation.
- What is of first order in e_a, e_s and e_r is the same in every order of evaluation: the
  derivative of one polynomial. Its coefficients are those of δ = G s carried backward.
- What is left is bounded by magnitudes, in each order its own: products of two deviations, the
  rounding of each operation at the magnitudes that may be computed, and underflow. In the
  contracted order the rounding of G has a symbol; in the literal one Σ_j r_j × (rounding of
  ∂a^N_j/∂a) acts as one, through the same derivatives; the rest is local. In forward mode each
  weight may have a tangent of its own, so all is local. Roundings in products with σ′ are taken
  through |W|, as W s may be formed first.
- Coefficients are those of the float64 trace, which lies within `off` of the exact values: the
  difference times a deviation is of second order and local. What float64 rounds in n-term sums
  of coefficients is at most n 2^-53 Σ|coefficient|, and local; what it rounds in sums of
  magnitudes is within EVALUATION_SLACK.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from crosscheck import bound
from crosscheck.arithmetic import Arithmetic, Order
from crosscheck.bound import Overflow
from crosscheck.deviations import UNIT, VANISHING, Deviation, inputs, layers
from crosscheck.evaluation import Bound, Trace
from crosscheck.pulled_back import InOrder, Setting, backward
from crosscheck.rounding_rules import ALLOWANCE, EVALUATION_SLACK, Rules, rules_of
from crosscheck.summed_last import forward_mode, literal
from crosscheck.values import Array, Case

LARGEST = 2**31
"""Coefficients of a tensor (entries × samples × symbols) beyond which it is not tried."""

SYMBOLS = 2
"""Symbols of a sample and neuron in an evaluation: of z, and of a or σ′."""


class Correlated(NamedTuple):
    """Errors of a gradient by their symbols, for each of the orders of evaluation.

    `activations` are a^1 … a^(N-1). Of the columns (D, K, n_l) of each of `deltas`, `known` have
    their radii in them, as `Swept` says; those of G^(N-1), G^(N-2) … between have radius 1.
    """

    case: Case
    activations: Sequence[Deviation]
    deltas: Sequence[Deviation]
    known: Sequence[int]
    orders: Sequence[InOrder]

    def symbols(self, which: int) -> int:
        """How many a tensor's errors depend on, those of all samples counted."""
        samples, count, _ = self.deltas[which // 2].columns.shape
        if which % 2 == 0:
            count += self.activations[which // 2].columns.shape[1]
        return int(samples * count)

    def limit(self, which: int, order: InOrder) -> Array:
        """What each entry may be off by in an order of evaluation: never more than B.

        Where little is shared B is less, for it need not allow the cost's factor in many places.
        """
        total = self.magnitudes(which, order) + self.residue(which, order)
        return np.minimum(total * EVALUATION_SLACK, order.allowed[which])

    def coefficients(self, which: int, order: InOrder, entries: Array) -> Array:
        """c_ek of the flat `entries` of a tensor: one row an entry."""
        columns = self._columns(which, order)
        if which % 2:
            picked = columns[:, :, entries]
            return picked.transpose(2, 0, 1).reshape(len(entries), -1)
        a, delta = self.activations[which // 2], self.deltas[which // 2]
        m, t = np.unravel_index(entries, (a.value.shape[1], delta.value.shape[1]))
        parts = [
            columns[:, :, t] * a.value[:, None, m],
            a.columns[:, :, m] * delta.value[:, None, t],
        ]
        picked = np.concatenate(parts, axis=1)
        return picked.transpose(2, 0, 1).reshape(len(entries), -1)

    def residue(self, which: int, order: InOrder) -> Array:
        """local_e, and what float64 may have rounded off the coefficients, or lost of them."""
        rounded: Array = order.local[which] + self._rounded(which, order) + VANISHING
        return rounded * EVALUATION_SLACK

    def magnitudes(self, which: int, order: InOrder) -> Array:
        """Σ_k |c_ek|."""
        reach = np.abs(self._columns(which, order)).sum(1)
        if which % 2:
            return reach.sum(0)
        a, delta = self.activations[which // 2], self.deltas[which // 2]
        total: Array = np.abs(a.value).T @ reach
        return total + np.abs(a.columns).sum(1).T @ np.abs(delta.value)

    def _rounded(self, which: int, order: InOrder) -> Array:
        """Each coefficient is two products."""
        return 4 * UNIT * self.magnitudes(which, order)

    def _columns(self, which: int, order: InOrder) -> Array:
        """The coefficients of a layer's δ with the order's radii."""
        columns = self.deltas[which // 2].columns
        radii: list[Array] = []
        for count, radius in zip(self.known, [*order.radii[::-1], columns[:, 0, :0]], strict=True):
            radii += [np.ones((len(columns), count)), radius]
        return columns * np.concatenate(radii, axis=1)[:, : columns.shape[1], None]


def hindrance(case: Case, arithmetic: Arithmetic, limits: Mapping[Order, Bound]) -> str:
    """Why nothing sharper than B is known; empty where it is. `limits` as in `analyse`."""
    bounds = limits.values()
    widths = case.architecture.widths
    entries = [n * m for n, m in case.architecture.weight_shapes]
    # Of the residual, each σ′, the activation and all G together.
    evaluations = case.architecture.layers + 2
    named = {
        "a wider accumulator": arithmetic.accumulate is not None,
        "overflow": any(one.overflow for one in bounds),
        "kinks": any(any(one.kinks) for one in bounds),
        "errors that grow": any(one.growth > ALLOWANCE for one in bounds),
        "an infinite bound": not all(np.isfinite(t).all() for one in bounds for t in one.tensors),
        "size": max(entries) * case.samples * SYMBOLS * sum(widths) * evaluations > LARGEST,
    }
    return next((name for name, holds in named.items() if holds), "")


def analyse(
    case: Case, trace: Trace, arithmetic: Arithmetic, limits: Mapping[Order, Bound]
) -> Correlated:
    """The symbols of a gradient's errors, where there is no `hindrance`.

    `limits` are the bounds B of each order that the engine may have, with activations of absolute
    accuracy. Where float64 overflows, a limit is no number, and nothing is beyond it.
    """
    with np.errstate(all="ignore"):
        return _analysed(case, trace, rules_of(arithmetic, absolute=True), limits)


def _analysed(case: Case, trace: Trace, rules: Rules, limits: Mapping[Order, Bound]) -> Correlated:
    overflow = Overflow(rules, trace.unscaled)
    forward = bound.forward_errors(case, trace, rules, overflow)
    residual = bound.residual_errors(case, trace, rules, forward, overflow)
    back = Setting(case, trace, rules, forward, residual, layers(case, trace, rules, forward))
    swept = backward(back, limits.get("contracted"))
    made = {
        "contracted": lambda one: InOrder(swept.radii, swept.local, one.tensors, alike=True),
        "literal": lambda one: literal(back, swept, one),
        "forward": lambda one: forward_mode(back, swept, one),
    }
    activations = [inputs(trace), *[passed.a for passed in back.passed[:-1]]]
    found = [made[name](one) for name, one in limits.items()]
    return Correlated(case, activations, swept.deltas, swept.known, found)
