"""check(): the public function, for a gradient that somebody wrote by hand."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from crosscheck import extras, outcome, sampling, shrinking, suite
from crosscheck.diagnosis import Diagnosis, diagnose
from crosscheck.distribution import LEAST, Distribution
from crosscheck.engines import callable as user_engine, names
from crosscheck.engines.callable import CallableEngine, UserFunction
from crosscheck.engines.interface import Engine, Unsupported
from crosscheck.plan import Plan
from crosscheck.ranges import pair
from crosscheck.reports import tables
from crosscheck.rows import engine_names
from crosscheck.values import Case, Gradients

SHRINKING_SECONDS = 5.0
"""How long a check looks for the smallest case that fails."""

SQUARES, SQUARE_CASES = (2, 6), 24
"""Widths and number of the square networks for a function that takes no others."""

DIAGNOSED = 100
"""Cases that a diagnosis looks at, at most."""


@dataclass(frozen=True)
class Report:
    """What a check found: `errors` and `cases` are frames with the columns of `rows`.

    `diagnosis` is the known mistake that explains the failing cases, or None; `smallest` the
    smallest case found that fails, or None; `notes` what else was seen, a sentence each. `cause`
    is the first exception that the function raised, with its traceback.
    """

    errors: pd.DataFrame
    cases: pd.DataFrame
    diagnosis: Diagnosis | None = None
    smallest: Case | None = None
    notes: tuple[str, ...] = ()
    line: str = ""
    cause: Exception | None = None

    @property
    def ok(self) -> bool:
        """No DEFECT, no error, and something CONSISTENT."""
        return outcome.exit_status(self.errors, self.cases) == outcome.OK

    def summary(self) -> pd.DataFrame:
        """A line per engine and dtype."""
        return tables.by_engine(self.errors, self.cases)

    def raise_if_defect(self) -> None:
        """Raises AssertionError with a readable message unless the report is ok.

        What the function raised first, if it did, is the `__cause__`.
        """
        if not self.ok:
            raise AssertionError(self.message()) from self.cause

    def message(self, full: bool = False) -> str:
        """What is wrong, in the words of the worst case; empty where nothing is.

        Of a traceback the last lines are shown, or all of it with `full`.
        """
        if self.ok:
            return ""
        defects = self.errors[self.errors["verdict"] == "DEFECT"]
        lines = [_defect(_clearest(defects))] if len(defects) else []
        lines += _failed(self.cases)
        if self.cause is not None:
            lines.append(user_engine.their_traceback(self.cause, full))
        lines = lines or ["INCONCLUSIVE  nothing could be confirmed"]
        if self.diagnosis is not None:
            lines.append(str(self.diagnosis))
        if self.smallest is not None:
            of = self.smallest.architecture
            lines.append(f"Smallest case that fails: {of.label}, D = {self.smallest.samples}")
        lines += dict.fromkeys(self.notes)
        if self.line:
            lines.append(f"Reproduce: {self.line}")
        return "\n".join(lines)


def _clearest(defects: pd.DataFrame) -> Any:
    """The defect to show: one that is wrong in most of its entries, by far, and finite."""
    with np.errstate(all="ignore"):
        ranked = defects.assign(
            share=defects["mismatched"] / defects["entries"],
            plain=defects["special"].eq("") if "special" in defects else True,
        )
    ranked = ranked.sort_values(["share", "mismatched"], kind="stable")
    return ranked.iloc[-1]


def _defect(row: Any) -> str:
    share = row["mismatched"] / row["entries"]
    if not np.isfinite(row["got"]):
        return _not_finite(row)
    times = f" ({row['got'] / row['exact']:.4f} times)" if row["exact"] else ""
    return (
        f"DEFECT  {row['engine']}, {row['tensor']} of {row['widths']}, {row['output']} output, "
        f"D = {row['samples']}, {row['dtype']}   (case {row['case']})\n"
        f"Mismatched entries: {row['mismatched']} / {row['entries']} ({share:.1%}), "
        f"the bound allows {row['bound']:.2g}\n"
        f"Greatest absolute difference: {abs(row['got'] - row['exact']):.4g} at "
        f"{row['tensor']}{row['worst_index']}: got {row['got']:.4g}, "
        f"exact {row['exact']:.4g}{times}"
    )


def _not_finite(row: Any) -> str:
    return (
        f"DEFECT  {row['engine']}, {row['tensor']} of {row['widths']}, {row['output']} output, "
        f"D = {row['samples']}, {row['dtype']}   (case {row['case']})\n"
        f"Not a finite number: got {row['got']} at {row['tensor']}{row['worst_index']}, exact "
        f"{row['exact']:.4g}, and nothing on the way there exceeds {row['dtype']}: does exp "
        "overflow, is 0 divided by 0, or an array used before it is filled?"
    )


def _failed(cases: pd.DataFrame) -> list[str]:
    """A line for each engine that gave no gradient on some cases, with its first message."""
    lines = []
    for name in engine_names(cases):
        status = cases[f"status:{name}"]
        for word in ("error", "unsupported"):
            hit = cases[status == word]
            if len(hit):
                first = hit.iloc[0]
                lines.append(
                    f"{word.upper()}  {name}, {len(hit)} of {len(cases)} cases, first "
                    f"{first['case']} ({first['widths']}, D = {first['samples']}): "
                    f"{first[f'message:{name}']}"
                )
    return lines


class Upright:
    """An engine whose weights' gradients come as (n_l, n_{l-1}), turned over."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.name = engine, engine.name
        self.arithmetic, self.supports = engine.arithmetic, engine.supports

    def gradients(self, case: Case) -> Gradients:
        """The gradients with the weights' transposed."""
        given = self.engine.gradients(case)
        return Gradients(given.cost, [w.T for w in given.weights], given.biases)


def _transposed(engine: Engine, cases: Sequence[Case]) -> Diagnosis | None:
    """Whether the weights' gradients are right, or a known mistake, once they are turned over."""
    turned = Upright(engine)
    failures = {case.id: shrinking.failure(turned, case) for case in cases}
    if any(found is not None and found.kind != "DEFECT" for found in failures.values()):
        return None
    failing = {case_id for case_id, found in failures.items() if found is not None}
    said = "the weights' gradients are transposed: (n_l, n_{l-1}) came, return w.T"
    if not failing:
        return Diagnosis("transposed", {}, f"{said}; but for that they are right", 1.0, len(cases))
    also = diagnose(turned, cases, failing)
    if also is None:
        return None
    return replace(also, sentence=f"{said}; and {also.sentence}")


def explained(report: Report, engine: CallableEngine, plan: Plan, address: str = "") -> Report:
    """The report with what a failing function's author wants to know.

    Looked for in the first dtype of the plan in which the engine fails. `address` is how
    `--engine` finds the function, if that is not to be found out.
    """
    told = _Told(report, engine, plan)
    with np.errstate(all="ignore"):
        diagnosis = None if told.changes else told.diagnosis()
        smallest, without = told.smallest()
    shown = report.errors[report.errors["verdict"] == "DEFECT"]
    case_id = _clearest(shown)["case"] if len(shown) else next(iter(told.raised), "")
    case = told.cases.get(case_id)
    place = address or user_engine.address(engine.function) or f"FILE.py:{_own_name(engine)}"
    drawn = plan.distribution
    line = drawn.line(case.id, place, engine.arrays, shrink=True) if case is not None else ""
    notes = (*told.changes, *_notes(engine), *without)
    return replace(
        report, diagnosis=diagnosis, smallest=smallest, line=line, notes=notes, cause=engine.cause
    )


def _own_name(engine: CallableEngine) -> str:
    return engine.name.removesuffix(YOURS)


def _on_squares(engine: CallableEngine, plan: Plan) -> Diagnosis | None:
    """For a function that raises wherever widths differ: its mistake where they do not."""
    low, high = SQUARES
    squares = [
        sampling.draw(
            replace(plan.distribution, widths=(low + index % (high - low + 1),) * 2),
            plan.seed,
            index,
            plan.dtypes[0],
        )
        for index in range(SQUARE_CASES)
    ]
    failures = {case.id: shrinking.failure(engine, case) for case in squares}
    if any(found is not None and found.kind != "DEFECT" for found in failures.values()):
        return None
    failing = {case_id for case_id, found in failures.items() if found is not None}
    found = diagnose(engine, squares, failing) if failing else None
    if found is None:
        return None
    return replace(found, sentence=f"{found.sentence} (on square networks, the only ones it takes)")


class _Told:
    """What the rows tell of one engine: the cases that failed, raised, passed, in one dtype."""

    def __init__(self, report: Report, engine: CallableEngine, plan: Plan) -> None:
        self.engine, self.plan = engine, plan
        self.cases = {case.id: case for case in plan.draws()}
        mine = report.errors[report.errors["engine"] == engine.name]
        self.failing = set(mine.loc[mine["verdict"] == "DEFECT", "case"])
        by_case = report.cases.set_index("case")
        status, self.message = (by_case[f"{what}:{engine.name}"] for what in ("status", "message"))
        self.raised = list(status.index[status == "error"])
        open_ = set(mine.loc[mine["verdict"] == "INCONCLUSIVE", "case"]) - self.failing
        changing = self.message[(status == "ok") & (self.message != "")]
        self.changes = [f"When it is called again, {said}" for said in changing.mode()[:1]]
        self.answered = [self.cases[n] for n in status.index[status == "ok"] if n not in open_]

    def _of_one_dtype(self, cases: Sequence[Case]) -> list[Case]:
        wrong = [case.dtype for case in cases if case.id in self.failing]
        return [case for case in cases if not wrong or case.dtype == wrong[0]][:DIAGNOSED]

    def diagnosis(self) -> Diagnosis | None:
        """The known mistake in the engine's failing cases, if there is one."""
        if self.message.str.contains("looks transposed").any():
            return _transposed(self.engine, self._of_one_dtype(list(self.cases.values())))
        if not self.failing:
            return _on_squares(self.engine, self.plan) if self.raised else None
        return diagnose(self.engine, self._of_one_dtype(self.answered), self.failing)

    def smallest(self) -> tuple[Case | None, tuple[str, ...]]:
        """The smallest failing case, from the smallest of the run's own; or a note on why not."""
        failing = self.failing or set(self.raised)
        found = [case for name, case in self.cases.items() if name in failing]
        if not found:
            return None, ()
        start = min(found, key=lambda case: case.architecture.parameters * case.samples)
        try:
            return shrinking.shrink(self.engine, start, SHRINKING_SECONDS), ()
        except extras.Missing as missing:
            return None, (f"Note: {missing}",)
        except ValueError:  # it fails no more: the function is not repeatable
            return None, ()


def _notes(engine: CallableEngine) -> tuple[str, ...]:
    if not engine.changed:
        return ()
    names = ", ".join(sorted(engine.changed))
    return (f"The function writes to its arguments ({names}); it was given copies.",)


def check(
    gradient: UserFunction,
    *,
    hidden: str = "sigmoid",
    output: str = "identity",
    cost: str = "squared_error",
    layers: int | Sequence[int] = (2, 6),
    widths: int | Sequence[int] = (1, 64),
    samples: int | Sequence[int] = (1, 64),
    cases: int = 100,
    seed: int = 0,
    dtype: Any = "float64",
    arrays: str = "numpy",
    against: str | Sequence[str] = (),
) -> Report:
    """Check gradient(weights, biases, inputs, targets) -> (weight gradients, bias gradients).

    It is called on `cases` random architectures with N in `layers`, n_l in `widths`, D in
    `samples`; weights[k] (n_{l-1}, n_l) and biases[k] (n_l,) for l = k + 2, inputs (D, n_1),
    targets (D, n_N), all of `dtype`, as arrays of numpy, torch or jax (`arrays`). A range is a
    pair, or one number. The first ten cases and one in ten after them are given to it twice: a
    gradient may not depend on the calls before. What it returns is copied at once, so it may reuse
    its buffers. `against` names engines to judge beside it; a function called as one of them is
    shown as "NAME (yours)". If it fails, the mistake is looked for in the catalogue of known ones,
    and the smallest case that shows it.

    Raises ValueError for an unknown activation, cost, dtype or engine, an impossible range, or an
    argument of a type that it cannot have, and Unsupported where the library of `arrays` is not
    installed.
    """
    ranges = {"layers": layers, "widths": widths, "samples": samples}
    pairs = {name: pair(name, given, LEAST[name]) for name, given in ranges.items()}
    distribution = Distribution(**pairs, output=output, hidden=hidden, cost=cost)
    engine = CallableEngine(gradient, arrays=arrays)
    if names.is_known(engine.name):
        engine.name += YOURS
    plan = Plan((engine.name, *_rivals(against)), (_dtype(dtype),), cases, seed, distribution)
    return _run(engine, plan)


YOURS = " (yours)"
"""Behind the name of a function that is called as an engine of the table."""


def _rivals(against: str | Sequence[str]) -> tuple[str, ...]:
    """The names in `against`, each once; one may stand without a list around it."""
    given = (against,) if isinstance(against, str) or not isinstance(against, Iterable) else against
    engines = tuple(given)
    if not all(isinstance(name, str) for name in engines):
        raise ValueError(
            f"against={against!r} must be names of engines, such as ['paper', 'jax.grad']; "
            "a function of yours is checked by a call of its own"
        )
    return tuple(dict.fromkeys(engines))


def _dtype(given: Any) -> str:
    """The name of a dtype given as such, or as NumPy's, torch's or JAX's."""
    if isinstance(given, str) or given is None:
        return str(given)
    try:
        return np.dtype(given).name
    except TypeError:
        return str(given).rpartition(".")[2]


def _run(engine: CallableEngine, plan: Plan, address: str = "") -> Report:
    """The plan with the engine in the first place, explained if it fails."""
    crew: dict[str, Engine | Unsupported] = {engine.name: engine, **suite.muster(plan.engines[1:])}
    frames = suite.run(plan, crew)
    report = Report(frames.errors, frames.cases, notes=_notes(engine))
    return report if report.ok else explained(report, engine, plan, address)


def explain(address: str, plan: Plan, full: bool = False) -> str:
    """What a function that failed in a run does wrong, from the run's first cases.

    With `full`, all of the traceback of what it raised.

    Raises ValueError where the function cannot be found any more.
    """
    engine = user_engine.from_text(address, plan.arrays)
    short = replace(plan, engines=(address,), cases=min(plan.cases, DIAGNOSED))
    return _run(engine, short, address).message(full)
