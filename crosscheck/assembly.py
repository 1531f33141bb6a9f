"""Finished parts to the files of a run: streamed, so that memory does not grow with the cases."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import csv, parquet

from crosscheck import rows
from crosscheck.reports.tally import Part, Summary, Tally

ROWS_IN_GROUP = 1 << 16
"""Rows that are gathered before they are written to Parquet as one group."""

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


def assemble(parts: Iterable[Tables], engines: Sequence[str], folder: Path) -> Summary:
    """Write errors, cases and pairs as Parquet, errors as CSV too; return what they amount to.

    `parts` come in the order of their indices. Raises OSError where the disk is full.
    """
    tally = Tally()
    of_kind = schemas(engines)
    with ExitStack() as stack:
        writers = {
            kind: stack.enter_context(_Writer(folder / f"{kind}.parquet", schema))
            for kind, schema in of_kind.items()
        }
        text = stack.enter_context(csv.CSVWriter(folder / "errors.csv", of_kind["errors"]))
        for part in parts:
            for kind, writer in writers.items():
                writer.add(part[kind].select(of_kind[kind].names))
            text.write_table(part["errors"])
            tally.add(as_part(part))
    return tally.summary()


def as_part(tables: Tables) -> Part:
    """Tables as the frames that summaries are made of."""
    frames: dict[str, Any] = {kind: table.to_pandas() for kind, table in tables.items()}
    return Part(frames["errors"], frames["cases"], frames["pairs"])
