"""Mistakes in derivative rules that people write by hand: a custom_vjp, an autograd.Function.

An operation has its value and its right backward; a mistake is a backward in its place. All are
written on a namespace `xp`, torch or jax.numpy, so that one entry serves both.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Forward = Callable[..., Any]
"""(xp, *operands) to the value."""

Backward = Callable[..., tuple[Any, ...]]
"""(xp, value, cotangent, *operands) to a gradient for each operand."""

EPS = 1e-3


@dataclass(frozen=True)
class RuleOperation:
    """An operation: its value, its right backward, and the shapes of its operands after the first.

    The first operand is (D, n); `others` gives the shapes of the rest from n.
    """

    name: str
    forward: Forward
    backward: Backward
    others: Callable[[int], tuple[tuple[int, ...], ...]] = lambda n: ()


@dataclass(frozen=True)
class RuleMistake:
    """A wrong backward of an operation, and a sentence that whoever wrote it would understand.

    `small` is the size of a mistake that is small by itself, relative to the derivative.
    """

    name: str
    operation: str
    sentence: str
    backward: Backward
    small: float | None = None


def _sigmoid(xp: Any, x: Any) -> Any:
    return 1 / (1 + xp.exp(-x))


def _silu(xp: Any, x: Any) -> Any:
    return x * _sigmoid(xp, x)


def _silu_back(xp: Any, y: Any, c: Any, x: Any) -> tuple[Any, ...]:
    s = _sigmoid(xp, x)
    return (c * (s + x * s * (1 - s)),)


def _bias(xp: Any, x: Any, b: Any) -> Any:
    return x + b


def _bias_back(xp: Any, y: Any, c: Any, x: Any, b: Any) -> tuple[Any, ...]:
    return c, c.sum(0)


def _standardized(xp: Any, x: Any, axis: int) -> tuple[Any, Any]:
    mean = x.mean(axis, keepdims=True)
    inverse = 1 / xp.sqrt(((x - mean) ** 2).mean(axis, keepdims=True) + EPS)
    return (x - mean) * inverse, inverse


def _normed(axis: int) -> Forward:
    return lambda xp, x: _standardized(xp, x, axis)[0]


def _normed_back(axis: int) -> Backward:
    def backward(xp: Any, y: Any, c: Any, x: Any) -> tuple[Any, ...]:
        h, inverse = _standardized(xp, x, axis)
        means = c.mean(axis, keepdims=True) + h * (c * h).mean(axis, keepdims=True)
        return (inverse * (c - means),)

    return backward


def _without_mean(axis: int) -> Backward:
    def backward(xp: Any, y: Any, c: Any, x: Any) -> tuple[Any, ...]:
        h, inverse = _standardized(xp, x, axis)
        return (inverse * (c - h * (c * h).mean(axis, keepdims=True)),)

    return backward


def _without_variance(axis: int) -> Backward:
    def backward(xp: Any, y: Any, c: Any, x: Any) -> tuple[Any, ...]:
        _, inverse = _standardized(xp, x, axis)
        return (inverse * (c - c.mean(axis, keepdims=True)),)

    return backward


def _without_eps(xp: Any, y: Any, c: Any, x: Any) -> tuple[Any, ...]:
    centred = x - x.mean(-1, keepdims=True)
    inverse = 1 / xp.sqrt((centred**2).mean(-1, keepdims=True))
    h = centred * inverse
    return (inverse * (c - c.mean(-1, keepdims=True) - h * (c * h).mean(-1, keepdims=True)),)


def _with_less_one(xp: Any, y: Any, c: Any, x: Any) -> tuple[Any, ...]:
    """The sums divided by n - 1."""
    h, inverse = _standardized(xp, x, -1)
    n = x.shape[-1]
    means = (c.sum(-1, keepdims=True) + h * (c * h).sum(-1, keepdims=True)) / max(n - 1, 1)
    return (inverse * (c - means),)


def _softmax(xp: Any, x: Any) -> Any:
    e = xp.exp(x)
    return e / e.sum(-1, keepdims=True)


def _softmax_back(xp: Any, y: Any, c: Any, x: Any) -> tuple[Any, ...]:
    return (y * (c - (c * y).sum(-1, keepdims=True)),)


def _gelu_tanh(xp: Any, x: Any) -> Any:
    return 0.5 * x * (1 + xp.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def _gelu_tanh_back(xp: Any, y: Any, c: Any, x: Any) -> tuple[Any, ...]:
    scale = math.sqrt(2 / math.pi)
    t = xp.tanh(scale * (x + 0.044715 * x**3))
    slope = 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * scale * (1 + 3 * 0.044715 * x * x)
    return (c * slope,)


def _erf(xp: Any, x: Any) -> Any:
    """The error function of this namespace's library: jax.numpy and NumPy have none."""
    if xp.__name__ == "torch":
        return xp.erf(x)
    if xp.__name__ == "numpy":
        from scipy.special import erf

        return erf(x)
    from jax.scipy.special import erf as erf_of_jax

    return erf_of_jax(x)


def _gelu_erf_back(xp: Any, y: Any, c: Any, x: Any) -> tuple[Any, ...]:
    """The derivative of x Φ(x), which the form with tanh approximates."""
    density = xp.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    return (c * (0.5 * (1 + _erf(xp, x / math.sqrt(2))) + x * density),)


def _gelu_sigmoid_back(xp: Any, y: Any, c: Any, x: Any) -> tuple[Any, ...]:
    """The derivative of x σ(1.702 x), another form of gelu."""
    s = _sigmoid(xp, 1.702 * x)
    return (c * (s + 1.702 * x * s * (1 - s)),)


def _scaled(xp: Any, x: Any, g: Any) -> Any:
    return x * g


def _scaled_back(xp: Any, y: Any, c: Any, x: Any, g: Any) -> tuple[Any, ...]:
    return c * g, (c * x).sum(0)


def _one_entry(epsilon: float) -> Backward:
    def backward(xp: Any, y: Any, c: Any, x: Any) -> tuple[Any, ...]:
        (right,) = _silu_back(xp, y, c, x)
        factors = np.ones(tuple(right.shape))
        factors.flat[0] = 1 + epsilon
        return (right * xp.asarray(factors, dtype=right.dtype),)

    return backward


def _rows(n: int) -> tuple[tuple[int, ...], ...]:
    return ((n,),)


OPERATIONS: Mapping[str, RuleOperation] = {
    operation.name: operation
    for operation in (
        RuleOperation("silu", _silu, _silu_back),
        RuleOperation("bias", _bias, _bias_back, _rows),
        RuleOperation("scale", _scaled, _scaled_back, _rows),
        RuleOperation("layer norm", _normed(-1), _normed_back(-1)),
        RuleOperation("batch norm", _normed(0), _normed_back(0)),
        RuleOperation("softmax", _softmax, _softmax_back),
        RuleOperation("gelu", _gelu_tanh, _gelu_tanh_back),
    )
}
"""Operations whose rules people write, by name."""


def _times(factor: float) -> Backward:
    return lambda xp, y, c, x: (factor * _silu_back(xp, y, c, x)[0],)


MISTAKES: tuple[RuleMistake, ...] = (
    RuleMistake("factor-half", "silu", "a factor ½ too much", _times(0.5)),
    RuleMistake("sign", "silu", "the sign is turned", _times(-1.0)),
    RuleMistake(
        "product-rule",
        "silu",
        "only one factor of the product is differentiated",
        lambda xp, y, c, x: (c * _sigmoid(xp, x),),
    ),
    RuleMistake(
        "axis",
        "layer norm",
        "the means are taken over the samples instead of the features",
        _normed_back(0),
    ),
    RuleMistake(
        "not-summed-back",
        "bias",
        "the gradient of what was broadcast is a mean, not the sum",
        lambda xp, y, c, x, b: (c, c.mean(0)),
    ),
    RuleMistake(
        "broadcast-first-row",
        "scale",
        "the gradient of what was broadcast is taken of one sample",
        lambda xp, y, c, x, g: (c * g, (c * x)[0]),
    ),
    RuleMistake(
        "layer-norm-mean",
        "layer norm",
        "the mean is held constant",
        _without_mean(-1),
    ),
    RuleMistake(
        "layer-norm-variance",
        "layer norm",
        "the variance is held constant",
        _without_variance(-1),
    ),
    RuleMistake("batch-norm-mean", "batch norm", "the mean is held constant", _without_mean(0)),
    RuleMistake(
        "batch-norm-variance", "batch norm", "the variance is held constant", _without_variance(0)
    ),
    RuleMistake("eps", "layer norm", "eps is left out", _without_eps),
    RuleMistake("n-minus-one", "layer norm", "n - 1 stands where n should", _with_less_one),
    RuleMistake(
        "softmax-diagonal",
        "softmax",
        "softmax without what is off its diagonal",
        lambda xp, y, c, x: (c * y * (1 - y),),
    ),
    RuleMistake(
        "softmax-axis",
        "softmax",
        "the sum is taken over the samples instead of the features",
        lambda xp, y, c, x: (y * (c - (c * y).sum(0, keepdims=True)),),
    ),
    RuleMistake("other-gelu", "gelu", "the derivative of x σ(1.702 x)", _gelu_sigmoid_back),
    RuleMistake("exact-gelu", "gelu", "the derivative of the gelu with erf", _gelu_erf_back),
    RuleMistake(
        "saved-overwritten",
        "softmax",
        "the input was saved where the output was meant",
        lambda xp, y, c, x: (x * (c - (c * x).sum(-1, keepdims=True)),),
    ),
    RuleMistake(
        "cotangent-ignored",
        "silu",
        "the cotangent is left out",
        lambda xp, y, c, x: _silu_back(xp, y, xp.ones_like(c), x),
    ),
    RuleMistake(
        "cotangent-strides",
        "scale",
        "the cotangent's memory is read as if it were contiguous",
        lambda xp, y, c, x, g: (
            xp.swapaxes(c, 0, 1).reshape(c.shape) * g,
            (xp.swapaxes(c, 0, 1).reshape(c.shape) * x).sum(0),
        ),
    ),
    RuleMistake(
        "stopped",
        "gelu",
        "what is within tanh is held constant",
        lambda xp, y, c, x: (
            c * 0.5 * (1 + xp.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
        ),
    ),
    *(
        RuleMistake(
            f"one-entry-{epsilon:g}",
            "silu",
            f"one entry × (1 + {epsilon:g})",
            _one_entry(epsilon),
            epsilon,
        )
        for epsilon in (1e-2, 1e-4, 1e-6, 1e-9)
    ),
)
"""The catalogue: an entry a mistake."""


def find(name: str) -> RuleMistake:
    """The mistake of this name. Raises ValueError, with the known ones, for another."""
    for mistake in MISTAKES:
        if mistake.name == name:
            return mistake
    raise ValueError(f"unknown mistake {name!r}: known are {', '.join(m.name for m in MISTAKES)}")


def in_torch(operation: RuleOperation, backward: Backward) -> Callable[..., Any]:
    """The operation as an autograd.Function with this backward."""
    import torch

    class Handwritten(torch.autograd.Function):
        """An operation with a rule of its own."""

        @staticmethod
        def forward(ctx: Any, *operands: Any) -> Any:
            value = operation.forward(torch, *operands)
            ctx.save_for_backward(value, *operands)
            return value

        @staticmethod
        def backward(ctx: Any, *cotangents: Any) -> Any:
            value, *operands = ctx.saved_tensors
            return backward(torch, value, cotangents[0], *operands)

    Handwritten.__name__ = operation.name.replace(" ", "_")
    applied: Callable[..., Any] = Handwritten.apply
    return applied


def in_jax(operation: RuleOperation, backward: Backward) -> Callable[..., Any]:
    """The operation as a custom_vjp with this backward."""
    import jax
    import jax.numpy as jnp

    def value_of(*operands: Any) -> Any:
        return operation.forward(jnp, *operands)

    def forward(*operands: Any) -> Any:
        value = operation.forward(jnp, *operands)
        return value, (value, operands)

    def pull(saved: Any, cotangent: Any) -> tuple[Any, ...]:
        value, operands = saved
        return backward(jnp, value, cotangent, *operands)

    value_of.__name__ = operation.name.replace(" ", "_")
    custom = jax.custom_vjp(value_of)
    custom.defvjp(forward, pull)
    return custom


def between_layers(applied: Callable[..., Any], tanh: Callable[[Any], Any]) -> Callable[..., Any]:
    """The operation between two dense layers, as it stands in a network: x, w, v, others.

    The cost is Σ y³: under Σ y the cotangents of all samples would be the same, and under Σ y²
    their mean behind a batch norm would be 0, so that mistakes in means would be none.
    """

    def network(x: Any, w: Any, v: Any, *others: Any) -> Any:
        y = applied(tanh(x @ w), *others) @ v
        return (y * y * y).sum()

    return network
