"""check(): the public function, for a gradient that somebody wrote by hand."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from crosscheck.engines import registry
from crosscheck.engines.interface import Engine, Unsupported
from crosscheck.engines.user import function as user_engine
from crosscheck.engines.user.function import CallableEngine, UserFunction
from crosscheck.faults.diagnosis import Diagnosis
from crosscheck.networks.distribution import Distribution
from crosscheck.networks.network import Case
from crosscheck.reports import tables
from crosscheck.reports.page import fragment
from crosscheck.results import outcome
from crosscheck.results.disk import files
from crosscheck.results.rows import engine_names
from crosscheck.runs import evaluate, explaining
from crosscheck.runs.explaining import Explanation, Suspect
from crosscheck.runs.plan import Plan


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
    cause: BaseException | None = None

    @property
    def ok(self) -> bool:
        """No DEFECT, no error, and something CONSISTENT."""
        return outcome.exit_status(self.errors, self.cases) == outcome.OK

    def summary(self) -> pd.DataFrame:
        """A line per engine and dtype."""
        return tables.by_engine(self.errors, self.cases)

    @property
    def counted(self) -> str:
        """What was judged and how, in one sentence."""
        verdicts = outcome.counts(self.errors)
        words = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items())
        names = ", ".join(engine_names(self.cases))
        return f"{names}: {words} of {len(self.errors)} {self._judged}"

    @property
    def _judged(self) -> str:
        """What a row is of."""
        return f"tensors on {len(self.cases)} cases"

    def __str__(self) -> str:
        rest = dict.fromkeys(self.notes) if self.ok else [self.message()]
        return "\n".join([self.counted, *rest])

    def to_html(self, path: str | Path) -> Path:
        """Write the report as one page that works offline; where it is.

        Raises ValueError where it cannot be written.
        """
        place = Path(path)
        try:
            files.write(place, fragment.document(self._told()))
        except OSError as error:
            raise ValueError(f"cannot write to {place}: {error.strerror}") from None
        return place

    def _repr_html_(self) -> str:
        """The report in a notebook."""
        return fragment.fragment(self._told())

    def _told(self) -> fragment.ToldFinding:
        status = outcome.exit_status(self.errors, self.cases)
        message = self.message() or "\n".join(dict.fromkeys(self.notes))
        return fragment.ToldFinding(self.errors, status, self.counted, message)

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
                depths = _by_depth(cases, status) if word == "error" else ""
                lines.append(
                    f"{word.upper()}  {name}, {len(hit)} of {len(cases)} cases, first "
                    f"{first['case']} ({first['widths']}, D = {first['samples']}): "
                    f"{first[f'message:{name}']}{depths}"
                )
    return lines


def _by_depth(cases: pd.DataFrame, status: pd.Series) -> str:
    """Which numbers of layers the function took, where it took some and no other."""
    if "layers" not in cases:
        return ""
    taken, refused = (set(cases.loc[status == word, "layers"]) for word in ("ok", "error"))
    if not taken or taken & refused:
        return ""
    low, high = min(taken), max(taken)
    fixed = f"layers={low}" if low == high else f"layers=({low}, {high})"
    alone = taken == set(range(low, high + 1))
    asked = f": to check it there alone, pass {fixed}" if alone else ""
    return f"; it took networks of N = {', '.join(map(str, sorted(taken)))} layers{asked}"


def explained(report: Report, engine: CallableEngine, plan: Plan) -> Report:
    """The report with what a failing function's author wants to know."""
    suspects = explaining.suspects(report.errors, report.cases, [engine.name])
    mine = [suspect for suspect in suspects if suspect.engine == engine.name]
    if not mine:
        return report
    *_, told = explaining.explain(engine, plan, mine[0], shrink=True)
    name = engine.name.removesuffix(YOURS)
    address = user_engine.address(engine.function) or f"FILE.py:{name}"
    return replace(_with(report, told, address, plan), cause=engine.cause)


def _with(report: Report, told: Explanation, address: str, plan: Plan) -> Report:
    """The report with an explanation, and the line that reproduces the case that it shows."""
    return replace(
        report,
        diagnosis=told.diagnosis,
        smallest=told.smallest,
        notes=told.sentences,
        line=plan.distribution.line(_shown(report), address, plan.arrays, shrink=True),
    )


def _shown(report: Report) -> str:
    """The id of the case that a failing report speaks of first."""
    defects = report.errors[report.errors["verdict"] == "DEFECT"]
    if len(defects):
        return str(_clearest(defects)["case"])
    failed = report.cases["status"] != "ok"
    return str(report.cases.loc[failed, "case"].iloc[0])


def of_run(folder: Path, plan: Plan, suspect: Suspect, told: Explanation) -> Report:
    """What a run says of a user's function that failed in it, as check() would.

    `folder` holds the run's rows; of defects, those of the cases that were looked at are read.
    """
    engine = suspect.engine
    wanted = [("engine", "==", engine), ("index", "<=", max(suspect.indices, default=-1))]
    errors = pd.read_parquet(folder / "errors.parquet", filters=wanted)
    columns = ["case", "dtype", "widths", "samples", f"status:{engine}", f"message:{engine}"]
    cases = pd.read_parquet(folder / "cases.parquet", columns=columns)
    cases["status"] = cases[f"status:{engine}"]
    report = _with(Report(errors, cases), told, engine, plan)
    return replace(report, notes=(told.traceback, *report.notes)) if told.traceback else report


def message_of_run(folder: Path, plan: Plan, suspect: Suspect, told: Explanation) -> str:
    """The message of that report."""
    return of_run(folder, plan, suspect, told).message()


def check(
    gradient: UserFunction,
    *,
    hidden: str = "sigmoid",
    output: str = "identity",
    cost: str = "squared_error",
    architecture: Sequence[int] | None = None,
    layers: int | Sequence[int] = (2, 6),
    widths: int | Sequence[int] = (1, 64),
    outputs: int | None = None,
    samples: int | Sequence[int] = (1, 64),
    biases: bool = True,
    l2: float = 0.0,
    l2_biases: bool = False,
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
    pair, or one number; `architecture` fixes all widths, as do `widths` of three or more entries,
    and `outputs` fixes n_N. Without `biases` the list of them is empty, and weight gradients alone
    are to be returned. `l2` is the λ of λ/2 Σ w² in the cost, over the biases too with `l2_biases`.
    Targets are drawn as the cost means them: labels as one-hot rows for cross-entropy, numbers in
    (0, 1) for the binary one, else in the range of the output.

    The first ten cases and one in ten after them are given to it twice: a gradient may not depend
    on the calls before. What it returns is copied at once, so it may reuse its buffers. `against`
    names engines to judge beside it; a function called as one of them is shown as "NAME (yours)".
    If it fails, the mistake is looked for in the catalogue of known ones, and the smallest case
    that shows it.

    Raises ValueError for an unknown activation, cost, dtype or engine, an impossible range, what
    does not go together, or an argument of a type that it cannot have, and Unsupported where the
    library of `arrays` is not installed.
    """
    distribution = Distribution(
        layers=layers,  # type: ignore[arg-type]
        widths=widths,  # type: ignore[arg-type]
        samples=samples,  # type: ignore[arg-type]
        output=output,
        hidden=hidden,
        cost=cost,
        architecture=architecture,  # type: ignore[arg-type]
        outputs=outputs,
        biases=biases,
        l2=l2,
        l2_biases=l2_biases,
    )
    engine = CallableEngine(gradient, arrays=arrays)
    if registry.is_known(engine.name):
        engine.name += YOURS
    plan = Plan(
        (engine.name, *_rivals(against)), (_dtype(dtype),), cases, seed, distribution, arrays=arrays
    )
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


def _run(engine: CallableEngine, plan: Plan) -> Report:
    """The plan with the engine in the first place, explained if it fails."""
    crew: dict[str, Engine | Unsupported] = {
        engine.name: engine,
        **evaluate.muster(plan.engines[1:]),
    }
    frames = evaluate.run(plan, crew)
    report = Report(frames.errors, frames.cases, notes=explaining.notes(engine))
    return report if report.ok else explained(report, engine, plan)
