"""Reports by format: one line a format, and what writes and shows them."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from rich.console import Console

from crosscheck.finished import FinishedRun
from crosscheck.reports import difference, terminal
from crosscheck.reports.headline import headline


class Format(NamedTuple):
    """The module with `report(run) -> str | bytes`, and the name of the file it makes."""

    module: str
    file: str


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "html": Format("crosscheck.reports.html", "report.html"),
        "md": Format("crosscheck.reports.markdown", "report.md"),
        "csv": Format("crosscheck.reports.csv_table", "report.csv"),
        "parquet": Format("crosscheck.reports.parquet_table", "report.parquet"),
        "latex": Format("crosscheck.reports.latex", "report.tex"),
        "json": Format("crosscheck.reports.json_document", "report.json"),
        "junit": Format("crosscheck.reports.junit", "report.xml"),
        "github": Format("crosscheck.reports.github", "report.github.txt"),
    }
)
"""Formats of `--format`; a module is imported when its format is first used."""

SHOWN = ("full", "concise", "md", "json", "junit", "github")
"""Formats of `--output-format`: what the terminal shows."""


def require(formats: Sequence[str]) -> None:
    """Raises ValueError for a format that there is not."""
    for name in formats:
        if name not in FORMATS:
            raise ValueError(f"unknown format {name!r}: known are {', '.join(FORMATS)}")


def render(run: FinishedRun, name: str) -> str | bytes:
    """The report of this format."""
    function: Callable[[FinishedRun], str | bytes] = import_module(FORMATS[name].module).report
    return function(run)


def write(run: FinishedRun, formats: Sequence[str], out: Path) -> list[Path]:
    """Write the reports of these formats into the folder; the files written.

    Raises ValueError for an unknown format, or where the folder cannot be written to.
    """
    require(formats)
    files = []
    for name in formats:
        content = render(run, name)
        path = out / FORMATS[name].file
        try:
            out.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        except OSError as error:
            raise ValueError(f"cannot write to {path}: {error.strerror}") from None
        files.append(path)
    return files


def write_summary(run: FinishedRun, folder: Path) -> None:
    """summary.md in a run's folder; written again where a baseline has something to say."""
    (folder / "summary.md").write_text(str(render(run, "md")), encoding="utf-8")


def show(run: FinishedRun, output_format: str, console: Console) -> None:
    """Show the run on the terminal."""
    if output_format == "full":
        _full(run, console)
    elif output_format == "concise":
        _concise(run, console)
    else:
        _plainly(console, str(render(run, output_format)))


def show_comparison(run: FinishedRun, output_format: str, console: Console) -> None:
    """Show what the baseline said of the run on the terminal."""
    assert run.comparison is not None
    if output_format == "full":
        difference.show(console, run.comparison)
    elif output_format == "concise":
        _plainly(console, run.comparison["sentence"])
    else:
        _plainly(console, str(render(run, output_format)))


def _full(run: FinishedRun, console: Console) -> None:
    sentence = headline(run.errors, run.cases, run.record["exit_status"])
    terminal.show(console, sentence, run.errors, run.cases, run.pairs)
    for name in run.record.get("specials_left_out", []):
        console.print(f"Not covered: special case left out: {name}", style="yellow")
    if run.comparison:
        console.print()
        difference.show(console, run.comparison)


def _concise(run: FinishedRun, console: Console) -> None:
    """A line for the verdict, and one for the baseline's."""
    _plainly(console, headline(run.errors, run.cases, run.record["exit_status"]))
    if run.comparison:
        _plainly(console, run.comparison["sentence"])


def _plainly(console: Console, text: str) -> None:
    """As it is, whatever the terminal's width: other programs read it."""
    console.file.write(text if text.endswith("\n") else text + "\n")
