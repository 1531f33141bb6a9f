"""gradcheck() and tolerance(): a proof for the gradient of any function, without a tolerance."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from crosscheck.arithmetic.formats import FORMATS
from crosscheck.arithmetic.primitives.table import PRIMITIVES
from crosscheck.checking import gradient_report
from crosscheck.checking.gradient_report import GradientReport, Tried
from crosscheck.networks import ranges
from crosscheck.programs import arguments
from crosscheck.programs.frontends import frameworks, theirs
from crosscheck.programs.frontends.subject import Subject
from crosscheck.programs.program import Endless, Program, Unreadable
from crosscheck.programs.trial.trial import Accumulate, JudgedMode, NotGiven, Trial, failed

OPTIONAL_MODES = frozenset({"compile"})
"""Modes that are tried only where they are asked for."""


@dataclass(frozen=True, eq=False)
class Question:
    """What is asked of a function: everything but its arguments."""

    function: Callable[..., Any]
    gradient: Callable[..., Any] | None = None
    reference: Callable[..., Any] | None = None
    wrt: Any = None
    modes: Sequence[str] | None = None
    cotangent: Any = None
    accumulate: Accumulate = None
    operands: str | None = None
    intended: frozenset[str] = frozenset()
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("function", "gradient", "reference"):
            given = getattr(self, name)
            if given is not None and not callable(given):
                raise TypeError(f"{name} is {given!r}, and has to be a function")
        if self.operands not in (None, "tf32"):
            raise ValueError(f"operands={self.operands!r} has to be 'tf32' or None")
        _require_formats(self.accumulate)

    def trial(self, args: Sequence[Any], kwargs: Mapping[str, Any], afresh: bool = True) -> Trial:
        """The function with these arguments, on trial; traced `afresh`, or as it was before."""
        theirs.require_real_numbers(args, kwargs)
        subject = self._subject(self.function, args, kwargs, afresh)
        theirs.require_no_nan([leaf.path for leaf in subject.inputs], subject.arrays)
        standard = (
            None if self.reference is None else self._subject(self.reference, args, kwargs, afresh)
        )
        cotangents = None if self.cotangent is None else _fitting(self.cotangent, subject)
        return Trial(
            subject,
            standard,
            cotangents,
            self.accumulate,
            self.operands,
            self.intended,
            self.seed,
        )

    def _subject(
        self, function: Any, args: Sequence[Any], kwargs: Mapping[str, Any], afresh: bool
    ) -> Subject:
        return frameworks.subject(function, args, kwargs, self.gradient, self.wrt, afresh)

    def tried(
        self, args: Sequence[Any], kwargs: Mapping[str, Any], first: bool = True
    ) -> tuple[Trial, list[JudgedMode]]:
        """The verdicts at these arguments, with the programs of before if these confirm it.

        A program that was kept may be of a function that has changed since, in a way that no
        fingerprint shows; so it only ever confirms, and all else is traced and judged anew.
        """
        trial = self.trial(args, kwargs, afresh=False)
        try:
            judged = self.judged(trial, first)
        except Exception:
            if not trial.recalled:
                raise
            judged = []
        if trial.recalled and not (judged and all(one.confirmed for one in judged)):
            trial = self.trial(args, kwargs)
            judged = self.judged(trial, first)
        return trial, judged

    def judged(self, trial: Trial, first: bool = True) -> list[JudgedMode]:
        """The verdicts in every mode that was asked for, or that applies.

        The habits of use are tried on the first set of arguments alone. What the function raises
        is kept with its traceback; what we have to say of it is raised.
        """
        try:
            self._require_an_end(trial)
            return [trial.judge(mode) for mode in self._modes(trial.subject, first)]
        except (Exception, SystemExit) as error:
            if isinstance(error, Unreadable | NotGiven) or not theirs.raised_by_theirs(error):
                raise
            return [failed("", error)]

    def _require_an_end(self, trial: Trial) -> None:
        """Read the program before the function is called: reading ends by itself."""
        with suppress(Unreadable):
            try:
                program = trial.primal
            except Endless as why:
                raise NotGiven(str(why)) from None
            if trial.standard is not None:
                _require_same_value(program, trial.subject)

    def _modes(self, subject: Subject, first: bool) -> list[str]:
        if self.modes is None:
            left_out = OPTIONAL_MODES if first else OPTIONAL_MODES | set(subject.habits)
            return [mode for mode in subject.modes if mode not in left_out]
        for mode in self.modes:
            if mode not in subject.modes:
                known = ", ".join(subject.modes)
                raise ValueError(f"unknown mode {mode!r}: {subject.framework} has {known} here")
        return list(self.modes)


def gradcheck(
    f: Callable[..., Any],
    *args: Any,
    gradient: Callable[..., Any] | None = None,
    reference: Callable[..., Any] | None = None,
    wrt: Any = None,
    modes: Sequence[str] | str | None = None,
    cotangent: Any = None,
    accumulate: Accumulate = None,
    operands: str | None = None,
    shapes: Any = None,
    cases: int = 1,
    seed: int = 0,
    intended: Sequence[str] = (),
    **kwargs: Any,
) -> GradientReport:
    """Check the derivative of f at these arguments, arrays or pytrees of NumPy, torch or JAX.

    Without `gradient` the framework's own differentiation of f is on trial, custom rules
    included; with it `gradient(*args)` is, or `gradient(*args, cotangent)` where the value is no
    scalar. `reference` is a plain function with the value of f that f promises to be no worse
    than, for what cannot be read (kernels, callbacks); `accumulate` the wider format of its sums,
    or a mapping from operations to formats; `operands="tf32"` allows products of operands rounded
    to 10 bits. `wrt` names the leaves to differentiate, by path or place; `modes` the ways of
    differentiation; `intended` the custom rules that are meant to differ. With `shapes` (a list
    of shapes, one an argument, or pytrees of them) or more `cases`, arguments are drawn, a set a
    case as a function of (seed, index), and what fails is shrunk.

    Raises ValueError for bad input, TypeError for arguments or values of a type that is not
    known, and Unreadable where neither f nor a reference can be read.
    """
    question = Question(
        f,
        gradient,
        reference,
        wrt,
        [modes] if isinstance(modes, str) else modes,
        cotangent,
        accumulate,
        operands,
        _names(intended),
        ranges.whole("seed", seed),
    )
    count = ranges.whole("cases", cases, 1)
    if shapes is None and count == 1:
        return gradient_report.of(question.seed, [_tried(question, args, kwargs, 0, "")])
    return _drawn(question, args, kwargs, shapes, count)


def _names(intended: Sequence[str] | str) -> frozenset[str]:
    names = [intended] if isinstance(intended, str) else intended
    if not isinstance(names, Iterable) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"intended={intended!r} has to be names of rules")
    return frozenset(names)


def _tried(
    question: Question, args: Sequence[Any], kwargs: Mapping[str, Any], index: int, kind: str
) -> Tried:
    return Tried(index, kind, *question.tried(args, kwargs, first=index == 0))


def _drawn(
    question: Question, args: Sequence[Any], kwargs: Mapping[str, Any], shapes: Any, count: int
) -> GradientReport:
    """As many sets of arguments; the first that fails is shrunk."""
    template = Template.of(question, args if shapes is None else shapes, kwargs)
    tried = []
    for index in range(count):
        kind = arguments.kind(index)
        drawn = template.draw(question.seed, index)
        tried.append(_tried(question, *drawn, index, kind))
    report = gradient_report.of(question.seed, tried)
    failing = next((one for one in tried if one.fails), None)
    if failing is None:
        return report
    return replace(report, smallest_arguments=_shrunk(question, template, failing))


def tolerance(
    f: Callable[..., Any],
    *args: Any,
    reference: Callable[..., Any] | None = None,
    accumulate: Accumulate = None,
    gradient: Callable[..., Any] | None = None,
    wrt: Any = None,
    cotangent: Any = None,
    **kwargs: Any,
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """What f's value and gradients are, and what rounding may make of them, entry by entry.

    A mapping from each leaf's path ("value", "args[0]", "params['w1']") to (exact, allowed),
    float64 arrays of the leaf's shape: a tolerance that nobody had to invent. `allowed` is ∞
    where nothing is known.

    Raises as `gradcheck` does.
    """
    question = Question(f, gradient, reference, wrt, None, cotangent, accumulate)
    trial = question.trial(args, kwargs)
    return {
        path: (exact, allowed) for path, exact, allowed in trial.tolerances(trial.subject.modes[0])
    }


def _require_formats(accumulate: Accumulate) -> None:
    """Raises ValueError for a format, or an operation, that is not known."""
    if accumulate is None:
        return
    named = accumulate if isinstance(accumulate, Mapping) else {"sum": accumulate}
    for operation, format in named.items():
        if operation not in PRIMITIVES:
            raise ValueError(f"accumulate names the operation {operation!r}: sum and dot are some")
        if format not in FORMATS:
            known = ", ".join(FORMATS)
            raise ValueError(f"accumulate={format!r} is no format: {known} are")


def _require_same_value(program: Program, subject: Subject) -> None:
    """Raises ValueError where a reference has a value of another shape than the function."""
    shapes = [program.operations[output].shape for output in program.outputs]
    wanted = [tuple(leaf.shape) for leaf in subject.outputs]
    if shapes != wanted:
        raise NotGiven(f"the reference returns shapes {shapes}, and {subject.name} {wanted}")


def _fitting(cotangent: Any, subject: Subject) -> list[np.ndarray]:
    """The cotangent's arrays, one for each leaf of the value.

    Raises ValueError where it does not fit.
    """
    try:
        given = [_plain(leaf) for leaf in frameworks.leaves(cotangent)]
    except (ValueError, TypeError):
        kind = type(cotangent).__name__
        raise ValueError(f"the cotangent is a {kind}, and has to be of arrays") from None
    wanted = [tuple(leaf.shape) for leaf in subject.outputs]
    if [array.shape for array in given] != wanted:
        raise ValueError(
            f"the cotangent has shapes {[array.shape for array in given]}, and the value {wanted}"
        )
    return [
        arguments.rounded(array, leaf.format)
        for array, leaf in zip(given, subject.outputs, strict=True)
    ]


def _plain(leaf: Any) -> np.ndarray:
    if hasattr(leaf, "detach"):
        leaf = leaf.detach().cpu()
        leaf = leaf.float() if str(leaf.dtype) == "torch.bfloat16" else leaf
    return np.asarray(leaf).astype(np.float64)


Path = tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class Template:
    """Arguments to be drawn: a tree with (shape, format) for what is drawn, the rest as it is."""

    tree: Any
    places: tuple[tuple[Any, str], ...]
    framework: str
    kwargs: Mapping[str, Any]

    @classmethod
    def of(cls, question: Question, shapes: Any, kwargs: Mapping[str, Any]) -> "Template":
        """From a list of shapes, or of arrays, one an argument, or trees of them.

        Raises ValueError for what is neither.
        """
        if isinstance(shapes, tuple) and shapes and all(isinstance(n, int) for n in shapes):
            shapes = [shapes]
        if isinstance(shapes, str) or not isinstance(shapes, Iterable):
            raise ValueError(f"shapes={shapes!r} must be a list of shapes, one an argument")
        places: list[tuple[Any, str]] = []
        tree = [_slots(entry, places) for entry in shapes]
        if not places:
            raise ValueError("there is nothing to draw: no argument is a floating array or a shape")
        framework = frameworks.framework_of(
            question.function, list(shapes), kwargs, question.gradient
        )
        return cls(tree, tuple(places), framework, kwargs)

    def draw(
        self, seed: int, index: int, shapes: Sequence[Any] | None = None
    ) -> tuple[list[Any], Mapping[str, Any]]:
        """The arguments of this index, of other shapes where they are given."""
        wanted = [shape for shape, _ in self.places] if shapes is None else shapes
        formats = [format for _, format in self.places]
        arrays = arguments.draw(list(zip(wanted, formats, strict=True)), seed, index)
        native = [as_native(array, self.framework) for array in arrays]
        return [_filled(entry, native) for entry in self.tree], self.kwargs


@dataclass(frozen=True)
class _Slot:
    place: int


def _slots(entry: Any, places: list[tuple[Any, str]]) -> Any:
    """The entry with a slot for each array or shape; `places` gets their (shape, format)."""
    if isinstance(entry, tuple) and all(isinstance(n, int) and n >= 0 for n in entry):
        places.append((entry, "float64"))
        return _Slot(len(places) - 1)
    if hasattr(entry, "shape") and hasattr(entry, "dtype"):
        format = str(entry.dtype).removeprefix("torch.")
        if format in FORMATS:
            places.append((tuple(int(n) for n in entry.shape), format))
            return _Slot(len(places) - 1)
        return entry
    if isinstance(entry, Mapping):
        return {name: _slots(inner, places) for name, inner in entry.items()}
    if isinstance(entry, list | tuple):
        return [_slots(inner, places) for inner in entry]
    return entry


def _filled(entry: Any, arrays: Sequence[Any]) -> Any:
    if isinstance(entry, _Slot):
        return arrays[entry.place]
    if isinstance(entry, dict):
        return {name: _filled(inner, arrays) for name, inner in entry.items()}
    if isinstance(entry, list):
        return [_filled(inner, arrays) for inner in entry]
    return entry


def as_native(array: np.ndarray, framework: str) -> Any:
    """A NumPy array as the framework's own; JAX and NumPy take it as it is."""
    if framework != "torch":
        return array
    import torch

    if str(array.dtype) == "bfloat16":
        return torch.from_numpy(array.astype(np.float32)).to(torch.bfloat16)
    return torch.from_numpy(array.copy())


def _shrunk(question: Question, template: Template, failing: Tried) -> Tried:
    """The same failure on smaller shapes, as long as there are any."""
    best = failing
    shapes = [shape for shape, _ in template.places]
    progress = True
    while progress:
        progress = False
        for before in arguments.sizes(shapes):
            for after in sorted({1, 2, before // 2, before - 1} - {0, before}):
                if after > before:
                    continue
                smaller = arguments.resized(shapes, before, after)
                tried = _again(question, template, failing, smaller)
                if tried is not None and tried.failure == failing.failure:
                    best, shapes, progress = tried, smaller, True
                    break
            if progress:
                break
    return best


def _again(
    question: Question, template: Template, failing: Tried, shapes: Sequence[Any]
) -> Tried | None:
    """The same draw in other shapes; None where the function does not take them."""
    try:
        drawn = template.draw(question.seed, failing.index, shapes)
        return _tried(question, *drawn, failing.index, failing.kind)
    except (Unreadable, NotGiven, ValueError, TypeError, IndexError, RuntimeError):
        return None
