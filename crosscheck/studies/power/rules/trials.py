"""Every mistake in a rule, and every right rule, on random arguments before gradcheck().

What is counted is what each question says by itself: the rule in exact arithmetic, the numbers
beyond the bound, the operation that is named.
"""

import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from crosscheck.arithmetic.formats import FORMATS
from crosscheck.checking.gradcheck import gradcheck
from crosscheck.checking.gradient_report import GradientReport
from crosscheck.faults.catalogue import rules
from crosscheck.studies.power.processes import workers
from crosscheck.studies.power.rules import rivals
from crosscheck.studies.power.rules.networks import FRAMEWORKS, Framework, arrays
from crosscheck.studies.power.rules.rivals import Situation

RIGHT = ""
"""Stands for the name of a mistake where there is none."""


class RuleTask(NamedTuple):
    """An operation with a mistake, or none, and on how many sets of arguments it is tried."""

    framework: str
    format: str
    operation: str
    mistake: str
    seed: int
    sets: int


def trials(
    count: int, seed: int, formats: tuple[str, ...], frameworks: tuple[str, ...], jobs: int = 1
) -> pd.DataFrame:
    """A row per framework, format, mistake and set of arguments; what each question said."""
    named = [(mistake.operation, mistake.name) for mistake in rules.MISTAKES]
    named += [(operation, RIGHT) for operation in rules.OPERATIONS]
    tasks = [
        RuleTask(framework, format, operation, mistake, seed, count)
        for framework in frameworks
        for format in formats
        for operation, mistake in named
    ]
    return pd.concat(map(pd.DataFrame, workers.each(tried, tasks, jobs)), ignore_index=True)


def tried(task: RuleTask) -> list[dict[str, Any]]:
    """The rows of a task."""
    framework = FRAMEWORKS[task.framework]()
    operation = rules.OPERATIONS[task.operation]
    backward = rules.find(task.mistake).backward if task.mistake else operation.backward
    function = framework.network(operation, backward)
    composite = framework.composite(operation)
    rows = []
    for index in range(task.sets):
        given = Situation(
            framework, task.format, function, composite, arrays(operation, task.seed, index)
        )
        with framework.precision(task.format), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            rows.append({**task._asdict(), "index": index, **_of_one(framework, given, operation)})
    return rows


def _of_one(
    framework: Framework, given: Situation, operation: rules.RuleOperation
) -> dict[str, Any]:
    report = gradcheck(given.function, *given.inputs(), modes=framework.mode)
    with np.errstate(all="ignore"):
        others = rivals.rejected(given)
    return {**said(report, operation.name.replace(" ", "_")), **others}


def said(report: GradientReport, operation: str) -> dict[str, bool]:
    """What gradcheck() said: defect, suspect, and each question by itself."""
    judged = report.tried[0].modes[0]
    verdicts = {leaf.verdict for leaf in judged.findings}
    names = [stage.name.partition(",")[0] for stage in judged.wrong]
    return {
        "defect": "DEFECT" in verdicts,
        "suspect": "SUSPECT" in verdicts,
        "open": "INCONCLUSIVE" in verdicts or not judged.findings,
        "rule": any(leaf.is_rule for leaf in judged.findings),
        "bound": any(_beyond(leaf) for leaf in judged.findings),
        "stages": operation in names,
        "alone": names == [operation],
    }


def _beyond(leaf: Any) -> bool:
    with np.errstate(all="ignore"):
        return bool(np.any(leaf.error - leaf.radius > leaf.allowed))


def rounds_away(mistake: str, format: str) -> bool:
    """Whether 1 + ε is 1 in this format, so that there is no mistake."""
    small = rules.find(mistake).small if mistake else None
    return small is not None and small <= FORMATS[format].unit_roundoff


def rival_names(rows: pd.DataFrame) -> Iterator[str]:
    """Those of the rivals that had something to say."""
    return (name for name in rivals.RIVALS if name in rows)
