"""The paper's table of equations and the code, held to each other."""

import pytest

from crosscheck.audit import symbols, trial
from crosscheck.paper.equation import registrar
from crosscheck.paper.equations import EQUATIONS
from crosscheck.paper.unprinted import CORRECTIONS, UNPRINTED

# What the paper prints, in print order, and the layers at which it speaks in a net of N = 4.
PRINTED = {
    "N1": ["N", "N-1", "N-2"],
    "N2": ["N", "N-1", "N-2"],
    "C1": [None],
    "C2": ["N", "N-1", "N-2"],
    "C3": ["N", "N-1", "N-2"],
    "S1": ["N"],
    "S2": ["N"],
    "S3": ["N"],
    "S4": ["N", "N-1", "N-2"],
    "S0": [None, None, None],
    "S5": ["N", "N-1", "N-2"],
    "S6": ["N", "N-1", "N-2", "N-3"],
    "S7": ["N-1", "N-2", "N-3", "N-4"],
    "S8": ["N", "N-1", "N-2"],
    "S9": ["N", "N-1", "N-2"],
}

CONTRACTED = "G"
"""Ids of the contracted form, δ and its sums, begin so: they are judged as a gradient, by runs."""


def test_each_printed_id_has_one_function_in_print_order():
    assert list(EQUATIONS) == list(PRINTED)
    assert all(equation.id == name for name, equation in EQUATIONS.items())


def test_each_unprinted_equation_is_on_trial_or_says_why_not():
    left_out = {name for name, equation in UNPRINTED.items() if equation.subject is None}
    assert left_out == {name for name in UNPRINTED if name.startswith(CONTRACTED)}


@pytest.mark.parametrize("name", PRINTED)
def test_each_equation_is_tried_at_the_layers_of_which_it_speaks(name):
    labels = [place.label for place in trial.places(EQUATIONS[name].subject, 4)]
    assert sorted(labels, key=str) == sorted(PRINTED[name], key=str)


@pytest.mark.parametrize("equation", [*EQUATIONS.values(), *UNPRINTED.values()])
def test_a_trial_knows_every_symbol(equation):
    if equation.subject is not None:
        assert set(equation.symbols) <= set(symbols.SYMBOLS)


def test_corrections_have_the_subject_of_what_they_correct():
    for reading in CORRECTIONS.values():
        for (wrong, place), right in reading.items():
            assert place == "output"
            wrong_subject, subject = EQUATIONS[wrong].subject, UNPRINTED[right].subject
            assert subject.at in ("N", "N-1")
            assert (subject.of, subject.by) in {
                (wrong_subject.of, wrong_subject.by),
                ("output", wrong_subject.by),
            }


def test_an_id_cannot_be_registered_twice():
    equation = registrar({"S1": EQUATIONS["S1"]})
    with pytest.raises(ValueError, match="S1 is registered twice"):
        equation("S1", "", "", "")(lambda w: w)
