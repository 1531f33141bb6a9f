"""A plan carried out: spans through workers into a journal, until nothing is missing."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Protocol

from crosscheck.engines.user import sources
from crosscheck.results import environment, journal, rows
from crosscheck.results.journal import IN_RUN, Damaged, Journal, Tables
from crosscheck.runs.output import folder
from crosscheck.runs.plan import Plan, Span, blocks, missing


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


def journal_in(out: Path) -> Path:
    """The folder of the journal of a run into `out`: nothing is written outside of that."""
    return out / IN_RUN


def open_journal(out: Path, plan: Plan, span: Span, resume: bool) -> tuple[Journal, list[str]]:
    """The journal of a run into `out`, and sentences on what was found there.

    Without `resume` a journal that an unfinished run left is set aside, not deleted. A run that
    was ended while its files took their places is completed first, whichever it was.

    Raises what `Journal` raises.
    """
    place, sentences = journal_in(out), []
    wanted = identity(plan, span)
    was_complete = folder.complete(out)
    if resume:
        opened = Journal(place, wanted)
        return opened, opened.drop_damaged()
    if was_complete:
        sentences = [f"the files of an earlier run took their places in {out} first"]
    elif journal.has_parts(place):
        aside = _set_aside(place)
        sentences = [f"an unfinished run was set aside as {aside}; --resume continues one"]
    if place.exists():
        with journal.locked(place):
            journal.clear(place)
    return Journal(place, wanted), sentences


def _set_aside(place: Path) -> Path:
    """Give the journal another name, which no other has; the name."""
    with journal.locked(place):
        names = (place.with_name(f"{place.name}.aside-{number}") for number in count(1))
        aside = next(name for name in names if not os.path.lexists(name))
        with journal.writing(place):
            place.rename(aside)
    return aside


class InOrder:
    """Parts of a journal handed on in the order of their indices, as soon as none is missing."""

    def __init__(self, journal: Journal, span: Span, take: Callable[[Tables], None]) -> None:
        self._journal, self._take, self._next = journal, take, span.start
        self._waiting = dict(journal.spans)

    def add(self, finished: Span) -> None:
        """This part is in the journal now."""
        self._waiting[finished.start] = finished.stop
        self.hand_on()

    def require_whole(self, span: Span) -> None:
        """Raises Damaged unless all of the span was handed on."""
        if self._next < span.stop:
            raise Damaged(
                f"the parts of {self._journal.folder} are not whole: index {self._next} is missing"
            )

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
    in_order.require_whole(span)
