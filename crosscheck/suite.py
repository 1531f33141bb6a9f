"""The suite: engines × cases, judged, as rows."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from crosscheck import rows, sampling
from crosscheck.attempts import (
    IN_PROCESS,
    NO_ATTEMPT,
    Attempt,
    Crew,
    Overseer,
    attempt_all,
    known_end,
)
from crosscheck.engines import callable as user_engine, names
from crosscheck.engines.interface import Engine, Unsupported
from crosscheck.evidence import Evidence, first_disagreement, prepare
from crosscheck.measuring import flat
from crosscheck.plan import Plan as Plan, Span
from crosscheck.values import Case
from crosscheck.verdict import Claim, judge_all


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


DEFAULT_PLAN = Plan()


def load(name: str, arrays: str = "numpy") -> Engine | Unsupported:
    """The engine of this name, or of a function "module:function"; Unsupported if it cannot run.

    `arrays` is what a function is handed.

    Raises ValueError for an unknown name, or a function that cannot be found.
    """
    try:
        return user_engine.from_text(name, arrays) if ":" in name else names.load(name)
    except Unsupported as why:
        return why


def muster(engine_names: Sequence[str]) -> dict[str, Engine | Unsupported]:
    """The engines of these names, as `load` gives them."""
    return {name: load(name) for name in engine_names}


BATCH_ENTRIES = 1 << 18
"""Parameters of the cases that are held at a time."""

GROUP_ENTRIES = 1 << 16
"""The same of those that are judged at a time: what is known of them stays in the cache."""


def evaluate_block(
    plan: Plan, crew: Crew, span: Span, overseer: Overseer = IN_PROCESS
) -> Iterator[Outcome]:
    """The outcomes of the cases of these indices, in order; no row depends on the span."""
    for cases in _batches(plan.draws(span), BATCH_ENTRIES):
        yield from evaluate(crew, cases, overseer, plan)


def evaluate(
    crew: Crew, cases: Sequence[Case], overseer: Overseer = IN_PROCESS, plan: Plan = DEFAULT_PLAN
) -> Iterator[Outcome]:
    """All engines on these cases, judged and compared in pairs.

    `plan` says which engines take a case, what they are declared to do, and which checks are
    made on it. Cases go through each stage together: a processor that does one thing many times
    does it in half the time.
    """
    by_engine = [attempt_all(name, crew[name], cases, plan, overseer) for name in crew]
    trials = [
        Trial(plan, crew, case, attempts) for case, *attempts in zip(cases, *by_engine, strict=True)
    ]
    place = 0
    for group in _batches(iter(cases), GROUP_ENTRIES):
        together = trials[place : place + len(group)]
        place += len(group)
        for trial in together:
            overseer.begin(trial.case, "")
            trial.certify(overseer)
        _prepare([trial for trial in together if trial.outcome is None])
        for stage in Trial.STAGES:
            for trial in together:
                overseer.begin(trial.case, "")
                trial.go_through(stage)
        yield from (trial.outcome for trial in together if trial.outcome)


def _prepare(trials: "Sequence[Trial]") -> None:
    """What evidence of several cases can be made together; each has its share of the time."""
    started = time.perf_counter()
    prepare([trial.evidence for trial in trials if trial.claims])
    for trial in trials:
        trial.seconds += (time.perf_counter() - started) / len(trials)


def _batches(cases: Iterator[Case], most: int) -> Iterator[list[Case]]:
    """The cases in lists of so many entries, or a little more."""
    batch: list[Case] = []
    entries = 0
    for case in cases:
        batch.append(case)
        entries += case.architecture.parameters + case.inputs.size + case.targets.size
        if entries > most:
            yield batch
            batch, entries = [], 0
    if batch:
        yield batch


class Trial:
    """What engines returned for a case, on its way to an outcome."""

    def __init__(self, plan: Plan, crew: Crew, case: Case, attempts: Sequence[Attempt]) -> None:
        self.plan, self.case, self.attempts = plan, case, attempts
        self.answered = [tried for tried in attempts if tried.gradients is not None]
        self.claims = [_claim(plan, crew, case, tried) for tried in self.answered]
        self.evidence = Evidence(case, [claim.arithmetic for claim in self.claims])
        self.certificate = ""
        self.seconds = sum(tried.seconds for tried in attempts if tried.status == "ok")
        self.outcome: Outcome | None = None

    def certify(self, overseer: Overseer) -> None:
        """Certify the oracle, if the plan says so; a case that cannot be judged has its outcome."""
        failed = known_end(self.case, "", overseer)
        if failed is None and self.plan.certifies(self.case.index):
            self.certificate = _certificate(self.case)
            if self.certificate.startswith("failed"):
                failed = Attempt("", "error", message=self.certificate)
        if failed:
            self.outcome = Outcome(_unjudged_row(self.case, self.attempts, failed), [], [])

    def go_through(self, stage: "Callable[[Trial], object]") -> None:
        """One stage, unless there is an outcome; its time counts as the case's."""
        if self.outcome is None:
            started = time.perf_counter()
            stage(self)
            self.seconds += time.perf_counter() - started

    def _bound(self) -> None:
        for claim in self.claims:
            self.evidence.bound(claim.arithmetic)

    def _judge(self) -> None:
        deep = self.plan.goes_deep(self.case.index)
        judged = judge_all(self.evidence, self.claims, deep)
        place = _place(self.case)
        errors = []
        for tried, of_engine in zip(self.answered, judged, strict=True):
            for row in of_engine:
                row.update(place, engine=tried.engine)
            errors += of_engine
        pairs = _pairs(self.case, self.evidence, self.answered)
        row = _case_row(self.case, self.evidence, self.attempts, self.seconds)
        self.outcome = Outcome(row | {"certificate": self.certificate}, errors, pairs)

    STAGES: "tuple[Callable[[Trial], object], ...]" = (
        _bound,
        lambda trial: trial.evidence.enclosure,
        lambda trial: trial.evidence.ruler,
        _judge,
    )


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
    made = [tried for tried in attempts if tried.status != rows.NOT_SAMPLED]
    worst = max(made, key=lambda tried: rows.STATUSES.index(tried.status), default=NO_ATTEMPT)
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


def _attempt_columns(tried: Attempt) -> dict[str, Any]:
    return {
        f"status:{tried.engine}": tried.status,
        f"seconds:{tried.engine}": tried.seconds,
        f"message:{tried.engine}": tried.message,
    }


def _unjudged_row(case: Case, attempts: Sequence[Attempt], failed: Attempt) -> dict[str, Any]:
    """The row of a case whose reference ended its process: no engine could be judged."""
    message = f"the reference: {failed.message}"
    lost = [
        tried
        if tried.status == rows.NOT_SAMPLED
        else Attempt(tried.engine, failed.status, message=message)
        for tried in attempts
    ]
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
