"""The equations as printed: hand-computed values, and what each says of its shapes."""

import doctest
import inspect

import numpy as np
import pytest

from crosscheck.paper import equation as registration, equations, unprinted

ALL = {**equations.EQUATIONS, **unprinted.UNPRINTED}
PRINTED = ["N1", "N2", "C1", "C2", "C3", "S1", "S2", "S3", "S4", "S0", "S5", "S6", "S7", "S8", "S9"]


def test_the_printed_equations_are_registered_in_print_order():
    assert list(equations.EQUATIONS) == PRINTED


@pytest.mark.parametrize("identity", ALL)
def test_each_equation_has_a_formula_and_a_hand_computed_example(identity):
    """The example in the docstring is the hand-computed value; it runs as a doctest."""
    equation = ALL[identity]
    examples = doctest.DocTestFinder().find(
        equation.function, identity, globs={**vars(equations), **vars(unprinted), "np": np}
    )
    assert sum(len(found.examples) for found in examples) >= 1
    runner = doctest.DocTestRunner(verbose=False)
    for found in examples:
        assert runner.run(found).failed == 0
    assert equation.left
    assert equation.right
    assert "=" in equation.summary


def test_a_wrong_example_would_fail():
    """The doctest check can say no."""
    wrong = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, 0)
    assert doctest.DocTestRunner(verbose=False).run(wrong, out=lambda text: None).failed == 1


def test_an_id_is_registered_once():
    table = {}
    register = registration.registrar(table)
    register("X", "a", "b", "c")(lambda w: w)
    with pytest.raises(ValueError, match="X is registered twice"):
        register("X", "a", "b", "c")(lambda w: w)


@pytest.mark.parametrize("identity", ALL)
def test_equations_take_only_the_paper_s_symbols(identity):
    assert ALL[identity].symbols == tuple(inspect.signature(ALL[identity].function).parameters)


def test_equations_run_on_balls():
    """S5 in ball arithmetic encloses its float value, so equations are fit for the audit."""
    from flint import arb

    rng = np.random.default_rng(0)
    a_next, w_next, a = rng.random((3, 2)), rng.random((4, 2)), rng.random((3, 4))
    as_balls = [np.vectorize(arb, otypes=[object])(x) for x in (a_next, w_next, a)]
    balls = equations.EQUATIONS["S5"](*as_balls)
    floats = equations.EQUATIONS["S5"](a_next, w_next, a)
    assert balls.shape == floats.shape
    for ball, value in zip(balls.ravel(), floats.ravel(), strict=True):
        assert abs(float(ball) - value) <= 8 * np.spacing(value)
