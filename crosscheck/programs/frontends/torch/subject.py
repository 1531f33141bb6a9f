"""PyTorch's front end: P, Q and numbers of a function of tensors, or of a module.

P is read off a run of the forward alone, so that what an autograd.Function says of its derivative
takes no part; Q off a run of forward and backward.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from crosscheck.arithmetic.primitives.row import Array
from crosscheck.programs.errors import Promise
from crosscheck.programs.frontends import fingerprint, kept
from crosscheck.programs.frontends.leaves import aliases, chosen, path, roots
from crosscheck.programs.frontends.subject import CustomRule, Leaf, Numbers
from crosscheck.programs.frontends.theirs import is_complex
from crosscheck.programs.program import Builder, Program, Unreadable, needed


def owns(leaves: Any) -> bool:
    """Whether one of these is PyTorch's; loads nothing."""
    torch = sys.modules.get("torch")
    if torch is None:
        return False
    return any(isinstance(leaf, (torch.Tensor, torch.nn.Module)) for leaf in leaves)


def subject(
    function: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    gradient: Callable[..., Any] | None = None,
    wrt: Any = None,
    afresh: bool = True,
) -> "TorchSubject":
    """A function of tensors with its arguments; a module's parameters are arguments too.

    Raises ValueError where no argument is floating, where one is complex, or `wrt` names none.
    """
    return TorchSubject(function, tuple(args), dict(kwargs), gradient, wrt, afresh)


@dataclass(frozen=True)
class TracedProgram:
    """A program read off a run, PyTorch's own numbers in it by value, the
    calls of autograd.Functions in it, and whether something was computed under no_grad.
    """

    program: Program
    shown: Mapping[int, Array]
    calls: Sequence[Any] = ()
    paused: bool = False


@dataclass(eq=False)
class TorchSubject:
    """See `crosscheck.programs.frontends.subject.Subject`."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    gradient: Callable[..., Any] | None = None
    wanted: Any = None
    afresh: bool = True
    framework: str = "torch"
    _traces: dict[str, TracedProgram] = field(default_factory=dict)

    def __post_init__(self) -> None:
        import torch

        tree, starts = self._arguments()
        pairs, self._spec = torch.utils._pytree.tree_flatten_with_path(tree)
        self._leaves = [leaf for _, leaf in pairs]
        named = [self._path(keys, starts) for keys, _ in pairs]
        for name, leaf in zip(named, self._leaves, strict=True):
            if isinstance(leaf, torch.Tensor) and leaf.is_complex():
                raise ValueError(
                    f"{name} is complex: gradients of complex numbers are not checked yet"
                )
        self._floating = [
            place
            for place, leaf in enumerate(self._leaves)
            if isinstance(leaf, torch.Tensor) and leaf.is_floating_point()
        ]
        if not self._floating:
            raise ValueError("no argument is a floating tensor: there is nothing to differentiate")
        self.tensors = [self._leaves[place] for place in self._floating]
        self._unknown_formats([named[place] for place in self._floating])
        self.inputs = [
            Leaf(named[place], tuple(x.shape), _format(x))
            for place, x in zip(self._floating, self.tensors, strict=True)
        ]
        self.wrt = self._wrt(starts)
        self.random = torch.random.get_rng_state()
        self.kept = kept.of(self._key(), self.afresh)

    def _key(self) -> tuple[Any, ...] | None:
        """What the programs depend on, but for the numbers in the inputs."""
        import torch

        floating = set(self._floating)
        still = [leaf for place, leaf in enumerate(self._leaves) if place not in floating]
        look = fingerprint.of(self.function, self.gradient, still)
        if look is None:
            return None
        laid = tuple((type(x), x.stride(), x.requires_grad) for x in self.tensors)
        settings = torch.get_default_dtype(), torch.get_float32_matmul_precision()
        return "torch", look, settings, self._spec, laid, tuple(self.inputs), tuple(self.wrt)

    def _unknown_formats(self, named: Sequence[str]) -> None:
        for name, tensor in zip(named, self.tensors, strict=True):
            if _format(tensor) == "":
                raise ValueError(
                    f"{name} is {tensor.dtype}: float64, float32, bfloat16 and float16 are checked"
                )

    @property
    def name(self) -> str:
        """The function's name, or the module's class."""
        owner = getattr(self.function, "__self__", None)
        if isinstance(owner, type) and hasattr(owner, "apply"):
            return owner.__name__  # its apply
        return getattr(self.function, "__name__", None) or type(self.function).__name__

    @cached_property
    def module(self) -> Any:
        """The function, where it is a module."""
        import torch

        return self.function if isinstance(self.function, torch.nn.Module) else None

    def _arguments(self) -> tuple[Any, list[str]]:
        """All that the function is given: positional, by name, and a module's parameters."""
        import torch

        def is_leaf(x: Any) -> bool:
            return isinstance(x, torch.Tensor)

        called = self.module.forward if self.module is not None else self.function
        starts = roots(called, self.args, is_leaf)
        parameters = dict(self.module.named_parameters()) if self.module is not None else {}
        return (self.args, self.kwargs, parameters), starts

    def _path(self, keys: Sequence[Any], starts: Sequence[str]) -> str:
        kind, *rest = keys
        if kind.idx == 0:
            return path(starts[rest[0].idx], rest[1:])
        if kind.idx == 1:
            return path(str(rest[0].key), rest[1:])
        return str(rest[0].key)

    def _wrt(self, starts: Sequence[str]) -> Sequence[int]:
        """Those named; else all but a module's frozen parameters."""
        paths = [leaf.path for leaf in self.inputs]
        if self.wanted is not None:
            called = self.module.forward if self.module is not None else self.function
            return chosen(paths, self.wanted, aliases(called, starts))
        frozen = set()
        if self.module is not None:
            frozen = {n for n, p in self.module.named_parameters() if not p.requires_grad}
        return tuple(place for place, name in enumerate(paths) if name not in frozen)

    @cached_property
    def arrays(self) -> Sequence[Array]:
        """The inputs as NumPy arrays."""
        from crosscheck.programs.frontends.torch.storage import as_array

        return [as_array(tensor) for tensor in self.tensors]

    @cached_property
    def outputs(self) -> Sequence[Leaf]:
        """The floating leaves of the value. Runs the function once.

        Raises ValueError where there is none.
        """
        return self.kept.get("outputs", self._outputs)

    def _outputs(self) -> Sequence[Leaf]:
        given = self.fresh()
        described = self._described(self.call(given))
        self._require_unchanged(given)
        return described

    def _require_unchanged(self, given: Sequence[Any]) -> None:
        for leaf, tensor, before in zip(self.inputs, given, self.tensors, strict=True):
            if not tensor.equal(before.detach()):
                raise ValueError(
                    f"{self.name} changes {leaf.path} in place: let it work on a copy of what it "
                    "is given"
                )

    def _described(self, value: Any) -> list[Leaf]:
        import torch

        pairs, _ = torch.utils._pytree.tree_flatten_with_path(value)
        if any(is_complex(x) for _, x in pairs):
            raise ValueError(f"{self.name} returned complex numbers: they are not checked yet")
        leaves = [
            Leaf(path("value", keys), tuple(x.shape), _format(x))
            for keys, x in pairs
            if isinstance(x, torch.Tensor) and x.is_floating_point()
        ]
        if not leaves:
            raise ValueError(
                f"{self.name} returned {type(value).__name__} without a floating tensor: there is "
                "nothing to differentiate"
            )
        return leaves

    def fresh(self, requires_grad: bool = False) -> list[Any]:
        """Copies of the inputs, which nothing else sees."""
        copies = [tensor.detach().clone() for tensor in self.tensors]
        return [copy.requires_grad_(requires_grad) for copy in copies]

    def call(self, tensors: Sequence[Any]) -> Any:
        """The value with these as floating inputs, from the same random state."""
        import torch

        leaves = [x.clone() if isinstance(x, torch.Tensor) else x for x in self._leaves]
        for place, tensor in zip(self._floating, tensors, strict=True):
            leaves[place] = tensor
        args, kwargs, parameters = torch.utils._pytree.tree_unflatten(leaves, self._spec)
        torch.random.set_rng_state(self.random)
        return self._called(args, kwargs, parameters)

    def _called(self, args: Any, kwargs: Any, parameters: Any) -> Any:
        import torch

        if self.module is None:
            return self.function(*args, **kwargs)
        buffers = {name: buffer.clone() for name, buffer in self.module.named_buffers()}
        return torch.func.functional_call(self.module, {**parameters, **buffers}, args, kwargs)

    def called_gradient(self, tensors: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        """What the user's gradient function returns, one for each place in `wrt`.

        It takes the cotangent after the arguments, where the value is no single number; else the
        cotangent multiplies what it returns. Raises ValueError for another tree or shape.
        """
        import torch

        value = self.call(self.fresh())
        single = len(self.outputs) == 1 and self.outputs[0].shape == ()
        given = iter(cotangents)
        cotangent = torch.utils._pytree.tree_map(
            lambda x: next(given) if self.floating(x) else None, value
        )
        leaves = list(self._leaves)
        for place, tensor in zip(self._floating, tensors, strict=True):
            leaves[place] = tensor
        args, kwargs, _ = torch.utils._pytree.tree_unflatten(leaves, self._spec)
        assert self.gradient is not None
        results = self.gradient(*args, *([] if single else [cotangent]), **kwargs)
        gradients = self._matched(self.floating(results))
        return [g * cotangents[0] for g in gradients] if single else gradients

    def _matched(self, gradients: list[Any]) -> list[Any]:
        wanted = [self.inputs[place] for place in self.wrt]
        if [tuple(g.shape) for g in gradients] != [leaf.shape for leaf in wanted]:
            names = ", ".join(f"{leaf.path} {leaf.shape}" for leaf in wanted)
            shapes = ", ".join(str(tuple(g.shape)) for g in gradients)
            raise ValueError(
                f"the gradient returned arrays of shapes {shapes or 'none'}, and has to return one "
                f"for each of {names}"
            )
        return gradients

    def floating(self, value: Any) -> list[Any]:
        """The floating leaves of a value."""
        import torch

        leaves = torch.utils._pytree.tree_leaves(value)
        return [x for x in leaves if isinstance(x, torch.Tensor) and x.is_floating_point()]

    @cached_property
    def modes(self) -> Sequence[str]:
        """Those of `modes.MODES` that apply here, then the habits."""
        from crosscheck.programs.frontends.torch import modes

        return [*self.kept.get("modes", lambda: modes.applicable(self)), *self.habits]

    @cached_property
    def habits(self) -> Sequence[str]:
        """Those of `habits.HABITS` that apply here."""
        from crosscheck.programs.frontends.torch import habits

        return habits.applicable(self)

    @property
    def pauses(self) -> bool:
        """Whether something is computed under no_grad, which forward mode does not heed."""
        return self._primal().paused

    def primal(self) -> Program:
        """P."""
        return self.kept.program("primal", lambda: self._primal().program)

    def _primal(self) -> TracedProgram:
        if "" not in self._traces:
            self._traces[""] = self._read(None, ())
        return self._traces[""]

    def rule(self, mode: str) -> Program:
        """Q."""
        mode = self._recorded(mode)
        return self.kept.program(mode, lambda: self._trace(mode).program)

    def _trace(self, mode: str) -> TracedProgram:
        mode = self._recorded(mode)
        if mode not in self._traces:
            import numpy as np

            from crosscheck.programs.frontends.torch.modes import MODES

            leaves = [self.inputs[x] for x in self.wrt] if MODES[mode].forward else self.outputs
            ones = [np.ones(leaf.shape).astype(_numpy(leaf.format)) for leaf in leaves]
            self._traces[mode] = self._read(mode, ones)
        return self._traces[mode]

    def _recorded(self, mode: str) -> str:
        """The mode whose program this is: backward's for what is compiled or a habit."""
        return "backward" if mode == "compile" or mode in self.habits else mode

    def numbers(self, mode: str, given: Sequence[Array]) -> Numbers:
        """PyTorch's own; attention in narrow formats by its formula, as the program has it.

        Raises Unreadable where the function refuses what it may refuse.
        """
        import torch

        from crosscheck.programs.frontends.torch.habits import HABITS, REFUSED
        from crosscheck.programs.frontends.torch.modes import MODES
        from crosscheck.programs.frontends.torch.storage import as_array, as_tensor

        run = HABITS[mode] if mode in HABITS else MODES[mode].run
        try:
            with preserved(), plain_attention(torch) if self.narrow else nullcontext():
                values, derivatives = run(self, self.fresh(), [as_tensor(x) for x in given])
        except RuntimeError as error:
            if mode in REFUSED:
                raise Unreadable(f"{self.name} refuses them: {error}") from error
            raise
        return Numbers(tuple(as_array(x) for x in values), tuple(as_array(x) for x in derivatives))

    def replay(self, mode: str, given: Sequence[Array]) -> Mapping[int, Array]:
        """PyTorch's own values in the run that the program is read off."""
        if mode == "compile":
            return {}
        before, again = self.rule(mode), self._read(self._recorded(mode), given)
        same = [o.primitive for o in before.operations] == [
            o.primitive for o in again.program.operations
        ]
        return again.shown if same else {}

    def _read(self, mode: str | None, given: Sequence[Array]) -> TracedProgram:
        import torch

        from crosscheck.programs.frontends.torch.modes import MODES
        from crosscheck.programs.frontends.torch.reader import TorchReader
        from crosscheck.programs.frontends.torch.storage import as_tensor

        reader = TorchReader(Builder(), stops=mode is None)
        tensors, extra = self.fresh(), [as_tensor(x) for x in given]
        for tensor in (*tensors, *extra):
            reader.input(tensor)
        with preserved(), plain_kernels(torch), torch.enable_grad():
            if mode is None:
                for tensor in tensors:
                    tensor.requires_grad_(True)
                results = self.floating(reader.run(self.call, tensors))
            else:
                values, derivatives = reader.run(MODES[mode].run, self, tensors, extra)
                results = [*values, *derivatives]
            if not torch.equal(torch.random.get_rng_state(), self.random):
                self.kept.refuse()  # it drew random numbers, and draws others the next time
        return _traced(reader, [reader.memory.read(x) for x in results])

    @property
    def calls(self) -> Sequence[Any]:
        """The calls of autograd.Functions, with their operands."""
        return self._trace("gradient" if self.gradient is not None else "backward").calls

    def custom_rules(self) -> Sequence[CustomRule]:
        """The autograd.Functions that are called, one by one."""
        from crosscheck.programs.frontends.torch.rules import custom_rules

        return custom_rules(self)

    def promise(self, mode: str) -> Promise:
        """Whether subnormals are flushed; narrow formats are summed in float32."""
        import torch

        flushed = bool((torch.tensor([2.0**-140]) * 1.0 == 0).item())
        accumulate = "float32" if self.narrow else None
        return Promise(flushes=flushed, accumulate=accumulate, library="torch")

    @property
    def narrow(self) -> bool:
        """Whether some input is in 16 bits."""
        return any(leaf.format in ("bfloat16", "float16") for leaf in self.inputs)


def _traced(reader: Any, outputs: Sequence[int]) -> TracedProgram:
    """What was read, without what no output needs, and what was shown of the rest."""
    import numpy as np

    build = reader.build
    program = build.program(outputs)
    everything = Program(
        tuple(build.operations), tuple(build.inputs), tuple(outputs), tuple(build.holds)
    )
    kept = needed(everything)
    place = np.cumsum(kept) - 1
    shown = {int(place[x]): array for x, array in reader.shown.items() if kept[x]}
    return TracedProgram(program, shown, reader.calls, reader.paused)


@contextmanager
def preserved() -> Iterator[None]:
    """The user's random state, and gradient mode, as they were."""
    import torch

    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        yield


@contextmanager
def plain_kernels(torch: Any) -> Iterator[None]:
    """Attention by its formula and recurrent nets step by step, instead of fused kernels."""
    enabled = torch._C._get_mkldnn_enabled()
    torch._C._set_mkldnn_enabled(False)
    try:
        with plain_attention(torch):
            yield
    finally:
        torch._C._set_mkldnn_enabled(enabled)


def plain_attention(torch: Any) -> Any:
    """scaled_dot_product_attention by its formula."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    return sdpa_kernel(SDPBackend.MATH)


def _format(tensor: Any) -> str:
    from crosscheck.programs.frontends.torch.storage import FORMATS

    return FORMATS.get(tensor.dtype, "")


def _numpy(format: str) -> Any:
    from crosscheck.arithmetic.formats import FORMATS

    return FORMATS[format].numpy
