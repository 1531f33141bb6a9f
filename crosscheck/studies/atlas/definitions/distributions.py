"""Distributions: log-densities, distribution functions and quantiles, by each argument.

A family is a formula of named arguments at a point; each argument gives a definition, the others
held at that point.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from flint import arb

from crosscheck.studies.atlas.definition import Definition, Formula, Interval, define, number
from crosscheck.studies.atlas.definitions.special import (
    beta_i,
    gamma_p,
    gamma_q,
    log_beta,
    logit,
)
from crosscheck.studies.atlas.mathematics import functions as e, jets as j
from crosscheck.studies.atlas.mathematics.jets import Jet, Number, Triple

INFINITE = float("inf")
REAL: Interval = (-INFINITE, INFINITE)
POSITIVE: Interval = (0.0, INFINITE)
UNIT: Interval = (0.0, 1.0)
DEGREES: Interval = (1e-30, INFINITE)
"""Degrees of freedom, half of which have to be positive numbers of each format."""

J = Jet | Number


class Argument(NamedTuple):
    """An argument: where it is held, the domain and special points where it is differentiated."""

    at: float
    domain: Interval = REAL
    special: tuple[float, ...] = ()


def family(
    name: str,
    formula: Callable[..., Jet],
    arguments: Mapping[str, Argument],
    torch: str = "",
    jax: str = "",
    only: tuple[str, ...] = (),
) -> Iterator[Definition]:
    """A definition by each argument (or `only` by some); {names} in the expressions are filled."""
    for argument in only or arguments:
        known = arguments[argument]
        yield define(
            f"{name}, by {argument}",
            _along(formula, arguments, argument),
            _filled(torch, "torch", arguments, argument),
            _filled(jax, "jax", arguments, argument),
            known.domain,
            (known.at, *known.special),
            _described(arguments, argument),
        )


def _along(formula: Callable[..., Jet], arguments: Mapping[str, Argument], chosen: str) -> Formula:
    """The formula as a function of one argument."""
    held = {name: argument.at for name, argument in arguments.items()}
    return lambda x: formula(*{**held, chosen: x}.values())


def _filled(expression: str, framework: str, arguments: Mapping[str, Argument], chosen: str) -> str:
    held = {name: number(framework, argument.at) for name, argument in arguments.items()}
    return expression.format(**{**held, chosen: "x"})


def _described(arguments: Mapping[str, Argument], chosen: str) -> str:
    others = [f"{name} = {arg.at:g}" for name, arg in arguments.items() if name != chosen]
    return f"{chosen}, with {', '.join(others)}" if others else chosen


def scaled(x: J, loc: J, scale: J) -> Jet:
    """(x - loc)/scale."""
    return (j.jet(x) - loc) / scale


def normal_logpdf(x: J, loc: J, scale: J) -> Jet:
    """-z²/2 - log σ - log(2π)/2."""
    return scaled(x, loc, scale) ** 2 * -0.5 - e.log(scale) - (2 * arb.pi()).log() / 2


def cauchy_logpdf(x: J, loc: J, scale: J) -> Jet:
    """-log(π γ (1 + z²))."""
    return -e.log1p(scaled(x, loc, scale) ** 2) - e.log(scale) - arb.pi().log()


def cauchy_sf(z: Jet) -> Jet:
    """½ - atan(z)/π, by atan(1/z) in the tail."""
    return e.atan(1 / z) / arb.pi() if j.less(1, z) else 0.5 - e.atan(z) / arb.pi()


def laplace_logpdf(x: J, loc: J, scale: J) -> Jet:
    """-|z| - log(2 b)."""
    return -j.absolute(scaled(x, loc, scale)) - e.log(scale) - arb(2).log()


def laplace_cdf(z: Jet) -> Jet:
    """exp(z)/2, and 1 - exp(-z)/2 above 0."""
    return e.exp(z) / 2 if j.less(z, 0) else 1 - e.exp(-z) / 2


def laplace_icdf(q: Jet) -> Jet:
    """log(2q), and -log(2(1 - q)) above ½."""
    return e.log(2 * q) if j.less(q, 0.5) else -e.log(2 - 2 * q)


def gumbel_logpdf(x: J, loc: J, scale: J) -> Jet:
    """-(z + exp(-z)) - log β."""
    z = scaled(x, loc, scale)
    return -(z + e.exp(-z)) - e.log(scale)


def gamma_logpdf(x: J, concentration: J, rate: J) -> Jet:
    """a log λ + (a - 1) log x - λ x - log Γ(a)."""
    a = j.jet(concentration)
    return a * e.log(rate) + (a - 1) * e.log(x) - j.jet(x) * rate - e.lgamma(a)


def beta_logpdf(x: J, a: J, b: J) -> Jet:
    """(a - 1) log x + (b - 1) log(1 - x) - log B(a, b)."""
    return (j.jet(a) - 1) * e.log(x) + (j.jet(b) - 1) * e.log1p(-j.jet(x)) - log_beta(a, b)


def student_logpdf(x: J, df: J, loc: J, scale: J) -> Jet:
    """The log-density of Student's t."""
    n = j.jet(df)
    z = scaled(x, loc, scale)
    constant = e.lgamma((n + 1) / 2) - e.lgamma(n / 2) - e.log(n * arb.pi()) / 2
    return constant - e.log(scale) - (n + 1) / 2 * e.log1p(z**2 / n)


def chi2_logpdf(x: J, df: J) -> Jet:
    """The gamma distribution of shape df/2 and rate ½."""
    return gamma_logpdf(x, j.jet(df) / 2, 0.5)


def pareto_logpdf(x: J, scale: J, alpha: J) -> Jet:
    """log α + α log m - (α + 1) log x."""
    a = j.jet(alpha)
    return e.log(a) + a * e.log(scale) - (a + 1) * e.log(x)


def weibull_logpdf(x: J, scale: J, concentration: J) -> Jet:
    """log(k/λ) + (k - 1) log(x/λ) - (x/λ)ᵏ."""
    k = j.jet(concentration)
    log = e.log(x) - e.log(scale)
    return e.log(k) - e.log(scale) + (k - 1) * log - e.exp(k * log)


def kumaraswamy_logpdf(x: J, a: J, b: J) -> Jet:
    """log(a b) + (a - 1) log x + (b - 1) log(1 - xᵃ)."""
    power = e.exp(j.jet(a) * e.log(x))
    return e.log(a) + e.log(b) + (j.jet(a) - 1) * e.log(x) + (j.jet(b) - 1) * e.log1p(-power)


def inverse_gamma_logpdf(x: J, concentration: J, rate: J) -> Jet:
    """a log β - log Γ(a) - (a + 1) log x - β/x."""
    a = j.jet(concentration)
    return a * e.log(rate) - e.lgamma(a) - (a + 1) * e.log(x) - j.jet(rate) / x


def fisher_logpdf(x: J, df1: J, df2: J) -> Jet:
    """The log-density of the ratio of two chi-squared variables over their degrees of freedom."""
    m, n = j.jet(df1) / 2, j.jet(df2) / 2
    ratio = m / n
    start = m * e.log(ratio) + (m - 1) * e.log(x) - log_beta(m, n)
    return start - (m + n) * e.log1p(ratio * x)


def log_i0(kappa: J) -> Jet:
    """log I₀, whose derivative is I₁/I₀."""

    def triple(a: arb) -> Triple:
        i0, i1 = a.bessel_i(0), a.bessel_i(1)
        ratio = i1 / i0
        slope = (i0 + a.bessel_i(2)) / (2 * i0) - ratio**2
        return i0.log(), ratio, slope

    return j.smooth(triple)(kappa)


def von_mises_logpdf(x: J, loc: J, concentration: J) -> Jet:
    """κ cos(x - μ) - log(2π I₀(κ))."""
    k = j.jet(concentration)
    return k * e.cos(j.jet(x) - loc) - log_i0(k) - (2 * arb.pi()).log()


def poisson_logpmf(rate: J) -> Jet:
    """3 log μ - μ - log 3!"""
    return 3 * e.log(rate) - rate - arb(6).log()


def binomial_logpmf(probs: J) -> Jet:
    """2 of 5."""
    return 2 * e.log(probs) + 3 * e.log1p(-j.jet(probs)) + arb(10).log()


def negative_binomial_logpmf(count: J, probs: J) -> Jet:
    """2 successes, of probability `probs`, before `count` failures."""
    r = j.jet(count)
    constant = e.lgamma(r + 2) - e.lgamma(r) - arb(2).log()
    return constant + r * e.log1p(-j.jet(probs)) + 2 * e.log(probs)


def logistic_logpdf(x: J, loc: J, scale: J) -> Jet:
    """-z - 2 log(1 + exp(-z)) - log s."""
    z = scaled(x, loc, scale)
    return -j.absolute(z) - 2 * e.softplus(-j.absolute(z)) - e.log(scale)


def truncated_logpdf(x: J, a: J, b: J) -> Jet:
    """The standard normal between a and b."""
    mass = e.normal_cdf(b) - e.normal_cdf(a)
    return normal_logpdf(x, 0, 1) - e.log(mass)


def wrapped_cauchy_logpdf(x: J, c: J) -> Jet:
    """log((1 - c²)/(2π (1 + c² - 2 c cos x)))."""
    c = j.jet(c)
    ratio = (1 - c) * (1 + c) / (1 + c**2 - 2 * c * e.cos(x))
    return e.log(ratio) - (2 * arb.pi()).log()


def generalized_normal_logpdf(x: J, p: J) -> Jet:
    """log(p/2) - log Γ(1/p) - |x|ᵖ."""
    p = j.jet(p)
    power = e.exp(p * e.log(j.absolute(x)))
    return e.log(p) - arb(2).log() - e.lgamma(1 / p) - power


def beta_binomial_logpmf(a: J, b: J) -> Jet:
    """2 of 5."""
    return log_beta(j.jet(a) + 2, j.jet(b) + 3) - log_beta(a, b) + arb(10).log()


def dirichlet_logpdf(alpha: J) -> Jet:
    """At (¼, ¼, ½), by the first of the concentrations (α, 1.5, 2)."""
    a = j.jet(alpha)
    powers = (a - 1) * arb(0.25).log() + (arb(0.25).log() + 2 * arb(0.5).log()) * 0.5
    return powers + e.lgamma(a + 3.5) - e.lgamma(a) - e.lgamma(1.5)


def bernoulli_logits(logits: J) -> Jet:
    """log σ(logits)."""
    return -e.softplus(-j.jet(logits))


def continuous_bernoulli(probs: J) -> Jet:
    """Of x = ¾: x log p + (1 - x) log(1 - p) + log C(p), C = 2 atanh(1 - 2p)/(1 - 2p)."""
    p = j.jet(probs)
    ratio = j.chain(p, *_continuous_constant(p.value))
    return 0.75 * e.log(p) + 0.25 * e.log1p(-p) + e.log(ratio)


def _continuous_constant(p: arb) -> Triple:
    """C(p) = 2 atanh(t)/t, t = 1 - 2p, by its analytic continuation ₂F₁(½, 1; 3/2; t²)."""
    t = 1 - 2 * p
    values = [(t**2).hypgeom_2f1(arb(1) / 2 + k, arb(1) + k, arb(3) / 2 + k) for k in range(3)]
    first, second = values[1] / 3, values[2] * 2 / 5
    return 2 * values[0], -8 * t * first, 16 * first + 32 * t**2 * second


def generalized_pareto_logpdf(x: J, scale: J, concentration: J) -> Jet:
    """-log σ - (1 + 1/ξ) log(1 + ξ x/σ)."""
    xi = j.jet(concentration)
    return -e.log(scale) - (1 + 1 / xi) * e.log1p(xi * x / scale)


SITE = {"x": Argument(0.75), "loc": Argument(0.5), "scale": Argument(2.0, POSITIVE)}
TAIL = {"x": Argument(0.75, REAL, (-5, -13, -37, 5, 8, 13, -88, 88, 700, -700))}
QUANTILE = {"q": Argument(0.25, UNIT, (0.5, 0.75))}


def _torch(distribution: str, method: str = "log_prob({x})") -> str:
    return f"torch.distributions.{distribution[:-1]}, validate_args=False).{method}"


def _tables() -> Iterator[Definition]:
    """The families, one after another."""
    yield from _of_location_and_scale()
    yield from _of_the_line()
    yield from _positive()
    yield from _of_the_unit_interval()
    yield from _discrete()


def _of_location_and_scale() -> Iterator[Definition]:
    """Log-densities by x, location and scale."""
    jax = "jax.scipy.stats.{}.logpdf({{x}}, {{loc}}, {{scale}})"
    rows = (
        ("normal", normal_logpdf, "Normal", "norm"),
        ("cauchy", cauchy_logpdf, "Cauchy", "cauchy"),
        ("laplace", laplace_logpdf, "Laplace", "laplace"),
        ("gumbel", gumbel_logpdf, "Gumbel", "gumbel_r"),
    )
    for name, formula, torch, scipy in rows:
        expression = _torch(f"{torch}({{loc}}, {{scale}})")
        yield from family(f"{name} log-density", formula, SITE, expression, jax.format(scipy))
    yield from family("logistic log-density", logistic_logpdf, SITE, jax=jax.format("logistic"))
    yield from family(
        "gumbel_l log-density",
        lambda x, loc, scale: gumbel_logpdf(-j.jet(x), -j.jet(loc), scale),
        SITE,
        jax=jax.format("gumbel_l"),
    )
    yield from family(
        "student log-density",
        student_logpdf,
        {
            "x": Argument(0.75),
            "df": Argument(3.0, DEGREES),
            **{k: SITE[k] for k in ("loc", "scale")},
        },
        _torch("StudentT({df}, {loc}, {scale})"),
        "jax.scipy.stats.t.logpdf({x}, {df}, {loc}, {scale})",
    )
    yield from family(
        "von Mises log-density",
        von_mises_logpdf,
        {
            "x": Argument(0.75, (-100.0, 100.0)),
            "loc": Argument(0.5, (-100.0, 100.0)),
            "concentration": Argument(2.0, (0.0, 1e4), (3.75, 700)),
        },
        _torch("VonMises({loc}, {concentration})"),
    )
    yield from family(
        "von Mises log-density of JAX",
        lambda x, kappa: von_mises_logpdf(x, 0, kappa),
        {"x": Argument(0.75, (-100.0, 100.0)), "kappa": Argument(2.0, (0.0, 1e4), (700,))},
        jax="jax.scipy.stats.vonmises.logpdf({x}, {kappa})",
    )


LINE: tuple[tuple[str, Formula, str, str], ...] = (
    ("normal cdf", e.normal_cdf, "Normal({loc}, {scale}).cdf", "norm.cdf"),
    ("normal log-cdf", e.normal_log_cdf, "", "norm.logcdf"),
    ("normal sf", lambda x: e.normal_cdf(-x), "", "norm.sf"),
    ("normal log-sf", lambda x: e.normal_log_cdf(-x), "", "norm.logsf"),
    ("normal density", lambda x: e.exp(normal_logpdf(x, 0, 1)), "", "norm.pdf"),
    ("cauchy cdf", lambda x: cauchy_sf(-x), "Cauchy({loc}, {scale}).cdf", "cauchy.cdf"),
    ("cauchy log-cdf", lambda x: e.log(cauchy_sf(-x)), "", "cauchy.logcdf"),
    ("cauchy sf", cauchy_sf, "", "cauchy.sf"),
    ("cauchy log-sf", lambda x: e.log(cauchy_sf(x)), "", "cauchy.logsf"),
    ("cauchy density", lambda x: e.exp(cauchy_logpdf(x, 0, 1)), "", "cauchy.pdf"),
    ("laplace cdf", laplace_cdf, "Laplace({loc}, {scale}).cdf", "laplace.cdf"),
    ("laplace density", lambda x: e.exp(laplace_logpdf(x, 0, 1)), "", "laplace.pdf"),
    ("gumbel cdf", lambda x: e.exp(-e.exp(-x)), "Gumbel({loc}, {scale}).cdf", "gumbel_r.cdf"),
    ("gumbel log-cdf", lambda x: -e.exp(-x), "", "gumbel_r.logcdf"),
    ("gumbel sf", lambda x: -e.expm1(-e.exp(-x)), "", "gumbel_r.sf"),
    ("gumbel log-sf", lambda x: e.log(-e.expm1(-e.exp(-x))), "", "gumbel_r.logsf"),
    ("gumbel density", lambda x: e.exp(gumbel_logpdf(x, 0, 1)), "", "gumbel_r.pdf"),
    ("gumbel_l cdf", lambda x: -e.expm1(-e.exp(x)), "", "gumbel_l.cdf"),
    ("gumbel_l log-cdf", lambda x: e.log(-e.expm1(-e.exp(x))), "", "gumbel_l.logcdf"),
    ("gumbel_l sf", lambda x: e.exp(-e.exp(x)), "", "gumbel_l.sf"),
    ("gumbel_l log-sf", lambda x: -e.exp(x), "", "gumbel_l.logsf"),
    ("logistic cdf", e.logistic, "", "logistic.cdf"),
    ("logistic sf", lambda x: e.logistic(-x), "", "logistic.sf"),
    ("logistic density", lambda x: e.exp(logistic_logpdf(x, 0, 1)), "", "logistic.pdf"),
    ("student density", lambda x: e.exp(student_logpdf(x, 3, 0, 1)), "", "t.pdf {df}"),
)


def _of_the_line() -> Iterator[Definition]:
    """Distribution functions of standard distributions, by x."""
    zero, one = (number("torch", value) for value in (0, 1))
    for name, formula, torch, scipy in LINE:
        given = ""
        if torch:
            made, method = torch.format(loc=zero, scale=one).rsplit(".", 1)
            given = _torch(made, method + "({x})")
        method, *parameters = scipy.split(" ")
        others = ", 3.0" if parameters else ""
        jax = f"jax.scipy.stats.{method}({{x}}{others})"
        yield from family(name, formula, TAIL, given, jax)


def _positive() -> Iterator[Definition]:
    """Distributions of positive numbers."""
    x = {"x": Argument(0.75, POSITIVE, (1, 2.5, 36, 40, 700))}
    shape = {"concentration": Argument(2.5, POSITIVE), "rate": Argument(2.0, POSITIVE)}
    one = number("torch", 1)
    yield from family(
        "exponential log-density",
        lambda x, rate: e.log(rate) - j.jet(rate) * x,
        {**x, "rate": Argument(2.0, POSITIVE)},
        _torch("Exponential({rate})"),
    )
    yield from family(
        "exponential cdf",
        lambda x: -e.expm1(-x),
        x,
        _torch(f"Exponential({one})", "cdf({x})"),
        "jax.scipy.stats.expon.cdf({x})",
    )
    yield from family("exponential sf", lambda x: e.exp(-x), x, "", "jax.scipy.stats.expon.sf({x})")
    yield from family("exponential log-cdf", e.log1mexp, x, "", "jax.scipy.stats.expon.logcdf({x})")
    yield from family(
        "exponential log-density of JAX",
        lambda x, loc, scale: -(j.jet(x) - loc) / scale - e.log(scale),
        {**x, "loc": Argument(0.5, (-1e3, 0.75)), "scale": Argument(2.0, POSITIVE)},
        "",
        "jax.scipy.stats.expon.logpdf({x}, {loc}, {scale})",
        only=("x", "scale"),
    )
    yield from family(
        "gamma log-density", gamma_logpdf, {**x, **shape}, _torch("Gamma({concentration}, {rate})")
    )
    yield from family(
        "gamma log-density of JAX",
        lambda x, a: gamma_logpdf(x, a, 1),
        {**x, "a": Argument(2.5, POSITIVE)},
        "",
        "jax.scipy.stats.gamma.logpdf({x}, {a})",
    )
    yield from family(
        "gamma density",
        lambda x: e.exp(gamma_logpdf(x, 2.5, 1)),
        x,
        "",
        "jax.scipy.stats.gamma.pdf({x}, 2.5)",
    )
    yield from family(
        "gamma cdf",
        gamma_p(2.5),
        x,
        _torch(f"Gamma({number('torch', 2.5)}, {one})", "cdf({x})"),
        "jax.scipy.stats.gamma.cdf({x}, 2.5)",
    )
    yield from family(
        "gamma log-cdf",
        lambda x: e.log(gamma_p(2.5)(x)),
        x,
        "",
        "jax.scipy.stats.gamma.logcdf({x}, 2.5)",
    )
    yield from family("gamma sf", gamma_q(2.5), x, "", "jax.scipy.stats.gamma.sf({x}, 2.5)")
    yield from family(
        "gamma log-sf",
        lambda x: e.log(gamma_q(2.5)(x)),
        x,
        "",
        "jax.scipy.stats.gamma.logsf({x}, 2.5)",
    )
    yield from family(
        "chi-squared log-density",
        chi2_logpdf,
        {**x, "df": Argument(3.0, DEGREES)},
        _torch("Chi2({df})"),
        "jax.scipy.stats.chi2.logpdf({x}, {df})",
    )
    yield from family(
        "chi-squared cdf",
        lambda x: gamma_p(1.5)(x / 2),
        x,
        "",
        "jax.scipy.stats.chi2.cdf({x}, 3.0)",
    )
    yield from family(
        "chi-squared sf", lambda x: gamma_q(1.5)(x / 2), x, "", "jax.scipy.stats.chi2.sf({x}, 3.0)"
    )
    scale = {"scale": Argument(2.0, POSITIVE)}
    yield from family(
        "half-normal log-density",
        lambda x, scale: normal_logpdf(x, 0, scale) + arb(2).log(),
        {**x, **scale},
        _torch("HalfNormal({scale})"),
    )
    yield from family(
        "half-normal cdf",
        lambda x: e.erf(x / arb(2).sqrt()),
        x,
        _torch(f"HalfNormal({one})", "cdf({x})"),
    )
    yield from family(
        "half-cauchy log-density",
        lambda x, scale: cauchy_logpdf(x, 0, scale) + arb(2).log(),
        {**x, **scale},
        _torch("HalfCauchy({scale})"),
    )
    yield from family(
        "half-cauchy cdf",
        lambda x: 1 - 2 * cauchy_sf(x),
        x,
        _torch(f"HalfCauchy({one})", "cdf({x})"),
    )
    yield from family(
        "log-normal log-density",
        lambda x, loc, scale: normal_logpdf(e.log(x), loc, scale) - e.log(x),
        {**x, "loc": Argument(0.5), **scale},
        _torch("LogNormal({loc}, {scale})"),
    )
    yield from family(
        "log-normal cdf",
        lambda x: e.normal_cdf(e.log(x)),
        x,
        _torch(f"LogNormal({number('torch', 0)}, {one})", "cdf({x})"),
    )
    above = {"x": Argument(3.0, (2.0, INFINITE), (2,))}
    yield from family(
        "pareto log-density",
        pareto_logpdf,
        {**above, "scale": Argument(2.0, (0.0, 3.0)), "alpha": Argument(2.5, POSITIVE)},
        _torch("Pareto({scale}, {alpha})"),
    )
    one_up = {"x": Argument(3.0, (1.0, INFINITE), (1,))}
    yield from family(
        "pareto log-density of JAX",
        lambda x, b: pareto_logpdf(x, 1, b),
        {**one_up, "b": Argument(2.5, POSITIVE)},
        "",
        "jax.scipy.stats.pareto.logpdf({x}, {b})",
    )
    yield from family(
        "pareto cdf",
        lambda x: -e.expm1(e.log(x) * -2.5),
        one_up,
        _torch(f"Pareto({one}, {number('torch', 2.5)})", "cdf({x})"),
        "jax.scipy.stats.pareto.cdf({x}, 2.5)",
    )
    yield from family(
        "pareto sf",
        lambda x: e.exp(e.log(x) * -2.5),
        one_up,
        "",
        "jax.scipy.stats.pareto.sf({x}, 2.5)",
    )
    yield from family(
        "weibull log-density",
        weibull_logpdf,
        {**x, **scale, "concentration": Argument(1.5, POSITIVE)},
        _torch("Weibull({scale}, {concentration})"),
    )
    yield from family(
        "weibull cdf",
        lambda x: -e.expm1(-e.exp(1.5 * e.log(x))),
        x,
        _torch(f"Weibull({one}, {number('torch', 1.5)})", "cdf({x})"),
    )
    yield from family(
        "inverse gamma log-density",
        inverse_gamma_logpdf,
        {**x, **shape},
        _torch("InverseGamma({concentration}, {rate})"),
    )
    yield from family(
        "fisher log-density",
        fisher_logpdf,
        {**x, "df1": Argument(3.0, DEGREES), "df2": Argument(5.0, DEGREES)},
        _torch("FisherSnedecor({df1}, {df2})"),
    )
    yield from family(
        "generalized pareto log-density",
        generalized_pareto_logpdf,
        {**x, **scale, "concentration": Argument(0.5, POSITIVE)},
        _torch("GeneralizedPareto(torch.zeros_like(x), {scale}, {concentration})"),
    )


def _of_the_unit_interval() -> Iterator[Definition]:
    """Quantiles, and distributions of numbers between 0 and 1."""
    x = {"x": Argument(0.75, UNIT, (0.5,))}
    a, b = Argument(2.5, POSITIVE), Argument(1.5, POSITIVE)
    one, zero = number("torch", 1), number("torch", 0)
    yield from family(
        "beta log-density",
        beta_logpdf,
        {**x, "a": a, "b": b},
        _torch("Beta({a}, {b})"),
        "jax.scipy.stats.beta.logpdf({x}, {a}, {b})",
    )
    yield from family(
        "beta density",
        lambda x: e.exp(beta_logpdf(x, 2.5, 1.5)),
        x,
        "",
        "jax.scipy.stats.beta.pdf({x}, 2.5, 1.5)",
    )
    yield from family(
        "beta cdf", beta_i(2.5, 1.5), x, "", "jax.scipy.stats.beta.cdf({x}, 2.5, 1.5)"
    )
    yield from family(
        "beta log-cdf",
        lambda x: e.log(beta_i(2.5, 1.5)(x)),
        x,
        "",
        "jax.scipy.stats.beta.logcdf({x}, 2.5, 1.5)",
    )
    yield from family(
        "kumaraswamy log-density",
        kumaraswamy_logpdf,
        {**x, "a": a, "b": b},
        _torch("Kumaraswamy({a}, {b})"),
    )
    yield from family(
        "continuous bernoulli log-density",
        continuous_bernoulli,
        {"probs": Argument(0.25, UNIT, (0.5, 0.499, 0.501))},
        _torch("ContinuousBernoulli({probs})", f"log_prob({number('torch', 0.75)})"),
    )
    rows: tuple[tuple[str, Formula, str, str], ...] = (
        ("normal quantile", e.normal_quantile, "Normal", "norm.ppf"),
        ("normal isf", lambda q: -e.normal_quantile(q), "", "norm.isf"),
        ("cauchy quantile", _cauchy_quantile, "Cauchy", "cauchy.ppf"),
        ("cauchy isf", lambda q: -_cauchy_quantile(q), "", "cauchy.isf"),
        ("laplace quantile", laplace_icdf, "Laplace", ""),
        ("gumbel quantile", lambda q: -e.log(-e.log(q)), "Gumbel", "gumbel_r.ppf"),
        ("gumbel_l quantile", lambda q: e.log(-e.log1p(-q)), "", "gumbel_l.ppf"),
        ("logistic quantile", logit, "", "logistic.ppf"),
        ("logistic isf", lambda q: -logit(q), "", "logistic.isf"),
        ("exponential quantile", lambda q: -e.log1p(-q), "", "expon.ppf"),
        ("uniform quantile", lambda q: q, "", "uniform.ppf"),
        ("log-normal quantile", lambda q: e.exp(e.normal_quantile(q)), "LogNormal", ""),
    )
    for name, formula, torch, scipy in rows:
        made = _torch(f"{torch}({zero}, {one})", "icdf({q})") if torch else ""
        jax = f"jax.scipy.stats.{scipy}({{q}})" if scipy else ""
        yield from family(name, formula, QUANTILE, made, jax)
    for name, formula, torch in (
        ("exponential quantile of torch", lambda q: -e.log1p(-q), "Exponential"),
        ("half-normal quantile", lambda q: e.erfinv(q) * arb(2).sqrt(), "HalfNormal"),
        ("half-cauchy quantile", lambda q: e.tan(q * arb.pi() / 2), "HalfCauchy"),
    ):
        yield from family(name, formula, QUANTILE, _torch(f"{torch}({one})", "icdf({q})"))
    yield from family(
        "truncated normal log-density",
        truncated_logpdf,
        {
            "x": Argument(0.75, (-1.0, 2.0)),
            "a": Argument(-1.0, (-30.0, 0.75)),
            "b": Argument(2.0, (0.75, 30.0)),
        },
        "",
        "jax.scipy.stats.truncnorm.logpdf({x}, {a}, {b})",
    )
    yield from family(
        "wrapped cauchy log-density",
        wrapped_cauchy_logpdf,
        {"x": Argument(0.75, (0.0, 6.28125)), "c": Argument(0.5, UNIT)},
        "",
        "jax.scipy.stats.wrapcauchy.logpdf({x}, {c})",
    )
    yield from family(
        "generalized normal log-density",
        generalized_normal_logpdf,
        {"x": Argument(0.75), "p": Argument(2.5, POSITIVE)},
        "",
        "jax.scipy.stats.gennorm.logpdf({x}, {p})",
    )


def _cauchy_quantile(q: Jet) -> Jet:
    """-cot(π q) from the nearer end."""
    if j.less(q, 0.5):
        return -e.cos(q * arb.pi()) / e.sin(q * arb.pi())
    p = 1 - q
    return e.cos(p * arb.pi()) / e.sin(p * arb.pi())


def _discrete() -> Iterator[Definition]:
    """Log-probabilities of whole numbers, by the parameters."""
    probs = {"probs": Argument(0.25, UNIT, (0.5,))}
    t = {value: number("torch", value) for value in (1, 2, 3, 5)}
    yield from family(
        "poisson log-probability",
        poisson_logpmf,
        {"rate": Argument(2.0, POSITIVE)},
        _torch("Poisson({rate})", f"log_prob({t[3]})"),
        "jax.scipy.stats.poisson.logpmf(3, {rate})",
    )
    yield from family(
        "poisson cdf",
        lambda rate: gamma_q(4)(rate),
        {"rate": Argument(2.0, POSITIVE)},
        "",
        "jax.scipy.stats.poisson.cdf(3, {rate})",
    )
    yield from family(
        "bernoulli log-probability",
        lambda probs: e.log(probs),
        probs,
        _torch("Bernoulli({probs})", f"log_prob({t[1]})"),
        "jax.scipy.stats.bernoulli.logpmf(1, {probs})",
    )
    yield from family(
        "bernoulli log-probability by logits",
        bernoulli_logits,
        {"logits": Argument(0.75, REAL, (40, -40, 700))},
        _torch("Bernoulli(logits={logits})", f"log_prob({t[1]})"),
    )
    yield from family(
        "geometric log-probability",
        lambda probs: 2 * e.log1p(-j.jet(probs)) + e.log(probs),
        probs,
        _torch("Geometric({probs})", f"log_prob({t[2]})"),
        "jax.scipy.stats.geom.logpmf(3, {probs})",
    )
    yield from family(
        "binomial log-probability",
        binomial_logpmf,
        probs,
        _torch(f"Binomial({t[5]}, {{probs}})", f"log_prob({t[2]})"),
        "jax.scipy.stats.binom.logpmf(2, 5, {probs})",
    )
    yield from family(
        "negative binomial log-probability",
        negative_binomial_logpmf,
        {"count": Argument(3.0, POSITIVE), **probs},
        _torch("NegativeBinomial({count}, {probs})", f"log_prob({t[2]})"),
    )
    yield from family(
        "negative binomial log-probability of JAX",
        lambda n, p: negative_binomial_logpmf(n, 1 - j.jet(p)),
        {"n": Argument(3.0, POSITIVE), "p": Argument(0.25, UNIT)},
        "",
        "jax.scipy.stats.nbinom.logpmf(2, {n}, {p})",
    )
    yield from family(
        "beta-binomial log-probability",
        beta_binomial_logpmf,
        {"a": Argument(2.5, POSITIVE), "b": Argument(1.5, POSITIVE)},
        "",
        "jax.scipy.stats.betabinom.logpmf(2, 5, {a}, {b})",
    )
    yield from family(
        "dirichlet log-density",
        dirichlet_logpdf,
        {"alpha": Argument(2.5, POSITIVE)},
        _torch(
            "Dirichlet(torch.stack(({alpha}, torch.full_like(x, 1.5), "
            "torch.full_like(x, 2.0)), -1))",
            "log_prob(torch.tensor([0.25, 0.25, 0.5], dtype=x.dtype))",
        ),
    )


DEFINITIONS: tuple[Definition, ...] = tuple(_tables())
