"""The table of costs: all that anybody asks of one stands in its entry.

A cost is a factor, a product of powers of 2, D and n_N, on Σ_i Σ_j term(a^N_ij, expected_ij). As in
`activations`, each side has an expression of its own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from crosscheck.arithmetic import compositions
from crosscheck.arithmetic.activations import Balls, imported, not_here
from crosscheck.arithmetic.compositions import Writer
from crosscheck.arithmetic.formats import Array
from crosscheck.arithmetic.rounding_rules import Factor, Rules

OfPair = Callable[[Any, Any], Any]
"""A function of a^N and what is expected."""

Written = Callable[[Writer, int, int], int]
"""(write, a or z, y) to a value of their shape."""


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


class Fitting(NamedTuple):
    """What may be expected under a cost: a sentence that says it, and the test."""

    sentence: str
    holds: Callable[[Array], bool]


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

    `term` and `steepness` write the term and its slope in primitives; with the default `rule` there
    are no other, and networks with it are judged through their programs. With `of_logits` all are
    functions of z^N, output activation included: `outputs` are those that it may have, any where
    there are none. `targets` takes normal numbers (D, n_N) to what may be expected, if that does
    not hang on the output; `fits` says of what is expected whether it may be.
    """

    exponents: Exponents
    torch: OfPair
    jax: OfPair
    ball_factor: Callable[[int, int], Any] = not_here
    slope: OfPair = not_here
    curvature: OfPair = not_here
    most: Callable[[Array, Array], Array] = not_here
    rule: Callable[[Rules, Array, Array | None, Array, Factor, Factor], Array] = not_here
    balls: Callable[[Balls, Balls], tuple[Balls, Balls]] = not_here
    term: Written | None = None
    steepness: Written | None = None
    of_logits: bool = False
    outputs: tuple[str, ...] = ()
    targets: Callable[[Array], Array] | None = None
    fits: "Fitting | None" = None
    jax_term: OfPair | None = None
    squares: bool = False

    @property
    def quick(self) -> bool:
        """Whether it has rules of its own, and not its composition alone."""
        return self.rule is not not_here

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
        term=compositions.squares,
        steepness=compositions.slope_of_squares,
    )


def _one_hot(x: Array) -> Array:
    """1 in the place of the largest of each row, which is the label, and 0 elsewhere."""
    return np.eye(x.shape[1])[x.argmax(1)]


def _add_up_to_one(y: Array) -> bool:
    wide = y.astype(np.float64)
    digits = 2.0**-53 if y.dtype == np.float64 else 2.0**-8
    return bool(np.all(wide >= 0) and np.all(np.abs(wide.sum(1) - 1) <= y.shape[1] * digits))


DISTRIBUTIONS = Fitting(
    "rows of probabilities, such as one-hot labels, which add up to 1", _add_up_to_one
)
PROBABILITIES = Fitting("numbers in 0 … 1", lambda y: bool(np.all((y >= 0) & (y <= 1))))


def _torch_binary(z: Any, y: Any) -> Any:
    own = imported("torch.nn.functional.binary_cross_entropy_with_logits")
    return own(z, y, reduction="sum") / len(z)


def _jax_binary(z: Any, y: Any) -> Any:
    log = imported("jax.nn.log_sigmoid")
    return -(y * log(z) + (1 - y) * log(-z)).sum(axis=1).mean()


def _torch_cross_entropy(z: Any, y: Any) -> Any:
    return imported("torch.nn.functional.cross_entropy")(z, y)


def _jax_cross_entropy(z: Any, y: Any) -> Any:
    return -(y * imported("jax.nn.log_softmax")(z)).sum(axis=1).mean()


def _jax_huber(a: Any, y: Any) -> Any:
    numpy = import_module("jax.numpy")
    distance = numpy.abs(a - y)
    return numpy.where(distance <= 1, distance**2 / 2, distance - 0.5).sum(axis=1).mean()


def _binary(output: str) -> Cost:
    """Binary cross-entropy, a bit for each output, by z^N."""
    return Cost(
        exponents=Exponents(samples=-1),
        torch=_torch_binary,
        jax=_jax_binary,
        term=compositions.binary_cross_entropy,
        steepness=compositions.slope_of_binary_cross_entropy,
        of_logits=True,
        outputs=(output,),
        targets=lambda x: 0.5 + x / (2 + 2 * np.abs(x)),
        fits=PROBABILITIES,
    )


def _categorical(output: str) -> Cost:
    """Cross-entropy of a softmax over the outputs, by z^N."""
    return Cost(
        exponents=Exponents(samples=-1),
        torch=_torch_cross_entropy,
        jax=_jax_cross_entropy,
        term=compositions.cross_entropy,
        steepness=compositions.slope_of_cross_entropy,
        of_logits=True,
        outputs=(output,),
        targets=_one_hot,
        fits=DISTRIBUTIONS,
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
    "half_mean_squared_error": _of_squares(
        Exponents(twos=-1, samples=-1, outputs=-1),
        lambda samples, outputs: _arb(1) / (2 * samples * outputs),
        torch=lambda a, y: (a - y).square().mean() / 2,
        jax=lambda a, y: _jax_squares(a, y).mean() / 2,
    ),
    "binary_cross_entropy": _binary("sigmoid"),
    "binary_cross_entropy_with_logits": _binary("identity"),
    "cross_entropy": _categorical("softmax"),
    "cross_entropy_with_logits": _categorical("identity"),
    "huber": Cost(
        exponents=Exponents(samples=-1),
        torch=lambda a, y: (
            imported("torch.nn.functional.huber_loss")(a, y, reduction="sum") / len(a)
        ),
        jax=_jax_huber,
        term=compositions.huber,
        steepness=compositions.slope_of_huber,
    ),
    "mean_absolute_error": Cost(
        exponents=Exponents(samples=-1),
        torch=lambda a, y: (a - y).abs().sum(dim=1).mean(),
        jax=lambda a, y: imported("jax.numpy.abs")(a - y).sum(axis=1).mean(),
        term=compositions.absolute,
        steepness=compositions.slope_of_absolute,
    ),
}
"""C1 of the paper, other conventions of the same cost, and other costs, by name."""


def require_fitting(output: str, cost: str) -> None:
    """Raises ValueError where the cost is not one of this output, with what would be right."""
    allowed = COSTS[cost].outputs
    if not allowed or output in allowed:
        return
    logits = f"{cost}_with_logits"
    plain = cost.removesuffix("_with_logits")
    hint = ""
    if output == "identity" and logits in COSTS:
        hint = f"; of logits, which an identity output gives, the cost is {logits}"
    elif output in COSTS[plain].outputs:
        hint = f"; after a {output} the cost is {plain}"
    raise ValueError(f"cost {cost} goes with output {allowed[0]}, not with {output}{hint}")
