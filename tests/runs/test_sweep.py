"""Runs that are killed, resumed, cut into shards and merged: the rows are those of one run."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pandas as pd
import psutil
import pytest

from crosscheck.cli import main
from crosscheck.results import finished
from crosscheck.runs import plan
from crosscheck.runs.plan import Span
from crosscheck.runs.spread import sweep

RUN = ["run", "--widths", "1-6", "--samples", "1-6", "--layers", "2-4", "--dtypes", "float32",
       "--engines", "paper-contracted"]  # fmt: skip


def command(*words):
    """(status, stderr) of the command, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "crosscheck", *map(str, words)], capture_output=True, text=True
    )
    return done.returncode, done.stderr


def here(capsys, *words):
    """(status, stdout, stderr) of the command, in this process."""
    with pytest.raises(SystemExit) as stopped:
        main(list(map(str, words)))
    return stopped.value.code, *capsys.readouterr()


def rows_of(folder):
    """The rows of a finished run but for its times, as text in which NaN equals NaN."""
    frames = [pd.read_parquet(folder / f"{kind}.parquet") for kind in ("errors", "cases", "pairs")]
    kept = [frame[[c for c in frame if "seconds" not in c]] for frame in frames]
    return [frame.to_csv(index=False) for frame in kept]


# --- killed and resumed ------------------------------------------------------------------------

CASES = 640


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A run that nobody disturbed, and how many parts it had."""
    out = tmp_path_factory.mktemp("whole") / "run"
    assert command(*RUN, "--cases", CASES, "--jobs", 2, "--out", out)[0] == 0
    return rows_of(out)


def killed_and_resumed(out, rng):
    """Kill a run at a random moment behind its first part; resume it; the parts it had then."""
    words = [*RUN, "--cases", CASES, "--jobs", 2, "--out", out]
    process = subprocess.Popen(
        [sys.executable, "-m", "crosscheck", *map(str, words)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    journal = sweep.journal_in(out)
    wait_for(lambda: any(journal.glob("part-*")) or process.poll() is not None)
    time.sleep(rng.uniform(0, 0.5))
    children = psutil.Process(process.pid).children() if process.poll() is None else []
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_for(lambda: not any(child.is_running() for child in children))
    parts = len(list(journal.glob("part-*")))
    status, err = command(*words, "--resume")
    assert status == 0, err
    assert not journal.exists()
    return parts


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.parametrize(
    ("runs", "between"), [(2, 1), pytest.param(30, 20, marks=pytest.mark.slow)]
)
def test_a_killed_run_goes_on_where_it_was(runs, between, tmp_path, undisturbed):
    rng = random.Random(0)
    parts = []
    for number in range(runs):
        out = tmp_path / f"run{number}"
        parts.append(killed_and_resumed(out, rng))
        assert rows_of(out) == undisturbed
    whole = len(list(plan.blocks([Span(0, CASES)], plan.Plan(cases=CASES).block_size)))
    assert sum(0 < count < whole for count in parts) >= between


def half_a_journal(out, cases=64):
    """What a run that was killed half-way leaves: made by the parts of the same run."""
    words = [*RUN, "--cases", cases, "--jobs", 1, "--out", out]
    process = subprocess.Popen(
        [sys.executable, "-m", "crosscheck", *map(str, words)], stdout=subprocess.DEVNULL
    )
    journal = sweep.journal_in(out)
    wait_for(lambda: len(list(journal.glob("part-*"))) >= 2)
    process.kill()
    process.wait()
    assert journal.exists()
    return journal


@pytest.fixture(scope="module")
def half(tmp_path_factory):
    """An unfinished run of 3,000 cases, to be copied."""
    return half_a_journal(tmp_path_factory.mktemp("half") / "run", 3000)


def copied(half, folder):
    """(out, journal) with the unfinished run beside `out`."""
    out = folder / "run"
    journal = sweep.journal_in(out)
    shutil.copytree(half, journal)
    return out, journal


def test_a_journal_of_another_plan_is_refused_and_kept(half, tmp_path, capsys):
    out, journal = copied(half, tmp_path)
    before = sorted(os.listdir(journal))
    words = [*RUN, "--cases", 3000, "--seed", 5, "--out", out, "--resume"]
    status, _, err = here(capsys, *words)
    assert status == 2
    assert "plan.seed is 0 there, 5 here" in err
    assert sorted(os.listdir(journal)) == before
    assert os.listdir(out) == [".crosscheck"]


def test_a_journal_of_another_version_is_refused(half, tmp_path, capsys):
    out, journal = copied(half, tmp_path)
    text = json.loads((journal / "journal.json").read_text())
    text["versions"]["numpy"] = "0.1"
    (journal / "journal.json").write_text(json.dumps(text))
    status, _, err = here(capsys, *RUN, "--cases", 3000, "--out", out, "--resume")
    assert status == 2
    assert "versions.numpy is 0.1 there" in err


def test_without_resume_an_unfinished_run_is_set_aside(half, tmp_path):
    out, journal = copied(half, tmp_path)
    parts = sorted(journal.glob("part-*"))
    fresh, found = sweep.open_journal(out, plan.Plan(), Span(0, 1), resume=False)
    assert fresh.spans == []
    fresh.close()
    (sentence,) = found
    assert "set aside" in sentence
    aside = journal.with_name(journal.name + ".aside-1")
    assert sorted(path.name for path in aside.glob("part-*")) == [path.name for path in parts]


def test_a_flipped_byte_is_told_and_computed_again(tmp_path, capsys):
    words = [*RUN, "--cases", 64, "--out", tmp_path / "run"]
    assert here(capsys, *words)[0] == 0
    whole = rows_of(tmp_path / "run")
    again = tmp_path / "again"
    journal = half_a_journal_of(again, 64)
    part = sorted(journal.glob("part-*"))[0]
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes(bytes(content))
    status, _, err = here(capsys, *RUN, "--cases", 64, "--out", again, "--resume")
    assert status == 0
    assert "is damaged: its checksum does not match" in err
    assert rows_of(again) == whole


def half_a_journal_of(out, cases):
    """The first parts of a run, as its own code writes them."""
    from crosscheck.networks.distribution import Distribution
    from crosscheck.runs.processes.pool import Limits, Pool

    of = plan.Plan(
        ("paper-contracted",), ("float32",), cases, 0, Distribution((2, 4), (1, 6), (1, 6))
    )
    journal, _ = sweep.open_journal(out, of, of.whole, resume=True)
    with Pool(of, Limits(1, 60)) as pool:
        for span, content in pool.results([Span(0, 8), Span(8, 20)]):
            journal.add(*span, content)
    journal.close()
    return journal.folder


# --- places that cannot be written -------------------------------------------------------------


def test_a_full_disk_loses_nothing(tmp_path):
    """The journal lies on a tmpfs of 300 KiB; a larger one lets the run go on."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", disk], capture_output=True
        ).returncode
    ):
        pytest.skip("mounting a tmpfs is not allowed here")
    try:
        words = [*RUN, "--cases", 1500, "--out", disk / "run"]
        status, err = command(*words)
        assert status == 3
        assert err.count("\n") == 1
        assert "No space left on device; what is finished is kept, and --resume goes on" in err
        kept = len(list(sweep.journal_in(disk / "run").glob("part-*")))
        assert kept > 0
        assert os.listdir(disk / "run") == [".crosscheck"]
        subprocess.run(["mount", "-o", "remount,size=50m", disk], check=True)
        assert command(*words, "--resume")[0] == 0
        assert command(*RUN, "--cases", 1500, "--out", tmp_path / "run")[0] == 0
        assert rows_of(disk / "run") == rows_of(tmp_path / "run")
    finally:
        subprocess.run(["umount", disk], check=True)


# --- shards ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """A run of 41 cases in three shards, and whole."""
    folder = tmp_path_factory.mktemp("shards")
    for number in (1, 2, 3):
        words = ["--shard", f"{number}/3", "--out", folder / str(number)]
        assert command(*RUN, "--cases", 41, *words)[0] == 0
    assert command(*RUN, "--cases", 41, "--out", folder / "whole")[0] == 0
    return folder


def test_merged_shards_are_the_whole_run(shards, tmp_path, capsys):
    words = [shards / "3", shards / "1", shards / "2", "--out", tmp_path / "merged"]
    status, out, _ = here(capsys, "merge", *words)
    assert status == 0
    assert "No defect" in out
    assert rows_of(tmp_path / "merged") == rows_of(shards / "whole")
    summaries = [pd.read_csv(f / "summary.csv") for f in (tmp_path / "merged", shards / "whole")]
    untimed = [summary.drop(columns="microseconds") for summary in summaries]
    assert untimed[0].equals(untimed[1])


def changed(shards, folder, change):
    """A copy of shard 2 whose run.json is changed."""
    shutil.copytree(shards / "2", folder)
    record = json.loads((folder / "run.json").read_text())
    change(record)
    (folder / "run.json").write_text(json.dumps(record))
    finished.seal(folder)
    return folder


def test_a_gap_is_refused_by_name(shards, tmp_path, capsys):
    status, _, err = here(capsys, "merge", shards / "1", shards / "3", "--out", tmp_path / "run")
    assert status == 2
    assert "the indices 13 to 26 are missing" in err
    assert not (tmp_path / "run").exists()


def test_an_overlap_is_refused_by_name(shards, tmp_path, capsys):
    every = [shards / "1", shards / "2", shards / "3", shards / "2"]
    status, _, err = here(capsys, "merge", *every, "--out", tmp_path / "run")
    assert status == 2
    assert "overlap: both have index 13" in err


def test_shards_of_different_plans_are_refused_by_name(shards, tmp_path, capsys):
    other = changed(shards, tmp_path / "other", lambda record: record["plan"].update(seed=9))
    every = [shards / "1", other, shards / "3"]
    status, _, err = here(capsys, "merge", *every, "--out", tmp_path / "run")
    assert status == 2
    assert "seed is 0 in one, 9 in the other" in err


def test_a_damaged_shard_is_refused(shards, tmp_path, capsys):
    other = tmp_path / "other"
    shutil.copytree(shards / "2", other)
    content = bytearray((other / "errors.parquet").read_bytes())
    content[len(content) // 3] ^= 0xFF
    (other / "errors.parquet").write_bytes(bytes(content))
    every = [shards / "1", other, shards / "3"]
    status, _, err = here(capsys, "merge", *every, "--out", tmp_path / "run")
    assert status == 2
    assert "errors.parquet is damaged" in err


@pytest.mark.parametrize("text", ["0/3", "4/3", "x", "1", "-1/2", "1/0"])
def test_an_impossible_shard_is_refused(text, tmp_path, capsys):
    status, _, err = here(capsys, *RUN, "--shard", text, "--out", tmp_path / "run")
    assert status == 2
    assert "shard" in err.lower()


@pytest.mark.parametrize("text", ["much", "-1G", "0", "G"])
def test_an_impossible_memory_limit_is_refused(text, tmp_path, capsys):
    status, *_ = here(capsys, *RUN, "--memory-limit", text, "--out", tmp_path / "run")
    assert status == 2


def test_what_is_missing_is_the_complement_of_what_is_done():
    done = [Span(4, 6), Span(0, 2), Span(8, 10)]
    assert plan.missing(Span(0, 12), done) == [Span(2, 4), Span(6, 8), Span(10, 12)]
    assert plan.missing(Span(0, 12), []) == [Span(0, 12)]
    assert plan.missing(Span(0, 2), [Span(0, 2)]) == []


@pytest.mark.parametrize("cases", [0, 1, 7, 100])
@pytest.mark.parametrize("of", [1, 3, 8])
def test_all_shards_together_are_the_run(cases, of):
    spans = [plan.shard(cases, number, of) for number in range(1, of + 1)]
    assert [i for span in spans for i in range(*span)] == list(range(cases))
