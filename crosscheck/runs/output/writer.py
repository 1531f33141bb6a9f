"""Finished parts to the files of a run: streamed, so that memory does not grow with the cases."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import csv, parquet

from crosscheck.reports import spreadsheet
from crosscheck.reports.tables import Part, RunTally, Summary
from crosscheck.results import rows
from crosscheck.results.journal import writing

ROWS_IN_GROUP = 1 << 15
"""Rows that are gathered before they are written to Parquet as one group."""

COUNTED = {
    "errors": ("engine", "dtype", "verdict", "max_ulp", "bound_use", "power"),
    "cases": ("dtype", "status:", "seconds:", "message:"),
    "pairs": ("case", "dtype", "engine_", "max_", "tensor"),
}
"""How the names of the columns begin that a summary is made of."""

Tables = Mapping[str, pa.Table]


class _Writer:
    """A Parquet file, written in groups of rows."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._file = parquet.ParquetWriter(path, schema, write_page_checksum=True)
        self._waiting: list[pa.Table] = []
        self._rows = 0

    def add(self, table: pa.Table) -> None:
        self._waiting.append(table)
        self._rows += table.num_rows
        if self._rows >= ROWS_IN_GROUP:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            self._file.write_table(pa.concat_tables(self._waiting))
        self._waiting, self._rows = [], 0

    def __enter__(self) -> "_Writer":
        return self

    def __exit__(self, failure: object, *_: object) -> None:
        if failure is None:
            self._flush()
        self._file.close()


def schemas(engines: Sequence[str]) -> dict[str, pa.Schema]:
    """The schema of each kind of rows in a run of these engines."""
    columns = {
        "errors": rows.ERRORS,
        "cases": rows.case_columns(engines),
        "pairs": rows.PAIRS,
    }
    return {kind: rows.schema(of_kind) for kind, of_kind in columns.items()}


class Assembly:
    """The files of a run in the making: errors, cases and pairs as Parquet, errors as CSV too.

    A context, which ends with complete files. Raises journal.Unwritable where the disk is full.
    """

    def __init__(self, engines: Sequence[str], folder: Path) -> None:
        self.engines, self.folder = engines, folder
        self._tally, self._stack = RunTally(), ExitStack()

    def __enter__(self) -> "Assembly":
        self._schemas = schemas(self.engines)
        with writing(self.folder):
            self._writers = {
                kind: self._stack.enter_context(_Writer(self.folder / f"{kind}.parquet", schema))
                for kind, schema in self._schemas.items()
            }
            text = csv.CSVWriter(self.folder / "errors.csv", self._schemas["errors"])
            self._text = self._stack.enter_context(text)
        return self

    def add(self, part: Tables) -> None:
        """Write one part, and count it; they come in the order of their indices."""
        with writing(self.folder):
            for kind, writer in self._writers.items():
                writer.add(part[kind].select(self._schemas[kind].names))
            self._text.write_table(spreadsheet.table_as_text(part["errors"]))
        self._tally.add(as_part(part))

    def __exit__(self, *failure: Any) -> None:
        with writing(self.folder):
            self._stack.__exit__(*failure)

    @property
    def summary(self) -> Summary:
        """What the parts amount to."""
        return self._tally.summary()


def assemble(parts: Iterable[Tables], engines: Sequence[str], folder: Path) -> Summary:
    """Write all these parts; return what they amount to. Raises as `Assembly` does."""
    with Assembly(engines, folder) as assembly:
        for part in parts:
            assembly.add(part)
    return assembly.summary


def as_part(tables: Tables) -> Part:
    """The columns that summaries are made of, as frames."""
    frames: dict[str, Any] = {}
    for kind, table in tables.items():
        wanted = [name for name in table.column_names if name.startswith(COUNTED[kind])]
        frames[kind] = table.select(wanted).to_pandas()
    return Part(frames["errors"], frames["cases"], frames["pairs"])
