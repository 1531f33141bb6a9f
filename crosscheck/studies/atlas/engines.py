"""A framework's own derivative of a function, on many points at once."""

import re
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import numpy as np

from crosscheck.arithmetic.formats import FORMATS, Array
from crosscheck.results.extras import require
from crosscheck.studies.atlas.definition import Own, PublicCall

BATCH = 512
"""Points of a call: JAX compiles once for each shape."""

MODES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "torch": ("reverse", "forward", "vmap", "strided"),
        "jax": ("reverse", "forward", "vmap", "eager"),
        "numpy": ("reverse",),
    }
)
"""The ways of differentiation; the first is the one that the atlas goes by."""


class Answers(NamedTuple):
    """Values and derivatives at the points, as float64, which holds every format's numbers."""

    value: Array
    slope: Array


class AtlasEngine(Protocol):
    """Values and derivatives at points that the format holds."""

    def __call__(self, points: Array) -> Answers: ...


class Unable(Exception):
    """A framework that does not differentiate this function in this way; the message is its own."""


@lru_cache(maxsize=32)
def engine(call: PublicCall, dtype: str, mode: str) -> AtlasEngine:
    """How this framework differentiates the function in this format and mode.

    Raises Missing where the framework is not installed.
    """
    if call.framework == "numpy":
        return _guarded(_numpy(call.expression))
    require("the atlas", call.framework)
    make = {"torch": _torch, "jax": _jax}[call.framework]
    return _guarded(make(call.expression, dtype, mode))


def installed(framework: str) -> bool:
    """Whether the framework can be imported."""
    try:
        require("the atlas", framework)
    except ValueError:
        return False
    return True


@cache
def flushes(framework: str, dtype: str) -> bool:
    """Whether the framework reads subnormal numbers as 0: what a product with 1 shows."""
    least = FORMATS[dtype].smallest_subnormal
    if framework == "numpy":
        return False
    names = {"torch": "torch.mul(x, 1.5)", "jax": "jax.numpy.multiply(x, 1.5)"}
    call = PublicCall(framework, names[framework], names[framework], "product")
    return float(engine(call, dtype, "reverse")(np.array([least])).value[0]) == 0


def _guarded(evaluate: Callable[[Array], Answers]) -> AtlasEngine:
    """Batches of one size; what the framework raises becomes Unable."""

    def answer(points: Array) -> Answers:
        parts = []
        for start in range(0, len(points), BATCH):
            batch = points[start : start + BATCH]
            filled = np.concatenate([batch, np.repeat(batch[-1:], BATCH - len(batch))])
            try:
                value, slope = evaluate(filled)
            except Exception as error:
                raise Unable(f"{type(error).__name__}: {error}".split("\n")[0]) from error
            parts.append((value[: len(batch)], slope[: len(batch)]))
        values, slopes = zip(*parts, strict=True) if parts else ((points,), (points,))
        return Answers(np.concatenate(values), np.concatenate(slopes))

    return answer


@cache
def function(framework: str, expression: str | Own) -> Callable[[Any], Any]:
    """The expression as a function of x."""
    if isinstance(expression, Own):
        return expression.function
    source = f"lambda x: {expression}"
    made: Callable[[Any], Any] = eval(source, namespace(framework))
    return made


def namespace(framework: str) -> dict[str, Any]:
    """The names that an expression may use."""
    if framework == "torch":
        import torch

        return {"torch": torch}
    import jax
    import jax.nn
    import jax.numpy as jnp
    import jax.scipy.linalg
    import jax.scipy.special
    import jax.scipy.stats

    return {"jax": jax, "jnp": jnp}


def _numpy(own: str | Own) -> Callable[[Array], Answers]:
    """A gradient that is written beside the function."""
    assert isinstance(own, Own)
    gradient = own.gradient
    assert gradient is not None

    def evaluate(points: Array) -> Answers:
        return Answers(*(np.asarray(f(points), np.float64) for f in (own.function, gradient)))

    return evaluate


def _torch(expression: str | Own, dtype: str, mode: str) -> Callable[[Array], Answers]:
    import torch

    f = function("torch", expression)
    format = getattr(torch, dtype)

    def reverse(points: Array) -> Answers:
        return backward(torch.tensor(points, dtype=torch.float64).to(format))

    def strided(points: Array) -> Answers:
        wide = torch.empty(2 * len(points), dtype=format)
        wide[::2] = torch.tensor(points, dtype=torch.float64).to(format)
        return backward(wide[::2])

    def backward(x: Any) -> Answers:
        x.requires_grad_(True)
        y = f(x)
        (slope,) = torch.autograd.grad(y, x, torch.ones_like(y))
        return _numbers(y, slope)

    def forward(points: Array) -> Answers:
        x = torch.tensor(points, dtype=torch.float64).to(format)
        return _numbers(*torch.func.jvp(f, (x,), (torch.ones_like(x),)))

    def vmap(points: Array) -> Answers:
        x = torch.tensor(points, dtype=torch.float64).to(format)
        slope, value = torch.func.vmap(torch.func.grad_and_value(f))(x)
        return _numbers(value, slope)

    def _numbers(value: Any, slope: Any) -> Answers:
        if value.shape != slope.shape:
            raise ValueError(f"the function of {len(slope)} points has shape {value.shape}")
        return Answers(*(t.detach().to(torch.float64).numpy() for t in (value, slope)))

    return {"reverse": reverse, "strided": strided, "forward": forward, "vmap": vmap}[mode]


def _jax(expression: str | Own, dtype: str, mode: str) -> Callable[[Array], Answers]:
    import jax
    import jax.numpy as jnp

    f = function("jax", expression)

    def reverse(x: Any) -> Any:
        y, pull = jax.vjp(f, x)
        return y, pull(jnp.ones_like(y))[0]

    def forward(x: Any) -> Any:
        return jax.jvp(f, (x,), (jnp.ones_like(x),))

    differentiate: Callable[[Any], Any] = {
        "reverse": jax.jit(reverse),
        "eager": reverse,
        "forward": jax.jit(forward),
        "vmap": jax.jit(jax.vmap(jax.value_and_grad(f))),
    }[mode]

    def evaluate(points: Array) -> Answers:
        with jax.enable_x64(True):
            x = jnp.asarray(points, dtype)
            value, slope = differentiate(x)
            if value.dtype != x.dtype:
                raise ValueError(f"the function of {x.dtype} is {value.dtype}")
            return Answers(np.asarray(value, np.float64), np.asarray(slope, np.float64))

    return evaluate


ROWS = 32
"""Length of the vector in a snippet where a single number goes another way through the library."""


def snippet(
    call: PublicCall,
    dtype: str,
    at: float,
    truth: str,
    vector: bool = False,
    mode: str = "reverse",
) -> str:
    """Plain torch or jax that prints the derivative at this point beside the exact one.

    With `vector` the point is repeated; other modes than reverse are shown on a vector.
    """
    if isinstance(call.expression, Own):
        own = f"{call.expression.name}(x)"
        return f"# your function\nx = {at!r}\ny = {own}  # its derivative here is {truth}"
    write = {"torch": _torch_snippet, "jax": _jax_snippet}[call.framework]
    vector = vector or mode != "reverse"
    lines = write(call.expression, dtype, repr(at), vector, mode)
    first = "slope[0]" if vector else "slope"
    shown = {"torch": f"{first}.item()", "jax": f"float({first})"}[call.framework]
    return "\n".join([*lines, f'print({shown}, "exact:", "{truth}")'])


def _torch_snippet(expression: str, dtype: str, at: str, vector: bool, mode: str) -> list[str]:
    length = 2 * ROWS if mode == "strided" else ROWS
    made = f"torch.full(({length},), {at}," if vector else f"torch.tensor({at},"
    x = f"x = {made} dtype=torch.{dtype}){'[::2]' if mode == 'strided' else ''}"
    f = f"lambda x: {expression}"
    ways = {
        "forward": [f"_, slope = torch.func.jvp({f}, (x,), (torch.ones_like(x),))"],
        "vmap": [f"slope = torch.func.vmap(torch.func.grad({f}))(x)"],
    }
    backward = [
        "x.requires_grad_(True)",
        f"y = {expression}",
        f"slope, = torch.autograd.grad(y{'.sum()' if vector else ''}, x)",
    ]
    return ["import torch", x, *ways.get(mode, backward)]


def _jax_snippet(expression: str, dtype: str, at: str, vector: bool, mode: str) -> list[str]:
    modules = sorted(set(re.findall(r"jax\.scipy\.\w+|jax\.nn", expression)))
    made = f"jnp.full({ROWS}, {at}, '{dtype}')" if vector else f"jnp.asarray({at}, '{dtype}')"
    f = f"lambda x: {expression}"
    total = f"lambda x: ({expression}).sum()" if vector else f
    ways = {
        "reverse": f"jax.jit(jax.grad({total}))",
        "eager": f"jax.grad({total})",
        "vmap": f"jax.jit(jax.vmap(jax.grad({f})))",
        "forward": f"jax.jit(lambda x: jax.jvp({f}, (x,), (jnp.ones_like(x),))[1])",
    }
    return [
        "import jax",
        *(["jax.config.update('jax_enable_x64', True)"] if dtype == "float64" else []),
        "import jax.numpy as jnp",
        *(f"import {module}" for module in modules),
        f"slope = {ways[mode]}({made})",
    ]


def alone(call: PublicCall, dtype: str, at: float, vector: bool = False) -> float:
    """The derivative at one point, computed as the snippet computes it."""
    if call.framework == "numpy":
        return float(engine(call, dtype, "reverse")(np.array([at])).slope[0])
    f = function(call.framework, call.expression)
    if call.framework == "torch":
        import torch

        x = torch.full((ROWS,) if vector else (), at, dtype=getattr(torch, dtype))
        x.requires_grad_(True)
        f(x).sum().backward()
        assert x.grad is not None
        return float(x.grad.ravel()[0].item())
    import jax
    import jax.numpy as jnp

    with jax.enable_x64(dtype == "float64"):
        x = jnp.full((ROWS,) if vector else (), at, dtype)
        return float(_compiled_gradient(call.expression, dtype)(x).ravel()[0])


@cache
def _compiled_gradient(expression: str | Own, dtype: str) -> Callable[[Any], Any]:
    """Compiled once for each shape; the format is part of the name, as 64 bits are a context."""
    import jax

    f = function("jax", expression)
    compiled: Callable[[Any], Any] = jax.jit(jax.grad(lambda x: f(x).sum()))
    return compiled
