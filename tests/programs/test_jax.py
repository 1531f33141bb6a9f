"""JAX's functions read as programs: their values, their rules, their numbers, their refusals."""

# ruff: noqa: E402

from pathlib import Path

import numpy as np
import pytest

jax = pytest.importorskip("jax")
import jax.numpy as jnp
from support.zoo.jax import ZOO

from crosscheck.programs.evaluate import evaluate
from crosscheck.programs.frontends.jax.subject import owns, subject
from crosscheck.programs.program import Unreadable
from crosscheck.programs.trial import judge, stages
from crosscheck.programs.trial.judge import ExactProgram
from crosscheck.programs.trial.trial import Trial

THOROUGH = (
    "net ",
    "streaming",
    "log cumulative",
    "cross entropy",
    "logistic",
    "hinge",
    "attention",
    "contrastive",
    "gru",
    "lstm",
    "statistics",
    "running",
    "updates",
)
"""What takes longer to compile than it adds to the quick tests: one of each kind stays there."""

QUICK = ("net relu", "net exact gelu", "causal attention")

IN_BOTH = ("net exact gelu", "layer norm", "convolution", "mixture", "where physics", "probit")


def _is_slow(name):
    return name.startswith(THOROUGH) and name not in QUICK


NAMES = [
    pytest.param(name, marks=pytest.mark.slow) if _is_slow(name) else name for name in sorted(ZOO)
]


def _subject(name, dtype):
    function, make = ZOO[name]
    return subject(function, make(np.random.default_rng(0), dtype), {})


def _verdicts(trial, mode):
    judged = trial.judge(mode)
    assert judged.status == "ok", judged.message
    assert not judged.notes
    return judged


def _agree(one, mode):
    """The rule is the derivative, and the numbers lie within the bound."""
    judged = _verdicts(Trial(one), mode)
    assert not judged.wrong
    assert {finding.verdict for finding in judged.findings} == {"CONSISTENT"}
    assert {finding.rule for finding in judged.findings} == {judge.SAME}


@pytest.mark.parametrize("name", NAMES)
def test_in_float64_the_rule_is_ours_and_the_numbers_are_within_their_bound(name):
    one = _subject(name, np.float64)
    _agree(one, "jit" if "jit" in one.modes else one.modes[0])
    assert jnp.zeros(1).dtype != np.float64  # the user's setting is what it was


@pytest.mark.parametrize(
    "name",
    [
        name if name in IN_BOTH else pytest.param(name, marks=pytest.mark.slow)
        for name in sorted(ZOO)
    ],
)
def test_in_float32_the_numbers_are_within_the_bound_of_the_rule(name):
    one = _subject(name, np.float32)
    mode = "jit" if "jit" in one.modes else one.modes[0]
    judged = _verdicts(Trial(one), mode)
    assert all(leaf.format == "float32" for leaf in (*one.inputs, *one.outputs))
    for finding in judged.findings:
        assert finding.verdict != "DEFECT", finding
        assert np.isfinite(finding.allowed).all()
        assert np.all(finding.error - finding.radius <= finding.allowed)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["reverse", "forward", "vmap", "remat"])
@pytest.mark.parametrize("name", sorted(ZOO))
def test_all_modes_give_the_derivative_and_each_operation_is_within_its_bound(name, mode):
    one = _subject(name, np.float64)
    if mode not in one.modes:
        pytest.skip("does not apply")
    _agree(one, mode)
    trial = Trial(one)
    given = trial.given(mode)
    own = one.replay(mode, given)
    replayed = stages.replay(one.rule(mode), [*one.arrays, *given], own, one.promise(mode))
    assert replayed.wrong is None
    assert len(own) > len(one.inputs) + len(given)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [jnp.bfloat16, np.float16])
@pytest.mark.parametrize("name", sorted(ZOO))
def test_right_functions_in_16_bits_are_never_accused(name, dtype):
    one = _subject(name, dtype)
    for mode in {"jit", "reverse"} & set(one.modes):
        for finding in Trial(one).judge(mode).findings:
            assert finding.verdict != "DEFECT", finding


@pytest.mark.parametrize("mode", ["reverse", "forward", "vmap", "remat"])
@pytest.mark.parametrize("name", ["max pool"])
def test_modes_and_stages(name, mode):
    one = _subject(name, np.float32)
    given = Trial(one).given(mode)
    program = one.rule(mode)
    replayed = stages.replay(
        program, [*one.arrays, *given], one.replay(mode, given), one.promise(mode)
    )
    assert replayed.wrong is None
    numbers = one.numbers(mode, given)
    shown = (*numbers.values, *numbers.derivatives)
    exact = ExactProgram(program, [*one.arrays, *given])
    for got, place, bound in zip(
        shown, program.outputs, exact.bound(one.promise(mode)), strict=True
    ):
        assert np.all(np.abs(got - exact.values[place].astype(np.float64)) <= bound)


# Custom rules


def _custom(backward):
    @jax.custom_vjp
    def cube(x, y):
        return x**3 * y

    cube.defvjp(lambda x, y: (cube(x, y), (x, y)), backward)
    return cube


def _right(kept, cotangent):
    x, y = kept
    return 3 * x**2 * y * cotangent, x**3 * cotangent


WRONG = {
    "factor": lambda kept, ct: (2 * kept[0] ** 2 * kept[1] * ct, kept[0] ** 3 * ct),
    "sign": lambda kept, ct: (3 * kept[0] ** 2 * kept[1] * ct, -(kept[0] ** 3) * ct),
    "missing term": lambda kept, ct: (3 * kept[0] ** 2 * ct, kept[0] ** 3 * ct),
    "cotangent ignored": lambda kept, ct: (3 * kept[0] ** 2 * kept[1], kept[0] ** 3 * ct),
    "one entry": lambda kept, ct: (
        3 * kept[0] ** 2 * kept[1] * ct * jnp.array([1, 1, 1 + 1e-9]),
        kept[0] ** 3 * ct,
    ),
}


def _around(cube):
    def function(x, y):
        return jnp.sum(jnp.sin(cube(jnp.tanh(x), y) + 2.0))

    return function


ARGUMENTS = (np.array([0.5, -1.0, 2.0]), np.array([1.5, 0.25, -0.75]))


@pytest.mark.parametrize("mistake", sorted(WRONG))
def test_a_wrong_rule_is_not_the_derivative_and_is_named_with_its_line(mistake):
    one = subject(_around(_custom(WRONG[mistake])), ARGUMENTS, {})
    assert "forward" not in one.modes
    judged = Trial(one).judge("reverse")
    assert "DEFECT" in {finding.verdict for finding in judged.findings}
    assert any(finding.is_rule for finding in judged.findings)
    (wrong,) = stages.wrong_rules(one.custom_rules())
    assert wrong.name == "cube"
    path, _, line = wrong.source.rpartition(":")
    assert path == __file__
    assert "cube(jnp.tanh(x), y)" in Path(path).read_text().splitlines()[int(line) - 1]


def test_a_right_rule_is_the_derivative():
    one = subject(_around(_custom(_right)), ARGUMENTS, {})
    _agree(one, "reverse")
    assert not stages.wrong_rules(one.custom_rules())
    assert len(one.custom_rules()) == 1


def test_a_wrong_tangent_in_a_scan_is_seen_and_named():
    @jax.custom_jvp
    def squash(x):
        return jnp.tanh(x)

    @squash.defjvp
    def _(primals, tangents):
        (x,), (t,) = primals, tangents
        return squash(x), (1 - jnp.tanh(x)) * t

    def function(x):
        return jax.lax.scan(lambda c, now: (squash(c + now), None), jnp.zeros((), x.dtype), x)[0]

    one = subject(function, (np.array([0.5, -1.0, 2.0], np.float32),), {})
    for mode in ("reverse", "forward"):
        assert any(finding.is_rule for finding in Trial(one).judge(mode).findings)
    assert {stage.name for stage in stages.wrong_rules(one.custom_rules())} == {"squash"}


# What is decided at the point, and what is refused


def test_leaves_are_named_as_the_code_reaches_them():
    def function(params, x, scale=None):
        return {"loss": jnp.sum(params["w"][0] @ x) * scale, "count": x.size}

    arguments = ({"w": [np.ones((2, 3), np.float32)]}, np.ones(3, np.float32))
    one = subject(function, arguments, {"scale": np.float32(2)}, wrt=["params", "scale"])
    assert [leaf.path for leaf in one.inputs] == ["params['w'][0]", "args[1]", "scale"]
    assert [leaf.path for leaf in one.outputs] == ["value['loss']"]
    assert one.wrt == (0, 2)
    assert len(one.numbers("reverse", [np.ones(())]).derivatives) == 2


def test_branches_orders_and_loops_say_where_they_were_decided():
    for name in ("branches", "sorting loss", "experts", "newton root"):
        assert any(
            "zoo/jax.py:" in sentence for sentence in _subject(name, np.float32).primal().holds
        )
    assert not _subject("embedding", np.float32).primal().holds


def test_ties_of_a_maximum_hold_any_share():
    one = subject(lambda x: jnp.max(jax.nn.relu(x)), (np.array([-1.0, 2.0, 2.0, 1.0]),), {})
    (value, gradient) = Trial(one).judge("reverse").findings
    assert value.verdict == "CONSISTENT"
    assert gradient.verdict != "DEFECT"
    assert np.array_equal(gradient.got, [0.0, 0.5, 0.5, 0.0])


def test_dropout_is_a_constant_and_random_numbers_are_those_of_the_key():
    key = jax.random.key(0)

    def function(x):
        kept = jax.random.bernoulli(key, 0.5, x.shape)
        return jnp.sum(jnp.where(kept, x / 0.5, 0) * jax.random.normal(key, x.shape, x.dtype))

    one = subject(function, (np.arange(4, dtype=np.float32),), {})
    _agree(one, "jit")


def _opaque(x):
    return jax.pure_callback(np.sin, jax.ShapeDtypeStruct(x.shape, x.dtype), x).sum()


def _asks(x):
    return x.sum() if x[0] > 0 else x.prod()


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (_opaque, r"pure_callback is an operation that is not read at .*test_jax.py:\d+"),
        (_asks, "asks for a value while it is traced"),
        (lambda x: jnp.abs(jnp.fft.fft(x)).sum(), "complex numbers are not read yet|fft is an"),
        (lambda x: jax.lax.while_loop(lambda y: y.sum() < 1, lambda y: y, x), "went round more"),
    ],
)
def test_what_cannot_be_read_says_so_in_a_sentence(function, sentence, monkeypatch):
    monkeypatch.setattr("crosscheck.programs.frontends.jax.reader.TRIPS", 100)
    one = subject(function, (np.zeros(3, np.float32),), {})
    with pytest.raises(Unreadable, match=sentence):
        one.primal()


@pytest.mark.parametrize(
    ("function", "arguments", "sentence"),
    [
        (lambda x: None, (np.ones(2),), "returned None"),
        (lambda x: "loss", (np.ones(2),), "returned a str"),
        (lambda x: jnp.argmax(x), (np.ones(2),), "no floating array"),
        (lambda x: x, (np.arange(2),), "no floating array among its arguments"),
    ],
)
def test_what_has_no_derivative_is_refused(function, arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        subject(function, arguments, {}).primal()


def test_a_gradient_given_by_the_user_is_on_trial():
    def loss(x):
        return jnp.sum(x**3)

    right = subject(loss, (ARGUMENTS[0],), {}, gradient=lambda x: 3 * x**2)
    _agree(right, "reverse")
    wrong = subject(loss, (ARGUMENTS[0],), {}, gradient=lambda x: 2 * x**2)
    assert Trial(wrong).judge("reverse").findings[1].is_rule
    misfit = subject(loss, (ARGUMENTS[0],), {}, gradient=lambda x: x[:1])
    with pytest.raises(ValueError, match=r"gradient returned arrays of shapes \[\(1,\)\]"):
        misfit.numbers("reverse", [np.ones(())])


def test_our_derivative_evaluates_to_the_rule_of_jax():
    one = _subject("layer norm", np.float64)
    given = Trial(one).given("reverse")
    ours = judge.derivative(one.primal(), "reverse", one.wrt)
    values = evaluate(ours, [*one.arrays, *given], np.longdouble)
    theirs = ExactProgram(one.rule("reverse"), [*one.arrays, *given])
    bounds = theirs.bound(one.promise("reverse"))
    for number, place, bound in zip(ours.outputs, theirs.program.outputs, bounds, strict=True):
        assert np.all(np.abs(values[number] - theirs.values[place]) <= bound)


def test_only_arrays_of_jax_are_owned():
    assert owns([jnp.ones(2)])
    assert not owns([np.ones(2), 1.0, "x"])
