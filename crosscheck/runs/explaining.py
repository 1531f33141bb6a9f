"""What a failing engine does wrong: the known mistake, and the smallest case that shows it.

There is one such explanation: `check` makes it in its process, a run in one that is watched.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from crosscheck.engines.interface import Engine
from crosscheck.engines.user.contained import described
from crosscheck.engines.user.function import their_traceback
from crosscheck.faults import shrinking
from crosscheck.faults.diagnosis import Diagnosis, diagnose
from crosscheck.networks import sampling
from crosscheck.networks.network import Case, Gradients
from crosscheck.results import extras
from crosscheck.runs.plan import Plan

SHRINKING_SECONDS = 5.0
"""How long the smallest case that fails is looked for."""

SQUARES, SQUARE_CASES = (2, 6), 24
"""Widths and number of the square networks for a function that takes no others."""

CASES, SOUND_CASES = 100, 25
"""Cases that a diagnosis looks at, at most; of sound ones, where they show no mistake, so many."""


class Suspect(NamedTuple):
    """An engine that fails in a dtype, and cases to look at.

    `indices` are those of cases with a gradient, `failing` the ids of those with a DEFECT;
    `raised` says that there are cases without a gradient, `transposed` that some came transposed.
    `changes` says how it gave another gradient when it was called again. `smallest` is the index
    of the smallest case that failed.
    """

    engine: str
    dtype: str
    indices: tuple[int, ...]
    failing: frozenset[str]
    raised: bool = False
    transposed: bool = False
    changes: tuple[str, ...] = ()
    smallest: int | None = None


@dataclass(frozen=True)
class Explanation:
    """What was found out about a suspect; `trouble` says what ended it before it was complete.

    `traceback` is the end of what the function raised first.
    """

    diagnosis: Diagnosis | None = None
    smallest: Case | None = None
    notes: tuple[str, ...] = ()
    trouble: str = ""
    traceback: str = ""

    @property
    def sentences(self) -> tuple[str, ...]:
        """What else there is to say, a sentence each."""
        trouble = f"It could not be explained to the end: {self.trouble}"
        return (*self.notes, trouble) if self.trouble else self.notes


ERRORS_READ = ("engine", "dtype", "case", "index", "verdict")
"""Columns of errors that `suspects` reads."""


def cases_read(engines: Sequence[str]) -> list[str]:
    """Columns of cases that `suspects` reads, for these engines."""
    own = [f"{what}:{name}" for name in engines for what in ("status", "message")]
    return ["case", "index", "dtype", "parameters", "samples", *own]


def suspects(errors: pd.DataFrame, cases: pd.DataFrame, own: Sequence[str] = ()) -> list[Suspect]:
    """The engines × dtypes with a defect, in order; of `own`, functions of the user's, also those
    that only raised, in the first dtype in which they did.
    """
    found = []
    for (engine, dtype), mine in errors.groupby(["engine", "dtype"], sort=False):
        if mine["verdict"].eq("DEFECT").any():
            found.append(_suspect(str(engine), str(dtype), mine, cases))
    for name in own:
        if any(suspect.engine == name for suspect in found):
            continue
        raised = cases.loc[cases[f"status:{name}"] == "error", "dtype"]
        if len(raised):
            mine = errors[(errors["engine"] == name) & (errors["dtype"] == raised.iloc[0])]
            found.append(_suspect(name, str(raised.iloc[0]), mine, cases))
    return found


def _suspect(engine: str, dtype: str, mine: pd.DataFrame, cases: pd.DataFrame) -> Suspect:
    """An engine in a dtype, of which these are the rows of errors."""
    of_dtype = cases[cases["dtype"] == dtype]
    wrong = mine.loc[mine["verdict"] == "DEFECT", ["case", "index"]].drop_duplicates("case")
    silent = mine.loc[mine["verdict"] == "INCONCLUSIVE", "case"]
    sound = mine.loc[~mine["case"].isin({*wrong["case"], *silent}), ["case", "index"]]
    sound = sound.drop_duplicates("case")
    most = CASES - min(len(sound), SOUND_CASES)
    chosen = pd.concat([wrong.head(most), sound]).head(CASES)
    raised, messages = _messages(of_dtype, engine)
    transposed = bool(messages.str.contains("looks transposed").any())
    if transposed:
        chosen = of_dtype.head(CASES)
    failed = of_dtype[of_dtype["case"].isin(set(wrong["case"])) if len(wrong) else raised]
    sizes = failed["parameters"] * failed["samples"]
    return Suspect(
        engine,
        dtype,
        tuple(sorted(int(index) for index in chosen["index"])),
        frozenset(wrong["case"]),
        bool(raised.any()),
        transposed,
        _changes(raised, messages),
        int(failed["index"].iloc[int(np.argmin(sizes))]) if len(failed) else None,
    )


def _messages(cases: pd.DataFrame, engine: str) -> tuple[pd.Series, pd.Series]:
    """On which cases the engine gave no gradient, and what is said of each."""
    if f"status:{engine}" not in cases:
        return pd.Series(False, cases.index), pd.Series("", cases.index)
    return cases[f"status:{engine}"] == "error", cases[f"message:{engine}"]


def _changes(raised: pd.Series, messages: pd.Series) -> tuple[str, ...]:
    """What is most often said of cases with a gradient: what a second call gave."""
    said = messages[~raised & (messages != "")].mode()[:1]
    return tuple(f"When it is called again, {change}" for change in said)


def explain(
    engine: Engine, plan: Plan, suspect: Suspect, shrink: bool, full: bool = False
) -> Iterator[Explanation]:
    """What the engine does wrong, as far as it is known: each is more complete than the last.

    With `shrink` the smallest case is looked for as well; with `full` there is all of a traceback.
    """
    told = Explanation()
    try:
        with np.errstate(all="ignore"):
            if not suspect.changes:
                told = replace(told, diagnosis=_diagnosis(engine, plan, suspect))
            yield told
            if shrink:
                told = replace(told, smallest=_smallest(engine, plan, suspect))
    except extras.Missing as missing:
        told = replace(told, notes=(f"Note: {missing}",))
    except Exception as error:  # the engine's: it does not do again what it did before
        told = replace(told, trouble=described(error))
    yield replace(
        told,
        notes=(*suspect.changes, *notes(engine), *told.notes),
        traceback=_traceback(engine, full),
    )


def _traceback(engine: Any, full: bool) -> str:
    cause = getattr(engine, "cause", None)
    return their_traceback(cause, full) if cause is not None else ""


def _draw(plan: Plan, index: int, dtype: str) -> Case:
    return sampling.draw(plan.distribution, plan.seed, index, dtype)


def _diagnosis(engine: Engine, plan: Plan, suspect: Suspect) -> Diagnosis | None:
    """The known mistake in the engine's failing cases, if there is one."""
    cases = [_draw(plan, index, suspect.dtype) for index in suspect.indices]
    if any(not case.architecture.quick for case in cases):
        return None  # the catalogue is written for what the quick path knows
    if suspect.transposed:
        return _transposed(engine, cases)
    if not suspect.failing:
        return _on_squares(engine, plan, suspect.dtype) if suspect.raised else None
    return diagnose(engine, cases, set(suspect.failing))


def _smallest(engine: Engine, plan: Plan, suspect: Suspect) -> Case | None:
    """The smallest failing case, from the smallest of the run's own."""
    if suspect.smallest is None or plan.distribution.architecture or plan.distribution.outputs:
        return None  # others were not asked for
    start = _draw(plan, suspect.smallest, suspect.dtype)
    try:
        return shrinking.shrink(engine, start, SHRINKING_SECONDS)
    except extras.Missing:
        raise
    except ValueError:  # it fails no more: the function is not repeatable
        return None


def notes(engine: Any) -> tuple[str, ...]:
    """What else was seen of a function, a sentence each."""
    changed = getattr(engine, "changed", None)
    if not changed:
        return ()
    names = ", ".join(sorted(changed))
    return (f"The function writes to its arguments ({names}); it was given copies.",)


class Upright:
    """An engine whose weights' gradients come as (n_l, n_{l-1}), turned over."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.name = engine, engine.name
        self.arithmetic, self.supports = engine.arithmetic, engine.supports

    def gradients(self, case: Case) -> Gradients:
        """The gradients with the weights' transposed."""
        given = self.engine.gradients(case)
        return Gradients(given.cost, [w.T for w in given.weights], given.biases)


def _failing(engine: Engine, cases: Sequence[Case]) -> set[str] | None:
    """The ids of cases with a DEFECT; None where there is a case without a gradient."""
    failures = {case.id: shrinking.failure(engine, case) for case in cases}
    if any(failure is not None and failure.kind != "DEFECT" for failure in failures.values()):
        return None
    return {case_id for case_id, failure in failures.items() if failure is not None}


def _transposed(engine: Engine, cases: Sequence[Case]) -> Diagnosis | None:
    """Whether the weights' gradients are right, or a known mistake, once they are turned over."""
    turned = Upright(engine)
    failing = _failing(turned, cases)
    if failing is None:
        return None
    said = "the weights' gradients are transposed: (n_l, n_{l-1}) came, return w.T"
    if not failing:
        return Diagnosis("transposed", {}, f"{said}; but for that they are right", 1.0, len(cases))
    also = diagnose(turned, cases, failing)
    if also is None:
        return None
    return replace(also, sentence=f"{said}; and {also.sentence}")


def _on_squares(engine: Engine, plan: Plan, dtype: str) -> Diagnosis | None:
    """For a function that raises wherever widths differ: its mistake where they do not."""
    low, high = SQUARES
    squares = [
        sampling.draw(
            replace(plan.distribution, widths=(low + index % (high - low + 1),) * 2),
            plan.seed,
            index,
            dtype,
        )
        for index in range(SQUARE_CASES)
    ]
    failing = _failing(engine, squares)
    diagnosis = diagnose(engine, squares, failing) if failing else None
    if diagnosis is None:
        return None
    sentence = f"{diagnosis.sentence} (on square networks, the only ones it takes)"
    return replace(diagnosis, sentence=sentence)


def as_json(suspect: Suspect, diagnosis: Diagnosis) -> dict[str, Any]:
    """What run.json says of a diagnosis."""
    counted = f"explains {diagnosis.explained} of {diagnosis.total} cases looked at"
    return {
        "engine": suspect.engine,
        "dtype": suspect.dtype,
        "fault": diagnosis.fault,
        "sentence": f"{diagnosis.sentence} ({counted})",
        "share": diagnosis.share,
        "also": list(diagnosis.also),
    }
