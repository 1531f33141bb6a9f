"""The smallest case that still fails, by hypothesis's own shrinking.

It is looked for among small networks of simple numbers first, then among parts of the failing
case itself.
"""

import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from crosscheck.arithmetic.costs import COSTS
from crosscheck.engines.interface import Engine, Malformed, require
from crosscheck.engines.user.contained import sentence
from crosscheck.engines.user.state import change
from crosscheck.networks.network import Architecture, Array, Case, Gradients
from crosscheck.results import extras
from crosscheck.verdicts.evidence import Evidence
from crosscheck.verdicts.verdict import decide

SIMPLE = 8
"""Simple numbers are k/4 with |k| up to this."""

MOST_LAYERS, MOST_WIDTH, MOST_SAMPLES = 4, 3, 3
"""Among small networks only these are tried."""

EXAMPLES = 400
"""Networks that hypothesis draws before it gives up finding one that fails."""


@dataclass(frozen=True)
class Failure:
    """How an engine fails on a case: `kind` is "DEFECT" or the exception's type."""

    kind: str
    message: str


def failure(engine: Engine, case: Case) -> Failure | None:
    """Run and judge; None where nothing is wrong, twice where the engine may keep state."""
    try:
        gradients = engine.gradients(case)
        require(case, gradients)
        changed = change(engine, case, gradients)
    except Malformed as error:
        return Failure("Malformed", sentence(str(error)))
    except Exception as error:
        return Failure(type(error).__name__, sentence(f"{type(error).__name__}: {error}"))
    defect = _defect(engine, case, gradients)
    if changed is None:
        return Failure("DEFECT", defect) if defect else None
    defect = defect or _defect(engine, case, changed.gradients)
    return Failure("DEFECT", f"{defect}; {changed.sentence}") if defect else None


def _defect(engine: Engine, case: Case, gradients: Gradients) -> str:
    """The first tensor that is proved wrong, and why; empty where none is."""
    verdicts = decide(Evidence(case), engine.arithmetic(case.dtype), gradients)
    for tensor, (verdict, reason) in zip(case.architecture.tensor_names, verdicts, strict=True):
        if verdict == "DEFECT":
            return f"{tensor} {reason}"
    return ""


class OutOfTime(BaseException):
    """The time is over; not an Exception, so that nobody on the way catches it."""


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

    Raises ValueError where the case does not fail, Missing where hypothesis is not installed.
    """
    extras.require("looking for the smallest case that fails", "hypothesis")
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
        with _nothing_kept():
            find(strategy, hunt.fails, settings=quiet, random=random.Random(0))
    except HypothesisException:
        return False
    return True


@contextmanager
def _nothing_kept() -> Iterator[None]:
    """No folder .hypothesis where the user happens to be; the user's own choice stays."""
    from hypothesis import configuration

    before = vars(configuration).get("__hypothesis_home_directory")
    with tempfile.TemporaryDirectory(prefix="crosscheck-") as place:
        configuration.set_hypothesis_home_dir(place)
        try:
            yield
        finally:
            configuration.set_hypothesis_home_dir(before)


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
    """The case with other numbers; targets as the cost means them, no bias where there is none."""
    dtype, expected = case.format.numpy, COSTS[architecture.cost].targets
    if expected:
        targets = expected(targets.astype(np.float64))
    if not architecture.with_biases:
        biases = [0 * b for b in biases]
    return replace(
        case,
        architecture=architecture,
        weights=tuple(w.astype(dtype) for w in weights),
        biases=tuple(b.astype(dtype) for b in biases),
        inputs=inputs.astype(dtype),
        targets=targets.astype(dtype),
        special="",
    )
