"""`crosscheck audit`: exit statuses, files, and one sentence for bad input."""

import json

import pytest

from crosscheck.audit import findings
from crosscheck.audit.judges import table
from crosscheck.cli import main


@pytest.fixture
def command(capsys, monkeypatch):
    """command(*words) runs the audit on 15 architectures without rivals: (status, out, err)."""
    monkeypatch.setattr(table, "load", lambda: ([], {}))

    def run(*words):
        with pytest.raises(SystemExit) as stopped:
            main(["audit", "--architectures", "15", *words])
        return (stopped.value.code, *capsys.readouterr())

    return run


def test_the_known_outcome_is_status_0_and_all_files(command, tmp_path):
    status, shown, _ = command("--out", str(tmp_path / "deep" / "audit"))
    assert status == 0
    names = {path.name for path in (tmp_path / "deep" / "audit").iterdir()}
    assert names == {f"audit.{ending}" for ending in ("json", "md", "csv", "tex", "html")}
    assert "Under neither reading" in shown
    assert "The outcome is the known one." in shown
    assert "S1 under sigmoid at l = N holds on architecture 0" in shown
    assert "Undecided: S4 under sigmoid at l = N" in shown


def test_another_outcome_is_status_1_and_says_what_differs(command, tmp_path, monkeypatch):
    known = {**findings.known(), ("S3", "sigmoid", "N"): "HOLDS"}
    monkeypatch.setattr(findings, "known", lambda: known)
    status, shown, _ = command("--out", str(tmp_path), "--output-format", "concise")
    assert status == 1
    assert "S3 under sigmoid at l = N: found FAILS, known is HOLDS" in shown


def test_json_on_the_terminal_is_nothing_else(command, tmp_path):
    status, shown, _ = command("--out", str(tmp_path), "--output-format", "json")
    assert status == 0
    assert json.loads(shown) == json.loads((tmp_path / "audit.json").read_text())


def test_annotations_are_notices_where_the_outcome_is_known(command, tmp_path):
    status, shown, _ = command("--out", str(tmp_path), "--output-format", "github")
    first, *failures = shown.splitlines()
    assert status == 0
    assert first.startswith("::notice title=crosscheck audit::Under neither reading")
    assert len(failures) == 7
    assert failures[0].startswith("::notice title=N2 under identity at l = N fails::")


def test_annotations_are_errors_for_what_is_new(command, tmp_path, monkeypatch):
    known = {**findings.known(), ("S3", "sigmoid", "N"): "HOLDS"}
    monkeypatch.setattr(findings, "known", lambda: known)
    status, shown, _ = command("--out", str(tmp_path), "--output-format", "github")
    errors = [line for line in shown.splitlines() if line.startswith("::error")]
    assert status == 1
    assert len(errors) == 2
    assert errors[1].endswith("::S3 under sigmoid at l = N: found FAILS, known is HOLDS")


def test_the_command_that_makes_the_files_is_on_them_without_a_machine_path(command, tmp_path):
    command("--out", str(tmp_path / "reports"), "--name", "paper", "--format", "md", "--seed", "3")
    text = (tmp_path / "reports" / "paper.md").read_text()
    made = "crosscheck audit --architectures 15 --seed 3 --out reports --name paper --format md"
    assert f"`{made}`" in text
    assert str(tmp_path) not in text
    assert [path.name for path in (tmp_path / "reports").iterdir()] == ["paper.md"]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--architectures", "3"], "15 architectures"),
        (["--dtype", "float16"], "float16"),
        (["--format", "docx"], "unknown format 'docx'"),
        (["--name", "a/b"], "not the name of a file"),
        (["--seed", "-1"], "seed"),
        (["--output-format", "xml"], "xml"),
    ],
)
def test_bad_input_is_one_sentence_and_status_2(command, tmp_path, words, complaint):
    status, out, err = command("--out", str(tmp_path), *words)
    assert (status, out) == (2, "")
    assert complaint in err
    assert len(err.splitlines()) == 1


def test_a_folder_that_cannot_be_made_is_told_before_the_work(command, tmp_path):
    (tmp_path / "file").touch()
    status, _, err = command("--out", str(tmp_path / "file" / "audit"))
    assert status == 2
    assert "cannot write to" in err
