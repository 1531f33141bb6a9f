"""Programs: their exact derivative, their balls, and what rounding may do to them."""

import numpy as np
import pytest

from crosscheck.exact.oracle import working_precision
from crosscheck.programs.derive import forward, reverse
from crosscheck.programs.errors import Promise, analyse
from crosscheck.programs.evaluate import enclose, evaluate
from crosscheck.programs.program import Builder, Program, Unreadable, appended, loosened
from crosscheck.programs.trial.judge import SAME, WRONG, ExactProgram, rule_of


def _mixed(format: str = "float32") -> Program:
    """A function of two matrices that goes through every family of primitives."""
    build = Builder()
    x, w = build.input((5, 4), format), build.input((4, 3), format)
    h = build("tanh", build("dot", x, w))
    largest = build("reshape", build("reduce_max", h, axes=(1,)), shape=(5, 1))
    log_sum = build("log", build("sum", build("exp", build("sub", h, largest)), axes=(1,)))
    product = build("prod", build("logistic", h), axes=(0,))
    running = build("cumprod", build("exp", h), axis=1, reverse=True)
    parts = [
        build("sum", log_sum, axes=(0,)),
        build("sum", product, axes=(0,)),
        build("sum", running, axes=(0, 1)),
        build("sum", build("take", x, index=np.array([[0, 3, 3], [-1, 7, 19]])), axes=(0, 1)),
    ]
    output = parts[0]
    for part in parts[1:]:
        output = build("add", output, part)
    return build.program([output])


@pytest.fixture
def arrays() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=shape).astype(np.float32) for shape in ((5, 4), (4, 3))]


def test_reverse_and_forward_mode_are_the_same_derivative(arrays):
    program = _mixed()
    rng = np.random.default_rng(1)
    tangents = [rng.normal(size=array.shape) for array in arrays]
    pulled, pushed = reverse(program), forward(program)
    values = evaluate(pulled, [*arrays, np.ones(())], np.longdouble)
    gradients = [values[x] for x in pulled.outputs[1:]]
    tangent = evaluate(pushed, [*arrays, *tangents], np.longdouble)[pushed.outputs[1]]
    by_hand = sum((g * t).sum() for g, t in zip(gradients, tangents, strict=True))
    assert abs(tangent - by_hand) <= 1e-16 * abs(by_hand)


def test_the_derivative_is_the_limit_of_difference_quotients_of_the_program_alone(arrays):
    """Two values of P in 500 bits, h = 2^-100: no derivative rule takes part in the quotient."""
    program = _mixed()
    rng = np.random.default_rng(2)
    directions = [rng.choice([-1.0, 1.0], array.shape) for array in arrays]
    build = Builder()
    inputs = [build.input(array.shape, "float64") for array in arrays]
    step = build.constant(2.0**-100)
    ends = []
    for sign in (1.0, -1.0):
        moved = [
            build("add", x, build("mul", build("mul", build.constant(v), step), sign))
            for x, v in zip(inputs, directions, strict=True)
        ]
        place = appended(build, program, dict(zip(program.inputs, moved, strict=True)))
        ends.append(place[program.outputs[0]])
    quotient = build("div", build("sub", *ends), build("mul", step, 2.0))
    ball = enclose(build.program([quotient], inputs), arrays, 500)[0][()]
    gradients = enclose(reverse(program), [*arrays, np.ones(())], 500)[1:]
    with working_precision(500):
        exact = sum((g * v).sum() for g, v in zip(gradients, directions, strict=True))
        assert abs(ball - exact) < abs(exact) * 2.0**-150


def test_float32_stays_within_its_errors_and_a_wrong_operation_does_not(arrays):
    program = reverse(_mixed())
    exact = evaluate(program, [*arrays, np.ones(())], np.longdouble)
    computed = evaluate(program, [*arrays, np.ones(())], np.float32)
    errors = analyse(program, exact, Promise())
    for output in program.outputs:
        off = np.abs(computed[output].astype(np.longdouble) - exact[output])
        assert np.all(off <= errors[output])
        assert np.any(off * 1.0 + np.abs(exact[output]) * 1e-3 > errors[output])


def test_a_step_at_a_tie_may_be_anything_between_its_sides():
    build = Builder()
    x = build.input((3,), "float64")
    program = reverse(build.program([build("sum", build("max", x, 0.0), axes=(0,))]))
    gradient = enclose(program, [np.array([-1.0, 0.0, 1.0]), np.ones(())])[1]
    assert gradient[0] == 0
    assert gradient[2] == 1
    assert gradient[1].contains(0)
    assert gradient[1].contains(1)
    assert not gradient[1].contains(1.5)


def test_a_program_without_end_is_refused_by_name():
    build = Builder(limit=10)
    x = build.input((), "float64")
    for _ in range(8):
        x = build("mul", x, 2.0)
    with pytest.raises(Unreadable, match="more than 10 operations"):
        build("mul", x, 2.0)


def _ties() -> tuple[Program, np.ndarray]:
    build = Builder()
    x = build.input((2, 3), "float64")
    return build.program([build("cast", build("attains", x, axes=(1,)), format="float64")]), (
        np.array([[1.0, 3.0, 3.0], [2.0, -1.0, 0.0]])
    )


def test_all_entries_that_tie_attain_the_maximum_and_near_ones_are_open():
    program, x = _ties()
    expected = np.array([[0, 1, 1], [1, 0, 0]])
    assert np.array_equal(evaluate(program, [x])[program.outputs[0]], expected)
    assert np.array_equal(enclose(program, [x])[0].astype(float), expected)
    build = Builder()
    inexact = build("mul", build.input((2, 3), "float64"), build.input((), "float64"))
    open_ones = build.program([build("attains", inexact, axes=(1,))])
    values = evaluate(open_ones, [x, np.float64(0.1)])
    unsure = analyse(open_ones, values, Promise())[open_ones.outputs[0]]
    assert np.array_equal(unsure, [[False, True, True], [False, False, False]])


def test_what_is_concatenated_has_the_derivative_of_its_parts():
    build = Builder()
    x, y = build.input((2, 1), "float64"), build.input((2, 2), "float64")
    whole = build("concatenate", build("square", x), y, axis=1)
    weights = build.constant(np.arange(6.0).reshape(2, 3))
    program = build.program([build("sum", build("mul", whole, weights), axes=(0, 1))])
    arrays = [np.array([[2.0], [3.0]]), np.ones((2, 2))]
    pulled = reverse(program)
    values = evaluate(pulled, [*arrays, np.ones(())])
    by_x, by_y = (values[number] for number in pulled.outputs[1:])
    assert np.array_equal(by_x, [[0.0], [18.0]])
    assert np.array_equal(by_y, [[1.0, 2.0], [4.0, 5.0]])
    pushed = forward(program)
    tangent = evaluate(pushed, [*arrays, np.ones((2, 1)), np.zeros((2, 2))])[pushed.outputs[1]]
    assert tangent == 18.0


def test_a_rounded_constant_that_looks_short_in_bfloat16_may_still_be_rounded():
    build = Builder()
    x = build.input((), "bfloat16")
    slope = build.constant(np.float64(1.125), "bfloat16", literal=True)  # 2 / sqrt(pi), rounded
    half = build.constant(np.float64(0.5), "bfloat16", literal=True)
    program = build.program([build("mul", x, slope), build("mul", x, half)])
    values = evaluate(program, [np.float64(1.0)])
    errors = analyse(program, values, Promise())
    first, second = (errors[number] for number in program.outputs)
    assert abs(values[program.outputs[0]] - 2 / np.sqrt(np.pi)) <= first
    assert second <= 1.01 * 2.0**-9


def test_numbers_of_one_program_alone_may_be_rounded_and_those_of_both_are_data():
    """A slope that was computed outside of what is recorded is right to rounding, not exactly."""
    data = np.array([0.1, 0.3])

    def program(slopes: np.ndarray, factor: float = 1.0) -> Program:
        build = Builder()
        x, c = build.input((2,), "float64"), build.input((), "float64")
        terms = build("mul", build("mul", x, build.constant(data)), build.constant(np.sqrt(data)))
        gradient = build("mul", build("mul", c, build.constant(slopes)), factor)
        return build.program([build("sum", terms, axes=(0,)), gradient])

    build = Builder()
    x = build.input((2,), "float64")
    terms = build("mul", build("mul", x, build.constant(data)), build.constant(np.sqrt(data)))
    primal = build.program([build("sum", terms, axes=(0,))])
    inputs = [np.array([1.0, 2.0]), np.ones(())]
    exact = ExactProgram(reverse(primal), inputs)
    rounded = data * np.sqrt(data)
    assert rule_of(exact, ExactProgram(program(rounded), inputs))[1].status == SAME
    for wrong in (program(rounded * (1 + 1e-13)), program(rounded, 1 + 2.0**-40)):
        assert rule_of(exact, ExactProgram(wrong, inputs))[1].status == WRONG
    assert loosened(primal, program(rounded)) is primal
