"""What independent roundings add up to: tighter than B by far, and no theorem.

For a direction r of signs, an engine is off by ⟨ĝ - g, r⟩ = Σ ∂⟨g, r⟩/∂v · ε_v, to first order,
with ε_v the rounding of the value v by itself. One backward pass over Q gives all sensitivities,
so that depth costs nothing: B loses a factor of ten a layer. As independent errors of mean zero
they stay within some standard deviations (Higham and Mary, *A new approach to probabilistic
rounding error analysis*, SIAM J. Sci. Comput. 41 (2019)); biased ones need not.
"""

from collections.abc import Sequence

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
    """For each output |⟨deviation, r⟩| over ten sigma of independent roundings.

    `deviations` are the engine's outputs less the exact ones; NaN where there is no statement:
    an output of which some deviation or sensitivity is not finite.
    """
    program_of, numbers = sensitivities(program)
    plain = [value if value.dtype == bool else value.astype(np.float64) for value in values]
    local = Analysis(program, plain, promise).local()
    generator = np.random.default_rng([seed, 0x401])
    shares = []
    for place, output in enumerate(program.outputs):
        shape = program.operations[output].shape
        signs = generator.choice([-1.0, 1.0], shape)
        given = [np.zeros(program.operations[x].shape) for x in program.outputs]
        given[place] = signs
        cotangents = evaluate(program_of, [*inputs, *given])
        squares = 0.0
        for number, cotangent in zip(numbers, program_of.outputs, strict=True):
            error = local[number]
            if error is None:
                continue
            with np.errstate(all="ignore"):
                terms = np.abs(cotangents[cotangent]) * error
                squares += float(np.sum(terms * terms))
        with np.errstate(all="ignore"):
            off = abs(float(np.sum(deviations[place] * signs)))
            limit = SIGMAS * np.sqrt(squares)
            share = off / limit if limit > 0 else (0.0 if off == 0 else np.nan)
        shares.append(float(share) if np.isfinite(share) else float("nan"))
    return shares
