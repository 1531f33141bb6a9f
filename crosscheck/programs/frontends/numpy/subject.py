"""NumPy functions and handwritten gradients as programs, by running them on traced arrays.

Read are NumPy's ufuncs, reductions, products, moves and assignments, and those ufuncs of
scipy.special that have a mathematical name; `functions/` has a table of each kind.
"""

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from crosscheck.arithmetic.primitives.row import Array
from crosscheck.programs.errors import Promise
from crosscheck.programs.frontends import fingerprint, kept as keeping, leaves
from crosscheck.programs.frontends.kept import KeptPrograms
from crosscheck.programs.frontends.numpy import hips_autograd
from crosscheck.programs.frontends.numpy.arguments import Arguments, is_array
from crosscheck.programs.frontends.numpy.recorder import Recorder, format_of, is_float
from crosscheck.programs.frontends.numpy.recording import (
    Recording,
    begun,
    finished,
    number_of,
    refusals,
)
from crosscheck.programs.frontends.numpy.traced_array import TracedArray, traced
from crosscheck.programs.frontends.subject import CustomRule, Leaf, Numbers
from crosscheck.programs.frontends.theirs import is_complex
from crosscheck.programs.program import Program, Unreadable


def owns(values: Sequence[Any]) -> bool:
    """Whether these leaves are NumPy's: floating arrays, or numbers where there are none."""
    return any(is_array(value) for value in values) or all(
        isinstance(value, (int, float, np.generic, np.ndarray)) for value in values
    )


@dataclass(frozen=True, eq=False)
class NumpySubject:
    """A NumPy function and the gradient that somebody wrote for it, on trial.

    The cotangent of a function that gives a single number is 1, unless `gradient` takes it.
    """

    function: Callable[..., Any]
    gradient: Callable[..., Any] | None
    arguments: Arguments
    wrt: tuple[int, ...]
    inputs: tuple[Leaf, ...]
    habits: tuple[str, ...] = ()
    kept: KeptPrograms = field(default_factory=KeptPrograms)

    @property
    def framework(self) -> str:
        """autograd where that differentiates the function."""
        return "numpy" if self.gradient is not None else "autograd"

    @property
    def name(self) -> str:
        return getattr(self.function, "__name__", type(self.function).__name__)

    @property
    def modes(self) -> tuple[str, ...]:
        """The handwritten gradient, or autograd's reverse mode."""
        return ("gradient",) if self.gradient is not None else ("reverse",)

    @property
    def arrays(self) -> list[Array]:
        return self.arguments.arrays

    @cached_property
    def _result(self) -> leaves.Tree:
        """What the function gives, plainly."""
        args, kwargs = self.arguments.fresh()
        return leaves.tree(self.function(*args, **kwargs))

    @cached_property
    def outputs(self) -> tuple[Leaf, ...]:
        """The floating leaves of the value. Raises TypeError where there is none."""
        tree = self._result
        outputs = []
        for place, leaf in enumerate(tree.leaves):
            array = np.asarray(leaf)
            if is_complex(array):
                raise ValueError(f"{self.name} returned complex numbers: they are not checked yet")
            if is_float(array.dtype):
                path = leaves.path("value", tree.steps[place])
                outputs.append(Leaf(path, array.shape, array.dtype.name))
        if not outputs:
            raise TypeError(
                f"{self.name} returned {type(self.function_value).__name__}; it has to return a "
                "floating array, or a container of them"
            )
        return tuple(outputs)

    @property
    def function_value(self) -> Any:
        """What the function gave, in its own container."""
        return self._result.rebuild(self._result.leaves)

    def primal(self) -> Program:
        """P: the function on traced arrays."""
        return self.kept.program("primal", lambda: self._primal.program)

    @cached_property
    def _primal(self) -> Recording:
        recorder = begun()
        inputs = [recorder.input(array) for array in self.arrays]
        return finished(recorder, self._traced_values(recorder, inputs))

    def _traced_values(self, recorder: Recorder, inputs: Sequence[int]) -> list[int]:
        """The numbers of the function's floating leaves."""
        args, kwargs = self.arguments.filled(self._handed(recorder, inputs))
        with refusals(), hips_autograd.tracing():
            tree = leaves.tree(self.function(*args, **kwargs))
        return [
            number_of(recorder, leaf)
            for leaf in tree.leaves
            if isinstance(leaf, TracedArray) or is_float(np.asarray(leaf).dtype)
        ]

    def _handed(self, recorder: Recorder, inputs: Sequence[int]) -> list[TracedArray]:
        return [
            traced(recorder, number, array.copy())
            for number, array in zip(inputs, self.arrays, strict=True)
        ]

    def rule(self, mode: str = "gradient") -> Program:
        """Q: the values of the function, then what the gradient on trial gives."""
        return self.kept.program("rule", lambda: self._rule_at_ones.program)

    @cached_property
    def _rule_at_ones(self) -> Recording:
        return self._rule([np.ones(leaf.shape, leaf.format) for leaf in self.outputs])

    def _rule(self, given: Sequence[Array]) -> Recording:
        recorder = begun()
        inputs = [recorder.input(array) for array in self.arrays]
        cotangents = [
            traced(recorder, recorder.input(np.asarray(array)), np.array(array)) for array in given
        ]
        values = self._traced_values(recorder, inputs)
        args, kwargs = self.arguments.filled(self._handed(recorder, inputs))
        with refusals(), hips_autograd.tracing():
            gradients = self._gradients(args, kwargs, cotangents)
        return finished(recorder, [*values, *(number_of(recorder, x) for x in gradients)])

    def numbers(self, mode: str, given: Sequence[Array]) -> Numbers:
        """What the function and its gradient compute, on copies of the arguments."""
        args, kwargs = self.arguments.fresh()
        value = leaves.tree(self.function(*args, **kwargs)).leaves
        self._require_unchanged(self.name, args, kwargs)
        values = [np.array(x) for x in value if is_float(np.asarray(x).dtype)]
        args, kwargs = self.arguments.fresh()
        typed = [np.array(x, v.dtype) for x, v in zip(given, values, strict=True)]
        gradients = self._gradients(args, kwargs, typed)
        self._require_unchanged("the gradient", args, kwargs)
        return Numbers(tuple(values), tuple(np.array(x) for x in gradients))

    def _require_unchanged(self, name: str, args: Any, kwargs: Any) -> None:
        """Raises ValueError where an argument is not what it was."""
        after = leaves.tree((list(args), dict(kwargs))).leaves
        for leaf, place, before in zip(
            self.inputs, self.arguments.floating, self.arrays, strict=True
        ):
            if not np.array_equal(np.asarray(after[place]), before, equal_nan=True):
                raise ValueError(f"{name} changes {leaf.path} in place: let it work on a copy")

    def replay(self, mode: str, given: Sequence[Array]) -> Mapping[int, Array]:
        """NumPy's own values, from the run that recorded the gradient."""
        typed = [np.asarray(x, leaf.format) for x, leaf in zip(given, self.outputs, strict=True)]
        if all(np.all(x == 1) for x in typed):
            return self._rule_at_ones.values
        recording = self._rule(typed)
        same = _operations(recording.program) == _operations(self.rule(mode))
        return recording.values if same else {}

    def custom_rules(self) -> tuple[CustomRule, ...]:
        """The handwritten gradient, where it is of all inputs."""
        if self.gradient is None or len(self.wrt) != len(self.inputs):
            return ()
        name = getattr(self.gradient, "__name__", type(self.gradient).__name__)
        rule = CustomRule(
            name, _written_at(self.gradient), self.primal(), self.rule(), tuple(self.arrays)
        )
        return (rule,)

    def promise(self, mode: str) -> Promise:
        """NumPy keeps subnormals, and sums in the format or a wider one."""
        return Promise(library="numpy")

    def _gradients(
        self, args: Sequence[Any], kwargs: Mapping[str, Any], cotangents: Sequence[Any]
    ) -> list[Any]:
        """The gradient's leaves, one for each place in `wrt`."""
        if self.gradient is None:
            return self._by_autograd(args, kwargs, cotangents)
        given = list(args)
        if self._takes_cotangent(args, kwargs):
            given.append(self._as_value(cotangents))
        return self._matched(self.gradient(*given, **kwargs))

    def _by_autograd(
        self, args: Sequence[Any], kwargs: Mapping[str, Any], cotangents: Sequence[Any]
    ) -> list[Any]:
        """What HIPS autograd makes of the function."""
        if "autograd" not in sys.modules:
            raise Unreadable(
                f"NumPy does not differentiate {self.name}: give gradient=, a function of the same "
                "arguments (and the cotangent, where the output is no single number)"
            )
        if self._result.steps != [()]:
            raise Unreadable(
                f"{self.name} returns a container, which autograd does not differentiate: return "
                "one array"
            )
        flat = leaves.tree((list(args), dict(kwargs)))
        inputs = [flat.leaves[place] for place in self.arguments.floating]

        def refill(changed: Sequence[Any]) -> tuple[Sequence[Any], Mapping[str, Any]]:
            filled = list(inputs)
            for place, leaf in zip(self.wrt, changed, strict=True):
                filled[place] = leaf
            return self.arguments.filled(filled)

        wanted = [inputs[place] for place in self.wrt]
        return hips_autograd.gradients(self.function, refill, wanted, cotangents[0])

    def _takes_cotangent(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
        """Whether the gradient is called with the cotangent after the arguments.

        Where the value is no single number; but a gradient that cannot be called in the one way,
        and can in the other, is called in the other.
        """
        assert self.gradient is not None
        wanted = self._result.steps != [()] or self.outputs[0].shape != ()
        try:
            signature = inspect.signature(self.gradient)
        except (TypeError, ValueError):
            return wanted
        plain, longer = (_binds(signature, given, kwargs) for given in (args, [*args, None]))
        return wanted if plain == longer else longer

    def _as_value(self, cotangents: Sequence[Any]) -> Any:
        """The cotangents in the container of the function's value; None for other leaves."""
        left = iter(cotangents)
        filled = [
            next(left) if is_float(np.asarray(leaf).dtype) else None for leaf in self._result.leaves
        ]
        return self._result.rebuild(filled)

    def _matched(self, gradients: Any) -> list[Any]:
        """The leaves of what the gradient gave, held to the containers of the arguments.

        Raises ValueError where the container, a shape, or the number of leaves does not fit.
        """
        wanted = [self.inputs[place] for place in self.wrt]
        given = [leaf for leaf in leaves.tree(gradients).leaves if leaf is not None]
        if len(given) != len(wanted):
            names = ", ".join(leaf.path for leaf in wanted)
            raise ValueError(
                f"the gradient returned {len(given)} arrays, and has to return {len(wanted)}: "
                f"one for each of {names}, in this order and in containers like the arguments'"
            )
        return [_fitting(array, leaf) for array, leaf in zip(given, wanted, strict=True)]


def _fitting(array: Any, leaf: Leaf) -> Any:
    """A gradient that has its argument's shape, and is floating."""
    kept = array if isinstance(array, TracedArray) else np.asarray(array)
    if not is_float(kept.dtype):
        raise TypeError(
            f"the gradient of {leaf.path} is an array of {kept.dtype}, and has to be floating"
        )
    if kept.shape != leaf.shape:
        raise ValueError(
            f"the gradient of {leaf.path} has shape {kept.shape}, the argument {leaf.shape}"
        )
    return kept


def _binds(signature: inspect.Signature, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    try:
        signature.bind(*args, **kwargs)
    except TypeError:
        return False
    return True


def _written_at(function: Callable[..., Any]) -> str:
    """file:line of a function's first line, or ""."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else ""


def _operations(program: Program) -> list[tuple[str, tuple[int, ...]]]:
    """What a program does, to tell whether other branches were taken."""
    return [(one.primitive, one.operands) for one in program.operations]


def subject(
    function: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any] | None = None,
    gradient: Callable[..., Any] | None = None,
    wrt: Any = None,
    afresh: bool = True,
) -> NumpySubject:
    """A NumPy function at these arguments, with its handwritten gradient, or HIPS autograd's.

    `gradient(*args, **kwargs)`, or `gradient(*args, cotangent, **kwargs)` where the output is no
    single number, gives an array for each leaf in `wrt`, in containers like the arguments'.
    Raises TypeError where no argument is floating, ValueError where `wrt` names none.
    """
    arguments = Arguments.of(args, kwargs or {})
    if not arguments.floating:
        raise TypeError("no argument is a floating array, so there is nothing to differentiate")
    paths = arguments.paths(function)
    starts = leaves.roots(function, args, lambda x: not leaves.is_container(x))
    inputs = tuple(
        Leaf(path, array.shape, format_of(array.dtype))
        for path, array in zip(paths, arguments.arrays, strict=True)
    )
    places = leaves.chosen(paths, wrt, leaves.aliases(function, starts))
    key = _key(function, gradient, arguments, places, inputs)
    return NumpySubject(function, gradient, arguments, places, inputs, kept=keeping.of(key, afresh))


def _key(
    function: Callable[..., Any],
    gradient: Callable[..., Any] | None,
    arguments: Arguments,
    wrt: Sequence[int],
    inputs: Sequence[Leaf],
) -> tuple[Any, ...] | None:
    """What the programs depend on, but for the numbers in the inputs."""
    kinds = list(arguments.tree.leaves)
    for place in arguments.floating:
        kinds[place] = type(kinds[place])
    look = fingerprint.of(function, gradient, arguments.tree.rebuild(kinds))
    return None if look is None else ("numpy", look, tuple(wrt), tuple(inputs))
