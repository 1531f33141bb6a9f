"""The examination of the checker: what counts as viable, intervals, rivals, and the page."""

import time

import numpy as np
import pandas as pd
import pytest

from crosscheck.engines import registry
from crosscheck.faults.catalogue import table
from crosscheck.faults.catalogue.fault import Fault
from crosscheck.faults.catalogue.table import CATALOGUE, FaultyEngine
from crosscheck.networks import sampling
from crosscheck.networks.distribution import Distribution
from crosscheck.reports.proportions import interval, with_intervals
from crosscheck.studies import other_checkers
from crosscheck.studies.power import (
    caught,
    command,
    comparison,
    detection,
    false_alarms,
    page as pages,
)
from crosscheck.studies.power.extent import SCALES, Examination, network, networks
from crosscheck.studies.power.mistakes.viability import ExactGradient, viable
from crosscheck.verdicts.evidence import Evidence
from crosscheck.verdicts.verdict import judge

SMALL = Examination(cases=2, dtypes=("float32",), widths=(1, 6), correct=4, rivals=1)


@pytest.fixture(scope="module")
def rows():
    return detection.trials(SMALL)


def case(dtype="float64", **ranges):
    return sampling.draw(Distribution(scales=(1.0,), **ranges), 0, 12, dtype)


def test_a_mistake_that_changes_nothing_is_not_viable():
    fault = CATALOGUE["factor D"]
    one = case(samples=(1, 1))
    many = case(samples=(5, 5))
    assert not viable(fault, one, {}, ExactGradient(one))
    assert viable(fault, many, {}, ExactGradient(many))


@pytest.mark.parametrize(("epsilon", "expected"), [(1e-14, True), (3e-16, False)])
def test_viable_begins_at_four_units_of_roundoff(epsilon, expected):
    fault = CATALOGUE["entry-scaled"]
    net = case()
    parameters = {"epsilon": epsilon}
    assert viable(fault, net, parameters, ExactGradient(net)) is expected


def test_right_code_is_not_caught_and_wrong_code_is():
    net = case()
    evidence = Evidence(net)
    assert not caught.caught(evidence, registry.load("paper").gradients(net))
    assert caught.caught(evidence, FaultyEngine(CATALOGUE["factor 2"]).gradients(net))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scale", [1.0, 20.0])
def test_caught_and_flagged_are_what_the_verdicts_say(dtype, scale):
    """A DEFECT, also where a sigmoid of absolute accuracy excuses what is beyond B."""
    said, meant = [], []
    for net, square in networks(SMALL, dtype, scale):
        evidence = {False: Evidence(net), True: Evidence(square)}
        for fault, parameters in list(table.variants())[::7]:
            of = evidence[fault.needs.equal_from is not None]
            if not fault.applies(of.case):
                continue
            got = FaultyEngine(fault, parameters).gradients(of.case)
            rows = judge(of, caught.arithmetic(dtype), got, deep=True)
            verdicts = {row["verdict"] for row in rows}
            said.append(tuple(caught.outcome(of, got)))
            meant.append(("DEFECT" in verdicts, bool(verdicts & {"DEFECT", "SUSPECT"})))
    assert said == meant
    assert len(set(meant)) > 1


def test_every_variant_has_an_outcome(rows):
    assert set(rows["outcome"]) <= {"caught", "missed", "unviable"}
    assert rows.loc[rows["outcome"] == "caught", ["flagged", "ordered"]].all(axis=None)
    per_network = rows.groupby(["scale", "index"]).size()
    assert per_network.nunique() == 1
    assert len(per_network) == len(SCALES) * SMALL.cases


def test_a_mistake_that_takes_too_long_is_out_of_time(monkeypatch):
    def slow(setting, parameters):
        time.sleep(parameters["rate"])
        return [2 * t for t in setting.right]

    fault = Fault("slow", "scale", "slow", slow, variants=({"rate": 30.0}, {"rate": 0.0}))
    monkeypatch.setattr(table, "CATALOGUE", {"slow": fault})
    started = time.monotonic()
    rows = detection.trials(Examination(cases=1, dtypes=("float32",), seconds=0.2))
    assert time.monotonic() - started < 10
    late = rows["variant"] == "slow 30.0"
    assert set(rows.loc[late, "outcome"]) == {"timeout"}
    assert set(rows.loc[~late, "outcome"]) == {"caught"}
    frame = detection.table(rows)
    assert frame.groupby("variant")[["timeout", "viable"]].sum().to_dict("list") == {
        "timeout": [0, 3],
        "viable": [3, 0],
    }


def test_sizes_that_were_chosen_are_not_among_the_kinds(rows):
    """A step of 0.001 is one that nobody took; ε is no size of anybody's."""
    chosen = set(detection.by_size(rows)["variant"])
    assert {"weights-updated 0.001", "entry-scaled 1e-08"} <= chosen
    assert not chosen & {"weights-updated 1.0", "weights-updated 0.1", "weight-decay 0.0001"}
    viable = detection.table(rows)["viable"].sum()
    parts = detection.by_family(rows)["viable"].sum(), detection.by_size(rows)["viable"].sum()
    assert sum(parts) == viable
    assert min(parts) > 0


def test_mistakes_of_structure_are_caught_at_their_natural_size(rows):
    frame = detection.by_family(rows)
    kinds = frame[frame["family"].isin(["scale", "bias", "samples", "structure", "tensors"])]
    xavier = kinds[kinds["scale"] == 1.0]
    assert (xavier["missed"] == 0).all()
    assert (xavier["viable"] > 0).all()


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    [(0, 10, 0.0, 0.3085), (10, 10, 0.6915, 1.0), (5, 10, 0.1871, 0.8129)],
)
def test_the_interval_is_clopper_and_pearsons(hits, of, low, high):
    """Clopper and Pearson (1934), the table for n = 10."""
    assert np.round(interval(hits, of), 4).tolist() == [low, high]


def test_shares_come_with_their_intervals():
    counts = pd.DataFrame({"hits": [5, 0], "of": [10, 0]})
    found = with_intervals(counts, "hits", "of")
    assert found["share"].tolist() == ["50.0", "–"]
    assert found["interval"].tolist() == ["18.7 … 81.3", "0.0 … 100.0"]


def test_correct_engines_are_not_accused_or_suspected():
    alarms = false_alarms.count(SMALL, ["paper", "paper-contracted"])
    assert alarms["false alarms"].tolist() == [0, 0]
    assert alarms["suspected"].tolist() == [0, 0]
    assert alarms["cases"].tolist() == alarms["with ℓ2"].tolist() == [4, 4]


def test_an_engine_that_is_wrong_would_be_counted(monkeypatch):
    wrong = FaultyEngine(CATALOGUE["factor 2"])
    monkeypatch.setattr(false_alarms.evaluate, "load", lambda name: wrong)
    alarms = false_alarms.count(SMALL, ["wrong"])
    assert alarms["false alarms"].tolist() == [4]


def test_an_engine_that_takes_many_cases_at_a_time_gets_them_together(monkeypatch):
    class Packed:
        """Counts the calls."""

        calls = 0

        def arithmetic(self, dtype):
            return registry.load("paper-contracted").arithmetic(dtype)

        def gradients_of(self, cases):
            self.calls += 1
            return [registry.load("paper-contracted").gradients(case) for case in cases]

    packed = Packed()
    monkeypatch.setattr(false_alarms.evaluate, "load", lambda name: packed)
    assert false_alarms.count(SMALL, ["packed"])["cases"].tolist() == [4]
    assert packed.calls == 1


def test_a_dtype_that_is_not_examined_is_refused():
    with pytest.raises(ValueError, match="power knows float32 and float64"):
        Examination(dtypes=("float16",))


CONTENT = sorted(set(other_checkers.CHECKERS) - {"jax check_grads"})


@pytest.mark.parametrize("name", CONTENT)
def test_rivals_are_content_with_the_right_gradient_and_not_with_twice_it(name):
    pytest.importorskip("torch")
    pytest.importorskip("autograd")
    check = other_checkers.CHECKERS[name]()
    net = next(comparison.networks(1, 0))
    right = registry.load("paper-contracted").gradients(net).tensors()
    assert check(net, right)
    assert not check(net, [2 * t for t in right])
    last_wrong = [*right[:-1], right[-1] + 1]
    assert not check(net, last_wrong)


def test_jax_is_content_with_the_right_gradient_and_not_with_twice_it():
    pytest.importorskip("jax")
    check = other_checkers.check_grads_of_jax()
    net = next(comparison.networks(1, 0))
    right = registry.load("paper-contracted").gradients(net).tensors()
    assert check(net, right)
    assert not check(net, [2 * t for t in right])


def test_the_page_has_every_variant_and_says_what_made_it(rows):
    beside = pd.DataFrame([{"kind": "scale", "checker": "crosscheck", "caught": 3, "of": 4}])
    frames = {
        **command.detected(rows),
        "alarms": false_alarms.count(SMALL, ["paper"]),
        "rivals": beside,
    }
    page = pages.page(frames, command.command_line(SMALL), command.unseen())
    assert "crosscheck power --cases 2" in page
    assert "75.0 of 4" in page
    for variant in set(rows["variant"]):
        assert f"| {variant} |" in page
    ids, count = command.unseen()
    assert 0 < len(ids) < count == len(CATALOGUE)
    assert f"{len(ids)} do not" in page
    assert not any(CATALOGUE[identity].seen for identity in ids)


@pytest.mark.parametrize(
    ("share", "text"), [(1.0, "100.0"), (0.99986, "99.98"), (0.9994, "99.9"), (0.0, "0.0")]
)
def test_only_the_whole_reads_as_a_hundred_per_cent(share, text):
    assert pages.percent(share) == text


def test_a_cell_says_what_was_caught_and_what_was_flagged():
    line = {"viable": 4, "caught": 3, "flagged": 4, "timeout": 0, "share": 0.75}
    line |= {"flagged_share": 1.0, "low": 0.19, "high": 0.99, "ordered": 3, "ordered_share": 0.75}
    assert pages.cell(pd.Series(line)) == "75.0 [19.0, 99.0] of 4, flagged 100.0"
    same = pd.Series(line | {"flagged": 3, "timeout": 2})
    assert pages.cell(same) == "75.0 [19.0, 99.0] of 4, 2 timeout"
    order = pd.Series(line | {"ordered": 4, "ordered_share": 1.0})
    assert pages.cell(order) == "75.0 [19.0, 99.0] of 4, ordered 100.0, flagged 100.0"
    assert pages.cell(pd.Series(line | {"viable": 0})) == "–"


def test_a_named_order_proves_what_the_others_hide():
    """Net 78 hides this step behind its literal recursion, which δ carried back has not."""
    fault, step = CATALOGUE["weights-updated"], {"rate": 1e-4}
    for index, found in ((78, ("missed", True, True)), (190, ("missed", False, False))):
        case, _ = network(Examination(), "float32", 1.0, index)
        assert (
            detection.outcome_of(Examination(), fault, step, Evidence(case), ExactGradient(case))
            == found
        )
