"""NumPy functions and handwritten gradients, read as programs."""

import numpy as np
import pytest

from crosscheck.programs.derive import reverse
from crosscheck.programs.errors import analyse
from crosscheck.programs.evaluate import evaluate
from crosscheck.programs.from_numpy import subject
from crosscheck.programs.program import Unreadable


def _softmax_loss(w, x, y):
    z = x @ w
    z = z - z.max(axis=1, keepdims=True)
    return (np.log(np.exp(z).sum(1)) - z[np.arange(len(y)), y]).mean()


def _softmax_gradient(w, x, y):
    z = x @ w
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    p[range(len(y)), y] -= 1
    p /= len(y)
    return x.T @ p, p @ w.T


def _arguments(dtype):
    rng = np.random.default_rng(0)
    w, x = rng.normal(size=(5, 4)), rng.normal(size=(6, 5))
    return w.astype(dtype), x.astype(dtype), np.array([0, 1, 2, 3, 0, 1])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_handwritten_gradient_is_the_exact_one_and_its_numbers_are_within_its_bound(dtype):
    trial = subject(_softmax_loss, _arguments(dtype), gradient=_softmax_gradient)
    assert [leaf.path for leaf in trial.inputs] == ["args[0]", "args[1]"]
    given = [np.ones((), dtype)]
    exact, rule = reverse(trial.primal(), trial.wrt), trial.rule("gradient")
    wanted = evaluate(exact, [*trial.arrays, *given], np.longdouble)
    values = evaluate(rule, [*trial.arrays, *given], np.longdouble)
    errors = analyse(rule, values, trial.promise("gradient"))
    numbers = trial.numbers("gradient", given)
    got = [*numbers.values, *numbers.derivatives]
    for engine, ours, theirs in zip(got, exact.outputs, rule.outputs, strict=True):
        assert np.all(np.abs(wanted[ours] - values[theirs]) < 1e-17)
        assert np.all(np.abs(engine - values[theirs]) <= errors[theirs])


def test_what_would_freeze_the_numbers_is_refused_with_its_line():
    def frozen(x):
        made = np.zeros(3)
        made[0] = x[0]
        return made.sum()

    with pytest.raises(Unreadable, match=r"test_programs_numpy.py:\d+ cannot be read.*zeros_like"):
        subject(frozen, [np.ones(3)]).primal()
