"""The suite: engines × cases, judged, as rows."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from crosscheck import rows, sampling, ulp
from crosscheck.engines import names
from crosscheck.engines.conformity import Malformed, require
from crosscheck.engines.interface import Engine, Unsupported
from crosscheck.formats import FORMATS
from crosscheck.values import Array, Case, Distribution, Gradients
from crosscheck.verdict import Evidence, judge


@dataclass(frozen=True)
class Plan:
    """What a run does; rows are a function of this alone.

    `engines` are names of the table; cases have the indices 0 … cases - 1 in each dtype.

    Raises ValueError for an unknown dtype.
    """

    engines: tuple[str, ...] = names.DEFAULT
    dtypes: tuple[str, ...] = ("float32", "float64")
    cases: int = 100
    seed: int = 0
    distribution: Distribution = field(default_factory=Distribution)

    def __post_init__(self) -> None:
        for dtype in self.dtypes:
            if dtype not in FORMATS:
                raise ValueError(names.nearest(dtype, list(FORMATS), "dtype"))

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def draws(self) -> Iterator[Case]:
        """The cases, in order."""
        for index in range(self.cases):
            for dtype in self.dtypes:
                yield sampling.draw(self.distribution, self.seed, index, dtype)


@dataclass(frozen=True)
class Attempt:
    """What came of one engine on one case."""

    engine: str
    status: str
    seconds: float = float("nan")
    message: str = ""
    gradients: Gradients | None = None
    stages: Mapping[str, Array] | None = None


@dataclass(frozen=True)
class Outcome:
    """The rows of one case."""

    case: dict[str, Any]
    errors: list[dict[str, Any]]
    pairs: list[dict[str, Any]]


@dataclass(frozen=True)
class Frames:
    """The rows of a run; columns as in `rows`."""

    errors: pd.DataFrame
    cases: pd.DataFrame
    pairs: pd.DataFrame


Crew = Mapping[str, Engine | Unsupported]
"""Engines by name, or why one cannot run."""


def muster(engine_names: Sequence[str]) -> dict[str, Engine | Unsupported]:
    """The engines of these names; one whose library is missing stands as Unsupported.

    Raises ValueError for an unknown name.
    """
    crew: dict[str, Engine | Unsupported] = {}
    for name in engine_names:
        try:
            crew[name] = names.load(name)
        except Unsupported as why:
            crew[name] = why
    return crew


def attempt(name: str, engine: Engine | Unsupported, case: Case, deep: bool = False) -> Attempt:
    """Run one engine on one case; whatever it raises costs this case only.

    `deep` asks it for its intermediates as well, if it shows any.
    """
    if isinstance(engine, Unsupported):
        return Attempt(name, "unsupported", message=str(engine))
    if not engine.supports(case.architecture, case.dtype):
        return Attempt(name, "unsupported", message=f"does not take {_kind(case)}")
    started = time.perf_counter()
    try:
        gradients = engine.gradients(case)
        if getattr(engine, "compiles", False):
            started = time.perf_counter()
            gradients = engine.gradients(case)
        seconds = time.perf_counter() - started
        require(case, gradients)
        stages = engine.stages(case) if deep and hasattr(engine, "stages") else None
    except Malformed as error:
        return Attempt(name, "error", message=str(error))
    except Exception as error:
        return Attempt(name, "error", message=f"{type(error).__name__}: {error}")
    return Attempt(name, "ok", seconds, gradients=gradients, stages=stages)


def _kind(case: Case) -> str:
    a = case.architecture
    return f"{case.dtype} with {a.hidden} hidden layers, {a.output} output and {a.cost}"


def evaluate(crew: Crew, case: Case, deep: bool = True) -> Outcome:
    """All engines on one case, judged and compared in pairs.

    `deep` adds the ℓ2 bound, stagewise checks, and the oracle's certificate.
    """
    started = time.perf_counter()
    evidence = Evidence(case)
    attempts = [attempt(name, engine, case, deep) for name, engine in crew.items()]
    place = _place(case)
    errors = []
    for tried in attempts:
        if tried.gradients is not None:
            arithmetic = crew[tried.engine].arithmetic(case.dtype)  # type: ignore[union-attr]
            for row in judge(evidence, arithmetic, tried.gradients, deep, tried.stages):
                errors.append({**place, "engine": tried.engine, **row})
    pairs = _pairs(case, evidence, attempts)
    seconds = time.perf_counter() - started
    return Outcome(_case_row(case, evidence, attempts, seconds), errors, pairs)


def _place(case: Case) -> dict[str, Any]:
    """The columns that say which case a row is of."""
    architecture = case.architecture
    return {
        "case": case.id,
        "index": case.index,
        "layers": architecture.layers,
        "widths": architecture.label,
        "samples": case.samples,
        "hidden": architecture.hidden,
        "output": architecture.output,
        "scale": case.scale,
        "dtype": case.dtype,
    }


def _case_row(
    case: Case, evidence: Evidence, attempts: Sequence[Attempt], seconds: float
) -> dict[str, Any]:
    worst = max(attempts, key=lambda tried: rows.STATUSES.index(tried.status))
    row = {
        **_place(case),
        "seed": case.seed,
        "cost": case.architecture.cost,
        "special": case.special,
        "definition": sampling.definition(case),
        "parameters": case.architecture.parameters,
        "reference": evidence.enclosure.source,
        "reference_radius": evidence.relative_radius,
        "certificate": "",
        "status": worst.status,
        "seconds": seconds,
        "message": worst.message,
    }
    for tried in attempts:
        row[f"status:{tried.engine}"] = tried.status
        row[f"seconds:{tried.engine}"] = tried.seconds
        row[f"message:{tried.engine}"] = tried.message
    return row


def _pairs(case: Case, evidence: Evidence, attempts: Sequence[Attempt]) -> list[dict[str, Any]]:
    """The largest differences between each two engines that answered."""
    answered = [tried for tried in attempts if tried.gradients is not None]
    return [_difference(case, evidence, a, b) for a, b in combinations(answered, 2)]


def _difference(case: Case, evidence: Evidence, a: Attempt, b: Attempt) -> dict[str, Any]:
    assert a.gradients is not None
    assert b.gradients is not None
    largest, in_ulps = [], []
    exact = evidence.enclosure.hi
    tensors = zip(a.gradients.tensors(), b.gradients.tensors(), exact, strict=True)
    for one, other, reference in tensors:
        with np.errstate(invalid="ignore", over="ignore"):
            difference = np.abs(one.astype(np.float64) - other.astype(np.float64))
        difference[np.isnan(difference)] = np.inf
        largest.append(float(difference.max()))
        in_ulps.append(float(ulp.in_ulps(difference, reference, case.format).max()))
    worst = int(np.argmax(in_ulps))
    return {
        "case": case.id,
        "dtype": case.dtype,
        "engine_a": a.engine,
        "engine_b": b.engine,
        "max_abs_difference": max(largest),
        "max_ulp_difference": in_ulps[worst],
        "tensor": case.architecture.tensor_names[worst],
    }


def run(plan: Plan, crew: Crew, progress: Callable[[int], None] = lambda done: None) -> Frames:
    """All cases of the plan, in order, in this process.

    `progress` is called with the number of cases done.
    """
    outcomes = []
    for done, case in enumerate(plan.draws(), start=1):
        outcomes.append(evaluate(crew, case))
        progress(done)
    return as_frames(outcomes, list(crew))


def as_frames(outcomes: Sequence[Outcome], engine_names: Sequence[str]) -> Frames:
    """Rows as frames, with every column even where there is no row."""
    columns = dict(rows.CASES)
    for name in engine_names:
        columns.update(rows.engine_columns(name))
    return Frames(
        rows.frame((row for outcome in outcomes for row in outcome.errors), rows.ERRORS),
        rows.frame((outcome.case for outcome in outcomes), columns),
        rows.frame((row for outcome in outcomes for row in outcome.pairs), rows.PAIRS),
    )
