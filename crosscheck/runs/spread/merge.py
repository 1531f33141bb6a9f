"""Shards of one run, made apart, put together: `crosscheck merge`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet
from rich.console import Console

from crosscheck.networks.distribution import Distribution
from crosscheck.results import finished, outcome
from crosscheck.results.disk import files
from crosscheck.results.journal import writing
from crosscheck.runs import command, gating
from crosscheck.runs.output import folder, writer
from crosscheck.runs.plan import Plan, Span, missing

KINDS = ("cases", "errors", "pairs")
"""Cases first: they say which engines there are."""


@dataclass(frozen=True)
class Shard:
    """A shard's folder, its run.json, and the indices that it covers."""

    folder: Path
    record: dict[str, Any]
    span: Span


def read(path: Path) -> Shard:
    """The shard in a folder. Raises ValueError where there is none, or it is damaged."""
    record = finished.record_of(path)
    try:
        span = Span(*map(int, record["span"]))
        plan_of(record)
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{path / 'run.json'} is of another version: it has no shard") from None
    return Shard(path, record, span)


def plan_of(record: dict[str, Any]) -> Plan:
    """The plan that a run.json holds."""
    fields = {name: _tuples(value) for name, value in record["plan"].items()}
    return Plan(**fields | {"distribution": Distribution.from_json(fields["distribution"])})


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def require_one_run(shards: Sequence[Shard]) -> None:
    """Raises ValueError unless the shards, in order, are one whole run, naming what is wrong."""
    first = shards[0]
    for other in shards[1:]:
        for name, here, there in _differences(first.record, other.record):
            raise ValueError(
                f"{first.folder} and {other.folder} are of different runs: "
                f"{name} is {here} in one, {there} in the other"
            )
    for one, other in pairwise(shards):
        if other.span.start < one.span.stop:
            raise ValueError(
                f"{one.folder} and {other.folder} overlap: both have index {other.span.start}"
            )
    gaps = missing(plan_of(first.record).whole, [one.span for one in shards])
    if gaps:
        named = ", ".join(f"{gap.start} to {gap.stop - 1}" for gap in gaps)
        raise ValueError(f"these shards are not the whole run: the indices {named} are missing")


def _differences(one: dict[str, Any], other: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """What makes two records those of different runs: schema, plan, packages, our code."""

    def compared(record: dict[str, Any]) -> dict[str, Any]:
        environment = record.get("environment", {})
        return {
            "schema_version": record.get("schema_version"),
            **record["plan"],
            **environment.get("packages", {}),
            "crosscheck's code": environment.get("code"),
        }

    here, there = compared(one), compared(other)
    for name in here:
        if here[name] != there.get(name):
            yield name, here[name], there.get(name)


def parts(shards: Sequence[Shard]) -> Iterator[dict[str, pa.Table]]:
    """The rows of the shards in order, in pieces. Raises ValueError for a damaged file."""
    for shard in shards:
        schemas = writer.schemas(plan_of(shard.record).engines)
        empty = {kind: schema.empty_table() for kind, schema in schemas.items()}
        for kind in KINDS:
            for group in _groups(shard.folder / f"{kind}.parquet", schemas[kind]):
                yield {**empty, kind: group}


def _groups(path: Path, schema: pa.Schema) -> Iterator[pa.Table]:
    """The rows of a file, by groups. Raises ValueError where it is damaged, or of other columns."""
    try:
        with files.opened(path) as content:
            file = parquet.ParquetFile(content, page_checksum_verification=True)
            for group in range(file.num_row_groups):
                yield file.read_row_group(group).select(schema.names).cast(schema)
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        raise ValueError(f"{path} is damaged: {str(error).splitlines()[0]}") from None


def merge(folders: Sequence[Path], out: Path, console: Console, strict: bool = False) -> int:
    """Write the whole run that the shards are to `out`, and show it; returns the exit status.

    Raises ValueError for a folder that is no shard, shards of different runs, an overlap, a gap
    or a damaged file, and journal.Unwritable for a full disk; `out` stays as it was then.
    """
    folder.require_writable(out)
    folder.complete(out)
    shards = sorted((read(path) for path in folders), key=lambda shard: shard.span)
    require_one_run(shards)
    record = dict(shards[0].record)
    plan = plan_of(record)
    with folder.staged(out) as staging, writing(staging):
        summary = writer.assemble(parts(shards), plan.engines, staging)
        asked_for = record.get("asked_for", ())
        status = outcome.status_of(summary.verdicts, summary.statuses, asked_for, strict)
        record |= {"span": list(plan.whole), "counts": summary.verdicts}
        record |= {"cases": summary.cases, "exit_status": status}
        command.conclude(staging, summary, record)
    return command.end(out, summary, gating.Ending(strict=strict), console)
