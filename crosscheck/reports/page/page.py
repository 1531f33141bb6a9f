"""A run as one self-contained page: it works offline, in print, and without JavaScript."""

import base64
import hashlib
from collections.abc import Mapping
from importlib import resources
from typing import Any

from crosscheck.reports import tables, words
from crosscheck.reports.page import sections
from crosscheck.reports.page.tables import Table
from crosscheck.reports.visible import visible
from crosscheck.results.finished import FinishedRun
from crosscheck.results.rows import engine_names

TEMPLATES = resources.files("crosscheck.reports") / "templates"


def report(run: FinishedRun) -> str:
    """The page; the same rows give the same bytes."""
    return rendered("report.html.j2", _content(run))


def rendered(template: str, content: Mapping[str, Any]) -> str:
    """One of our templates with its content, our style and our script."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_source),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    script = _source("tables.js")
    page = environment.get_template(template).render(
        style=_source("style.css"), script=script, script_hash=_hash(script), **content
    )
    return visible(page if page.endswith("\n") else page + "\n")


def _source(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    """What the page's policy allows to run: this script, and no other."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _content(run: FinishedRun) -> dict[str, Any]:
    """What the template shows, in its order."""
    status = run.record["exit_status"]
    summary = tables.summary(run)
    return {
        "word": words.word(summary, status),
        "lead": words.lead(summary),
        "kind": sections.kind(summary, status),
        "tiles": words.tiles(summary),
        "sentences": words.sentences(run.errors, run.cases),
        "not_covered": words.not_covered(summary, run.record),
        "silent": sections.silent(run),
        "legend": [(name, n % 8) for n, name in enumerate(engine_names(run.cases))],
        "engines": sections.engines(run, summary.engines),
        "accuracy": sections.accuracy(run),
        "sections": sections.sections(run, summary.pairs),
        "worst": sections.worst_results(run),
        "defects": sections.defects(run),
        "comparison": run.comparison,
        "difference": sections.difference_tables(run),
        "environment": sections.environment(run.record["environment"]),
        "plan": sections.plan(run.record),
        "command": run.record["command"],
        "tensors": summary.tensors,
        "cases": summary.cases,
        "Table": Table,
    }
