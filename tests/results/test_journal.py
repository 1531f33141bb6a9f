"""The journal: what is finished survives, what is damaged is noticed, what is foreign refused."""

import errno
import json

import pyarrow as pa
import pytest

from crosscheck.results import journal
from crosscheck.results.journal import Damaged, Journal, Mismatch, Unwritable
from crosscheck.runs.plan import Span
from crosscheck.runs.spread import sweep

IDENTITY = {"schema_version": 1, "plan": {"seed": 0, "dtypes": ("float32",)}}
TABLES = {
    "errors": pa.table({"case": ["a", "b"], "max_ulp": [0.5, float("inf")]}),
    "cases": pa.table({"case": ["a"]}),
    "pairs": pa.table({"case": pa.array([], pa.string())}),
}


@pytest.fixture
def opened(tmp_path):
    """A journal in a folder of its own."""
    one = Journal(tmp_path / "journal", IDENTITY)
    yield one
    one.close()


def numbered(opened, start, stop):
    """A part whose only number is where it begins."""
    opened.add(start, stop, journal.encode({"cases": pa.table({"start": [start]})}))


def test_parts_are_listed_in_the_order_of_their_indices(opened):
    for span in ((8, 16), (0, 8), (20, 21)):
        numbered(opened, *span)
    assert opened.spans == [(0, 8), (8, 16), (20, 21)]


def test_parts_are_handed_on_in_order_whenever_they_are_finished(opened):
    """Some were there before; each goes on as soon as none before it is missing, and once."""
    taken = []
    numbered(opened, 8, 16)
    in_order = sweep.InOrder(opened, Span(0, 30), lambda part: taken.append(part["cases"][0][0]))
    seen = []
    for span in (Span(20, 24), Span(0, 8), Span(24, 30), Span(16, 20)):
        numbered(opened, *span)
        in_order.add(span)
        seen.append([start.as_py() for start in taken])
    assert seen == [[], [0, 8], [0, 8], [0, 8, 16, 20, 24]]


def test_files_made_of_the_parts_do_not_outlive_the_process_that_made_them(tmp_path):
    first = Journal(tmp_path / "journal", IDENTITY)
    (first.rows() / "errors.csv").write_text("half a line")
    first._lock.close()  # as when the process is killed
    again = Journal(tmp_path / "journal", IDENTITY)
    assert not list(again.rows().iterdir())
    again.close()
    assert not (tmp_path / "journal" / journal.ROWS).exists()


def test_a_part_is_what_was_written():
    back = journal.decode(journal.encode(TABLES), "part")
    assert {kind: back[kind].equals(table) for kind, table in TABLES.items()} == dict.fromkeys(
        TABLES, True
    )


def test_any_flipped_byte_is_noticed():
    content = journal.encode(TABLES)
    step = max(1, len(content) // 400)
    for place in [*range(250), *range(0, len(content), step)]:
        flipped = bytearray(content)
        flipped[place] ^= 0x10
        with pytest.raises(Damaged, match="part-7 is damaged"):
            journal.decode(bytes(flipped), "part-7")


@pytest.mark.parametrize("kept", [0, 1, 100, -1])
def test_a_part_that_ends_too_early_is_noticed(kept):
    with pytest.raises(Damaged):
        journal.decode(journal.encode(TABLES)[:kept], "part")


def test_a_damaged_part_is_dropped_by_name_and_the_others_stay(opened):
    content = journal.encode(TABLES)
    opened.add(0, 8, content)
    opened.add(8, 16, content[:-3] + b"xyz")
    (sentence,) = opened.drop_damaged()
    assert "part-000000008-000000016 is damaged" in sentence
    assert "8 indices are computed again" in sentence
    assert opened.spans == [(0, 8)]


def test_a_journal_opens_again_for_the_same_run(opened):
    opened.add(0, 8, journal.encode(TABLES))
    opened.close()
    again = Journal(opened.folder, json.loads(json.dumps(IDENTITY)))
    assert again.spans == [(0, 8)]
    again.close()


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({**IDENTITY, "schema_version": 2}, "schema_version is 1 there, 2 here"),
        ({**IDENTITY, "plan": {"seed": 7, "dtypes": ("float32",)}}, "plan.seed is 0 there, 7 here"),
        ({**IDENTITY, "versions": {"torch": "9"}}, "versions.torch is None there, 9 here"),
    ],
)
def test_a_journal_of_another_run_or_version_is_refused_by_name(opened, other, named):
    opened.close()
    with pytest.raises(Mismatch, match=named):
        Journal(opened.folder, other)
    assert opened.folder.exists()


def test_a_journal_whose_description_is_damaged_is_refused(opened):
    opened.close()
    (opened.folder / "journal.json").write_bytes(b"\x00")
    with pytest.raises(Mismatch, match=r"journal\.json is damaged"):
        Journal(opened.folder, IDENTITY)


def test_two_runs_cannot_write_to_one_journal(opened):
    with pytest.raises(ValueError, match="another run is writing to"):
        Journal(opened.folder, IDENTITY)
    with pytest.raises(ValueError, match="another run is writing to"):
        journal.locked(opened.folder)


def test_half_a_part_is_never_seen(opened, monkeypatch):
    """The process dies before the rename: the part is not there, and what it left goes away."""
    (opened.folder / ".part-000000000-000000008.writing").write_bytes(b"half")
    assert opened.spans == []
    opened.close()
    again = Journal(opened.folder, IDENTITY)
    assert not list(opened.folder.glob(".*.writing"))
    again.close()


def test_a_full_disk_is_a_sentence_and_loses_nothing(opened, monkeypatch):
    opened.add(0, 8, journal.encode(TABLES))

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(journal.os, "fsync", full)
    with pytest.raises(Unwritable, match="No space left on device"):
        opened.add(8, 16, journal.encode(TABLES))
    monkeypatch.undo()
    assert opened.spans == [(0, 8)]
    assert opened.drop_damaged() == []
    assert not list(opened.folder.glob(".*.writing"))
