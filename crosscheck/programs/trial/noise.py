"""What independent roundings add up to: tighter than B by far, and no theorem.

For a direction r of signs, an engine is off by ⟨ĝ - g, r⟩ = Σ ∂⟨g, r⟩/∂v · ε_v, to first order,
with ε_v the rounding of the value v by itself. One backward pass over Q gives all sensitivities,
so that depth costs nothing: B loses a factor of ten a layer. As independent errors of mean zero
they stay within some standard deviations (Higham and Mary, *A new approach to probabilistic
rounding error analysis*, SIAM J. Sci. Comput. 41 (2019)); biased ones need not.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from crosscheck.arithmetic.primitives.row import Array
from crosscheck.programs.derive import sensitivities
from crosscheck.programs.errors import Analysis, Promise
from crosscheck.programs.evaluate import evaluate
from crosscheck.programs.program import Program

SIGMAS = 10.0
"""Local bounds, root of their sum of squares, that are passed by no chance."""


def use(
    program: Program,
    inputs: Sequence[Array],
    values: Sequence[Array],
    promise: Promise,
    deviations: Sequence[Array],
    seed: int = 0,
) -> list[float]:
    """For each output at least |⟨deviation, r⟩| over ten sigma of independent roundings.

    `deviations` are the engine's outputs less the exact ones; NaN where there is no statement:
    an output of which some deviation or sensitivity is not finite. The roundings of the last
    operation alone are looked at first: where the deviation is within ten sigma of these, it is
    within those of all, and only else it takes a backward pass to know how far.
    """
    noise = _Noise(program, inputs, values, promise)
    generator = np.random.default_rng([seed, 0x401])
    shares = []
    for place, output in enumerate(program.outputs):
        signs = generator.choice([-1.0, 1.0], program.operations[output].shape)
        with np.errstate(all="ignore"):
            off = abs(float(np.sum(deviations[place] * signs)))
        share = _share(off, noise.of_last(output))
        if not share <= 1:
            share = _share(off, noise.of_all(place, signs))
        shares.append(share)
    return shares


def _share(off: float, squares: float) -> float:
    with np.errstate(all="ignore"):
        limit = SIGMAS * np.sqrt(squares)
        share = off / limit if limit > 0 else (0.0 if off == 0 else np.nan)
    return float(share) if np.isfinite(share) else float("nan")


def _pulled(program: Program, place: int) -> tuple[Program, tuple[int, ...]]:
    """The sensitivities of one output, made once for each program."""
    key = "sensitivities", place
    if key not in program.derived:
        program.derived[key] = sensitivities(replace(program, outputs=(program.outputs[place],)))
    made: tuple[Program, tuple[int, ...]] = program.derived[key]
    return made


MOVES = frozenset({"reshape", "transpose", "neg"})
"""Operations that change no entry's size, and lose none."""


@dataclass
class _Noise:
    """Sums of squares of what local roundings come to in ⟨an output, signs⟩."""

    program: Program
    inputs: Sequence[Array]
    values: Sequence[Array]
    promise: Promise

    @cached_property
    def analysis(self) -> Analysis:
        plain = [x if x.dtype in (bool, np.float64) else x.astype(np.float64) for x in self.values]
        return Analysis(self.program, plain, self.promise)

    @cached_property
    def local(self) -> list[Array | None]:
        return self.analysis.local()

    def of_last(self, output: int) -> float:
        """Of the operation that gave this output alone, whose sensitivities are the signs."""
        operation = self.program.operations[output]
        while operation.primitive in MOVES:
            output = operation.operands[0]
            operation = self.program.operations[output]
        analysis = self.analysis
        analysis.errors = [None] * len(self.values)
        with np.errstate(all="ignore"):
            error = analysis.error_of(operation, analysis.values[output])
            return 0.0 if error is None else float(np.sum(error * error))

    def of_all(self, place: int, signs: Array) -> float:
        """Of all operations, by a backward pass."""
        pulled, numbers = _pulled(self.program, place)
        cotangents = evaluate(pulled, [*self.inputs, signs])
        squares = 0.0
        for number, cotangent in zip(numbers, pulled.outputs, strict=True):
            error = self.local[number]
            if error is None:
                continue
            with np.errstate(all="ignore"):
                terms = np.abs(cotangents[cotangent]) * error
                squares += float(np.sum(terms * terms))
        return squares
