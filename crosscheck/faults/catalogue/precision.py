"""Mistakes of precision: the right formula in coarser arithmetic, or cut off, or at random."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from crosscheck.arithmetic.promise import Arithmetic
from crosscheck.arithmetic.rounding_rules import rules_of
from crosscheck.bounds import error_array
from crosscheck.bounds.error_array import Bounded, narrowed
from crosscheck.faults.catalogue.fault import Fault, Needs, Parameters, Setting, Tensors
from crosscheck.faults.catalogue.places import composed, replaced
from crosscheck.faults.catalogue.right import equation
from crosscheck.faults.catalogue.scale import times
from crosscheck.networks.network import Array

GITHUB = "https://github.com/"

PRODUCTS = (
    "in every product",
    "in the forward products",
    "in the first product",
    "in the products that pull back",
    "in the products of the weights' gradients",
)
"""Which matrix products are done in coarser arithmetic."""


def _product(left: Any, right: Any, operands: str, accumulate: str | None) -> Any:
    """left @ right with operands rounded first, and sums formed in `accumulate` if it is given."""
    if isinstance(left, Bounded):
        rules = rules_of(Arithmetic(accumulate)) if accumulate else None
        return left.rounded_to(operands).product(right.rounded_to(operands), rules)
    dtype = left.dtype
    left, right = (narrowed(x.astype(np.float64), operands) for x in (left, right))
    if accumulate == "float16":
        return _in_half(left, right).astype(dtype)
    inner = np.dtype(accumulate or dtype)
    return (left.astype(inner) @ right.astype(inner)).astype(dtype)


def _in_half(left: Array, right: Array) -> Array:
    """A product whose partial sums are rounded to float16 one after the other."""
    total = np.zeros((left.shape[0], right.shape[1]), np.float16)
    with np.errstate(over="ignore", invalid="ignore"):
        for k in range(left.shape[1]):
            total += np.outer(left[:, k], right[k]).astype(np.float16)
    return total


def _coarse(operands: str, accumulate: str | None) -> Any:
    """A compute function with some products done in coarser arithmetic."""

    def compute(setting: Setting, parameters: Parameters) -> Tensors:
        return composed(setting, _edits(setting, parameters["product"], operands, accumulate))

    return compute


def _edits(setting: Setting, which: str, operands: str, accumulate: str | None) -> dict[str, Any]:
    everything = which == PRODUCTS[0]
    edits: dict[str, Any] = {}
    if everything or which in PRODUCTS[1:3]:
        first_only = which == PRODUCTS[2]
        edits |= _forward(setting, operands, accumulate, first_only)
    if everything or which == PRODUCTS[3]:
        edits |= replaced(
            setting,
            "G4",
            lambda delta_next, w_next: _product(delta_next, w_next.T, operands, accumulate),
        )
    if everything or which == PRODUCTS[4]:
        edits |= replaced(
            setting,
            "G5",
            lambda a_previous, delta: _product(a_previous.T, delta, operands, accumulate),
        )
    return edits


def _forward(setting: Setting, operands: str, accumulate: str | None, first_only: bool) -> Any:
    """N2 with its product in coarser arithmetic; σ stays as it is."""
    from crosscheck.faults.catalogue import right

    inputs = setting.network.inputs
    sigmas = error_array.activation if isinstance(inputs, Bounded) else right.plain

    def layer(name: str) -> Any:
        sigma = sigmas(name)

        def activation(w: Any, a_previous: Any, b: Any) -> Any:
            if first_only and a_previous is not inputs:
                return sigma(a_previous @ w + b)
            return sigma(_product(a_previous, w, operands, accumulate) + b)

        return equation("N2", activation)

    of = setting.architecture
    return {"N2": layer(of.hidden), "N2 output": layer(of.output)}


def _throughout(setting: Setting, _: Parameters) -> Tensors:
    """Everything in float32, handed out as float64."""
    network = setting.network
    if not isinstance(network.inputs, Bounded):
        low = _network_of(setting, lambda x: x.astype(np.float32))
        return [t.astype(np.float64) for t in low.right]
    rules = rules_of(Arithmetic("float32"))

    def cast(x: Bounded) -> Bounded:
        rounded = x.rounded_to("float32")
        return Bounded(rounded.value, rounded.error, rules)

    return _network_of(setting, cast).right


def _network_of(setting: Setting, cast: Any) -> Setting:
    from dataclasses import replace

    of = setting.network
    network = replace(
        of,
        weights=[cast(w) for w in of.weights],
        biases=[cast(b) for b in of.biases],
        inputs=cast(of.inputs),
        expected=cast(of.expected),
    )
    return replace(setting, network=network)


def _monotone(tensor: Any, change: Any) -> Any:
    """A non-decreasing function of every entry; E is how far it takes the ends of the ball."""
    if not isinstance(tensor, Bounded):
        return change(tensor).astype(tensor.dtype)
    spread = tensor.error + tensor.doubt
    value = change(tensor.middle)
    low, high = change(tensor.middle - spread), change(tensor.middle + spread)
    error = np.maximum(high - value, value - low) + 4 * tensor.rules.u * np.abs(value)
    return Bounded(value, error, tensor.rules)


def _rounded_result(setting: Setting, _: Parameters) -> Tensors:
    return [_monotone(t, lambda x: x.astype(np.float32).astype(np.float64)) for t in setting.right]


def _rounded_decimals(setting: Setting, parameters: Parameters) -> Tensors:
    places = parameters["width"]
    return [_monotone(t, lambda x: np.round(x, places)) for t in setting.right]


def _clipped_value(setting: Setting, parameters: Parameters) -> Tensors:
    limit = parameters["limit"]
    return [_monotone(t, lambda x: np.clip(x, -limit, limit)) for t in setting.right]


def _fit_limit(setting: Setting, got: Sequence[Array]) -> Parameters | None:
    """The largest magnitude returned, if the right gradient goes beyond it."""
    limit = max(float(np.max(np.abs(t))) for t in got)
    beyond = any(np.any(t.magnitude - t.error > limit) for t in setting.right)
    return {"limit": limit} if beyond and limit and np.isfinite(limit) else None


def _norm(tensors: Sequence[Array]) -> float:
    return float(np.sqrt(sum(float(np.sum(np.square(t.astype(np.float64)))) for t in tensors)))


def _clipped_norm(setting: Setting, parameters: Parameters) -> Tensors:
    tensors, limit = setting.right, parameters["limit"]
    if not isinstance(tensors[0], Bounded):
        norm = _norm(tensors)
        return times(tensors, limit / norm) if norm > limit else tensors
    norm = _norm([t.middle for t in tensors])
    spread = 2 * _norm([t.error for t in tensors]) + 1e-15 * len(tensors) * norm
    if norm - spread <= limit:
        return tensors
    rules = tensors[0].rules
    relative = parameters.get("doubt", 0.0) / limit + 2 * spread / norm + 8 * rules.u
    factor = limit / norm
    scaled = Bounded(np.asarray(factor), np.asarray(factor * relative), rules)
    return [t * scaled for t in tensors]


def _fit_norm(setting: Setting, got: Sequence[Array]) -> Parameters | None:
    limit = _norm(got)
    norm = _norm([t.middle for t in setting.right])
    spread = _norm([t.error for t in setting.right])
    if not limit or not np.isfinite(limit) or norm - 2 * spread <= limit:
        return None
    roundoff = setting.right[0].rules.u
    doubt = limit * (2 * spread / norm + 16 * roundoff * np.sqrt(sum(t.size for t in got)))
    return {"limit": limit, "doubt": doubt}


def _noisy(setting: Setting, parameters: Parameters) -> Tensors:
    """Multiplicative noise of 1 %, another at every call: the call's number is a parameter."""
    rng = setting.rng(f"stochastic {parameters.get('call', 0)}")
    noisy = []
    for tensor in setting.right:
        factors = np.asarray(1 + 0.01 * rng.standard_normal(tensor.shape))
        noisy.append(
            tensor * factors.astype(tensor.dtype) if isinstance(tensor, np.ndarray) else tensor
        )
    return noisy


def _products(which: tuple[str, ...] = PRODUCTS) -> tuple[Parameters, ...]:
    return tuple({"product": name} for name in which)


FAULTS: tuple[Fault, ...] = (
    Fault(
        "float32-result",
        "precision",
        "the results were rounded to float32 on the way out",
        _rounded_result,
        dtypes=("float64",),
        representable="float32",
        seen=(GITHUB + "pytorch/pytorch/issues/8175",),
        simplicity=0,
    ),
    Fault(
        "float32-throughout",
        "precision",
        "everything is computed in float32 and handed out as float64",
        _throughout,
        dtypes=("float64",),
        representable="float32",
        seen=(
            GITHUB + "pytorch/pytorch/issues/8659",
            GITHUB + "PaddlePaddle/Paddle/issues/4283",
        ),
        simplicity=1,
    ),
    Fault(
        "float32-product",
        "precision",
        "float32 arithmetic inside float64 {product}",
        _coarse("float32", "float32"),
        variants=_products(),
        dtypes=("float64",),
        seen=(GITHUB + "pytorch/pytorch/issues/5351",),
        simplicity=2,
    ),
    Fault(
        "tf32-product",
        "precision",
        "operands are rounded to TF32, 11 bits {product}",
        _coarse("tf32", None),
        variants=_products(),
        dtypes=("float32",),
        seen=(
            GITHUB + "pytorch/pytorch/issues/79270",
            GITHUB + "marin-community/marin/pull/8241",
        ),
        simplicity=2,
    ),
    Fault(
        "bfloat16-product",
        "precision",
        "operands are rounded to bfloat16, 8 bits {product}",
        _coarse("bfloat16", None),
        variants=_products((PRODUCTS[0], PRODUCTS[4])),
        seen=(
            GITHUB + "jax-ml/jax/issues/9973",
            GITHUB + "jax-ml/jax/issues/1856",
        ),
        simplicity=2,
    ),
    Fault(
        "float16-accumulation",
        "precision",
        "sums are accumulated in float16 {product}",
        _coarse("float16", "float16"),
        variants=_products((PRODUCTS[4],)),
        needs=Needs(samples=2),
        seen=(
            GITHUB + "apache/mxnet/issues/17703",
            GITHUB + "pytorch/pytorch/issues/2391",
        ),
        simplicity=3,
    ),
    Fault(
        "decimals",
        "precision",
        "the results are rounded to {width} decimals",
        _rounded_decimals,
        variants=({"width": 4}, {"width": 6}, {"width": 8}),
        dtypes=("float64",),
        simplicity=1,
    ),
    Fault(
        "clipped-value",
        "precision",
        "every entry is clipped to ±{limit}",
        _clipped_value,
        variants=({"limit": 0.05},),
        fit=_fit_limit,
        shared=("limit",),
        seen=(GITHUB + "neuroailab/tfutils/issues/115",),
        simplicity=2,
    ),
    Fault(
        "clipped-norm",
        "precision",
        "the gradient is clipped to the norm {limit}",
        _clipped_norm,
        variants=({"limit": 0.5},),
        fit=_fit_norm,
        shared=("limit",),
        seen=(
            GITHUB + "karpathy/nanoGPT/issues/168",
            GITHUB + "clab/dynet/pull/1511",
        ),
        simplicity=2,
    ),
    Fault(
        "stochastic",
        "precision",
        "two calls with the same numbers give different gradients (noise, dropout, a race)",
        _noisy,
        seen=(
            GITHUB + "CharlesShang/DCNv2/issues/8",
            GITHUB + "pytorch/pytorch/issues/70042",
        ),
        repeatable=False,
        simplicity=0,
    ),
)
