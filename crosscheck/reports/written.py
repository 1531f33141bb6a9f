"""Reports by format: one line a format, and what writes and shows them."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from rich.console import Console

from crosscheck.reports import tables
from crosscheck.reports.formats import difference, terminal
from crosscheck.reports.words import headline
from crosscheck.results import extras
from crosscheck.results.disk import files
from crosscheck.results.finished import FinishedRun


class Format(NamedTuple):
    """The module with `report(run) -> str`, and the name of the file it makes.

    Without a module the report is a file that every run has: its rows. `needs` is a library that
    not everybody has.
    """

    module: str
    file: str
    needs: str = ""


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "html": Format("crosscheck.reports.page.page", "report.html", "matplotlib"),
        "md": Format("crosscheck.reports.formats.markdown", "report.md"),
        "csv": Format("", "report.csv"),
        "parquet": Format("", "report.parquet"),
        "latex": Format("crosscheck.reports.formats.latex", "report.tex"),
        "json": Format("crosscheck.reports.formats.json", "report.json"),
        "junit": Format("crosscheck.reports.formats.junit", "report.xml"),
        "github": Format("crosscheck.reports.formats.github", "report.github.txt"),
    }
)
"""Formats of `--format`; a module is imported when its format is first used."""

SHOWN = ("full", "concise", "md", "json", "junit", "github")
"""Formats of `--output-format`: what the terminal shows."""


def require(formats: Sequence[str]) -> None:
    """Raises ValueError for a format that there is not, Missing for one without its library."""
    for name in formats:
        if name not in FORMATS:
            raise ValueError(f"unknown format {name!r}: known are {', '.join(FORMATS)}")
        if FORMATS[name].needs:
            extras.require(f"--format {name}", FORMATS[name].needs)


def render(run: FinishedRun, name: str) -> str:
    """The report of this format, one that has a module."""
    function: Callable[[FinishedRun], str] = import_module(FORMATS[name].module).report
    return function(run)


def write(run: FinishedRun, formats: Sequence[str], out: Path) -> list[Path]:
    """Write the reports of these formats into the folder; the files that hold them.

    The run's own errors.csv and errors.parquet are the reports csv and parquet: they are copied
    where `out` is another folder than the run's, and never written again.

    Raises ValueError for an unknown format, where the folder cannot be written to, or the run
    lacks what is to be copied.
    """
    require(formats)
    paths = []
    for name in formats:
        path = out / FORMATS[name].file
        try:
            out.mkdir(parents=True, exist_ok=True)
            if FORMATS[name].module:
                files.write(path, render(run, name))
            else:
                path = _with_rows(run, path)
        except OSError as error:
            raise ValueError(f"cannot write to {path}: {error.strerror}") from None
        paths.append(path)
    return paths


def _with_rows(run: FinishedRun, path: Path) -> Path:
    """The run's own file of its rows, or in another folder a copy of it at `path`."""
    own = Path(run.folder, "errors").with_suffix(path.suffix)
    if not own.is_file():
        raise ValueError(f"the run lacks {own}")
    if path.parent.samefile(run.folder):
        return own
    files.copy(own, path)
    return path


def write_summary(run: FinishedRun, folder: Path) -> None:
    """summary.md in a run's folder; written again where a baseline has something to say."""
    files.write(folder / "summary.md", render(run, "md"))


def show(run: FinishedRun, output_format: str, console: Console) -> None:
    """Show the run on the terminal."""
    if output_format == "full":
        _full(run, console)
    elif output_format == "concise":
        _concise(run, console)
    else:
        _plainly(console, render(run, output_format))


def show_comparison(run: FinishedRun, output_format: str, console: Console) -> None:
    """Show what the baseline said of the run on the terminal."""
    assert run.comparison is not None
    if output_format == "full":
        difference.show(console, run.comparison)
    elif output_format == "concise":
        _plainly(console, run.comparison["sentence"])
    else:
        _plainly(console, render(run, output_format))


def _full(run: FinishedRun, console: Console) -> None:
    terminal.show(console, tables.summary(run), run.record)
    if run.comparison:
        console.print()
        difference.show(console, run.comparison)


def _concise(run: FinishedRun, console: Console) -> None:
    """A line for the verdict, and one for the baseline's."""
    _plainly(console, headline(tables.summary(run), run.record["exit_status"]))
    if run.comparison:
        _plainly(console, run.comparison["sentence"])


def _plainly(console: Console, text: str) -> None:
    """As it is, whatever the terminal's width: other programs read it."""
    console.file.write(text if text.endswith("\n") else text + "\n")
