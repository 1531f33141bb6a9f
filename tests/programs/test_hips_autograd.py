"""HIPS autograd's own differentiation, and a gradient that calls it, on trial."""

# ruff: noqa: E402

import numpy as np
import pytest

autograd = pytest.importorskip("autograd")
anp = pytest.importorskip("autograd.numpy")

from crosscheck.programs.frontends.frameworks import framework_of
from crosscheck.programs.frontends.numpy.subject import subject
from crosscheck.programs.program import Unreadable
from crosscheck.programs.trial.trial import Trial


def _net(params, x):
    h = anp.tanh(anp.dot(x, params["w"]) + params["b"])
    return anp.sum(anp.log(anp.sum(anp.exp(h[:, :2]), axis=1))) + anp.mean(h[0] * h[1])


def _layer_norm(x, gain):
    centred = x - anp.mean(x, axis=1, keepdims=True)
    return gain * centred / anp.sqrt(anp.var(x, axis=1, keepdims=True) + 1e-5)


def _choices(x):
    return anp.where(x > 0, anp.maximum(x, 0.5) ** 2, anp.abs(x)) + anp.max(x) * anp.sort(x)


def _products(x, w):
    return anp.sum(anp.matmul(x, w) ** 2) + anp.linalg.norm(anp.concatenate([w, x.T], axis=1))


def _arguments(*shapes):
    rng = np.random.default_rng(0)
    return tuple(rng.normal(size=shape) for shape in shapes)


CASES = {
    "net": (_net, ({"w": _arguments((4, 3))[0], "b": np.ones(3)}, *_arguments((5, 4)))),
    "layer norm": (_layer_norm, _arguments((3, 5), (5,))),
    "choices": (_choices, _arguments((6,))),
    "products": (_products, _arguments((3, 4), (4, 2))),
}


@pytest.mark.parametrize("name", CASES)
def test_autograd_is_right_and_read_to_the_last_operation(name):
    function, args = CASES[name]
    assert framework_of(function, args, {}) == "autograd"
    trial = subject(function, args)
    judged = Trial(trial).judge("reverse")
    assert not judged.notes
    assert {one.rule for one in judged.findings} == {"same"}
    assert {one.verdict for one in judged.findings} == {"CONSISTENT"}


def test_a_gradient_may_call_autograd():
    function, args = CASES["net"]
    both = autograd.grad(function, (0, 1))
    judged = Trial(subject(function, args, gradient=both)).judge("gradient")
    assert {one.verdict for one in judged.findings} == {"CONSISTENT"}


def test_a_wrong_rule_of_a_primitive_is_seen():
    @autograd.extend.primitive
    def cube(x):
        return x**3

    autograd.extend.defvjp(cube, lambda ans, x: lambda g: g * 2 * x**2)
    judged = Trial(subject(lambda x: anp.sum(cube(x)), _arguments((4,)))).judge("reverse")
    assert [one.verdict for one in judged.findings] == ["CONSISTENT", "DEFECT"]
    assert judged.findings[1].times == pytest.approx(2 / 3)


def test_a_container_is_not_for_autograd():
    trial = subject(lambda x: {"loss": anp.sum(x)}, _arguments((4,)))
    with pytest.raises(Unreadable, match="return one array"):
        trial.rule("reverse")
