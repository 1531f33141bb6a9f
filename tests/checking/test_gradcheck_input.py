"""gradcheck() and bad input: one sentence each, and the user's own exceptions within reach."""

import numpy as np
import pytest

import crosscheck

x = np.array([0.5, -1.0, 2.0])


def squares(x):
    return (x**2).sum()


def twice(x):
    return 2 * x


def entrywise(x):
    return x**2


def counted():
    calls = []

    def function(x):
        calls.append(None)
        return (x * len(calls)).sum()

    return function


def doubled_in_place(x):
    x *= 2
    return (x**2).sum()


def drops(x):
    return twice(x)[:2]


BAD = {
    "no floating argument": ({"f": squares, "x": x.astype(int)}, TypeError, "nothing to diff"),
    "nothing returned": ({"f": lambda x: None, "x": x}, TypeError, "returned NoneType"),
    "a string returned": ({"f": lambda x: "no", "x": x}, TypeError, "returned str"),
    "complex arguments": ({"f": squares, "x": 1j * x}, ValueError, r"args\[0\] is complex.*yet"),
    "complex values": ({"f": lambda x: 1j * x, "x": x}, ValueError, "complex numbers.*yet"),
    "NaN": ({"f": squares, "x": x * [1, np.nan, 1]}, ValueError, r"args\[0\]\[1\] is not a number"),
    "a wrong tree": ({"gradient": lambda x: [x, x]}, ValueError, "returned 2 arrays.* return 1"),
    "a wrong shape": ({"gradient": drops}, ValueError, r"shape \(2,\)"),
    "a wrong type": ({"gradient": lambda x: "no"}, TypeError, "has to be floating"),
    "integers": ({"gradient": lambda x: np.ones(3, int)}, TypeError, "int64.*floating"),
    "None": ({"gradient": lambda x: None}, ValueError, "returned 0 arrays"),
    "a random value": ({"f": lambda x: (x * np.random.rand(3)).sum()}, ValueError, "random"),
    "a random gradient": ({"gradient": lambda x: np.random.rand(3)}, ValueError, "random"),
    "state": ({"f": counted()}, ValueError, "keeps state"),
    "changed arguments": ({"f": doubled_in_place}, ValueError, r"changes args\[0\] in place"),
    "an unknown mode": ({"modes": "sideways"}, ValueError, "unknown mode 'sideways'"),
    "an unknown leaf": ({"wrt": "w"}, ValueError, "wrt names 'w'"),
    "an unknown format": ({"accumulate": "float12"}, ValueError, "'float12' is no format"),
    "an unknown operation": ({"accumulate": {"summ": "float32"}}, ValueError, "'summ'"),
    "unknown operands": ({"operands": "tf33"}, ValueError, "operands='tf33'"),
    "no function": ({"f": 3}, TypeError, "has to be a function"),
    "no cases": ({"cases": 0}, ValueError, "cases=0"),
    "no names": ({"intended": 3}, TypeError, "names of rules"),
    "a reference of another shape": ({"reference": entrywise}, ValueError, "the reference ret"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_gets_one_sentence(name):
    given, kind, words = BAD[name]
    how = {"f": squares, "x": x, "gradient": twice, **given}
    function, argument = how.pop("f"), how.pop("x")
    with pytest.raises(kind, match=words) as caught:
        crosscheck.gradcheck(function, argument, **how)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("cotangent", [np.ones(4), [np.ones(3)] * 2, "ab"])
def test_a_cotangent_that_does_not_fit_is_refused(cotangent):
    with pytest.raises(ValueError, match="the cotangent"):
        crosscheck.gradcheck(entrywise, x, gradient=lambda x, c: 2 * x * c, cotangent=cotangent)


class Mine(Exception):
    """What the user's function raises."""


def raises(x):
    raise Mine("of my own")


@pytest.mark.parametrize("where", [{"f": raises}, {"gradient": raises}, {"reference": raises}])
def test_an_exception_of_the_users_function_is_the_cause_with_its_traceback(where):
    how = {"f": squares, "gradient": twice, **where}
    report = crosscheck.gradcheck(how.pop("f"), x, **how)
    assert not report.ok
    assert isinstance(report.cause, Mine)
    assert "Mine: of my own" in report.message()
    assert "raise Mine" in report.message()
    with pytest.raises(AssertionError) as caught:
        report.raise_if_defect()
    assert caught.value.__cause__ is report.cause


def test_a_function_that_exits_is_an_error_of_its_own():
    def leaves(x):
        raise SystemExit(0)

    report = crosscheck.gradcheck(leaves, x, gradient=twice)
    assert not report.ok
    assert "SystemExit" in report.message()


def test_a_loop_without_end_is_named():
    def endless(x):
        while True:
            x = np.sin(x)

    with pytest.raises(ValueError, match="does a loop never end"):
        crosscheck.gradcheck(endless, x, gradient=twice)


def test_the_same_function_twice_is_not_random_where_its_gradient_is_wrong():
    report = crosscheck.gradcheck(squares, x, gradient=lambda x: 3 * x)
    assert list(report.errors["verdict"]) == ["CONSISTENT", "DEFECT"]


torch_functions = {
    "complex": (lambda t: t * 1j, "complex"),
    "nothing": (lambda t: None, "NoneType"),
    "in place": (lambda t: t.detach().mul_(2).sum() + t.sum(), "changes"),
}


@pytest.mark.parametrize("name", torch_functions)
def test_torch_functions_that_cannot_be_judged(name):
    torch = pytest.importorskip("torch")
    function, words = torch_functions[name]
    with pytest.raises(ValueError, match=words):
        crosscheck.gradcheck(function, torch.ones(3))


def test_jax_functions_that_cannot_be_judged():
    jax = pytest.importorskip("jax")
    ones = jax.numpy.ones(3)
    for function, words in (
        (lambda x: x * 1j, "complex"),
        (lambda x: "no", "returned a str"),
        (lambda x: (x * np.random.rand(3)).sum(), "random"),
    ):
        with pytest.raises(ValueError, match=words):
            crosscheck.gradcheck(function, ones, modes="reverse")
    with pytest.raises(TypeError, match=r"int32.*floating"):
        crosscheck.gradcheck(squares, ones, gradient=lambda x: jax.numpy.ones(3, int))
