"""The stagewise checks examined on a small sample: wrong operations are caught, right are not."""

import numpy as np
import pytest

from crosscheck.engines import registry
from crosscheck.studies.power import stagewise


def test_every_kind_is_caught():
    found = stagewise.trials(40, 5).set_index("mistake")
    assert (found["viable"] >= 35).all()
    for name, row in found.iterrows():
        least = row["viable"] if "product" in name else 0.9 * row["viable"]
        assert row["caught"] >= least, name


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nothing_done_wrong_is_unviable(dtype):
    """A kind that changes nothing is never counted as missed."""
    engine = registry.load("paper-contracted")
    nothing = stagewise.Kind("nothing", dtype, lambda case, shown, rng: "w2", suspect=True)
    for case in stagewise.networks(10, 0, dtype):
        assert stagewise.outcome_of(nothing, engine, case, np.random.default_rng(0)) is None


def test_a_change_within_rounding_is_missed_not_caught():
    """The examination can say no: half an ulp on one entry is what any evaluation may be off by."""
    engine = registry.load("paper-contracted")
    slight = stagewise.Kind("slight", "float64", stagewise.scaled(6 * 2.0**-53))
    outcomes = [
        stagewise.outcome_of(slight, engine, case, np.random.default_rng(case.index))
        for case in stagewise.networks(30, 0, "float64")
    ]
    assert False in outcomes


def test_slack_is_small_stage_by_stage():
    slack = stagewise.slack(15, 1)
    assert (slack["stage by stage"] <= 2.5).all()
    assert (slack["stage by stage"] < slack["ℓ2"]).all()
    assert (slack["ℓ2"] < slack["B"]).all()
