"""The suite: engines × cases, judged, as rows."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import pandas as pd
import pyarrow as pa

from crosscheck.arithmetic.promise import Arithmetic, only
from crosscheck.engines import registry
from crosscheck.engines.interface import Broken, Engine, EngineFailed, Unsupported
from crosscheck.engines.user import function as user_engine
from crosscheck.engines.user.contained import described, loaded
from crosscheck.exact.enclosure import first_disagreement
from crosscheck.networks import sampling, watched
from crosscheck.networks.network import Case
from crosscheck.results import rows
from crosscheck.runs import case_rows
from crosscheck.runs.case_rows import Undrawn
from crosscheck.runs.plan import Plan as Plan, Span
from crosscheck.runs.processes.attempts import (
    DRAWING,
    IN_PROCESS,
    Attempt,
    Crew,
    Overseer,
    attempt_all,
    known_end,
)
from crosscheck.verdicts import columns as portion
from crosscheck.verdicts.columns import Ordered, Portion
from crosscheck.verdicts.evidence import Evidence, prepare
from crosscheck.verdicts.verdict import Claim, Standing, decide, judge_together


@dataclass(frozen=True)
class Frames:
    """The rows of a run; columns as in `rows`."""

    errors: pd.DataFrame
    cases: pd.DataFrame
    pairs: pd.DataFrame


DEFAULT_PLAN = Plan()


def load(name: str, arrays: str = "numpy") -> Engine | Unsupported:
    """The engine of this name, or of a function "module:function"; Unsupported if it cannot run.

    `arrays` is what a function is handed. What ends its loading, as SystemExit does, it ends
    in each case.

    Raises ValueError for an unknown name, or a function that cannot be found.
    """
    try:
        if ":" in name:
            return loaded(lambda: user_engine.from_text(name, arrays))
        return loaded(lambda: registry.load(name))
    except Unsupported as why:
        return why
    except EngineFailed as why:
        return Broken(name, why.status, str(why))


def muster(engine_names: Sequence[str]) -> dict[str, Engine | Unsupported]:
    """The engines of these names, as `load` gives them."""
    return {name: load(name) for name in engine_names}


BATCH_ENTRIES = 1 << 18
"""Parameters of the cases that are held at a time."""

GROUP_ENTRIES = 1 << 17
"""The same of those that are judged at a time: what is known of them stays in the cache."""


def evaluate_block(
    plan: Plan, crew: Crew, span: Span, overseer: Overseer = IN_PROCESS
) -> Iterator[Portion]:
    """The rows of the cases of these indices, in order; none depends on the span."""
    for drawn in _batches(_drawn(plan, span, overseer), BATCH_ENTRIES):
        if isinstance(drawn, Undrawn):
            yield _portion_of(case_rows.undrawn(plan, list(crew), drawn), crew)
        else:
            yield from evaluate(crew, drawn, overseer, plan)


def _portion_of(row: Mapping[str, Any], crew: Crew) -> Portion:
    """A case of which there is only its row."""
    table = pa.Table.from_pylist([dict(row)], rows.schema(rows.case_columns(list(crew))))
    errors, pairs = (rows.schema(columns).empty_table() for columns in (rows.ERRORS, rows.PAIRS))
    return Portion(errors, table, pairs)


def _drawn(plan: Plan, span: Span, overseer: Overseer) -> Iterator[Case | Undrawn]:
    """The cases of these indices in order, each dtype of an index in turn."""
    for index in range(*span):
        for dtype in plan.dtypes:
            yield _draw(plan, index, dtype, overseer)


def _draw(plan: Plan, index: int, dtype: str, overseer: Overseer) -> Case | Undrawn:
    known = overseer.condemned.get((index, dtype, DRAWING))
    if known:
        return Undrawn(index, dtype, Attempt(DRAWING, known[0], message=known[1]))
    overseer.begin_drawing(index, dtype)
    try:
        return sampling.draw(plan.distribution, plan.seed, index, dtype)
    except Exception as error:  # such as MemoryError
        return Undrawn(index, dtype, Attempt(DRAWING, "error", message=described(error)))


def evaluate(
    crew: Crew, cases: Sequence[Case], overseer: Overseer = IN_PROCESS, plan: Plan = DEFAULT_PLAN
) -> Iterator[Portion]:
    """All engines on these cases, judged and compared in pairs, some cases at a time.

    `plan` says which engines take a case, what they are declared to do, and which checks are
    made on it. Cases go through each stage together: a processor that does one thing many times
    does it in half the time.
    """
    by_engine = [attempt_all(name, crew[name], cases, plan, overseer) for name in crew]

    @cache
    def promised(name: str, dtype: str) -> Arithmetic:
        engine = crew[name]
        assert not isinstance(engine, Unsupported)
        return only(plan.promised(name, engine.arithmetic(dtype)))

    trials = [
        CaseAnswers(plan, promised, case, attempts)
        for case, *attempts in zip(cases, *by_engine, strict=True)
    ]
    place = 0
    for group in _batches(iter(cases), GROUP_ENTRIES):
        assert isinstance(group, list)
        together = trials[place : place + len(group)]
        place += len(group)
        for trial in together:
            overseer.begin(trial.case, "")
            trial.certify(overseer)
        standing = [trial for trial in together if trial.failed is None]
        _prepare(standing)
        for stage in CaseAnswers.STAGES:
            for trial in standing:
                overseer.begin(trial.case, "")
                trial.go_through(stage)
        yield _portion(crew, together)


@watched.stage("rows")
def _portion(crew: Crew, trials: "Sequence[CaseAnswers]") -> Portion:
    """The rows of these cases: those of one dtype are judged together."""
    names = list(crew)
    errors: list[Ordered] = []
    pairs: list[Ordered] = []
    radii: dict[int, float] = {}
    by_dtype: dict[str, list[int]] = {}
    for number, trial in enumerate(trials):
        if trial.failed is None:
            by_dtype.setdefault(trial.case.dtype, []).append(number)
    for numbers in by_dtype.values():
        judged = judge_together([trials[number].standing for number in numbers])
        cases = [trials[number].case for number in numbers]
        errors += portion.errors(judged, cases, numbers, names)
        pairs += portion.pairs(judged, cases, numbers, names)
        radii |= dict(zip(numbers, judged.relative_radii.tolist(), strict=True))
    of_cases = [
        case_rows.unjudged(trial.case, trial.attempts, trial.failed)
        if trial.failed
        else trial.row(radii[number])
        for number, trial in enumerate(trials)
    ]
    columns = rows.case_columns(names)
    return Portion(
        portion.assemble(errors, rows.ERRORS),
        pa.Table.from_pylist(of_cases, rows.schema(columns)),
        portion.assemble(pairs, rows.PAIRS),
    )


def _prepare(trials: "Sequence[CaseAnswers]") -> None:
    """What evidence of several cases can be made together; each has its share of the time."""
    started = time.perf_counter()
    prepare([trial.evidence for trial in trials if any(trial.claims)])
    for trial in trials:
        trial.seconds += (time.perf_counter() - started) / len(trials)


def _batches(cases: Iterator[Case | Undrawn], most: int) -> Iterator[list[Case] | Undrawn]:
    """The cases in lists of so many entries, or a little more; one that was not drawn alone."""
    batch: list[Case] = []
    entries = 0
    for case in cases:
        if isinstance(case, Undrawn):
            if batch:
                yield batch
            yield case
            batch, entries = [], 0
            continue
        batch.append(case)
        entries += case.architecture.parameters + case.inputs.size + case.targets.size
        if entries > most:
            yield batch
            batch, entries = [], 0
    if batch:
        yield batch


class CaseAnswers:
    """What engines returned for a case, on its way to be judged.

    `promised` says by which arithmetic an engine is judged in a dtype.
    """

    def __init__(
        self,
        plan: Plan,
        promised: Callable[[str, str], Arithmetic],
        case: Case,
        attempts: Sequence[Attempt],
    ) -> None:
        self.plan, self.case, self.attempts = plan, case, list(attempts)
        self.claims = [
            None
            if tried.gradients is None
            else Claim(promised(tried.engine, case.dtype), tried.gradients, tried.stages)
            for tried in attempts
        ]
        self.evidence = Evidence(case, [claim.arithmetic for claim in self.claims if claim])
        self.certificate = ""
        self.seconds = sum(tried.seconds for tried in attempts if tried.status == "ok")
        self.failed: Attempt | None = None

    def certify(self, overseer: Overseer) -> None:
        """Certify the oracle, if the plan says so; else say why the case cannot be judged."""
        self.failed = known_end(self.case, "", overseer)
        if self.failed is None and self.plan.certifies(self.case.index):
            self.certificate = _certificate(self.case)
            if self.certificate.startswith("failed"):
                self.failed = Attempt("", "error", message=self.certificate)

    def go_through(self, stage: "Callable[[CaseAnswers], object]") -> None:
        """One stage; its time counts as the case's."""
        started = time.perf_counter()
        stage(self)
        self.seconds += time.perf_counter() - started

    def _bound(self) -> None:
        for claim in self.claims:
            if claim:
                self.evidence.bound(claim.arithmetic)

    def _changes(self) -> None:
        """Where a second call on the case returned another gradient, the worse one is judged."""
        for place, tried in enumerate(self.attempts):
            claim = self.claims[place]
            if tried.change is None or claim is None:
                continue
            second = claim._replace(gradients=tried.change.gradients)
            wrong = [self._is_defect(one) for one in (claim, second)]
            if any(wrong):
                self.claims[place] = claim if wrong[0] else second
                self.attempts[place] = replace(tried, message=tried.change.sentence)

    def _is_defect(self, claim: Claim) -> bool:
        verdicts = decide(self.evidence, claim.arithmetic, claim.gradients)
        return any(verdict == "DEFECT" for verdict, _ in verdicts)

    @property
    def standing(self) -> Standing:
        """What is known before the judging."""
        return Standing(self.evidence, self.claims, self.plan.goes_deep(self.case.index))

    def row(self, relative_radius: float) -> dict[str, Any]:
        """The row of the case."""
        return {
            **case_rows.unreferenced(self.case, self.attempts),
            "reference": self.evidence.enclosure.source,
            "reference_radius": relative_radius,
            "certificate": self.certificate,
            "seconds": self.seconds,
        }

    STAGES: "tuple[Callable[[CaseAnswers], object], ...]" = (
        _bound,
        lambda trial: trial.evidence.enclosure,
        _changes,
    )


@watched.stage("certificate")
def _certificate(case: Case) -> str:
    """The oracle held to the definition of the derivative, and what rules to the oracle.

    The certificate's verdict, or where it failed.
    """
    if not case.architecture.quick:
        return ""
    from crosscheck.exact import oracle
    from crosscheck.exact.certificate import certify

    found = certify(case)
    if found.failed:
        return f"failed: the oracle's {found.failed[0]} is not the derivative of the cost"
    ruling = Evidence(case).enclosure
    apart = first_disagreement(ruling, oracle.enclose(case, found.bits))
    if apart is not None:
        name = case.architecture.tensor_names[apart]
        return f"failed: {ruling.source} and the oracle's balls are apart at {name}"
    return found.verdict


def run(plan: Plan, crew: Crew, progress: Callable[[int], None] = lambda done: None) -> Frames:
    """All cases of the plan, in order, in this process.

    `progress` is called with the number of cases done.
    """
    portions, done = [], 0
    for found in evaluate_block(plan, crew, plan.whole):
        portions.append(found)
        done += found.done
        progress(done)
    return as_frames(portions, list(crew))


def as_frames(portions: Sequence[Portion], engine_names: Sequence[str]) -> Frames:
    """Rows as frames, with every column even where there is no row."""
    tables = as_tables(portions, engine_names)
    columns = _columns(engine_names)
    return Frames(**{kind: rows.as_frame(table, columns[kind]) for kind, table in tables.items()})


@watched.stage("rows")
def as_tables(portions: Sequence[Portion], engine_names: Sequence[str]) -> dict[str, pa.Table]:
    """Rows as pyarrow tables by kind, with the columns of `rows`."""
    return {
        kind: pa.concat_tables(
            [rows.schema(columns).empty_table(), *(getattr(p, kind) for p in portions)]
        )
        for kind, columns in _columns(engine_names).items()
    }


def _columns(engine_names: Sequence[str]) -> dict[str, Mapping[str, rows.Column]]:
    """The columns of each kind of rows."""
    return {
        "errors": rows.ERRORS,
        "cases": rows.case_columns(engine_names),
        "pairs": rows.PAIRS,
    }
