"""NumPy functions and handwritten gradients as programs, by running them on traced arrays.

Read are NumPy's ufuncs, reductions, products, moves and assignments, and those ufuncs of
scipy.special that have a mathematical name; `numpy_*.py` have a table each.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from crosscheck.primitives.row import Array
from crosscheck.primitives.table import PRIMITIVES
from crosscheck.programs import (
    leaves,
    numpy_contractions,
    numpy_moves,
    numpy_reductions,
    numpy_ufuncs,
)
from crosscheck.programs.errors import Promise
from crosscheck.programs.program import Program, Unreadable, needed
from crosscheck.programs.recorder import Recorder, format_of, is_float
from crosscheck.programs.subject import CustomRule, Leaf, Numbers
from crosscheck.programs.traced_array import TracedArray, traced

FUNCTIONS = {
    **numpy_moves.FUNCTIONS,
    **numpy_reductions.FUNCTIONS,
    **numpy_contractions.FUNCTIONS,
}
"""Every function of NumPy that is read, beside its ufuncs."""

MOVES = frozenset({"reshape", "transpose", "broadcast", "take", "concatenate", "stop"})
"""Operations that round nothing, whose values follow from those of their operands."""


def owns(values: Sequence[Any]) -> bool:
    """Whether these leaves are NumPy's: floating arrays, or numbers where there are none."""
    return any(_is_array(value) for value in values) or all(
        isinstance(value, (int, float, np.generic, np.ndarray)) for value in values
    )


def _is_array(value: Any) -> bool:
    return isinstance(value, (np.ndarray, np.generic)) and is_float(value.dtype)


class Arguments(NamedTuple):
    """Arguments of a function, and which of their leaves are the inputs of its program."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    tree: leaves.Tree
    floating: tuple[int, ...]

    @classmethod
    def of(cls, args: Sequence[Any], kwargs: Mapping[str, Any]) -> "Arguments":
        """Floating arrays are inputs; Python's floats only where there is no array at all."""
        tree = leaves.tree((list(args), dict(kwargs)))
        floating = [place for place, leaf in enumerate(tree.leaves) if _is_array(leaf)]
        if not floating:
            floating = [place for place, leaf in enumerate(tree.leaves) if type(leaf) is float]
        return cls(tuple(args), dict(kwargs), tree, tuple(floating))

    @property
    def arrays(self) -> list[Array]:
        return [np.asarray(self.tree.leaves[place]) for place in self.floating]

    def paths(self, function: Callable[..., Any]) -> list[str]:
        """The inputs' paths, as the documentation of `gradcheck` has them."""
        starts = leaves.roots(function, self.args, lambda x: not leaves.is_container(x))
        paths = []
        for place in self.floating:
            part, which, *rest = self.tree.steps[place]
            start = starts[which.key] if part.key == 0 else str(which.key)
            paths.append(leaves.path(start, rest))
        return paths

    def filled(self, inputs: Sequence[Any]) -> tuple[list[Any], dict[str, Any]]:
        """The arguments with these in the inputs' places, all others copied."""
        filled = [
            leaf.copy() if isinstance(leaf, np.ndarray) else leaf for leaf in self.tree.leaves
        ]
        for place, value in zip(self.floating, inputs, strict=True):
            filled[place] = value
        args, kwargs = self.tree.rebuild(filled)
        return args, kwargs

    def fresh(self) -> tuple[list[Any], dict[str, Any]]:
        """The arguments on copies of all arrays."""
        return self.filled(
            [
                leaf.copy() if isinstance(leaf, np.ndarray) else leaf
                for leaf in (self.tree.leaves[place] for place in self.floating)
            ]
        )


class Recording(NamedTuple):
    """A program, and NumPy's own values of its values, by number."""

    program: Program
    values: dict[int, Array]


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
    framework: str = "numpy"

    @property
    def name(self) -> str:
        return getattr(self.function, "__name__", type(self.function).__name__)

    @property
    def modes(self) -> tuple[str, ...]:
        return ("gradient",) if self.gradient is not None else ()

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
        return self._primal.program

    @cached_property
    def _primal(self) -> Recording:
        recorder = _recorder()
        inputs = [recorder.input(array) for array in self.arrays]
        return _finished(recorder, self._traced_values(recorder, inputs))

    def _traced_values(self, recorder: Recorder, inputs: Sequence[int]) -> list[int]:
        """The numbers of the function's floating leaves."""
        args, kwargs = self.arguments.filled(self._handed(recorder, inputs))
        with _plainly_refused():
            tree = leaves.tree(self.function(*args, **kwargs))
        return [
            _number_of(recorder, leaf)
            for leaf in tree.leaves
            if isinstance(leaf, TracedArray) or is_float(np.asarray(leaf).dtype)
        ]

    def _handed(self, recorder: Recorder, inputs: Sequence[int]) -> list[TracedArray]:
        return [
            traced(recorder, number, array.copy())
            for number, array in zip(inputs, self.arrays, strict=True)
        ]

    def rule(self, mode: str = "gradient") -> Program:
        """Q: the values of the function, then what the handwritten gradient gives."""
        return self._rule(tuple(np.ones(leaf.shape, leaf.format) for leaf in self.outputs)).program

    def _rule(self, given: Sequence[Array]) -> Recording:
        recorder = _recorder()
        inputs = [recorder.input(array) for array in self.arrays]
        cotangents = [
            traced(recorder, recorder.input(np.asarray(array)), np.array(array)) for array in given
        ]
        values = self._traced_values(recorder, inputs)
        args, kwargs = self.arguments.filled(self._handed(recorder, inputs))
        with _plainly_refused():
            gradients = self._gradients(args, kwargs, cotangents)
        return _finished(recorder, [*values, *(_number_of(recorder, x) for x in gradients)])

    def numbers(self, mode: str, given: Sequence[Array]) -> Numbers:
        """What the function and its gradient compute, on copies of the arguments."""
        args, kwargs = self.arguments.fresh()
        value = leaves.tree(self.function(*args, **kwargs)).leaves
        values = [np.array(x) for x in value if is_float(np.asarray(x).dtype)]
        args, kwargs = self.arguments.fresh()
        typed = [np.array(x, v.dtype) for x, v in zip(given, values, strict=True)]
        gradients = self._gradients(args, kwargs, typed)
        return Numbers(tuple(values), tuple(np.array(x) for x in gradients))

    def replay(self, mode: str, given: Sequence[Array]) -> Mapping[int, Array]:
        """NumPy's own values, from the run that recorded the gradient."""
        formats = [np.asarray(x, leaf.format) for x, leaf in zip(given, self.outputs, strict=True)]
        return self._rule(formats).values

    def custom_rules(self) -> tuple[CustomRule, ...]:
        """The gradient itself, where it is of all inputs."""
        if self.gradient is None or len(self.wrt) != len(self.inputs):
            return ()
        name = getattr(self.gradient, "__name__", type(self.gradient).__name__)
        rule = CustomRule(
            name, _written_at(self.gradient), self.primal(), self.rule(), tuple(self.arrays)
        )
        return (rule,)

    def promise(self, mode: str) -> Promise:
        """NumPy keeps subnormals, and sums in the format or a wider one."""
        return Promise()

    def _gradients(
        self, args: Sequence[Any], kwargs: Mapping[str, Any], cotangents: Sequence[Any]
    ) -> list[Any]:
        """The gradient's leaves, one for each place in `wrt`."""
        if self.gradient is None:
            raise Unreadable(
                f"NumPy does not differentiate {self.name}: give gradient=, a function of the same "
                "arguments (and the cotangent, where the output is no single number)"
            )
        given = list(args)
        if self._takes_cotangent(args, kwargs):
            given.append(self._as_value(cotangents))
        return self._matched(self.gradient(*given, **kwargs))

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
        found = [leaf for leaf in _gradient_leaves(gradients) if leaf is not None]
        if len(found) != len(wanted):
            names = ", ".join(leaf.path for leaf in wanted)
            raise ValueError(
                f"the gradient returned {len(found)} arrays, and has to return {len(wanted)}: "
                f"one for each of {names}, in this order and in containers like the arguments'"
            )
        return [_fitting(array, leaf) for array, leaf in zip(found, wanted, strict=True)]


def _gradient_leaves(gradients: Any) -> list[Any]:
    return leaves.tree(gradients).leaves


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


@contextmanager
def _plainly_refused() -> Iterator[None]:
    """Let Unreadable through where NumPy made another exception of it, in an assignment."""
    try:
        yield
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, Unreadable):
            cause = cause.__cause__ or cause.__context__
        if cause is None or cause is error:
            raise
        raise cause from None


def _recorder() -> Recorder:
    return Recorder(traced, numpy_ufuncs.called, FUNCTIONS)


def _number_of(recorder: Recorder, leaf: Any) -> int:
    """The value of a result: what is not traced does not depend on the inputs."""
    if isinstance(leaf, TracedArray):
        return leaf.number
    array = np.asarray(leaf)
    return recorder.builder.constant(array, format_of(array.dtype))


def _finished(recorder: Recorder, outputs: Sequence[int]) -> Recording:
    """The program, and the recorded values by its own numbers."""
    builder = recorder.builder
    whole = Program(tuple(builder.operations), tuple(builder.inputs), tuple(outputs))
    place = np.cumsum(needed(whole)) - 1
    kept = needed(whole)
    values = {int(place[x]): value for x, value in recorder.values.items() if kept[x]}
    program = builder.program(outputs)
    return Recording(program, _followed(program, values))


def _followed(program: Program, values: dict[int, Array]) -> dict[int, Array]:
    """The recorded values, and those of operations that only move them."""
    for number, operation in enumerate(program.operations):
        if number in values:
            continue
        if operation.primitive == "constant":
            values[number] = operation.params["array"].astype(_dtype(operation.format))
        elif operation.primitive in MOVES and all(x in values for x in operation.operands):
            row = PRIMITIVES[operation.primitive]
            given = [values[x] for x in operation.operands]
            values[number] = np.asarray(row.evaluate(operation.params, *given))
    return values


def _dtype(format: str) -> Any:
    if format == "bfloat16":
        import ml_dtypes

        return ml_dtypes.bfloat16
    return np.dtype(format)


def subject(
    function: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any] | None = None,
    gradient: Callable[..., Any] | None = None,
    wrt: Any = None,
) -> NumpySubject:
    """A NumPy function at these arguments, with its handwritten gradient.

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
    return NumpySubject(function, gradient, arguments, places, inputs)
