"""The audit on the terminal, by rich."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from crosscheck.audit.reports import words as summaries
from crosscheck.audit.reports.words import Found

STYLES = {"FAILS": "bold red", "HOLDS": "green", "UNDEFINED": "dim", "UNDECIDED": "yellow"}


def show(console: Console, found: Found) -> None:
    """Equations under both readings, remedies, the whole, and the finding last."""
    console.print(_equations(found))
    console.print()
    console.print(_remedies(found))
    console.print()
    console.print(_whole(found))
    console.print()
    for sentence in remarks(found):
        console.print(sentence, markup=False, style="yellow", soft_wrap=True)
    conclude(console, found)


def conclude(console: Console, found: Found) -> None:
    """What was tried, the finding, and whether it is the known one."""
    console.print(summaries.scope(found), markup=False, highlight=False, soft_wrap=True)
    for sentence in found["finding"]:
        console.print(sentence, markup=False, highlight=False, style="bold", soft_wrap=True)
    for sentence in summaries.outcome(found):
        style = "bold red" if found["differences"] else "green"
        console.print(sentence, markup=False, highlight=False, style=style, soft_wrap=True)


def remarks(found: Found) -> list[str]:
    """What a reader must know besides: absences, disagreements, coincidences, the undecided."""
    held = [f"Happens to hold: {sentence}" for sentence in summaries.coincidences(found)]
    apart = [f"Disagreement: {sentence}" for sentence in summaries.disagreements(found)]
    undecided = [f"Undecided: {sentence}" for sentence in summaries.undecided(found)]
    return [*summaries.absences(found), *apart, *held, *undecided]


def _table(title: str, *columns: str) -> Table:
    shown = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for column in columns:
        shown.add_column(column, overflow="fold")
    return shown


def _equations(found: Found) -> Table:
    readings = found["plan"]["readings"]
    shown = _table("Equations", "", *readings, "error where it fails")
    for equation, verdicts, error in summaries.by_equation(found):
        shown.add_row(equation["id"], *map(_coloured, verdicts), error)
    return shown


def _coloured(words: str) -> Text:
    text = Text(words)
    for verdict, style in STYLES.items():
        text.highlight_words([verdict], style)
    return text


def _remedies(found: Found) -> Table:
    shown = _table("Remedies", "", "reading", "at l", "smallest correction, itself on trial", "")
    for row in found["remedies"]:
        verdict = _coloured(row.get("verdict", ""))
        shown.add_row(row["equation"], row["reading"], row["layer"] or "", row["text"], verdict)
    return shown


def _whole(found: Found) -> Table:
    shown = _table("Gradients composed of them", "route", "reading", "N", "right", "wrong", "by")
    for line in summaries.composed(found):
        shown.add_row(*map(str, line))
    return shown
