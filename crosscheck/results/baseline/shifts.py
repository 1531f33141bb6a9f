"""Whether errors have grown from one run to another: a size and a significance, both needed.

The same case is looked at twice, so what is tested is its own shift of log₂ error. Another
kernel, thread count or order of summation exchanges one set of rounding errors for another:
shifts of either sign are then equally likely, and the tests below assume no more. Given the sizes
of the shifts each sign is a coin, so the p-values are exact, or bounds from above. (A kernel with
wider registers does sum a little better: among enough cases that is significant, and it is the
size that says it does not matter.)

A mistake that touches all cases moves the median, and Wilcoxon's signed-rank test sees it. One
that touches few is lost there, and is sought among the cases that moved by a bit or more. The
sign test counts them, and sees many that moved by little more than a bit; the signed-rank test
of these cases alone weighs them by size, and sees few that moved by more. That scores should
rise with size where few respond is in Conover and Salsburg, Biometrics 44 (1988), 189-196.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from crosscheck.networks.network import Array

FAMILY = 1e-4
"""The chance of a false alarm that a whole comparison is allowed, over all its groups."""

QUARTER_BIT = 0.25
"""A median shift below this is never a regression, however significant."""

BIT = 1.0
"""A case exceeds its baseline where its error has at least doubled."""

SHARE, LEAST = 0.02, 3
"""The least surplus of cases that exceed over cases that fall short: 2 % of them, and three."""

EXACT = 200
"""Signs that are tried in all combinations; beyond, a bound takes less time."""


@dataclass(frozen=True)
class Shift:
    """A group's shift in bits, from the baseline to the run.

    `cases` pairs were found, `moved` of them at all; `median` is the median shift of a case,
    `grown` and `shrunk` the cases that moved by a bit or more; `worse` and `better` are p-values:
    of all cases by signed rank, of those that moved by a bit or more by sign, and by signed rank.
    """

    cases: int
    moved: int
    median: float
    grown: int
    shrunk: int
    worse: tuple[float, float, float]
    better: tuple[float, float, float]


def of_cases(shifts: Array) -> Shift:
    """The shift of a group from those of its cases, in bits."""
    return Shift(
        len(shifts),
        int(np.count_nonzero(shifts)),
        float(np.median(shifts)) if len(shifts) else 0.0,
        int((shifts >= BIT).sum()),
        int((shifts <= -BIT).sum()),
        _growth(shifts),
        _growth(-shifts),
    )


def _growth(shifts: Array) -> tuple[float, float, float]:
    """One-sided p-values that the shifts lie above zero, as in `Shift`."""
    far = shifts[np.abs(shifts) >= BIT]
    return signed_rank(shifts), _sign(int((far > 0).sum()), int((far < 0).sum())), signed_rank(far)


def signed_rank(shifts: Array) -> float:
    """One-sided p-value of Wilcoxon's signed-rank test that the shifts lie above zero.

    Shifts of zero are left out, and equal sizes share their mean rank. For more than EXACT
    shifts it is an upper bound, at most 3.18 times what the normal distribution gives.
    """
    from scipy.stats import rankdata

    moved = shifts[shifts != 0]
    twice = (2 * rankdata(np.abs(moved))).astype(np.int64)
    chance = exact_chance if len(moved) <= EXACT else bounded_chance
    return chance(twice, int(twice[moved > 0].sum()))


def exact_chance(weights: Array, least: int) -> float:
    """The chance that the weights whose coin shows heads sum to `least` or more.

    The product of all (1 + x^w) / 2, multiplied out: the coefficient of x^s is the chance of s.
    """
    chances = np.zeros(int(weights.sum()) + 1)
    chances[0] = 1.0
    for weight in weights:
        chances[weight:] = chances[weight:] + chances[:-weight]
        chances /= 2
    return float(chances[least:].sum())


def bounded_chance(weights: Array, least: int) -> float:
    """An upper bound of `exact_chance`, as cheap for millions.

    P(Σ ±w ≥ x ‖w‖) ≤ P(Z ≥ x) / 4 P(Z ≥ √2) for a normal Z: Bentkus and Dzindzalieta, Bernoulli
    21 (2015), 1231-1237, where the constant is shown to be the least.
    """
    from scipy.stats import norm

    excess = 2 * least - int(weights.sum())
    x = excess / np.linalg.norm(weights)
    return min(1.0, float(norm.sf(x) / (4 * norm.sf(np.sqrt(2)))))


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
    worse = holm(np.array([group.worse for group in groups]).reshape(-1)).reshape(-1, 3)
    better = holm(np.array([group.better for group in groups]).reshape(-1)).reshape(-1, 3)
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
    of_surplus = surplus >= max(LEAST, SHARE * cases) and min(p[1:]) < FAMILY
    return bool(of_median or of_surplus)
