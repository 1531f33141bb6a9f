"""The suite: engines × cases, judged, as rows."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import pandas as pd

from crosscheck import rows, sampling
from crosscheck.engines import callable as user_engine, names
from crosscheck.engines.conformity import Malformed, require
from crosscheck.engines.interface import Engine, EngineFailed, Unsupported
from crosscheck.measuring import flat
from crosscheck.plan import Plan as Plan, Span
from crosscheck.values import Array, Case, Gradients
from crosscheck.verdict import Claim, Evidence, first_disagreement, judge_all


@dataclass(frozen=True)
class Attempt:
    """What came of one engine on one case; `seconds` is the time of one gradient."""

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


def load(name: str) -> Engine | Unsupported:
    """The engine of this name, or of a function "module:function"; Unsupported if it cannot run.

    Raises ValueError for an unknown name, or a function that cannot be found.
    """
    if ":" in name:
        return user_engine.from_text(name)
    try:
        return names.load(name)
    except Unsupported as why:
        return why


def muster(engine_names: Sequence[str]) -> dict[str, Engine | Unsupported]:
    """The engines of these names, as `load` gives them."""
    return {name: load(name) for name in engine_names}


Condemned = Mapping[tuple[int, str, str], tuple[str, str]]
"""(index, dtype, engine) to the (status, message) of an attempt that ended a process.

The engine "" is the judging of the case.
"""


class Overseer:
    """Is told what begins, so that a process that dies or hangs says of what.

    `condemned` attempts are not made again; the engines `alone` get one case at a time.
    """

    condemned: Condemned = MappingProxyType({})
    alone: frozenset[str] = frozenset()

    def begin(self, case: Case, engine: str, many: bool = False) -> None:
        """An engine begins on a case, or on `many` that begin with it; "" is the judge."""


IN_PROCESS = Overseer()
DEFAULT_PLAN = Plan()


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
    except EngineFailed as error:
        return Attempt(name, error.status, message=str(error))
    except Exception as error:
        return Attempt(name, "error", message=f"{type(error).__name__}: {error}")
    return Attempt(name, "ok", seconds, gradients=gradients, stages=stages)


def _kind(case: Case) -> str:
    a = case.architecture
    return f"{case.dtype} with {a.hidden} hidden layers, {a.output} output and {a.cost}"


BATCH_ENTRIES = 1 << 22
"""Parameters of the cases that are held at a time."""


def evaluate_block(
    plan: Plan, crew: Crew, span: Span, overseer: Overseer = IN_PROCESS
) -> Iterator[Outcome]:
    """The outcomes of the cases of these indices, in order; no row depends on the span."""
    for cases in _batches(plan.draws(span)):
        ready = {
            name: _attempt_together(name, engine, cases, plan, overseer)
            for name, engine in crew.items()
            if hasattr(engine, "gradients_of") and name not in overseer.alone
        }
        for place, case in enumerate(cases):
            takers = {n: engine for n, engine in crew.items() if plan.takes(n, case.index)}
            done = {name: attempts[place] for name, attempts in ready.items()}
            deep = plan.goes_deep(case.index)
            outcome = evaluate(takers, case, deep, done, overseer, plan)
            for name in crew.keys() - takers.keys():
                outcome.case.update(_attempt_columns(Attempt(name, rows.NOT_SAMPLED)))
            yield outcome


def _batches(cases: Iterator[Case]) -> Iterator[list[Case]]:
    """The cases in lists that fit into memory together."""
    batch: list[Case] = []
    entries = 0
    for case in cases:
        batch.append(case)
        entries += case.architecture.parameters + case.inputs.size + case.targets.size
        if entries > BATCH_ENTRIES:
            yield batch
            batch, entries = [], 0
    if batch:
        yield batch


def _attempt_together(
    name: str, engine: Any, cases: Sequence[Case], plan: Plan, overseer: Overseer
) -> list[Attempt | None]:
    """One engine on all cases that it takes, at once; None where it is to be tried alone."""
    attempts: list[Attempt | None] = [None] * len(cases)
    taken = [
        place
        for place, case in enumerate(cases)
        if plan.takes(name, case.index)
        and engine.supports(case.architecture, case.dtype)
        and (case.index, case.dtype, name) not in overseer.condemned
    ]
    if not taken:
        return attempts
    overseer.begin(cases[taken[0]], name, many=True)
    started = time.perf_counter()
    try:
        gradients = engine.gradients_of([cases[place] for place in taken])
    except Exception:
        return attempts
    seconds = (time.perf_counter() - started) / len(taken)
    for place, gradient in zip(taken, gradients, strict=True):
        attempts[place] = _conforming(Attempt(name, "ok", seconds, "", gradient), cases[place])
    return attempts


def _conforming(tried: Attempt, case: Case) -> Attempt:
    """The attempt, or an error where what came is no gradient of the case."""
    assert tried.gradients is not None
    try:
        require(case, tried.gradients)
    except Malformed as error:
        return Attempt(tried.engine, "error", message=str(error))
    return tried


def evaluate(
    crew: Crew,
    case: Case,
    deep: bool = True,
    ready: Mapping[str, Attempt | None] | None = None,
    overseer: Overseer = IN_PROCESS,
    plan: Plan = DEFAULT_PLAN,
) -> Outcome:
    """All engines on one case, judged and compared in pairs; `ready` attempts are not made.

    `deep` adds the ℓ2 bound and stagewise checks; `plan` says what engines are declared to do,
    and whether the oracle is certified on this case.
    """
    started = time.perf_counter()
    attempts = []
    for name, engine in crew.items():
        tried = (ready or {}).get(name) or _condemned(case, name, overseer)
        if tried is None:
            overseer.begin(case, name)
            tried = attempt(name, engine, case, deep)
        attempts.append(tried)
    overseer.begin(case, "")
    if judge_failed := _condemned(case, "", overseer):
        return Outcome(_unjudged_row(case, attempts, judge_failed), [], [])
    certificate = _certificate(case) if plan.certifies(case.index) else ""
    if certificate.startswith("failed"):
        return Outcome(
            _unjudged_row(case, attempts, Attempt("", "error", message=certificate)), [], []
        )
    answered = [tried for tried in attempts if tried.gradients is not None]
    claims = [_claim(plan, crew, case, tried) for tried in answered]
    evidence = Evidence(case, [claim.arithmetic for claim in claims])
    place = _place(case)
    errors = [
        {**place, "engine": tried.engine, **row}
        for tried, of_engine in zip(answered, judge_all(evidence, claims, deep), strict=True)
        for row in of_engine
    ]
    pairs = _pairs(case, evidence, answered)
    seconds = time.perf_counter() - started
    row = _case_row(case, evidence, attempts, seconds) | {"certificate": certificate}
    return Outcome(row, errors, pairs)


def _certificate(case: Case) -> str:
    """The oracle held to the definition of the derivative, and what rules to the oracle.

    The certificate's verdict, or where it failed.
    """
    from crosscheck import oracle
    from crosscheck.certificate import certify

    found = certify(case)
    if found.failed:
        return f"failed: the oracle's {found.failed[0]} is not the derivative of the cost"
    ruling = Evidence(case).enclosure
    apart = first_disagreement(ruling, oracle.enclose(case, found.bits))
    if apart is not None:
        name = case.architecture.tensor_names[apart]
        return f"failed: {ruling.source} and the oracle's balls are apart at {name}"
    return found.verdict


def _condemned(case: Case, engine: str, overseer: Overseer) -> Attempt | None:
    """What is known of an attempt that ended a process before."""
    known = overseer.condemned.get((case.index, case.dtype, engine))
    return Attempt(engine, known[0], message=known[1]) if known else None


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
    return {
        **_unreferenced_row(case, attempts),
        "reference": evidence.enclosure.source,
        "reference_radius": evidence.relative_radius,
        "seconds": seconds,
    }


def _unreferenced_row(case: Case, attempts: Sequence[Attempt]) -> dict[str, Any]:
    """The row of a case, but for what the reference adds."""
    worst = max(attempts, key=lambda tried: rows.STATUSES.index(tried.status), default=NO_ATTEMPT)
    row = {
        **_place(case),
        "seed": case.seed,
        "cost": case.architecture.cost,
        "special": case.special,
        "definition": sampling.definition(case),
        "parameters": case.architecture.parameters,
        "status": worst.status,
        "message": worst.message,
    }
    for tried in attempts:
        row.update(_attempt_columns(tried))
    return row


NO_ATTEMPT = Attempt("", "ok")


def _attempt_columns(tried: Attempt) -> dict[str, Any]:
    return {
        f"status:{tried.engine}": tried.status,
        f"seconds:{tried.engine}": tried.seconds,
        f"message:{tried.engine}": tried.message,
    }


def _unjudged_row(case: Case, attempts: Sequence[Attempt], failed: Attempt) -> dict[str, Any]:
    """The row of a case whose reference ended its process: no engine could be judged."""
    message = f"the reference: {failed.message}"
    lost = [Attempt(tried.engine, failed.status, message=message) for tried in attempts]
    unknown = {
        "reference": "none",
        "reference_radius": float("nan"),
        "certificate": "",
        "seconds": float("nan"),
    }
    return {**_unreferenced_row(case, lost), **unknown}


def _claim(plan: Plan, crew: Crew, case: Case, tried: Attempt) -> Claim:
    """What an engine that answered is judged by."""
    engine = crew[tried.engine]
    assert not isinstance(engine, Unsupported)
    assert tried.gradients is not None
    promised = plan.promised(tried.engine, engine.arithmetic(case.dtype))
    return Claim(promised, tried.gradients, tried.stages)


def _pairs(case: Case, evidence: Evidence, answered: Sequence[Attempt]) -> list[dict[str, Any]]:
    """The largest differences between each two engines that answered."""
    if len(answered) < 2:
        return []
    got = flat([tried.gradients.tensors() for tried in answered if tried.gradients])
    rows = []
    for a, b, largest, in_ulps in evidence.ruler.differences(got):
        worst = int(in_ulps.argmax())
        rows.append(
            {
                "case": case.id,
                "dtype": case.dtype,
                "engine_a": answered[a].engine,
                "engine_b": answered[b].engine,
                "max_abs_difference": largest,
                "max_ulp_difference": float(in_ulps[worst]),
                "tensor": case.architecture.tensor_names[worst],
            }
        )
    return rows


def run(plan: Plan, crew: Crew, progress: Callable[[int], None] = lambda done: None) -> Frames:
    """All cases of the plan, in order, in this process.

    `progress` is called with the number of cases done.
    """
    outcomes = []
    for done, outcome in enumerate(evaluate_block(plan, crew, plan.whole), start=1):
        outcomes.append(outcome)
        progress(done)
    return as_frames(outcomes, list(crew))


def as_frames(outcomes: Sequence[Outcome], engine_names: Sequence[str]) -> Frames:
    """Rows as frames, with every column even where there is no row."""
    columns = rows.case_columns(engine_names)
    return Frames(
        rows.frame((row for outcome in outcomes for row in outcome.errors), rows.ERRORS),
        rows.frame((outcome.case for outcome in outcomes), columns),
        rows.frame((row for outcome in outcomes for row in outcome.pairs), rows.PAIRS),
    )


def as_tables(outcomes: Sequence[Outcome], engine_names: Sequence[str]) -> dict[str, Any]:
    """Rows as pyarrow tables by kind, with the columns of `rows`."""
    import pyarrow as pa

    kinds = {
        "errors": ([row for o in outcomes for row in o.errors], rows.ERRORS),
        "cases": ([o.case for o in outcomes], rows.case_columns(engine_names)),
        "pairs": ([row for o in outcomes for row in o.pairs], rows.PAIRS),
    }
    return {
        kind: pa.Table.from_pylist(of_kind, rows.schema(columns))
        for kind, (of_kind, columns) in kinds.items()
    }
