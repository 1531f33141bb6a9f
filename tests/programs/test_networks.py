"""Networks as programs: the quick path of networks against the general one of any function.

The two share no rule of a derivative, of a sum or of a layer: the one has the paper's matrices, the
other operations of a table. So each is a check of the other, on nets that neither was made for.
"""

import numpy as np
import pytest

from crosscheck.arithmetic.promise import plain
from crosscheck.arithmetic.rounding_rules import rules_of
from crosscheck.bounds import float64, reverse as bounds
from crosscheck.exact import oracle
from crosscheck.networks import sampling
from crosscheck.networks.distribution import Distribution
from crosscheck.programs.derive import reverse
from crosscheck.programs.errors import Promise
from crosscheck.programs.evaluate import evaluate
from crosscheck.programs.program import Builder
from crosscheck.programs.trial.judge import ExactProgram

NETS = Distribution(layers=(2, 5), widths=(1, 12), samples=(1, 12))
SIGMOIDAL = {"sigmoid": "logistic", "tanh": "tanh"}
INDICES = range(20, 40)


def drawn(index, dtype, hidden="sigmoid"):
    changed = Distribution(NETS.layers, NETS.widths, NETS.samples, hidden=hidden)
    return sampling.draw(changed, 5, index, dtype)


def program_of(case):
    """The cost of a net as a function of its weights and biases, with its data as constants."""
    build, of = Builder(), case.architecture
    given = [build.input(shape, case.dtype) for shape in of.tensor_shapes]
    a = build.constant(case.inputs, case.dtype)
    for name, w, b in zip(of.activations, given[::2], given[1::2], strict=True):
        z = build("add", build("dot", a, w), b)
        a = build(SIGMOIDAL[name], z) if name in SIGMOIDAL else z
    gap = build("sub", a, build.constant(case.targets, case.dtype))
    total = build("sum", build("square", gap), axes=(0, 1))
    return build.program([build("div", total, float(round(1 / float64.cost_scale(case))))])


def tensors_of(case):
    return [t for pair in zip(case.weights, case.biases, strict=True) for t in pair]


def gradient_of(case):
    """G: the reverse form of the net's program, at its weights and biases."""
    return ExactProgram(reverse(program_of(case)), [*tensors_of(case), np.ones(())])


def distances(case, enclosed, wrong=1.0):
    exact = oracle.enclose(case)
    parts = zip(
        enclosed.middle[1:], enclosed.radius[1:], exact.hi, exact.lo, exact.radius, strict=True
    )
    for middle, radius, hi, lo, tiny in parts:
        yield np.abs((wrong * middle - hi) - lo), radius + tiny


@pytest.mark.parametrize("hidden", ["sigmoid", "tanh"])
def test_the_gradient_of_the_program_encloses_that_of_the_oracle(hidden):
    """By floating point in float64's own bound, and in balls, in which the two agree to 2^-60."""
    for index in INDICES:
        case = drawn(index, "float64", hidden)
        exact = gradient_of(case)
        for enclosed in (exact.enclosed, exact.balls(128)):
            for apart, room in distances(case, enclosed):
                assert np.all(apart <= room), (case.id, enclosed.source)
        wrong = distances(case, exact.balls(128), 1 + 2.0**-40)
        assert any(np.any(apart > room) for apart, room in wrong), case.id


def quick(case, stable=True):
    """The quick B; `stable` with σ′ from z as the program has it, which does not cancel."""
    rules = rules_of(plain(case.dtype), stable=stable)
    return bounds.by_rules(case, float64.evaluate(case), rules)[0].tensors


def shares(errors, limits):
    """The largest |error| / B of all entries; an exact entry has none."""
    with np.errstate(invalid="ignore"):
        return max(np.nan_to_num(e / b).max() for e, b in zip(errors, limits, strict=True))


def errors_of(exact, dtype, wrong=1.0):
    """Of the program's evaluation in a narrow format, against its enclosure."""
    values = evaluate(exact.program, exact.inputs, np.dtype(dtype).type)
    pairs = zip(exact.program.outputs[1:], exact.enclosed.middle[1:], strict=True)
    return [np.abs(values[place].astype(float) * wrong - middle) for place, middle in pairs]


@pytest.mark.parametrize("hidden", ["sigmoid", "tanh"])
def test_the_bounds_of_both_paths_are_alike_and_neither_is_below_the_error(hidden):
    """Entry by entry within a factor of 2, where both have the same form of σ′.

    They were from 0.75 to 1.55 apart: by how often σ′ is rounded, and where a bias is added. The
    quick one for any form of σ′, which may cancel, is larger alone.
    """
    for index in INDICES:
        case = drawn(index, "float32", hidden)
        exact = gradient_of(case)
        general, by_layers = exact.bound(Promise())[1:], quick(case)
        for one, other in zip(general, by_layers, strict=True):
            assert np.all(one <= 2 * other), case.id
            assert np.all(other <= 2 * one), case.id
        for one, other in zip(quick(case, stable=False), by_layers, strict=True):
            assert np.all(other <= one * (1 + 1e-6))
        for limits in (general, by_layers):
            assert 1e-3 < shares(errors_of(exact, case.dtype), limits) < 0.5, case.id
            assert shares(errors_of(exact, case.dtype, 1 + 2.0**-6), limits) > 1, case.id
