"""Each function of NumPy that is read: what is recorded is what it computes, at other points too.

A function is traced at one point, and its program evaluated at another: a number that was frozen
on the way would show.
"""

import numpy as np
import pytest
from scipy import special

from crosscheck.exact.oracle import working_precision
from crosscheck.programs.errors import Promise, analyse
from crosscheck.programs.evaluate import enclose, evaluate
from crosscheck.programs.frontends import leaves
from crosscheck.programs.frontends.numpy import subject
from crosscheck.programs.frontends.numpy.functions import ufuncs
from crosscheck.programs.program import Unreadable

C = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]])
"""Plain numbers among traced ones; x and y below are of its shape."""

ENTRYWISE = {
    "arithmetic": lambda x, y: (x + y) * (2 - x) / (3 + y * y) - +x,
    "reflected": lambda x, y: 1 - x + 2 * y + 3 / (2 + x * x) + 2**x,
    "powers": lambda x, y: x**2 + x**3 + x**-1 + (x * x + 1) ** 0.5 + (x * x) ** (y * y),
    "modulo": lambda x, y: np.mod(x, 0.75) + x // 0.75,
    "plain arrays": lambda x, y: C * x + C - y / (C * C),
    "exponentials": lambda x, y: np.exp(x) + np.exp2(y) + np.expm1(x * y),
    "logarithms": lambda x, y: np.log(x * x) + np.log1p(y * y) + np.log2(x * x) + np.log10(y * y),
    "circular": lambda x, y: np.sin(x) + np.cos(y) + np.tan(x) + np.arctan(y) + np.arctan2(x, y),
    "inverse": lambda x, y: np.arcsin(np.tanh(x)) + np.arccos(np.tanh(y)) + np.arcsinh(x),
    "hyperbolic": lambda x, y: np.sinh(x) + np.cosh(y) + np.arctanh(np.tanh(x) / 2),
    "roots": lambda x, y: np.sqrt(x * x + 1) + np.cbrt(y) + np.hypot(x, y) + np.reciprocal(y),
    "choices": lambda x, y: np.maximum(x, y) + np.minimum(x, 0.1) + np.fmax(x, 0) + np.abs(y),
    "where": lambda x, y: np.where(x > y, x * y, np.where((x < 0) | (y < 0), y, 1.0)),
    "select": lambda x, y: np.select([x > 1, x > 0], [x, x * y], default=-1.0),
    "signs": lambda x, y: np.sign(x) * y + np.heaviside(x, 0.5) + np.copysign(x, y),
    "whole": lambda x, y: np.floor(x) + np.ceil(y) + np.rint(x * 3) + np.trunc(y * 2),
    "clip": lambda x, y: np.clip(x, -0.5, 0.5) + x.clip(0) + np.clip(y, None, 1),
    "log add": lambda x, y: np.logaddexp(x, y) + np.logaddexp(0, x),
    "angles": lambda x, y: np.degrees(x) + np.radians(y) + np.deg2rad(x) + np.rad2deg(y),
    "booleans": lambda x, y: (x > 0) * y + (y > x).astype(float) + (1 - (x < 1)) * x + ~(x > 0),
    "special": lambda x, y: special.expit(x) + special.erf(y) + special.erfc(x) + special.ndtr(y),
    "gamma": lambda x, y: special.gammaln(x * x + 1) + special.digamma(y * y + 1),
    "x log y": lambda x, y: special.xlogy(x, y * y) + special.xlog1py(y, x * x),
    "log expit": lambda x, y: special.log_expit(x) + special.logit(special.expit(y)),
    "beta": lambda x, y: special.betaln(x * x + 1, y * y + 1) + special.gamma(y * y + 0.5),
    "entropy": lambda x, y: special.entr(x * x) + special.rel_entr(x * x, y * y),
    "sinc": lambda x, y: np.sinc(x + y),
}

MOVED = {
    "transposed": lambda x, y: x.T @ y + np.transpose(x) @ y,
    "reshaped": lambda x, y: x.reshape(3, 2) + y.reshape((3, -1)) + np.ravel(x)[:1],
    "axes": lambda x, y: np.swapaxes(x[None], 0, 2)[..., 0] * np.moveaxis(y[None], 0, -1).T,
    "indexed": lambda x, y: x[0] + y[:, ::-1][1] + x[-1, 1:][..., None].sum() + y[..., 0].sum(),
    "taken": lambda x, y: (
        x[[0, 1, 1], [2, 0, 0]] + np.take(y, [0, 5, 5]) + x[:, np.array([2, 2, 0])]
    ),
    "along": lambda x, y: np.take_along_axis(x, np.array([[2, 0], [1, 1]]), 1),
    "masked": lambda x, y: x[C > 0] * y[C > 0],
    "joined": lambda x, y: np.concatenate([x, C, y * 2], axis=0) + np.vstack([x, y, C]),
    "stacked": lambda x, y: np.stack([x, y], axis=1) + np.hstack([x[:, :1], y[:, 1:]])[:, None],
    "columns": lambda x, y: (
        np.column_stack([x[0], y[0], C[0]]) + np.block([[x[:, :2], y[:, :1]]])[0]
    ),
    "split": lambda x, y: sum(np.split(x, 3, axis=1)) + np.array_split(y, 2)[1][0, 0],
    "repeated": lambda x, y: np.tile(x, (2, 1)) + np.repeat(y, 2, axis=0),
    "rolled": lambda x, y: np.roll(x, 1, axis=1) + np.flip(y) + np.fliplr(x) + np.rot90(y, 2),
    "padded": lambda x, y: np.pad(x, 1) + np.pad(y, 1, constant_values=2.0) + np.pad(x, 1, "edge"),
    "spread": lambda x, y: np.broadcast_to(x[0], (4, 3)) + np.expand_dims(y, 0).squeeze()[1],
    "diagonals": lambda x, y: (
        np.diag(x[0]) + np.triu(y.T @ x) + np.tril(y.T @ y) + np.diag(x[:, :2]).sum()
    ),
    "appended": lambda x, y: (
        np.append(x, y) + np.insert(np.ravel(x), [1, 2, 3, 3, 3, 4], y.ravel())
    ),
    "grid": lambda x, y: np.multiply(*np.meshgrid(x[0], y[:, 0])) + np.meshgrid(x[0], y[0])[1][:2],
    "sorted": lambda x, y: np.sort(x, axis=1) + np.sort(y, axis=None)[:3],
    "windows": lambda x, y: np.lib.stride_tricks.sliding_window_view(x, 2, axis=1).sum(-1),
    "deleted": lambda x, y: np.delete(x, 1, axis=1) * np.atleast_3d(y)[:, :2, 0],
    "iterated": lambda x, y: sum(row * k for k, row in enumerate(x)) + len(y),
}

REDUCED = {
    "sums": lambda x, y: x.sum() + np.sum(y, axis=1) @ np.sum(x, -1, keepdims=True),
    "means": lambda x, y: x.mean(axis=0) + np.mean(y) + np.average(x, axis=0, weights=[1.0, 3.0]),
    "spread": lambda x, y: x.var(axis=0) + np.std(y, axis=0, ddof=1) + np.var(x),
    "extremes": lambda x, y: (
        x.max(axis=0) + np.min(y) + np.amax(x) + np.ptp(y) + np.max(x, 1).sum()
    ),
    "products": lambda x, y: np.prod(x, axis=0) + y.prod() + np.multiply.reduce(x, axis=0),
    "running": lambda x, y: np.cumsum(x, axis=1) + np.cumprod(y, 0) + np.add.accumulate(x)[0],
    "masked sum": lambda x, y: np.sum(x, where=C > 0) + np.mean(y, where=C > 0),
    "median": lambda x, y: np.median(x, axis=1) + np.median(y[0]),
    "differences": lambda x, y: np.diff(x, axis=1) + np.diff(y, n=1) + np.trapezoid(x),
    "trace": lambda x, y: np.trace(x @ y.T) + np.linalg.norm(x) + np.linalg.norm(y, axis=1).sum(),
    "norms": lambda x, y: np.linalg.norm(x, 1, axis=1) + np.linalg.norm(y, np.inf, axis=1),
    "log-sum-exp": lambda x, y: np.logaddexp.reduce(x, axis=1) + np.logaddexp.reduce(y[0]),
    "products of matrices": lambda x, y: x @ y.T + np.dot(x, y.T) + np.matmul(C, y.T),
    "vectors": lambda x, y: x @ y[0] + y[0] @ x.T + np.dot(x[0], y[0]) + np.vdot(x, y),
    "outer": lambda x, y: np.outer(x[0], y[0]) + np.multiply.outer(x[1], y[1]) + np.inner(x.T, y.T),
    "tensordot": lambda x, y: np.tensordot(x, y, 2) + np.tensordot(x, y, ([1], [1])).sum(),
    "einsum": lambda x, y: (
        np.einsum("ij,kj->ik", x, y) + np.einsum("ij,ij", x, y) + np.einsum("ij->", x)
    ),
    "einsum of three": lambda x, y: np.einsum("ij,kj,kl->il", x, y, C),
    "einsum by steps": lambda x, y: np.einsum("ij,kj,kl->il", x, y, C, optimize=True),
    "diagonal einsum": lambda x, y: (
        np.einsum("ii->i", x[:, :2]) * np.einsum("...j,...j->...", x, y)
    ),
    "stacks": lambda x, y: np.matmul(np.stack([x, y]), np.stack([y, x]).transpose(0, 2, 1)),
    "kron": lambda x, y: np.kron(x, y)[:2, :3] + np.cross(x, y),
    "convolved": lambda x, y: np.convolve(x[0], y[0]) + np.convolve(y[1], C[0], "full"),
    "correlated": lambda x, y: (
        np.correlate(x[0], y[0][:2]) + np.convolve(x[1], y[1, :2], "same")[:2]
    ),
    "float32": lambda x, y: (x.astype(np.float32) * np.float32(0.5)).sum(dtype=np.float64) + y,
}


def _assigned(x, y):
    z = np.zeros_like(x, shape=(3, 3))
    z[0] = x[0]
    z[1:, :2] = y[:, :2]
    z[2, 2] = 7.0
    z[[0, 1], [2, 2]] += x[:, 0]
    return z


def _in_place(x, y):
    x = x.copy()
    other = x
    x += y
    x *= 2
    x[:, 1] /= 4
    np.add(x, 1, out=x)
    return other


def _views(x, y):
    x = x.copy()
    row, turned = x[0], x.T
    row += 1.0
    turned[2] = y[:, 0]
    flat = x.reshape(-1)
    flat[1] = 5.0
    return x * 1, row * 1, turned[0] + turned[1]


def _masked(x, y):
    z = x.copy()
    z[x < 0] = 0
    z[C > 1] = y[C > 1]
    np.divide(y, x, out=z, where=x > 0.5)
    return z


def _scattered(x, y):
    z = np.zeros_like(x[0])
    np.add.at(z, [0, 2, 2, 0, 1, 2], y.ravel())
    np.subtract.at(z, [1, 1], x[0, :2])
    np.fill_diagonal(x, y[0, 0])
    np.copyto(y, x, where=C > 0)
    return z + x[0] + y[1]


def _filled(x, y):
    ones, twos = np.ones_like(x), np.full_like(x, 2.0)
    rest = np.empty_like(x)
    rest[...] = x
    y.sort(axis=1)
    return ones + twos * rest + y + np.full_like(x, y[0, 0])


ASSIGNED = {
    "assigned": _assigned,
    "in place": _in_place,
    "views": _views,
    "masks": _masked,
    "scattered": _scattered,
    "filled": _filled,
}

ALL = {
    **{f"entrywise {k}": v for k, v in ENTRYWISE.items()},
    **{f"moved {k}": v for k, v in MOVED.items()},
    **{f"reduced {k}": v for k, v in REDUCED.items()},
    **ASSIGNED,
}


def _points(function):
    """Two points, so near that the same branches are taken."""
    rng = np.random.default_rng(3)
    here = [rng.normal(size=C.shape) for _ in range(2)]
    return here, [x * (1 + 1e-6) for x in here]


@pytest.mark.parametrize("name", ALL)
def test_what_is_recorded_is_what_numpy_computes_elsewhere_too(name):
    here, there = _points(ALL[name])
    program = subject.subject(ALL[name], here).primal()
    values = evaluate(program, there)
    errors = analyse(program, values, Promise())
    expected = leaves.tree(ALL[name](*(x.copy() for x in there))).leaves
    at_first = leaves.tree(ALL[name](*(x.copy() for x in here))).leaves
    assert len(expected) == len(program.outputs)
    for number, right, before in zip(program.outputs, expected, at_first, strict=True):
        bound = 0.0 if errors[number] is None else 2 * errors[number]
        assert np.shape(right) == values[number].shape
        assert np.all(np.abs(values[number] - right) <= bound)
        assert not np.any(np.abs(right - before) > 0) or np.any(values[number] != before)


@pytest.mark.parametrize("name", ["entrywise arithmetic", "reduced means", "moved joined", "views"])
def test_formats_are_those_that_numpy_gives(name):
    here = [x.astype(np.float32) for x in _points(ALL[name])[0]]
    program = subject.subject(ALL[name], here).primal()
    expected = leaves.tree(ALL[name](*(x.copy() for x in here))).leaves
    formats = [program.operations[x].format for x in program.outputs]
    assert formats == [np.asarray(x).dtype.name for x in expected]


REFUSED = {
    "a fresh array": (lambda x: _write(np.zeros(3), x), "zeros_like"),
    "adding to a fresh array": (lambda x: _add(np.zeros(3), x), "zeros_like"),
    "np.array": (lambda x: np.array([x[0], x[1]]), "np.stack"),
    "float": (lambda x: float(x.sum()), "return and use the array itself"),
    "math": (lambda x: __import__("math").exp(x[0]), "functions of NumPy"),
    "item": (lambda x: x.sum().item(), "return and use the array itself"),
    "logsumexp": (lambda x: special.logsumexp(x), r"logsumexp .*write np\.logaddexp\.reduce"),
    "an unknown function": (lambda x: np.fft.fft(x), "numpy.fft.fft .*reference="),
    "an unknown ufunc": (lambda x: special.j0(x), "j0 .*reference="),
    "an attribute": (lambda x: x.flat, r"\.flat .*reference="),
    "complex numbers": (lambda x: x * 1j, "complex numbers"),
}


def _write(z, x):
    z[:] = x
    return z


def _add(z, x):
    z += x
    return z


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_says_where_and_what_to_write(name):
    function, words = REFUSED[name]
    trial = subject.subject(function, [np.array([0.5, 1.5, -1.0])])
    with pytest.raises(Unreadable, match=words) as refused:
        trial.primal()
    assert "test_numpy_functions.py:" in str(refused.value)


def test_decisions_are_recorded_with_their_line():
    def branching(x):
        if x[0] > 0:
            return x[np.argmax(x)]
        return x[1]

    holds = subject.subject(branching, [np.array([0.5, 1.5])]).primal().holds
    assert len(holds) == 2
    assert holds[0].startswith("the branch at ")
    assert "np.argmax at " in holds[1]
    assert all("test_numpy_functions.py:" in sentence for sentence in holds)


def test_the_arguments_stay_as_they_are():
    x = np.ones((2, 3))
    subject.subject(_scattered, [x, x.copy()]).primal()
    assert np.all(x == 1)


def test_exceptions_of_the_function_come_through():
    def broken(x):
        return x @ np.ones((7, 2))

    with pytest.raises(ValueError, match="mismatch"):
        subject.subject(broken, [np.ones(3)]).primal()


BITWISE = (np.bitwise_and, np.bitwise_or, np.bitwise_xor)
UFUNCS = [u for u in ufuncs.RULES if isinstance(u, np.ufunc) and u.signature is None]


def _grid(rng, count):
    sizes = 2.0 ** rng.uniform(-30, 9, count)
    return np.concatenate([sizes, -sizes, rng.uniform(-3, 3, count), rng.random(count)])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("ufunc", UFUNCS, ids=lambda ufunc: ufunc.__name__)
def test_each_ufunc_is_within_the_errors_of_what_it_is_written_down_as(ufunc, dtype):
    """What is a composition here is one function there, with its own accuracy."""
    rng = np.random.default_rng(4)
    given = [rng.permutation(_grid(rng, 60)).astype(dtype) for _ in range(ufunc.nin)]
    if "logical" in ufunc.__name__ or ufunc in (np.invert, *BITWISE):
        given = [x > 0 for x in given]
        got = subject.subject(lambda x: ufunc(*given[1:], x > 0) * x, [np.ones(240)]).primal()
        assert got.outputs
        return
    with np.errstate(all="ignore"):
        right = ufunc(*given)
        kept = np.isfinite(right.astype(float))
        given, right = [x[kept] for x in given], right[kept]
        program = subject.subject(ufunc, given).primal()
    balls = enclose(program, given)[0]
    errors = analyse(program, evaluate(program, given), Promise(library="numpy"))
    error = errors[program.outputs[0]]
    if right.dtype == bool:
        assert np.array_equal(balls.astype(bool), right)
        return
    allowed = np.zeros(right.shape) if error is None else error
    with working_precision(128):
        beyond = [
            (x, float(number), str(ball), bound)
            for x, number, ball, bound in zip(
                zip(*given, strict=True), right, balls, allowed, strict=True
            )
            if np.isfinite(bound) and abs(ball - float(number)) > float(bound)
        ]
    assert beyond == []
