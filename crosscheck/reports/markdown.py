"""Frames as Markdown: the summary of a run for a reader, or for a pull request."""

from typing import Any

import pandas as pd

from crosscheck.reports import summaries
from crosscheck.reports.numbers import short


def table(frame: pd.DataFrame) -> str:
    """A frame as a Markdown table; a bar inside a cell is escaped."""
    lines = [list(frame.columns), ["---"] * len(frame.columns)]
    lines += [[short(value) for value in row] for row in frame.itertuples(index=False)]
    return "\n".join("| " + " | ".join(_cell(c) for c in line) + " |" for line in lines)


def _cell(text: object) -> str:
    return str(text).replace("|", "\\|").replace("\n", " ")


def summary(
    headline: str,
    errors: pd.DataFrame,
    cases: pd.DataFrame,
    pairs: pd.DataFrame,
    run: dict[str, Any],
) -> str:
    """The summary of a run: the verdict, what was not covered, engines, pairs, how to repeat it."""
    engines = summaries.by_engine(errors, cases)
    parts = ["# crosscheck", headline]
    missing = [f"- {sentence}" for sentence in summaries.not_covered(cases)]
    missing += [f"- special case left out: {name}" for name in run["specials_left_out"]]
    parts += ["Not covered:\n\n" + "\n".join(missing) if missing else "Everything asked for ran."]
    parts += ["## Engines", table(_shown(engines)), "## Pairs of engines"]
    parts += [table(summaries.by_pair(pairs)), f"Command: `{run['command']}`"]
    return "\n\n".join(parts) + "\n"


def _shown(engines: pd.DataFrame) -> pd.DataFrame:
    """Without the status columns that are zero throughout."""
    return engines.drop(columns=[name for name in summaries.NOT_OK if not engines[name].any()])
