"""Programs that are kept between calls confirm, and hide nothing."""

import jax.numpy as jnp
import numpy as np
import pytest
import torch

import crosscheck
from crosscheck.programs.frontends import fingerprint, kept


@pytest.fixture(autouse=True)
def _nothing_is_kept():
    kept.forget()
    yield
    kept.forget()


def recalled(report):
    return report.tried[0].trial.recalled


ARRAYS = {
    "torch": lambda x: torch.tensor(x),
    "jax": lambda x: jnp.asarray(x),
}


@pytest.mark.parametrize("framework", ARRAYS)
def test_what_was_read_once_is_not_traced_again_and_says_the_same(framework):
    make = ARRAYS[framework]

    def function(x):
        return (x * x * x).sum()

    first = crosscheck.gradcheck(function, make([1.0, 2.0]))
    again = crosscheck.gradcheck(function, make([3.0, -5.0]))
    assert first.ok
    assert again.ok
    assert not recalled(first)
    assert recalled(again)
    gradient = again.tried[0].modes[0].findings[1]
    assert gradient.exact.tolist() == [27.0, 75.0]


def test_an_array_that_is_closed_over_may_change_between_calls():
    weights = np.array([1.0, 2.0, 3.0])
    right = weights.copy()

    def function(x):
        return np.sum(weights * x)

    def gradient(x):
        return right * 1.0

    # At 0 the value is the same whatever the weights are, so that only the gradient can tell.
    x = np.zeros(3)
    assert crosscheck.gradcheck(function, x, gradient=gradient).ok
    assert recalled(crosscheck.gradcheck(function, x, gradient=gradient))
    weights[1] = 5.0
    report = crosscheck.gradcheck(function, x, gradient=gradient)
    assert set(report.errors["verdict"]) == {"CONSISTENT", "DEFECT"}
    right[1] = 5.0
    assert crosscheck.gradcheck(function, x, gradient=gradient).ok


SCALE = {"of": 2.0}


class Holder:
    def __init__(self, scale):
        self.scale = scale


HOLDER = Holder(2.0)


def _by_global(x):
    return (SCALE["of"] * x).sum()


def _by_attribute(x):
    return (HOLDER.scale * x).sum()


def _inner(x, scale=[2.0]):  # noqa: B006  (a default that changes is what is tried)
    return scale[0] * x


def _by_default_of_another(x):
    return _inner(x).sum()


def _set(scale):
    SCALE["of"] = HOLDER.scale = _inner.__defaults__[0][0] = scale


@pytest.mark.parametrize("function", [_by_global, _by_attribute, _by_default_of_another])
def test_globals_attributes_and_defaults_are_seen(function):
    x = np.zeros(2)
    _set(2.0)
    assert crosscheck.gradcheck(function, x, gradient=lambda x: np.full(2, 2.0)).ok
    _set(3.0)
    try:
        assert not crosscheck.gradcheck(function, x, gradient=lambda x: np.full(2, 2.0)).ok
    finally:
        _set(2.0)


def test_what_cannot_be_looked_into_is_traced_each_time():
    generator = np.random.default_rng(0)
    assert fingerprint.of(lambda x: x * generator.random()) is None
    assert fingerprint.of(lambda x: x * np.sin(x)) is not None


def test_a_change_that_no_fingerprint_shows_is_traced_anew(tmp_path):
    file = tmp_path / "scale"
    file.write_text("2")
    name = str(file)

    def function(x):
        with open(name) as opened:
            return (float(opened.read()) * x).sum()

    x = torch.tensor([1.0, 2.0])
    assert crosscheck.gradcheck(function, x).ok
    file.write_text("3")
    report = crosscheck.gradcheck(function, x)
    assert report.ok
    assert not recalled(report)
    assert report.tried[0].modes[0].findings[1].exact.tolist() == [3.0, 3.0]


class Scaled(torch.nn.Linear):
    def __init__(self, *sizes, **kwargs):
        super().__init__(*sizes, **kwargs)
        self.register_buffer("scale", torch.tensor(2.0, dtype=torch.float64))

    def forward(self, x):
        return self.scale * super().forward(x)


def test_a_module_s_parameters_are_arguments_and_its_buffers_are_not():
    module = Scaled(3, 2, dtype=torch.float64)
    x = torch.randn(4, 3, dtype=torch.float64)
    assert crosscheck.gradcheck(module, x).ok
    with torch.no_grad():
        module.weight.mul_(2.0)
    assert recalled(crosscheck.gradcheck(module, x))
    module.scale.mul_(3.0)
    report = crosscheck.gradcheck(module, x)
    assert report.ok
    assert not recalled(report)


def test_a_wrong_rule_is_as_wrong_the_second_time():
    class Wrong(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, cotangent):
            (x,) = ctx.saved_tensors
            return cotangent * x

    x = torch.tensor([1.0, 2.0], dtype=torch.float64)
    first, again = (
        crosscheck.gradcheck(lambda x: Wrong.apply(x).sum(), x, modes="backward").message()
        for _ in range(2)
    )
    assert "0.5 times the derivative" in first
    assert first == again
