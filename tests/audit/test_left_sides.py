"""The oracle's left sides by the definition of the derivative; the rivals by their bound."""

from dataclasses import replace

import numpy as np
import pytest
from flint import arb

from crosscheck.audit import left_sides
from crosscheck.audit.audit import AuditPlan
from crosscheck.audit.judges import bounds
from crosscheck.audit.judges.table import RIVALS, load
from crosscheck.exact import oracle

BITS = 1000
SMALL_STEP = 2.0**-200

CASES = [(8, "identity"), (13, "sigmoid"), (16, "sigmoid"), (17, "identity"), (24, "identity")]


def case_of(index, reading, dtype="float64"):
    return AuditPlan(15, 0, dtype).case(index, reading)


def balls(array):
    return np.vectorize(lambda x: arb(float(x)), otypes=[object])(array)


def network_of(case):
    """The numbers that a left side may be derived by, as object arrays of balls."""
    layers = range(2, case.architecture.layers + 1)
    found = {f"w{l}": balls(case.weights[l - 2]) for l in layers}
    return found | {f"b{l}": balls(case.biases[l - 2]) for l in layers}


def values(case, numbers, taps):
    """a^l, σ(z^l), z^l and the cost by their definitions alone; a tap is added to a^l."""
    a, found = balls(case.inputs), {}
    for l in range(2, case.architecture.layers + 1):
        z = (a + taps.get(f"a{l - 1}", arb(0))) @ numbers[f"w{l}"] + numbers[f"b{l}"]
        s = np.vectorize(lambda x: 1 / (1 + (-x).exp()), otypes=[object])(z)
        linear = case.architecture.activations[l - 2] == "identity"
        a = z if linear else s
        found |= {f"z{l}": z, f"s{l}": s, f"a{l}": a}
    residual = a - balls(case.targets)
    found["cost"] = np.array((residual * residual).sum() / case.samples)
    return found


def quotients(case, source):
    """(f(x + h) - f(x - h)) / 2h for each entry of a source, all f at once: entry, key -> balls."""
    numbers = network_of(case)
    shape = (
        numbers[source].shape
        if source in numbers
        else (case.architecture.widths[int(source[1:]) - 1],)
    )
    for entry in np.ndindex(*shape):
        sides = []
        for step in (SMALL_STEP, -SMALL_STEP):
            moved, taps = dict(numbers), {}
            change = np.full(shape, arb(0), dtype=object)
            change[entry] = arb(step)
            if source in numbers:
                moved[source] = numbers[source] + change
            else:
                taps[source] = change
            sides.append(values(case, moved, taps))
        plus, minus = sides
        yield entry, {key: (plus[key] - minus[key]) / (2 * arb(SMALL_STEP)) for key in plus}


def apart(case, found):
    """The largest |left side - quotient| over everything, as a float."""
    worst = 0.0
    with oracle.working_precision(BITS):
        for key, balls_found in found.items():
            if "/" in key and key.split("/")[0] != key.split("/")[1]:
                worst = max(worst, _apart(key, balls_found, QUOTIENTS(case, key.split("/")[1])))
    return worst


def _apart(key, found, quotients):
    upper = key.split("/")[0]
    index = (slice(None), slice(None)) if upper != "cost" else ()
    return max(
        float(abs(ball).upper())
        for entry, by_key in quotients
        for ball in np.ravel(found[(*index, *entry)] - by_key[upper])
    )


class _Kept:
    """Quotients by case and source, so that each is formed once."""

    def __init__(self):
        self.kept = {}

    def __call__(self, case, source):
        if (case.id, source) not in self.kept:
            self.kept[case.id, source] = list(quotients(case, source))
        return self.kept[case.id, source]


QUOTIENTS = _Kept()


@pytest.mark.parametrize(("index", "reading"), CASES)
def test_left_sides_are_derivatives_by_definition(index, reading):
    """Truncation is about h² = 2^-400 times a third derivative; the radii are 2^-190."""
    case = case_of(index, reading)
    with oracle.working_precision(BITS):
        found = left_sides.ball_left_sides(case)
    assert apart(case, found) < 2.0**-300


def test_a_wrong_left_side_is_not_a_derivative():
    case = case_of(8, "identity")
    with oracle.working_precision(BITS):
        found = left_sides.ball_left_sides(case)
        for key in [key for key in found if key.startswith("a") and "/" in key]:
            if key.split("/")[0] == key.split("/")[1]:
                continue
            wrong = {key: found[key] * (1 + arb(2.0**-100))}
            assert apart(case, wrong) > 2.0**-300


def test_values_are_those_of_the_definitions():
    case = case_of(17, "identity")
    with oracle.working_precision(BITS):
        found, direct = left_sides.ball_left_sides(case), values(case, network_of(case), {})
        for key, array in direct.items():
            assert all(abs(x).upper() < 2.0**-900 for x in np.ravel(found[key] - array))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_stored_numbers_are_as_far_off_as_they_say(dtype):
    case = case_of(12, "sigmoid", dtype)
    for enclosed in left_sides.left_sides(case).values():
        value, error = enclosed.stored(case.format)
        assert value.dtype == case.format.numpy
        off = np.abs((value.astype(float) - enclosed.hi) - enclosed.lo)
        assert (off <= error).all()


# --- the rivals' own bounds ----------------------------------------------------------------------


def beyond(left, facts, limits):
    """The keys at which a left side is farther from the exact one than its bound."""
    found = set()
    for key in facts.keys() & left.keys():
        error = np.abs((left[key].astype(float) - facts[key].hi) - facts[key].lo)
        if (error - facts[key].radius > limits[key]).any():
            found.add(key)
    return found


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", RIVALS)
def test_rivals_keep_to_their_bound(name, dtype):
    judges, absent = load()
    if name in absent:
        pytest.skip(absent[name])
    rival = next(judge for judge in judges if judge.name == name)
    for index in (5, 6, 7, 9) if name.startswith("jax") else range(15):
        for reading in ("identity", "sigmoid"):
            case = case_of(index, reading, dtype)
            facts, left = left_sides.left_sides(case), rival.left_sides(case)
            assert facts.keys() - left.keys() <= {
                "a1",
                f"a{case.architecture.layers}/a{case.architecture.layers}",
            }
            assert all(left[key].dtype == dtype for key in left)
            assert beyond(left, facts, bounds.bounds(case, rival.flushes)) == set()


def test_a_rival_that_computes_in_float32_breaks_the_bound_of_float64():
    case = case_of(8, "sigmoid")
    facts = left_sides.left_sides(case)
    limits = bounds.bounds(case, flushes=False)
    narrow = {key: part.hi.astype(np.float32) for key, part in facts.items() if key in limits}
    found = beyond(narrow, facts, limits)
    assert {key for key in facts if key.startswith("cost/")} <= found
    assert {f"a{case.architecture.layers}/w2", "z2", "a2", "s2"} <= found


def test_jax_refuses_what_it_does_not_know():
    jax_jacobian = pytest.importorskip("crosscheck.audit.judges.jax")
    case = case_of(8, "sigmoid")
    tanh = replace(case, architecture=replace(case.architecture, hidden="tanh"))
    with pytest.raises(ValueError, match="two readings"):
        jax_jacobian.reverse().left_sides(tanh)


def test_threads_do_not_end_each_others_forward_mode():
    """torch's level of forward mode is the process's: without a lock, threads break or mix it."""
    from concurrent.futures import ThreadPoolExecutor

    from crosscheck.audit.judges import torch

    case = case_of(8, "identity")
    alone = torch.forward().left_sides(case)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: torch.forward().left_sides(case), range(40)))
    for sides in found:
        for key, value in sides.items():
            np.testing.assert_array_equal(value, alone[key])
