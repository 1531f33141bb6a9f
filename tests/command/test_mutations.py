"""Files that were damaged, changed or forged: a sentence and a status, never a pass."""

import copy
import json
import random
import shutil

import pyarrow as pa
import pytest
from support.invented import changed, mutations

from crosscheck.cli import main
from crosscheck.results import finished, journal, record
from crosscheck.results.baseline import stored
from crosscheck.results.disk import shape
from crosscheck.results.journal import Damaged, Journal, Mismatch

RUN_FILES = ("run.json", "comparison.json", "errors.csv", "summary.csv",
             "errors.parquet", "cases.parquet", "pairs.parquet")  # fmt: skip
FILES = (*RUN_FILES, "baseline", "journal.json", "part")
REPORTS = ("md", "json", "junit", "github", "latex")
IDENTITY = {"plan": {"seed": 0, "engines": ("a", "b")}, "span": [0, 8], "own_code": {}}


@pytest.fixture
def command(capsys):
    """command(*words) runs it in this process: (status, stdout, stderr)."""

    def call(*words):
        with pytest.raises(SystemExit) as stopped:
            main(list(map(str, words)))
        return stopped.value.code, *capsys.readouterr()

    return call


@pytest.fixture
def kept(made, put, tmp_path, command):
    """A folder with a run that was compared, its baseline, and a journal with one part."""
    run = put(made(cases=4), "run")
    (run / "summary.csv").write_text("engine,dtype\na,float32\n")
    finished.seal(run)
    assert command("baseline", run, "--out", tmp_path / "baseline")[0] == 0
    worse = put(changed(made(cases=4), verdict="DEFECT"), "worse")
    assert command("compare", worse, tmp_path / "baseline")[0] == 1
    shutil.copy(worse / "comparison.json", run)
    opened = Journal(tmp_path / "journal", IDENTITY)
    opened.add(0, 8, journal.encode({"cases": pa.table({"index": [0, 1]})}))
    opened.close()
    return tmp_path


def place(kept, name):
    """The file of this name in `kept`."""
    inside = {"journal.json": "journal/journal.json", "part": "journal/part-000000000-000000008"}
    return kept / ({"baseline": "baseline"} | inside).get(name, f"run/{name}")


def refusal(kept, name, command):
    """The sentence with which what reads this file refuses it; None where it does not."""
    if name in RUN_FILES:
        words, expected = ("report", kept / "run", "--format", "md", "--out", kept / "out"), 2
    elif name == "baseline":
        words, expected = ("compare", kept / "run", kept / "baseline"), 4
    else:
        return _refused_by_the_journal(kept)
    status, _, err = command(*words)
    if status != expected:
        return None
    assert err.count("\n") == 1
    return err


def _refused_by_the_journal(kept):
    try:
        opened = Journal(kept / "journal", IDENTITY)
    except Mismatch as error:
        return str(error)
    try:
        opened.read(0, 8)
    except Damaged as error:
        return str(error)
    finally:
        opened.close()
    return None


@pytest.mark.parametrize("count", [15, pytest.param(240, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", FILES)
def test_no_mutation_of_a_file_passes(name, count, kept, command):
    path = place(kept, name)
    good = path.read_bytes()
    for bad in mutations(good, count, seed=count):
        path.write_bytes(bad)
        assert bad == good or refusal(kept, name, command), bad
    path.write_bytes(good)
    assert refusal(kept, name, command) is None


# --- well-formed, and sealed again, by somebody who knows how ------------------------------------

WRONG = (None, True, -1, 1.5, "x", [], {}, [[]], {"a": []}, 10**400)


def places_in(value, path=()):
    """The path of every value in a JSON document, inner ones too; of a list the first two."""
    yield path
    if isinstance(value, list):
        value = dict(enumerate(value[:2]))
    for key, entry in value.items() if isinstance(value, dict) else ():
        yield from places_in(entry, (*path, key))


def forgeries(document, count):
    """The document with one value of a wrong type, or without it; so many of them, at random."""
    whole = [(path, wrong) for path in places_in(document) if path for wrong in (*WRONG, "without")]
    for path, wrong in random.Random(0).sample(whole, min(count, len(whole))):
        forged = copy.deepcopy(document)
        holder = forged
        for key in path[:-1]:
            holder = holder[key]
        if wrong == "without":
            del holder[path[-1]]
        else:
            holder[path[-1]] = wrong
        if json.dumps(forged) != json.dumps(document):
            yield forged


def forge_run(path, document):
    path.write_text(json.dumps(document))
    finished.seal(path.parent)


def forge_comparison(path, document):
    path.write_bytes(record.sealed(document))


def forge_baseline(path, lines):
    body = "".join(json.dumps(line) + "\n" for line in lines).encode()
    head = {"format": stored.FORMAT, "schema_version": 1, "digest": stored.digest_of(body)}
    path.write_bytes(json.dumps(head).encode() + b"\n" + body)


def forge_journal(path, document):
    path.write_text(json.dumps(document, indent=2))


FORGED = {
    "run.json": (forge_run, json.loads),
    "comparison.json": (forge_comparison, json.loads),
    "baseline": (forge_baseline, lambda text: list(map(json.loads, text.splitlines()[1:]))),
    "journal.json": (forge_journal, json.loads),
}


@pytest.mark.parametrize("count", [12, pytest.param(300, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", FORGED)
def test_a_forgery_of_a_wrong_type_is_a_sentence_or_harmless(name, count, kept, command):
    """What nobody relies on may hold anything; nothing may end in a traceback."""
    path, (forge, parse) = place(kept, name), FORGED[name]
    for document in forgeries(parse(path.read_text()), count):
        forge(path, document)
        if name == "journal.json":
            assert _refused_by_the_journal(kept)
            continue
        words = ["report", kept / "run", "--format", ",".join(REPORTS), "--out", kept / "out"]
        if name == "baseline":
            words = ["compare", kept / "run", kept / "baseline"]
        status, _, err = command(*words)
        assert "Traceback" not in err, document
        assert status in (0, 1, 2, 4), document
        assert err.count("\n") == int(status in (2, 4) and bool(err)), err


@pytest.mark.parametrize("text", ["", "null", "[]", "3", '"x"', "{}", "[" * 100_000, "\ufeff{}"])
@pytest.mark.parametrize("name", ["run.json", "comparison.json", "baseline", "journal.json"])
def test_json_that_is_no_object_is_a_sentence(name, text, kept, command):
    place(kept, name).write_text(text)
    assert refusal(kept, name, command)


def test_a_run_without_a_seal_is_refused(kept, command):
    """Who takes the seal away does not get round it."""
    path = place(kept, "run.json")
    document = json.loads(path.read_text())
    del document["seal"], document["digests"]
    path.write_text(record.as_text(document))
    assert "seal" in refusal(kept, "run.json", command)


SHAPES = {
    "name": ({"a": int}, {"a": 1, "b": None}, {"a": True}, "it.a is True, expected a whole number"),
    "missing": ({"a": int, "b?": str}, {"a": 1}, {"b": "x"}, "it lacks a"),
    "every": ({"*": [float]}, {"x": [1, 2.5]}, {"x": [1, "2"]}, r"it.x\[1\] is '2', expected"),
    "several": ((str, type(None)), None, [], "it is \\[\\], expected text or null"),
    "list": ([{"a": str}], [], {}, "it is {}, expected a list"),
}


@pytest.mark.parametrize("kind", SHAPES)
def test_a_shape_names_what_is_not_of_it(kind):
    wanted, right, wrong, sentence = SHAPES[kind]
    shape.require(right, wanted, "it")
    with pytest.raises(ValueError, match=sentence):
        shape.require(wrong, wanted, "it")
