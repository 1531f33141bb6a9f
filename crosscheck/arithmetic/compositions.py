"""Activations and costs as short compositions of primitives, in each of the ways people write them.

From the first way of each follow the exact value, the derivative and its rounding. The others are
equal to it in exact arithmetic and round otherwise: σ′ from z or from a, a softmax shifted or not.
"""

from collections.abc import Callable

from crosscheck.arithmetic.primitives.row import Build

GELU_CUBE = 0.044715
"""The coefficient of z³ in the form of gelu with tanh (Hendrycks and Gimpel, arXiv:1606.08415)."""

SELU_SCALE, SELU_ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717
"""λ and α of Klambauer et al., *Self-normalizing neural networks*, arXiv:1706.02515."""

LEAK = 0.01
"""The slope of leaky_relu left of 0, where libraries have it by default."""


class Writer:
    """Writes operations; `wide` says whether all ways of a thing are written, or the first alone.

    The first is the one that neither overflows nor loses digits where another does not.
    """

    def __init__(self, build: Build, wide: bool) -> None:
        self.build, self.wide = build, wide

    def __call__(self, primitive: str, *operands: int | float, **params: object) -> int:
        return self.build(primitive, *operands, **params)

    def either(self, *ways: Callable[[], int]) -> int:
        """One thing in several ways: its error is that of the worst."""
        if not self.wide or len(ways) == 1:
            return ways[0]()
        return self("either", *(way() for way in ways))

    def literal(self, number: float, like: int) -> int:
        """A number that is written in code, and rounded to the format."""
        return self.build.number(number, self.build.format(like), True)

    def times(self, value: int, number: float) -> int:
        """value × number."""
        return self("mul", value, self.literal(number, value))

    def sum_last(self, value: int) -> int:
        """The sum over the last axis, repeated along it."""
        shape = self.build.shape(value)
        axis = len(shape) - 1
        total = self("sum", value, axes=(axis,))
        return self("broadcast", self("reshape", total, shape=(*shape[:-1], 1)), shape=shape)

    def largest_last(self, value: int) -> int:
        """The largest along the last axis, repeated along it, as a constant of the derivative."""
        shape = self.build.shape(value)
        most = self("stop", self("reduce_max", value, axes=(len(shape) - 1,)))
        return self("broadcast", self("reshape", most, shape=(*shape[:-1], 1)), shape=shape)


Value = Callable[[Writer, int], int]
"""(write, z) to σ(z)."""

Slope = Callable[[Writer, int, int], int]
"""(write, z, a) to σ′(z), where a = σ(z)."""


def _opposite(write: Writer, value: int) -> int:
    """1 - value."""
    return write("sub", 1.0, value)


def _positive(write: Writer, z: int) -> int:
    """1 where z > 0, 0 where z < 0; any number between at the kink."""
    return write("step", z, 0.0)


def _mixed(write: Writer, where: int, there: int | float, elsewhere: int | float) -> int:
    """`there` where the step is 1, `elsewhere` where it is 0."""
    return write(
        "add", write("mul", where, there), write("mul", _opposite(write, where), elsewhere)
    )


def _exp_of_negative(write: Writer, z: int) -> int:
    """e^min(z, 0), which does not overflow."""
    return write("exp", write("min", z, 0.0))


def identity(write: Writer, z: int) -> int:
    """z."""
    return z


def sigmoid(write: Writer, z: int) -> int:
    """1 / (1 + e^-z), or ½ + ½ tanh(z/2)."""
    return write.either(
        lambda: write("logistic", z),
        lambda: write("add", 0.5, write("mul", 0.5, write("tanh", write("mul", z, 0.5)))),
    )


def slope_of_sigmoid(write: Writer, z: int, a: int) -> int:
    """σ(z) σ(-z), or a (1 - a)."""
    return write.either(
        lambda: write("mul", write("logistic", z), write("logistic", write("neg", z))),
        lambda: write("mul", a, _opposite(write, a)),
        lambda: write("sub", a, write("mul", a, a)),
    )


def tanh(write: Writer, z: int) -> int:
    """tanh z, or 2 σ(2z) - 1."""
    return write.either(
        lambda: write("tanh", z),
        lambda: write("sub", write("mul", 2.0, write("logistic", write("mul", 2.0, z))), 1.0),
    )


def slope_of_tanh(write: Writer, z: int, a: int) -> int:
    """sech² z = 4 σ(2z) σ(-2z), or 1 - a²."""

    def from_z() -> int:
        double = write("mul", 2.0, z)
        pair = write("logistic", double), write("logistic", write("neg", double))
        return write("mul", 4.0, write("mul", *pair))

    return write.either(
        from_z,
        lambda: _opposite(write, write("square", a)),
        lambda: write("mul", _opposite(write, a), write("add", 1.0, a)),
    )


def relu(write: Writer, z: int) -> int:
    """max(z, 0)."""
    return write("max", z, 0.0)


def slope_of_relu(write: Writer, z: int, a: int) -> int:
    """1 where z > 0."""
    return _positive(write, z)


def leaky_relu(write: Writer, z: int) -> int:
    """max(z, α z)."""
    return write("max", z, write.times(z, LEAK))


def slope_of_leaky_relu(write: Writer, z: int, a: int) -> int:
    """1 or α."""
    return _mixed(write, _positive(write, z), 1.0, write.literal(LEAK, z))


def elu(write: Writer, z: int) -> int:
    """z where z > 0, else e^z - 1."""
    return write(
        "add",
        write("max", z, 0.0),
        write.either(
            lambda: write("expm1", write("min", z, 0.0)),
            lambda: write("sub", _exp_of_negative(write, z), 1.0),
        ),
    )


def slope_of_elu(write: Writer, z: int, a: int) -> int:
    """e^min(z, 0), or 1 + min(a, 0)."""
    return write.either(
        lambda: _exp_of_negative(write, z),
        lambda: write("add", write("min", a, 0.0), 1.0),
    )


def selu(write: Writer, z: int) -> int:
    """λ z where z > 0, else λ α (e^z - 1)."""
    negative = write.either(
        lambda: write("expm1", write("min", z, 0.0)),
        lambda: write("sub", _exp_of_negative(write, z), 1.0),
    )
    steep = write.times(write.times(negative, SELU_ALPHA), SELU_SCALE)
    return write("add", write.times(write("max", z, 0.0), SELU_SCALE), steep)


def slope_of_selu(write: Writer, z: int, a: int) -> int:
    """λ or λ α e^z, which is a + λ α."""
    scale = write.literal(SELU_SCALE, z)
    steep = write("mul", scale, write.literal(SELU_ALPHA, z))
    negative = write.either(
        lambda: write("mul", steep, _exp_of_negative(write, z)),
        lambda: write("add", write("min", a, 0.0), steep),
    )
    return _mixed(write, _positive(write, z), scale, negative)


def softplus(write: Writer, z: int) -> int:
    """log(1 + e^z)."""

    def stable() -> int:
        tail = write("log1p", write("exp", write("neg", write("abs", z))))
        return write("add", write("max", z, 0.0), tail)

    return write.either(
        stable,
        lambda: write("log1p", write("exp", z)),
        lambda: write("log", write("add", 1.0, write("exp", z))),
    )


def slope_of_softplus(write: Writer, z: int, a: int) -> int:
    """σ(z), which is e^(z - a) and 1 - e^-a."""
    return write.either(
        lambda: write("logistic", z),
        lambda: write("exp", write("sub", z, a)),
        lambda: _opposite(write, write("exp", write("neg", a))),
    )


def silu(write: Writer, z: int) -> int:
    """z σ(z)."""
    return write("mul", z, sigmoid(write, z))


def slope_of_silu(write: Writer, z: int, a: int) -> int:
    """σ + z σ (1 - σ), in whatever order."""
    s = sigmoid(write, z)
    other = write.either(lambda: write("logistic", write("neg", z)), lambda: _opposite(write, s))
    return write.either(
        lambda: write("add", s, write("mul", z, write("mul", s, other))),
        lambda: write("mul", s, write("add", 1.0, write("mul", z, other))),
        lambda: write("add", a, write("mul", s, _opposite(write, a))),
    )


def _normal_distribution(write: Writer, z: int) -> int:
    """Φ(z), as ½ erfc(-z/√2) or ½ (1 + erf(z/√2))."""
    scaled = write("div", z, write("sqrt", write.build.number(2.0, write.build.format(z))))
    return write.either(
        lambda: write("mul", 0.5, write("erfc", write("neg", scaled))),
        lambda: write("mul", 0.5, write("add", 1.0, write("erf", scaled))),
    )


def gelu(write: Writer, z: int) -> int:
    """z Φ(z)."""
    return write("mul", z, _normal_distribution(write, z))


def slope_of_gelu(write: Writer, z: int, a: int) -> int:
    """Φ(z) + z φ(z)."""
    bell = write("exp", write("mul", -0.5, write("square", z)))
    density = write("div", bell, write.build.irrational("sqrt(2*pi)", z))
    return write("add", _normal_distribution(write, z), write("mul", z, density))


def _inner_of_gelu(write: Writer, z: int) -> int:
    """√(2/π) (z + 0.044715 z³)."""
    root = write("div", 2.0, write.build.irrational("sqrt(2*pi)", z))
    cube = write("mul", z, write("square", z))
    return write("mul", root, write("add", z, write.times(cube, GELU_CUBE)))


def _half_of_gelu(write: Writer, z: int) -> int:
    """½ (1 + tanh u), which is σ(2u)."""
    inner = _inner_of_gelu(write, z)
    return write.either(
        lambda: write("logistic", write("mul", 2.0, inner)),
        lambda: write("mul", 0.5, write("add", 1.0, write("tanh", inner))),
    )


def gelu_tanh(write: Writer, z: int) -> int:
    """½ z (1 + tanh u)."""
    return write("mul", z, _half_of_gelu(write, z))


def slope_of_gelu_tanh(write: Writer, z: int, a: int) -> int:
    """½ (1 + tanh u) + ½ z (1 - tanh² u) u′."""
    inner = _inner_of_gelu(write, z)
    root = write("div", 2.0, write.build.irrational("sqrt(2*pi)", z))
    square = write.times(write("square", z), 3 * GELU_CUBE)
    steep = write("mul", root, write("add", 1.0, square))
    curve = slope_of_tanh(write, inner, write("tanh", inner))
    tail = write("mul", write("mul", 0.5, z), write("mul", curve, steep))
    return write("add", _half_of_gelu(write, z), tail)


def softsign(write: Writer, z: int) -> int:
    """z / (1 + |z|)."""
    return write("div", z, write("add", 1.0, write("abs", z)))


def slope_of_softsign(write: Writer, z: int, a: int) -> int:
    """1 / (1 + |z|)², or (1 - |a|)²."""
    return write.either(
        lambda: write("reciprocal", write("square", write("add", 1.0, write("abs", z)))),
        lambda: write("square", _opposite(write, write("abs", a))),
    )


def _clipped(write: Writer, z: int, low: float, high: float) -> int:
    return write("min", write("max", z, low), high)


def _between(write: Writer, z: int, low: float, high: float) -> int:
    """1 inside, 0 outside, anything between at the two kinks."""
    return write("mul", write("step", z, low), write("step", write("neg", z), -high))


def hardtanh(write: Writer, z: int) -> int:
    """z within -1 … 1."""
    return _clipped(write, z, -1.0, 1.0)


def slope_of_hardtanh(write: Writer, z: int, a: int) -> int:
    """1 inside."""
    return _between(write, z, -1.0, 1.0)


def hardsigmoid(write: Writer, z: int) -> int:
    """z/6 + ½ within 0 … 1."""
    return write.either(
        lambda: write("div", _clipped(write, write("add", z, 3.0), 0.0, 6.0), 6.0),
        lambda: _clipped(write, write("add", write.times(z, 1 / 6), 0.5), 0.0, 1.0),
    )


def slope_of_hardsigmoid(write: Writer, z: int, a: int) -> int:
    """⅙ inside."""
    return write("div", _between(write, z, -3.0, 3.0), 6.0)


def hardswish(write: Writer, z: int) -> int:
    """z (z/6 + ½) with the second factor within 0 … 1."""
    return write("mul", z, hardsigmoid(write, z))


def slope_of_hardswish(write: Writer, z: int, a: int) -> int:
    """z/3 + ½ inside, 1 on the right."""
    inside = write("mul", _between(write, z, -3.0, 3.0), write("add", write("div", z, 3.0), 0.5))
    return write("add", inside, write("step", z, 3.0))


def mish(write: Writer, z: int) -> int:
    """z tanh(log(1 + e^z))."""
    return write("mul", z, write("tanh", softplus(write, z)))


def slope_of_mish(write: Writer, z: int, a: int) -> int:
    """t + z (1 - t²) σ(z) with t = tanh(log(1 + e^z))."""
    inner = softplus(write, z)
    t = write("tanh", inner)
    curve = write("mul", slope_of_tanh(write, inner, t), slope_of_softplus(write, z, inner))
    return write("add", t, write("mul", z, curve))


def softmax(write: Writer, z: int) -> int:
    """e^z / Σ e^z over the outputs: shifted by the largest, from logsumexp, or as it stands."""

    def shared(e: int) -> int:
        return write("div", e, write.sum_last(e))

    return write.either(
        lambda: shared(write("exp", write("sub", z, write.largest_last(z)))),
        lambda: write("exp", write("sub", z, logsumexp(write, z))),
        lambda: shared(write("exp", z)),
    )


def logsumexp(write: Writer, z: int) -> int:
    """log Σ e^z, repeated along the last axis."""
    most = write.largest_last(z)
    total = write.sum_last(write("exp", write("sub", z, most)))
    return write("add", write("log", total), most)


def through_softmax(write: Writer, a: int, pulled_back: int) -> int:
    """p ∘ (g - Σ p g), or p ∘ g - p Σ p g, or g times the matrix p_i (δ_ij - p_j)."""
    total = write.sum_last(write("mul", a, pulled_back))
    return write.either(
        lambda: write("mul", a, write("sub", pulled_back, total)),
        lambda: write("sub", write("mul", a, pulled_back), write("mul", a, total)),
    )


# Costs: what stands under the sum over samples and outputs, and its slope


def squares(write: Writer, a: int, y: int) -> int:
    """(a - y)²."""
    return write("square", write("sub", a, y))


def slope_of_squares(write: Writer, a: int, y: int) -> int:
    """2 (a - y)."""
    return write("mul", 2.0, write("sub", a, y))


def absolute(write: Writer, a: int, y: int) -> int:
    """|a - y|."""
    return write("abs", write("sub", a, y))


def slope_of_absolute(write: Writer, a: int, y: int) -> int:
    """The sign of a - y; anything between -1 and 1 where they are equal."""
    return write("sign", write("sub", a, y))


def huber(write: Writer, a: int, y: int) -> int:
    """d²/2 up to |d| = 1, |d| - ½ beyond, for d = a - y: c (d - c/2), with c = d within ±1."""
    d = write("sub", a, y)
    c = _clipped(write, d, -1.0, 1.0)
    return write("mul", c, write("sub", d, write("mul", 0.5, c)))


def slope_of_huber(write: Writer, a: int, y: int) -> int:
    """a - y within ±1."""
    return _clipped(write, write("sub", a, y), -1.0, 1.0)


def binary_cross_entropy(write: Writer, z: int, y: int) -> int:
    """-y log σ(z) - (1 - y) log σ(-z) = log(1 + e^z) - y z."""
    return write("sub", softplus(write, z), write("mul", y, z))


def slope_of_binary_cross_entropy(write: Writer, z: int, y: int) -> int:
    """σ(z) - y, or with each logarithm differentiated by itself."""

    def apart() -> int:
        negative = write("neg", z)
        left, right = (slope_of_softplus(write, x, softplus(write, x)) for x in (z, negative))
        return write("sub", write("mul", _opposite(write, y), left), write("mul", y, right))

    def through_probabilities() -> int:
        a = sigmoid(write, z)
        by_a = slope_by_probability(write, a, y)
        return write("mul", by_a, slope_of_sigmoid(write, z, a))

    return write.either(lambda: write("sub", sigmoid(write, z), y), apart, through_probabilities)


def slope_by_probability(write: Writer, a: int, y: int) -> int:
    """(a - y) / (a (1 - a)), or -y/a + (1 - y)/(1 - a)."""
    other = _opposite(write, a)
    return write.either(
        lambda: write("div", write("sub", a, y), write("mul", a, other)),
        lambda: write("sub", write("div", _opposite(write, y), other), write("div", y, a)),
    )


def cross_entropy(write: Writer, z: int, y: int) -> int:
    """-y log softmax(z) = y (logsumexp z - z)."""
    return write("mul", y, write("sub", logsumexp(write, z), z))


def slope_of_cross_entropy(write: Writer, z: int, y: int) -> int:
    """p Σ y - y, which is p - y where Σ y is 1 but for rounding; or -y/p through the Jacobian."""

    def fused() -> int:
        return write("sub", write("mul", softmax(write, z), write.sum_last(y)), y)

    def through_probabilities() -> int:
        p = softmax(write, z)
        return through_softmax(write, p, write("neg", write("div", y, p)))

    return write.either(fused, through_probabilities)
