"""A case by its id, the smallest case that still fails, and a test to copy.

The smallest case is found by hypothesis's own shrinking: first among small networks of simple
numbers, then among parts of the failing case itself.
"""

import random
import re
import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from crosscheck import sampling
from crosscheck.conventions import READINGS
from crosscheck.distribution import Distribution
from crosscheck.engines.conformity import Malformed, require
from crosscheck.engines.interface import Engine, Unsupported
from crosscheck.formats import FORMATS
from crosscheck.values import Architecture, Array, Case, Gradients
from crosscheck.verdict import Evidence, TensorErrors, judge

CASE_ID = re.compile(r"s(\d+)-i(\d+)-([a-z0-9]+)(?:-([a-z]+))?")

SIMPLE = 8
"""Simple numbers are k/4 with |k| up to this."""

MOST_LAYERS, MOST_WIDTH, MOST_SAMPLES = 4, 3, 3
"""Among small networks only these are tried."""

EXAMPLES = 400
"""Networks that hypothesis draws before it gives up finding one that fails."""

ENTRIES_SHOWN = 40


def rebuild(case_id: str, of: Distribution) -> Case:
    """The case of this id, drawn from the distribution.

    Raises ValueError for what is no id of a case.
    """
    match = CASE_ID.fullmatch(case_id)
    if match is None:
        raise ValueError(f"{case_id!r} is no case: a case reads like s0-i17-float64-sigmoid")
    seed, index, dtype, output = match.groups()
    if dtype not in FORMATS:
        raise ValueError(f"unknown dtype {dtype!r} in {case_id}: known are {', '.join(FORMATS)}")
    if output is None and of.output not in ("both", *READINGS):
        output = of.output
    return sampling.draw(of, int(seed), int(index), dtype, output)


OPTIONS = ("layers", "widths", "samples", "hidden", "cost")
"""Options of a distribution that a case's id does not tell."""


def line(case: Case, address: str, of: Distribution, arrays: str = "numpy") -> str:
    """The command that reproduces the case, with every option that is not the default."""
    words = ["crosscheck", "reproduce", case.id, "--engine", address, *of.options(*OPTIONS)]
    words += [] if arrays == "numpy" else ["--arrays", arrays]
    return shlex.join([*words, "--shrink"])


@dataclass(frozen=True)
class Failure:
    """How an engine fails on a case: `kind` is "DEFECT" or the exception's type."""

    kind: str
    message: str


def failure(engine: Engine, case: Case) -> Failure | None:
    """Run and judge; None where nothing is wrong."""
    try:
        gradients = engine.gradients(case)
        require(case, gradients)
    except Malformed as error:
        return Failure("Malformed", str(error))
    except Exception as error:
        return Failure(type(error).__name__, f"{type(error).__name__}: {error}")
    rows = judge(Evidence(case), engine.arithmetic(case.dtype), gradients)
    defects = [row for row in rows if row["verdict"] == "DEFECT"]
    return Failure("DEFECT", f"{defects[0]['tensor']} {defects[0]['reason']}") if defects else None


class CannotRun(ValueError):
    """An engine that was asked for by name cannot run here."""

    exit_status = 3


class OutOfTime(BaseException):
    """The search is over; not an Exception, so that hypothesis lets it pass."""


class Hunt:
    """The smallest failing case so far, and the clock."""

    def __init__(self, engine: Engine, case: Case, kind: str, seconds: float) -> None:
        self.engine, self.kind, self.best = engine, kind, case
        self.until = time.monotonic() + seconds

    def fails(self, case: Case) -> bool:
        """Whether the case fails in the same way; the smallest is kept.

        Raises OutOfTime when the time is over.
        """
        if time.monotonic() > self.until:
            raise OutOfTime
        with np.errstate(all="ignore"):
            found = failure(self.engine, case)
        failing = found is not None and found.kind == self.kind
        if failing and size(case) < size(self.best):
            self.best = case
        return failing


def size(case: Case) -> tuple[float, ...]:
    """What is made small: layers, widths, samples, then the digits and magnitudes of numbers."""
    arrays = (*case.weights, *case.biases, case.inputs, case.targets)
    numbers = np.concatenate([np.asarray(a, np.float64).ravel() for a in arrays])
    digits = sum(len(repr(float(x))) for x in numbers) if len(numbers) < 1000 else np.inf
    widths = case.architecture.widths
    return (len(widths), sum(widths), case.samples, digits, float(np.abs(numbers).sum()))


def shrink(engine: Engine, case: Case, seconds: float) -> Case:
    """The smallest case found in the time that fails in the same way; the case itself at worst.

    Raises ValueError where the case does not fail.
    """
    found = failure(engine, case)
    if found is None:
        raise ValueError(f"{case.id} does not fail with {engine.name}: there is nothing to shrink")
    hunt = Hunt(engine, case, found.kind, seconds)
    try:
        for strategy in (_small_networks, _parts):
            if _search(strategy(case), hunt):
                break
    except OutOfTime:
        pass
    return hunt.best


def _search(strategy: Any, hunt: Hunt) -> bool:
    """Let hypothesis find a failing case and shrink it; whether there was one."""
    from hypothesis import HealthCheck, Phase, find, settings
    from hypothesis.errors import HypothesisException

    quiet = settings(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )
    try:
        find(strategy, hunt.fails, settings=quiet, random=random.Random(0))
    except HypothesisException:
        return False
    return True


def _small_networks(case: Case) -> Any:
    """Networks of few neurons with simple numbers, in the case's dtype and activations."""
    from hypothesis import strategies as st

    of = case.architecture
    number = st.integers(-SIMPLE, SIMPLE).map(lambda k: k / 4)

    @st.composite
    def networks(draw: Callable[..., Any]) -> Case:
        layers = draw(st.integers(2, min(MOST_LAYERS, of.layers)))
        width = st.integers(1, min(MOST_WIDTH, max(of.widths)))
        widths = tuple(draw(width) for _ in range(layers))
        samples = draw(st.integers(1, min(MOST_SAMPLES, case.samples)))

        def array(*shape: int) -> Array:
            count = int(np.prod(shape))
            return np.array([draw(number) for _ in range(count)]).reshape(shape)

        architecture = replace(of, widths=widths)
        return _with_numbers(
            case,
            architecture,
            [array(*shape) for shape in architecture.weight_shapes],
            [array(n) for n in widths[1:]],
            array(samples, widths[0]),
            array(samples, widths[-1]),
        )

    return networks()


def _parts(case: Case) -> Any:
    """Parts of the case: fewer samples and neurons, its own numbers with fewer bits."""
    from hypothesis import strategies as st

    of = case.architecture

    @st.composite
    def parts(draw: Callable[..., Any]) -> Case:
        widths = tuple(draw(st.integers(1, n)) for n in of.widths)
        samples = draw(st.integers(1, case.samples))
        bits = draw(st.integers(0, case.format.digits))

        def part(array: Array, *shape: int) -> Array:
            return _shortened(array[tuple(slice(n) for n in shape)], bits)

        architecture = replace(of, widths=widths)
        shapes = architecture.weight_shapes
        return _with_numbers(
            case,
            architecture,
            [part(w, *shape) for w, shape in zip(case.weights, shapes, strict=True)],
            [part(b, n) for b, n in zip(case.biases, widths[1:], strict=True)],
            part(case.inputs, samples, widths[0]),
            part(case.targets, samples, widths[-1]),
        )

    return parts()


def _shortened(array: Array, bits: int) -> Array:
    """Numbers with about this many significant bits."""
    fraction, exponent = np.frexp(array.astype(np.float64))
    shortened: Array = np.ldexp(np.round(fraction * 2.0**bits) / 2.0**bits, exponent)
    return shortened


def _with_numbers(
    case: Case,
    architecture: Architecture,
    weights: Sequence[Array],
    biases: Sequence[Array],
    inputs: Array,
    targets: Array,
) -> Case:
    dtype = case.format.numpy
    return replace(
        case,
        architecture=architecture,
        weights=tuple(w.astype(dtype) for w in weights),
        biases=tuple(b.astype(dtype) for b in biases),
        inputs=inputs.astype(dtype),
        targets=targets.astype(dtype),
        special="",
    )


def entries(engine: Engine, case: Case) -> pd.DataFrame:
    """A row per entry of the gradient: tensor, got, exact, error, bound and whether it is right."""
    gradients: Gradients = engine.gradients(case)
    require(case, gradients)
    evidence = Evidence(case)
    limits = evidence.bound(engine.arithmetic(case.dtype)).tensors
    found = []
    names = case.architecture.tensor_names
    for which, (name, got) in enumerate(zip(names, gradients.tensors(), strict=True)):
        errors = TensorErrors.of(got, evidence.enclosure, which, limits[which])
        for place in np.ndindex(got.shape):
            found.append(
                {
                    "entry": f"{name}{list(place)}",
                    "got": float(errors.got[place]),
                    "exact": float(errors.exact[place]),
                    "error": float(errors.error[place]),
                    "bound": float(errors.allowed[place]),
                    "wrong": bool(errors.beyond[place]),
                }
            )
    return pd.DataFrame(found)


NATIVE = {
    "torch": ("import torch", "torch.from_numpy(x)", "{}.detach().numpy()"),
    "jax": ("import jax.numpy as jnp", "jnp.asarray(x)", "np.asarray({})"),
}
"""For native arrays: what to import, how to make one of x, and how NumPy sees it again."""


def as_test(address: str, case: Case, expected: pd.DataFrame | None, arrays: str = "numpy") -> str:
    """A test to copy: pytest and NumPy alone, the numbers as exact literals.

    `expected` is the frame of `entries`, or None where the function raises or returns no
    gradient, so that calling it is the test.
    """
    place, _, function = address.rpartition(":")
    if place.endswith(".py"):
        imports = ["import runpy", "", "import numpy as np", ""]
        imports += [f"{function} = runpy.run_path({place!r})[{function!r}]"]
    else:
        imports = ["import numpy as np", f"from {place} import {function}"]
    name = re.sub(r"\W", "_", case.id)
    body = [f"def test_gradient_of_{name}():", *_literals(case)]
    call = f"    by_weight, by_bias = {function}(weights, biases, inputs, targets)"
    if arrays in NATIVE:
        native, make, back = NATIVE[arrays]
        imports.insert(imports.index("import numpy as np") + 1, native)
        body += [
            f"    weights, biases = [{make} for x in weights], [{make} for x in biases]",
            f"    inputs, targets = [{make} for x in (inputs, targets)]",
            call,
            *(f"    {t} = [{back.format('g')} for g in {t}]" for t in ("by_weight", "by_bias")),
        ]
    else:
        body.append(call)
    body += _assertions(case, expected)
    return "\n".join([*imports, "", "", *body, ""])


def _literals(case: Case) -> list[str]:
    def one(array: Array) -> str:
        numbers = np.asarray(array, np.float64).tolist()
        kind = "" if case.dtype == "float64" else f", np.{case.dtype}"
        return f"np.array({numbers!r}{kind})"

    return [
        f"    # {case.architecture.label}, D = {case.samples}, {case.architecture.hidden} hidden "
        f"layers, {case.architecture.output} output, {case.architecture.cost}",
        f"    weights = [{', '.join(map(one, case.weights))}]",
        f"    biases = [{', '.join(map(one, case.biases))}]",
        f"    inputs = {one(case.inputs)}",
        f"    targets = {one(case.targets)}",
    ]


def _assertions(case: Case, expected: pd.DataFrame | None) -> list[str]:
    """Shapes, and each tensor within what its rounding errors can be."""
    lines = []
    start = 0
    for which, (name, shape) in enumerate(
        zip(case.architecture.tensor_names, case.architecture.tensor_shapes, strict=True)
    ):
        got = f"{('by_weight', 'by_bias')[which % 2]}[{which // 2}]"
        lines.append(f"    assert {got}.shape == {shape}")
        if expected is None:
            continue
        rows = expected.iloc[start : start + int(np.prod(shape))]
        start += len(rows)
        exact, bound = (np.array(rows[c]).reshape(shape).tolist() for c in ("exact", "bound"))
        lines += [
            f"    exact_{name} = np.array({exact!r})",
            f"    bound_{name} = np.array({bound!r})  # what rounding alone may be off by",
            f"    assert np.all(np.abs({got} - exact_{name}) <= bound_{name}), {got}",
        ]
    return lines


def run(
    case_id: str, address: str, of: Distribution, seconds: float | None, arrays: str = "numpy"
) -> tuple[str, bool]:
    """What `crosscheck reproduce` prints, and whether the case fails.

    Raises ValueError for a case or an engine that cannot be found.
    """
    from crosscheck.engines import callable as user_engine, names

    case = rebuild(case_id, of)
    try:
        if ":" in address:
            engine: Engine = user_engine.from_text(address, arrays)
        else:
            engine, address = names.load(address), ""
    except Unsupported as why:
        raise CannotRun(str(why)) from None
    return describe(engine, address, case, seconds)


def describe(engine: Engine, address: str, case: Case, seconds: float | None) -> tuple[str, bool]:
    """What `crosscheck reproduce` prints, and whether the case fails.

    With `seconds`, the smallest case that fails is looked for that long.
    """
    found = failure(engine, case)
    of = case.architecture
    head = f"{case.id}: {of.label}, {of.output} output, D = {case.samples}, {case.dtype}"
    if found is None:
        return f"{head}\n{engine.name} is within its bound here.\n\n{_table(engine, case)}", False
    parts = [head, f"{engine.name} fails: {found.message}"]
    if seconds is not None:
        case = shrink(engine, case, seconds)
        parts.append(f"Smallest case that fails: {case.architecture.label}, D = {case.samples}")
    computed = None
    if found.kind == "DEFECT":
        parts.append(_table(engine, case))
        computed = entries(engine, case)
    if address:
        arrays = getattr(engine, "arrays", "numpy")
        parts.append("A test to copy:\n\n" + as_test(address, case, computed, arrays))
    return "\n\n".join(parts), True


def _table(engine: Engine, case: Case) -> str:
    frame = entries(engine, case)
    frame = frame.sort_values("wrong", ascending=False, kind="stable")
    shown = frame.head(ENTRIES_SHOWN)
    more = f"\n… and {len(frame) - len(shown)} more" if len(frame) > len(shown) else ""
    return shown.to_string(index=False, float_format=lambda x: f"{x:.17g}") + more
