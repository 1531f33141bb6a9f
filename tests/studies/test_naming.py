"""The examination of the diagnosis: what is tried, what counts as right, and that it can fail."""

import pandas as pd
import pytest

from crosscheck.faults.catalogue import table
from crosscheck.faults.catalogue.table import CATALOGUE, FaultyEngine, ScaledEngine
from crosscheck.faults.diagnosis import Diagnosis
from crosscheck.faults.predictions import Hypothesis
from crosscheck.studies.power import naming, page as pages
from crosscheck.studies.power.extent import Examination
from crosscheck.studies.power.mistakes import distortions

SMALL = Examination(dtypes=("float32",), widths=(1, 6))
PLACE = {"place": "at the output"}
MISSING = Hypothesis(CATALOGUE["slope-missing"], PLACE)
PAIR = Hypothesis(CATALOGUE["slope-missing"], PLACE, (1, 1, 0, 0))
DECAY = Hypothesis(CATALOGUE["weight-decay"], {"rate": 0.01})


def said(fault="slope-missing", parameters=PLACE, sentence="", share=1.0, also=()):
    return Diagnosis(fault, parameters, sentence, share, 20, also)


@pytest.mark.parametrize(
    ("truth", "found", "expected"),
    [
        (MISSING, said(), naming.RIGHT),
        (MISSING, said(parameters={"place": "at every layer"}), naming.WRONG),
        (MISSING, said("factor 2", {}, also=(MISSING.sentence,)), naming.RIGHT),
        (MISSING, said("factor 2", {}), naming.WRONG),
        (MISSING, said(parameters={**PLACE, "scale": "2"}), naming.WRONG),
        (MISSING, None, naming.UNNAMED),
        (PAIR, said(parameters={**PLACE, "scale": "2"}), naming.RIGHT),
        (PAIR, said(parameters={**PLACE, "scale": "D"}), naming.WRONG),
        (PAIR, said(share=1.0), naming.ALONE),
        (PAIR, said(share=0.9), naming.WRONG),
        (PAIR, said("factor 2", {}, also=(PAIR.sentence,)), naming.RIGHT),
        (DECAY, said("weight-decay", {"rate": 0.0100001}), naming.RIGHT),
        (None, None, naming.RIGHT),
        (None, said(), naming.WRONG),
    ],
)
def test_what_counts_as_right(truth, found, expected):
    assert naming.outcome(truth, found) == expected


def test_everything_in_the_catalogue_is_tried_and_much_that_is_not():
    trials = naming.trials(Examination())
    by_kind = {
        kind: [t for t in trials if t.kind == kind]
        for kind in (naming.ONE, naming.TWO, naming.UNKNOWN)
    }
    every = [(f.label(p), dtype) for f, p in table.variants() for dtype in f.dtypes]
    assert sorted((t.engine.name, t.dtype) for t in by_kind[naming.ONE]) == sorted(every)
    assert len(by_kind[naming.TWO]) >= 100
    assert len({t.truth.factor for t in by_kind[naming.TWO]}) > 30
    assert {t.truth.fault.family for t in by_kind[naming.TWO]} == {
        "bias", "samples", "tensors", "structure", "precision"
    }  # fmt: skip
    assert len(by_kind[naming.UNKNOWN]) >= 400


def trial(identity, parameters, factor=None, kind=naming.ONE):
    fault = CATALOGUE[identity]
    engine = FaultyEngine(fault, parameters)
    made = engine if factor is None else ScaledEngine(engine, factor)
    return naming.WrongEngine(kind, "float32", made, Hypothesis(fault, parameters, factor))


SOME = (
    trial("bias-mean", {"place": "at every layer"}),
    trial("entry-scaled", {"epsilon": 1e-12}),
    trial("all-zero", {}, (1, 1, 0, 0), naming.TWO),
    naming.WrongEngine(naming.UNKNOWN, "float32", FaultyEngine(CATALOGUE["factor 2"]), None),
)
"""The last is known, though it is called unknown: it must be counted against the diagnosis."""


@pytest.fixture(scope="module")
def rows():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(naming, "trials", lambda of: list(SOME))
        return naming.examine(SMALL)


def test_each_trial_has_its_outcome(rows):
    assert rows["outcome"].tolist() == [
        naming.RIGHT, naming.NOT_FAILING, naming.ALONE, naming.WRONG
    ]  # fmt: skip
    assert (rows["failing"] > 0).tolist() == [True, False, True, True]


def test_the_table_counts_runs_that_fail(rows):
    frame = naming.table(rows).set_index("kind")
    assert frame["runs"].to_dict() == {naming.ONE: 1, naming.TWO: 1, naming.UNKNOWN: 1}
    assert frame["share"].to_dict() == {
        naming.ONE: "100.0", naming.TWO: "0.0", naming.UNKNOWN: "0.0"
    }  # fmt: skip
    assert frame.loc[naming.ONE, "not failing"] == 1


def test_runs_depend_on_the_seed_and_the_run_alone(monkeypatch, rows):
    monkeypatch.setattr(naming, "trials", lambda of: list(SOME))
    twice = naming.examine(Examination(dtypes=("float32",), widths=(1, 6), diagnoses=2))
    pd.testing.assert_frame_equal(twice[twice["run"] == 0], rows)
    assert twice.loc[twice["run"] == 1, "failing"].tolist() != rows["failing"].tolist()


def test_the_page_lists_what_was_not_named(rows):
    frames = {
        "named": naming.table(rows),
        "named wrong": naming.exceptions(rows, naming.WRONG),
        "one alone": naming.exceptions(rows, naming.ALONE),
        "unnamed": naming.exceptions(rows, naming.UNNAMED),
        "not failing": naming.exceptions(rows, naming.NOT_FAILING),
    }
    text = "\n".join(pages.naming_section(frames))
    assert "| no known mistake | factor 2 | factor 2" in text
    assert "| a mistake and a factor | all-zero, times 2 | every gradient is zero |" in text
    assert "| one mistake | entry-scaled 1e-12 | float32 | 1 |" in text


def test_no_runs_leave_the_section_out():
    frame = naming.examine(Examination(diagnoses=0))
    assert len(frame) == 0
    assert pages.naming_section({"named": naming.table(frame)}) == []


def test_trials_of_unknown_mistakes_differ_from_each_other():
    names = [t.engine for t in naming.trials(SMALL) if t.kind == naming.UNKNOWN]
    assert len({(e.sort, e.size, e.number) for e in names}) == len(names)
    assert {e.sort for e in names} == set(distortions.SORTS)
