"""Ratios of neighbours in time, and threads that are as many as asked for."""

import os

import numpy as np
import pytest

from crosscheck import timing, worker


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
    assert called[-6:] == ["a", "b"] * 3


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
    assert one[:2] == ["1", f"--of-the-user  {worker.XLA_ONE_THREAD}"]
    assert two == ["2", "--of-the-user", "2"]


@pytest.mark.parametrize(
    ("text", "number"), [("0.5 (0.4 – 0.6)", 0.5), ("≈ 3.9e+03 (extrapolated)", 3900.0)]
)
def test_the_median_of_a_figure_is_read_from_its_text(text, number):
    assert timing.median_of(text) == number
    assert np.isnan(timing.median_of("–"))
    assert np.isnan(timing.median_of("not available: no C++ compiler"))
