"""What a run's rows amount to in words, and numbers as people read them."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from crosscheck.reports import tables
from crosscheck.reports.proportions import CONFIDENCE
from crosscheck.reports.tables import Summary
from crosscheck.reports.visible import visible
from crosscheck.results import outcome, rows

WORDS = {
    outcome.OK: "No defect",
    outcome.DEFECT: "DEFECT",
    outcome.FAILED: "An engine failed",
    outcome.NOT_COMPARABLE: "Not comparable",
    outcome.NOTHING: "Nothing could be confirmed",
    outcome.INTERRUPTED: "Interrupted",
}
"""Exit statuses of a run in words."""


def word(summary: Summary, status: int) -> str:
    """The verdict in a word or three; a suspect that --strict fails is no defect."""
    if status == outcome.DEFECT and not summary.verdicts["DEFECT"]:
        return "SUSPECT"
    return WORDS.get(status, f"Exit status {status}")


def lead(summary: Summary) -> str:
    """Tensors by verdict, and of how many cases and engines."""
    counted = ", ".join(f"{count} {verdict}" for verdict, count in summary.verdicts.items())
    return (
        f"{counted} in {summary.tensors} tensors of {summary.cases} cases × {summary.ran} engines"
    )


def headline(summary: Summary, status: int) -> str:
    """One sentence with the verdict and what it covers."""
    return f"{word(summary, status)}: {lead(summary)}"


def tiles(summary: Summary) -> list[tuple[str, int, str]]:
    """(word, count, of what) for each verdict on a tensor and each status but ok."""
    verdicts = [(word.lower(), n, "tensors") for word, n in summary.verdicts.items()]
    names = {"crash": "crashed", "timeout": "timed out", "error": "raised an error"}
    failed = [(names.get(w, w), n, "gradients") for w, n in summary.attempts.items() if w != "ok"]
    return verdicts + failed


def sentences(errors: pd.DataFrame, cases: pd.DataFrame) -> list[str]:
    """What may be concluded from the run, and from how much."""
    of_functions = "mode" in errors
    limits = tables.defect_limits(errors, cases)
    limits = limits[limits["judged"] > 0]
    said = []
    if len(limits) and not of_functions:
        worst = limits.sort_values("upper_limit", kind="stable").iloc[-1]
        said.append(
            f"Of cases drawn like these, at most {percent(worst['upper_limit'])} can have a "
            f"defect, for the engine and precision of which least is known ({worst['engine']}, "
            f"{worst['dtype']}: {worst['defective']} of {worst['judged']} cases): Clopper and "
            f"Pearson's upper limit, {CONFIDENCE:.0%} confidence."
        )
    for line in tables.references(cases).to_dict("records"):
        said.append(
            f"{line['dtype']}: {line['cases']} cases ({percent(line['share'])}) were ruled by "
            f"{_by(line['reference'])}; the exact gradient was enclosed within "
            f"{pretty(line['median_radius'])} of what the bound allows (median; largest "
            f"{pretty(line['radius'])})."
        )
    return [*said, certified(cases)] if len(cases) and not of_functions else said


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


def not_covered(summary: Summary, record: Mapping[str, Any]) -> list[str]:
    """A sentence for everything that was asked for and did not run, or ran on a sample alone."""
    sampled = [
        f"{name}: a sample, {summary.cases - left} of {summary.cases} cases"
        for name, counts in summary.statuses.items()
        if (left := counts[rows.NOT_SAMPLED])
    ]
    return [*summary.not_covered, *sampled, *left_out(record)]


def left_out(record: Mapping[str, Any]) -> list[str]:
    """A sentence for each special case that the user's ranges do not allow."""
    return [f"special case left out: {name}" for name in record.get("specials_left_out", [])]


def percent(share: float) -> str:
    """A share in percent, with three digits."""
    if share == 1:
        return "100 %"
    return f"{share:.2%}".replace("%", " %") if share < 0.1 else f"{share:.1%}".replace("%", " %")


def short(value: object) -> str:
    """A float with two or three digits, "–" for NaN, everything else as it is."""
    if not isinstance(value, float):
        return visible(str(value))
    if math.isnan(value):
        return "–"
    if math.isinf(value) or value == 0:
        return f"{value:g}"
    if 1e-2 <= abs(value) < 1e4:
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa}e{int(exponent)}"


SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def power_of_ten(exponent: int) -> str:
    """10 with its exponent above the line."""
    return "10" + str(exponent).translate(SUPERSCRIPTS)


def pretty(value: object) -> str:
    """As `short`, for a page: 1.7 × 10⁷, and ∞."""
    if not isinstance(value, float):
        return visible(str(value))
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    text = short(value).replace("-", "−", 1) if value < 0 else short(value)
    mantissa, e, exponent = text.partition("e")
    if e:
        return f"{mantissa}\N{NARROW NO-BREAK SPACE}×\N{NARROW NO-BREAK SPACE}" + power_of_ten(
            int(exponent)
        )
    return text
