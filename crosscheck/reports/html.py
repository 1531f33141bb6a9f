"""A run as one self-contained page: it works offline, in print, and without JavaScript."""

import base64
import hashlib
from importlib import resources
from typing import Any

from crosscheck.finished import FinishedRun
from crosscheck.reports import coverage, headline, page_parts, summaries
from crosscheck.reports.page_tables import Table

TEMPLATES = resources.files("crosscheck.reports") / "templates"


def report(run: FinishedRun) -> str:
    """The page; the same rows give the same bytes."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_source),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    script = _source("tables.js")
    page = environment.get_template("report.html.j2").render(
        style=_source("style.css"), script=script, script_hash=_hash(script), **_content(run)
    )
    return page if page.endswith("\n") else page + "\n"


def _source(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    """What the page's policy allows to run: this script, and no other."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _content(run: FinishedRun) -> dict[str, Any]:
    """What the template shows, in its order."""
    status = run.record["exit_status"]
    engines = summaries.engine_names(run.cases)
    return {
        "word": headline.word(run.errors, status),
        "lead": headline.headline(run.errors, run.cases, status).partition(": ")[2],
        "kind": page_parts.kind(run.errors, status),
        "tiles": coverage.tiles(run.errors, run.cases),
        "sentences": coverage.sentences(run.errors, run.cases),
        "not_covered": coverage.not_covered(run),
        "silent": page_parts.silent(run),
        "legend": [(name, n % 8) for n, name in enumerate(engines)],
        "engines": page_parts.engines(run),
        "accuracy": page_parts.accuracy(run),
        "sections": page_parts.sections(run),
        "worst": page_parts.worst_results(run),
        "defects": page_parts.defects(run),
        "comparison": run.comparison,
        "difference": page_parts.difference_tables(run),
        "environment": page_parts.environment(run.record["environment"]),
        "plan": page_parts.plan(run.record),
        "command": run.record["command"],
        "tensors": len(run.errors),
        "cases": len(run.cases),
        "Table": Table,
    }
