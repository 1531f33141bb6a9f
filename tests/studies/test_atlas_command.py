"""`crosscheck atlas`: its files, its answers to bad input, resuming, and the comparison."""

import json

import pandas as pd
import pytest
from rich.console import Console

from crosscheck.cli import commands
from crosscheck.studies.atlas import catalogue, command, points
from crosscheck.studies.atlas.definition import BrokenDefinition, define
from crosscheck.studies.atlas.examine import Row, Truth
from crosscheck.studies.atlas.mathematics import functions as e
from crosscheck.studies.atlas.reports.plots import place
from crosscheck.studies.atlas.run import AtlasOptions, run

pytest.importorskip("torch")

QUICK = AtlasOptions("torch.expm1", "torch", ("float64",), "quick", 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("atlas")
    assert command.main(QUICK, out, None, "atlas", Console(quiet=True)) == 0
    return out


def test_the_columns_are_in_their_order(folder):
    wanted = [
        *("framework", "function", "argument", "mode", "dtype", "at", "got", "exact", "radius"),
        *("relative_error", "ulp", "condition", "ruling", "value_ruling", "threshold"),
        *("reported", "snippet"),
    ]
    for table in (pd.read_csv(folder / "atlas.csv"), pd.read_parquet(folder / "atlas.parquet")):
        assert list(table)[:17] == wanted
        assert "wrong" in set(table["ruling"])


def test_the_page_begins_with_the_count(folder):
    text = (folder / "atlas.md").read_text()
    assert "1 functions, 1 pairs" in text.splitlines()[2]
    assert "x = torch.tensor(" in text


def test_the_html_page_is_whole_without_a_script(folder):
    page = (folder / "atlas.html").read_text()
    for part in ("torch.expm1", "<polyline", "x = torch.tensor("):
        assert part in page
    assert "http://" not in page


def test_a_run_goes_on_from_its_journal(folder):
    (case,) = folder.glob(".atlas/*/*.json")
    content = json.loads(case.read_text())
    content["counts"] = {"right": 123456}
    case.write_text(json.dumps(content))
    (examined,) = run(QUICK, folder, lambda text: None)
    assert examined.counts == {"right": 123456}


def test_the_same_atlas_has_nothing_new(folder):
    assert command.main(QUICK, folder, folder / "atlas.csv", "again", Console(quiet=True)) == 0


def test_what_is_newly_wrong_is_told_and_is_status_1(folder, tmp_path):
    table = pd.read_csv(folder / "atlas.csv")
    table[table["ruling"] == "convention"].to_csv(tmp_path / "old.csv", index=False)
    assert command.main(QUICK, folder, tmp_path / "old.csv", "new", Console(quiet=True)) == 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--function", "torch.expm2"], "the nearest are"),
        (["--dtype", "float8"], "unknown format 'float8'"),
        (["--compare", "missing.csv"], "cannot read missing.csv"),
        (["--quick", "--exhaustive"], "exclude each other"),
    ],
)
def test_bad_input_is_one_sentence(words, sentence, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        commands.main(["atlas", "--out", str(tmp_path / "out"), *words])
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_definition_that_does_not_enclose_is_told_by_name():
    def formula(x):
        jet = e.sin(x)
        return jet._replace(first=jet.first * 2)

    with pytest.raises(BrokenDefinition, match="'twice'"):
        Truth(define("twice", formula)).certify()


def test_a_definition_that_fails_is_told_by_name():
    with pytest.raises(BrokenDefinition, match=r"'broken' at .*AttributeError"):
        Truth(define("broken", lambda x: x.nothing)).certify()


def test_the_table_is_as_large_as_promised():
    definitions = catalogue.all_definitions().values()
    assert len(definitions) >= 120
    assert len({(call.framework, call.function) for d in definitions for call in d.calls}) >= 250


def test_every_definition_has_points_of_its_domain():
    for definition in catalogue.all_definitions().values():
        at = points.grid(definition, points.FORMATS["float64"], "quick")
        assert len(at) > 10, definition.name


def test_places_on_the_axis_are_in_the_order_of_numbers():
    at = [-1e308, -3.0, -1e-9, -5e-324, 0.0, 5e-324, 1e-9, 3.0, 1e308]
    assert sorted(at, key=place) == at
    assert (place(0.0), next(iter(Row.__annotations__))) == (0.5, "framework")
