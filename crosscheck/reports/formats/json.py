"""A run as a JSON document; `report.schema.json` beside this file says what it holds."""

import json
import math
from typing import Any

import pandas as pd

from crosscheck.reports import tables, words, worst
from crosscheck.results.finished import FinishedRun

SCHEMA_VERSION = 1


def report(run: FinishedRun) -> str:
    """The document, indented; no NaN or ∞, which JSON lacks: null, "Infinity", "-Infinity"."""
    return json.dumps(document(run), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def document(run: FinishedRun) -> dict[str, Any]:
    """What the schema describes."""
    status = run.record["exit_status"]
    summary = tables.summary(run)
    whole = {
        "format": "crosscheck report",
        "schema_version": SCHEMA_VERSION,
        "verdict": words.word(summary, status),
        "headline": words.headline(summary, status),
        "exit_status": status,
        "command": run.record["command"],
        "plan": run.record["plan"],
        "counts": summary.verdicts,
        "attempts": summary.attempts,
        "not_covered": words.not_covered(summary, run.record),
        "defect_limits": _records(tables.defect_limits(run.errors, run.cases)),
        "references": _records(tables.references(run.cases)),
        "inconclusive": _records(tables.inconclusive(run.errors)),
        "engines": _records(summary.engines),
        "pairs": _records(summary.pairs),
        "defects": _records(worst.defects(run)),
        "worst": _records(worst.worst(run)),
        "comparison": run.comparison,
        "environment": run.record["environment"],
    }
    plain: dict[str, Any] = _plain(whole)
    return plain


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(k): v for k, v in row.items()} for row in frame.to_dict("records")]


def _plain(value: Any) -> Any:
    """The same in JSON's own types."""
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    return value
