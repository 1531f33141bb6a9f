"""An operation with a rule of its own between two dense layers, in torch and in JAX."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from crosscheck.faults.catalogue import rules
from crosscheck.faults.catalogue.rules import Backward, RuleOperation

FORMATS = ("float64", "float32", "bfloat16")


@dataclass(frozen=True)
class Framework:
    """What the study needs of a framework: how it writes rules, differentiates and casts.

    `gradients` are those of a function of arrays, as float64 NumPy arrays.
    """

    name: str
    mode: str
    applied: Callable[[RuleOperation, Backward], Callable[..., Any]]
    tanh: Callable[[Any], Any]
    native: Callable[[np.ndarray, str], Any]
    gradients: Callable[[Callable[..., Any], Sequence[Any]], list[np.ndarray]]
    precision: Callable[[str], Any]

    def network(self, operation: RuleOperation, backward: Backward) -> Callable[..., Any]:
        """The operation, with this backward, in a network."""
        return rules.between_layers(self.applied(operation, backward), self.tanh)

    def composite(self, operation: RuleOperation) -> Callable[..., Any]:
        """The same network with the framework's own derivative of the operation."""
        return rules.between_layers(self._plain(operation), self.tanh)

    def _plain(self, operation: RuleOperation) -> Callable[..., Any]:
        namespace = namespace_of(self.name)
        return lambda *operands: operation.forward(namespace, *operands)


def namespace_of(framework: str) -> Any:
    """torch, or jax.numpy."""
    if framework == "torch":
        import torch

        return torch
    import jax.numpy

    return jax.numpy


def _torch() -> Framework:
    import torch

    def native(array: np.ndarray, format: str) -> Any:
        return torch.from_numpy(array.copy()).to(getattr(torch, format))

    def gradients(function: Callable[..., Any], inputs: Sequence[Any]) -> list[np.ndarray]:
        given = [x.detach().clone().requires_grad_() for x in inputs]
        back = torch.autograd.grad(function(*given), given)
        return [g.double().numpy() for g in back]

    return Framework(
        "torch", "backward", rules.in_torch, torch.tanh, native, gradients, lambda f: nullcontext()
    )


def _jax() -> Framework:
    import jax
    import jax.numpy as jnp

    @contextmanager
    def precision(format: str) -> Iterator[None]:
        with jax.enable_x64(format == "float64"):
            yield

    def native(array: np.ndarray, format: str) -> Any:
        return jnp.asarray(array).astype(format)

    def gradients(function: Callable[..., Any], inputs: Sequence[Any]) -> list[np.ndarray]:
        back = jax.grad(function, argnums=tuple(range(len(inputs))))(*inputs)
        return [np.asarray(g).astype(np.float64) for g in back]

    return Framework("jax", "reverse", rules.in_jax, jnp.tanh, native, gradients, precision)


FRAMEWORKS: Mapping[str, Callable[[], Framework]] = {"torch": _torch, "jax": _jax}
"""The frameworks by name; a maker raises ModuleNotFoundError where one is not installed."""


def installed() -> tuple[str, ...]:
    """The frameworks that are installed."""
    return tuple(name for name in FRAMEWORKS if find_spec(name) is not None)


def arrays(operation: RuleOperation, seed: int, index: int) -> list[np.ndarray]:
    """x, w, v and the operation's other operands: a function of (seed, index) alone."""
    generator = np.random.default_rng([seed, index])
    samples, width, n, last = ((5, 4, 3, 2), (3, 2, 4, 3))[index % 2]  # JAX compiles for each
    shapes = ((samples, width), (width, n), (n, last), *operation.others(n))
    return [generator.standard_normal(shape) for shape in shapes]
