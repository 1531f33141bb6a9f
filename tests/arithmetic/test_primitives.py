"""Each row of the table of primitives: value, balls, derivative and rounding, from the row alone.

A new row needs no code here: it says what it is to be tried on, if that is not any vector.
"""

import inspect
from fractions import Fraction

import numpy as np
import pytest
from scipy import special
from support import libraries

from crosscheck.arithmetic.formats import FORMATS
from crosscheck.arithmetic.primitives import transcendental
from crosscheck.arithmetic.primitives.row import Known, Rounding
from crosscheck.arithmetic.primitives.table import PRIMITIVES
from crosscheck.exact.oracle import working_precision
from crosscheck.programs.derive import forward, reverse
from crosscheck.programs.errors import SLACK, Promise, analyse
from crosscheck.programs.evaluate import as_balls, enclose, evaluate
from crosscheck.programs.program import Builder, appended

REAL = [name for name, row in PRIMITIVES.items() if row.kind == "real"]
SMOOTH = [row.name for row in transcendental.ROWS if row.name != "polygamma"]


def _shapes(row, length=7):
    if row.sample.shapes:
        return row.sample.shapes
    return ((length,),) * (len(inspect.signature(row.evaluate).parameters) - 1)


def _numbers(rng, shape, domain):
    """Magnitudes from 2^-8 to 2^8 of both signs, as many as fall into the domain, or uniform."""
    low, high = domain
    drawn = 2.0 ** rng.uniform(-8, 8, shape) * rng.choice([-1.0, 1.0], shape)
    bounded = rng.uniform(max(low, -16.0), min(high, 16.0), shape)
    return np.where((drawn > low) & (drawn < high), drawn, bounded)


def _operands(row, rng, format="float64", length=7):
    """Operands, in float64 but exact in the format, at which the row has a finite value."""
    shapes = _shapes(row, length)
    domains = row.sample.domains or ((-np.inf, np.inf),) * len(shapes)
    arrays = [
        rng.random(shape) < 0.5
        if place in row.sample.booleans
        else _numbers(rng, shape, domain).astype(FORMATS[format].numpy).astype(np.float64)
        for place, (shape, domain) in enumerate(zip(shapes, domains, strict=True))
    ]
    if not row.elementwise:
        return arrays
    for width in (8.0, 1.0, 0.5):  # asin is nothing beyond 1, log nothing below 0
        bad = ~np.isfinite(np.asarray(row.evaluate(row.sample.params, *arrays), float))
        fresh = rng.uniform(0.1, 0.9, bad.shape) * width
        fresh = fresh.astype(FORMATS[format].numpy).astype(np.float64)
        arrays = [x if x.dtype == bool else np.where(bad, fresh, x) for x in arrays]
    bad = ~np.isfinite(np.asarray(row.evaluate(row.sample.params, *arrays), float))
    return [x if x.dtype == bool else np.where(bad, 1.5, x) for x in arrays]


def _program(row, arrays, format="float64"):
    build = Builder()
    inputs = [build.input(x.shape, "bool" if x.dtype == bool else format) for x in arrays]
    params = {key: value for key, value in row.sample.params.items() if key != "narrows"}
    stored = format if row.kind == "real" else None
    given = {"format": stored} if stored else {}
    return build.program([build(row.name, *inputs, **given, **params)])


def _generator(name):
    return np.random.default_rng(sum(name.encode()))


# Values and derivatives


def _mathematical(name):
    """The row's function in mpmath, at 60 digits."""
    mpmath = pytest.importorskip("mpmath")
    mpmath.mp.dps = 60
    own = {
        "logistic": lambda x: 1 / (1 + mpmath.exp(-x)),
        "rsqrt": lambda x: 1 / mpmath.sqrt(x),
        "exp2": lambda x: mpmath.mpf(2) ** x,
        "lgamma": lambda x: mpmath.log(abs(mpmath.gamma(x))),
        "cbrt": lambda x: mpmath.sign(x) * mpmath.cbrt(abs(x)),
        "square": lambda x: x * x,
        "reciprocal": lambda x: 1 / x,
    }
    return mpmath, own.get(name) or getattr(mpmath, name)


def _as_ball(mpmath, number):
    """An mpmath number to within some units of its 60 digits."""
    from flint import arb

    wide = arb(mpmath.nstr(number, 58))
    return wide + abs(wide) * arb(0, 10.0**-50) + arb(0, 10.0**-50)


@pytest.mark.parametrize("name", [*SMOOTH, "square", "reciprocal"])
def test_value_and_derivative_in_balls_are_those_of_mpmath(name):
    mpmath, function = _mathematical(name)
    row = PRIMITIVES[name]
    (x,) = _operands(row, _generator(name))
    derived = reverse(_program(row, [x]))
    values, slopes = enclose(derived, [x, np.ones(x.shape)], 256)
    with working_precision(256):
        for place, number in enumerate(x):
            exact = function(mpmath.mpf(number))
            slope = mpmath.diff(function, mpmath.mpf(number), h=mpmath.mpf(2) ** -60)
            assert values[place].overlaps(_as_ball(mpmath, exact))
            assert values[place].rad() < 1e-40 * (1 + abs(values[place]).mid())
            apart = abs(slopes[place] - _as_ball(mpmath, slope))
            assert apart < 1e-12 * (1 + abs(slopes[place]))


@pytest.mark.parametrize("name", REAL)
def test_derivative_is_the_limit_of_difference_quotients_in_balls_in_both_modes(name):
    """Two values of the row alone in 500 bits, h = 2^-100: no derivative rule takes part."""
    row, rng = PRIMITIVES[name], _generator(name)
    arrays = _operands(row, rng)
    program = _program(row, arrays)
    reals = [place for place, x in enumerate(arrays) if x.dtype != bool]
    directions = {place: rng.choice([-1.0, 1.0], arrays[place].shape) for place in reals}
    cotangent = rng.choice([-1.0, 1.0, 0.5], program.operations[program.outputs[0]].shape)
    if name == "stop":
        directions = {}
    build = Builder()
    inputs = [build.input(x.shape, "bool" if x.dtype == bool else "float64") for x in arrays]
    step, ends = build.constant(2.0**-100), []
    for sign in (1.0, -1.0):
        moved = list(inputs)
        for place, v in directions.items():
            shift = build("mul", build("mul", build.constant(v), step), sign)
            moved[place] = build("add", inputs[place], shift)
        place = appended(build, program, dict(zip(program.inputs, moved, strict=True)))
        ends.append(place[program.outputs[0]])
    quotient = build("div", build("sub", *ends), build("mul", step, 2.0))
    (balls,) = enclose(build.program([quotient], inputs), arrays, 500)
    pulled = enclose(reverse(program, reals), [*arrays, cotangent], 500)[1:]
    tangents = [directions.get(place, np.zeros(arrays[place].shape)) for place in reals]
    pushed = enclose(forward(program, reals), [*arrays, *tangents], 500)[1]
    with working_precision(500):
        by_quotient = (balls * cotangent).sum()
        by_forward = (pushed * cotangent).sum()
        by_reverse = sum((g * v).sum() for g, v in zip(pulled, tangents, strict=True))
        for exact in (by_forward, by_reverse):
            assert abs(by_quotient - exact) < 2.0**-100 * (1 + abs(exact))


# Rounding


def _bound(row, arrays, format, promise):
    """E of the row's result at exact operands, and the result in float64."""
    program = _program(row, arrays, format)
    values = evaluate(program, arrays)
    number = program.outputs[0]
    error = analyse(program, values, promise)[number]
    return np.zeros(values[number].shape) if error is None else error, values[number]


@pytest.mark.parametrize("format", ["float64", "float32"])
@pytest.mark.parametrize("name", REAL)
def test_numpy_is_within_the_rounding_rule_of_the_balls(name, format):
    row = PRIMITIVES[name]
    arrays = _operands(row, _generator(name), format, 50)
    error, _ = _bound(row, arrays, format, Promise(library="numpy"))
    dtype = FORMATS[format].numpy
    given = [x if x.dtype == bool else x.astype(dtype) for x in arrays]
    got = row.evaluate(row.sample.params, *given)
    with working_precision(128):
        given = (x.astype(object) if x.dtype == bool else as_balls(x) for x in arrays)
        balls = row.balls(row.sample.params, *given)
        _assert_within(got, balls, error)


def _assert_within(got, balls, error):
    for number, ball, allowed in zip(np.ravel(got), np.ravel(balls), np.ravel(error), strict=True):
        assert not abs(ball - float(number)) > float(allowed)


def _error(rng, x):
    """From a unit roundoff to the whole number, 0 for some; of booleans which are open."""
    if x.dtype == bool:
        return rng.random(x.shape) < 0.3
    sizes = 2.0 ** np.floor(np.log2(np.abs(x)) + rng.uniform(-24, 0, x.shape))
    return np.where(rng.random(x.shape) < 0.8, sizes, 0.0)


def _moved(rng, arrays, errors):
    """Operands at the limits of their errors, or within; booleans that are open either way.

    Errors are powers of 2 and shares of them sixteenths, so that nothing is rounded here.
    """
    moved = []
    for x, e in zip(arrays, errors, strict=True):
        if x.dtype == bool:
            moved.append(x ^ (e & (rng.random(x.shape) < 0.5)))
            continue
        share = np.where(rng.random(x.shape) < 0.6, rng.choice([-1.0, 1.0], x.shape), 0.0)
        inside = rng.integers(-16, 17, x.shape) / 16
        moved.append(x + np.where(rng.random(x.shape) < 0.3, inside, share) * e)
    return moved


@pytest.mark.parametrize("name", PRIMITIVES)
def test_operands_and_roundings_at_their_limits_stay_within_the_rule(name):
    """E of an operand that is off covers the row at any such operand, with its rounding there."""
    row, rng = PRIMITIVES[name], _generator(name)
    own = Rounding(2.0**-24, 2.0**-149, 0.0, FORMATS["float32"].largest, 2.0**-24)
    exact = Rounding(2.0**-53, 2.0**-1074, 0.0, np.inf, 2.0**-53, "numpy")
    params = row.sample.params
    for _ in range(40):
        arrays = _operands(row, rng, "float32", length=40)
        errors = [_error(rng, x) for x in arrays]
        known = [Known(x, e) for x, e in zip(arrays, errors, strict=True)]
        with np.errstate(all="ignore"):
            value = np.asarray(row.evaluate(params, *arrays))
            allowed = row.error(own, params, value, *known)
            for _ in range(6):
                _stays(row, own, exact, value, allowed, _moved(rng, arrays, errors))


def _stays(row, own, exact, value, allowed, moved):
    params = row.sample.params
    there = np.asarray(row.evaluate(params, *moved))
    plain = [Known(x, None) for x in moved]
    if value.dtype == bool:
        flipped = there != value
        assert not flipped.any() if allowed is None else not (flipped & ~allowed).any()
        return
    rounding = row.error(own, params, there, *plain)
    ours = [row.error(exact, params, v, *plain) for v in (there, value)]
    noise = sum(0.0 if one is None else one for one in ours)
    off = np.abs(there - value) + (0.0 if rounding is None else rounding)
    limit = np.zeros(value.shape) if allowed is None else allowed
    beyond = (off > limit * SLACK + noise) & np.isfinite(there) & ~np.isnan(limit)
    assert not beyond.any(), (value[beyond], there[beyond], off[beyond], limit[beyond])


U, ETA = Fraction(1, 2**8), Fraction(1, 2**30)


class Adverse:
    """A number whose every rounding is at its limit in one direction."""

    towards = staticmethod(lambda value: 1)

    def __init__(self, value):
        self.value = value.value if isinstance(value, Adverse) else Fraction(value)

    def _rounded(self, value, eta=0):
        side = self.towards(value)
        return type(self)(value + side * (U * abs(value) + eta))

    def __add__(self, other):
        value = self.value + type(self)(other).value
        # A sum with 0 is exact, as is where an accumulator starts.
        return (
            type(self)(value)
            if 0 in (self.value, type(self)(other).value)
            else self._rounded(value)
        )

    def __sub__(self, other):
        return self._rounded(self.value - type(self)(other).value)

    def __mul__(self, other):
        return self._rounded(self.value * type(self)(other).value, ETA)

    def __truediv__(self, other):
        return self._rounded(self.value / type(self)(other).value, ETA)

    def __rtruediv__(self, other):
        return type(self)(other) / self

    def __pow__(self, exponent):
        power = self
        for _ in range(exponent - 1):
            power = power * self
        return power

    __radd__, __rmul__ = __add__, __mul__


class Down(Adverse):
    towards = staticmethod(lambda value: -1)


class Outward(Adverse):
    towards = staticmethod(lambda value: 1 if value > 0 else -1)


class Inward(Adverse):
    towards = staticmethod(lambda value: -1 if value > 0 else 1)


ARITHMETIC = ["add", "sub", "mul", "div", "square", "reciprocal", "integer_pow", "sum", "prod",
              "cumsum", "cumprod", "dot", "put"]  # fmt: skip


@pytest.mark.parametrize("kind", [Adverse, Down, Outward, Inward])
@pytest.mark.parametrize("name", ARITHMETIC)
def test_every_rounding_of_an_evaluation_at_its_limit_stays_within_the_rule(name, kind):
    row, rng = PRIMITIVES[name], _generator(name)
    r = Rounding(float(U), float(ETA), 0.0, np.inf, float(U))
    seen = 0.0
    for _ in range(20):
        arrays = _operands(row, rng, "bfloat16")
        boxed = [np.vectorize(kind, otypes=[object])(x) for x in arrays]
        got = row.evaluate(row.sample.params, *boxed)
        exact = row.evaluate(
            row.sample.params, *(np.vectorize(Fraction, otypes=[object])(x) for x in arrays)
        )
        value = np.asarray(exact).astype(float)
        known = [Known(x, None) for x in arrays]
        allowed = np.broadcast_to(row.error(r, row.sample.params, value, *known), value.shape)
        off = np.array(
            [abs(g.value - e) for g, e in zip(np.ravel(got), np.ravel(exact), strict=True)]
        )
        assert np.all(off.astype(float) <= np.ravel(allowed) * SLACK)
        seen = max(seen, float(np.max(off.astype(float) / np.maximum(np.ravel(allowed), 1e-300))))
    assert seen > 0.1


# Libraries

TWO_OPERANDS = ["add", "sub", "mul", "div", "pow", "atan2", "max", "min"]


def _every(format):
    return np.arange(2**16, dtype=np.uint16).view(FORMATS[format].numpy)


def _grid(format, count, rng):
    """All magnitudes, those around 1, and what is near the ends of [-1, 1] and near 0."""
    known = FORMATS[format]
    exponents = np.log2(known.smallest_subnormal), np.log2(known.largest)
    near = 2.0 ** -rng.uniform(0, known.digits, count // 4)
    parts = [2 ** rng.uniform(*exponents, count), 2 ** rng.uniform(-12, 12, count),
             rng.random(count), 1 + near, 1 - near, np.arange(0, 60, 0.5)]  # fmt: skip
    one_side = np.concatenate(parts)
    return np.concatenate([one_side, -one_side]).astype(known.numpy)


def _points(name, format, whole):
    rng = _generator(name + format)
    count = (20_000 if whole else 300) if format != "float64" else (2_000 if whole else 60)
    if name in TWO_OPERANDS:
        x, y = (_grid(format, count, rng) for _ in range(2))
        return [x, rng.permutation(y)]
    if format in ("float16", "bfloat16"):
        return [_every(format) if whole else _every(format)[::41]]
    return [_grid(format, count, rng)]


def _judged(library, name, format, whole, times=1.0):
    """The largest |library - exact| over E, or None where the library has no such function."""
    function = libraries.function(library, name)
    if function is None or (library == "numpy" and format == "bfloat16"):
        return None
    row, narrow = PRIMITIVES[name], _points(name, format, whole)
    with np.errstate(all="ignore"):
        wide = [x.astype(np.float64) for x in narrow]
        value = row.evaluate({}, *wide)
        kept = np.isfinite(value) & np.all([np.isfinite(x) for x in wide], axis=0)
        narrow, wide = [x[kept] for x in narrow], [x[kept] for x in wide]
        promise = Promise(flushes=library == "xla", library=library)
        error, value = _bound(row, wide, format, promise)
        got = np.asarray(function(*narrow)).astype(np.float64) * times
        off = _distance(row, wide, got, value, format)
    with np.errstate(all="ignore"):
        used = np.where(off == 0, 0.0, off / error)
    return float(np.max(used, initial=0.0, where=np.isfinite(error)))


def _distance(row, wide, got, value, format):
    if format != "float64":
        off = np.abs(got - value)
        return np.where(np.isnan(off), np.inf, off)
    with working_precision(160):
        balls = row.balls({}, *(as_balls(x) for x in wide))
        pairs = zip(got.tolist(), balls.tolist(), strict=True)
        return np.array([float(abs(b - g).upper()) if np.isfinite(g) else np.inf for g, b in pairs])


LIBRARIES = ["numpy", "torch", "xla"]
PAIRS = [
    # XLA compiles each function for some tenths of a second.
    pytest.param(library, format, marks=[pytest.mark.slow] * (library == "xla" and "16" in format))
    for library in LIBRARIES
    for format in FORMATS
]


def _checked(library, format, whole):
    used = {
        name: _judged(library, name, format, whole)
        for name in [*SMOOTH, "square", "reciprocal", *TWO_OPERANDS]
    }
    assert len([use for use in used.values() if use is not None]) > 15 or format == "bfloat16"
    assert {name: use for name, use in used.items() if use is not None and use > 1} == {}


@pytest.mark.parametrize(("library", "format"), PAIRS)
def test_libraries_are_as_accurate_as_the_rows_say(library, format):
    pytest.importorskip({"numpy": "numpy", "torch": "torch", "xla": "jax"}[library])
    _checked(library, format, whole=False)


@pytest.mark.slow
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("library", LIBRARIES)
def test_libraries_are_as_accurate_as_the_rows_say_at_all_16_bits_and_many_others(library, format):
    pytest.importorskip({"numpy": "numpy", "torch": "torch", "xla": "jax"}[library])
    _checked(library, format, whole=True)


@pytest.mark.parametrize("name", ["exp", "log", "tanh", "mul", "erf"])
def test_a_library_that_is_less_accurate_is_seen(name):
    assert _judged("numpy", name, "float32", False, times=1 + 64 * 2.0**-24) > 1


def test_a_library_without_a_name_is_held_to_the_least_accurate():
    row = PRIMITIVES["log1p"]
    x = np.array([0.25, -0.4])
    bounds = {
        library: _bound(row, [x], "float64", Promise(library=library))[0]
        for library in ("", "numpy", "xla")
    }
    assert np.array_equal(bounds[""], bounds["xla"])
    assert np.all(bounds["numpy"] < bounds["xla"])


def test_trigamma_left_of_the_poles_is_the_derivative_of_digamma():
    x = np.array([-0.25, -1.75, -3.5, 0.5])
    quotient = (special.digamma(x + 1e-6) - special.digamma(x - 1e-6)) / 2e-6
    assert np.all(np.abs(transcendental.trigamma(x) / quotient - 1) < 1e-7)
