"""The table of activations: all that anybody asks of one stands in its entry.

A new activation is one entry. Each side has an expression of its own, so that what is compared
shares no code: `function` is ours in NumPy, `balls` the oracle's, `torch` and `jax` name functions
of those libraries, `plain` and `slope` are what a user of NumPy writes by hand. `value` and
`steepness` are short compositions of primitives; where there is no more, they alone rule.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any

import numpy as np

from crosscheck.arithmetic import activation_rules, compositions
from crosscheck.arithmetic.activation_rules import ActivationRule
from crosscheck.arithmetic.compositions import Slope, Value
from crosscheck.arithmetic.formats import Array

Pointwise = Callable[[Any], Any]
"""A function of arrays, entry by entry."""

Balls = list[Any]
"""python-flint's `arb`, entry by entry."""


@lru_cache
def imported(named: str | Pointwise) -> Callable[..., Any]:
    """A library's function from its dotted name, imported when it is first asked for."""
    if not isinstance(named, str):
        return named
    module, _, name = named.rpartition(".")
    return getattr(import_module(module), name)


def not_here(*arrays: Any) -> Any:
    """Stands for what only entries with rules of their own have."""
    raise NotImplementedError("this activation or cost is known by its composition alone")


@dataclass(frozen=True)
class Activation:
    """An activation σ.

    `value` writes σ and `steepness` σ′ in primitives, see `compositions`; with the default `rule`
    there are no other, and networks with it are judged through their programs.

    `function` takes z to (σ, σ′), both accurate where either is small, in float64, long double and
    double-doubles alike; σ′ is None where σ is linear. `in_float64` is a faster one for float64.
    `rule` is the bound's, see `activation_rules`; `concave` says that the largest change over a
    ball is concave in its radius, `kinks` that σ′ jumps. `balls` takes a list of z to lists of σ
    and σ′. `torch` and `jax` are names such as "torch.tanh", or functions that import inside.
    `plain` is σ and `slope` σ′ from a = σ(z), as a user of NumPy writes them; `slope` is None where
    a does not tell it. Where engines round before the last operation of `slope`, `slope_rounding`
    is the error of that, (a, u) to E.
    `slope_by_value` is dσ′/da, for the ℓ2 bound, or None where `curvature`, z to σ″, serves; and
    `roundings` are those of σ as libraries usually have it: half of what B allows.
    `targets` takes normal numbers to the range of an output; `at_zero` is σ(0) where every format
    has it, else None. `mistaken_for` is the activation whose σ′ is taken by mistake.
    `output_only` says that it goes over all outputs of a sample, and has no σ′.
    """

    torch: str | Pointwise
    jax: str | Pointwise
    plain: Pointwise
    function: Callable[[Any], tuple[Any, Any]] = not_here
    rule: ActivationRule = not_here
    balls: Callable[[Balls], tuple[Balls, Balls]] = not_here
    value: Value | None = None
    steepness: Slope | None = None
    slope: Pointwise | None = None
    in_float64: Callable[[Array], tuple[Array, Array]] | None = None
    slope_rounding: Callable[[Array, float], Array] | None = None
    slope_by_value: Pointwise | None = None
    curvature: Pointwise | None = None
    roundings: int = 4
    concave: bool = False
    kinks: bool = False
    targets: Pointwise = lambda x: x
    at_zero: float | None = None
    mistaken_for: str = "sigmoid"
    output_only: bool = False

    @property
    def quick(self) -> bool:
        """Whether it has rules of its own, and not its composition alone."""
        return self.rule is not not_here

    def evaluate(self, z: Array) -> tuple[Array, Array | None]:
        """(σ, σ′) in float64."""
        return (self.in_float64 or self.function)(z)

    def derivative(self, x: Any) -> Any:
        """What a user takes for σ′: from a = σ(z), or from z where a does not tell it."""
        return self.function(x)[1].astype(x.dtype) if self.slope is None else self.slope(x)


def positive(a: Any) -> Any:
    """1 where a > 0, else 0, in the number type of `a`, as plain numbers."""
    value = getattr(a, "value", a)
    dtype = a.dtype if isinstance(a, np.ndarray) else np.float64
    return (value > 0).astype(dtype)


def sigmoid_of(negative: Array, e: Any) -> tuple[Any, Any]:
    """σ and σ′ without cancellation, from e = exp(-|z|) and where z is negative.

    For any type of numbers: float64, long double, double-doubles.
    """
    c = 1 / (1 + e)
    small = e * c
    return np.where(negative, small, c), small * c


def _sigmoid(z: Any) -> tuple[Any, Any]:
    return sigmoid_of(z < 0, np.exp(-np.abs(z)))


def _sigmoid_in_float64(z: Array) -> tuple[Array, Array]:
    """σ(z), and σ′ = σ(z) σ(-z), which does not cancel."""
    from scipy.special import expit

    a = expit(z)
    return a, a * expit(-z)


def _sigmoid_of_balls(z: Balls) -> tuple[Balls, Balls]:
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


def _sigmoid_by_hand(z: Any) -> Any:
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-z))


def _tanh(z: Any) -> tuple[Any, Any]:
    """tanh z, and sech² z = 4 e^(-2|z|) / (1 + e^(-2|z|))², which does not cancel."""
    e = np.exp(-2 * np.abs(z))
    return np.tanh(z), 4 * e / ((1 + e) * (1 + e))


def _identity_of_balls(z: Balls) -> tuple[Balls, Balls]:
    from flint import arb

    return z, [arb(1)] * len(z)


def _relu_of_balls(z: Balls) -> tuple[Balls, Balls]:
    """max(z, 0), and the derivative that frameworks take at the kink, 0."""
    from flint import arb

    zero, one = arb(0), arb(1)
    return [x.nonnegative_part() for x in z], [one if x > 0 else zero for x in z]


def _itself(z: Any) -> Any:
    return z


def _selu_by_hand(z: Any) -> Any:
    negative = compositions.SELU_ALPHA * np.expm1(np.minimum(z, 0))
    return (compositions.SELU_SCALE * np.where(z > 0, z, negative)).astype(z.dtype)


def _torch_softplus(z: Any) -> Any:
    """By logsigmoid: torch's softplus is z itself above 20, which is off by 2e-9 there."""
    return -imported("torch.nn.functional.logsigmoid")(-z)


def _torch_hardsigmoid(z: Any) -> Any:
    """By relu6: the slope of torch's hardsigmoid is float32's 1/6 in float64 too."""
    return imported("torch.nn.functional.relu6")(z + 3) / 6


def _gelu_by_hand(z: Any) -> Any:
    from scipy.special import erf

    return z * (1 + erf(z / np.sqrt(z.dtype.type(2)))) / 2


def _gelu_tanh_by_hand(z: Any) -> Any:
    root = np.sqrt(z.dtype.type(2 / np.pi))
    return z * (1 + np.tanh(root * (z + compositions.GELU_CUBE * z**3))) / 2


def _softmax_by_hand(z: Any) -> Any:
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


ACTIVATIONS: dict[str, Activation] = {
    "sigmoid": Activation(
        value=compositions.sigmoid,
        steepness=compositions.slope_of_sigmoid,
        function=_sigmoid,
        in_float64=_sigmoid_in_float64,
        rule=activation_rules.sigmoid,
        balls=_sigmoid_of_balls,
        torch="torch.sigmoid",
        jax="jax.nn.sigmoid",
        plain=_sigmoid_by_hand,
        slope=lambda a: a * (1 - a),
        slope_by_value=lambda a: 1 - 2 * a,
        concave=True,
        targets=lambda x: 0.5 + x / (2 + 2 * np.abs(x)),
        at_zero=0.5,
        mistaken_for="tanh",
    ),
    "identity": Activation(
        value=compositions.identity,
        function=lambda z: (z, None),
        rule=activation_rules.identity,
        balls=_identity_of_balls,
        torch=_itself,
        jax=_itself,
        plain=_itself,
        slope=lambda a: 0 * a + 1,
        roundings=0,
        at_zero=0.0,
    ),
    "tanh": Activation(
        value=compositions.tanh,
        steepness=compositions.slope_of_tanh,
        function=_tanh,
        rule=activation_rules.tanh,
        balls=lambda z: ([x.tanh() for x in z], [x.sech() ** 2 for x in z]),
        torch="torch.tanh",
        jax="jax.numpy.tanh",
        plain=np.tanh,
        slope=lambda a: 1 - a * a,
        slope_rounding=activation_rules.square_of_tanh,
        slope_by_value=lambda a: -2 * a,
        roundings=6,
        targets=lambda x: x / (1 + np.abs(x)),
        at_zero=0.0,
    ),
    "relu": Activation(
        value=compositions.relu,
        steepness=compositions.slope_of_relu,
        function=lambda z: (np.maximum(z, 0), (z > 0).astype(z.dtype)),
        rule=activation_rules.relu,
        balls=_relu_of_balls,
        torch="torch.nn.functional.relu",
        jax="jax.nn.relu",
        plain=lambda z: np.maximum(z, 0),
        slope=positive,
        slope_by_value=np.zeros_like,
        roundings=0,
        kinks=True,
        targets=np.abs,
        at_zero=0.0,
    ),
    "leaky_relu": Activation(
        value=compositions.leaky_relu,
        steepness=compositions.slope_of_leaky_relu,
        torch="torch.nn.functional.leaky_relu",
        jax="jax.nn.leaky_relu",
        plain=lambda z: np.where(z > 0, z, compositions.LEAK * z),
        kinks=True,
    ),
    "elu": Activation(
        value=compositions.elu,
        steepness=compositions.slope_of_elu,
        torch="torch.nn.functional.elu",
        jax="jax.nn.elu",
        plain=lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
    ),
    "selu": Activation(
        value=compositions.selu,
        steepness=compositions.slope_of_selu,
        torch="torch.nn.functional.selu",
        jax="jax.nn.selu",
        plain=_selu_by_hand,
        kinks=True,
    ),
    "softplus": Activation(
        value=compositions.softplus,
        steepness=compositions.slope_of_softplus,
        torch=_torch_softplus,
        jax="jax.nn.softplus",
        plain=lambda z: np.logaddexp(z, 0 * z),
        targets=np.abs,
    ),
    "silu": Activation(
        value=compositions.silu,
        steepness=compositions.slope_of_silu,
        torch="torch.nn.functional.silu",
        jax="jax.nn.silu",
        plain=lambda z: z * _sigmoid_by_hand(z),
    ),
    "gelu": Activation(
        value=compositions.gelu,
        steepness=compositions.slope_of_gelu,
        torch="torch.nn.functional.gelu",
        jax=lambda z: imported("jax.nn.gelu")(z, approximate=False),
        plain=_gelu_by_hand,
    ),
    "gelu_tanh": Activation(
        value=compositions.gelu_tanh,
        steepness=compositions.slope_of_gelu_tanh,
        torch=lambda z: imported("torch.nn.functional.gelu")(z, approximate="tanh"),
        jax=lambda z: imported("jax.nn.gelu")(z, approximate=True),
        plain=_gelu_tanh_by_hand,
    ),
    "softsign": Activation(
        value=compositions.softsign,
        steepness=compositions.slope_of_softsign,
        torch="torch.nn.functional.softsign",
        jax="jax.nn.soft_sign",
        plain=lambda z: z / (1 + np.abs(z)),
        targets=lambda x: x / (1 + np.abs(x)),
    ),
    "hardtanh": Activation(
        value=compositions.hardtanh,
        steepness=compositions.slope_of_hardtanh,
        torch="torch.nn.functional.hardtanh",
        jax="jax.nn.hard_tanh",
        plain=lambda z: np.clip(z, -1, 1),
        kinks=True,
        targets=lambda x: x / (1 + np.abs(x)),
    ),
    "hardsigmoid": Activation(
        value=compositions.hardsigmoid,
        steepness=compositions.slope_of_hardsigmoid,
        torch=_torch_hardsigmoid,
        jax="jax.nn.hard_sigmoid",
        plain=lambda z: np.clip(z + 3, 0, 6) / 6,
        kinks=True,
        targets=lambda x: 0.5 + x / (2 + 2 * np.abs(x)),
    ),
    "hardswish": Activation(
        value=compositions.hardswish,
        steepness=compositions.slope_of_hardswish,
        torch="torch.nn.functional.hardswish",
        jax="jax.nn.hard_swish",
        plain=lambda z: z * np.clip(z + 3, 0, 6) / 6,
        kinks=True,
    ),
    "mish": Activation(
        value=compositions.mish,
        steepness=compositions.slope_of_mish,
        torch="torch.nn.functional.mish",
        jax="jax.nn.mish",
        plain=lambda z: z * np.tanh(np.logaddexp(z, 0 * z)),
    ),
    "softmax": Activation(
        value=compositions.softmax,
        torch=lambda z: imported("torch.nn.functional.softmax")(z, dim=-1),
        jax="jax.nn.softmax",
        plain=_softmax_by_hand,
        targets=lambda x: 0.5 + x / (2 + 2 * np.abs(x)),
        output_only=True,
    ),
}
"""Every activation that a layer may have, by name; the paper knows the first two."""


def torch_function(name: str) -> Pointwise:
    """PyTorch's own."""
    return imported(ACTIVATIONS[name].torch)


def jax_function(name: str) -> Pointwise:
    """JAX's own."""
    return imported(ACTIVATIONS[name].jax)
