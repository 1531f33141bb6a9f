"""Functions of several variables, along a line: all arguments but one entry are held."""

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction

from flint import arb

from crosscheck.studies.atlas.definition import (
    Definition,
    Documented,
    Formula,
    Interval,
    define,
    joined,
    number,
)
from crosscheck.studies.atlas.mathematics import functions as e, jets as j
from crosscheck.studies.atlas.mathematics.jets import Jet, Number

INFINITE = float("inf")
REAL: Interval = (-INFINITE, INFINITE)
POSITIVE: Interval = (0.0, INFINITE)

VectorFormula = Callable[[list[Jet]], Jet]
"""A formula of the entries of a vector."""

Entries = tuple[float | str, ...]
"""Entries of a vector, of which "x" is the one that is differentiated."""


def filled(entries: Entries, x: Jet) -> list[Jet]:
    """The vector at x."""
    return [x if entry == "x" else j.jet(float(entry)) for entry in entries]


def on(
    name: str,
    formula: VectorFormula,
    entries: Entries,
    torch: Sequence[str] | str = "",
    jax: Sequence[str] | str = "",
    domain: Interval = REAL,
    special: tuple[float, ...] = (),
    documented: dict[str, Documented] | None = None,
) -> Definition:
    """A function of a vector; `{v}` in the expressions is the vector."""
    written = f"[{', '.join(f'{n:g}' if isinstance(n, float) else str(n) for n in entries)}]"
    held = [float(n) for n in entries if n != "x"]
    return define(
        f"{name} of {written}",
        lambda x: formula(filled(entries, x)),
        _all(torch, joined("torch", *entries)),
        _all(jax, joined("jax", *entries)),
        domain,
        {0.0, *special, *held, *(-n for n in held)},
        f"input of {written}",
        documented,
    )


def _all(expressions: Sequence[str] | str, vector: str) -> tuple[str, ...]:
    given = [expressions] if isinstance(expressions, str) else expressions
    return tuple(each.replace("{v}", vector) for each in given if each)


def norm_3(v: list[Jet]) -> Jet:
    """(Σ |x|³)^(1/3); |x| where all others are 0."""
    sizes = [j.absolute(x) for x in v if not (x.constant and x.value.is_zero())]
    if len(sizes) == 1:
        return sizes[0]
    return e.power(j.total([size**3 for size in sizes]), Fraction(1, 3))


def mean(v: list[Jet]) -> Jet:
    """The mean."""
    return j.total(v) / len(v)


def variance(v: list[Jet], correction: int = 1) -> Jet:
    """Σ (x - mean)²/(n - correction)."""
    middle = mean(v)
    return j.total([(x - middle) ** 2 for x in v]) / (len(v) - correction)


def softmax(v: list[Jet]) -> Jet:
    """The first entry of the softmax."""
    return 1 / j.total([e.exp(x - v[0]) for x in v])


def log_softmax(v: list[Jet]) -> Jet:
    """The first entry of log softmax: -log1p of the rest."""
    return v[0] - e.logsumexp(*v)


def log_softmax_at(v: list[Jet], k: int) -> Jet:
    """Another entry."""
    return v[k] - e.logsumexp(*v)


def normalized(eps: Number) -> VectorFormula:
    """(x₀ - mean)/√(variance + eps), the biased variance."""
    return lambda v: (v[0] - mean(v)) / e.sqrt(variance(v, 0) + eps)


def rms_normalized(v: list[Jet], eps: Number) -> Jet:
    """x₀/√(mean x² + eps)."""
    return v[0] / e.sqrt(mean([x**2 for x in v]) + eps)


def unit(v: list[Jet]) -> Jet:
    """x₀/‖x‖."""
    return v[0] / e.norm(*v)


def unit_with_eps(v: list[Jet]) -> Jet:
    """x₀/max(‖x‖, 10⁻¹²)."""
    return v[0] / j.maximum(e.norm(*v), Fraction(1, 10**12))


def _unit_with_eps(entries: Entries) -> Formula:
    return lambda x: unit_with_eps(filled(entries, x))


def cosine(v: list[Jet]) -> Jet:
    """⟨v, w⟩/(‖v‖ ‖w‖), w = (1, 2, 2)."""
    return (v[0] + 2 * v[1] + 2 * v[2]) / (e.norm(*v) * 3)


EPS = Fraction(1, 10**5)
HUGE, TINY = 4e200, 3e-200


def _pairs() -> Iterator[Definition]:
    """Functions of two numbers."""
    c = {(f, v): number(f, v) for f in ("torch", "jax") for v in (0.0, 2.0, 3.0, 4.0, HUGE, TINY)}

    def two(
        name: str, formula: Formula, function: str, other: float, first: bool, **more: object
    ) -> Definition:
        def call(f: str) -> str:
            held = c[f, other]
            prefix = "torch" if f == "torch" else "jax.numpy"
            torch, jax = function.split("|") if "|" in function else (function, function)
            arguments = f"x, {held}" if first else f"{held}, x"
            short = torch if f == "torch" else jax
            return f"{prefix}.{short}({arguments})" if short else ""

        place = "first" if first else "second"
        return define(
            f"{name}, by the {place}, beside {other:g}",
            formula,
            call("torch"),
            call("jax"),
            argument=f"{'input' if first else 'other'}, beside {other:g}",
            **more,  # type: ignore[arg-type]
        )

    for other in (4.0, HUGE, TINY, 0.0):
        yield two("hypot", _hypot(other), "hypot", other, True, special=(0, 3e200, 3e-200, other))
    for other in (3.0, HUGE, TINY):
        yield two(
            "atan2", _atan_of_quotient(other), "atan2|arctan2", other, True, special=(0, other)
        )
    yield two("atan2", lambda x: -e.atan(x / 3) + arb.pi() / 2, "atan2|arctan2", 3.0, False)
    yield two("div", lambda x: x / 3, "div|divide", 3.0, True)
    yield two("div", lambda x: 3 / x, "div|divide", 3.0, False)
    yield two("mul", lambda x: x * 3, "mul|multiply", 3.0, True)
    yield two("pow", lambda x: x**3, "pow|power", 3.0, True)
    yield two("pow", lambda x: x * 0 + 1, "pow|power", 0.0, True)
    yield two("pow", lambda x: e.exp(x * arb(2).log()), "pow|power", 2.0, False)
    yield two("pow", lambda x: x * 0, "pow|power", 0.0, False, domain=POSITIVE)
    yield two("float_power", lambda x: x**3, "float_power|float_power", 3.0, True)
    yield two(
        "logaddexp",
        lambda x: e.softplus(x - 2) + 2,
        "logaddexp",
        2.0,
        True,
        special=(0, 2, 40, -40, 700),
    )
    yield two("logaddexp2", _logaddexp2, "logaddexp2", 2.0, True, special=(0, 2, 60, -60))
    yield two("maximum", lambda x: j.maximum(x, 2), "maximum", 2.0, True, special=(2,))
    yield two("minimum", lambda x: j.minimum(x, 2), "minimum", 2.0, True, special=(2,))
    yield two("fmax", lambda x: j.maximum(x, 2), "fmax", 2.0, True, special=(2,))
    yield two("fmin", lambda x: j.minimum(x, 2), "fmin", 2.0, True, special=(2,))
    yield two("copysign", lambda x: j.absolute(x), "copysign", 3.0, True)
    yield two("nextafter", lambda x: x, "nextafter", 3.0, True)
    yield two("true_divide", lambda x: x / 3, "true_divide", 3.0, True)


def _alone() -> Iterator[Definition]:
    """Powers, and functions of several variables that are called in a way of their own."""
    c = {(f, v): number(f, v) for f in ("torch", "jax") for v in (2.0, 3.0, 4.0)}
    yield define("pow 0.5", e.sqrt, "torch.pow(x, 0.5)", "jax.numpy.power(x, 0.5)", POSITIVE)
    yield define(
        "pow 1.5",
        lambda x: e.power(x, Fraction(3, 2)),
        "torch.pow(x, 1.5)",
        "jax.numpy.power(x, 1.5)",
        POSITIVE,
        (0, 1),
    )
    yield define("pow -2", lambda x: x**-2, "torch.pow(x, -2)", "jax.lax.integer_pow(x, -2)")
    yield define(
        "pow 0 by a number", lambda x: x * 0 + 1, "torch.pow(x, 0.0)", "jax.numpy.power(x, 0.0)"
    )
    yield define(
        "pow of x and x",
        lambda x: e.exp(x * e.log(x)),
        "torch.pow(x, x)",
        "jax.numpy.power(x, x)",
        (0.0, 140.0),
        (0, 1, 0.3671875),
        "x = exponent",
    )
    yield define(
        "where of sqrt",
        _positive_root,
        "torch.where(x > 0, torch.sqrt(x), torch.zeros_like(x))",
        "jax.numpy.where(x > 0, jnp.sqrt(x), 0.0)",
    )
    yield define(
        "where of log",
        lambda x: e.log(x) if j.less(1, x) else x * 0,
        "torch.where(x > 1, torch.log(x), torch.zeros_like(x))",
        "jax.numpy.where(x > 1, jnp.log(x), 0.0)",
        special=(0, 1),
    )
    yield define(
        "where of sinc",
        lambda x: e.sinc(x),
        "torch.where(x == 0, torch.ones_like(x), torch.sin(x) / x)",
        "jax.numpy.where(x == 0, 1.0, jnp.sin(x) / x)",
        (-100.0, 100.0),
    )
    yield define(
        "complex modulus",
        lambda x: e.norm(x, 4),
        f"torch.abs(torch.complex(x, {c['torch', 4.0]}))",
        f"jax.numpy.abs(jax.lax.complex(x, {c['jax', 4.0]}))",
        special=(0, 4),
        argument="real part, with imaginary part 4",
    )
    yield define(
        "ldexp, by the exponent",
        lambda x: e.exp(x * arb(2).log()) * 3,
        f"torch.ldexp({c['torch', 3.0]}, x)",
        argument="other, with input = 3",
    )
    yield define(
        "lerp, by the weight",
        lambda x: 2 + x,
        f"torch.lerp({c['torch', 2.0]}, {c['torch', 3.0]}, x)",
        argument="weight, from 2 to 3",
    )
    yield define(
        "addcdiv, by the divisor",
        lambda x: 2 + 3 / x,
        f"torch.addcdiv({c['torch', 2.0]}, {c['torch', 3.0]}, x)",
        argument="tensor2, with 2 + 3/x",
    )
    yield define(
        "remainder",
        lambda x: x * 1,
        f"torch.remainder(x, {c['torch', 3.0]})",
        f"jax.numpy.remainder(x, {c['jax', 3.0]})",
        (0.125, 2.875),
        (1,),
    )
    yield define(
        "fmod",
        lambda x: x * 1,
        f"torch.fmod(x, {c['torch', 3.0]})",
        f"jax.numpy.fmod(x, {c['jax', 3.0]})",
        (-2.875, 2.875),
        (1,),
    )


def _hypot(other: float) -> Formula:
    return lambda x: e.norm(x, other)


def _atan_of_quotient(other: float) -> Formula:
    return lambda x: e.atan(x / other)


def _logaddexp2(x: Jet) -> Jet:
    log2 = arb(2).log()
    return e.softplus((x - 2) * log2) / log2 + 2


def _positive_root(x: Jet) -> Jet:
    return e.sqrt(x) if j.sign(x) > 0 else x * 0


def _norms() -> Iterator[Definition]:
    """Norms, distances and what divides by them."""
    torch_norm = "torch.linalg.vector_norm({v}, ord=%s, dim=-1)"
    jax_norm = "jax.numpy.linalg.norm({v}, ord=%s, axis=-1)"
    for entries in (("x", 4.0), ("x", 0.0), ("x", HUGE), ("x", TINY), (3.0, "x", -4.0)):
        special = (3e200, 3e-200)
        yield on(
            "norm 2",
            lambda v: e.norm(*v),
            entries,
            (
                "torch.linalg.vector_norm({v}, dim=-1)",
                "torch.norm({v}, dim=-1)",
                "torch.linalg.norm({v}, dim=-1)",
            ),
            "jax.numpy.linalg.norm({v}, axis=-1)",
            special=special,
        )
    for entries in (("x", 4.0), ("x", 0.0)):
        yield on(
            "norm 1",
            lambda v: j.total([j.absolute(x) for x in v]),
            entries,
            torch_norm % 1,
            jax_norm % 1,
        )
        yield on(
            "norm inf",
            lambda v: j.maximum(*[j.absolute(x) for x in v]),
            entries,
            torch_norm % "float('inf')",
            jax_norm % "float('inf')",
        )
        yield on("norm 3", norm_3, entries, torch_norm % "3.0", jax_norm % "3.0")
        yield on(
            "norm 2, squared",
            lambda v: j.total([x**2 for x in v]),
            entries,
            "torch.linalg.vector_norm({v}, dim=-1) ** 2",
            "jax.numpy.linalg.norm({v}, axis=-1) ** 2",
        )
    for entries in (("x", 4.0), ("x", 0.0), ("x", HUGE), ("x", TINY)):
        yield on(
            "normalize",
            unit,
            entries,
            "torch.nn.functional.normalize({v}, dim=-1)[..., 0]",
            documented={
                "torch.nn.functional.normalize": Documented(
                    "divides by max(norm, eps), eps = 1e-12", _unit_with_eps(entries)
                )
            },
        )
    yield on(
        "cosine similarity",
        cosine,
        ("x", 2.0, 3.0),
        "torch.nn.functional.cosine_similarity({v}, torch.tensor([1.0, 2.0, 2.0], "
        "dtype=x.dtype), dim=-1)",
    )
    yield on(
        "pairwise distance",
        lambda v: e.norm(v[0] - 1, v[1] - 2),
        ("x", 4.0),
        ("torch.linalg.vector_norm({v} - torch.tensor([1.0, 2.0], dtype=x.dtype), dim=-1)",),
        "jax.numpy.linalg.norm({v} - jnp.array([1.0, 2.0], x.dtype), axis=-1)",
        special=(1,),
    )
    yield on(
        "cdist",
        lambda v: e.norm(v[0] - 1, v[1] - 2),
        ("x", 2.0),
        "torch.cdist({v}.unsqueeze(-2), torch.tensor([[1.0, 2.0]], dtype=x.dtype))[..., 0, 0]",
        special=(1,),
    )


def _sums() -> Iterator[Definition]:
    """Softmax and its relatives, statistics, products."""
    for entries in (("x", 0.0), ("x", 1.0, -2.0)):
        special = (40, -40, 37, -37, 700, -700, 88, -88)
        yield on(
            "softmax",
            softmax,
            entries,
            (
                "torch.softmax({v}, -1)[..., 0]",
                "torch.nn.functional.softmax({v}, -1)[..., 0]",
                "torch.special.softmax({v}, -1)[..., 0]",
            ),
            ("jax.nn.softmax({v}, -1)[..., 0]", "jax.scipy.special.softmax({v}, -1)[..., 0]"),
            special=special,
        )
        yield on(
            "log_softmax",
            log_softmax,
            entries,
            (
                "torch.log_softmax({v}, -1)[..., 0]",
                "torch.nn.functional.log_softmax({v}, -1)[..., 0]",
                "torch.special.log_softmax({v}, -1)[..., 0]",
            ),
            (
                "jax.nn.log_softmax({v}, -1)[..., 0]",
                "jax.scipy.special.log_softmax({v}, -1)[..., 0]",
            ),
            special=special,
        )
        yield on(
            "log_softmax, second entry",
            lambda v: log_softmax_at(v, 1),
            entries,
            "torch.nn.functional.log_softmax({v}, -1)[..., 1]",
            "jax.nn.log_softmax({v}, -1)[..., 1]",
            special=special,
        )
        yield on(
            "softmin",
            lambda v: softmax([-x for x in v]),
            entries,
            "torch.nn.functional.softmin({v}, -1)[..., 0]",
            special=special,
        )
        yield on(
            "logsumexp",
            lambda v: e.logsumexp(*v),
            entries,
            ("torch.logsumexp({v}, -1)", "torch.special.logsumexp({v}, -1)"),
            ("jax.nn.logsumexp({v}, -1)", "jax.scipy.special.logsumexp({v}, -1)"),
            special=special,
        )
        yield on(
            "logcumsumexp",
            lambda v: e.logsumexp(*v),
            entries,
            "torch.logcumsumexp({v}, -1)[..., -1]",
            "jax.lax.cumlogsumexp({v}, {v}.ndim - 1)[..., -1]",
            special=special,
        )
        yield on(
            "cross entropy",
            lambda v: -log_softmax(v),
            entries,
            "torch.nn.functional.cross_entropy({v}, torch.zeros(x.shape, dtype=torch.long), "
            'reduction="none")',
            special=special,
        )
    yield on(
        "logmeanexp",
        lambda v: e.logsumexp(*v) - arb(len(v)).log(),
        ("x", 1.0, -2.0),
        jax="jax.nn.logmeanexp({v}, axis=-1)",
        special=(40, -40),
    )
    three = ("x", 1.0, 2.0)
    big = ("x", 1e200, 2.0)
    for entries in (three, ("x", 1.0, 1.0), ("x", 1000000.0, 1000001.0)):
        yield on("var", variance, entries, "torch.var({v}, -1)", "jax.numpy.var({v}, -1, ddof=1)")
        yield on(
            "std",
            lambda v: e.sqrt(variance(v)),
            entries,
            "torch.std({v}, -1)",
            "jax.numpy.std({v}, -1, ddof=1)",
        )
    yield on(
        "std",
        lambda v: e.sqrt(variance(v)),
        big,
        "torch.std({v}, -1)",
        "jax.numpy.std({v}, -1, ddof=1)",
        special=(3e200,),
    )
    yield on("mean", mean, three, "torch.mean({v}, -1)", "jax.numpy.mean({v}, -1)")
    for entries in (("x", 3.0, 2.0), ("x", 0.0, 2.0), ("x", 1e200, 1e200)):
        yield on("prod", j.product, entries, "torch.prod({v}, -1)", "jax.numpy.prod({v}, -1)")
        yield on(
            "cumprod",
            j.product,
            entries,
            "torch.cumprod({v}, -1)[..., -1]",
            "jax.numpy.cumprod({v}, -1)[..., -1]",
        )
    for entries in (three, ("x", 1.0, 1.0)):
        yield on(
            "max",
            lambda v: j.maximum(*v),
            entries,
            ("torch.amax({v}, -1)", "torch.max({v}, -1).values"),
            "jax.numpy.max({v}, -1)",
        )
        yield on(
            "min",
            lambda v: j.minimum(*v),
            entries,
            ("torch.amin({v}, -1)", "torch.min({v}, -1).values"),
            "jax.numpy.min({v}, -1)",
        )
        yield on(
            "median", _median, entries, "torch.median({v}, -1).values", "jax.numpy.median({v}, -1)"
        )
        yield on(
            "sort",
            lambda v: j.minimum(*v),
            entries,
            "torch.sort({v}, -1).values[..., 0]",
            "jax.numpy.sort({v}, -1)[..., 0]",
        )
        yield on(
            "cummax",
            lambda v: j.maximum(*v),
            entries,
            "torch.cummax({v}, -1).values[..., -1]",
            "jax.lax.cummax({v}, {v}.ndim - 1)[..., -1]",
        )
    for entries in (three, ("x", 1.0, 1.0), ("x", 1e4, 1e4 + 1)):
        yield on(
            "layer norm",
            normalized(EPS),
            entries,
            "torch.nn.functional.layer_norm({v}, (3,))[..., 0]",
            "jax.nn.standardize({v}, axis=-1, epsilon=1e-5)[..., 0]",
        )
    yield on(
        "group norm",
        normalized(EPS),
        three,
        "torch.nn.functional.group_norm({v}.reshape(-1, 1, 3), 1)[..., 0, 0].reshape(x.shape)",
    )
    yield on(
        "instance norm",
        normalized(EPS),
        three,
        "torch.nn.functional.instance_norm({v}.reshape(-1, 1, 3))[..., 0, 0].reshape(x.shape)",
    )
    yield on(
        "batch norm",
        normalized(EPS),
        three,
        "torch.nn.functional.batch_norm({v}.reshape(-1, 3).T.contiguous(), None, None, "
        "training=True)[0].reshape(x.shape)",
    )
    yield on(
        "rms norm",
        lambda v: rms_normalized(v, EPS),
        three,
        "torch.nn.functional.rms_norm({v}, (3,), eps=1e-5)[..., 0]",
    )


def _median(v: list[Jet]) -> Jet:
    """Of three: the largest of the minima of pairs."""
    a, b, c = v
    return j.maximum(j.minimum(a, b), j.minimum(a, c), j.minimum(b, c))


DEFINITIONS: tuple[Definition, ...] = (*_pairs(), *_alone(), *_norms(), *_sums())
