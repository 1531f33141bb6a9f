"""Powers, exponentials, logarithms, circular and hyperbolic functions and their inverses."""

from fractions import Fraction

from flint import arb

from crosscheck.studies.atlas.definition import Definition, Formula, Names, define
from crosscheck.studies.atlas.mathematics import functions as e, jets as j
from crosscheck.studies.atlas.mathematics.jets import Jet

INFINITE = float("inf")
POSITIVE = (0.0, INFINITE)


def both(name: str) -> Names:
    """The function of one name in both frameworks."""
    return {"torch": f"torch.{name}(x)", "jax": f"jax.numpy.{name}(x)"}


def _sign_is_constant(x: Jet) -> Jet:
    """A step function: its derivative is 0 but at the steps."""
    return j.jet(j.sign(x))


def _sinc(x: Jet) -> Jet:
    return e.sinc(x * arb.pi())


def _cube_root(x: Jet) -> Jet:
    root = e.power(j.absolute(x), Fraction(1, 3))
    return -root if j.sign(x) < 0 else root


def _log_base(base: int) -> Formula:
    return lambda x: e.log(x) / arb(base).log()


def _ldexp(x: Jet) -> Jet:
    return x * 2


def _exp2(x: Jet) -> Jet:
    return e.exp(x * arb(2).log())


DEFINITIONS: tuple[Definition, ...] = (
    define("exp", e.exp, **both("exp"), special=(0, -745.13, 709.78, -103.97, 88.72)),
    define("exp2", _exp2, ("torch.exp2(x)", "torch.special.exp2(x)"), "jax.numpy.exp2(x)"),
    define(
        "expm1",
        e.expm1,
        ("torch.expm1(x)", "torch.special.expm1(x)"),
        "jax.numpy.expm1(x)",
        special=(0, -40, -745.13, 709.78),
    ),
    define("log", e.log, **both("log"), domain=POSITIVE, special=(1,)),
    define("log2", _log_base(2), **both("log2"), domain=POSITIVE, special=(1,)),
    define("log10", _log_base(10), **both("log10"), domain=POSITIVE, special=(1,)),
    define(
        "log1p",
        e.log1p,
        ("torch.log1p(x)", "torch.special.log1p(x)"),
        "jax.numpy.log1p(x)",
        domain=(-1, INFINITE),
    ),
    define("sqrt", e.sqrt, **both("sqrt"), domain=POSITIVE, special=(1,)),
    define(
        "rsqrt",
        lambda x: e.power(x, Fraction(-1, 2)),
        "torch.rsqrt(x)",
        "jax.lax.rsqrt(x)",
        domain=POSITIVE,
        special=(1,),
    ),
    define("cbrt", _cube_root, jax="jax.numpy.cbrt(x)"),
    define("square", lambda x: x**2, **both("square")),
    define("reciprocal", j.reciprocal, **both("reciprocal")),
    define("abs", j.absolute, **both("abs")),
    define("neg", lambda x: -x, **both("negative")),
    define("sin", e.sin, **both("sin"), special=(0, 3.140625, 1.5703125)),
    define("cos", e.cos, **both("cos"), special=(0, 3.140625, 1.5703125)),
    define("tan", e.tan, **both("tan"), special=(0, 1.5703125)),
    define("asin", e.asin, **both("asin"), domain=(-1, 1)),
    define("acos", e.acos, **both("acos"), domain=(-1, 1)),
    define("atan", e.atan, **both("atan")),
    define("sinh", e.sinh, **both("sinh"), special=(0, 710, -710)),
    define("cosh", e.cosh, **both("cosh"), special=(0, 710, -710)),
    define("tanh", e.tanh, ("torch.tanh(x)",), ("jax.numpy.tanh(x)", "jax.lax.tanh(x)")),
    define("asinh", e.asinh, **both("asinh")),
    define("acosh", e.acosh, **both("acosh"), domain=(1, INFINITE)),
    define("atanh", e.atanh, **both("atanh"), domain=(-1, 1)),
    define("sinc", _sinc, ("torch.sinc(x)", "torch.special.sinc(x)"), "jax.numpy.sinc(x)"),
    define(
        "ldexp by x",
        _ldexp,
        "torch.ldexp(x, torch.ones_like(x, dtype=torch.int32))",
        "jax.numpy.ldexp(x, jnp.ones_like(x, dtype=jnp.int32))",
        argument="input",
    ),
    define("deg2rad", lambda x: x * (arb.pi() / 180), **both("deg2rad")),
    define("rad2deg", lambda x: x * (180 / arb.pi()), **both("rad2deg")),
    define("sign", _sign_is_constant, **both("sign")),
    define(
        "maximum with 0",
        lambda x: j.maximum(x, 0),
        "torch.maximum(x, torch.zeros_like(x))",
        "jax.numpy.maximum(x, 0.0)",
        argument="input",
    ),
    define(
        "minimum with 0",
        lambda x: j.minimum(x, 0),
        "torch.minimum(x, torch.zeros_like(x))",
        "jax.numpy.minimum(x, 0.0)",
        argument="input",
    ),
    define(
        "clamp to [-1, 1]",
        lambda x: j.clip(x, -1, 1),
        ("torch.clamp(x, -1.0, 1.0)",),
        "jax.numpy.clip(x, -1.0, 1.0)",
        special=(-1, 1),
    ),
    define(
        "clamp to [0, 1]",
        lambda x: j.clip(x, 0, 1),
        ("torch.clip(x, 0.0, 1.0)",),
        "jax.lax.clamp(jnp.zeros_like(x), x, jnp.ones_like(x))",
        special=(0, 1),
    ),
    define("nan_to_num", lambda x: x, **both("nan_to_num")),
)
