"""An audit on request: what the command does, from the plan to the files and the exit status.

Every word of an audit is ours, its numbers too, but for the names that the user gives: they alone
are made visible, and no cell of its CSV can be a formula.
"""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from crosscheck.audit.audit import AuditPlan, audit
from crosscheck.audit.reports import csv, github, html, latex, markdown, terminal
from crosscheck.reports.visible import visible
from crosscheck.results import extras
from crosscheck.results.disk import files

AS_KNOWN, DIFFERENT = 0, 1


def as_json(found: dict[str, Any]) -> str:
    """The audit as strict JSON."""
    return json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


FORMATS: Mapping[str, Callable[[dict[str, Any]], str]] = {
    "json": as_json,
    "md": markdown.text,
    "csv": csv.text,
    "tex": latex.text,
    "html": html.text,
}
"""What a file of the audit may be, by its ending."""

PRINTED: Mapping[str, Callable[[dict[str, Any]], str]] = {
    "json": as_json,
    "github": github.text,
}
"""What the terminal shows as it is."""


def run(
    plan: AuditPlan,
    out: Path,
    name: str,
    formats: Sequence[str],
    output_format: str,
    console: Console,
) -> int:
    """Audit, write out/name.* in each format, show the outcome; 0 where it is the known one.

    Raises ValueError for an unknown format, or where `out` cannot be written.
    """
    unknown = [ending for ending in formats if ending not in FORMATS]
    if unknown:
        raise ValueError(f"unknown format {unknown[0]!r}: known are {', '.join(FORMATS)}")
    if "html" in formats:
        extras.require("--format html", "matplotlib")
    if os.sep in name or not name:
        raise ValueError(f"{name!r} is not the name of a file")
    _prepare(out)
    found = audit(plan)
    found["command"] = _command(plan, out, name, formats)
    for ending in formats:
        _write(out / f"{name}.{ending}", FORMATS[ending](found))
    _show(found, output_format, console)
    return DIFFERENT if found["differences"] else AS_KNOWN


def _show(found: dict[str, Any], output_format: str, console: Console) -> None:
    if output_format in PRINTED:
        console.out(PRINTED[output_format](found), end="", highlight=False)
    elif output_format == "concise":
        terminal.conclude(console, found)
    else:
        terminal.show(console, found)


def _command(plan: AuditPlan, out: Path, name: str, formats: Sequence[str]) -> str:
    """The line that makes the same files again; options that are the default are left out."""
    words = ["crosscheck audit"]
    default = AuditPlan()
    for option in ("architectures", "seed", "dtype"):
        if getattr(plan, option) != getattr(default, option):
            words.append(f"--{option} {getattr(plan, option)}")
    # A folder elsewhere is this machine's own business.
    words.append(f"--out {out if not out.is_absolute() else out.name}")
    words.append(f"--name {name} --format {','.join(formats)}")
    return visible(" ".join(words))


def _prepare(out: Path) -> None:
    """Make the folder before the work is done, so that a mistake shows at once."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"cannot write to {out}: {error.strerror}") from None
    if not os.access(out, os.W_OK):
        raise ValueError(f"cannot write to {out}: permission denied")


def _write(path: Path, text: str) -> None:
    try:
        files.write(path, text)
    except OSError as error:
        raise ValueError(f"cannot write {path}: {error.strerror}") from None
