"""Networks judged through their programs: every activation and cost, right and wrong gradients."""

import runpy
from pathlib import Path

import numpy as np
import pytest

import crosscheck
from crosscheck.arithmetic.activations import ACTIVATIONS
from crosscheck.arithmetic.costs import COSTS
from crosscheck.arithmetic.promise import Arithmetic
from crosscheck.bounds import float64, orders
from crosscheck.exact import oracle
from crosscheck.exact.enclosure import first_disagreement
from crosscheck.networks import sampling
from crosscheck.networks.distribution import Distribution
from crosscheck.networks.network import Architecture, Case
from crosscheck.programs.evaluate import enclose
from crosscheck.programs.network import NetworkPrograms, gradient_program
from crosscheck.programs.program import Program
from crosscheck.runs import evaluate
from crosscheck.runs.plan import Plan

SMALL = {"layers": (2, 4), "widths": (1, 5), "samples": (1, 5)}
HIDDEN = [name for name, entry in ACTIVATIONS.items() if not entry.output_only]
PAIRS = [
    (output, cost)
    for cost, entry in COSTS.items()
    for output in entry.outputs or ("identity", "softmax", "softplus")
]
FAMILY = [
    *((hidden, "softmax", "cross_entropy") for hidden in HIDDEN),
    *(("tanh", output, cost) for output, cost in PAIRS),
]


def of(hidden, output, cost, **more):
    return Distribution(hidden=hidden, output=output, cost=cost, **{**SMALL, **more})


# The programs


@pytest.mark.parametrize(("hidden", "output", "cost"), FAMILY)
def test_ways_of_writing_a_thing_are_equal_and_the_gradient_is_that_of_the_cost(
    hidden, output, cost
):
    """In exact arithmetic: backpropagation in each way against the derivative of the cost."""
    case = sampling.draw(of(hidden, output, cost, scales=(1.0,), layers=3), 0, 9, "float64")
    programs = NetworkPrograms(case)
    wide = gradient_program(case, wide=True)
    ways = [op.operands for op in wide.operations if op.primitive == "either"]
    asked = Program(wide.operations, wide.inputs, tuple(x for way in ways for x in way))
    balls = iter(enclose(asked, programs.inputs, 300, literals=True))
    for way in ways:
        first, *others = [next(balls).reshape(-1) for _ in way]
        for other in others:
            assert all(a.overlaps(b) for a, b in zip(first, other, strict=True))
    written = enclose(wide, programs.inputs, 300, literals=True)
    derivative = enclose(programs._derivative, [*programs.inputs, np.ones(())], 300)[1:]
    for one, other in zip(written, derivative, strict=True):
        assert all(a.overlaps(b) for a, b in zip(one.reshape(-1), other.reshape(-1), strict=True))


@pytest.mark.parametrize("hidden", ["sigmoid", "tanh", "relu"])
def test_what_the_quick_path_knows_is_the_same_through_programs(hidden):
    """The exact gradient is the oracle's, and the bounds are of like size."""
    for index in range(8, 14):
        case = sampling.draw(of(hidden, "sigmoid", "squared_error"), 0, index, "float64")
        promised = Arithmetic("float64")
        quick = orders.for_order(case, float64.evaluate(case), promised)
        narrow = NetworkPrograms(case).bound(promised, wide=False)
        exact = NetworkPrograms(case).enclosure(narrow.tensors)
        assert first_disagreement(exact, oracle.enclose(case)) is None
        there = (quick.tensors.flat > 0) & (narrow.tensors.flat > 0)
        share = narrow.tensors.flat[there] / quick.tensors.flat[there]
        assert 0.05 < np.median(share) < 5


# Engines


def defects(engines, dtypes, cases, distribution):
    plan = Plan(engines, dtypes, cases, 1, distribution)
    frames = evaluate.run(plan, evaluate.muster(engines))
    assert set(frames.cases["status"]) == {"ok"}, frames.cases["message"].unique()
    errors = frames.errors
    assert (errors["verdict"] == "CONSISTENT").mean() > 0.5
    return errors[errors["verdict"] == "DEFECT"]


@pytest.mark.parametrize(("hidden", "output", "cost"), FAMILY[::3])
def test_torch_has_no_defect(hidden, output, cost):
    pytest.importorskip("torch")
    found = defects(("torch.backward",), ("float32", "float64"), 8, of(hidden, output, cost))
    assert found.empty


def test_the_slope_of_hardsigmoid_in_torch_is_rounded_to_float32():
    """In plain torch; so the engine takes relu6, and has no defect."""
    torch = pytest.importorskip("torch")
    z = torch.tensor([0.5], dtype=torch.float64, requires_grad=True)
    torch.nn.functional.hardsigmoid(z).backward()
    assert z.grad.item() == float(np.float32(1 / 6)) != 1 / 6
    one = of("hardsigmoid", "identity", "mean_absolute_error", l2=0.01)
    assert defects(("torch.backward",), ("float64",), 8, one).empty


@pytest.mark.parametrize(("hidden", "output", "cost"), [FAMILY[5], FAMILY[-1]])
def test_jax_has_no_defect(hidden, output, cost):
    pytest.importorskip("jax")
    found = defects(("jax.grad",), ("float32",), 3, of(hidden, output, cost))
    assert found.empty


@pytest.mark.slow
@pytest.mark.parametrize(("hidden", "output", "cost"), FAMILY)
def test_no_engine_has_a_defect(hidden, output, cost):
    engines = ("torch.backward", "jax.grad")
    found = defects(engines, ("float32", "float64"), 10, of(hidden, output, cost, l2=0.01))
    assert found.empty


# Gradients by hand


def slopes(name):
    """σ and two ways of σ′, from z and a."""
    sigmoid = ACTIVATIONS["sigmoid"].plain
    return {
        "relu": (lambda z, a: z > 0, lambda z, a: a > 0),
        "tanh": (lambda z, a: 1 - a * a, lambda z, a: 1 / np.cosh(z) ** 2),
        "sigmoid": (lambda z, a: a * (1 - a), lambda z, a: sigmoid(z) * sigmoid(-z)),
        "elu": (
            lambda z, a: np.where(z > 0, 1, a + 1).astype(z.dtype),
            lambda z, a: np.exp(np.minimum(z, 0)),
        ),
        "silu": (
            lambda z, a: sigmoid(z) + a * (1 - sigmoid(z)),
            lambda z, a: sigmoid(z) * (1 + z * (1 - sigmoid(z))),
        ),
        "softplus": (lambda z, a: sigmoid(z), lambda z, a: 1 - np.exp(-a)),
        "softsign": (lambda z, a: (1 - np.abs(a)) ** 2, lambda z, a: 1 / (1 + np.abs(z)) ** 2),
    }[name]


def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def fused(z, y):
    return (softmax(z) - y) / len(z)


def through_jacobian(z, y):
    """-y/p pulled through p_i (δ_ij - p_j)."""
    p = softmax(z)
    with np.errstate(all="ignore"):
        g = -y / p / len(z)
        return p * (g - (p * g).sum(1, keepdims=True))


def without_off_diagonal(z, y):
    p = softmax(z)
    return -y / p * p * (1 - p) / len(z)


def slope_left_in(z, y):
    p = softmax(z)
    return (p - y) * p * (1 - p) / len(z)


def sum_for_mean(z, y):
    return softmax(z) - y


def by_hand(name="relu", delta=fused, which=0, slope=None, l2=0.0, l2_biases=0.0):
    """Backpropagation of hidden layers of this activation; `slope` in the place of σ′."""
    plain, taken = ACTIVATIONS[name].plain, slope or slopes(name)[which]

    def gradient(weights, biases, inputs, targets):
        a, zs = [inputs], []
        biases = biases or [0 * w[0] for w in weights]
        for w, b in zip(weights, biases, strict=True):
            zs.append(a[-1] @ w + b)
            a.append(plain(zs[-1]))
        d, by_weight, by_bias = delta(zs[-1], targets), [], []
        for k in range(len(weights) - 1, -1, -1):
            by_weight.insert(0, a[k].T @ d + weights[k].dtype.type(l2) * weights[k])
            by_bias.insert(0, d.sum(0) + biases[k].dtype.type(l2_biases) * biases[k])
            if k:
                d = (d @ weights[k].T) * taken(zs[k - 1], a[k])
        return by_weight, by_bias

    return gradient


def checked(gradient, hidden="relu", dtype="float64", cases=12, **more):
    named = {"output": "softmax", "cost": "cross_entropy", **SMALL, **more}
    return crosscheck.check(gradient, hidden=hidden, cases=cases, dtype=dtype, **named)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("name", ["relu", "tanh", "sigmoid", "elu", "silu", "softplus", "softsign"])
def test_a_right_gradient_is_right_in_both_ways(name, which, dtype):
    delta = (fused, through_jacobian)[which]
    report = checked(by_hand(name, delta, which), name, dtype)
    assert report.ok, report.message()


WRONG = {
    "softmax without its off-diagonal part": by_hand(delta=without_off_diagonal),
    "σ′ left in": by_hand(delta=slope_left_in),
    "sum for mean": by_hand(delta=sum_for_mean),
    "the mask >= for >, taken from a": by_hand(slope=lambda z, a: a >= 0),
    "no mask": by_hand(slope=lambda z, a: 1),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_a_wrong_gradient_is_refused(mistake):
    report = checked(WRONG[mistake], outputs=3, samples=(2, 5), layers=(3, 4))
    assert (report.errors["verdict"] == "DEFECT").any()


def test_the_wrong_form_of_gelu_is_refused():
    def slope(name):
        def taken(z, a):
            h = 1e-6
            plain = ACTIVATIONS[name].plain
            return (plain(z + h) - plain(z - h)) / (2 * h)

        return taken

    mistaken = by_hand("gelu", slope=slope("gelu_tanh"))
    assert (checked(mistaken, "gelu").errors["verdict"] == "DEFECT").any()


PENALTIES = {
    "right": (0.1, 0.0, True),
    "none": (0.0, 0.0, False),
    "½": (0.05, 0.0, False),
    "2": (0.2, 0.0, False),
    "on biases": (0.1, 0.1, False),
}


@pytest.mark.parametrize("what", PENALTIES)
def test_a_penalty_is_held_to_its_factor_and_its_tensors(what):
    l2, l2_biases, right = PENALTIES[what]
    report = checked(by_hand(l2=l2, l2_biases=l2_biases), l2=0.1)
    assert report.ok == right, report.message()


def test_a_penalty_of_the_biases_too():
    right, wrong = (by_hand(l2=0.1, l2_biases=of_biases) for of_biases in (0.1, 0.0))
    assert checked(right, l2=0.1, l2_biases=True).ok
    assert not checked(wrong, l2=0.1, l2_biases=True).ok


# Shapes


def test_without_biases_the_weights_gradients_alone_are_returned():
    plain = by_hand()
    assert checked(lambda *numbers: plain(*numbers)[0], biases=False).ok
    assert checked(lambda *numbers: (plain(*numbers)[0], []), biases=False).ok
    report = checked(plain, biases=False)
    assert not report.ok
    assert "expected none" in report.message()


@pytest.mark.parametrize("fixed", [{"architecture": (2, 2, 1)}, {"widths": (2, 2, 1)}])
def test_an_architecture_fixes_all_widths(fixed):
    seen = set()

    def gradient(weights, biases, inputs, targets):
        seen.add((*(len(w) for w in weights), weights[-1].shape[1]))
        return by_hand()(weights, biases, inputs, targets)

    named = {"hidden": "relu", "output": "identity", "cost": "cross_entropy_with_logits"}
    assert crosscheck.check(gradient, cases=12, samples=(1, 4), **named, **fixed).ok
    assert seen == {(2, 2, 1)}


def test_a_function_of_one_depth_is_told_how_to_ask_for_it():
    def gradient(weights, biases, inputs, targets):
        _, _ = weights
        return by_hand()(weights, biases, inputs, targets)

    report = checked(gradient)
    assert "it took networks of N = 3 layers" in report.message()
    assert "pass layers=3" in report.message()
    assert checked(gradient, layers=3).ok


def test_outputs_fix_the_last_width():
    drawn = [sampling.draw(Distribution(outputs=3), 0, i, "float64") for i in range(30)]
    assert {case.architecture.widths[-1] for case in drawn} == {3}
    assert len({case.architecture.widths for case in drawn}) > 20


# Targets


def test_targets_are_what_the_cost_means():
    labels = sampling.draw(of("relu", "softmax", "cross_entropy"), 0, 9, "float32").targets
    assert set(labels.ravel()) <= {0.0, 1.0}
    assert np.all(labels.sum(1) == 1)
    bits = sampling.draw(of("relu", "sigmoid", "binary_cross_entropy"), 0, 9, "float32").targets
    assert np.all((bits > 0) & (bits < 1))


@pytest.mark.parametrize(
    ("output", "cost"), [("softmax", "cross_entropy"), ("sigmoid", "binary_cross_entropy")]
)
def test_targets_that_do_not_fit_are_refused(output, cost):
    numbers = [np.ones((1, 2))], [np.zeros(2)], np.ones((1, 1)), np.full((1, 2), 1.5)
    with pytest.raises(ValueError, match="targets do not fit"):
        Case(Architecture((1, 2), "relu", output, cost), "float64", 0, 0, *numbers)


def test_the_net_of_a_course_is_right():
    path = Path(__file__).parents[2] / "examples" / "course_net.py"
    example = runpy.run_path(str(path))
    report = checked(example["gradient"], l2=example["L2"], layers=3)
    assert report.ok, report.message()
