"""The known outcome, shipped with the package, and where an audit differs from it."""

import csv
from collections.abc import Iterable
from importlib.resources import files
from typing import Any

Key = tuple[str, str, str | None]


def known() -> dict[Key, str]:
    """The verdict of each (equation, reading, layer)."""
    text = files("crosscheck.audit").joinpath("expected.csv").read_text(encoding="utf-8")
    return {
        (row["equation"], row["reading"], row["layer"] or None): row["verdict"]
        for row in csv.DictReader(text.splitlines())
    }


def found(rows: Iterable[dict[str, Any]]) -> dict[Key, str]:
    """The same of the rows of an audit."""
    return {(row["equation"], row["reading"], row["layer"]): row["verdict"] for row in rows}


def differences(rows: Iterable[dict[str, Any]]) -> list[str]:
    """A sentence for each verdict that is not the known one, for each missing, each new."""
    got, want = found(rows), known()
    sentences = []
    for key in dict.fromkeys([*want, *got]):
        if got.get(key) != want.get(key):
            equation, reading, layer = key
            place = f"{equation} under {reading}" + (f" at l = {layer}" if layer else "")
            sentences.append(
                f"{place}: found {got.get(key, 'no row')}, known is {want.get(key, 'no row')}"
            )
    return sentences
