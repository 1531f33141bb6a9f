"""Random architectures: (seed, index) -> Architecture -> Case, and the special cases.

A case depends on (distribution, seed, index, dtype, output) alone. Each kind of draw has a
stream of its own (NumPy's SeedSequence with spawn keys), so that drawing the output, or giving
it, changes no other number. What becomes of the draws uses operations that IEEE 754 rounds
exactly: NumPy's exponentials and the BLAS differ in the last bit from one processor to another,
and a baseline made on one has to be met by the same cases on another.
"""

import hashlib
import math
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from crosscheck.arithmetic.activations import ACTIVATIONS
from crosscheck.arithmetic.conventions import READINGS
from crosscheck.arithmetic.costs import COSTS
from crosscheck.arithmetic.formats import FORMATS, FloatFormat
from crosscheck.networks import watched
from crosscheck.networks.distribution import Distribution
from crosscheck.networks.network import Architecture, Array, Case

Rng = np.random.Generator
Numbers = tuple[list[Array], list[Array], Array, Array]
_SHAPE, _OUTPUT, _VALUES = range(3)

INPUT_SCALE = 0.5
"""Standard deviation of inputs: at 1, a fifth more of the saturated gradients say nothing."""

BIAS_SCALE = 0.5
"""Standard deviation of biases, in every stratum."""


def _stream(seed: int, index: int, stream: int) -> Rng:
    return Rng(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(index, stream))))


def _log_uniform(rng: Rng, bounds: tuple[int, int], size: int) -> tuple[int, ...]:
    """Whole numbers between the bounds, both included, uniform in their logarithm."""
    low, high = bounds
    draws = np.exp(rng.uniform(np.log(low), np.log(high + 1), size))
    return tuple(min(max(math.floor(n), low), high) for n in draws.tolist())


def _draw_widths(rng: Rng, of: Distribution) -> tuple[int, ...]:
    if of.architecture:
        return of.architecture
    layers = int(rng.integers(of.layers[0], of.layers[1] + 1))
    return _log_uniform(rng, of.widths, layers)


def _draw_numbers(
    rng: Rng, architecture: Architecture, samples: int, scale: float = 1.0
) -> Numbers:
    """Xavier weights times `scale`, normal inputs, targets in the range of the output."""
    weights, biases = [], []
    for n, m in architecture.weight_shapes:
        weights.append(rng.standard_normal((n, m)) * math.sqrt(2.0 / (n + m)) * scale)
        biases.append(rng.standard_normal(m) * BIAS_SCALE)
    inputs = rng.standard_normal((samples, architecture.widths[0])) * INPUT_SCALE
    targets = rng.standard_normal((samples, architecture.widths[-1]))
    if not architecture.with_biases:
        biases = [0 * b for b in biases]
    return weights, biases, inputs, _expected(architecture, targets)


def _expected(architecture: Architecture, normal: Array) -> Array:
    """Targets from normal numbers: what the cost means by them, or in the output's range."""
    of_cost = COSTS[architecture.cost].targets
    targets: Array = (of_cost or ACTIVATIONS[architecture.output].targets)(normal)
    return targets


NO_STRATUM = 0.0
"""The scale of a case whose weights are made for their purpose."""


class Special:
    """A special case: a name, the widths it takes, the numbers it has, and when it can be.

    `scale` is the stratum of its weights, or NO_STRATUM where they are not Xavier's. `shaped` says
    that it is about its widths, and nothing where they are fixed; `biased` that it needs biases.
    """

    def __init__(
        self,
        name: str,
        numbers: Callable[[Rng, Architecture, int, FloatFormat], Numbers],
        widths: Callable[[Rng, Distribution], tuple[int, ...]] = _draw_widths,
        possible: Callable[[Distribution], bool] = lambda _: True,
        samples: int | None = None,
        scale: float = 1.0,
        shaped: bool = False,
        biased: bool = False,
    ) -> None:
        self.name, self.numbers, self.widths = name, numbers, widths
        self.samples, self.scale = samples, scale
        self.possible = lambda of: (
            possible(of)
            and not (shaped and (of.architecture or of.outputs))
            and (of.biases or not biased)
        )


def _xavier(rng: Rng, architecture: Architecture, samples: int, of: FloatFormat) -> Numbers:
    return _draw_numbers(rng, architecture, samples)


def _zero_weights(rng: Rng, architecture: Architecture, samples: int, of: FloatFormat) -> Numbers:
    weights, biases, inputs, targets = _draw_numbers(rng, architecture, samples)
    return [0 * w for w in weights], biases, inputs, targets


def _at_zero(name: str) -> float:
    """The activation at z = 0, exact in every precision."""
    value = ACTIVATIONS[name].at_zero
    assert value is not None
    return value


def _exact_at_zero(of: Distribution) -> bool:
    """Whether all activations are at z = 0 what every precision has, and may be expected.

    A penalty of the weights has a gradient of its own, and no bias can make up for the rest.
    """
    names = {of.hidden, of.output} - {"both"}
    plain = not of.l2 and of.biases and COSTS[of.cost].targets is None
    return plain and all(ACTIVATIONS[name].at_zero is not None for name in names)


def _exact_targets(rng: Rng, architecture: Architecture, samples: int, of: FloatFormat) -> Numbers:
    """Targets equal to the output to the bit, so the gradient is exactly zero.

    Every hidden neuron has z = 0; the last layer adds up a few binary fractions to its target,
    or to z = 0 where the output is not linear, so no sum is ever rounded.
    """
    weights, biases, inputs, _ = _draw_numbers(rng, architecture, samples)
    weights, biases = [0 * w for w in weights], [0 * b for b in biases]
    targets = np.full((samples, architecture.widths[-1]), _at_zero(architecture.output))
    z = np.zeros(architecture.widths[-1])
    if architecture.output == "identity":
        z = rng.integers(-4, 5, z.shape) / 4.0
        targets[:] = z
    hidden = _at_zero(architecture.hidden) if architecture.layers > 2 else 0.0
    if architecture.layers > 2:
        weights[-1] = rng.integers(-4, 5, weights[-1].shape) / 4.0
    biases[-1] = z - hidden * weights[-1].sum(0)
    return weights, biases, inputs, targets


def _subnormal_inputs(
    rng: Rng, architecture: Architecture, samples: int, of: FloatFormat
) -> Numbers:
    """Inputs of about a thousand times the smallest number there is."""
    weights, biases, inputs, targets = _draw_numbers(rng, architecture, samples)
    return weights, biases, inputs * (1000 * of.smallest_subnormal), targets


SATURATED_CENTER = 170.0
"""|z| of the saturated case lies within about 110 of it, that is in 60 … 280."""


def _saturated(rng: Rng, architecture: Architecture, samples: int, of: FloatFormat) -> Numbers:
    """Large inputs along one direction: 40 <= |z| <= 300 for every neuron and every sample."""
    weights, biases, _, targets = _draw_numbers(rng, architecture, samples)
    widths = architecture.widths
    direction = rng.standard_normal(widths[0]) * 100 + np.copysign(100, rng.standard_normal())
    inputs = rng.uniform(1, 2, samples)[:, None] * direction
    wanted = np.copysign(rng.uniform(70, 130, widths[1]), rng.standard_normal(widths[1]))
    along = direction / math.fsum(direction**2)
    weights[0] += np.outer(along, wanted - (direction[:, None] * weights[0]).sum(0))
    biases[0] = rng.uniform(-10, 10, widths[1])
    for k in range(1, len(weights)):
        reach = np.abs(weights[k]).sum(0)
        weights[k] *= 50 / np.maximum(reach, 1e-3)
        center = SATURATED_CENTER + rng.uniform(-60, 60, widths[k + 1])
        biases[k] = np.copysign(center, rng.standard_normal(widths[k + 1]))
    return weights, biases, inputs, targets


def _two_layers(rng: Rng, of: Distribution) -> tuple[int, ...]:
    return _log_uniform(rng, of.widths, 2)


def _with_hidden_layer(rng: Rng, of: Distribution) -> tuple[int, ...]:
    """A hidden layer at least, where the ranges allow one."""
    least = min(max(3, of.layers[0]), of.layers[1])
    return _draw_widths(rng, replace(of, layers=(least, of.layers[1])))


def _width_one(rng: Rng, of: Distribution) -> tuple[int, ...]:
    return (1,) * len(_draw_widths(rng, of))


def _wide_narrow_wide(rng: Rng, of: Distribution) -> tuple[int, ...]:
    """Odd layers as wide as the range allows, even ones as narrow; N the least odd N >= 3."""
    layers = max(3, of.layers[0])
    return tuple(of.widths[l % 2 == 1] for l in range(1, layers + 1))


SPECIALS = (
    Special("all weights zero", _zero_weights, scale=NO_STRATUM),
    Special(
        "width 1 everywhere",
        _xavier,
        widths=_width_one,
        possible=lambda of: of.widths[0] == 1,
        shaped=True,
    ),
    Special(
        "no hidden layer",
        _xavier,
        widths=_two_layers,
        possible=lambda of: of.layers[0] == 2 and not of.architecture,
    ),
    Special("one sample", _xavier, possible=lambda of: of.samples[0] == 1, samples=1),
    Special(
        "targets equal to the output",
        _exact_targets,
        widths=_with_hidden_layer,
        possible=_exact_at_zero,
        scale=NO_STRATUM,
    ),
    Special(
        "wide-narrow-wide",
        _xavier,
        widths=_wide_narrow_wide,
        possible=lambda of: of.layers[1] >= 3 and of.widths[0] < of.widths[1],
        shaped=True,
    ),
    Special("subnormal inputs", _subnormal_inputs),
    Special("saturated", _saturated, widths=_with_hidden_layer, scale=NO_STRATUM, biased=True),
)
"""The special cases: the first indices of every run, as far as its ranges allow them."""


@lru_cache
def specials(of: Distribution) -> tuple[list[Special], list[str]]:
    """The special cases that these ranges allow, and the names of those that they do not."""
    possible = [s for s in SPECIALS if s.possible(of)]
    return possible, [s.name for s in SPECIALS if s not in possible]


def output_of(of: Distribution, seed: int, index: int) -> str:
    """The output activation of a case: the one asked for, or a draw between the readings."""
    if of.output != "both":
        return of.output
    return READINGS[int(_stream(seed, index, _OUTPUT).integers(2))]


class Outline(NamedTuple):
    """A case without its numbers: `scale` is the stratum, `special` names a special case."""

    architecture: Architecture
    samples: int
    scale: float
    special: Special | None


def outline(of: Distribution, seed: int, index: int, output: str | None = None) -> Outline:
    """What the case of (seed, index) is before its numbers are drawn, as of `draw`."""
    shape_rng = _stream(seed, index, _SHAPE)
    output = output or output_of(of, seed, index)
    possible, _ = specials(of)
    special = possible[index] if index < len(possible) else None
    samples = _log_uniform(shape_rng, of.samples, 1)[0]
    if special:
        widths, samples, scale = (
            special.widths(shape_rng, of),
            special.samples or samples,
            special.scale,
        )
    else:
        scale = of.scales[int(shape_rng.integers(len(of.scales)))]
        widths = _draw_widths(shape_rng, of)
    if of.outputs:
        widths = (*widths[:-1], of.outputs)
    architecture = Architecture(
        widths, of.hidden, output, of.cost, of.biases, of.l2, bool(of.l2 and of.l2_biases)
    )
    return Outline(architecture, samples, scale, special)


@watched.stage("sampling")
def draw(of: Distribution, seed: int, index: int, dtype: str, output: str | None = None) -> Case:
    """The case of (seed, index): a function of the arguments alone, in any order and process.

    The same index has the same architecture and, but for rounding, the same numbers in every
    dtype. `output` overrides the distribution's.
    """
    architecture, samples, scale, special = outline(of, seed, index, output)
    rng = _stream(seed, index, _VALUES)
    if special:
        numbers = special.numbers(rng, architecture, samples, FORMATS[dtype])
    else:
        numbers = _draw_numbers(rng, architecture, samples, scale)
    weights, biases, inputs, targets = numbers
    return Case(
        architecture,
        dtype,
        seed,
        index,
        tuple(_store(w, dtype) for w in weights),
        tuple(_store(b, dtype) for b in biases),
        _store(inputs, dtype),
        _store(targets, dtype),
        scale,
        special.name if special else "",
    )


def _store(array: Array, dtype: str) -> Array:
    """The array rounded to dtype, in memory that nobody can write to."""
    rounded: Array = np.ascontiguousarray(array, FORMATS[dtype].numpy)
    if rounded is array:
        rounded = array.copy()
    rounded.flags.writeable = False
    return rounded


def definition(case: Case) -> str:
    """16 hexadecimal digits that stand for the case's architecture and every bit of its numbers."""
    architecture = case.architecture
    named = f"{architecture.label} {architecture.hidden} {architecture.output} {architecture.cost}"
    named += f" {architecture.extras}" if architecture.extras else ""
    digest = hashlib.blake2b(f"{named} {case.dtype}".encode(), digest_size=8)
    for array in (*case.weights, *case.biases, case.inputs, case.targets):
        bits = array.view(f"u{array.itemsize}")
        digest.update((bits if sys.byteorder == "little" else bits.byteswap()).data)
    return digest.hexdigest()
