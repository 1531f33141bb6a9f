"""Whether errors have grown from one run to another: a size and a significance, both needed.

The same case is looked at twice, so what is tested is its own shift of log₂ error. Another
kernel, thread count or order of summation exchanges one set of rounding errors for another:
shifts of either sign are then equally likely, and the tests below assume no more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from crosscheck.values import Array

FAMILY = 1e-4
"""The chance of a false alarm that a whole comparison is allowed, over all its groups."""

QUARTER_BIT = 0.25
"""A median shift below this is never a regression, however significant."""

BIT = 1.0
"""A case exceeds its baseline where its error has at least doubled."""

SHARE, LEAST = 0.02, 3
"""The least surplus of cases that exceed over cases that fall short: 2 % of them, and three."""


@dataclass(frozen=True)
class Shift:
    """A group's shift in bits, from the baseline to the run.

    `cases` pairs were found, `moved` of them at all; `median` is the median shift of a case,
    `grown` and `shrunk` the cases that moved by a bit or more; `worse` and `better` are p-values,
    (median, surplus).
    """

    cases: int
    moved: int
    median: float
    grown: int
    shrunk: int
    worse: tuple[float, float]
    better: tuple[float, float]


def of_cases(shifts: Array) -> Shift:
    """The shift of a group from those of its cases, in bits."""
    if not len(shifts):
        return Shift(0, 0, 0.0, 0, 0, (1.0, 1.0), (1.0, 1.0))
    grown, shrunk = int((shifts >= BIT).sum()), int((shifts <= -BIT).sum())
    return Shift(
        len(shifts),
        int(np.count_nonzero(shifts)),
        float(np.median(shifts)),
        grown,
        shrunk,
        (_signed_rank(shifts), _sign(grown, shrunk)),
        (_signed_rank(-shifts), _sign(shrunk, grown)),
    )


def _signed_rank(shifts: Array) -> float:
    """One-sided p-value of Wilcoxon's signed-rank test that the shifts lie above zero."""
    from scipy.stats import wilcoxon

    moved = shifts[shifts != 0]
    if not len(moved):
        return 1.0
    return float(wilcoxon(moved, alternative="greater").pvalue)


def _sign(more: int, fewer: int) -> float:
    """One-sided p-value of the sign test: `more` against `fewer`, each as likely as the other."""
    from scipy.stats import binom

    return float(binom.sf(more - 1, more + fewer, 0.5)) if more else 1.0


def holm(p_values: Array) -> Array:
    """Holm's correction: adjusted p-values that hold for all tests at once."""
    order = np.argsort(p_values)
    count = len(p_values)
    scaled = p_values[order] * (count - np.arange(count))
    adjusted = np.empty(count)
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return adjusted


def ruled(groups: Sequence[Shift]) -> pd.DataFrame:
    """A row per group: cases, shift, grown, shrunk, `p`, and `mark`, ruled over all groups.

    `mark` is + where errors have grown, - where they have shrunk, ~ where cases moved
    insignificantly, and empty where none did; `p` is the least corrected p-value of the group.
    """
    worse = holm(np.array([group.worse for group in groups]).reshape(-1)).reshape(-1, 2)
    better = holm(np.array([group.better for group in groups]).reshape(-1)).reshape(-1, 2)
    lines = [_row(group, up, down) for group, up, down in zip(groups, worse, better, strict=True)]
    return pd.DataFrame(lines, columns=["cases", "shift", "grown", "shrunk", "p", "mark"])


def _row(group: Shift, worse: Array, better: Array) -> dict[str, Any]:
    surplus = group.grown - group.shrunk
    if _ruled(group.median, surplus, group.cases, worse):
        mark = "+"
    elif _ruled(-group.median, -surplus, group.cases, better):
        mark = "-"
    else:
        mark = "~" if group.moved else ""
    return {
        "cases": group.cases,
        "shift": group.median,
        "grown": group.grown,
        "shrunk": group.shrunk,
        "p": float(min(*worse, *better)),
        "mark": mark,
    }


def _ruled(median: float, surplus: int, cases: int, p: Array) -> bool:
    """Whether size and significance agree, for the median or for the surplus."""
    of_median = median >= QUARTER_BIT and p[0] < FAMILY
    of_surplus = surplus >= max(LEAST, SHARE * cases) and p[1] < FAMILY
    return bool(of_median or of_surplus)
