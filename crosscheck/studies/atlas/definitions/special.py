"""Special functions: torch.special and jax.scipy.special."""

from collections.abc import Callable

from flint import acb, arb

from crosscheck.studies.atlas.definition import Definition, Formula, define
from crosscheck.studies.atlas.mathematics import functions as e, jets as j
from crosscheck.studies.atlas.mathematics.jets import Jet, Number, Triple

INFINITE = float("inf")
POSITIVE = (0.0, INFINITE)
UNIT = (0.0, 1.0)


def bessel_i(order: int) -> Formula:
    """Iν; its derivatives by the recurrences of DLMF 10.29."""

    def triple(a: arb) -> Triple:
        value, above = a.bessel_i(order), a.bessel_i(order + 1)
        below = a.bessel_i(abs(order - 1))
        first = (below + above) / 2
        return value, first, (a.bessel_i(abs(order - 2)) + 2 * value + a.bessel_i(order + 2)) / 4

    return j.smooth(triple)


def scaled_bessel_i(order: int) -> Formula:
    """exp(-|x|) Iν(x)."""
    return lambda x: e.exp(-j.absolute(x)) * bessel_i(order)(x)


def bessel_j(order: int) -> Formula:
    """Jν; DLMF 10.6."""

    def triple(a: arb) -> Triple:
        terms = [a.bessel_j(order + k) for k in (-2, -1, 0, 1, 2)]
        return terms[2], (terms[1] - terms[3]) / 2, (terms[0] - 2 * terms[2] + terms[4]) / 4

    return j.smooth(triple)


def gamma_p(shape: Number) -> Formula:
    """P(a, x), by x."""
    return _incomplete(shape, lambda a, s: a.gamma_lower(s, 1), 1)


def gamma_q(shape: Number) -> Formula:
    """Q(a, x), by x."""
    return _incomplete(shape, lambda a, s: a.gamma_upper(s, 1), -1)


def _incomplete(shape: Number, value: Callable[[arb, arb], arb], sign: int) -> Formula:
    def triple(a: arb) -> Triple:
        s = j.ball(shape)
        density = sign * ((s - 1) * a.log() - a - s.lgamma()).exp()
        return value(a, s), density, density * ((s - 1) / a - 1)

    return j.smooth(triple)


def gamma_p_by_shape(x: Number) -> Formula:
    """P(a, x), by a."""
    return j.analytic(lambda s: acb(j.ball(x)).gamma_lower(s, 1))


def gamma_q_by_shape(x: Number) -> Formula:
    """Q(a, x), by a."""
    return j.analytic(lambda s: acb(j.ball(x)).gamma_upper(s, 1))


def beta_i(a: Number, b: Number) -> Formula:
    """I_x(a, b), by x."""

    def triple(x: arb) -> Triple:
        p, q = j.ball(a), j.ball(b)
        log_beta = p.lgamma() + q.lgamma() - (p + q).lgamma()
        density = ((p - 1) * x.log() + (q - 1) * (1 - x).log() - log_beta).exp()
        return x.beta_lower(p, q, 1), density, density * ((p - 1) / x - (q - 1) / (1 - x))

    return j.smooth(triple)


def log_beta(a: Jet | Number, b: Jet | Number) -> Jet:
    """log B(a, b)."""
    return e.lgamma(a) + e.lgamma(b) - e.lgamma(j.jet(a) + b)


def entropy(x: Jet) -> Jet:
    """-x log x."""
    return -(x * e.log(x))


def logit(x: Jet) -> Jet:
    """log(x/(1 - x))."""
    return e.log(x) - e.log1p(-x)


def boxcox(x: Jet | Number, power: Jet | Number) -> Jet:
    """(x^λ - 1)/λ."""
    return e.expm1(e.log(x) * power) / power


def exponential_integral(order: int) -> Formula:
    """E_n; E_n′ = -E_(n-1), DLMF 8.19.13."""

    def triple(a: arb) -> Triple:
        terms = [a.expint(order - k) for k in range(3)]
        return terms[0], -terms[1], terms[2]

    return j.smooth(triple)


def hypergeometric(a: float, b: float) -> Formula:
    """₁F₁(a; b; x), DLMF 13.3.15."""

    def triple(x: arb) -> Triple:
        values = [x.hypgeom_1f1(arb(a) + k, arb(b) + k) for k in range(3)]
        return values[0], values[1] * a / b, values[2] * a * (a + 1) / (b * (b + 1))

    return j.smooth(triple)


def gauss(a: float, b: float, c: float) -> Formula:
    """₂F₁(a, b; c; x), DLMF 15.5.1."""

    def triple(x: arb) -> Triple:
        values = [x.hypgeom_2f1(arb(a) + k, arb(b) + k, arb(c) + k) for k in range(3)]
        first = values[1] * a * b / c
        return values[0], first, values[2] * a * (a + 1) * b * (b + 1) / (c * (c + 1))

    return j.smooth(triple)


def hurwitz(s: float) -> Formula:
    """ζ(s, q), by q: its derivative is -s ζ(s + 1, q), DLMF 25.11.17."""

    def triple(q: arb) -> Triple:
        values = [(arb(s) + k).zeta(q) for k in range(3)]
        return values[0], -s * values[1], s * (s + 1) * values[2]

    return j.smooth(triple)


def orthogonal(method: str, n: int) -> Formula:
    """A classical orthogonal polynomial of degree n."""
    return j.analytic(lambda z: getattr(z, method)(n))


def polygamma(order: int) -> Formula:
    """ψ⁽ⁿ⁾."""
    return lambda x: e.polygamma(order, x)


def multigamma(x: Jet) -> Jet:
    """log Γ₂(x) = log(π)/2 + log Γ(x) + log Γ(x - ½)."""
    return e.lgamma(x) + e.lgamma(x - 0.5) + arb.pi().log() / 2


def owens_t(h: float) -> Formula:
    """T(h, a) by a, whose derivative is exp(-h² (1 + a²)/2)/(2π (1 + a²))."""

    def triple(a: arb) -> Triple:
        size = arb(h) ** 2 / 2

        def density(z: acb, analytic: bool = False) -> acb:
            return (-(z**2 + 1) * acb(size)).exp() / (z**2 + 1)

        value = acb.integral(density, 0, acb(a)).real / (2 * arb.pi())
        first = density(acb(a)).real / (2 * arb.pi())
        return value, first, -first * (2 * a * size + 2 * a / (1 + a**2))

    return j.smooth(triple)


def _by_power(log: arb, power: Jet) -> Jet:
    """(exp(λ log x) - 1)/λ by λ; at 0 log x and its series."""
    if power.value.is_zero():
        return j.chain(power, log, log**2 / 2, log**3 / 3)
    return e.expm1(power * log) / power


DEFINITIONS: tuple[Definition, ...] = (
    define(
        "erf",
        e.erf,
        ("torch.erf(x)", "torch.special.erf(x)"),
        ("jax.scipy.special.erf(x)", "jax.lax.erf(x)"),
    ),
    define(
        "erfc",
        e.erfc,
        ("torch.erfc(x)", "torch.special.erfc(x)"),
        ("jax.scipy.special.erfc(x)", "jax.lax.erfc(x)"),
        special=(0, 26, -26),
    ),
    define(
        "erfcx",
        e.erfcx,
        "torch.special.erfcx(x)",
        "jax.scipy.special.erfcx(x)",
        domain=(-27.0, INFINITE),
        special=(0, 5, 25, 50, -26),
    ),
    define(
        "erfinv",
        e.erfinv,
        ("torch.erfinv(x)", "torch.special.erfinv(x)"),
        "jax.scipy.special.erfinv(x)",
        domain=(-1, 1),
        special=(0, -0.75, 0.75),
    ),
    define(
        "lgamma",
        e.lgamma,
        ("torch.lgamma(x)", "torch.special.gammaln(x)"),
        ("jax.scipy.special.gammaln(x)", "jax.lax.lgamma(x)", "jax.scipy.special.loggamma(x)"),
        domain=POSITIVE,
        special=(1, 1.4609375, 2),
    ),
    define(
        "lgamma of negative numbers",
        e.lgamma,
        "torch.lgamma(x)",
        "jax.scipy.special.gammaln(x)",
        domain=(-20.0, 0.0),
        special=(-0.5, -1, -2, -3, -10),
    ),
    define(
        "digamma",
        lambda x: e.polygamma(0, x),
        ("torch.digamma(x)", "torch.special.digamma(x)", "torch.special.psi(x)"),
        ("jax.scipy.special.digamma(x)", "jax.lax.digamma(x)"),
        domain=POSITIVE,
        special=(1, 1.4609375, 10),
    ),
    define(
        "digamma of negative numbers",
        lambda x: e.polygamma(0, x),
        "torch.digamma(x)",
        "jax.scipy.special.digamma(x)",
        domain=(-20.0, 0.0),
        special=(-0.5, -1, -2, -3, -10),
    ),
    *(
        define(
            f"polygamma {n}",
            polygamma(n),
            (f"torch.polygamma({n}, x)", f"torch.special.polygamma({n}, x)"),
            f"jax.scipy.special.polygamma({n}, x)",
            domain=POSITIVE,
            special=(1, 2, 10),
        )
        for n in (1, 2)
    ),
    define(
        "multigammaln",
        multigamma,
        ("torch.special.multigammaln(x, 2)", "torch.mvlgamma(x, 2)"),
        "jax.scipy.special.multigammaln(x, 2)",
        domain=(0.5, INFINITE),
        special=(0.5, 1, 2),
    ),
    define(
        "gamma",
        e.gamma,
        jax="jax.scipy.special.gamma(x)",
        domain=(0.0, 180.0),
        special=(1, 1.4609375, 171),
    ),
    define(
        "factorial",
        lambda x: e.gamma(x + 1),
        jax="jax.scipy.special.factorial(x)",
        domain=(0.0, 171.0),
        special=(0, 0.4609375, 170),
    ),
    define(
        "poch",
        lambda x: e.gamma(x + 2.5) / e.gamma(x),
        jax="jax.scipy.special.poch(x, 2.5)",
        domain=(0.0, 160.0),
        special=(1, 2),
        argument="z",
    ),
    *(
        define(
            f"i{n}",
            bessel_i(n),
            (f"torch.special.i{n}(x)", f"torch.special.modified_bessel_i{n}(x)")
            + (("torch.i0(x)",) if n == 0 else ()),
            f"jax.scipy.special.i{n}(x)",
            domain=(-800.0, 800.0),
            special=(0, 8, -8, 700),
        )
        for n in (0, 1)
    ),
    *(
        define(
            f"i{n}e",
            scaled_bessel_i(n),
            f"torch.special.i{n}e(x)",
            (f"jax.scipy.special.i{n}e(x)", f"jax.lax.bessel_i{n}e(x)"),
            domain=(-1e6, 1e6),
            special=(0, 8, -8),
        )
        for n in (0, 1)
    ),
    *(
        define(
            f"bessel_j{n}",
            bessel_j(n),
            f"torch.special.bessel_j{n}(x)",
            f"jax.scipy.special.bessel_jn(x, v={max(n, 1)})[{n}]",
            domain=(-30.0, 30.0),
            special=(0, 2.40625, 3.828125),
        )
        for n in (0, 1)
    ),
    define("airy_ai", e.airy, "torch.special.airy_ai(x)", domain=(-100.0, 100.0)),
    define(
        "entr",
        entropy,
        "torch.special.entr(x)",
        "jax.scipy.special.entr(x)",
        domain=POSITIVE,
        special=(1, 0.3671875),
    ),
    define(
        "logit",
        logit,
        ("torch.logit(x)", "torch.special.logit(x)"),
        "jax.scipy.special.logit(x)",
        domain=UNIT,
        special=(0.5,),
    ),
    define(
        "ndtr",
        e.normal_cdf,
        "torch.special.ndtr(x)",
        "jax.scipy.special.ndtr(x)",
        special=(0, -5, -13, -37),
    ),
    define(
        "log_ndtr",
        e.normal_log_cdf,
        "torch.special.log_ndtr(x)",
        "jax.scipy.special.log_ndtr(x)",
        special=(0, -1, -5, -20, 5, 8),
    ),
    define(
        "ndtri",
        e.normal_quantile,
        "torch.special.ndtri(x)",
        "jax.scipy.special.ndtri(x)",
        domain=UNIT,
        special=(0.5, 0.1353352832366127, 0.8646647167633873),
    ),
    define(
        "xlogy, by x",
        lambda x: x * arb(2).log(),
        (
            "torch.xlogy(x, torch.full_like(x, 2.0))",
            "torch.special.xlogy(x, torch.full_like(x, 2.0))",
        ),
        "jax.scipy.special.xlogy(x, 2.0)",
        argument="x, with y = 2",
    ),
    define(
        "xlogy, by y",
        lambda x: e.log(x) * 2,
        "torch.xlogy(torch.full_like(x, 2.0), x)",
        "jax.scipy.special.xlogy(2.0, x)",
        domain=POSITIVE,
        special=(1,),
        argument="y, with x = 2",
    ),
    define(
        "xlogy, by y where x is 0",
        lambda x: x * 0,
        "torch.xlogy(torch.zeros_like(x), x)",
        "jax.scipy.special.xlogy(0.0, x)",
        domain=POSITIVE,
        argument="y, with x = 0",
    ),
    define(
        "xlogy of x and x",
        lambda x: x * e.log(x),
        "torch.xlogy(x, x)",
        "jax.scipy.special.xlogy(x, x)",
        domain=POSITIVE,
        special=(1, 0.3671875),
        argument="x = y",
    ),
    define(
        "xlog1py, by x",
        lambda x: x * arb(3).log(),
        "torch.special.xlog1py(x, torch.full_like(x, 2.0))",
        "jax.scipy.special.xlog1py(x, 2.0)",
        argument="x, with y = 2",
    ),
    define(
        "xlog1py, by y",
        lambda x: e.log1p(x) * 2,
        "torch.special.xlog1py(torch.full_like(x, 2.0), x)",
        "jax.scipy.special.xlog1py(2.0, x)",
        domain=(-1.0, INFINITE),
        argument="y, with x = 2",
    ),
    define(
        "rel_entr, by p",
        lambda x: x * e.log(x / 0.75),
        jax="jax.scipy.special.rel_entr(x, 0.75)",
        domain=POSITIVE,
        special=(0.75,),
        argument="p, with q = 0.75",
    ),
    define(
        "kl_div, by p",
        lambda x: x * e.log(x / 0.75) - x + 0.75,
        jax="jax.scipy.special.kl_div(x, 0.75)",
        domain=POSITIVE,
        special=(0.75,),
        argument="p, with q = 0.75",
    ),
    define(
        "kl_div, by q",
        lambda x: e.log(0.75 / x) * 0.75 - 0.75 + x,
        jax="jax.scipy.special.kl_div(0.75, x)",
        domain=POSITIVE,
        special=(0.75,),
        argument="q, with p = 0.75",
    ),
    define(
        "boxcox, by x",
        lambda x: boxcox(x, 0.75),
        jax="jax.scipy.special.boxcox(x, 0.75)",
        domain=POSITIVE,
        special=(1,),
    ),
    define(
        "boxcox, by lambda",
        lambda x: _by_power(arb(3).log(), x),
        jax="jax.scipy.special.boxcox(3.0, x)",
        domain=(-300.0, 300.0),
        argument="lmbda, with x = 3",
    ),
    define(
        "boxcox1p, by x",
        lambda x: boxcox(1 + x, 0.75),
        jax="jax.scipy.special.boxcox1p(x, 0.75)",
        domain=(-1.0, INFINITE),
    ),
    define("dawsn", e.dawson, jax="jax.scipy.special.dawsn(x)", domain=(-1e9, 1e9)),
    define(
        "expi",
        e.expi,
        jax="jax.scipy.special.expi(x)",
        special=(0, 0.375),
        domain=(-700.0, 700.0),
    ),
    define("exp1", exponential_integral(1), jax="jax.scipy.special.exp1(x)", domain=(0.0, 700.0)),
    define(
        "expn",
        exponential_integral(2),
        jax="jax.scipy.special.expn(2, x)",
        domain=(0.0, 700.0),
    ),
    define("spence", e.spence, jax="jax.scipy.special.spence(x)", domain=POSITIVE, special=(1,)),
    define(
        "sici, the sine",
        e.sine_integral,
        jax="jax.scipy.special.sici(x)[0]",
        domain=(-1e6, 1e6),
    ),
    define(
        "sici, the cosine",
        e.cosine_integral,
        jax="jax.scipy.special.sici(x)[1]",
        domain=(0.0, 1e6),
        special=(0, 4),
    ),
    define(
        "fresnel, the sine",
        e.fresnel_s,
        jax="jax.scipy.special.fresnel(x)[0]",
        domain=(-1e4, 1e4),
    ),
    define(
        "fresnel, the cosine",
        e.fresnel_c,
        jax="jax.scipy.special.fresnel(x)[1]",
        domain=(-1e4, 1e4),
    ),
    define(
        "hyp1f1",
        hypergeometric(1.5, 2.5),
        jax="jax.scipy.special.hyp1f1(1.5, 2.5, x)",
        domain=(-100.0, 100.0),
        special=(0, 8, -8),
    ),
    define(
        "hyp2f1",
        gauss(0.5, 1.5, 2.5),
        jax="jax.scipy.special.hyp2f1(0.5, 1.5, 2.5, x)",
        domain=(-0.875, 0.875),
    ),
    define(
        "zeta, by q",
        hurwitz(2.5),
        "torch.special.zeta(torch.full_like(x, 2.5), x)",
        "jax.scipy.special.zeta(2.5, x)",
        domain=POSITIVE,
        special=(1,),
        argument="q, with x = 2.5",
    ),
    define(
        "gammainc, by x",
        gamma_p(2.5),
        (
            "torch.special.gammainc(torch.full_like(x, 2.5), x)",
            "torch.igamma(torch.full_like(x, 2.5), x)",
        ),
        ("jax.scipy.special.gammainc(2.5, x)", "jax.lax.igamma(jnp.full_like(x, 2.5), x)"),
        domain=POSITIVE,
        special=(2.5,),
        argument="x, with a = 2.5",
    ),
    define(
        "gammaincc, by x",
        gamma_q(2.5),
        (
            "torch.special.gammaincc(torch.full_like(x, 2.5), x)",
            "torch.igammac(torch.full_like(x, 2.5), x)",
        ),
        ("jax.scipy.special.gammaincc(2.5, x)", "jax.lax.igammac(jnp.full_like(x, 2.5), x)"),
        domain=POSITIVE,
        special=(2.5,),
        argument="x, with a = 2.5",
    ),
    define(
        "gammainc, by a",
        gamma_p_by_shape(3.0),
        "torch.special.gammainc(x, torch.full_like(x, 3.0))",
        "jax.scipy.special.gammainc(x, 3.0)",
        domain=(0.0, 100.0),
        special=(3,),
        argument="a, with x = 3",
    ),
    define(
        "gammaincc, by a",
        gamma_q_by_shape(3.0),
        "torch.special.gammaincc(x, torch.full_like(x, 3.0))",
        "jax.scipy.special.gammaincc(x, 3.0)",
        domain=(0.0, 100.0),
        special=(3,),
        argument="a, with x = 3",
    ),
    define(
        "betainc, by x",
        beta_i(2.5, 1.5),
        jax="jax.scipy.special.betainc(2.5, 1.5, x)",
        domain=UNIT,
        special=(0.5,),
        argument="x, with a = 2.5, b = 1.5",
    ),
    define(
        "betaln, by a",
        lambda x: log_beta(x, 2.5),
        jax="jax.scipy.special.betaln(x, 2.5)",
        domain=POSITIVE,
        special=(1, 8, 10),
        argument="a, with b = 2.5",
    ),
    define(
        "beta, by a",
        lambda x: e.exp(log_beta(x, 2.5)),
        jax="jax.scipy.special.beta(x, 2.5)",
        domain=(0.0, 1e6),
        special=(1,),
        argument="a, with b = 2.5",
    ),
    define(
        "owens_t, by a",
        owens_t(1.5),
        jax="jax.scipy.special.owens_t(1.5, x)",
        domain=(-30.0, 30.0),
        special=(0, 1, -1),
        argument="a, with h = 1.5",
    ),
    define(
        "chebyshev_polynomial_t",
        orthogonal("chebyshev_t", 5),
        "torch.special.chebyshev_polynomial_t(x, 5)",
        domain=(-1.0, 1.0),
        argument="input, with n = 5",
    ),
    define(
        "legendre_polynomial_p",
        orthogonal("legendre_p", 5),
        "torch.special.legendre_polynomial_p(x, 5)",
        domain=(-1.0, 1.0),
        argument="input, with n = 5",
    ),
)
