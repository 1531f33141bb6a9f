"""The oracle: an enclosure of the exact gradient, by ball arithmetic (python-flint, Arb).

Every float input is a binary rational and enters exactly. Johansson, *Arb: efficient
arbitrary-precision midpoint-radius interval arithmetic*, IEEE Trans. Comput. 66 (2017). The
oracle shares no code with the paper or any rival.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import RLock

import numpy as np
from flint import arb, arb_mat, ctx

from crosscheck.values import Array, Case, Enclosure

START_BITS = 128

Balls = list[arb]
"""The entries of a matrix, row by row."""


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


def _sigmoid(z: Balls) -> tuple[Balls, Balls]:
    """σ and σ′ with full relative accuracy on both sides, from one exponential a neuron.

    With e = exp(-|z|) and c = 1/(1 + e), σ(|z|) = c and σ(-|z|) = e c; σ′ is their product.
    """
    values, slopes = [], []
    for ball in z:
        negative = ball < 0
        e = (ball if negative else -ball).exp()
        c = 1 / (1 + e)
        values.append(e * c if negative else c)
        slopes.append(e * c * c)
    return values, slopes


def _tanh(z: Balls) -> tuple[Balls, Balls]:
    return [x.tanh() for x in z], [x.sech() ** 2 for x in z]


def _identity(z: Balls) -> tuple[Balls, Balls]:
    return z, [arb(1)] * len(z)


def _relu(z: Balls) -> tuple[Balls, Balls]:
    """max(z, 0), and the derivative that frameworks take at the kink, 0."""
    zero, one = arb(0), arb(1)
    return [x.nonnegative_part() for x in z], [one if x > 0 else zero for x in z]


ACTIVATIONS: Mapping[str, Callable[[Balls], tuple[Balls, Balls]]] = {
    "sigmoid": _sigmoid,
    "identity": _identity,
    "tanh": _tanh,
    "relu": _relu,
}
"""z to (σ(z), σ′(z)), by name."""


def exact_matrix(array: Array) -> arb_mat:
    """A float array as a matrix of exact balls; a vector becomes one row."""
    rows = np.atleast_2d(array).astype(np.float64)
    return arb_mat(*rows.shape, rows.ravel().tolist())


def _product_of_entries(left: Balls, right: Balls, shape: tuple[int, int]) -> arb_mat:
    return arb_mat(*shape, [x * y for x, y in zip(left, right, strict=True)])


def cost_factor(name: str, samples: int, outputs: int) -> arb:
    """The factor of the cost's convention on Σ_i Σ_j (a^N - expected)²; C1 has 1/D."""
    return {
        "squared_error": arb(1) / samples,
        "half_squared_error": arb(1) / (2 * samples),
        "sum_squared_error": arb(1),
        "mean_squared_error": arb(1) / (samples * outputs),
    }[name]


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
        return cost_factor(self.cost, self.inputs.nrows(), self.targets.ncols())


def forward(network: BallNetwork) -> tuple[list[arb_mat], list[Balls]]:
    """Activations a^1 … a^N, and σ′ of layers 2 … N as lists of entries."""
    activations, slopes = [network.inputs], []
    ones = arb_mat(network.inputs.nrows(), 1, [1] * network.inputs.nrows())
    for w, b, name in zip(network.weights, network.biases, network.activations, strict=True):
        z = activations[-1] * w + ones * b
        a, slope = ACTIVATIONS[name](z.entries())
        activations.append(arb_mat(z.nrows(), z.ncols(), a))
        slopes.append(slope)
    return activations, slopes


def cost(network: BallNetwork) -> arb:
    """The cost alone, by definition: no derivative formula enters."""
    activations, _ = forward(network)
    residual = (activations[-1] - network.targets).entries()
    return sum((r * r for r in residual), arb(0)) * network.scale


def gradient(network: BallNetwork) -> BallGradient:
    """Cost and gradient in the current working precision."""
    activations, slopes = forward(network)
    residual = activations[-1] - network.targets
    value = sum((r * r for r in residual.entries()), arb(0)) * network.scale
    ones = arb_mat(1, residual.nrows(), [1] * residual.nrows())
    pulled_back = residual * (2 * network.scale)
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
