"""What a run's verdict covers, and what it does not."""

import pandas as pd

from crosscheck import outcome, rows
from crosscheck.finished import FinishedRun
from crosscheck.reports import summaries
from crosscheck.reports.numbers import pretty
from crosscheck.reports.summaries import engine_names

CONFIDENCE = 0.95
"""Of the upper limits on the rate of defects; each holds by itself."""


def attempts(cases: pd.DataFrame) -> dict[str, int]:
    """Engines × cases by status; every status is there, and what was not sampled counts nowhere."""
    found = dict.fromkeys(rows.STATUSES, 0)
    for name in engine_names(cases):
        for status, count in cases[f"status:{name}"].value_counts().items():
            if status in found:
                found[str(status)] += int(count)
    return found


def tiles(errors: pd.DataFrame, cases: pd.DataFrame) -> list[tuple[str, int, str]]:
    """(word, count, of what) for each verdict on a tensor and each status but ok."""
    verdicts = [(word.lower(), n, "tensors") for word, n in outcome.counts(errors).items()]
    failed = [(word, n, "gradients") for word, n in attempts(cases).items() if word != "ok"]
    names = {"crash": "crashed", "timeout": "timed out", "error": "raised an error"}
    return verdicts + [(names.get(word, word), n, unit) for word, n, unit in failed]


def upper_limit(defective: int, judged: int, confidence: float = CONFIDENCE) -> float:
    """Clopper and Pearson's one-sided upper limit on a rate; 1 where nothing was judged."""
    from scipy.special import betaincinv

    if defective >= judged:
        return 1.0
    return float(betaincinv(defective + 1, judged - defective, confidence))


LIMITS = ["engine", "dtype", "judged", "defective", "upper_limit"]


def defect_limits(errors: pd.DataFrame, cases: pd.DataFrame) -> pd.DataFrame:
    """A row per engine × dtype: random cases judged, those with a defect, and the upper limit.

    The special cases are no random draw, and count in neither. A case whose every tensor is
    INCONCLUSIVE was not judged.
    """
    drawn = cases.loc[cases["special"] == "", ["case", "dtype"]]
    said = errors[errors["verdict"].ne("INCONCLUSIVE") & errors["case"].isin(drawn["case"])]
    judged = said.groupby(["engine", "dtype"])["case"].nunique().to_dict()
    defects = said[said["verdict"] == "DEFECT"]
    wrong = defects.groupby(["engine", "dtype"])["case"].nunique().to_dict()
    lines = []
    for name in engine_names(cases):
        for dtype in cases["dtype"].unique():
            n, k = judged.get((name, dtype), 0), wrong.get((name, dtype), 0)
            lines.append([name, dtype, n, k, upper_limit(k, n)])
    return pd.DataFrame(lines, columns=LIMITS)


REFERENCES = ["dtype", "reference", "cases", "share", "median_radius", "radius"]


def references(cases: pd.DataFrame) -> pd.DataFrame:
    """A row per dtype × reference: cases, their share, median and largest radius as shares of B."""
    lines = []
    for dtype, of_dtype in cases.groupby("dtype", sort=False):
        for reference, group in of_dtype.groupby("reference", sort=True):
            share = len(group) / len(of_dtype)
            radius = group["reference_radius"]
            median, largest = float(radius.median()), float(radius.max())
            lines.append([dtype, reference, len(group), share, median, largest])
    return pd.DataFrame(lines, columns=REFERENCES)


def inconclusive(errors: pd.DataFrame) -> pd.DataFrame:
    """A row per reason for which nothing was said: tensors, cases, engines."""
    silent = errors[errors["verdict"] == "INCONCLUSIVE"]
    reasons = silent["reason"].str.replace(r"^\d+ ", "", regex=True)
    lines = [
        [reason, len(group), group["case"].nunique(), ", ".join(group["engine"].unique())]
        for reason, group in silent.groupby(reasons, sort=True)
    ]
    return pd.DataFrame(lines, columns=["reason", "tensors", "cases", "engines"])


def sentences(errors: pd.DataFrame, cases: pd.DataFrame) -> list[str]:
    """What may be concluded from the run, and from how much."""
    limits = defect_limits(errors, cases)
    limits = limits[limits["judged"] > 0]
    found = []
    if len(limits):
        worst = limits.sort_values("upper_limit", kind="stable").iloc[-1]
        found.append(
            f"Of cases drawn like these, at most {percent(worst['upper_limit'])} can have a "
            f"defect, for the engine and precision of which least is known ({worst['engine']}, "
            f"{worst['dtype']}: {worst['defective']} of {worst['judged']} cases): Clopper and "
            f"Pearson's upper limit, {CONFIDENCE:.0%} confidence."
        )
    for line in references(cases).to_dict("records"):
        found.append(
            f"{line['dtype']}: {line['cases']} cases ({percent(line['share'])}) were ruled by "
            f"{_by(line['reference'])}; the exact gradient was enclosed within "
            f"{pretty(line['median_radius'])} of what the bound allows (median; largest "
            f"{pretty(line['radius'])})."
        )
    return [*found, certified(cases)] if len(cases) else found


def certified(cases: pd.DataFrame) -> str:
    """The share of cases on which the oracle was certified, and what that means."""
    tried = cases[cases["certificate"] != ""]
    if not len(tried):
        return "The oracle was certified on no case."
    whole = int((tried["certificate"] == "certified").sum())
    part = int((tried["certificate"] == "in part").sum())
    sentence = (
        f"The oracle itself was held to the definition of the derivative, by difference quotients "
        f"in balls, on {len(tried)} cases ({percent(len(tried) / len(cases))}): {whole} certified"
    )
    if part:
        sentence += f", {part} in part, where a quotient could not have told"
    return f"{sentence}, {len(tried) - whole - part} failed."


def _by(reference: str) -> str:
    return "float64 with its own proven bound" if reference == "float64" else reference


def not_covered(run: FinishedRun) -> list[str]:
    """A sentence for everything that was asked for and did not run, or ran on a sample alone."""
    left_out = run.record.get("specials_left_out", [])
    found = summaries.not_covered(run.cases)
    for name in engine_names(run.cases):
        taken = run.cases[f"status:{name}"] != rows.NOT_SAMPLED
        if not taken.all():
            found.append(f"{name}: a sample, {taken.sum()} of {len(taken)} cases")
    return [*found, *(f"special case left out: {special}" for special in left_out)]


def percent(share: float) -> str:
    """A share in percent, with three digits."""
    if share == 1:
        return "100 %"
    return f"{share:.2%}".replace("%", " %") if share < 0.1 else f"{share:.1%}".replace("%", " %")
