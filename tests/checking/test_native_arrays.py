"""check() of functions that speak torch or JAX: worked examples of both."""

import numpy as np
import pytest

import crosscheck

torch = pytest.importorskip("torch")
jax = pytest.importorskip("jax")
jnp = jax.numpy

QUICK = {"cases": 15, "widths": (1, 6), "samples": (1, 6), "output": "sigmoid"}

TRACED = {**QUICK, "cases": 10, "layers": (2, 3), "widths": (2, 3), "samples": (2, 3)}
"""JAX compiles each operation for each shape anew."""


class Sigmoid(torch.autograd.Function):
    """A hand-written σ for torch: backward is what is under test."""

    @staticmethod
    def forward(ctx, z):
        a = torch.sigmoid(z)
        ctx.save_for_backward(a)
        return a

    @staticmethod
    def backward(ctx, grad):
        (a,) = ctx.saved_tensors
        return grad * a * (1 - a)


class Forgotten(Sigmoid):
    """The same without σ′."""

    @staticmethod
    def backward(ctx, grad):
        return grad


def with_torch(sigma):
    """The gradient by torch's autograd with this activation."""

    def gradient(weights, biases, inputs, targets):
        parameters = [p.requires_grad_() for p in (*weights, *biases)]
        a = inputs
        for w, b in zip(weights, biases, strict=True):
            a = sigma(a @ w + b)
        ((a - targets) ** 2).sum(1).mean().backward()
        grads = [p.grad for p in parameters]
        return grads[: len(weights)], grads[len(weights) :]

    return gradient


@jax.custom_vjp
def sigmoid(z):
    """A hand-written σ for JAX: its vjp is what is under test."""
    return jax.nn.sigmoid(z)


def _forward(z):
    a = jax.nn.sigmoid(z)
    return a, a


sigmoid.defvjp(_forward, lambda a, grad: (grad * a * (1 - a),))


@jax.custom_vjp
def squared(z):
    """The same with σ′ twice."""
    return jax.nn.sigmoid(z)


squared.defvjp(_forward, lambda a, grad: (grad * (a * (1 - a)) ** 2,))


def with_jax(sigma):
    """The gradient by JAX with this activation."""

    def cost(parameters, inputs, targets):
        a = inputs
        for w, b in zip(*parameters, strict=True):
            a = sigma(a @ w + b)
        return jnp.mean(jnp.sum((a - targets) ** 2, axis=1))

    def gradient(weights, biases, inputs, targets):
        return jax.grad(cost)((weights, biases), inputs, targets)

    return gradient


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_torch_function_is_right(dtype):
    gradient = with_torch(Sigmoid.apply)
    assert crosscheck.check(gradient, arrays="torch", dtype=dtype, **QUICK).ok


def test_a_torch_function_that_forgets_its_slope_is_named():
    report = crosscheck.check(with_torch(Forgotten.apply), arrays="torch", **QUICK)
    assert report.diagnosis.fault == "slope-missing"
    assert report.diagnosis.parameters["place"] == "at every layer"


def test_a_jax_function_is_right_and_x64_stays_as_it_was():
    before = jax.config.jax_enable_x64
    assert crosscheck.check(with_jax(sigmoid), arrays="jax", **TRACED).ok
    assert jax.config.jax_enable_x64 == before


def test_a_jax_function_with_its_slope_twice_is_named():
    report = crosscheck.check(with_jax(squared), arrays="jax", **TRACED)
    assert report.diagnosis.fault == "slope-twice"


def test_results_of_torch_and_jax_are_read_without_asking_for_native_arrays():
    def wrapped(weights, biases, inputs, targets):
        tensors = [[torch.from_numpy(x) for x in part] for part in (weights, biases)]
        data = torch.from_numpy(inputs), torch.from_numpy(targets)
        return with_torch(Sigmoid.apply)(*tensors, *data)

    assert crosscheck.check(wrapped, **QUICK).ok


def test_float32_from_jax_names_the_flag():
    def narrow(weights, biases, inputs, targets):
        arrays = [[jnp.asarray(np.asarray(x)) for x in part] for part in (weights, biases)]
        return with_jax(sigmoid)(*arrays, jnp.asarray(inputs), jnp.asarray(targets))

    report = crosscheck.check(narrow, **TRACED)
    assert not report.ok
    assert "jax_enable_x64" in report.message()
