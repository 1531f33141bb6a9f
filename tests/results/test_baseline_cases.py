"""A case is the same to the bit on every processor, or no baseline would hold on another."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from crosscheck.networks import sampling
from crosscheck.networks.distribution import Distribution
from crosscheck.runs import evaluate

SMALL = Distribution(widths=(1, 8), samples=(1, 8))

DEFINITIONS = """
import json
from crosscheck.networks import sampling
from crosscheck.networks.distribution import Distribution
of = Distribution(widths=(1, 16), samples=(1, 16))
cases = [sampling.draw(of, 0, i, dtype) for i in range(40) for dtype in ("float64", "bfloat16")]
print(json.dumps({case.id: sampling.definition(case) for case in cases}))
"""


def definitions(**environment):
    done = subprocess.run(
        [sys.executable, "-c", DEFINITIONS],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "processor",
    [
        {"OPENBLAS_CORETYPE": "Haswell"},
        {"OPENBLAS_NUM_THREADS": "1"},
        {"NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR"},
    ],
    ids=lambda environment: " ".join(environment.values()),
)
def test_cases_are_the_same_on_another_processor(processor):
    assert definitions(**processor) == definitions()


def test_definitions_differ_where_the_numbers_do():
    case = sampling.draw(Distribution(), 0, 9, "float64")
    again = sampling.draw(Distribution(), 0, 9, "float64")
    others = [
        sampling.draw(Distribution(), 1, 9, "float64"),
        sampling.draw(Distribution(), 0, 9, "float32"),
        sampling.draw(Distribution(hidden="tanh"), 0, 9, "float64"),
        sampling.draw(Distribution(cost="half_squared_error"), 0, 9, "float64"),
    ]
    assert sampling.definition(case) == sampling.definition(again)
    assert sampling.definition(case) not in {sampling.definition(other) for other in others}


def test_every_row_says_how_near_the_true_value_is():
    """`radius` is set, and the error measured against `exact` alone is within it of the ruling."""
    crew = evaluate.muster(["paper-contracted"])
    plan = evaluate.Plan(("paper-contracted",), ("float32", "float64"), 4, 0, SMALL)
    errors = evaluate.run(plan, crew).errors
    assert errors["radius"].notna().all()
    from_exact = (errors["got"] - errors["exact"]).abs()
    slack = errors["radius"] + np.spacing(errors["got"].abs())
    assert ((from_exact - errors["max_abs_error"]).abs() <= slack).all()
