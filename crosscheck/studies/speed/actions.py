"""What the benchmark runs: our gradient and verdict, and what others use for the same.

Each is an action without arguments, on numbers that are there before it begins.
"""

import os
import shutil
from functools import partial
from typing import Any

import numpy as np

from crosscheck.networks.network import Architecture, Case
from crosscheck.studies.other_checkers import GRADIENT_CHECKERS
from crosscheck.studies.speed.timing import Action
from crosscheck.verdicts.evidence import Evidence


def case_of(widths: tuple[int, ...], samples: int, dtype: str) -> Case:
    """A network of this shape, with Xavier weights and a linear output."""
    rng = np.random.default_rng(0)
    architecture = Architecture(widths)
    of = architecture.weight_shapes
    drawn = [rng.standard_normal(shape) * np.sqrt(2 / sum(shape)) for shape in of]
    return Case(
        architecture,
        dtype,
        0,
        0,
        tuple(w.astype(dtype) for w in drawn),
        tuple(rng.standard_normal(shape[1]).astype(dtype) for shape in of),
        rng.standard_normal((samples, widths[0])).astype(dtype),
        rng.standard_normal((samples, widths[-1])).astype(dtype),
    )


def products(case: Any) -> Action:
    """The bare matrix products of a gradient, into outputs that are there already: the floor."""
    rng = np.random.default_rng(0)
    a = [
        rng.standard_normal((case.samples, n)).astype(case.dtype) for n in case.architecture.widths
    ]
    forward = [np.empty_like(x) for x in a[1:]]
    back = [np.empty_like(x) for x in a]
    by_weight = [np.empty_like(w) for w in case.weights]

    def run() -> None:
        for k, w in enumerate(case.weights):
            np.dot(a[k], w, forward[k])
        for k in range(len(case.weights) - 1, -1, -1):
            np.dot(a[k].T, a[k + 1], by_weight[k])
            if k:
                np.dot(a[k + 1], case.weights[k].T, back[k])

    return run


def torch_steady(case: Any, compiled: bool = False) -> Action:
    """torch's backward on parameters that are there already, as in training."""
    import torch
    from torch.nn import functional

    weights = [torch.from_numpy(np.array(w.T)).requires_grad_() for w in case.weights]
    biases = [torch.from_numpy(np.array(b)).requires_grad_() for b in case.biases]
    inputs, targets = (torch.from_numpy(np.array(t)) for t in (case.inputs, case.targets))

    def cost() -> Any:
        a = inputs
        for k, (w, b) in enumerate(zip(weights, biases, strict=True)):
            a = functional.linear(a, w, b)
            a = a if k == len(weights) - 1 else torch.sigmoid(a)
        return (a - targets).square().sum(1).mean()

    forward = compile_afresh(cost) if compiled else cost

    def run() -> None:
        for parameter in (*weights, *biases):
            parameter.grad = None
        forward().backward()

    return run


def compile_afresh(function: Any) -> Any:
    """The function under torch.compile, for its shapes alone.

    What was compiled before is forgotten: after eight programs of one function torch would run
    the next as it is, without a word.
    """
    import torch

    torch.compiler.reset()
    return torch.compile(function, fullgraph=True, dynamic=False)


def has_cpp_compiler() -> bool:
    """Whether there is what torch.compile needs on a processor."""
    return shutil.which(os.environ.get("CXX") or "g++") is not None


def jax_steady(case: Any) -> Action:
    """`jax.grad` under jit, compiled before, on arrays of its own."""
    import jax

    from crosscheck.engines import jax as jax_grad

    with jax.enable_x64(True):
        program = jax_grad._compiled(case.architecture, case.samples, case.dtype)
        arrays = jax.device_put(
            ((list(case.weights), list(case.biases)), case.inputs, case.targets)
        )

    def run() -> None:
        with jax.enable_x64(True):
            jax.block_until_ready(program(*arrays))

    return run


def verdict_of(case: Any) -> Action:
    """Our verdict on a float64 gradient, the gradient included: every entry, certified.

    Like the rivals' it measures nothing beyond that: no ulps, no medians.
    """
    from crosscheck.engines import registry
    from crosscheck.verdicts import verdict

    engine = registry.load("paper-contracted")

    def run() -> Any:
        found = engine.gradients(case)
        return verdict.decide(Evidence(case), engine.arithmetic(case.dtype), found)

    return run


def rivals(case: Case) -> dict[str, Action]:
    """The gradient checkers in use, at their own defaults, on our gradient of the same network."""
    from crosscheck.engines import registry

    ours = registry.load("paper-contracted").gradients(case).tensors()
    return {name: partial(make(), case, ours) for name, make in GRADIENT_CHECKERS.items()}
