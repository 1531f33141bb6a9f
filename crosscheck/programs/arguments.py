"""Random arguments of given shapes, of many kinds: a set is a function of (seed, index) alone."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from crosscheck.arithmetic.formats import FORMATS
from crosscheck.arithmetic.primitives.row import Array, Shape

Draw = Callable[[np.random.Generator, Shape, str], Array]
"""(generator, shape, format) to float64 numbers."""


def _normal(generator: np.random.Generator, shape: Shape, format: str) -> Array:
    return generator.standard_normal(shape)


def _scaled(factor: float) -> Draw:
    return lambda generator, shape, format: factor * generator.standard_normal(shape)


def _magnitudes(generator: np.random.Generator, shape: Shape, format: str) -> Array:
    """Log-uniform from 2^-20 to 2^4, both signs."""
    sizes = np.exp2(generator.uniform(-20, 4, shape))
    return sizes * generator.choice([-1.0, 1.0], shape)


def _positive(generator: np.random.Generator, shape: Shape, format: str) -> Array:
    return generator.gamma(2.0, 0.5, shape) + 0.05


def _ties(generator: np.random.Generator, shape: Shape, format: str) -> Array:
    return generator.choice([-1.0, -0.5, 0.5, 1.0], shape)


def _zeros(generator: np.random.Generator, shape: Shape, format: str) -> Array:
    numbers = generator.standard_normal(shape)
    return np.where(generator.random(shape) < 0.4, 0.0, numbers)


def _nearly_equal(generator: np.random.Generator, shape: Shape, format: str) -> Array:
    """One number, and its neighbours within some units in the last place."""
    steps = generator.integers(-4, 5, shape)
    return generator.standard_normal() * (1 + steps * 2 * FORMATS[format].unit_roundoff)


def _subnormal(generator: np.random.Generator, shape: Shape, format: str) -> Array:
    """Some entries below the smallest normal number, the others ordinary."""
    numbers = generator.standard_normal(shape)
    tiny = generator.uniform(-1, 1, shape) * FORMATS[format].smallest_normal
    return np.where(generator.random(shape) < 0.2, tiny, numbers)


KINDS: Mapping[str, Draw] = {
    "normal": _normal,
    "small": _scaled(2.0**-10),
    "positive": _positive,
    "magnitudes": _magnitudes,
    "large": _scaled(32.0),
    "ties": _ties,
    "zeros": _zeros,
    "nearly equal": _nearly_equal,
    "subnormal": _subnormal,
}
"""What entries are like, by name; sets of arguments go through them in turn."""


def kind(index: int) -> str:
    """The kind of the arguments of this index."""
    return list(KINDS)[index % len(KINDS)]


def draw(
    shapes: Sequence[tuple[Shape, str]], seed: int, index: int, name: str | None = None
) -> list[Array]:
    """Arrays of these (shape, format), rounded to the format, each of the index's kind."""
    generator = np.random.default_rng([seed, index])
    numbers = KINDS[name or kind(index)]
    return [rounded(numbers(generator, shape, format), format) for shape, format in shapes]


def rounded(numbers: Array, format: str) -> Array:
    """Float64 numbers in a format, as its NumPy arrays."""
    with np.errstate(over="ignore", under="ignore"):
        array: Array = np.asarray(numbers).astype(FORMATS[format].numpy)
    return array


def sizes(shapes: Sequence[Shape]) -> list[int]:
    """The different sizes of axes above 1, the largest first: equal ones shrink together."""
    return sorted({n for shape in shapes for n in shape if n > 1}, reverse=True)


def resized(shapes: Sequence[Shape], before: int, after: int) -> list[Shape]:
    """The shapes with every axis of one size made another."""
    return [tuple(after if n == before else n for n in shape) for shape in shapes]
