"""Shares of trials, with what the number of trials leaves open: Clopper and Pearson (1934)."""

import pandas as pd

CONFIDENCE = 0.95
"""Of a limit, and of an interval; each holds by itself."""


def upper_limit(hits: int, trials: int, confidence: float = CONFIDENCE) -> float:
    """Clopper and Pearson's one-sided upper limit on a share; 1 where nothing was tried."""
    from scipy.special import betaincinv

    if hits >= trials:
        return 1.0
    return float(betaincinv(hits + 1, trials - hits, confidence))


def interval(hits: int, trials: int) -> tuple[float, float]:
    """Clopper and Pearson's two-sided interval of a share, at 95 %; 0 … 1 where nothing was tried.

    The limits are exact: each tail has at most half of what is left of one.
    """
    one_sided = (1 + CONFIDENCE) / 2
    return (
        1 - upper_limit(trials - hits, trials, one_sided),
        upper_limit(hits, trials, one_sided),
    )


def with_intervals(counts: pd.DataFrame, hits: str, trials: str) -> pd.DataFrame:
    """The share of the column `hits` in the column `trials`, in per cent, and its interval."""
    pairs = list(zip(counts[hits].astype(int), counts[trials].astype(int), strict=True))
    limits = [interval(h, n) for h, n in pairs]
    return counts.assign(
        share=[f"{100 * h / n:.1f}" if n else "–" for h, n in pairs],
        interval=[f"{100 * low:.1f} … {100 * high:.1f}" for low, high in limits],
    )
