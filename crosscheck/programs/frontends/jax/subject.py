"""JAX's functions as subjects: jaxprs of the function and of its own gradient, as programs."""

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from crosscheck.arithmetic.formats import FORMATS
from crosscheck.arithmetic.primitives.row import Array
from crosscheck.programs.errors import Promise
from crosscheck.programs.frontends import fingerprint, kept, leaves
from crosscheck.programs.frontends.jax.reading import (
    Reading,
    custom_rule,
    is_array,
    is_floating,
    traced,
)
from crosscheck.programs.frontends.subject import CustomRule, Leaf, Numbers
from crosscheck.programs.frontends.theirs import is_complex
from crosscheck.programs.program import Program, Unreadable

FLUSHED = ("float64", "float32", "bfloat16")
"""Formats whose subnormals XLA reads and writes as zero; float16's it keeps."""

SETTINGS = ("jax_enable_x64", "jax_default_matmul_precision", "jax_numpy_dtype_promotion")
"""The user's settings that decide what a function traces to."""

CALLS_OF_A_RULE = 16
"""How many calls of one custom rule, as in an unrolled loop, are looked at by themselves."""


def owns(found: Iterable[Any]) -> bool:
    """Whether some of these leaves are JAX's, without importing JAX."""
    module = sys.modules.get("jax")
    return module is not None and any(isinstance(leaf, module.Array) for leaf in found)


def subject(
    function: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    gradient: Callable[..., Any] | None = None,
    wrt: Any = None,
    afresh: bool = True,
) -> "JaxSubject":
    """A function of JAX on trial; `wrt` as `leaves.chosen` has it.

    Without `gradient` JAX's own differentiation is on trial, custom rules included. Raises
    ValueError for what is no function of floating arrays to floating arrays.
    """
    return JaxSubject(function, args, kwargs, gradient, wrt, afresh)


class JaxSubject:
    """What `subject` gives; see `Subject`."""

    framework = "jax"
    habits: Sequence[str] = ()

    def __init__(
        self,
        function: Callable[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        gradient: Callable[..., Any] | None,
        wrt: Any,
        afresh: bool = True,
    ) -> None:
        self.function, self.gradient = function, gradient
        self.name = getattr(function, "__name__", type(function).__name__)
        flat, self._tree = jax.tree_util.tree_flatten_with_path((tuple(args), dict(kwargs)))
        self._leaves = [leaf for _, leaf in flat]
        self._floating = [place for place, leaf in enumerate(self._leaves) if is_floating(leaf)]
        starts = leaves.roots(function, args, is_array)
        self.arrays = [np.array(self._leaves[place]) for place in self._floating]
        self.inputs = [
            Leaf(_path(flat[place][0], starts), array.shape, str(array.dtype))
            for place, array in zip(self._floating, self.arrays, strict=True)
        ]
        if not self.inputs:
            raise ValueError(f"{self.name} has no floating array among its arguments")
        self.wrt = leaves.chosen(
            [leaf.path for leaf in self.inputs], wrt, leaves.aliases(function, starts)
        )
        self._wide = any(leaf.format == "float64" for leaf in self.inputs)
        self._readings: dict[str, Reading] = {}
        self.kept = kept.of(self._key(), afresh)

    def _key(self) -> tuple[Any, ...] | None:
        """What the programs depend on, but for the numbers in the inputs."""
        floating = set(self._floating)
        still = [leaf for place, leaf in enumerate(self._leaves) if place not in floating]
        look = fingerprint.of(self.function, self.gradient, still)
        if look is None:
            return None
        settings = tuple(jax.config.values[name] for name in SETTINGS)
        return ("jax", look, settings, self._tree, tuple(self.inputs), tuple(self.wrt))

    # The function, and its derivatives as JAX has them

    def _arguments(self, arrays: Sequence[Any]) -> tuple[Any, Any]:
        filled = list(self._leaves)
        for place, array in zip(self._floating, arrays, strict=True):
            filled[place] = array
        return jax.tree_util.tree_unflatten(self._tree, filled)

    def _values(self, *arrays: Any) -> tuple[Any, ...]:
        """The floating leaves of the value."""
        args, kwargs = self._arguments(arrays)
        return tuple(leaf for _, leaf in self._floating_results(self.function(*args, **kwargs)))

    def _floating_results(self, value: Any) -> list[tuple[Any, Any]]:
        flat, _ = jax.tree_util.tree_flatten_with_path(value)
        if not flat:
            raise ValueError(f"{self.name} returned {value!r}, an array or arrays are needed")
        for _, leaf in flat:
            if is_complex(leaf):
                raise ValueError(f"{self.name} returned complex numbers: they are not checked yet")
            if not (is_array(leaf) or isinstance(leaf, (bool, int, float))):
                kind = type(leaf).__name__
                raise ValueError(f"{self.name} returned a {kind}, an array or arrays are needed")
        shown = [
            (path, jnp.asarray(leaf)) for path, leaf in flat if is_floating(leaf, scalars=True)
        ]
        if not shown:
            raise ValueError(f"{self.name} returned no floating array, so it has no derivative")
        return shown

    def _of_moved(self, inputs: Sequence[Any], function: Callable[..., Any]) -> Callable[..., Any]:
        """The function of what is differentiated alone."""

        def moved(*some: Any) -> Any:
            filled = list(inputs)
            for place, array in zip(self.wrt, some, strict=True):
                filled[place] = array
            return function(*filled)

        return moved

    def _pulled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arrays: Any) -> tuple[Any, ...]:
            inputs, cotangents = self._split(arrays)
            some = [inputs[place] for place in self.wrt]
            values, pull = jax.vjp(self._of_moved(inputs, function), *some)
            return (*values, *pull(tuple(cotangents)))

        return run

    def _pushed(self, *arrays: Any) -> tuple[Any, ...]:
        inputs, tangents = self._split(arrays)
        some = [inputs[place] for place in self.wrt]
        values, pushed = jax.jvp(self._of_moved(inputs, self._values), some, list(tangents))
        return (*values, *pushed)

    def _of_two(self, *arrays: Any) -> tuple[Any, ...]:
        """The first of a batch of two, the second half as large."""
        run = jax.vmap(self._pulled(self._values))
        both = run(*(jnp.stack([array, array / 2]) for array in arrays))
        return tuple(pair[0] for pair in both)

    def _given_gradient(self, *arrays: Any) -> tuple[Any, ...]:
        """What the user's own gradient returns, times the cotangent of a scalar."""
        assert self.gradient is not None
        inputs, cotangents = self._split(arrays)
        args, kwargs = self._arguments(inputs)
        values = self._values(*inputs)
        if len(values) == 1 and values[0].shape == ():
            answer = self.gradient(*args, **kwargs)
            parts = [jnp.asarray(leaf) * cotangents[0] for leaf in self._gradient_leaves(answer)]
        else:
            shaped = jax.tree_util.tree_unflatten(self._value_tree, list(cotangents))
            answer = self.gradient(*args, shaped, **kwargs)
            parts = [jnp.asarray(leaf) for leaf in self._gradient_leaves(answer)]
        return (*values, *parts)

    def _gradient_leaves(self, answer: Any) -> list[Any]:
        parts = jax.tree_util.tree_leaves(answer)
        expected = [self.inputs[place] for place in self.wrt]
        for part in parts:
            if not is_floating(part, scalars=True):
                kind = getattr(part, "dtype", type(part).__name__)
                raise TypeError(f"gradient returned {kind}, and has to return floating arrays")
        shapes = [tuple(np.shape(part)) for part in parts]
        if shapes != [leaf.shape for leaf in expected]:
            named = ", ".join(f"{leaf.path} {leaf.shape}" for leaf in expected)
            raise ValueError(f"gradient returned arrays of shapes {shapes}, expected {named}")
        return parts

    def _split(self, arrays: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any]]:
        return arrays[: len(self.inputs)], arrays[len(self.inputs) :]

    def _derivative(self, mode: str) -> Callable[..., Any]:
        if self.gradient is not None:
            return self._given_gradient
        runs = {
            "forward": self._pushed,
            "vmap": self._of_two,
            "remat": self._pulled(jax.checkpoint(self._values)),
        }
        return runs.get(mode) or self._pulled(self._values)

    # Programs

    @contextmanager
    def _precision(self) -> Iterator[None]:
        """x64 as a context where an argument is float64; the user's setting otherwise."""
        if not self._wide:
            yield
            return
        if hasattr(jax, "enable_x64"):
            context = jax.enable_x64(True)
        else:
            from jax.experimental import enable_x64

            context = enable_x64()
        with context:
            yield

    @cached_property
    def _jaxpr(self) -> tuple[Any, Any]:
        """The function's own jaxpr and the shapes of its value."""
        shapes: list[Any] = []

        def values(*arrays: Any) -> tuple[Any, ...]:
            args, kwargs = self._arguments(arrays)
            shown = self._floating_results(self.function(*args, **kwargs))
            shapes[:] = [(path, leaf.shape, str(leaf.dtype)) for path, leaf in shown]
            return tuple(leaf for _, leaf in shown)

        with self._precision():
            return traced(values, self._shapes(self.inputs)), shapes

    @cached_property
    def outputs(self) -> Sequence[Leaf]:
        """The floating leaves of the value."""
        return self.kept.get("outputs", self._outputs)

    def _outputs(self) -> Sequence[Leaf]:
        try:
            shown = self._jaxpr[1]
        except Unreadable:
            with self._precision():
                args, kwargs = self._arguments([jnp.asarray(array) for array in self.arrays])
                results = self._floating_results(self.function(*args, **kwargs))
            shown = [(path, leaf.shape, str(leaf.dtype)) for path, leaf in results]
        return [
            Leaf(leaves.path("value", path), tuple(shape), format) for path, shape, format in shown
        ]

    @cached_property
    def _value_tree(self) -> Any:
        with self._precision():
            args, kwargs = self._arguments([jnp.asarray(array) for array in self.arrays])
            return jax.tree_util.tree_structure(self.function(*args, **kwargs))

    def _shapes(self, listed: Sequence[Leaf]) -> list[Any]:
        return [jax.ShapeDtypeStruct(leaf.shape, FORMATS[leaf.format].numpy) for leaf in listed]

    def _given(self, mode: str) -> list[Leaf]:
        """The leaves that cotangents or tangents are like."""
        if mode == "forward":
            return [self.inputs[place] for place in self.wrt]
        return list(self.outputs)

    def _reading(self, mode: str) -> "Reading":
        """P, or Q in one mode, as read: once."""
        if mode not in self._readings:
            with self._precision():
                if mode == "primal":
                    closed, given = self._jaxpr[0], []
                else:
                    listed = self._given(mode)
                    shapes = self._shapes([*self.inputs, *listed])
                    closed = traced(self._derivative(mode), shapes)
                    given = [np.ones(leaf.shape) for leaf in listed]
                self._readings[mode] = Reading(closed, [*self.arrays, *given])
        return self._readings[mode]

    def primal(self) -> Program:
        """P. Raises Unreadable."""
        return self.kept.program("primal", lambda: self._reading("primal").program)

    def rule(self, mode: str) -> Program:
        """Q. Raises Unreadable."""
        # What jit compiles is the same jaxpr.
        mode = "reverse" if mode == "jit" else mode
        return self.kept.program(mode, lambda: self._reading(mode).program)

    @cached_property
    def modes(self) -> Sequence[str]:
        """The modes that apply: no forward mode through custom_vjp, no reverse through while."""
        return self.kept.get("modes", self._modes)

    def _modes(self) -> Sequence[str]:
        if self.gradient is not None:
            return ("reverse",)
        try:
            names = set(_parameters(self._jaxpr[0].jaxpr))
        except Unreadable:
            return ("reverse", "forward")  # nothing that traces applies
        forward = () if "fwd_jaxpr_thunk" in names else ("forward",)
        if "body_jaxpr" in names and not self._reverses():
            return forward
        return ("reverse", *forward, "jit", "vmap", "remat")

    def _reverses(self) -> bool:
        try:
            with self._precision():
                shapes = self._shapes([*self.inputs, *self._given("reverse")])
                traced(self._derivative("reverse"), shapes)
        except ValueError as error:
            return "Reverse-mode" not in str(error)
        return True

    # Numbers

    def numbers(self, mode: str, given: Sequence[Array]) -> Numbers:
        """What JAX computes: operation by operation, or compiled in mode jit."""
        with self._precision():
            arrays = [jnp.asarray(array) for array in (*self.arrays, *self._cast(mode, given))]
            results = self._engine(mode)(*arrays)
        shown = tuple(np.array(result) for result in results)
        count = len(self.outputs)
        return Numbers(shown[:count], shown[count:])

    def _cast(self, mode: str, given: Sequence[Array]) -> list[Array]:
        listed = self._given(mode)
        return [
            np.asarray(array).astype(FORMATS[leaf.format].numpy)
            for array, leaf in zip(given, listed, strict=True)
        ]

    def _engine(self, mode: str) -> Callable[..., Any]:
        if mode == "jit":
            compiled: Callable[..., Any] = self.kept.get(
                "compiled", lambda: jax.jit(self._derivative(mode))
            )
            return compiled
        return self._derivative(mode)

    def replay(self, mode: str, given: Sequence[Array]) -> Mapping[int, Array]:
        """Q's equations, one by one, as JAX computes them."""
        if mode == "jit":
            return {}  # its operations are fused, none has a value of its own
        with self._precision():
            return self._reading(mode).replay([*self.arrays, *self._cast(mode, given)])

    def custom_rules(self) -> Sequence[CustomRule]:
        """Each call of a custom_vjp or custom_jvp function, by itself."""
        with self._precision():
            reader = self._reading("primal").reader
            calls: Counter[int] = Counter()
            rules = []
            for call in reader.customs:
                calls[id(call.equation)] += 1
                if calls[id(call.equation)] <= CALLS_OF_A_RULE:
                    rules.append(custom_rule(reader, call))
            return [rule for rule in rules if rule is not None]

    def promise(self, mode: str) -> Promise:
        """XLA flushes subnormals; GPUs round the operands of float32 products to TF32."""
        formats = {leaf.format for leaf in self.inputs}
        coarse = jax.default_backend() == "gpu" and "float64" not in formats
        default = jax.config.jax_default_matmul_precision in (None, "default", "tensorfloat32")
        return Promise(
            flushes=bool(formats & set(FLUSHED)),
            operands="tf32" if coarse and default else None,
            library="xla",
        )


def _path(keys: Sequence[Any], starts: Sequence[str]) -> str:
    """args[0], params['w1'], or a keyword argument's name; the first key tells which."""
    group, entry, *rest = keys
    start = starts[entry.idx] if group.idx == 0 else str(entry.key)
    return leaves.path(start, rest)


def _parameters(jaxpr: Any) -> Iterator[str]:
    """The names of all equations' parameters, however deep."""
    for equation in jaxpr.eqns:
        yield from equation.params
        for value in equation.params.values():
            for inner in value if isinstance(value, tuple) else (value,):
                inner = getattr(inner, "jaxpr", inner)
                if hasattr(inner, "eqns"):
                    yield from _parameters(inner)
