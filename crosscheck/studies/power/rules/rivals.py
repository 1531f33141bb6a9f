"""What people check rules by today, on the same networks, each at its published tolerances.

gradcheck and check_grads difference the function itself. A suite of kernels compares with a
reference in the same framework, which here is the framework's own derivative of the operation
and so is right.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from crosscheck.studies import other_checkers
from crosscheck.studies.power.rules.networks import Framework


class Situation(NamedTuple):
    """A network whose rule is on trial, a right one, and the arguments."""

    framework: Framework
    format: str
    function: Callable[..., Any]
    composite: Callable[..., Any]
    arrays: Sequence[np.ndarray]

    def inputs(self, format: str = "") -> list[Any]:
        """The arguments in the framework's arrays."""
        return [self.framework.native(array, format or self.format) for array in self.arrays]

    def gradients(self) -> list[np.ndarray]:
        """Those on trial."""
        return self.framework.gradients(self.function, self.inputs())

    def reference(self) -> list[np.ndarray]:
        """Those of the framework itself, in the same format."""
        return self.framework.gradients(self.composite, self.inputs())

    def wider(self) -> list[np.ndarray]:
        """Those of the framework itself on the same numbers, in the next wider format."""
        wide = "float32" if self.format == "bfloat16" else "float64"
        with self.framework.precision(wide):
            inputs = [_wide(self.framework, x, wide) for x in self.inputs(self.format)]
            return self.framework.gradients(self.composite, inputs)


def _wide(framework: Framework, native: Any, format: str) -> Any:
    numbers = native.double().numpy() if framework.name == "torch" else np.asarray(native)
    return framework.native(np.asarray(numbers, np.float64), format)


def _gradcheck(fast: bool) -> Callable[[Situation], bool | None]:
    def accepts(given: Situation) -> bool | None:
        if given.framework.name != "torch":
            return None
        inputs = [x.requires_grad_() for x in given.inputs()]
        return other_checkers.accepted_by_gradcheck(given.function, inputs, fast)

    return accepts


def _check_grads(given: Situation) -> bool | None:
    if given.framework.name != "jax":
        return None
    return other_checkers.accepted_by_check_grads(given.function, given.inputs())


CLOSE = {"float64": (1e-7, 1e-7), "float32": (1.3e-6, 1e-5), "bfloat16": (1.6e-2, 1e-5)}
"""torch.testing.assert_close's rtol and atol by format."""


def _allclose(got: Sequence[np.ndarray], want: Sequence[np.ndarray], r: float, a: float) -> bool:
    pairs = zip(got, want, strict=True)
    return all(np.allclose(one, other, rtol=r, atol=a) for one, other in pairs)


def _assert_close(given: Situation) -> bool | None:
    return _allclose(given.gradients(), given.reference(), *CLOSE[given.format])


def _triton(given: Situation) -> bool | None:
    """Triton's tutorial on layer normalization: allclose with atol 1e-2, rtol 0."""
    return _allclose(given.gradients(), given.reference(), 0.0, 1e-2)


def _flash_attention(given: Situation) -> bool | None:
    """FlashAttention's tests: at most twice the error of PyTorch's own in the same format."""
    exact = given.wider()
    pairs = zip(given.gradients(), given.reference(), exact, strict=True)
    return all(
        np.max(np.abs(got - wide)) <= 2 * np.max(np.abs(own - wide)) for got, own, wide in pairs
    )


RIVALS: Mapping[str, Callable[[Situation], bool | None]] = {
    "gradcheck": _gradcheck(fast=False),
    "gradcheck, fast": _gradcheck(fast=True),
    "check_grads": _check_grads,
    "assert_close": _assert_close,
    "atol 1e-2": _triton,
    "twice the error": _flash_attention,
}
"""Whether each accepts; None where it is another framework's."""


def rejected(given: Situation) -> dict[str, bool]:
    """Which of them say that the gradient is wrong; those alone that have something to say."""
    said = {name: accepts(given) for name, accepts in RIVALS.items()}
    return {name: not accepted for name, accepted in said.items() if accepted is not None}
