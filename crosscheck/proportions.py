"""Shares of trials, with what the number of trials leaves open."""

import pandas as pd

CONFIDENCE = 0.95


def interval(hits: int, of: int) -> tuple[float, float]:
    """Clopper-Pearson: the exact two-sided interval of a binomial share, at 95 %; 0 … 1 of none."""
    from scipy.stats import beta

    tail = (1 - CONFIDENCE) / 2
    low = 0.0 if hits == 0 else float(beta.ppf(tail, hits, of - hits + 1))
    high = 1.0 if hits == of else float(beta.ppf(1 - tail, hits + 1, of - hits))
    return low, high


def with_intervals(counts: pd.DataFrame, hits: str, of: str) -> pd.DataFrame:
    """The share of the column `hits` in the column `of`, in per cent, and its interval."""
    pairs = list(zip(counts[hits].astype(int), counts[of].astype(int), strict=True))
    limits = [interval(h, n) for h, n in pairs]
    return counts.assign(
        share=[f"{100 * h / n:.1f}" if n else "–" for h, n in pairs],
        interval=[f"{100 * low:.1f} … {100 * high:.1f}" for low, high in limits],
    )
