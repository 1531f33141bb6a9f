"""Functions as people write and call them: names, arguments, state, buffers, exceptions."""

import sys
import traceback

import numpy as np
import pytest

import crosscheck
from crosscheck.cli import main
from crosscheck.engines import registry
from crosscheck.engines.user import state
from crosscheck.runs import explaining
from crosscheck.runs.plan import REPEATED_FIRST, Plan

QUICK = {"cases": 12, "widths": (1, 6), "samples": (1, 6)}


@pytest.fixture(autouse=True)
def _brief(monkeypatch):
    """No search for the smallest case."""
    monkeypatch.setattr(explaining, "SHRINKING_SECONDS", 0.0)


def right(weights, biases, inputs, targets):
    a = [inputs]
    with np.errstate(over="ignore"):
        for k, (w, b) in enumerate(zip(weights, biases, strict=True)):
            z = a[-1] @ w + b
            a.append(z if k == len(weights) - 1 else 1 / (1 + np.exp(-z)))
    delta = 2 * (a[-1] - targets) / len(inputs)
    by_weight, by_bias = [], []
    for k in reversed(range(len(weights))):
        by_weight.insert(0, a[k].T @ delta)
        by_bias.insert(0, delta.sum(axis=0))
        delta = (delta @ weights[k].T) * a[k] * (1 - a[k])
    return by_weight, by_bias


def zeros(weights, biases, inputs, targets):
    return [0 * w for w in weights], [0 * b for b in biases]


# Names


@pytest.mark.parametrize("name", ["paper", "torch.backward"])
def test_a_function_called_as_a_built_in_engine_is_judged_itself(name):
    def mine(*arguments):
        return zeros(*arguments)

    mine.__name__ = name
    report = crosscheck.check(mine, against=["paper"], **QUICK)
    assert not report.ok
    defects = report.errors.query("verdict == 'DEFECT'")
    assert set(defects["engine"]) == {f"{name} (yours)"}
    assert set(report.errors["engine"]) == {f"{name} (yours)", "paper"}
    assert report.diagnosis.fault == "all-zero"


def test_every_name_of_the_table_is_known_and_others_are_not():
    assert all(registry.is_known(name) for name in registry.NAMES)
    assert not registry.is_known("mine")


# Arguments


@pytest.mark.parametrize(
    "given",
    [
        {"dtype": np.float32},
        {"dtype": np.dtype("float32")},
        {"widths": [2, 4]},
        {"widths": np.array([2, 4])},
        {"layers": 3},
        {"against": "paper"},
        {"cases": np.int64(3), "seed": np.uint8(4)},
    ],
)
def test_what_people_write_is_taken(given):
    report = crosscheck.check(right, **{**QUICK, **given})
    assert report.ok
    if "dtype" in given:
        assert set(report.errors["dtype"]) == {"float32"}
    if "layers" in given:
        assert set(report.errors["layers"]) == {3}


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"cases": -1}, r"cases=-1 must be a whole number, 0 or more"),
        ({"cases": 2.5}, r"cases=2.5 must be a whole number"),
        ({"cases": True}, r"cases=True must be a whole number"),
        ({"cases": "many"}, r"cases='many' must be a whole number"),
        ({"seed": -1}, r"seed=-1 must be a whole number, 0 or more"),
        ({"seed": 2**63}, r"seed=9223372036854775808 must be a whole number up to"),
        ({"seed": None}, r"seed=None must be a whole number"),
        ({"widths": (1, 0, 3)}, r"a width of architecture=0 must be a whole number, 1 or more"),
        ({"widths": (1.5, 2)}, r"widths=1.5 must be a whole number"),
        ({"widths": "1-4"}, r"widths='1-4' must be a whole number"),
        ({"layers": 1}, r"layers=1 must be a whole number, 2 or more"),
        ({"samples": 9999999999}, r"numbers in one case, more than"),
        ({"layers": (2, 10**6)}, r"numbers in one case, more than"),
        ({"dtype": int}, r"unknown dtype 'int64'"),
        ({"dtype": None}, r"unknown dtype 'None'"),
        ({"dtype": 32}, r"unknown dtype"),
        ({"against": [right]}, r"must be names of engines"),
        ({"against": 3}, r"must be names of engines"),
        ({"arrays": np}, r"unknown arrays"),
        ({"hidden": np.tanh}, r"unknown hidden activation"),
        ({"output": 3}, r"unknown output activation"),
        ({"cost": None}, r"unknown cost"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(given, sentence):
    with pytest.raises(ValueError, match=sentence) as refused:
        crosscheck.check(right, **given)
    assert "\n" not in str(refused.value)


# State between calls


def accumulating():
    """Gradients never set to zero: buffers of a shape live as long as the function."""
    buffers = {}

    def accumulates(weights, biases, inputs, targets):
        given = right(weights, biases, inputs, targets)
        key = (*(w.shape for w in weights), len(inputs), float(inputs.ravel()[0]))
        kept = buffers.setdefault(key, [[0 * x for x in part] for part in given])
        for part, new in zip(kept, given, strict=True):
            for buffer, x in zip(part, new, strict=True):
                buffer += x
        return kept

    return accumulates


def noisy():
    rng = np.random.default_rng(0)
    called = set()

    def drops_out(weights, biases, inputs, targets):
        by_weight, by_bias = right(weights, biases, inputs, targets)
        key = float(inputs.ravel()[0])
        noise = 1 if key not in called else 1 + rng.standard_normal() / 10
        called.add(key)
        return [w * noise for w in by_weight], [b * noise for b in by_bias]

    return drops_out


def cached():
    """The second call on the same arrays takes a cache that the first has spoilt."""
    called = set()

    def remembers(weights, biases, inputs, targets):
        by_weight, by_bias = right(weights, biases, inputs, targets)
        key = float(inputs.ravel()[0])
        late, _ = key in called, called.add(key)
        return [w * (1 - late / 8) for w in by_weight], by_bias

    return remembers


def momentum():
    """v = 0.9 v + g, for each network."""
    kept = {}

    def gathers(weights, biases, inputs, targets):
        given = right(weights, biases, inputs, targets)
        key = float(inputs.ravel()[0])
        old = kept.get(key, [[0 * x for x in part] for part in given])
        kept[key] = [
            [0.9 * v + g for v, g in zip(*parts, strict=True)]
            for parts in zip(old, given, strict=True)
        ]
        return kept[key]

    return gathers


STATEFUL = {
    "accumulating": (accumulating, "it accumulates"),
    "noisy": (noisy, "it is noisy"),
    "cached": (cached, "it changes its state"),
    "momentum": (momentum, "it changes its state"),
}


@pytest.mark.parametrize("name", STATEFUL)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_is_right_on_its_first_call_only_is_refused_and_named(name, dtype):
    make, said = STATEFUL[name]
    report = crosscheck.check(make(), dtype=dtype, **QUICK)
    assert not report.ok
    assert f"When it is called again, {said}" in report.message()
    others = {sentence for _, sentence in STATEFUL.values()} - {said}
    assert not any(sentence in report.message() for sentence in others)
    assert report.diagnosis is None
    assert "DEFECT" in report.message()


def test_accumulation_says_twice_the_first():
    assert "returned twice the first" in crosscheck.check(accumulating(), **QUICK).message()


def test_a_second_call_that_raises_is_an_error():
    called = set()

    def once(weights, biases, inputs, targets):
        key = float(inputs.ravel()[0])
        if key in called:
            raise RuntimeError("the graph was freed")
        called.add(key)
        return right(weights, biases, inputs, targets)

    message = crosscheck.check(once, **QUICK).message()
    assert "when it was called again with the same arrays: RuntimeError: the graph was" in message


def test_a_difference_within_rounding_is_no_defect():
    """A sum in another order each time, as parallel ones are."""
    orders = np.random.default_rng(0)

    def shuffled(weights, biases, inputs, targets):
        order = orders.permutation(len(inputs))
        return right(weights, biases, inputs[order], targets[order])

    report = crosscheck.check(shuffled, **QUICK)
    assert report.ok
    assert report.message() == ""


def test_the_first_cases_and_one_in_ten_after_are_given_twice():
    calls = {}

    def counts(weights, biases, inputs, targets):
        calls[float(inputs.ravel()[0])] = calls.get(float(inputs.ravel()[0]), 0) + 1
        return right(weights, biases, inputs, targets)

    crosscheck.check(counts, **{**QUICK, "cases": 32})
    assert list(calls.values()) == [2] * REPEATED_FIRST + [2] + [1] * 9 + [2] + [1] * 9 + [2, 1]
    assert Plan().repeats(1230)


def test_a_run_holds_a_function_to_its_second_call_too(tmp_path, capsys):
    source = (
        "import numpy as np\n"
        "kept = {}\n"
        "def gradient(weights, biases, inputs, targets):\n"
        "    (w,), (b,) = weights, biases\n"
        "    delta = (inputs @ w + b - targets) * (2 / len(inputs))\n"
        "    w, b = kept.setdefault(inputs.tobytes(), [0 * w, 0 * b])\n"
        "    w += inputs.T @ delta\n"
        "    b += delta.sum(0)\n"
        "    return [w], [b]\n"
    )
    (tmp_path / "mine.py").write_text(source)
    words = ["--layers", "2-2", "--cases", "6", "--output", "identity", "--dtypes", "float64"]
    own = ["--engine", f"{tmp_path / 'mine.py'}:gradient", "--jobs", "1"]
    with pytest.raises(SystemExit) as stopped:
        main(["run", *own, *words, "--out", str(tmp_path / "run")])
    assert stopped.value.code == 1
    assert "it accumulates: each call" in capsys.readouterr().out


CALLS = {
    "equal steps": ([1, 2, 3, 4, 5, 6], state.ACCUMULATES),
    "settles": ([1, 2, 2, 2, 2, 2], state.CHANGES),
    "to and fro": ([1, 2, 1, 2, 1, 2], state.CHANGES),
    "decays": ([1, 0.9, 0.81, 0.729, 0.6561, 0.59049], state.CHANGES),
    "overflows": ([1, np.inf, np.nan, np.nan, np.nan, np.nan], state.CHANGES),
    "noise": ([1, 1.3, 0.8, 1.1, 0.95, 1.05], state.NOISY),
}


@pytest.mark.parametrize("name", CALLS)
def test_kinds_of_change_are_told_apart(name):
    calls, sentence = CALLS[name]
    found = state.kind([np.array([x, -2 * x]) for x in map(float, calls)])
    assert found.startswith(sentence.partition("{")[0])


# What comes back


def test_views_of_buffers_that_are_reused_are_right():
    """A right gradient whose results all lie in one piece of memory."""
    memory = np.empty(1 << 16)

    def reuses(weights, biases, inputs, targets):
        used, parts = 0, []
        for part in right(weights, biases, inputs, targets):
            views = []
            for x in part:
                view = memory[used : used + x.size].reshape(x.shape)
                view[...] = x
                views.append(view)
                used += x.size
            parts.append(views)
        return parts

    report = crosscheck.check(reuses, cases=40, widths=(1, 6), samples=(1, 6))
    assert report.ok, report.message()


FORMS = {
    "masked": (np.ma.masked_array, "is a masked array, expected a plain one"),
    "masked here and there": (lambda x: np.ma.masked_array(x, x > 0), "is a masked array"),
    "objects": (lambda x: x.astype(object), "expected an array of numbers"),
    "ragged": (lambda x: [[1.0], [1.0, 2.0]], "a list of 2 that makes no array"),
    "integers": (lambda x: x.astype(np.int64), "has dtype int64"),
    "complex": (lambda x: x + 0j, "has dtype complex128"),
    "text": (lambda x: "gradient", "has"),
}


@pytest.mark.parametrize("name", FORMS)
def test_arrays_of_odd_kinds_are_refused_in_a_sentence(name):
    form, said = FORMS[name]

    def odd(*arguments):
        by_weight, by_bias = right(*arguments)
        return [form(w) for w in by_weight], by_bias

    report = crosscheck.check(odd, **QUICK)
    assert not report.ok
    assert said in report.message()
    assert set(report.cases["status:odd"]) == {"error"}


# Exceptions


def raising(weights, biases, inputs, targets):
    return _deeper(weights)


def _deeper(weights):
    return _deepest(weights)


def _deepest(weights):
    try:
        return weights["w2"]
    except TypeError as error:
        raise RuntimeError("no such weight") from error


def test_the_traceback_is_the_cause_and_its_last_lines_are_shown():
    report = crosscheck.check(raising, **QUICK)
    with pytest.raises(AssertionError) as failure:
        report.raise_if_defect()
    assert isinstance(failure.value.__cause__, RuntimeError)
    lines = traceback.format_exception(failure.value.__cause__)
    assert any("in _deepest" in line for line in lines)
    brief, full = report.message(), report.message(full=True)
    assert "in _deepest" in brief
    assert "in raising" not in brief
    assert "in raising" in full
    assert 'weights["w2"]' in full
    assert "callable.py" not in full


@pytest.mark.parametrize(
    "function", [lambda weights, biases: 0, lambda a, b, c, d, e: 0, lambda: 0]
)
def test_a_wrong_number_of_arguments_does_not_blame_our_file(function):
    message = crosscheck.check(function, **QUICK).message()
    assert "it is called as gradient(weights, biases, inputs, targets)" in message
    assert "callable.py" not in message


def test_a_wrong_call_within_the_function_is_the_functions_own():
    def calls(weights, biases, inputs, targets):
        return _deeper(weights, biases)

    message = crosscheck.check(calls, **QUICK).message()
    assert "line " in message
    assert "it is called as" not in message


def test_the_path_is_as_it_was():
    before = list(sys.path)
    crosscheck.check(right, **QUICK)
    assert sys.path == before
