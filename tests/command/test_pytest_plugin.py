"""The pytest plugin, run in a pytest of its own."""

import pytest

pytest_plugins = ["pytester"]

FUNCTIONS = """
import numpy as np
import pytest

def right(weights, biases, inputs, targets):
    a = [inputs]
    for k, (w, b) in enumerate(zip(weights, biases)):
        z = a[-1] @ w + b
        a.append(z if k == len(weights) - 1 else 1 / (1 + np.exp(-z)))
    delta = 2 * (a[-1] - targets) / len(inputs)
    by_weight, by_bias = [], []
    for k in reversed(range(len(weights))):
        by_weight.insert(0, a[k].T @ delta)
        by_bias.insert(0, delta.sum(axis=0))
        delta = (delta @ weights[k].T) * a[k] * (1 - a[k])
    return by_weight, by_bias

def doubled(*arguments):
    by_weight, by_bias = right(*arguments)
    return [2 * w for w in by_weight], [2 * b for b in by_bias]

def test_right(crosscheck):
    report = crosscheck(right, widths=(1, 6))
    assert report.ok
    assert len(report.cases) == 12

def test_doubled(crosscheck):
    crosscheck(doubled, widths=(1, 6), cases=11)
"""

PLUGIN = ["-p", "crosscheck.pytest_plugin", "--crosscheck-cases", "12"]


@pytest.fixture
def here(pytester):
    """A folder with a right and a wrong function under test."""
    pytester.makepyfile(FUNCTIONS)
    return pytester


@pytest.fixture
def plugin(request):
    """The options that load the plugin, unless it is installed as an entry point."""
    installed = request.config.pluginmanager.hasplugin("crosscheck")
    return PLUGIN[2:] if installed else PLUGIN


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_a_wrong_gradient_fails_with_the_message(here, plugin, workers):
    result = here.runpytest_subprocess(*plugin, *workers)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "DEFECT  doubled, *",
            "It behaves as: factor 2 *",
            "Smallest case that fails: *",  # how small is a matter of its five seconds
            "crosscheck: 2 gradients on 23 cases, 1 wrong",
        ]
    )
    assert "Traceback" not in result.stdout.str()


def test_the_seed_is_an_option(here, plugin):
    result = here.runpytest_subprocess(*plugin, "--crosscheck-seed", "5", "-k", "doubled")
    result.stdout.fnmatch_lines(["*(case s5-*"])


def test_a_bad_option_is_one_sentence(here, plugin):
    result = here.runpytest_subprocess(*plugin[:-1], "few")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*'few' is not a whole number*"])


def test_a_seed_that_no_row_holds_is_one_sentence(here, plugin):
    result = here.runpytest_subprocess(*plugin, "--crosscheck-seed", str(2**63))
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*must be a whole number up to 9223372036854775807*"])


def test_a_traceback_is_shown_in_full_with_vv(pytester, plugin):
    pytester.makepyfile(
        "def inner(): raise RuntimeError('no')\n"
        "def middle(): inner()\n"
        "def outer(*arguments): middle()\n"
        "def test_raising(crosscheck): crosscheck(outer, cases=1, widths=1)\n"
    )
    brief = pytester.runpytest_subprocess(*plugin).stdout.str()
    assert "in inner" in brief
    assert "in outer" not in brief
    assert "in outer" in pytester.runpytest_subprocess(*plugin, "-vv").stdout.str()


def test_nothing_is_said_where_nothing_was_checked(pytester, plugin):
    pytester.makepyfile("def test_nothing(): pass")
    result = pytester.runpytest_subprocess(*plugin)
    assert "crosscheck:" not in result.stdout.str()
