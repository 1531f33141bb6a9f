"""Right engines on numbers far from what is sampled: huge, tiny, and at the edge of overflow."""

import dataclasses
import itertools
import threading
import warnings

import numpy as np
import pytest
from flint import arb, ctx

from crosscheck.arithmetic.formats import FORMATS
from crosscheck.arithmetic.promise import Arithmetic
from crosscheck.bounds import stagewise
from crosscheck.engines import registry
from crosscheck.engines.interface import Unsupported
from crosscheck.exact import certificate, oracle
from crosscheck.networks import sampling
from crosscheck.networks.distribution import Distribution
from crosscheck.networks.network import Architecture, Case, Gradients
from crosscheck.verdicts.evidence import Evidence
from crosscheck.verdicts.verdict import judge


def case_of(dtype, weights, biases, inputs, targets, cost="squared_error"):
    """A case of these numbers, rounded to dtype; the output is linear."""
    number = FORMATS[dtype].numpy
    w, b = (tuple(np.array(x, float).astype(number) for x in part) for part in (weights, biases))
    x, y = (np.array(part, float).astype(number) for part in (inputs, targets))
    widths = (x.shape[1], *(matrix.shape[1] for matrix in w))
    return Case(Architecture(widths, cost=cost), dtype, 0, 0, w, b, x, y)


def verdicts(name, case):
    """What an engine gets on a case, with all checks."""
    engine = registry.load(name)
    stages = engine.stages(case) if hasattr(engine, "stages") else None
    with np.errstate(all="ignore"):
        found = engine.gradients(case)
    return judge(Evidence(case), engine.arithmetic(case.dtype), found, deep=True, stages=stages)


def defects(name, case):
    return [(row["tensor"], row["reason"]) for row in verdicts(name, case) if _defective(row)]


def _defective(row):
    return row["verdict"] == "DEFECT"


@pytest.mark.parametrize("gain", [1000.0, 1e20])
@pytest.mark.parametrize("name", ["paper", "torch.forward", "torch.backward", "paper-contracted"])
def test_a_product_that_underflows_before_a_large_weight_is_no_defect(name, gain):
    """a σ′ of a tiny input is rounded to a whole multiple of η, and a later layer enlarges that."""
    tiny = 3 * FORMATS["float32"].smallest_subnormal
    weights = [[[0.5]], [[gain]]]
    assert not defects(name, case_of("float32", weights, [[0.3], [0.0]], [[tiny]], [[0.0]]))
    deeper = [[[0.5]], [[1.5]], [[gain]]]
    assert not defects(name, case_of("float32", deeper, [[0.3], [0.0], [0.0]], [[tiny]], [[0.0]]))


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("name", sorted(set(registry.NAMES) - {"paper-printed"}))
def test_subnormal_operands_of_large_products_are_no_defect(name, dtype):
    """Inputs below the smallest normal number, and weights that lift them: 32 samples, 32 wide.

    Processors' instructions for bfloat16 read them as zero, from some size of a product on.
    """
    of = FORMATS[dtype]
    rng = np.random.default_rng(0)
    inputs = rng.uniform(0.25, 1, (32, 32)) * of.smallest_normal
    gain = 2.0 ** min(60, int(np.log2(of.largest)) // 2)
    weights = [rng.uniform(0.5, 1, (32, 32)) * gain, rng.uniform(0.5, 1, (32, 4)) * gain]
    case = case_of(dtype, weights, [np.zeros(32), np.zeros(4)], inputs, np.zeros((32, 4)))
    case = dataclasses.replace(case, architecture=Architecture((32, 32, 4), hidden="identity"))
    if supported(name, case):
        assert not defects(name, case)


def supported(name, case):
    """Whether there is such an engine here and it takes the case."""
    try:
        engine = registry.load(name)
    except Unsupported:
        return False
    return engine.supports(case.architecture, case.dtype)


@pytest.mark.parametrize("name", ["paper", "paper-contracted", "torch.backward"])
def test_a_gradient_that_overflows_is_undecided_in_every_order(name):
    """Inputs of 15,000 and residuals of 20: float16 cannot hold the gradient by the weights."""
    rng = np.random.default_rng(0)
    weights = [rng.standard_normal((4, 3)) * 1e-5, rng.standard_normal((3, 2))]
    inputs, targets = rng.uniform(1e4, 2e4, (16, 4)), np.full((16, 2), -20.0)
    case = case_of("float16", weights, [[0.1] * 3, [0.1] * 2], inputs, targets)
    assert {row["reason"][:8] for row in verdicts(name, case)} == {"overflow"}


def test_a_tangent_that_overflows_before_a_slope_of_zero_is_undecided():
    """∞ × 0 is no number: an input of 3000 times a weight of 30 is ∞ before relu's slope."""
    weights, zero = [[[1e-3]], [[-30.0]], [[1.0]]], [[0.0], [0.0], [0.0]]
    case = case_of("float16", weights, zero, [[3000.0]], [[1.0]])
    relu = dataclasses.replace(case.architecture, hidden="relu")
    case = dataclasses.replace(case, architecture=relu)
    assert Evidence(case).bound(Arithmetic("float16", "forward")).overflow == "tangent of z3"
    assert Evidence(case).bound(Arithmetic("float16")).overflow is None


def test_a_mean_over_all_entries_may_be_divided_last_and_overflow():
    """δ of the sum of 1024 squares passes float16's largest number, δ of their mean does not."""
    weights = [np.full((4, 3), 0.1), np.full((3, 64), 200.0)]
    inputs, zero = np.ones((16, 4)), [np.zeros(3), np.zeros(64)]
    case = case_of("float16", weights, zero, inputs, np.ones((16, 64)), "mean_squared_error")
    outputs = Evidence(case).trace.activations[-1]
    case = case_of("float16", weights, zero, inputs, outputs - 4, "mean_squared_error")

    a = 1 / (1 + np.exp(-(case.inputs @ case.weights[0])))
    delta = 2 * (a @ case.weights[1] - case.targets)
    count = np.float16(delta.size)
    with np.errstate(over="ignore", invalid="ignore"):
        hidden = (delta @ case.weights[1].T) * (a * (1 - a))
        found = Gradients(
            None,
            [case.inputs.T @ hidden / count, a.T @ delta / count],
            [hidden.sum(0) / count, delta.sum(0) / count],
        )
    assert not np.isfinite(found.weights[0]).all()
    rows = judge(Evidence(case), Arithmetic("float16"), found)
    assert {row["verdict"] for row in rows} == {"INCONCLUSIVE"}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_wider_accumulator_is_no_promise_for_sums_over_samples(dtype):
    """JAX adds up biases' gradients in the storage type; the stages must not ask for more."""
    engine = registry.load("jax.grad")
    wide = dataclasses.replace(engine.arithmetic(dtype), accumulate="float32")
    for index in range(8, 16):
        nets = Distribution((2, 3), (1, 16), (40, 64), "identity")
        case = sampling.draw(nets, 3, index, dtype)
        checks = stagewise.checks(case, engine.stages(case), wide)
        assert not [check.sentence for check in checks if check.broken]


@pytest.mark.parametrize("large", [1e300, 1e306])
@pytest.mark.parametrize("swapped", [False, True])
def test_operands_too_large_to_split_break_no_stage(large, swapped):
    rng = np.random.default_rng(0)
    of_inputs, of_weights = (1 / large, large) if swapped else (large, 0.1 / large)
    weights = [rng.standard_normal((4, 3)) * of_weights, rng.standard_normal((3, 2))]
    inputs, targets = rng.standard_normal((5, 4)) * of_inputs, rng.standard_normal((5, 2)) * 1e-2
    case = case_of("float64", weights, [[0.1] * 3, [0.1] * 2], inputs, targets)
    for name in ("torch.backward", "paper-contracted"):
        assert not defects(name, case)


def test_what_is_no_number_breaks_a_stage_all_the_same():
    case = sampling.draw(Distribution((3, 3), (4, 4), (4, 4)), 0, 9, "float64")
    shown = dict(registry.load("paper-contracted").stages(case))
    shown["z3"] = np.full_like(shown["z3"], np.nan)
    broken = [c.stage for c in stagewise.checks(case, shown, Arithmetic("float64")) if c.broken]
    assert broken[0] == "z3"


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_an_overflow_throughout_warns_of_nothing(dtype):
    """Where errors and bounds are all ∞ there is no ratio, and that is no news."""
    largest = FORMATS[dtype].largest
    weights, zero = [np.ones((4, 3)), np.ones((3, 2))], [np.zeros(3), np.zeros(2)]
    inputs, targets = np.full((5, 4), 0.9 * largest), np.full((5, 2), -0.9 * largest)
    case = case_of(dtype, weights, zero, inputs, targets)
    for name in ("paper", "paper-contracted"):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert {row["verdict"] for row in verdicts(name, case)} == {"INCONCLUSIVE"}


def test_squares_that_underflow_beside_large_partners_raise_no_suspicion():
    """Inputs of 1e-235 against δ of 1e128: the ℓ2 bound knows the product, not its roundings."""
    rng = np.random.default_rng(0)
    nets = (17, 14, 5, 6)
    weights = [rng.standard_normal(shape) for shape in itertools.pairwise(nets)]
    biases = [np.full(14, 1e135), np.zeros(5), np.zeros(6)]
    inputs, targets = rng.standard_normal((15, 17)) * 1e-235, rng.standard_normal((15, 6))
    case = dataclasses.replace(
        case_of("float64", weights, biases, inputs, targets),
        architecture=Architecture(nets, "identity", "identity"),
    )
    for name in ("torch.backward", "torch.forward"):
        assert "SUSPECT" not in {row["verdict"] for row in verdicts(name, case)}


@pytest.mark.parametrize("large", [1e25, 1e100])
def test_a_difference_quotient_with_too_long_a_step_condemns_nobody(large):
    """The cost's third derivative is 1e200 times its first, which no fixed step foresees."""
    rng = np.random.default_rng(0)
    weights = [rng.standard_normal((3, 2)) / large, rng.standard_normal((2, 2))]
    inputs, targets = rng.standard_normal((4, 3)) * large, rng.standard_normal((4, 2))
    case = case_of("float64", weights, [[0.1] * 2] * 2, inputs, targets)
    assert certificate.certify(case).verdict == "certified"

    found = oracle.gradient(oracle.BallNetwork.of(case))
    wrong = [found.weights[0] * (1 + arb(2) ** -40), found.weights[1]]
    spoiled = dataclasses.replace(found, weights=wrong)
    assert certificate.certify(case, gradient=spoiled).failed == ["w2"]


def test_two_threads_do_not_mix_their_precisions():
    """The first to leave would put back the precision of neither, while the second computes."""
    before, seen = ctx.prec, []
    second_runs, first_left = threading.Event(), threading.Event()

    def second():
        second_runs.set()
        with oracle.working_precision(200):
            first_left.wait(10)
            seen.append(ctx.prec)

    with oracle.working_precision(100):
        thread = threading.Thread(target=second)
        thread.start()
        second_runs.wait(10)
        thread.join(0.1)
        seen.append(ctx.prec)
    first_left.set()
    thread.join(10)
    assert seen == [100, 200]
    assert ctx.prec == before


def test_a_mean_taken_by_scaling_subnormal_activations():
    """(a / D)ᵀ (D δ) in float16: a / D underflows, and the unscaled δ enlarges what is lost."""
    case = sampling.draw(Distribution((2, 2), (4, 4), (33, 33), "identity"), 0, 20, "float16")
    tiny = (np.arange(1, 133).reshape(33, 4) * 2.0**-24).astype(np.float16)
    case = dataclasses.replace(case, inputs=tiny)
    half = np.float16
    residual = (tiny @ case.weights[0] + case.biases[0] - case.targets) * half(2)
    by_weight = (tiny / half(33)).T.astype(np.float64) @ residual.astype(np.float64)
    by_bias = residual.astype(np.float64).sum(0) / 33
    found = Gradients(None, [by_weight.astype(half)], [by_bias.astype(half)])
    verdicts = {row["verdict"] for row in judge(Evidence(case), Arithmetic("float16"), found)}
    assert "DEFECT" not in verdicts
