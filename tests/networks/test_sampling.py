"""Cases: a function of (seed, index) alone, within their ranges, and special where they say so."""

import subprocess
import sys
from math import ceil, log2

import numpy as np
import pytest

from crosscheck.arithmetic.formats import FORMATS
from crosscheck.bounds import float64
from crosscheck.networks import sampling
from crosscheck.networks.distribution import Distribution
from crosscheck.verdicts.evidence import Evidence

DEFAULT = Distribution()
INDEX_OF = {special.name: i for i, special in enumerate(sampling.SPECIALS)}


def numbers(case):
    return [*case.weights, *case.biases, case.inputs, case.targets]


def same(one, other):
    return one.architecture == other.architecture and all(
        np.array_equal(x, y) for x, y in zip(numbers(one), numbers(other), strict=True)
    )


def test_any_order_gives_the_same_case():
    forward = [sampling.draw(DEFAULT, 7, i, "float32") for i in range(30)]
    for i in reversed(range(30)):
        assert same(forward[i], sampling.draw(DEFAULT, 7, i, "float32"))


def test_another_process_gives_the_same_case():
    program = (
        "from crosscheck.networks import sampling; "
        "from crosscheck.networks.distribution import Distribution;"
        "c = sampling.draw(Distribution(), 7, 23, 'float64');"
        "print(c.architecture.label, float(c.weights[0].ravel()[0]).hex(), c.id)"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()
    case = sampling.draw(DEFAULT, 7, 23, "float64")
    assert printed == [case.architecture.label, float(case.weights[0].ravel()[0]).hex(), case.id]


def test_seeds_and_indices_differ():
    cases = [sampling.draw(DEFAULT, s, i, "float64") for s in (0, 1) for i in (20, 21)]
    firsts = {float(case.inputs.ravel()[0]) for case in cases}
    assert len(firsts) == 4


@pytest.mark.parametrize("index", [0, 4, 6, 7, 20, 21])
def test_giving_the_drawn_output_changes_nothing(index):
    drawn = sampling.draw(DEFAULT, 0, index, "float64")
    given = sampling.draw(Distribution(output=drawn.architecture.output), 0, index, "float64")
    assert same(drawn, given)
    assert drawn.id == given.id


def test_dtypes_share_their_numbers_but_for_rounding():
    wide, narrow = (sampling.draw(DEFAULT, 0, 20, dtype) for dtype in ("float64", "float32"))
    for x, y in zip(numbers(wide), numbers(narrow), strict=True):
        np.testing.assert_array_equal(x.astype(np.float32), y)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values_have_full_mantissas(dtype):
    """The lowest bit of the significand is set in about half of the entries."""
    case = sampling.draw(Distribution((3, 3), (64, 64), (64, 64)), 0, 40, dtype)
    of = FORMATS[dtype]
    for array in numbers(case):
        mantissa, _ = np.frexp(array.astype(np.float64))
        odd = np.ldexp(mantissa, of.digits) % 2 != 0
        assert 0.2 < odd.mean() < 0.8 or array.size < 100


def test_ranges_are_kept_and_reached():
    of = Distribution((2, 4), (2, 9), (3, 5), scales=(1.0, 5.0))
    cases = [sampling.draw(of, 0, i, "float32") for i in range(300)]
    assert {c.architecture.layers for c in cases} == {2, 3, 4}
    assert {n for c in cases for n in c.architecture.widths} == set(range(2, 10))
    assert {c.samples for c in cases} == {3, 4, 5}
    assert {c.scale for c in cases if not c.special} == {1.0, 5.0}


def test_widths_are_log_uniform():
    """Half of the widths in 1 … 64 lie below 8, the middle of the logarithm's range."""
    cases = (sampling.draw(DEFAULT, 0, i, "float32") for i in range(10, 400))
    widths = [n for case in cases for n in case.architecture.widths]
    below = np.mean([n < 8 for n in widths])
    expected = np.log(8) / np.log(65)
    assert abs(below - expected) < 4 * np.sqrt(0.25 / len(widths))


@pytest.mark.parametrize("of", [Distribution(), Distribution(output="sigmoid")])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
class TestSpecials:
    def case(self, of, dtype, name):
        case = sampling.draw(of, 3, INDEX_OF[name], dtype)
        assert case.special == name
        return case

    def test_all_weights_zero(self, of, dtype):
        assert not any(w.any() for w in self.case(of, dtype, "all weights zero").weights)

    def test_width_one(self, of, dtype):
        assert set(self.case(of, dtype, "width 1 everywhere").architecture.widths) == {1}

    def test_no_hidden_layer(self, of, dtype):
        assert self.case(of, dtype, "no hidden layer").architecture.layers == 2

    def test_one_sample(self, of, dtype):
        assert self.case(of, dtype, "one sample").samples == 1

    def test_targets_equal_to_the_output(self, of, dtype):
        """The exact gradient is zero to the last bit, while the last weights are not."""
        case = self.case(of, dtype, "targets equal to the output")
        enclosure = Evidence(case).enclosure
        assert not any(np.any(hi) for hi in enclosure.hi)
        assert case.weights[-1].any()

    def test_wide_narrow_wide(self, of, dtype):
        assert self.case(of, dtype, "wide-narrow-wide").architecture.widths == (64, 1, 64)

    def test_subnormal_inputs(self, of, dtype):
        inputs = np.abs(self.case(of, dtype, "subnormal inputs").inputs.astype(float))
        assert inputs.any()
        assert inputs.max() < FORMATS[dtype].smallest_normal

    def test_saturated(self, of, dtype):
        """40 <= |z| <= 300 for every neuron, layer and sample, from large inputs."""
        for seed in range(5):
            case = sampling.draw(of, seed, INDEX_OF["saturated"], dtype)
            z = np.abs(np.concatenate([z.ravel() for z in float64.evaluate(case).z]))
            assert z.min() >= 40
            assert z.max() <= 300
            assert np.abs(case.inputs).max() > 10


def test_specials_obey_the_ranges_and_are_left_out_by_name():
    of = Distribution((3, 4), (2, 5), (2, 5))
    possible, left_out = sampling.specials(of)
    assert left_out == ["width 1 everywhere", "no hidden layer", "one sample"]
    for index, special in enumerate(possible):
        case = sampling.draw(of, 0, index, "float64")
        assert case.special == special.name
        assert 3 <= case.architecture.layers <= 4
        assert 2 <= min(case.architecture.widths) <= max(case.architecture.widths) <= 5
        assert 2 <= case.samples <= 5


def test_numbers_cannot_be_overwritten():
    case = sampling.draw(DEFAULT, 0, 9, "float64")
    for array in numbers(case):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


def test_layers_are_uniform():
    counts = np.bincount(
        [sampling.draw(DEFAULT, 0, i, "float32").architecture.layers for i in range(8, 408)]
    )[2:]
    assert len(counts) == 5
    assert counts.min() > 80 - 4 * ceil(log2(400))
