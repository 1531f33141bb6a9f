"""The folder that a run is written to may be anybody's: nothing in it is lost that is not ours."""

import json
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from crosscheck.cli import main
from crosscheck.networks.distribution import Distribution
from crosscheck.results import finished, journal
from crosscheck.results.disk import files
from crosscheck.runs.output import folder
from crosscheck.runs.plan import Plan
from crosscheck.runs.processes.pool import Limits, Pool
from crosscheck.runs.spread import sweep

RUN = ["run", "--cases", "4", "--widths", "1-3", "--samples", "1-3", "--layers", "2-3",
       "--dtypes", "float32", "--engines", "paper-contracted", "--jobs", "1"]  # fmt: skip
PLAN = Plan(("paper-contracted",), ("float32",), 4, 0, Distribution((2, 3), (1, 3), (1, 3)))
OURS = {*folder.OF_A_RUN, *folder.MADE_OF_A_RUN, journal.IN_RUN}


@pytest.fixture
def command(capsys):
    """command(*words) runs it in this process: (status, stdout, stderr); it may not hang."""

    def call(*words):
        signal.signal(signal.SIGALRM, _hangs)
        signal.alarm(120)
        try:
            with pytest.raises(SystemExit) as stopped:
                main(list(map(str, words)))
        finally:
            signal.alarm(0)
        return stopped.value.code, *capsys.readouterr()

    return call


def _hangs(*_):
    raise TimeoutError


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """The journal of a run that was ended just before its files were put together."""
    out = tmp_path_factory.mktemp("parts")
    opened, _ = sweep.open_journal(out, PLAN, PLAN.whole, resume=True)
    with Pool(PLAN, Limits(1, 60)) as pool:
        for span, content in pool.results([PLAN.whole]):
            opened.add(*span, content)
    opened.close()
    return sweep.journal_in(out)


@pytest.fixture(scope="module")
def whole(parts, tmp_path_factory):
    """That run, resumed and finished: it computes nothing, and starts no worker."""
    out = tmp_path_factory.mktemp("whole") / "run"
    shutil.copytree(parts, sweep.journal_in(out))
    with pytest.raises(SystemExit) as stopped:
        main([*RUN, "--out", str(out), "--resume", "--output-format", "concise"])
    assert stopped.value.code == 0
    return out


def state(place):
    """Every name below a folder that is not ours: kind, mode, and content or target."""
    found = {}
    for path in sorted(place.rglob("*")):
        inside = path.relative_to(place)
        if inside.parts[0] in OURS:
            continue
        about = path.lstat()
        content = None
        if stat.S_ISLNK(about.st_mode):
            content = os.readlink(path)
        elif stat.S_ISREG(about.st_mode):
            content = path.read_bytes()
        found[str(inside)] = (about.st_mode, content, about.st_uid)
    return found


def fill(out):
    """Files of others, with names that begin as ours do."""
    out.mkdir(parents=True, exist_ok=True)
    for name in ("report.docx", "run.json.bak", "summary.txt", "errors.log", "cases.", ".hidden"):
        (out / name).write_text(f"mine: {name}")
    (out / "errors.log").chmod(0o600)
    (out / "report.docx").chmod(0o444)
    (out / "reports").mkdir(mode=0o700)
    (out / "reports" / "run.json").write_text("not yours")
    (out / "dangling").symlink_to("nowhere")
    os.mkfifo(out / "pipe")


@contextmanager
def mounted(place, *options):
    """A file system mounted there, as far as this machine lets us."""
    if os.geteuid() or subprocess.run(["mount", *options, place], capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        yield
    finally:
        subprocess.run(["umount", place], check=True)


@contextmanager
def plain(out):
    fill(out)
    yield


@contextmanager
def a_link(out):
    fill(out.parent / "target")
    out.symlink_to("target")
    yield
    assert os.readlink(out) == "target"


@contextmanager
def a_mount(out):
    out.mkdir()
    with mounted(out, "-t", "tmpfs", "-o", "size=20m,mode=700", "tmpfs"):
        fill(out)
        yield
        assert os.path.ismount(out)


@contextmanager
def a_bind_mount(out):
    fill(out.parent / "target")
    out.mkdir()
    with mounted(out, "--bind", str(out.parent / "target")):
        yield


@contextmanager
def private(out):
    fill(out)
    out.chmod(0o700)
    yield
    assert stat.S_IMODE(out.stat().st_mode) == 0o700


@contextmanager
def anothers(out):
    """Who may write to the folder, but not beside it: root alone can lend it to another."""
    fill(out)
    if os.geteuid():
        pytest.skip("only root can give a folder away")
    os.chown(out, 65534, 65534)
    yield
    assert out.stat().st_uid == 65534


@contextmanager
def links_and_pipes_of_our_names(out):
    fill(out)
    (out.parent / "elsewhere").write_text("precious")
    for name in ("errors.csv", "run.json", "report.md"):
        (out / name).symlink_to("../elsewhere")
    os.mkfifo(out / "summary.csv")
    yield
    assert (out.parent / "elsewhere").read_text() == "precious"
    assert not (out / "errors.csv").is_symlink()


PLACES = (plain, a_link, a_mount, a_bind_mount, private, anothers, links_and_pipes_of_our_names)


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
@pytest.mark.parametrize("words", [["run", "--resume"], ["merge"]], ids=lambda words: words[0])
def test_whatever_the_folder_is_what_is_not_ours_stays(
    place, words, parts, whole, tmp_path, command
):
    out = tmp_path / "out"
    with place(out):
        before = state(out)
        if words[0] == "run":
            shutil.copytree(parts, sweep.journal_in(out))
            words = [*RUN, "--resume", "--format", "md"]
        else:
            words = ["merge", whole]
        status, _, err = command(*words, "--out", out)
        assert status == 0, err
        assert state(out) == before
        assert len(finished.read(out).cases) == 4
        assert not sweep.journal_in(out).exists()


@pytest.mark.parametrize("words", [RUN, ["merge"]], ids=lambda words: words[0])
@pytest.mark.parametrize("kind", ["read-only", "a folder in the place of run.json", "a file"])
def test_where_nothing_can_be_written_nothing_changes(kind, words, whole, tmp_path, command):
    out = tmp_path / "out"
    fill(out)
    if kind == "a file":
        shutil.rmtree(out)
        out.write_text("mine")
    elif kind != "read-only":
        (out / "run.json").mkdir()
    before = state(tmp_path)
    words = [*words, *([whole] if words[0] == "merge" else []), "--out", out]
    if kind == "read-only":
        with mounted(out, "--bind", str(out)):
            subprocess.run(["mount", "-o", "remount,ro,bind", out], check=True)
            status, _, err = command(*words)
    else:
        status, _, err = command(*words)
    assert (status, err.count("\n")) == (2, 1)
    assert f"cannot write to {out}" in err
    assert state(tmp_path) == before


def test_a_full_disk_keeps_what_was_there(whole, tmp_path, command):
    out = tmp_path / "out"
    out.mkdir()
    with mounted(out, "-t", "tmpfs", "-o", "size=400k", "tmpfs"):
        fill(out)
        for path in whole.iterdir():
            shutil.copy2(path, out)
        left = os.statvfs(out)
        (out / "large").write_bytes(b"x" * (left.f_bavail * left.f_frsize - 4096))
        before = state(out)
        status, _, err = command("merge", whole, "--out", out)
        assert (status, err.count("\n")) == (3, 1)
        assert "No space left on device" in err
        assert state(out) == before
        assert len(finished.read(out).cases) == 4


@pytest.mark.parametrize("name", [".", "..", "here/../."])
def test_the_folder_one_is_in_is_a_folder(name, whole, tmp_path, command, monkeypatch):
    (tmp_path / "in" / "here").mkdir(parents=True)
    fill(tmp_path / "in" / "beside")
    (tmp_path / "in" / "note").write_text("mine")
    monkeypatch.chdir(tmp_path / "in" / "here" if name == ".." else tmp_path / "in")
    before = state(tmp_path / "in")
    assert command("merge", whole, "--out", name)[0] == 0
    assert state(tmp_path / "in") == before
    assert len(finished.read(tmp_path / "in").cases) == 4


@pytest.mark.parametrize("words", [RUN, ["merge", "x"], ["report", "x"]], ids=lambda w: w[0])
def test_an_empty_name_is_no_folder(words, command):
    status, _, err = command(*words, "--out", "")
    assert (status, err.count("\n")) == (2, 1)
    assert "the name of the folder is empty" in err


def test_the_reports_of_an_earlier_run_go_and_those_of_nobody_stay(whole, tmp_path, command):
    """report.html in a folder that holds no run is somebody's own."""
    for name, holds_a_run in (("first", True), ("second", False)):
        out = tmp_path / name
        out.mkdir()
        if holds_a_run:
            shutil.copy2(whole / "run.json", out)
        (out / "report.html").write_text("a page")
        assert command("merge", whole, "--out", out)[0] == 0
        assert (out / "report.html").exists() is not holds_a_run


def test_a_file_that_is_replaced_keeps_its_mode(tmp_path):
    for mode in (0o600, 0o640, 0o444):
        (tmp_path / "base").write_text("old")
        (tmp_path / "base").chmod(mode)
        files.write(tmp_path / "base", "new")
        assert (tmp_path / "base").read_text() == "new"
        assert stat.S_IMODE((tmp_path / "base").stat().st_mode) == mode
        assert os.listdir(tmp_path) == ["base"]


# --- a stranger's folder ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["report.md", "report.csv"])
def test_a_report_is_not_written_through_a_link(name, whole, tmp_path, command):
    out, form = tmp_path / "out", name.partition(".")[2]
    out.mkdir()
    (tmp_path / "precious").write_text("precious")
    (out / name).symlink_to("../precious")
    assert command("report", whole, "--format", form, "--out", out)[0] == 0
    assert (tmp_path / "precious").read_text() == "precious"
    assert (out / name).stat().st_size > 100


@pytest.mark.parametrize(
    "name",
    ["run.json", "errors.parquet", "errors.csv", "summary.csv", "comparison.json", "report.md"],
)
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(name, whole, tmp_path, command):
    stranger = tmp_path / "run"
    shutil.copytree(whole, stranger)
    (stranger / name).unlink(missing_ok=True)
    os.mkfifo(stranger / name)
    status, _, err = command("report", stranger, "--format", "md")
    assert (status, err.count("\n")) == ((0, 0) if name == "report.md" else (2, 1))


def test_a_pipe_is_no_baseline(whole, tmp_path, command):
    os.mkfifo(tmp_path / "base")
    assert command("compare", whole, tmp_path / "base")[0] == 4
    assert command("baseline", whole, "--out", tmp_path / "base")[0] == 2
    assert stat.S_ISFIFO((tmp_path / "base").lstat().st_mode)


def test_a_journal_that_leads_elsewhere_is_refused(tmp_path, command):
    (tmp_path / "elsewhere" / "rows").mkdir(parents=True)
    (tmp_path / "elsewhere" / ".x.writing").write_text("mine")
    out = tmp_path / "out"
    out.mkdir()
    (out / journal.IN_RUN).symlink_to("../elsewhere")
    before = state(tmp_path)
    status, _, err = command(*RUN, "--out", out)
    assert (status, err.count("\n")) == (3, 1)
    assert "is a link" in err
    assert state(tmp_path) == before


# --- killed in the middle of the swap -----------------------------------------------------------

SLOWLY = """
import sys, time
from crosscheck.cli import main as cli
from crosscheck.results.disk import files
from crosscheck.runs.output import folder
put, replace = files.put, folder.replace
def slowly(*pair):
    time.sleep(0.03); put(*pair); time.sleep(0.03)
def told(*pair):
    print("swap", file=sys.stderr, flush=True)
    files.put = slowly
    try: replace(*pair)
    finally: files.put = put
folder.replace = told
cli(sys.argv[1:])
"""
"""The command, in which each renaming of the swap takes a while."""


def killed(words, seconds):
    """Start the command, and kill it so long after its swap began; whether it was in time."""
    process = subprocess.Popen(
        [sys.executable, "-c", SLOWLY, *map(str, words)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in process.stderr:
        if line == "swap\n":
            break
    time.sleep(seconds)
    process.kill()
    return process.wait() == -signal.SIGKILL


@pytest.mark.parametrize("kills", [2, pytest.param(10, marks=pytest.mark.slow)])
def test_a_kill_at_any_moment_of_the_swap_loses_nothing(kills, parts, whole, tmp_path, command):
    """Either run is readable, or the folder says what to do; then it is done; and once without."""
    rng, cut = random.Random(kills), 0
    for number in range(kills):
        out = tmp_path / f"run{number}"
        fill(out)
        old = shutil.copytree(whole, out, dirs_exist_ok=True)
        shutil.copytree(parts, sweep.journal_in(out))
        before = state(old)
        killed([*RUN, "--resume", "--out", out], rng.uniform(0, 0.45))
        assert state(out) == before
        if journal.is_ready(out):
            cut += 1
            with pytest.raises(ValueError, match=r"is incomplete.*--resume"):
                finished.read(out)
        else:
            assert len(finished.read(out).cases) == 4
        status, _, err = command(*RUN, "--resume", "--out", out, "--output-format", "concise")
        assert status == 0, err
        assert state(out) == before
        assert finished.read(out).errors.equals(finished.read(whole).errors)
        assert not sweep.journal_in(out).exists()
    assert cut > 0


STEPS = len(folder.OF_A_RUN) + 3


@pytest.mark.parametrize("step", range(STEPS))
def test_each_step_of_the_swap_may_be_the_last(step, parts, whole, tmp_path, command, monkeypatch):
    """As if the disk failed there: then `merge` again, or the next run, completes it first."""
    out = tmp_path / "out"
    fill(out)
    shutil.copytree(whole, out, dirs_exist_ok=True)
    before, steps = state(out), iter(range(STEPS))
    real = files.put

    def put(*pair):
        if next(steps) == step:
            raise OSError(5, "Input/output error")
        real(*pair)

    monkeypatch.setattr(folder.files, "put", put)
    with journal.locked(sweep.journal_in(out)):
        place = journal.rows_in(sweep.journal_in(out))
        for name in folder.OF_A_RUN:
            shutil.copy2(whole / name, place)
        if step < len(folder.OF_A_RUN):
            with pytest.raises(journal.Unwritable):
                folder.replace(place, out)
            with pytest.raises(ValueError, match="is incomplete"):
                finished.read(out)
        else:
            folder.replace(place, out)
    monkeypatch.undo()
    assert state(out) == before
    assert command("merge", whole, "--out", out)[0] == 0
    assert len(finished.read(out).cases) == 4
    assert state(out) == before


@pytest.mark.parametrize("step", [None, 0, 3])
def test_who_interrupts_is_told_what_became_of_the_files(
    step, parts, whole, tmp_path, command, monkeypatch
):
    """None: before the swap, when nothing was replaced."""
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    shutil.copytree(parts, sweep.journal_in(out))
    before, steps, real = (out / "run.json").read_bytes(), iter(range(STEPS)), files.put

    def put(*pair):
        if pair[0].parent.name == journal.READY and next(steps) == step:
            raise KeyboardInterrupt
        real(*pair)

    def settle(path):
        raise KeyboardInterrupt

    monkeypatch.setattr(files, *(("settle", settle) if step is None else ("put", put)))
    status, _, err = command(*RUN, "--resume", "--out", out)
    assert status == 130
    told = "nothing was replaced" if step is None else "were taking their places"
    assert f"interrupted: {told}" in err.replace("the files of the run ", "")
    assert "--resume goes on" in err
    assert journal.is_ready(out) == (step is not None)
    assert (out / "run.json").read_bytes() == before
    monkeypatch.undo()
    assert command(*RUN, "--resume", "--out", out)[0] == 0
    assert finished.read(out).errors.equals(finished.read(whole).errors)


def test_a_second_setting_aside_keeps_the_first(parts, tmp_path):
    out = tmp_path / "out"
    for _ in range(3):
        shutil.copytree(parts, sweep.journal_in(out))
        opened, (sentence,) = sweep.open_journal(out, PLAN, PLAN.whole, resume=False)
        opened.remove()
        assert "set aside" in sentence
    assert sorted(os.listdir(out)) == [f"{journal.IN_RUN}.aside-{n}" for n in (1, 2, 3)]


# --- parts that are not this run's --------------------------------------------------------------


@pytest.mark.parametrize("kind", ["copied", "of another run", "overlapping", "of another name"])
def test_a_part_counts_only_for_its_indices_of_its_run(kind, tmp_path):
    import pyarrow as pa

    def opened(name, **identity):
        return journal.Journal(tmp_path / name, {"plan": {"cases": 40}, **identity})

    one, other = opened("one"), opened("other", seed=1)
    for each in (one, other):
        each.add(0, 10, journal.encode({"cases": pa.table({"index": [0]})}))
    if kind == "copied":
        shutil.copy(one.path(0, 10), one.path(10, 20))
    elif kind == "of another run":
        shutil.copy(other.path(0, 10), one.path(0, 10))
    elif kind == "overlapping":
        one.add(5, 15, journal.encode({"cases": pa.table({"index": [0]})}))
    else:
        shutil.copy(one.path(0, 10), one.folder / "part-copy of 0-10")
    said = one.drop_damaged()
    assert len(said) == (kind != "of another name")
    assert one.spans == ([] if kind == "of another run" else [(0, 10)])
    for each in (one, other):
        each.close()


def test_a_run_whose_parts_are_not_whole_ends_with_a_sentence(tmp_path, parts):
    class Nobody:
        def results(self, spans):
            return iter(())

    opened, _ = sweep.open_journal(tmp_path, PLAN, PLAN.whole, resume=True)
    with pytest.raises(journal.Damaged, match="index 0 is missing"):
        sweep.complete(opened, PLAN, PLAN.whole, Nobody())
    opened.close()


def test_a_run_that_is_unfinished_says_so(parts, tmp_path, command):
    shutil.copytree(parts, sweep.journal_in(tmp_path))
    status, _, err = command("report", tmp_path)
    assert (status, err.count("\n")) == (2, 1)
    assert "is unfinished" in err
    assert json.loads((sweep.journal_in(tmp_path) / "journal.json").read_text())["plan"]
