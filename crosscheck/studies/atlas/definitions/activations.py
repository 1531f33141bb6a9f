"""Activations: all of torch.nn.functional and jax.nn."""

from fractions import Fraction

from flint import arb

from crosscheck.studies.atlas.definition import Definition, Documented, Formula, define, joined
from crosscheck.studies.atlas.mathematics import functions as e, jets as j
from crosscheck.studies.atlas.mathematics.jets import Jet, Number

INFINITE = float("inf")

SELU_SCALE = Fraction("1.0507009873554804934193349852946")
SELU_ALPHA = Fraction("1.6732632423543772848170429916717")
SIXTH = Fraction(1, 6)


def pieces(x: Jet, at: Number, below: Formula, above: Formula) -> Jet:
    """One function below a point, another from there on."""
    return below(x) if j.less(x, at) else above(x)


def elu(alpha: Number) -> Formula:
    """x, and α (exp(x) - 1) below 0."""
    return lambda x: pieces(x, 0, lambda x: e.expm1(x) * alpha, lambda x: x)


def celu(alpha: Number) -> Formula:
    """x, and α (exp(x/α) - 1) below 0."""
    return lambda x: pieces(x, 0, lambda x: e.expm1(x / alpha) * alpha, lambda x: x)


def leaky(slope: Number) -> Formula:
    """x, and a multiple of it below 0."""
    return lambda x: pieces(x, 0, lambda x: x * slope, lambda x: x)


def selu(x: Jet) -> Jet:
    """λ x, and λ α (exp(x) - 1) below 0 (Klambauer et al., 2017)."""
    return elu(SELU_ALPHA)(x) * SELU_SCALE


def gelu(x: Jet) -> Jet:
    """x Φ(x)."""
    return x * e.normal_cdf(x)


def gelu_tanh(x: Jet) -> Jet:
    """x σ(2 √(2/π) (x + 0.044715 x³))."""
    inner = x + x**3 * Fraction("0.044715")
    return x * e.logistic(inner * (2 * (2 / arb.pi()).sqrt()))


def tanhshrink(x: Jet) -> Jet:
    """x - tanh(x), whose derivative is tanh²."""
    t, s = x.value.tanh(), x.value.sech() ** 2
    return j.chain(x, x.value - t, t**2, 2 * t * s)


def hardsigmoid(x: Jet) -> Jet:
    """(x + 3)/6 held to [0, 1]."""
    return j.clip((x + 3) * SIXTH, 0, 1)


def softplus_to(threshold: Number) -> Formula:
    """softplus, and x above a threshold."""
    return lambda x: pieces(x, threshold, e.softplus, lambda x: x)


def squareplus(x: Jet) -> Jet:
    """(x + √(x² + 4))/2, without cancellation."""
    root = e.sqrt(x**2 + 4)
    return (x + root) / 2 if j.less(0, x) else 2 / (root - x)


def sparse_plus(x: Jet) -> Jet:
    """0, (x + 1)²/4, x."""
    return pieces(x, -1, lambda x: x * 0, lambda x: pieces(x, 1, _quarter, lambda x: x))


def _quarter(x: Jet) -> Jet:
    return (x + 1) ** 2 / 4


def outside(limit: Number, value: Formula) -> Formula:
    """0 where |x| is at most a limit."""
    return lambda x: j.jet(0) * x if j.less(j.absolute(x), limit) else value(x)


def softshrink(x: Jet) -> Jet:
    """x moved by ½ towards 0."""
    return x - j.clip(x, -0.5, 0.5)


GATE = {name: joined(name, "x", 0.75) for name in ("torch", "jax")}
GATED = {name: joined(name, 0.75, "x") for name in ("torch", "jax")}

SATURATED = (0.0, -40.0, 40.0, 20.0, -37.0, -88.0, -103.0, -745.0)

DEFINITIONS: tuple[Definition, ...] = (
    define(
        "sigmoid",
        e.logistic,
        ("torch.sigmoid(x)", "torch.special.expit(x)", "torch.nn.functional.sigmoid(x)"),
        ("jax.nn.sigmoid(x)", "jax.scipy.special.expit(x)", "jax.lax.logistic(x)"),
        special=SATURATED,
    ),
    define(
        "log_sigmoid",
        lambda x: -e.softplus(-x),
        "torch.nn.functional.logsigmoid(x)",
        "jax.nn.log_sigmoid(x)",
        special=SATURATED,
    ),
    define(
        "relu",
        lambda x: j.maximum(x, 0),
        ("torch.relu(x)", "torch.nn.functional.relu(x)"),
        "jax.nn.relu(x)",
    ),
    define(
        "relu6",
        lambda x: j.clip(x, 0, 6),
        "torch.nn.functional.relu6(x)",
        "jax.nn.relu6(x)",
        special=(0, 6),
    ),
    define(
        "leaky_relu",
        leaky(Fraction(1, 100)),
        "torch.nn.functional.leaky_relu(x)",
        "jax.nn.leaky_relu(x)",
    ),
    define(
        "prelu",
        leaky(0.25),
        "torch.nn.functional.prelu(x, torch.full((1,), 0.25, dtype=x.dtype))",
        argument="input",
    ),
    define("rrelu", leaky(Fraction(11, 48)), "torch.nn.functional.rrelu(x)"),
    define("elu", elu(1), "torch.nn.functional.elu(x)", "jax.nn.elu(x)", special=SATURATED),
    define(
        "celu",
        celu(1),
        "torch.nn.functional.celu(x)",
        "jax.nn.celu(x)",
        special=SATURATED,
    ),
    define(
        "celu, alpha 2",
        celu(2),
        "torch.nn.functional.celu(x, 2.0)",
        "jax.nn.celu(x, 2.0)",
        special=SATURATED,
    ),
    define("selu", selu, "torch.nn.functional.selu(x)", "jax.nn.selu(x)", special=SATURATED),
    define(
        "gelu",
        gelu,
        "torch.nn.functional.gelu(x)",
        "jax.nn.gelu(x, approximate=False)",
        special=(0, -0.75, -6, -8.5, -13, -37, -38, 6),
    ),
    define(
        "gelu, tanh",
        gelu_tanh,
        'torch.nn.functional.gelu(x, approximate="tanh")',
        "jax.nn.gelu(x, approximate=True)",
        special=(0, -0.75, -6, -10, -20, 6),
    ),
    define(
        "silu",
        lambda x: x * e.logistic(x),
        "torch.nn.functional.silu(x)",
        ("jax.nn.silu(x)", "jax.nn.swish(x)"),
        special=(*SATURATED, -1.28125),
    ),
    define(
        "mish",
        lambda x: x * e.tanh(e.softplus(x)),
        "torch.nn.functional.mish(x)",
        "jax.nn.mish(x)",
        special=(*SATURATED, -1.1875),
    ),
    define(
        "softplus",
        e.softplus,
        "torch.nn.functional.softplus(x)",
        "jax.nn.softplus(x)",
        special=SATURATED,
        documented={
            "torch.nn.functional.softplus": Documented(
                "reverts to the linear function when input × β > threshold, 20", softplus_to(20)
            )
        },
    ),
    define(
        "softsign",
        lambda x: x / (1 + j.absolute(x)),
        "torch.nn.functional.softsign(x)",
        "jax.nn.soft_sign(x)",
    ),
    define("tanhshrink", tanhshrink, "torch.nn.functional.tanhshrink(x)"),
    define("softshrink", softshrink, "torch.nn.functional.softshrink(x)", special=(0, -0.5, 0.5)),
    define(
        "hardshrink",
        outside(0.5, lambda x: x),
        ("torch.nn.functional.hardshrink(x)", "torch.hardshrink(x)"),
        special=(0, -0.5, 0.5),
    ),
    define(
        "threshold",
        lambda x: pieces(x, 0.5, lambda x: x * 0, lambda x: x),
        "torch.nn.functional.threshold(x, 0.5, 0.0)",
        special=(0, 0.5),
    ),
    define(
        "hardtanh",
        lambda x: j.clip(x, -1, 1),
        "torch.nn.functional.hardtanh(x)",
        "jax.nn.hard_tanh(x)",
        special=(-1, 1),
    ),
    define(
        "hardsigmoid",
        hardsigmoid,
        "torch.nn.functional.hardsigmoid(x)",
        "jax.nn.hard_sigmoid(x)",
        special=(-3, 0, 3),
    ),
    define(
        "hardswish",
        lambda x: x * hardsigmoid(x),
        "torch.nn.functional.hardswish(x)",
        ("jax.nn.hard_swish(x)", "jax.nn.hard_silu(x)"),
        special=(-3, -1.5, 0, 3),
    ),
    define("squareplus", squareplus, jax="jax.nn.squareplus(x)"),
    define("sparse_plus", sparse_plus, jax="jax.nn.sparse_plus(x)", special=(-1, 0, 1)),
    define(
        "sparse_sigmoid",
        lambda x: j.clip((x + 1) / 2, 0, 1),
        jax="jax.nn.sparse_sigmoid(x)",
        special=(-1, 0, 1),
    ),
    define("identity", lambda x: x, jax="jax.nn.identity(x)"),
    define(
        "glu, by the value",
        lambda x: x * e.logistic(0.75),
        f"torch.nn.functional.glu({GATE['torch']})[..., 0]",
        f"jax.nn.glu({GATE['jax']})[..., 0]",
        argument="input[0] of [x, 0.75]",
    ),
    define(
        "glu, by the gate",
        lambda x: e.logistic(x) * 0.75,
        f"torch.nn.functional.glu({GATED['torch']})[..., 0]",
        f"jax.nn.glu({GATED['jax']})[..., 0]",
        special=SATURATED,
        argument="input[1] of [0.75, x]",
    ),
    define(
        "log1mexp",
        e.log1mexp,
        jax="jax.nn.log1mexp(x)",
        domain=(0, INFINITE),
        special=(0.6875, 36, 40, 700),
    ),
)
