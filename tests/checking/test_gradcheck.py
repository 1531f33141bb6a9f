"""gradcheck(): its table of decisions, on programs whose rule and numbers are made to order."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from crosscheck.programs.derive import reverse
from crosscheck.programs.errors import Promise
from crosscheck.programs.evaluate import evaluate
from crosscheck.programs.frontends.subject import CustomRule, Leaf, Numbers
from crosscheck.programs.program import Builder, Program, Unreadable
from crosscheck.programs.trial.trial import Trial


class Made:
    """A subject whose programs are given, and whose engine evaluates its rule in its format."""

    framework, name, modes, habits = "made", "made", ("reverse",), ()

    def __init__(self, primal: Program, rule: Program | None, arrays: Sequence[np.ndarray]) -> None:
        self._primal, self._rule = primal, rule
        self.arrays = list(arrays)
        self.inputs = [Leaf(f"args[{i}]", a.shape, str(a.dtype)) for i, a in enumerate(arrays)]
        self.wrt = list(range(len(arrays)))
        self.outputs = [Leaf("value", (), str(arrays[0].dtype))]
        self.spoiled: dict[int, float] = {}

    def primal(self) -> Program:
        return self._primal

    def rule(self, mode: str) -> Program:
        if self._rule is None:
            raise Unreadable("it is a kernel: pass reference=")
        return self._rule

    def numbers(self, mode: str, given: Sequence[np.ndarray]) -> Numbers:
        program = self._rule or reverse(self._primal)
        dtype = self.arrays[0].dtype.type
        values = evaluate(program, [*self.arrays, *given], dtype)
        leaves = [values[x].astype(dtype) for x in program.outputs]
        for place, factor in self.spoiled.items():
            leaves[place] = (leaves[place] * dtype(factor)).astype(dtype)
        return Numbers(tuple(leaves[:1]), tuple(leaves[1:]))

    def replay(self, mode: str, given: Sequence[np.ndarray]) -> Mapping[int, np.ndarray]:
        return {}

    def custom_rules(self) -> Sequence[CustomRule]:
        return []

    def promise(self, mode: str) -> Promise:
        return Promise()


def _soft_sum(format: str) -> Program:
    """Σ log(1 + e^x) over the entries of a matrix product."""
    build = Builder()
    x, w = build.input((6, 4), format), build.input((4, 3), format)
    z = build("dot", x, w)
    e = build("exp", z)
    return build.program([build("sum", build("log1p", e), axes=(0, 1))])


def _with_factor(program: Program, factor: float) -> Program:
    """The same gradient program, its last gradient times a factor."""
    build = Builder(program.operations)
    build.inputs = list(program.inputs)
    *others, last = program.outputs
    return build.program([*others, build("mul", last, factor)])


@pytest.fixture(params=["float32", "float64"])
def arrays(request) -> list[np.ndarray]:
    rng = np.random.default_rng(5)
    return [rng.normal(size=shape).astype(request.param) for shape in ((6, 4), (4, 3))]


def _judged(subject: Made, **how) -> list:
    return list(Trial(subject, **how).judge("reverse").findings)


def test_a_right_rule_with_right_numbers_is_consistent(arrays):
    primal = _soft_sum(str(arrays[0].dtype))
    findings = _judged(Made(primal, reverse(primal), arrays))
    assert [one.verdict for one in findings] == ["CONSISTENT"] * 3


@pytest.mark.parametrize("factor", [0.5, -1.0, 1 + 2.0**-20])
def test_a_wrong_rule_is_proved_wrong_in_any_precision_and_its_factor_is_told(arrays, factor):
    primal = _soft_sum(str(arrays[0].dtype))
    findings = _judged(Made(primal, _with_factor(reverse(primal), factor), arrays))
    assert [one.verdict for one in findings] == ["CONSISTENT", "CONSISTENT", "DEFECT"]
    assert findings[2].is_rule
    assert findings[2].times == pytest.approx(factor, rel=1e-9)


def test_a_right_rule_with_wrong_numbers_is_a_defect_of_the_numbers(arrays):
    primal = _soft_sum(str(arrays[0].dtype))
    subject = Made(primal, reverse(primal), arrays)
    subject.spoiled[1] = 1 + 2.0**-8
    findings = _judged(subject)
    assert findings[1].verdict == "DEFECT"
    assert findings[1].reason == "beyond the bound"
    assert not findings[1].is_rule


def test_numbers_that_a_wrong_rule_does_not_give_prove_nothing(arrays):
    """The recording is not faithful: no false word is said of it."""
    primal = _soft_sum(str(arrays[0].dtype))
    subject = Made(primal, _with_factor(reverse(primal), 2.0), arrays)
    subject.spoiled[2] = 0.5
    assert _judged(subject)[2].verdict == "INCONCLUSIVE"


def test_what_cannot_be_read_is_suspect_alone_and_a_defect_where_it_promised_better(arrays):
    primal = _soft_sum(str(arrays[0].dtype))
    subject = Made(primal, None, arrays)
    subject.spoiled[1] = 1 + 2.0**-8
    assert _judged(subject)[1].verdict == "SUSPECT"
    plain = Made(primal, reverse(primal), arrays)
    assert _judged(subject, standard=plain)[1].verdict == "DEFECT"
    subject.spoiled.clear()
    assert {one.verdict for one in _judged(subject, standard=plain)} == {"CONSISTENT"}


def test_not_a_number_is_a_defect_whatever_the_rule(arrays):
    primal = _soft_sum(str(arrays[0].dtype))
    subject = Made(primal, None, arrays)
    subject.spoiled[1] = float("nan")
    assert _judged(subject)[1].verdict == "DEFECT"


def test_one_entry_without_a_bound_keeps_a_leaf_from_being_consistent():
    build = Builder()
    x = build.input((2,), "float32")
    primal = build.program([build("sum", build("exp", x), axes=(0,))])
    arrays = [np.array([1.0, 200.0], np.float32)]
    findings = _judged(Made(primal, reverse(primal), arrays))
    assert findings[1].verdict == "INCONCLUSIVE"


def test_any_slope_between_the_sides_is_right_at_a_kink_and_none_beyond():
    build = Builder()
    x = build.input((3,), "float64")
    primal = build.program([build("sum", build("abs", x), axes=(0,))])
    arrays = [np.array([-1.0, 0.0, 2.0])]

    def rule(at_kink: float) -> Program:
        inner = Builder()
        y, c = inner.input((3,), "float64"), inner.input((), "float64")
        value = inner("sum", inner("abs", y), axes=(0,))
        slopes = inner.constant(np.array([-1.0, at_kink, 1.0]))
        return inner.program([value, inner("mul", c, slopes)])

    for slope, verdict in ((0.0, "CONSISTENT"), (-1.0, "CONSISTENT"), (1.5, "DEFECT")):
        assert _judged(Made(primal, rule(slope), arrays))[1].verdict == verdict


def _value(x, w, b, y):
    return np.mean((np.tanh(x @ w + b) - y) ** 2)


def _backward(factor=1.0, slope=lambda h: 1 - h * h, total=np.sum):
    """The gradient of `_value`, in four lines, each of which can be wrong."""

    def gradient(x, w, b, y):
        h = np.tanh(x @ w + b)
        error = 2 * (h - y) / h.size * factor
        delta = error * slope(h)
        return delta @ w.T, x.T @ delta, total(delta, axis=0), -error

    return gradient


@pytest.fixture
def layer() -> list[np.ndarray]:
    rng = np.random.default_rng(8)
    return [rng.normal(size=shape) for shape in ((5, 4), (4, 3), (3,), (5, 3))]


def test_a_handwritten_gradient_in_numpy_is_proved(layer):
    import crosscheck

    report = crosscheck.gradcheck(_value, *layer, gradient=_backward())
    assert report.ok, report.message()
    assert list(report.errors["tensor"]) == ["value", "args[0]", "args[1]", "args[2]", "args[3]"]


@pytest.mark.parametrize(
    ("how", "operation"),
    [
        ({"factor": 3.0}, "mul"),
        ({"slope": lambda h: 1 - h}, "sub"),
        ({"total": np.mean}, "div"),
    ],
)
def test_the_line_that_is_wrong_is_the_one_whose_exact_value_mends_the_gradient(
    layer, how, operation
):
    import crosscheck

    report = crosscheck.gradcheck(_value, *layer, gradient=_backward(**how))
    wrong = report.errors[report.errors["verdict"] == "DEFECT"]
    assert len(wrong) == {"factor": 4, "slope": 3, "total": 1}[next(iter(how))]
    assert wrong["first_wrong"].str.contains(f"{operation} (", regex=False).all()
    assert wrong["first_wrong"].str.contains("test_gradcheck.py:").all()


def test_random_arguments_are_a_function_of_seed_and_index_and_failures_shrink(layer):
    import crosscheck

    shapes = [array.shape for array in layer]
    wrong = _backward(total=np.mean)
    reports = [
        crosscheck.gradcheck(_value, shapes=shapes, gradient=wrong, cases=3, seed=4)
        for _ in range(2)
    ]
    assert reports[0].errors.equals(reports[1].errors)
    smallest = reports[0].smallest_arguments
    assert [leaf.shape for leaf in smallest.trial.subject.inputs] == [(2, 1), (1, 1), (1,), (2, 1)]
    assert "Smallest arguments that fail: args[0] 2x1" in reports[0].message()
    assert crosscheck.gradcheck(_value, shapes=shapes, gradient=_backward(), cases=9).ok


def test_a_tolerance_holds_what_is_right_and_not_what_is_wrong(layer):
    import crosscheck

    arrays = [array.astype(np.float32) for array in layer]
    allowed = crosscheck.tolerance(_value, *arrays, gradient=_backward())
    got = _backward()(*arrays)[1]
    exact, width = allowed["args[1]"]
    assert np.all(np.abs(got - exact) <= width)
    assert np.any(np.abs(got * 1.001 - exact) > width)
