"""PyTorch's functions as programs: values, own gradients, and what is wrong in those."""

# ruff: noqa: E402

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from support.zoo.torch import ZOO, Recurrent, layer_norm_by_hand

from crosscheck.arithmetic.formats import FORMATS
from crosscheck.arithmetic.primitives.table import PRIMITIVES
from crosscheck.programs import cotangents
from crosscheck.programs.derive import forward, reverse
from crosscheck.programs.errors import Promise, analyse
from crosscheck.programs.evaluate import evaluate
from crosscheck.programs.frontends.torch.subject import subject
from crosscheck.programs.program import Unreadable


def drawn(leaves, seed=1):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=leaf.shape).astype(FORMATS[leaf.format].numpy) for leaf in leaves]


def exact(program, arrays):
    """Values in long double, where all operations have it."""
    extended = all(
        PRIMITIVES[o.primitive].extended for o in program.operations if o.primitive in PRIMITIVES
    )
    wide = [np.asarray(array, np.float64) for array in arrays]
    return evaluate(program, wide, np.longdouble if extended else np.float64)


def distances(program, arrays, numbers, promise):
    """|numbers - exact| as shares of the bound, for each output."""
    values = exact(program, arrays)
    errors = analyse(program, values, promise)
    shares = []
    for output, array in zip(program.outputs, numbers, strict=True):
        off = np.abs(np.asarray(array, np.longdouble) - values[output])
        allowed = np.zeros(off.shape) if errors[output] is None else errors[output]
        with np.errstate(all="ignore"):
            shares.append(np.where(off == 0, 0.0, off / allowed).max(initial=0.0))
    return shares


def rule_distance(on_trial, mode, given):
    """How far Q is from our derivative of P, as a share of both float64 bounds."""
    program = on_trial.rule(mode)
    derive = forward if mode == "forward" else reverse
    ours = derive(on_trial.primal(), list(on_trial.wrt))
    arrays = [*on_trial.arrays, *given]
    one, other = exact(program, arrays), exact(ours, arrays)
    double = Promise(reference=2.0**-53)
    shares = []
    for errors in [(analyse(program, one, double), analyse(ours, other, double))]:
        for a, b in zip(program.outputs, ours.outputs, strict=True):
            off = np.abs(one[a] - other[b])
            allowed = sum(np.zeros(()) if e is None else e for e in (errors[0][a], errors[1][b]))
            with np.errstate(all="ignore"):
                shares.append(np.where(off == 0, 0.0, off / allowed).max(initial=0.0))
    return max(shares)


class DoubledGelu(torch.autograd.Function):
    """x σ(1.702 x), with twice its derivative."""

    @staticmethod
    def forward(ctx, x, scale):
        ctx.save_for_backward(x)
        y = x.detach().clone()
        y *= torch.sigmoid(scale * x)
        return y

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        s = torch.sigmoid(1.702 * x)
        return 2 * g * (s + 1.702 * x * s * (1 - s)), None


bound_before = DoubledGelu.apply


def test_a_wrong_function_is_not_the_derivative_of_its_forward_and_is_named_with_its_lines():
    x = torch.randn(4, 3, dtype=torch.float64)
    on_trial = subject(lambda x: bound_before(x.tanh(), 1.702).sum(), (x,), {})
    assert rule_distance(on_trial, "backward", [np.ones(())]) > 1e6
    (rule,) = on_trial.custom_rules()
    assert rule.name == "DoubledGelu"
    assert "test_torch.py:" in rule.source
    line = DoubledGelu.backward.__code__.co_firstlineno
    assert rule.written.endswith(f"test_torch.py:{line}")
    arrays = [*rule.inputs, np.ones((4, 3))]
    ours = reverse(rule.primal)
    said = exact(rule.rule, arrays)[rule.rule.outputs[1]]
    right = exact(ours, arrays)[ours.outputs[1]]
    assert np.allclose(np.asarray(said / right, float), 2)


def test_operations_of_a_backward_carry_the_line_that_wrote_them():
    x = torch.randn(4, dtype=torch.float64)
    on_trial = subject(lambda x: bound_before(x, 1.702).sum(), (x,), {})
    first = DoubledGelu.backward.__code__.co_firstlineno
    lines = {int(o.source.rpartition(":")[2]) for o in on_trial.rule("backward").operations[2:]}
    assert first + 3 in lines
    assert first + 4 in lines


def written_in_place(x):
    y = torch.zeros(8, dtype=x.dtype)
    y[1:7] = x
    y[2:4] *= x[:2]
    y.view(2, 4)[0].add_(1.5)
    y[::2].copy_(x[:4].exp())
    return y.tanh_()


def straight_through(x):
    return x + (x.round() - x).detach()


def held_by_no_grad(x):
    with torch.no_grad():
        top = x.max()
    return (x - top).exp().sum()


def penalized(x, w):
    if not x.requires_grad:
        x = x.clone().requires_grad_()
    y = torch.tanh(x @ w).sum()
    (slope,) = torch.autograd.grad(y, x, create_graph=True)
    return (slope**2).sum() + y


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize(
    ("function", "shapes"),
    [
        (written_in_place, [(6,)]),
        (straight_through, [(5,)]),
        (held_by_no_grad, [(5,)]),
        (penalized, [(5, 4), (4, 1)]),
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_views_writes_and_what_is_held_constant_are_read_as_autograd_has_them(
    function, shapes, dtype
):
    args = tuple(torch.randn(shape).to(dtype) for shape in shapes)
    on_trial = subject(function, args, {})
    given = drawn(on_trial.outputs)
    numbers = on_trial.numbers("backward", given)
    shares = distances(
        on_trial.rule("backward"),
        [*on_trial.arrays, *given],
        [*numbers.values, *numbers.derivatives],
        on_trial.promise("backward"),
    )
    assert max(shares) <= 1
    assert rule_distance(on_trial, "backward", given) <= 1


def test_what_cannot_be_read_is_named_with_its_line_and_a_way_out():
    on_trial = subject(lambda x: torch.linalg.eigvalsh(x @ x.T).sum(), (torch.randn(3, 3),), {})
    with pytest.raises(Unreadable, match=r"test_torch\.py:\d+ cannot be read: .*reference="):
        on_trial.primal()


@pytest.fixture
def threads():
    """One thread, and the user's number afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", ZOO)
def test_numbers_lie_within_the_bound_of_their_own_program_which_is_the_derivative(
    name, dtype, threads
):
    function, make = ZOO[name]
    args = make(np.random.default_rng(5), dtype)
    on_trial = subject(function, args, {})
    modes = ["backward", "forward"] if dtype == torch.float64 else ["backward"]
    for mode in [mode for mode in modes if mode in on_trial.modes]:
        leaves = [on_trial.inputs[x] for x in on_trial.wrt] if mode == "forward" else None
        given = drawn(leaves or on_trial.outputs)
        numbers = on_trial.numbers(mode, given)
        arrays = [*on_trial.arrays, *given]
        computed = [*numbers.values, *numbers.derivatives]
        program, promise = on_trial.rule(mode), on_trial.promise(mode)
        assert max(distances(program, arrays, computed, promise)) <= 1
        assert rule_distance(on_trial, mode, given) <= 1
        primal = on_trial.primal()
        assert max(distances(primal, on_trial.arrays, numbers.values, promise)) <= 1


class Outside(torch.autograd.Function):
    """Its forward, or its backward, in NumPy."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.from_numpy(np.tanh(x.detach().numpy()))

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * (1 - torch.tanh(x) ** 2)


def test_numbers_that_leave_pytorch_are_refused_instead_of_taken_for_constants():
    on_trial = subject(lambda x: Outside.apply(x).sum(), (torch.randn(3),), {})
    with pytest.raises(Unreadable, match=r"numpy\(\) at .*_torch.py:\d+ takes numbers"):
        on_trial.primal()
    assert np.isfinite(on_trial.numbers("backward", [np.ones((), np.float32)]).values[0])


@pytest.mark.parametrize("kind", [torch.nn.LSTM, torch.nn.GRU, torch.nn.RNN])
def test_parameters_of_a_module_are_its_arguments_by_their_names(kind, threads):
    module = Recurrent(kind, torch.float64)
    on_trial = subject(module, (torch.randn(4, 2, 3, dtype=torch.float64),), {})
    paths = [leaf.path for leaf in on_trial.inputs]
    assert paths[:3] == ["args[0]", "layer.weight_ih_l0", "layer.weight_hh_l0"]
    given = drawn(on_trial.outputs)
    numbers = on_trial.numbers("backward", given)
    arrays, computed = [*on_trial.arrays, *given], [*numbers.values, *numbers.derivatives]
    shares = distances(on_trial.rule("backward"), arrays, computed, on_trial.promise("backward"))
    assert max(shares) <= 1
    assert rule_distance(on_trial, "backward", given) <= 1
    for parameter in module.parameters():
        assert parameter.grad is None


def test_wrt_names_leaves_and_frozen_parameters_are_none_of_them():
    module = torch.nn.Linear(3, 2)
    module.bias.requires_grad_(False)
    x = torch.randn(4, 3)
    by_default = subject(module, (x,), {})
    assert [by_default.inputs[place].path for place in by_default.wrt] == ["args[0]", "weight"]
    named = subject(module, (x,), {}, wrt="bias")
    assert [named.inputs[place].path for place in named.wrt] == ["bias"]
    with pytest.raises(ValueError, match="wrt names 'offset'"):
        subject(module, (x,), {}, wrt=["offset"])


def test_paths_name_where_a_leaf_stands_in_arguments_and_value():
    def function(params, x, *, scale):
        h = x @ params["w"][0]
        return {"h": h, "losses": [h.sum() * scale, torch.arange(3)]}

    params = {"w": [torch.randn(3, 2)], "n": torch.arange(2)}
    on_trial = subject(function, (params, torch.randn(4, 3)), {"scale": torch.tensor(2.0)})
    assert [leaf.path for leaf in on_trial.inputs] == ["params['w'][0]", "args[1]", "scale"]
    assert [leaf.path for leaf in on_trial.outputs] == ["value['h']", "value['losses'][0]"]


@pytest.mark.parametrize(
    ("function", "args", "sentence"),
    [
        (torch.sum, (torch.arange(3),), "no argument is a floating tensor"),
        (torch.sum, (torch.ones(2, dtype=torch.complex64),), "is complex"),
        (lambda x: None, (torch.ones(2),), "returned NoneType"),
        (lambda x: "no", (torch.ones(2),), "returned str"),
    ],
)
def test_what_has_no_gradient_is_refused_in_a_sentence(function, args, sentence):
    with pytest.raises(ValueError, match=sentence):
        subject(function, args, {}).outputs  # noqa: B018


def test_replayed_values_are_those_of_the_operations_in_the_program(threads):
    args = ZOO["layer norm by hand"][1](np.random.default_rng(3), torch.float32)
    on_trial = subject(layer_norm_by_hand, args, {})
    given = drawn(on_trial.outputs)
    program, shown = on_trial.rule("backward"), on_trial.replay("backward", given)
    values = exact(program, [*on_trial.arrays, *given])
    errors = analyse(program, values, Promise())
    assert len(shown) > 10
    for number, array in shown.items():
        error = 0.0 if errors[number] is None else errors[number]
        assert np.all(np.abs(array - values[number]) <= error)


class Forgetful(torch.autograd.Function):
    """Reads a cotangent (n, 3) as if it were contiguous."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.sin()

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        flat = g if 0 in g.stride() else torch.as_strided(g, g.shape, (3, 1))
        return flat * x.cos()


def test_habits_show_what_a_plain_backward_does_not():
    """Strided cotangents are read wrongly, all else is right; as_strided of one number is right."""
    on_trial = subject(Forgetful.apply, (torch.randn(4, 3),), {})
    wrong = []
    for name in on_trial.habits:
        given = cotangents.OF_HABIT.get(name, list)(drawn(on_trial.outputs))
        numbers = on_trial.numbers(name, given)
        right = np.float64(given[0]) * np.cos(np.float64(on_trial.arrays[0]))
        if not np.abs(numbers.derivatives[0] - right).max() < 1e-5:
            wrong.append(name)
        if name == "zero cotangents":
            assert not numbers.derivatives[0].any()
    assert wrong == ["strided cotangents"]
