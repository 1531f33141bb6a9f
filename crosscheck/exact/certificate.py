"""The oracle's certificate: its gradient against the definition of the derivative, in balls.

For a random direction v of one tensor, (cost(θ + h v) - cost(θ - h v)) / 2h must be ⟨gradient, v⟩.
Two costs a tensor, and no derivative formula: the oracle is not asked to trust backpropagation.
With the oracle at p bits, h = 2^-p leaves a truncation of relative size 2^-2p, far below the
oracle's radius; and 4p + log₂(cost / |g|) bits keep the quotient's own radius below it too. Where
that is not so, the comparison could not have failed and does not count: the precision is raised.
Where numbers are huge the truncation may be larger: it vanishes with the step, a mistake does not.
"""

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from flint import arb, arb_mat

from crosscheck.exact import oracle
from crosscheck.networks.network import Case

ATTEMPTS = 3
"""How often the quotient's precision is raised before a tensor stays uncounted."""

STEPS = (1, 4, 16)
"""Steps 2^(-p times this) that are tried before a disagreement is more than truncation."""


class TensorComparison(NamedTuple):
    """One tensor: whether the quotient's ball could have told, and whether it agrees."""

    tensor: str
    counted: bool
    agrees: bool


@dataclass(frozen=True)
class Certificate:
    """The comparisons of a case; `bits` is the oracle's precision."""

    bits: int
    comparisons: tuple[TensorComparison, ...]

    @property
    def failed(self) -> list[str]:
        """Tensors whose gradient is not the derivative of the cost."""
        return [c.tensor for c in self.comparisons if c.counted and not c.agrees]

    @property
    def counted(self) -> int:
        """Tensors whose comparison could have failed."""
        return sum(c.counted for c in self.comparisons)

    @property
    def verdict(self) -> str:
        """ "certified", "failed", or "in part" where some comparison does not count."""
        if self.failed:
            return "failed"
        return "certified" if self.counted == len(self.comparisons) else "in part"


def certify(
    case: Case, bits: int = oracle.START_BITS, gradient: oracle.BallGradient | None = None
) -> Certificate:
    """Certify the case's gradient at `bits` bits, or a `gradient` given instead."""
    network = oracle.BallNetwork.of(case)
    with oracle.working_precision(bits):
        balls = gradient or oracle.gradient(network)
        rng = np.random.default_rng([case.seed, case.index])
        comparisons = [
            _compare(network, name, which, matrix, balls.cost, rng, bits)
            for which, (name, matrix) in enumerate(
                zip(case.architecture.tensor_names, balls.tensors(), strict=True)
            )
        ]
    return Certificate(bits, tuple(comparisons))


def _compare(
    network: oracle.BallNetwork,
    name: str,
    which: int,
    gradient: arb_mat,
    cost: arb,
    rng: np.random.Generator,
    bits: int,
) -> TensorComparison:
    """One tensor along one direction of entries in ±[½, 1), which are exact."""
    shape = gradient.nrows(), gradient.ncols()
    direction = rng.uniform(0.5, 1, shape) * rng.choice([-1.0, 1.0], shape)
    expected = sum(
        (g * v for g, v in zip(gradient.entries(), direction.ravel().tolist(), strict=True)), arb(0)
    )
    allowed = expected.rad()
    excess = _excess_bits(cost, expected)
    for step in (times * bits for times in STEPS):
        precision = 3 * bits + step + excess
        quotient = _narrow_quotient(network, which, direction, step, precision, allowed)
        if quotient is None:
            return TensorComparison(name, False, True)
        with oracle.working_precision(precision):
            gap = abs(quotient - expected).abs_lower()
            if gap <= _truncation(expected, bits):
                return TensorComparison(name, True, True)
    return TensorComparison(name, True, False)


def _narrow_quotient(
    network: oracle.BallNetwork,
    which: int,
    direction: np.ndarray,
    step: int,
    precision: int,
    allowed: arb,
) -> arb | None:
    """The quotient to a radius below `allowed`, or None where no attempt's precision suffices."""
    for _ in range(ATTEMPTS):
        quotient = _quotient(network, which, direction, step, precision)
        if quotient.rad() < allowed:
            return quotient
        precision *= 2
    return None


def _truncation(expected: arb, bits: int) -> arb:
    """Room for the quotient's truncation, h² times a third derivative: 2^-(3/2)p, relative."""
    return abs(expected).abs_upper() * arb(2) ** -(3 * bits // 2)


def _excess_bits(cost: arb, expected: arb) -> int:
    """log₂(cost / |⟨g, v⟩|), which the difference of two costs loses; at least 0."""
    c, e = (_log2(x) for x in (cost, expected))
    return max(0, math.ceil(c - e)) if math.isfinite(c - e) else 0


def _log2(ball: arb) -> float:
    upper = abs(ball).abs_upper()
    return float(upper.log() / arb(2).log()) if upper > 0 else -math.inf


def _quotient(
    network: oracle.BallNetwork, which: int, direction: np.ndarray, step: int, precision: int
) -> arb:
    """(cost(θ + h v) - cost(θ - h v)) / 2h with h = 2^-step, in `precision` bits."""
    with oracle.working_precision(precision):
        h = arb(2) ** -step
        step = oracle.exact_matrix(direction) * h
        up, down = (oracle.cost(_moved(network, which, s)) for s in (step, -1 * step))
        return (up - down) / (2 * h)


def _moved(network: oracle.BallNetwork, which: int, step: arb_mat) -> oracle.BallNetwork:
    """The network with a step added to one of its tensors."""
    weights, biases = list(network.weights), list(network.biases)
    of_kind = (weights, biases)[which % 2]
    of_kind[which // 2] = of_kind[which // 2] + step
    return replace(network, weights=weights, biases=biases)
