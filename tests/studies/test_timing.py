"""Ratios of neighbours in time, and threads that are as many as asked for."""

import os
import subprocess
import sys

import numpy as np
import pytest

from crosscheck.runs.processes import worker
from crosscheck.studies.speed import timing


def test_a_ratio_is_taken_round_by_round():
    figure = timing.ratio([2.0, 4.0, 30.0], [1.0, 2.0, 3.0])
    assert figure == (2.0, 2.0, 10.0)
    assert str(figure) == "2 (2 – 10)"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.012345, "0.0123"), (999.4, "999"), (1234.5, "1234"), (56789, "56789"), (2.5e6, "2.5e+06")],
)
def test_a_number_has_three_digits_and_those_before_the_point(value, text):
    assert timing.short(value) == text
    assert timing.median_of(timing.figure([value])) == float(text)


def test_every_action_is_run_in_every_round(monkeypatch):
    monkeypatch.setattr(timing, "ROUND_SECONDS", 0)
    called = []
    actions = {name: lambda name=name: called.append(name) for name in "ab"}
    found = timing.times(actions, rounds=3)
    assert [len(of) for of in found.values()] == [3, 3]
    calls = 1 + timing.LEAST_CALLS
    assert called[-6 * calls :] == (["a"] * calls + ["b"] * calls) * 3


def test_a_long_action_is_called_once_a_round(monkeypatch):
    monkeypatch.setattr(timing, "LONG_SECONDS", 0)
    called = []
    timing.times({"a": lambda: called.append("a")}, rounds=3)
    assert len(called) == 2 + 3


def test_threads_are_as_before_afterwards():
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    with timing.threads():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


def test_a_process_has_its_threads_before_it_imports_a_library(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", f"--of-the-user {worker.XLA_ONE_THREAD}")
    names = ("OMP_NUM_THREADS", "XLA_FLAGS", worker.XLA_THREADS)
    with timing.processes((1, 2)) as process:
        one, two = (
            [process[count].submit(os.getenv, name).result() for name in names] for count in (1, 2)
        )
    assert one == ["1", f"--of-the-user  {worker.XLA_ONE_THREAD}", "1"]
    assert two == ["2", "--of-the-user", "2"]


POOL_OF_XLA = """
import os, sys
from crosscheck.runs.processes import worker
worker.limit_threads(int(sys.argv[1]))
import jax
jax.jit(lambda x: x @ x)(jax.numpy.ones((300, 300))).block_until_ready()
tasks = [open(f"/proc/self/task/{task}/comm").read() for task in os.listdir("/proc/self/task")]
print(sum("XLAEigen" in name for name in tasks))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="names of threads are read from /proc")
@pytest.mark.parametrize("count", [1, 3])
def test_xla_has_as_many_threads_as_are_asked_for(count):
    """Its flags alone leave it one for each processor, among which it shares what it computes."""
    pytest.importorskip("jax")
    done = subprocess.run(
        [sys.executable, "-c", POOL_OF_XLA, str(count)], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) == count


@pytest.mark.parametrize(
    ("text", "number"), [("0.5 (0.4 – 0.6)", 0.5), ("≈ 3.9e+03 (extrapolated)", 3900.0)]
)
def test_the_median_of_a_figure_is_read_from_its_text(text, number):
    assert timing.median_of(text) == number
    assert np.isnan(timing.median_of("–"))
    assert np.isnan(timing.median_of("not available: no C++ compiler"))
