"""The gate on real engines: quiet between kernels, threads and orders, loud for what is planted."""

import os
import subprocess
import sys
from itertools import combinations, permutations
from pathlib import Path

import pytest

from crosscheck.results import finished, outcome
from crosscheck.results.baseline import comparing, recording

KERNELS = [(kernel, threads) for kernel in ("Haswell", "SkylakeX") for threads in ("1", "2")]

LARGE = pytest.mark.slow
"""Tests of all machines; the sample below always runs."""

FIRST, LAST = map(int, os.environ.get("GATE_SEEDS", "0-1").split("-"))
"""Seeds of the tests on 1000 cases; GATE_SEEDS=201-230 draws others."""


def made_on(folder, kernel, threads, cases, orders, dtypes, seed=0):
    """The runs of tests/support/kernels.py with this kernel and so many threads, by name."""
    variables = {
        "OPENBLAS_CORETYPE": kernel,
        "OPENBLAS_NUM_THREADS": threads,
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
    }
    if kernel == "Haswell":
        variables |= {"MKL_ENABLE_INSTRUCTIONS": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
    program = Path(__file__).parents[1] / "support" / "kernels.py"
    subprocess.run(
        [sys.executable, program, folder, *map(str, (cases, orders, dtypes, seed))],
        env={**os.environ, **variables},
        check=True,
    )
    return {path.name: finished.read(path) for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def machines(tmp_path_factory):
    """60 cases in two precisions, two engines in seven orders each, on four machines."""
    root = tmp_path_factory.mktemp("machines")
    return {key: made_on(root / "-".join(key), *key, 60, 7, "float32,float64") for key in KERNELS}


@LARGE
def test_runs_that_differ_in_rounding_alone_raise_no_alarm(machines):
    """Every third ordered pair of 28 runs: 252 comparisons, in both directions."""
    runs = [run for made in machines.values() for name, run in made.items() if name.isdigit()]
    baselines = [recording.record(run) for run in runs]
    compared, alarms, identical = 0, [], 0
    for then, now in list(permutations(range(len(runs)), 2))[::3]:
        found = comparing.compare(runs[now], baselines[then])
        if not found.differs:  # an order of summation is code, and code is in the fingerprint
            found = comparing.compare(elsewhere(runs[now]), baselines[then])
        compared += 1
        identical += found.exact["identical"] == found.exact["gradients"]
        if found.status(strict=True) != outcome.OK:
            alarms.append((then, now, found.groups[found.groups["mark"].isin(["+", "-"])]))
    print(f"{compared} comparisons, {identical} identical, {len(alarms)} false alarms")
    assert compared >= 200
    assert identical < compared / 2
    assert alarms == []


def elsewhere(run):
    """The run as of other code."""
    environment = run.record["environment"] | {"code": "of another order"}
    record = run.record | {"environment": environment}
    return finished.FinishedRun(run.errors, run.cases, run.pairs, record)


MISTAKES = pytest.mark.parametrize("mistake", ["tf32", "slope-in-float32"])


@LARGE
@MISTAKES
def test_a_planted_loss_of_precision_is_caught_on_every_machine(machines, mistake):
    assert_caught(machines, mistake)


def assert_caught(machines, mistake):
    """The mistake is a regression in the right precision, and its absence is none."""
    for then, now in permutations(machines, 2):
        base = recording.record(machines[then]["planted-"])
        found = comparing.compare(machines[now][f"planted-{mistake}"], base)
        assert found.status() == outcome.DEFECT
        worse = found.groups[found.groups["mark"] == "+"]
        dtype = "float32" if mistake == "tf32" else "float64"
        assert set(worse["dtype"]) == {dtype}
        quiet = comparing.compare(machines[now]["planted-"], base)
        assert quiet.status(strict=True) == outcome.OK


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """30 cases in two precisions, in two orders, on two machines."""
    root = tmp_path_factory.mktemp("sample")
    keys = [("Haswell", "1"), ("Haswell", "2")]
    return {key: made_on(root / "-".join(key), *key, 30, 2, "float32,float64") for key in keys}


def test_a_sample_that_differs_in_rounding_alone_raises_no_alarm(sample):
    runs = [run for made in sample.values() for name, run in made.items() if name.isdigit()]
    differing = 0
    for then, now in permutations(runs, 2):
        found = comparing.compare(elsewhere(now), recording.record(then))
        differing += found.exact["identical"] < found.exact["gradients"]
        assert found.status(strict=True) == outcome.OK
    assert differing > 0


@MISTAKES
def test_a_planted_loss_of_precision_is_caught_in_a_sample(sample, mistake):
    assert_caught(sample, mistake)


@pytest.fixture(scope="module", params=range(FIRST, LAST + 1), ids="seed {}".format)
def thousand(tmp_path_factory, request):
    """1000 cases in float32, two engines in three orders, on two machines."""
    root = tmp_path_factory.mktemp("thousand")
    return [
        made_on(root / "-".join(key), *key, 1000, 3, "float32", request.param)
        for key in (KERNELS[0], KERNELS[3])
    ]


@LARGE
def test_a_thousand_cases_that_differ_in_rounding_alone_raise_no_alarm(thousand):
    """15 pairs of six runs; --strict looks at either direction."""
    runs = [run for made in thousand for name, run in made.items() if name.isdigit()]
    for then, now in combinations(runs, 2):
        found = comparing.compare(elsewhere(now), recording.record(then))
        print("least p", found.groups["p"].min())
        assert found.exact["identical"] < found.exact["gradients"]
        assert found.status(strict=True) == outcome.OK


@LARGE
@pytest.mark.parametrize("back", [False, True], ids=["forth", "back"])
def test_two_bits_in_one_case_of_twenty_are_caught_elsewhere(thousand, back):
    """By the errors that grew, in either direction; no verdict need have changed."""
    here, there = reversed(thousand) if back else thousand
    base = recording.record(here["planted-"])
    found = comparing.compare(there["planted-2-bits-in-5-percent"], base)
    worse = found.groups[found.groups["mark"] == "+"]
    print(worse.to_string())
    assert "all" in set(worse["group"])
    assert found.status() == outcome.DEFECT
    assert comparing.compare(there["planted-"], base).status(strict=True) == outcome.OK


@LARGE
def test_one_new_defect_in_a_thousand_cases_is_caught_elsewhere(thousand):
    here, there = thousand
    base = recording.record(here["planted-"])
    found = comparing.compare(there["planted-one-defect"], base)
    assert found.status() == outcome.DEFECT
    assert set(found.changes["mark"]) == {"!"}
    assert len(found.changes) == 1
