"""A plan carried out: spans through workers into a journal, until nothing is missing."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from crosscheck import environment, rows
from crosscheck.engines import sources
from crosscheck.journal import Journal, Tables
from crosscheck.plan import Plan, Span, blocks, missing


class Source(Protocol):
    """Where spans are computed: this machine's pool, or a cluster."""

    def results(self, spans: Iterable[Span]) -> Iterator[tuple[Span, bytes]]:
        """(span, bytes of its part) as they are finished; a span may come in pieces."""
        ...


@dataclass(frozen=True)
class Done:
    """How many cases are done, of how many, and how many of them an earlier run had done."""

    cases: int
    total: int
    before: int


def identity(plan: Plan, span: Span) -> dict[str, Any]:
    """What makes two runs the same run: plan, span, and the versions that compute it."""
    return {
        "schema_version": rows.SCHEMA_VERSION,
        "plan": plan.as_json(),
        "span": list(span),
        "versions": environment.versions(),
        "code": environment.code(),
        "own_code": own_code(plan),
    }


def own_code(plan: Plan) -> dict[str, str | None]:
    """For each function of the user's, a digest of its file and what it imports from beside it."""
    return {text: sources.digest(text) for text in plan.engines if ":" in text}


def journal_beside(out: Path) -> Path:
    """The folder of the journal of a run into `out`."""
    return out.with_name(f".{out.name}.journal")


def open_journal(out: Path, plan: Plan, span: Span, resume: bool) -> tuple[Journal, list[str]]:
    """The journal of a run into `out`, and sentences on what was found there.

    Without `resume` a journal that an unfinished run left is set aside, not deleted.

    Raises what `Journal` raises.
    """
    folder = journal_beside(out)
    if resume:
        journal = Journal(folder, identity(plan, span))
        return journal, journal.drop_damaged()
    sentences = []
    if folder.exists() and any(folder.glob("part-*")):
        aside = folder.with_name(folder.name + ".aside")
        _set_aside(folder, aside)
        sentences = [f"an unfinished run was set aside as {aside}; --resume continues one"]
    elif folder.exists():
        _start_afresh(folder)
    return Journal(folder, identity(plan, span)), sentences


def _set_aside(folder: Path, aside: Path) -> None:
    import shutil

    Journal.require_free(folder)
    shutil.rmtree(aside, ignore_errors=True)
    folder.rename(aside)


def _start_afresh(folder: Path) -> None:
    """A journal without a part holds nothing that could be lost."""
    Journal.require_free(folder)
    (folder / "journal.json").unlink(missing_ok=True)


class InOrder:
    """Parts of a journal handed on in the order of their indices, as soon as none is missing."""

    def __init__(self, journal: Journal, span: Span, take: Callable[[Tables], None]) -> None:
        self._journal, self._take, self._next = journal, take, span.start
        self._waiting = dict(journal.spans)

    def add(self, finished: Span) -> None:
        """This part is in the journal now."""
        self._waiting[finished.start] = finished.stop
        self.hand_on()

    def hand_on(self) -> None:
        """Hand on what has waited for nothing else."""
        while (stop := self._waiting.pop(self._next, None)) is not None:
            self._take(self._journal.read(self._next, stop))
            self._next = stop


def complete(
    journal: Journal,
    plan: Plan,
    span: Span,
    source: Source,
    progress: Callable[[Done], None] = lambda _: None,
    take: Callable[[Tables], None] = lambda _: None,
) -> None:
    """Compute what the journal lacks of the span, and write it there, part by part.

    `take` gets every part of the span in order, as soon as all before it are there.

    Raises journal.Unwritable where the disk is full; what was finished is kept.
    """
    in_order = InOrder(journal, span, take)
    lacking = missing(span, [Span(*done) for done in journal.spans])
    each = len(plan.dtypes)
    done = before = (span.size - sum(gap.size for gap in lacking)) * each
    progress(Done(done, span.size * each, before))
    for finished, content in source.results(blocks(lacking, plan.block_size)):
        journal.add(*finished, content)
        done += finished.size * each
        progress(Done(done, span.size * each, before))
        in_order.add(finished)
    in_order.hand_on()
