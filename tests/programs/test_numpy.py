"""Gradients written by hand in NumPy: right ones pass, wrong ones are seen, others say why not."""

import dataclasses

import numpy as np
import pytest
from support.zoo.numpy import ZOO

from crosscheck.programs.errors import analyse
from crosscheck.programs.evaluate import evaluate
from crosscheck.programs.frontends.numpy.subject import owns, subject
from crosscheck.programs.program import Unreadable
from crosscheck.programs.trial import judge
from crosscheck.programs.trial.stages import replay, wrong_rules
from crosscheck.programs.trial.trial import Trial


def _subject(name, dtype, seed=0, gradient=None):
    entry = ZOO[name]
    arguments = entry.make(np.random.default_rng(seed), dtype)
    return subject(entry.function, arguments, gradient=gradient or entry.gradient)


def _given(trial):
    return [np.ones(leaf.shape, leaf.format) for leaf in trial.outputs]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", ZOO)
def test_right_gradients_are_the_exact_ones_within_the_bound_of_their_own_program(name, dtype):
    trial = _subject(name, dtype)
    judged = Trial(trial).judge("gradient")
    assert not judged.notes
    assert [one.rule for one in judged.findings] == [judge.SAME] * len(judged.findings)
    assert {one.verdict for one in judged.findings} == {"CONSISTENT"}


@pytest.mark.parametrize("name", ZOO)
def test_the_primal_gives_the_function_within_its_bound(name):
    trial = _subject(name, np.float64, seed=1)
    program = trial.primal()
    values = evaluate(program, trial.arrays)
    errors = analyse(program, values, trial.promise("gradient"))
    expected = trial.numbers("gradient", _given(trial)).values
    for number, right in zip(program.outputs, expected, strict=True):
        bound = 0.0 if errors[number] is None else 2 * errors[number]
        assert np.all(np.abs(values[number] - right) <= bound)


@pytest.mark.parametrize("name", ["relu net", "layer norm", "lstm", "log-space recursion"])
def test_the_recorded_values_are_those_of_every_operation(name):
    trial = _subject(name, np.float32)
    given, rule = _given(trial), trial.rule("gradient")
    own = trial.replay("gradient", given)
    shown = replay(rule, [*trial.arrays, *given], own, trial.promise("gradient"))
    assert shown.wrong is None
    assert len(own) > 0.5 * len(rule)
    derivatives = trial.numbers("gradient", given).derivatives
    for number, right in zip(rule.outputs[len(given) :], derivatives, strict=True):
        assert np.array_equal(own[number], right)


def test_a_value_that_is_off_is_named_with_its_line():
    trial = _subject("layer norm", np.float32)
    given, rule = _given(trial), trial.rule("gradient")
    own = dict(trial.replay("gradient", given))
    place = next(n for n in own if rule.operations[n].primitive == "sqrt")
    own[place] = own[place] * np.float32(1 + 1e-5)
    wrong = replay(rule, [*trial.arrays, *given], own, trial.promise("gradient")).wrong
    assert wrong.name == "sqrt"
    assert "zoo/numpy.py:" in wrong.source


def _scaled(gradient, factor):
    def wrong(*args):
        given = gradient(*args)
        return tuple(factor * g for g in given) if isinstance(given, tuple) else factor * given

    return wrong


def _without_mean_terms(x, gain, bias, cotangent):
    std = np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    hat = (x - x.mean(-1, keepdims=True)) / std
    return cotangent * gain / std, (cotangent * hat).sum(0), cotangent.sum(0)


def _without_eps(x, gain, bias, cotangent):
    std = np.sqrt(x.var(-1, keepdims=True))
    hat = (x - x.mean(-1, keepdims=True)) / std
    d = cotangent * gain
    dx = (d - d.mean(-1, keepdims=True) - hat * (d * hat).mean(-1, keepdims=True)) / std
    return dx, (cotangent * hat).sum(0), cotangent.sum(0)


def _one_entry(x, cotangent):
    g = ZOO["silu"].gradient(x, cotangent)
    g[2] *= 1 + 1e-9
    return g


WRONG = {
    "factor": ("rosenbrock", lambda x: 0.5 * ZOO["rosenbrock"].gradient(x)),
    "sign": ("silu", lambda x, c: -ZOO["silu"].gradient(x, c)),
    "missing terms": ("layer norm", _without_mean_terms),
    "missing eps": ("layer norm", _without_eps),
    "one entry": ("silu", _one_entry),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_wrong_gradients_are_other_derivatives_and_named_with_their_line(mistake):
    name, gradient = WRONG[mistake]
    trial = _subject(name, np.float64, gradient=gradient)
    judged = Trial(trial).judge("gradient")
    assert "DEFECT" in {one.verdict for one in judged.findings}
    assert judge.WRONG in {one.rule for one in judged.findings}
    (wrong,) = wrong_rules(trial.custom_rules())
    assert "test_numpy.py:" in wrong.source
    assert wrong.name == gradient.__name__


def test_a_gradient_that_cannot_be_read_is_held_to_the_function_alone():
    def opaque(x):
        return np.array(ZOO["rosenbrock"].gradient(x))

    trial = _subject("rosenbrock", np.float64, gradient=opaque)
    with pytest.raises(Unreadable, match=r"np\.array"):
        trial.rule("gradient")
    judged = Trial(trial).judge("gradient")
    assert "np.array" in judged.notes[0]
    assert {one.verdict for one in judged.findings} == {"CONSISTENT"}


@dataclasses.dataclass
class Model:
    weight: np.ndarray
    bias: np.ndarray


def _linear(model, x, *, power=2.0):
    return {"loss": np.sum((x @ model.weight + model.bias) ** power), "count": 3}


def _linear_gradient(model, x, cotangent, *, power=2.0):
    d = cotangent["loss"] * power * (x @ model.weight + model.bias)
    return Model(x.T @ d, d.sum(0)), d @ model.weight.T


def test_leaves_are_named_by_their_paths_and_chosen_by_them():
    rng = np.random.default_rng(0)
    args = Model(rng.normal(size=(3, 2)), np.zeros(2)), rng.normal(size=(4, 3))
    trial = subject(_linear, args, gradient=_linear_gradient)
    assert [leaf.path for leaf in trial.inputs] == ["model.weight", "model.bias", "args[1]"]
    assert [leaf.path for leaf in trial.outputs] == ["value['loss']"]
    judged = Trial(trial).judge("gradient")
    assert {one.verdict for one in judged.findings} == {"CONSISTENT"}
    weight = subject(
        _linear, args, gradient=lambda *a: _linear_gradient(*a)[0].weight, wrt="model.weight"
    )
    assert weight.wrt == (0,)
    judged = Trial(weight).judge("gradient")
    assert judged.message == ""
    assert {one.verdict for one in judged.findings} == {"CONSISTENT"}


def test_python_numbers_are_inputs_where_there_is_no_array():
    def banana(x, y):
        return (1 - x) ** 2 + 100 * (y - x**2) ** 2

    def gradient(x, y):
        return -2 * (1 - x) - 400 * x * (y - x**2), 200 * (y - x**2)

    trial = subject(banana, [1.2, 1.0], gradient=gradient)
    assert [leaf.path for leaf in trial.inputs] == ["args[0]", "args[1]"]
    judged = Trial(trial).judge("gradient")
    assert {one.verdict for one in judged.findings} == {"CONSISTENT"}


BAD = {
    "no float": ({"args": [np.arange(3)]}, "no argument is a floating array"),
    "nothing returned": ({"function": lambda x: None}, "has to return a floating array"),
    "too few": (
        {"args": [np.ones(3), np.ones(3)], "function": lambda x, y: x @ y},
        "returned 1 arrays, and has to return 2",
    ),
    "shape": ({"gradient": lambda x: x[:2]}, r"has shape \(2,\), the argument \(3,\)"),
    "whole numbers": ({"gradient": lambda x: np.arange(3)}, "has to be floating"),
}


def _computed(function, args, gradient):
    trial = subject(function, args, gradient=gradient)
    return trial.numbers("gradient", [np.ones(leaf.shape) for leaf in trial.outputs])


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_is_one_sentence(name):
    asked, words = BAD[name]
    given = {"function": lambda x: x @ x, "args": [np.ones(3)], "gradient": lambda x, *_: 2 * x}
    given |= asked
    with pytest.raises((TypeError, ValueError), match=words):
        _computed(**given)


def test_arrays_of_other_frameworks_are_not_owned():
    assert owns([np.ones(3), 2])
    assert owns([1.5])
    assert not owns([object()])
