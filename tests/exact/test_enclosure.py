"""The choice of a reference: the cheapest that suffices; and whether two are of one number."""

import dataclasses

import numpy as np
import pytest

from crosscheck.arithmetic.promise import Arithmetic
from crosscheck.bounds import float64, reverse
from crosscheck.exact import double_double, enclosure, oracle, slices
from crosscheck.networks import sampling
from crosscheck.networks.distribution import Distribution

SMALL = Distribution(widths=(1, 8), samples=(1, 8), scales=(1.0,))


def chosen(case):
    least = {}
    trace = float64.evaluate(case)
    rules = reverse.rules_of(Arithmetic("float64"))
    limits = reverse.by_rules(case, trace, rules, least)[0]
    return enclosure.cheapest(case, lambda: trace, limits, least), limits


def nothing(*given, **named):
    return None


@pytest.mark.parametrize(
    ("missing", "source"),
    [((), slices.SOURCE), ((slices,), double_double.SOURCE), ((slices, double_double), "balls")],
)
def test_the_next_serves_where_one_is_missing(missing, source, monkeypatch):
    for module in missing:
        monkeypatch.setattr(module, "evaluate" if module is slices else "enclose", nothing)
    for index in range(8, 14):
        case = sampling.draw(SMALL, 0, index, "float64")
        reference, limits = chosen(case)
        assert reference.source.startswith(source)
        assert enclosure.is_narrow(reference, limits.tensors)
        assert enclosure.first_disagreement(reference, oracle.enclose(case, 256)) is None


def test_balls_double_their_precision_until_the_radius_suffices(monkeypatch):
    monkeypatch.setattr(oracle, "START_BITS", 16)
    monkeypatch.setattr(enclosure, "HIGHEST_BITS", 256)
    case = sampling.draw(SMALL, 0, 9, "float64")
    wanted = [np.full(shape, 2.0**-50) for shape in case.architecture.tensor_shapes]
    reference = enclosure.balls(case, wanted)
    assert reference.bits == 128
    assert enclosure.is_narrow(reference, wanted)
    never = enclosure.balls(case, [0 * allowed for allowed in wanted])
    assert never.bits == 256
    assert not enclosure.is_narrow(never, [0 * allowed for allowed in wanted])


def test_a_narrower_format_takes_the_float64_evaluation_which_lies_within_its_radius():
    for index in range(8, 14):
        case = sampling.draw(SMALL, 0, index, "float32")
        trace = float64.evaluate(case)
        limits = reverse.contracted(case, trace, Arithmetic("float32"))
        reference = enclosure.by_float64(case, trace.tensors(), limits)
        assert reference.source == "float64"
        assert enclosure.first_disagreement(reference, oracle.enclose(case)) is None


def test_what_is_off_by_more_than_both_radii_disagrees():
    case = sampling.draw(SMALL, 0, 9, "float64")
    right, _ = chosen(case)
    moved = list(right.lo)
    moved[1] = moved[1] + 3 * right.radius[1] + 2.0**-90 * np.abs(right.hi[1])
    assert enclosure.first_disagreement(dataclasses.replace(right, lo=moved), right) == 1
