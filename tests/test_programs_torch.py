"""PyTorch's functions as programs: values, own gradients, and what is wrong in those."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from crosscheck.formats import FORMATS  # noqa: E402
from crosscheck.primitives.table import PRIMITIVES  # noqa: E402
from crosscheck.programs.derive import forward, reverse  # noqa: E402
from crosscheck.programs.errors import Promise, analyse  # noqa: E402
from crosscheck.programs.evaluate import evaluate  # noqa: E402
from crosscheck.programs.from_torch import subject  # noqa: E402
from crosscheck.programs.program import Unreadable  # noqa: E402


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
    assert "test_programs_torch.py:" in rule.source
    line = DoubledGelu.backward.__code__.co_firstlineno
    assert rule.written.endswith(f"test_programs_torch.py:{line}")
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
    with pytest.raises(
        Unreadable, match=r"test_programs_torch\.py:\d+ cannot be read: .*reference="
    ):
        on_trial.primal()
