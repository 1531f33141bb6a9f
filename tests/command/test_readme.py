"""The README's code does what the README says."""

import importlib
import re
import sys
from pathlib import Path

import numpy as np
import pytest

import crosscheck

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
QUICK = {"cases": 12, "widths": (1, 6), "samples": (1, 6), "output": "sigmoid"}


def defined(*sources, **given):
    scope = dict(given)
    for source in sources:
        exec(source, scope)
    return scope


@pytest.fixture(scope="module")
def wrong():
    return next(source for source in PYTHON if "def gradient(" in source)


@pytest.fixture(scope="module")
def right(wrong):
    """The README's function, mended."""
    residual = "delta = 2 * (a[-1] - targets) / len(inputs)"
    assert residual in wrong
    return wrong.replace(residual, residual + " * a[-1] * (1 - a[-1])")


def test_the_mistake_gets_the_message_that_is_shown(wrong, tmp_path, monkeypatch):
    (tmp_path / "mynet.py").write_text(wrong)
    monkeypatch.syspath_prepend(tmp_path)
    report = crosscheck.check(importlib.import_module("mynet").gradient, output="sigmoid")
    del sys.modules["mynet"]
    shown = README[README.index("DEFECT  gradient") :].partition("\n```")[0]
    assert report.message() == shown


def test_the_mended_function_is_right(right):
    assert crosscheck.check(defined(right)["gradient"], **QUICK).ok


def theirs_out_in(gradient):
    def theirs(weights, biases, inputs, targets):
        by_weight, by_bias = gradient([w.T for w in weights], biases, inputs, targets)
        return [g.T for g in by_weight], by_bias

    return theirs


def theirs_columns(gradient):
    def theirs(weights, biases, inputs, targets):
        assert all(b.shape[1] == 1 for b in biases)
        by_weight, by_bias = gradient(
            [w.T for w in weights], [b[:, 0] for b in biases], inputs.T, targets.T
        )
        return [g.T for g in by_weight], [g[:, None] for g in by_bias]

    return theirs


def theirs_one_at_a_time(gradient):
    def theirs(weights, biases, x, y):
        assert x.ndim == 1
        return gradient(weights, biases, np.atleast_2d(x), np.atleast_2d(y))

    return theirs


WRAPPED = {
    "out_in": theirs_out_in,
    "columns": theirs_columns,
    "one_at_a_time": theirs_one_at_a_time,
}


@pytest.mark.parametrize("name", WRAPPED)
def test_the_two_lines_around_other_habits_are_right(name, right):
    wrappers = next(source for source in PYTHON if "def out_in(" in source)
    gradient = defined(right)["gradient"]
    scope = defined(wrappers, theirs=WRAPPED[name](gradient))
    assert crosscheck.check(scope[name], **QUICK).ok
