"""Why a derivative is wrong at a point: what over- and underflowed, and where NaN came from.

The framework's own operations, forward and backward, are watched one by one at that point. An
intermediate that is ∞ where its operands were finite and no pole was met has overflowed; one that
is 0 or subnormal where a product or power of numbers was asked for has underflowed.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from crosscheck.arithmetic.formats import FORMATS, Array
from crosscheck.studies.atlas.definition import Own, PublicCall
from crosscheck.studies.atlas.engines import ROWS, function

POLES = ("div", "reciprocal", "rsqrt", "log", "pow", "integer_pow", "atanh", "digamma", "lgamma")
"""Operations that are rightly infinite where an operand is 0."""

PRODUCTS = (
    *("mul", "div", "exp", "exp2", "pow", "integer_pow", "square", "reciprocal", "rsqrt"),
    *("sigmoid", "logistic", "_softmax", "prod", "reduce_prod", "erfc", "mm", "bmm", "dot"),
    *("dot_general", "linalg_vector_norm", "norm", "addcmul", "cosh", "sinh"),
)
"""Operations whose result is 0 or subnormal by underflow alone where no operand is."""


LARGE = 1e12
"""Operands whose third power overflows in float32 make NaN by overflow, if they are finite."""


class Happened(NamedTuple):
    """What was seen at a point: over- and underflows, and where NaN began, in their order."""

    flows: tuple[str, ...] = ()
    nan: str = ""

    @property
    def sentence(self) -> str:
        """The first of it, in words."""
        return self.nan or (self.flows[0] if self.flows else "")


Step = tuple[str, Sequence[Array], Sequence[Array]]
"""An operation: its name, operands, results."""


def seen(call: PublicCall, dtype: str, at: float, vector: bool = False) -> Happened:
    """What happens in the framework's derivative at this point; nothing where it cannot be seen.

    With `vector` the point is repeated, as in the snippet of that kind.
    """
    if call.framework == "numpy":
        return Happened()
    steps = {"torch": _torch_steps, "jax": _jax_steps}[call.framework]
    try:
        with np.errstate(all="ignore"):
            return _judged(
                steps(call.expression, dtype, np.full((ROWS,) if vector else (), at)), dtype
            )
    except Exception:
        return Happened()  # an operation that cannot be watched explains nothing


def _judged(steps: Iterator[Step], dtype: str) -> Happened:
    least = FORMATS[dtype].smallest_normal
    flows, nan = [], ""
    for name, operands, results in steps:
        flow = _flow(name, operands, results, least)
        if flow:
            flows.append(f"{flow} in {name}")
        if not nan:
            nan = _nan(name, operands, results)
    return Happened(tuple(flows), nan)


def _flow(name: str, operands: Sequence[Array], results: Sequence[Array], least: float) -> str:
    """ "overflow", "underflow" or nothing."""
    for result in results:
        if _overflowed(name, operands, result):
            return "overflow"
        if name in PRODUCTS and _underflowed(operands, result, least):
            return "underflow"
    return ""


def _overflowed(name: str, operands: Sequence[Array], result: Array) -> bool:
    infinite = np.isinf(result)
    if not all(np.isfinite(x).all() for x in operands):
        return False
    if np.isnan(result).any() and any((np.abs(x) > LARGE).any() for x in operands):
        return True  # inside of one fused operation
    if not infinite.any():
        return False
    return not (name.startswith(POLES) and any((x == 0).any() for x in operands))


def _underflowed(operands: Sequence[Array], result: Array, least: float) -> bool:
    small = np.abs(result) < least
    for x in operands:
        normal = np.isfinite(x) & (np.abs(x) >= least)
        try:
            small = small & normal
        except ValueError:  # a reduction: all operands have to be normal
            small = small & normal.all()
    return bool(small.any())


def _nan(name: str, operands: Sequence[Array], results: Sequence[Array]) -> str:
    """How the first NaN came about."""
    if not any(np.isnan(x).any() for x in results) or any(np.isnan(x).any() for x in operands):
        return ""
    zero = any((x == 0).any() for x in operands)
    infinite = any(np.isinf(x).any() for x in operands)
    if zero and infinite:
        return f"0 × ∞ in {name}"
    return f"0 / 0 in {name}" if zero else f"∞ - ∞ in {name}" if infinite else f"NaN in {name}"


def _torch_steps(expression: str | Own, dtype: str, at: Array) -> Iterator[Step]:
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    f = function("torch", expression)
    steps: list[Step] = []

    class Watch(TorchDispatchMode):
        """Keeps what each operation was given and returned."""

        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            result = func(*args, **(kwargs or {}))
            steps.append((_name(func), tensors(args), tensors((result,))))
            return result

    def tensors(given: Any) -> list[Array]:
        leaves, _ = torch.utils._pytree.tree_flatten(given)
        chosen = [x for x in leaves if isinstance(x, torch.Tensor) and x.is_floating_point()]
        return [t.detach().to(torch.float64).numpy().copy() for t in chosen]

    with Watch():
        x = torch.tensor(at).to(getattr(torch, dtype)).requires_grad_(True)
        f(x).sum().backward()
    return iter(steps)


def _name(func: Any) -> str:
    name: str = func.overloadpacket.__name__
    return name


CALLS = ("jit", "pjit", "closed_call", "core_call", "custom_jvp_call", "custom_vjp_call", "remat2")


def _jax_steps(expression: str | Own, dtype: str, at: Array) -> Iterator[Step]:
    import jax
    import jax.numpy as jnp

    with jax.enable_x64(dtype == "float64"):
        names, compiled = _jax_program(expression, dtype)
        steps = compiled(jnp.asarray(at, dtype))
    for name, (operands, results) in zip(names, steps, strict=True):
        yield name, _arrays(operands), _arrays(results)


@cache
def _jax_program(expression: str | Own, dtype: str) -> tuple[list[str], Callable[[Any], Any]]:
    """Names of the operations of the gradient, filled when the function is first called.

    The function returns what each operation was given and what it returned.
    """
    import jax

    f = function("jax", expression)
    names: list[str] = []

    def traced(x: Any) -> Any:
        closed = jax.make_jaxpr(jax.grad(lambda x: f(x).sum()))(x)
        steps: list[Any] = []
        names.clear()
        _run(closed.jaxpr, closed.consts, [x], names, steps)
        return steps

    return names, jax.jit(traced)


def _run(
    jaxpr: Any, consts: Sequence[Any], operands: Sequence[Any], names: list[str], steps: list[Any]
) -> Any:
    """Evaluate the equations one by one; calls are entered."""
    values = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *operands], strict=True))
    for equation in jaxpr.eqns:
        given = [v.val if hasattr(v, "val") else values[v] for v in equation.invars]
        results = _applied(equation, given, names, steps)
        values.update(zip(equation.outvars, results, strict=True))
    return [v.val if hasattr(v, "val") else values[v] for v in jaxpr.outvars]


def _applied(equation: Any, given: Sequence[Any], names: list[str], steps: list[Any]) -> Any:
    inner = equation.params.get("jaxpr", equation.params.get("call_jaxpr"))
    if equation.primitive.name in CALLS and inner is not None:
        body = getattr(inner, "jaxpr", inner)
        return _run(body, getattr(inner, "consts", ()), given, names, steps)
    result = equation.primitive.bind(*given, **equation.params)
    results = result if equation.primitive.multiple_results else [result]
    names.append(equation.primitive.name)
    steps.append((_floating(given), _floating(results)))
    return results


def _floating(values: Sequence[Any]) -> list[Any]:
    """Those that are real numbers of a framework or Python."""
    import jax.numpy as jnp

    return [v for v in values if jnp.issubdtype(jnp.result_type(v), jnp.floating)]


def _arrays(values: Sequence[Any]) -> list[Array]:
    return [np.asarray(v).astype(np.float64) for v in values]
