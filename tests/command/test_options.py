"""Options of the command: hints, how much is shown, and numbers that cannot be."""

import pytest

from crosscheck.cli import main

RAISING = """
def gradient(weights, biases, inputs, targets):
    return outer(weights)

def outer(weights):
    return middle(weights)

def middle(weights):
    return inner(weights)

def inner(weights):
    raise RuntimeError("too deep for me")
"""


@pytest.fixture
def command(capsys):
    """command(*words) runs it in this process and returns (status, stdout, stderr)."""

    def run(*words):
        with pytest.raises(SystemExit) as stopped:
            main(list(words))
        return stopped.value.code, *capsys.readouterr()

    return run


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["check", "mine.py:f"], "crosscheck run --engine mine.py:f"),
        (["check"], "crosscheck run --engine FILE.py:function"),
        (["mine.py:f"], "crosscheck run --engine mine.py:f"),
        (["reprot"], "did you mean report?"),
        (["something"], "known are atlas, audit, baseline,"),
    ],
)
def test_an_unknown_command_gets_a_hint(words, hint, command):
    status, out, err = command(*words)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert hint in err


@pytest.fixture
def raising(tmp_path):
    (tmp_path / "mine.py").write_text(RAISING)
    return ["--engine", f"{tmp_path / 'mine.py'}:gradient"]


FEW = ["--cases", "2", "--layers", "2-2", "--widths", "1-2", "--jobs", "1"]


def test_a_run_shows_the_last_lines_of_a_traceback_and_v_all(command, raising, tmp_path):
    out = ["--out", str(tmp_path / "run")]
    _, shown, _ = command("run", *raising, *FEW, *out)
    assert "in inner" in shown
    assert "in outer" not in shown
    assert "shown in full with -v" in shown
    _, shown, _ = command("run", "-v", *raising, *FEW, *out)
    assert "in inner" in shown
    assert "in outer" in shown


def test_reproduce_does_the_same(command, raising):
    case = ["reproduce", "s0-i0-float64-identity", *raising]
    status, shown, _ = command(*case)
    assert status == 3
    assert "in inner" in shown
    assert "in outer" not in shown
    _, shown, _ = command(*case, "--verbose")
    assert "in outer" in shown


def test_q_is_a_line(command, tmp_path):
    words = ["run", "--engines", "paper-contracted", *FEW, "--out", str(tmp_path / "run")]
    status, shown, _ = command(*words, "-q")
    assert status == 0
    assert shown.startswith("No defect")
    assert shown.count("\n") == 1
    _, shown, _ = command(*words, "--quiet", "--output-format", "json")
    assert shown.startswith("{")


def test_no_such_seed_in_a_case(command):
    words = ["reproduce", "s9223372036854775808-i0-float64", "--engine", "paper"]
    status, _, err = command(*words)
    assert status == 2
    assert "seed=9223372036854775808 must be a whole number up to" in err
