"""The table of costs: all that anybody asks of one stands in its entry.

A cost is a factor, a product of powers of 2, D and n_N, on Σ_i Σ_j term(a^N_ij, expected_ij). As in
`activations`, each side has an expression of its own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from crosscheck.arithmetic.activations import Balls, imported
from crosscheck.arithmetic.formats import Array
from crosscheck.arithmetic.rounding_rules import Factor, Rules

OfPair = Callable[[Any, Any], Any]
"""A function of a^N and what is expected."""


class Exponents(NamedTuple):
    """A product of powers of 2, D and n_N; none of them is above 0."""

    twos: int = 0
    samples: int = 0
    outputs: int = 0

    def factor(self, samples: int, outputs: int) -> float:
        """Its value: one over a whole number."""
        return 1 / self.divisor(samples, outputs)

    def divisor(self, samples: int, outputs: int) -> int:
        """That whole number."""
        divisor: int = 2**-self.twos * samples**-self.samples * outputs**-self.outputs
        return divisor


@dataclass(frozen=True)
class Cost:
    """A cost; functions of a^N and what is expected go entry by entry, (D, n_N), if not told else.

    `exponents` are those of the factor, and `ball_factor` is the factor in balls, from D and n_N.
    `slope` is ∂term/∂a and `curvature` ∂²term/∂a² in any float type, `most(|a - y|, E_a)` at least
    the term. `rule(rules, a, E_a, y, factor, n_N)` is E of ∂cost/∂a; E_a may be None.
    `balls` takes lists of a and y to lists of terms and of half their slopes, for squares a - y.
    `torch` and `jax` are the whole cost, with the factor, of arrays; `jax_term` is the term alone,
    for padded networks, or None where it is not 0 at a = y.
    `squares` says that the term is (a - y)²: references in pairs of doubles know no other.
    """

    exponents: Exponents
    ball_factor: Callable[[int, int], Any]
    slope: OfPair
    curvature: OfPair
    most: Callable[[Array, Array], Array]
    rule: Callable[[Rules, Array, Array | None, Array, Factor, Factor], Array]
    balls: Callable[[Balls, Balls], tuple[Balls, Balls]]
    torch: OfPair
    jax: OfPair
    jax_term: OfPair | None = None
    squares: bool = False

    def factor(self, samples: int, outputs: int) -> float:
        """The factor on the sum of terms."""
        return self.exponents.factor(samples, outputs)


def _error_of_residual(
    rules: Rules, a: Array, error: Array | None, expected: Array, factor: Factor, outputs: Factor
) -> Array:
    """E of 2 factor (a - y), wherever the scaling is placed."""
    difference = (a - expected).astype(np.float64, copy=False)
    return rules.residual(difference, error, factor, outputs)


def _slope_of_square(a: Any, expected: Any) -> Any:
    return 2 * (a - expected)


def _balls_of_squares(a: Balls, expected: Balls) -> tuple[Balls, Balls]:
    residual = [x - y for x, y in zip(a, expected, strict=True)]
    return [r * r for r in residual], residual


def _arb(number: int) -> Any:
    from flint import arb

    return arb(number)


def _jax_squares(a: Any, expected: Any) -> Any:
    return imported("jax.numpy.square")(a - expected)


def _of_squares(exponents: Exponents, ball_factor: Any, torch: OfPair, jax: OfPair) -> Cost:
    """A convention of the paper's cost: a factor on Σ (a^N - expected)²."""
    return Cost(
        exponents=exponents,
        ball_factor=ball_factor,
        slope=_slope_of_square,
        curvature=lambda a, y: np.full_like(a, 2.0),
        most=lambda distance, error: np.square(distance + error),
        rule=_error_of_residual,
        balls=_balls_of_squares,
        torch=torch,
        jax=jax,
        jax_term=_jax_squares,
        squares=True,
    )


COSTS: dict[str, Cost] = {
    "squared_error": _of_squares(
        Exponents(samples=-1),
        lambda samples, outputs: _arb(1) / samples,
        torch=lambda a, y: (a - y).square().sum(dim=1).mean(),
        jax=lambda a, y: _jax_squares(a, y).sum(axis=1).mean(),
    ),
    "half_squared_error": _of_squares(
        Exponents(twos=-1, samples=-1),
        lambda samples, outputs: _arb(1) / (2 * samples),
        torch=lambda a, y: (a - y).square().sum(dim=1).mean() / 2,
        jax=lambda a, y: _jax_squares(a, y).sum(axis=1).mean() / 2,
    ),
    "sum_squared_error": _of_squares(
        Exponents(),
        lambda samples, outputs: _arb(1),
        torch=lambda a, y: (a - y).square().sum(),
        jax=lambda a, y: _jax_squares(a, y).sum(),
    ),
    "mean_squared_error": _of_squares(
        Exponents(samples=-1, outputs=-1),
        lambda samples, outputs: _arb(1) / (samples * outputs),
        torch=lambda a, y: (a - y).square().mean(),
        jax=lambda a, y: _jax_squares(a, y).mean(),
    ),
}
"""C1 of the paper, and the other conventions of the same cost, by name."""
