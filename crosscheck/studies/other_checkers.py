"""The checkers that people use now, each on a gradient that was made elsewhere.

Each is run as its documentation has it, with its own default tolerances; only here are there any.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from crosscheck.engines import registry
from crosscheck.engines.interface import Unsupported
from crosscheck.networks.network import Array, Case, Gradients
from crosscheck.studies.power import caught
from crosscheck.verdicts.evidence import Evidence

Check = Callable[[Case, list[Array]], bool]
"""(case, gradients in the order of the tensors) to whether the checker is content."""


def _cost(case: Case, parameters: list[Any], sigmoid: Any, linear: bool) -> Any:
    """The paper's cost by its definition, on whatever the parameters are."""
    a = case.inputs
    last = len(parameters) // 2 - 1
    for k in range(last + 1):
        z = a @ parameters[2 * k] + parameters[2 * k + 1]
        a = z if linear and k == last else sigmoid(z)
    difference = a - case.targets
    return (difference * difference).sum() / len(case.inputs)


def _parameters(case: Case) -> list[Array]:
    return [np.array(t) for pair in zip(case.weights, case.biases, strict=True) for t in pair]


def _is_linear(case: Case) -> bool:
    return case.architecture.output == "identity"


def _sigmoid(z: Array) -> Array:
    from scipy.special import expit

    value: Array = expit(z)
    return value


@contextmanager
def _same_directions() -> Iterator[None]:
    """They draw directions from NumPy's global stream: the same ones, and the user's put back."""
    before = np.random.get_state()
    np.random.seed(0)
    try:
        yield
    finally:
        np.random.set_state(before)


def accepted_by_gradcheck(function: Callable[..., Any], inputs: Sequence[Any], fast: bool) -> bool:
    """Whether torch.autograd.gradcheck is content: eps 1e-6, atol 1e-5, rtol 1e-3."""
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return bool(
            torch.autograd.gradcheck(function, inputs, fast_mode=fast, raise_exception=False)
        )


def accepted_by_check_grads(function: Callable[..., Any], arrays: Sequence[Any]) -> bool:
    """Whether jax.test_util.check_grads is: order 1, reverse mode, tolerances of the dtype."""
    from jax.test_util import check_grads

    try:
        with _same_directions():
            check_grads(function, tuple(arrays), order=1, modes=["rev"])
    except AssertionError:
        return False
    return True


def gradcheck(fast: bool) -> Check:
    """torch.autograd.gradcheck on a case."""
    import torch

    def check(case: Case, gradients: list[Array]) -> bool:
        class CostWithGradient(torch.autograd.Function):
            """The cost, with the gradient under test as its backward."""

            @staticmethod
            def forward(ctx: Any, *parameters: Any) -> Any:
                value = _cost(case, [p.numpy() for p in parameters], _sigmoid, _is_linear(case))
                return torch.tensor(value, dtype=torch.float64)

            @staticmethod
            def backward(ctx: Any, *outer: Any) -> Any:
                return tuple(torch.from_numpy(np.array(g)) * outer[0] for g in gradients)

        inputs = [torch.from_numpy(p).requires_grad_() for p in _parameters(case)]
        return accepted_by_gradcheck(CostWithGradient.apply, inputs, fast)

    return check


def check_grads_of_jax() -> Check:
    """jax.test_util.check_grads on a case."""
    import jax

    def check(case: Case, gradients: list[Array]) -> bool:
        with jax.enable_x64(True):

            def cost(*parameters: Any) -> Any:
                return _cost(case, list(parameters), jax.nn.sigmoid, _is_linear(case))

            tested = jax.custom_vjp(cost)
            tested.defvjp(
                lambda *p: (cost(*p), None),
                lambda _, outer: tuple(jax.numpy.asarray(g) * outer for g in gradients),
            )
            arrays = [jax.numpy.asarray(p) for p in _parameters(case)]
            return accepted_by_check_grads(tested, arrays)

    return check


def check_grads_of_autograd() -> Check:
    """HIPS autograd's check_grads, order 1, reverse mode: eps 1e-6, its tolerance 1e-6."""
    from autograd.extend import defvjp, primitive
    from autograd.test_util import check_grads

    def check(case: Case, gradients: list[Array]) -> bool:
        @primitive
        def cost(*parameters: Any) -> Any:
            return _cost(case, list(parameters), _sigmoid, _is_linear(case))

        defvjp(cost, *[lambda ans, *p, g=g: lambda outer: outer * g for g in gradients])
        try:
            arrays = _parameters(case)
            every = tuple(range(len(arrays)))
            with _same_directions():
                check_grads(cost, every, modes=["rev"], order=1)(*arrays)
        except AssertionError:
            return False
        return True

    return check


def assert_close() -> Check:
    """torch.testing.assert_close against PyTorch's own gradient: rtol 1e-7, atol 1e-7."""
    import torch

    reference = registry.load("torch.backward")

    def check(case: Case, gradients: list[Array]) -> bool:
        try:
            torch.testing.assert_close(
                [torch.from_numpy(np.array(g)) for g in gradients],
                [torch.from_numpy(np.array(g)) for g in reference.gradients(case).tensors()],
            )
        except AssertionError:
            return False
        return True

    return check


def allclose() -> Check:
    """numpy.allclose against PyTorch's own gradient: rtol 1e-5, atol 1e-8."""
    reference = registry.load("torch.backward")

    def check(case: Case, gradients: list[Array]) -> bool:
        exact = reference.gradients(case).tensors()
        return all(np.allclose(g, e) for g, e in zip(gradients, exact, strict=True))

    return check


def ours() -> Check:
    """crosscheck: the bound B of a black box."""

    def check(case: Case, gradients: list[Array]) -> bool:
        given = Gradients(None, gradients[0::2], gradients[1::2])
        return not caught.caught(Evidence(case), given)

    return check


GRADIENT_CHECKERS: Mapping[str, Callable[[], Check]] = {
    "torch gradcheck": lambda: gradcheck(fast=False),
    "torch gradcheck, fast": lambda: gradcheck(fast=True),
    "jax check_grads": check_grads_of_jax,
    "autograd check_grads": check_grads_of_autograd,
}
"""Those that need nothing but the cost; a maker raises where its library is not installed."""

CHECKERS: Mapping[str, Callable[[], Check]] = {
    "crosscheck": ours,
    **GRADIENT_CHECKERS,
    "torch assert_close": assert_close,
    "numpy allclose": allclose,
}
"""All of them, ours first."""


def available() -> dict[str, Check]:
    """The checkers whose libraries are installed."""
    made = {}
    for name, make in CHECKERS.items():
        try:
            made[name] = make()
        except (ModuleNotFoundError, Unsupported):
            continue
    return made
