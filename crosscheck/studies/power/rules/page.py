"""The part of the report on mistakes in derivative rules: Markdown from rows of trials."""

import pandas as pd

from crosscheck.faults.catalogue import rules
from crosscheck.studies.power.rules import trials

QUESTIONS = {
    "defect": "DEFECT",
    "rule": "by the rule",
    "bound": "by B",
    "stages": "by stages",
    "alone": "operation named alone",
}
"""What gradcheck() says, and each of its questions by itself."""

PLACE = ["framework", "format"]

INTRODUCTION = (
    "An operation with a rule written by hand, as `torch.autograd.Function` or `jax.custom_vjp`, "
    "between two dense layers of random numbers, under the cost Σ y³; each mistake of "
    "`crosscheck/faults/catalogue/rules.py` in its place. Counted are the arguments on which the "
    "mistake exists in the format (1 + 10⁻⁹ is 1 in float32). Beside each other: the verdict; the "
    "rule in exact arithmetic (question 1), the numbers beyond the bound B of the wrong program "
    "itself (question 2), the operation by itself (question 3), and whether it is named and no "
    "other. A wrong rule whose numbers are what it says passes B by what it is wrong; only the "
    "rule is independent of rounding."
)

BESIDE = (
    "What people use today, at its published tolerances: `torch.autograd.gradcheck` (slow and "
    "fast) and `jax.test_util.check_grads` at their defaults for the format; and what suites of "
    "kernels do, which compare with a reference that here is right: "
    "`torch.testing.assert_close` at the format's defaults, Triton's tutorial on layer "
    "normalization (atol 1e-2, rtol 0), and FlashAttention's tests (at most twice the error of "
    "the framework's own gradient, against one in a wider format)."
)


def sections(rows: pd.DataFrame) -> list[tuple[str, str, pd.DataFrame]]:
    """(title, text, table) of each section."""
    wrong, right = viable(rows), rows[rows["mistake"] == trials.RIGHT]
    others = list(trials.rival_names(rows))
    return [
        ("Mistakes in derivative rules", INTRODUCTION, shares(wrong, QUESTIONS)),
        ("Rules beside the checkers in use", BESIDE, shares(wrong, _beside(others))),
        (
            "Right rules accused",
            "The right rule of each operation. A checker's row of false alarms: how many of them "
            "it calls wrong.",
            alarms(right, others),
        ),
        (
            "Every mistake in a rule",
            "DEFECT of how many; in brackets, where it is fewer: by the rule, by B, by stages, "
            "and named alone.",
            by_mistake(wrong),
        ),
        (
            "Every mistake in a rule, beside the checkers in use",
            "Caught, of all frameworks and formats in which the checker has something to say, in "
            "per cent: float64, float32, bfloat16.",
            by_rival(wrong, others),
        ),
    ]


def viable(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows in which there is a mistake."""
    wrong = rows[rows["mistake"] != trials.RIGHT]
    gone = [
        trials.rounds_away(mistake, format)
        for mistake, format in zip(wrong["mistake"], wrong["format"], strict=True)
    ]
    return wrong[~pd.Series(gone, index=wrong.index, dtype=bool)]


def _beside(others: list[str]) -> dict[str, str]:
    return {"defect": "crosscheck", **{name: name for name in others}}


def shares(rows: pd.DataFrame, columns: dict[str, str]) -> pd.DataFrame:
    """Per framework and format: of how many, and the share of each column in per cent."""
    lines = []
    for key, group in rows.groupby(PLACE, sort=False):
        line: dict[str, object] = dict(zip(PLACE, key, strict=True))
        line["trials"] = len(group)
        for name, heading in columns.items():
            line[heading] = _percent(group[name])
        lines.append(line)
    return pd.DataFrame(lines)


def _percent(said: pd.Series) -> str:
    """The share in per cent; a share that is not the whole does not read 100."""
    known = said.dropna().astype(bool)
    if not len(known):
        return "–"
    share = 100 * float(known.mean())
    return "100" if share == 100 else f"{min(share, 99.9):.1f}"


def alarms(rows: pd.DataFrame, others: list[str]) -> pd.DataFrame:
    """Per framework and format: how many right rules were accused, by whom."""
    lines = []
    for key, group in rows.groupby(PLACE, sort=False):
        counts = {
            heading: int(group[name].sum())
            for name, heading in (
                ("defect", "DEFECT"),
                ("suspect", "SUSPECT"),
                ("open", "INCONCLUSIVE"),
            )
        }
        theirs = {name: _count(group[name]) for name in others}
        lines.append(
            {**dict(zip(PLACE, key, strict=True)), "trials": len(group), **counts, **theirs}
        )
    return pd.DataFrame(lines)


def _count(said: pd.Series) -> str:
    known = said.dropna().astype(bool)
    return str(int(known.sum())) if len(known) else "–"


def by_mistake(rows: pd.DataFrame) -> pd.DataFrame:
    """A row per mistake, a column per framework and format."""
    lines = []
    for mistake, group in rows.groupby("mistake", sort=False):
        line: dict[str, object] = {"mistake": mistake, "what": rules.find(str(mistake)).sentence}
        for key, cell in group.groupby(PLACE, sort=False):
            line[" ".join(map(str, key))] = _cell(cell)
        lines.append(line)
    return pd.DataFrame(lines).fillna("–")


def _cell(group: pd.DataFrame) -> str:
    caught = int(group["defect"].sum())
    parts = [int(group[name].sum()) for name in ("rule", "bound", "stages", "alone")]
    text = f"{caught} of {len(group)}"
    return text if min(parts) >= caught else f"{text} ({', '.join(map(str, parts))})"


def by_rival(rows: pd.DataFrame, others: list[str]) -> pd.DataFrame:
    """A row per mistake, a column per checker: shares by format."""
    lines = []
    for mistake, group in rows.groupby("mistake", sort=False):
        formats = [group[group["format"] == format] for format in group["format"].unique()]
        line: dict[str, object] = {"mistake": mistake}
        for name, heading in _beside(others).items():
            line[heading] = ", ".join(_percent(part[name]) for part in formats)
        lines.append(line)
    return pd.DataFrame(lines)


def accused(rows: pd.DataFrame) -> int:
    """How many right rules were judged DEFECT."""
    return int(rows.loc[rows["mistake"] == trials.RIGHT, "defect"].sum())
