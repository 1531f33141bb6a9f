"""The examination of the checker: what counts as viable, intervals, rivals, and the page."""

import numpy as np
import pandas as pd
import pytest

from crosscheck import power, rivals, sampling
from crosscheck.distribution import Distribution
from crosscheck.engines import names
from crosscheck.faults.catalogue import CATALOGUE, FaultyEngine
from crosscheck.reports import power as pages
from crosscheck.verdict import Evidence

SMALL = power.Examination(cases=2, dtypes=("float32",), widths=(1, 6), correct=4, rivals=1)


@pytest.fixture(scope="module")
def rows():
    return power.trials(SMALL)


def case(dtype="float64", **ranges):
    return sampling.draw(Distribution(scales=(1.0,), **ranges), 0, 12, dtype)


def test_a_mistake_that_changes_nothing_is_not_viable():
    fault = CATALOGUE["factor D"]
    one = case(samples=(1, 1))
    many = case(samples=(5, 5))
    assert not power.viable(fault, one, {}, power.Exact(one))
    assert power.viable(fault, many, {}, power.Exact(many))


@pytest.mark.parametrize(("epsilon", "expected"), [(1e-14, True), (3e-16, False)])
def test_viable_begins_at_four_units_of_roundoff(epsilon, expected):
    fault = CATALOGUE["entry-scaled"]
    net = case()
    parameters = {"epsilon": epsilon}
    assert power.viable(fault, net, parameters, power.Exact(net)) is expected


def test_right_code_is_not_caught_and_wrong_code_is():
    net = case()
    evidence = Evidence(net)
    assert not power.caught(evidence, names.load("paper").gradients(net))
    assert power.caught(evidence, FaultyEngine(CATALOGUE["factor 2"]).gradients(net))


def test_every_variant_has_an_outcome(rows):
    assert set(rows["outcome"]) <= {"caught", "missed", "unviable"}
    per_network = rows.groupby(["scale", "index"]).size()
    assert per_network.nunique() == 1
    assert len(per_network) == len(power.SCALES) * SMALL.cases


def test_mistakes_of_structure_are_caught_at_their_natural_size(rows):
    frame = power.by_family(rows)
    kinds = frame[frame["family"].isin(["scale", "bias", "samples", "structure"])]
    xavier = kinds[kinds["scale"] == 1.0]
    assert (xavier["missed"] == 0).all()
    assert (xavier["viable"] > 0).all()


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    [(0, 10, 0.0, 0.3085), (10, 10, 0.6915, 1.0), (5, 10, 0.1871, 0.8129)],
)
def test_the_interval_is_clopper_and_pearsons(hits, of, low, high):
    """Clopper and Pearson (1934), the table for n = 10."""
    assert np.round(power.interval(hits, of), 4).tolist() == [low, high]


def test_correct_engines_are_not_accused():
    alarms = power.false_alarms(SMALL, ["paper", "paper-contracted"])
    assert alarms["false alarms"].tolist() == [0, 0]
    assert alarms["cases"].tolist() == [4, 4]


def test_an_engine_that_is_wrong_would_be_counted():
    wrong = power._alarms(FaultyEngine(CATALOGUE["factor 2"]), SMALL, "float32", 12)
    assert wrong > 0


def test_a_dtype_that_is_not_examined_is_refused():
    with pytest.raises(ValueError, match="power knows float32 and float64"):
        power.Examination(dtypes=("float16",))


CONTENT = sorted(set(rivals.RIVALS) - {"jax check_grads"})


@pytest.mark.parametrize("name", CONTENT)
def test_rivals_are_content_with_the_right_gradient_and_not_with_twice_it(name):
    pytest.importorskip("torch")
    pytest.importorskip("autograd")
    check = rivals.RIVALS[name]()
    net = next(rivals._networks(1, 0))
    right = names.load("paper-contracted").gradients(net).tensors()
    assert check(net, right)
    assert not check(net, [2 * t for t in right])
    last_wrong = [*right[:-1], right[-1] + 1]
    assert not check(net, last_wrong)


def test_jax_is_content_with_the_right_gradient_and_not_with_twice_it():
    pytest.importorskip("jax")
    check = rivals.check_grads_of_jax()
    net = next(rivals._networks(1, 0))
    right = names.load("paper-contracted").gradients(net).tensors()
    assert check(net, right)
    assert not check(net, [2 * t for t in right])


def test_the_page_has_every_variant_and_says_what_made_it(rows):
    beside = pd.DataFrame([{"kind": "scale", "checker": "crosscheck", "caught": 3, "of": 4}])
    frames = {
        "families": power.by_family(rows),
        "variants": power.table(rows),
        "runs": power.by_run(rows),
        "entries": power.smallest_always_caught(rows),
        "alarms": power.false_alarms(SMALL, ["paper"]),
        "rivals": beside,
    }
    page = pages.page(frames, power.command_line(SMALL))
    assert "crosscheck power --cases 2" in page
    assert "75.0 of 4" in page
    for variant in set(rows["variant"]):
        assert f"| {variant} |" in page
