"""What the command says, wherever it says it: strange names, narrow encodings, full disks."""

import io
import json
import os
import shutil
import subprocess
import sys

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, strategies as st
from rich.console import Console
from support.invented import failing

from crosscheck.cli import main, streams
from crosscheck.reports import spreadsheet, written
from crosscheck.reports.visible import ACTING, visible
from crosscheck.results.disk import files
from crosscheck.results.finished import FinishedRun

ACTS = "\x1b[31mred\x1b[0m \x00 \x9b \u202e \r ::error::"
"""A message that colours a terminal, turns a line around, and more."""


@pytest.fixture
def acting(made):
    """A run whose engine's message and name are full of what acts."""
    run = failing(made(cases=6, engines=("a", "[/red]\x1b[2J/b.py:f")), "a", 2, "error")
    cases = run.cases.copy()
    gone = cases["status:a"] == "error"
    cases.loc[gone, "message:a"] = ACTS
    return FinishedRun(run.errors, cases, run.pairs, run.record)


@pytest.mark.parametrize("form", ["md", "html", "github", "junit", "latex"])
def test_nothing_in_a_report_acts(form, acting):
    page = written.render(acting, form)
    assert not ACTING.search(page)
    if form in ("md", "github", "html"):
        assert "\\x1b" in page
        assert "red" in page


@pytest.mark.parametrize("shown", ["full", "concise", "md", "github", "junit"])
def test_nothing_on_the_terminal_acts(shown, acting):
    """Of what rich colours itself there is nothing in a file."""
    console = Console(file=io.StringIO(), width=200)
    written.show(acting, shown, console)
    text = console.file.getvalue()
    assert not ACTING.search(text)
    if shown == "full":
        assert "[/red]\\x1b[2J/b.py:f" in text
        assert "\\x1b[31mred" in text


@given(st.text(st.characters(codec=None, categories=("Cc", "Cs", "Cf", "Ll", "Zl"))))
def test_what_is_visible_acts_no_more_and_says_the_same(text):
    shown = visible(text)
    assert not ACTING.search(shown)
    assert visible(shown) == shown
    shown.encode()
    if not ACTING.search(text):
        assert shown == text


@pytest.mark.parametrize("mark", ["=", "+", "-", "@", "\t", "\r"])
def test_a_spreadsheet_computes_no_text_and_reads_every_number(mark):
    """Only what is text: a number keeps its sign, and a hexadecimal one is a number."""
    frame = pd.DataFrame(
        {"engine": [f"{mark}cmd()", "plain"], "got": [-1.5, 2.0], "got_hex": ["-0x1p+0", "0x1p+0"]}
    )
    shown = spreadsheet.as_text(frame)
    assert list(shown["engine"]) == [f"'{mark}cmd()", "plain"]
    assert shown[["got", "got_hex"]].equals(frame[["got", "got_hex"]])
    table = spreadsheet.table_as_text(pa.Table.from_pandas(frame))
    assert table.to_pandas()[list(frame)].equals(shown)


# --- the command --------------------------------------------------------------------------------


@pytest.fixture
def run(made, put):
    """A run with a defect in a folder called [, of an engine called /red]."""
    whole = made(cases=4, engines=("a", "/red]"))
    errors = whole.errors.copy()
    errors.loc[errors["engine"] == "/red]", "verdict"] = "DEFECT"
    return put(FinishedRun(errors, whole.cases, whole.pairs, whole.record), "[")


@pytest.fixture
def regression(made, put, tmp_path, capsys):
    """(run, baseline) of which the comparison is a regression: exit status 1."""
    good = put(made(cases=4), "good")
    bad = made(cases=4)
    bad.errors.loc[bad.errors["index"] == 3, "verdict"] = "DEFECT"
    with pytest.raises(SystemExit):
        main(["baseline", str(good), "--out", str(tmp_path / "[µ")])
    return put(bad, "/red]".replace("/", "")), tmp_path / "[µ"


def process(words, **options):
    return subprocess.run(
        [sys.executable, "-m", "crosscheck", *map(str, words)],
        stderr=subprocess.PIPE,
        timeout=120,
        **options,
    )


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_narrow_encoding_changes_no_exit_status(encoding, regression):
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    done = process(["compare", *regression], env=environment, stdout=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (1, b"")
    assert b"REGRESSION" in done.stdout


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("words", ["compare", "engines", "--help"])
def test_an_output_that_takes_nothing_is_a_sentence(words, regression):
    """What the command found stands, 1 before 3."""
    words = [words, *(regression if words == "compare" else [])]
    with open("/dev/full", "w") as full:
        done = process(words, stdout=full)
    assert done.returncode == (1 if words[0] == "compare" else 3)
    assert done.stderr.count(b"\n") == 1
    assert b"cannot write to the standard output: No space left on device" in done.stderr


def test_a_reader_that_has_enough_is_no_failure(regression):
    reading, writing = os.pipe()
    os.close(reading)
    done = process(["compare", *regression], stdout=writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


def test_a_closed_output_changes_no_exit_status(regression):
    words = " ".join(
        ["exec", sys.executable, "-m crosscheck compare", *map(repr, map(str, regression))]
    )
    done = subprocess.run(["sh", "-c", f"{words} >&-"], stderr=subprocess.PIPE, timeout=120)
    assert (done.returncode, done.stderr) == (1, b"")


def test_streams_are_given_back(monkeypatch):
    before = sys.stdout, sys.stderr
    with streams.enduring() as output:
        print("x" * 10)
        assert output.failure is None
    assert (sys.stdout, sys.stderr) == before


def test_names_that_look_like_markup_are_names(run, capsys, tmp_path):
    for words in (["report", run, "--format", "md,html,junit,github,latex,json"],
                  ["baseline", run, "--out", tmp_path / "/red]"[1:]],
                  ["compare", run, tmp_path / "red]"]):  # fmt: skip
        with pytest.raises(SystemExit) as stopped:
            main(list(map(str, words)))
        assert stopped.value.code == 0, capsys.readouterr().err


@pytest.mark.parametrize("name", ["[", "/red]", "[bold]"])
def test_a_folder_or_an_engine_may_be_called_so(name, tmp_path, capsys):
    folder = tmp_path / name.strip("/") if name != "/red]" else tmp_path / "[" / "red]"
    folder.mkdir(parents=True)
    (folder / "mine.py").write_text("def f(w, b, x, y):\n    raise ValueError('\\x1b[31m')\n")
    words = ["run", "--engine", f"{folder}/mine.py:f", "--cases", "2", "--widths", "1-2"]
    words += [
        "--samples",
        "1-2",
        "--dtypes",
        "float64",
        "--jobs",
        "1",
        "--out",
        str(folder / "[/]"),
    ]
    with pytest.raises(SystemExit) as stopped:
        main(words)
    shown = capsys.readouterr()
    assert stopped.value.code == 3, shown.err
    assert "\x1b" not in shown.out
    assert json.loads((folder / "[/]" / "run.json").read_text())["exit_status"] == 3


def test_a_half_of_a_character_is_written_as_its_escape(tmp_path):
    files.write(tmp_path / "text", "a\ud800b")
    assert (tmp_path / "text").read_text() == "a\\ud800b"
    shutil.rmtree(tmp_path)
