"""The oracle: an enclosure of the exact gradient, by ball arithmetic (python-flint, Arb).

Every float input is a binary rational and enters exactly. Johansson, *Arb: efficient
arbitrary-precision midpoint-radius interval arithmetic*, IEEE Trans. Comput. 66 (2017). The
oracle shares no code with the paper or any rival.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import RLock

import numpy as np
from flint import arb, arb_mat, ctx

from crosscheck.arithmetic.activations import ACTIVATIONS, Balls
from crosscheck.arithmetic.costs import COSTS
from crosscheck.networks.network import Array, Case, Enclosure

START_BITS = 128

_PRECISION = RLock()


@contextmanager
def working_precision(bits: int) -> Iterator[None]:
    """Set python-flint's precision, which is global, and put it back; one thread at a time."""
    with _PRECISION:
        before = ctx.prec
        ctx.prec = bits
        try:
            yield
        finally:
            ctx.prec = before


@dataclass(frozen=True, eq=False)
class BallGradient:
    """Cost and gradients as balls; matrices (n_{l-1}, n_l) and rows (1, n_l), l = 2 … N."""

    cost: arb
    weights: Sequence[arb_mat]
    biases: Sequence[arb_mat]

    def tensors(self) -> list[arb_mat]:
        """In the order of `Architecture.tensor_names`."""
        return [t for pair in zip(self.weights, self.biases, strict=True) for t in pair]


def exact_matrix(array: Array) -> arb_mat:
    """A float array as a matrix of exact balls; a vector becomes one row."""
    rows = np.atleast_2d(array).astype(np.float64)
    return arb_mat(*rows.shape, rows.ravel().tolist())


def _product_of_entries(left: Balls, right: Balls, shape: tuple[int, int]) -> arb_mat:
    return arb_mat(*shape, [x * y for x, y in zip(left, right, strict=True)])


@dataclass(frozen=True, eq=False)
class BallNetwork:
    """A case's numbers as exact balls; `biases` as rows."""

    weights: Sequence[arb_mat]
    biases: Sequence[arb_mat]
    inputs: arb_mat
    targets: arb_mat
    activations: Sequence[str]
    cost: str

    @classmethod
    def of(cls, case: Case) -> "BallNetwork":
        return cls(
            [exact_matrix(w) for w in case.weights],
            [exact_matrix(b) for b in case.biases],
            exact_matrix(case.inputs),
            exact_matrix(case.targets),
            case.architecture.activations,
            case.architecture.cost,
        )

    @property
    def scale(self) -> arb:
        """The cost's factor on the sum of its terms."""
        factor: arb = COSTS[self.cost].ball_factor(self.inputs.nrows(), self.targets.ncols())
        return factor

    def terms(self, output: arb_mat) -> tuple[Balls, Balls]:
        """The cost's terms at a^N, entry by entry, and half of their derivatives by a^N."""
        return COSTS[self.cost].balls(output.entries(), self.targets.entries())


def forward(network: BallNetwork) -> tuple[list[arb_mat], list[Balls]]:
    """Activations a^1 … a^N, and σ′ of layers 2 … N as lists of entries."""
    activations, slopes = [network.inputs], []
    ones = arb_mat(network.inputs.nrows(), 1, [1] * network.inputs.nrows())
    for w, b, name in zip(network.weights, network.biases, network.activations, strict=True):
        z = activations[-1] * w + ones * b
        a, slope = ACTIVATIONS[name].balls(z.entries())
        activations.append(arb_mat(z.nrows(), z.ncols(), a))
        slopes.append(slope)
    return activations, slopes


def cost(network: BallNetwork) -> arb:
    """The cost alone, by definition: no derivative formula enters."""
    activations, _ = forward(network)
    terms, _ = network.terms(activations[-1])
    return sum(terms, arb(0)) * network.scale


def gradient(network: BallNetwork) -> BallGradient:
    """Cost and gradient in the current working precision."""
    activations, slopes = forward(network)
    output = activations[-1]
    terms, half_slopes = network.terms(output)
    value = sum(terms, arb(0)) * network.scale
    ones = arb_mat(1, output.nrows(), [1] * output.nrows())
    pulled_back = arb_mat(output.nrows(), output.ncols(), half_slopes) * (2 * network.scale)
    weights, biases = [], []
    for k in range(len(network.weights) - 1, -1, -1):
        shape = (pulled_back.nrows(), pulled_back.ncols())
        delta = _product_of_entries(pulled_back.entries(), slopes[k], shape)
        weights.append(activations[k].transpose() * delta)
        biases.append(ones * delta)
        if k:
            pulled_back = delta * network.weights[k].transpose()
    return BallGradient(value, weights[::-1], biases[::-1])


def _upper(ball: arb) -> float:
    """A float at least the ball's largest absolute value; 0 only where it is 0."""
    bound = float(ball.abs_upper())
    return (
        0.0 if bound == 0.0 and ball == 0 else float(np.nextafter(bound * (1 + 2.0**-50), np.inf))
    )


def split(ball: arb) -> tuple[float, float, float]:
    """(hi, lo, radius) with |x - hi - lo| <= radius for every x in the ball.

    hi is nearest the midpoint but for the last bit; what the pair cannot hold goes to the radius.
    """
    hi = float(ball)
    rest = ball - hi
    lo = float(rest)
    return hi, lo, _upper(rest - lo)


def enclose(case: Case, bits: int = START_BITS) -> Enclosure:
    """The enclosure of the case's exact gradient, from `bits` bits of working precision."""
    with working_precision(bits):
        balls = gradient(BallNetwork.of(case))
        his, los, radii = [], [], []
        for matrix, shape in zip(balls.tensors(), case.architecture.tensor_shapes, strict=True):
            parts = np.array([split(ball) for ball in matrix.entries()]).reshape(*shape, 3)
            his.append(parts[..., 0])
            los.append(parts[..., 1])
            radii.append(parts[..., 2])
        return Enclosure(his, los, radii, f"balls at {bits} bits", bits, split(balls.cost))
