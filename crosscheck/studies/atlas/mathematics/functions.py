"""Functions of one variable on jets: each with its first two derivatives in closed form.

DLMF, NIST Digital Library of Mathematical Functions, has them all: 4.19 to 4.37 for the
elementary ones, 5 gamma, 6 exponential integrals, 7 error functions, 9 Airy, 10 Bessel.
"""

from flint import acb, arb

from crosscheck.studies.atlas.mathematics.jets import (
    Jet,
    Number,
    Tie,
    Triple,
    absolute,
    ball,
    bounded,
    chain,
    jet,
    less,
    smooth,
    total,
)


def _exp(a: arb) -> Triple:
    e = bounded(a).exp()
    return e, e, e


def _expm1(a: arb) -> Triple:
    e = bounded(a).exp()
    return a.expm1(), e, e


def _log(a: arb) -> Triple:
    return a.log(), 1 / a, -1 / a**2


def _log1p(a: arb) -> Triple:
    b = 1 / (1 + a)
    return a.log1p(), b, -(b**2)


def sqrt(x: Jet | Number) -> Jet:
    """√x; where x has a minimum 0, the kink |x - x₀| √(x″/2)."""
    x = jet(x)
    a = x.value
    root = a.sqrt()
    if not a.is_zero():
        return chain(x, root, 1 / (2 * root), -1 / (4 * a * root))
    if x.constant:
        return x
    if not x.first.is_zero():
        return Jet(root, arb.pos_inf(), arb.nan(), x.side)
    if not x.side:
        raise Tie
    return Jet(root, x.side * (x.second / 2).sqrt(), arb(0), x.side)


def _sin(a: arb) -> Triple:
    s, c = a.sin_cos()
    return s, c, -s


def _cos(a: arb) -> Triple:
    s, c = a.sin_cos()
    return c, -s, -c


def _tan(a: arb) -> Triple:
    t, s = a.tan(), a.sec() ** 2
    return t, s, 2 * t * s


def _asin(a: arb) -> Triple:
    d = (1 - a) * (1 + a)
    root = d.sqrt()
    return a.asin(), 1 / root, a / (d * root)


def _acos(a: arb) -> Triple:
    _, first, second = _asin(a)
    return a.acos(), -first, -second


def _atan(a: arb) -> Triple:
    d = 1 / (1 + a**2)
    return a.atan(), d, -2 * a * d**2


def _sinh(a: arb) -> Triple:
    bounded(abs(a))
    s, c = a.sinh_cosh()
    return s, c, s


def _cosh(a: arb) -> Triple:
    bounded(abs(a))
    s, c = a.sinh_cosh()
    return c, s, c


def _tanh(a: arb) -> Triple:
    t, s = a.tanh(), a.sech() ** 2
    return t, s, -2 * t * s


def _asinh(a: arb) -> Triple:
    d = 1 + a**2
    return a.asinh(), d.rsqrt(), -a / (d * d.sqrt())


def _acosh(a: arb) -> Triple:
    d = (a - 1) * (a + 1)
    return a.acosh(), d.rsqrt(), -a / (d * d.sqrt())


def _atanh(a: arb) -> Triple:
    d = 1 / ((1 - a) * (1 + a))
    return a.atanh(), d, 2 * a * d**2


def _logistic(a: arb) -> Triple:
    """σ, σ′ = e/(1 + e)², σ″ = -σ′ tanh(a/2), e = exp(-|a|)."""
    e = (-abs(a)).exp()
    c = 1 / (1 + e)
    slope = e * c**2
    return (c if a >= 0 else e * c), slope, -slope * (a / 2).tanh()


def _softplus(a: arb) -> Triple:
    """log(1 + exp(a))."""
    value, slope, _ = _logistic(a)
    rest = (-abs(a)).exp().log1p()
    return (a + rest if a > 0 else rest), value, slope


def _erf(a: arb) -> Triple:
    slope = 2 * (-(a**2)).exp() / arb.pi().sqrt()
    return a.erf(), slope, -2 * a * slope


def _erfc(a: arb) -> Triple:
    _, first, second = _erf(a)
    return a.erfc(), -first, -second


def _erfcx(a: arb) -> Triple:
    value = _scaled_erfc(a)
    constant = 2 / arb.pi().sqrt()
    first = 2 * a * value - constant
    return value, first, 2 * value + 2 * a * first


def _scaled_erfc(a: arb) -> arb:
    """exp(a²) erfc(a), by the confluent U for a > 0 (DLMF 7.11.5)."""
    if a > 1:
        return (a**2).hypgeom_u(arb(1) / 2, arb(1) / 2) / arb.pi().sqrt()
    return bounded(a**2).exp() * a.erfc()


def _erfinv(a: arb) -> Triple:
    value = a.erfinv()
    slope = arb.pi().sqrt() / 2 * (value**2).exp()
    return value, slope, 2 * value * slope**2


def _erfcinv(a: arb) -> Triple:
    value = a.erfcinv()
    slope = -arb.pi().sqrt() / 2 * (value**2).exp()
    return value, slope, 2 * value * slope**2


def psi(order: int, a: arb) -> arb:
    """ψ⁽ⁿ⁾(a) in balls; DLMF 5.15."""
    value: arb = a.digamma() if order == 0 else acb(a).polygamma(order).real
    return value


def _lgamma(a: arb) -> Triple:
    """log|Γ|."""
    value = a.lgamma() if a > 0 else -abs(a.rgamma()).log()
    return value, psi(0, a), psi(1, a)


def _gamma(a: arb) -> Triple:
    value, digamma = a.gamma(), psi(0, a)
    return value, value * digamma, value * (digamma**2 + psi(1, a))


def polygamma(order: int, x: Jet | Number) -> Jet:
    """ψ⁽ⁿ⁾."""
    x = jet(x)
    return chain(x, *(psi(order + k, x.value) for k in range(3)))


def _dilogarithm(a: arb) -> Triple:
    """spence(a) = Li₂(1 - a): spence′ = log(a)/(1 - a)."""
    value = acb(1 - a).polylog(2).real
    if a == 1:
        return value, arb(-1), arb(1) / 2
    first = a.log() / (1 - a)
    return value, first, (1 / a + first) / (1 - a)


def _dawson(a: arb) -> Triple:
    """exp(-a²) ∫₀ᵃ exp(t²) dt."""
    value = a * (-(a**2)).hypgeom_1f1(1, arb(3) / 2)
    first = 1 - 2 * a * value
    return value, first, -2 * value - 2 * a * first


def _expi(a: arb) -> Triple:
    e = bounded(a).exp()
    return a.ei(), e / a, e / a - e / a**2


def _sine_integral(a: arb) -> Triple:
    first, second = _sinc_slope(a)
    return a.si(), first, second


def _sinc_slope(a: arb) -> tuple[arb, arb]:
    if a.is_zero():
        return arb(1), arb(0)
    s, c = a.sin_cos()
    return s / a, c / a - s / a**2


def _cosine_integral(a: arb) -> Triple:
    s, c = a.sin_cos()
    return a.ci(), c / a, -s / a - c / a**2


def _fresnel_s(a: arb) -> Triple:
    s, c = (a**2 / 2).sin_cos_pi()
    return a.fresnel_s(), s, arb.pi() * a * c


def _fresnel_c(a: arb) -> Triple:
    s, c = (a**2 / 2).sin_cos_pi()
    return a.fresnel_c(), c, -arb.pi() * a * s


def _airy(a: arb) -> Triple:
    value, first, _, _ = a.airy()
    return value, first, a * value


def _sinc(a: arb) -> Triple:
    """sin(a)/a, whose removable singularity at 0 is 1, 0, -1/3."""
    if a.is_zero():
        return arb(1), arb(0), arb(-1) / 3
    s, c = a.sin_cos()
    value = s / a
    first = (c - value) / a
    return value, first, -value - 2 * first / a


exp, expm1, log, log1p = map(smooth, (_exp, _expm1, _log, _log1p))
sin, cos, tan, asin, acos, atan = map(smooth, (_sin, _cos, _tan, _asin, _acos, _atan))
sinh, cosh, tanh = map(smooth, (_sinh, _cosh, _tanh))
asinh, acosh, atanh = map(smooth, (_asinh, _acosh, _atanh))
logistic, softplus, erf, erfc, erfcx = map(smooth, (_logistic, _softplus, _erf, _erfc, _erfcx))
erfinv, erfcinv, lgamma, gamma = map(smooth, (_erfinv, _erfcinv, _lgamma, _gamma))
spence, dawson, expi, sine_integral = map(smooth, (_dilogarithm, _dawson, _expi, _sine_integral))
cosine_integral, fresnel_s, fresnel_c = map(smooth, (_cosine_integral, _fresnel_s, _fresnel_c))
airy, sinc = map(smooth, (_airy, _sinc))


def power(x: Jet | Number, exponent: Number) -> Jet:
    """x to a real power, x > 0."""
    x, p = jet(x), ball(exponent)
    a = x.value
    value = a**p
    return chain(x, value, p * a ** (p - 1), p * (p - 1) * a ** (p - 2))


def sigmoid(x: Jet | Number) -> Jet:
    """The logistic function."""
    return logistic(x)


def normal_cdf(x: Jet | Number) -> Jet:
    """Φ(x) = erfc(-x/√2)/2."""
    return erfc(jet(x) * (-1 / arb(2).sqrt())) * ball(0.5)


def normal_log_cdf(x: Jet | Number) -> Jet:
    """log Φ."""
    x = jet(x)
    return log1p(-normal_cdf(-x)) if less(0, x) else log(normal_cdf(x))


def normal_quantile(p: Jet | Number) -> Jet:
    """Φ⁻¹, from the nearer end."""
    p = jet(p)
    if less(p, 0.5):
        return erfcinv(2 * p) * -arb(2).sqrt()
    return erfcinv(2 * (1 - p)) * arb(2).sqrt()


def log1mexp(x: Jet | Number) -> Jet:
    """log(1 - exp(-x)), x > 0."""
    return log(-expm1(-jet(x)))


def logsumexp(*terms: Jet | Number) -> Jet:
    """log Σ exp, shifted by the largest."""
    jets = [jet(term) for term in terms]
    largest = jets[0]
    for term in jets[1:]:
        if term.value > largest.value:
            largest = term
    rest = [exp(term - largest) for term in jets if term is not largest]
    return largest + log1p(total(rest))


def xlogy(x: Jet | Number, y: Jet | Number) -> Jet:
    """x log y; 0 where x is 0 and constant."""
    x = jet(x)
    return x if x.constant and x.value.is_zero() else x * log(y)


def hypot(x: Jet | Number, y: Jet | Number) -> Jet:
    """√(x² + y²), by its larger argument."""
    return norm(x, y)


def norm(*terms: Jet | Number) -> Jet:
    """The Euclidean norm; |x| where all others are 0."""
    jets = [jet(term) for term in terms if not (jet(term).constant and jet(term).value.is_zero())]
    if len(jets) == 1:
        return absolute(jets[0])
    return sqrt(total([term**2 for term in jets]))
