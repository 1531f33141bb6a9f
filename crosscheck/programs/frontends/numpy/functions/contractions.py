"""Products that sum over axes: matmul, dot, tensordot, einsum and their relatives."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from crosscheck.arithmetic.primitives.row import Array
from crosscheck.programs.frontends.numpy.recorder import REFERENCE, Recorder, format_of, unread
from crosscheck.programs.frontends.numpy.traced_array import numbers


def matrix_product(recorder: Recorder, format: str, x: Any, y: Any) -> int:
    """x @ y as np.matmul has it: vectors get an axis for the product, stacks are broadcast."""
    left, right = recorder.number(x, format), recorder.number(y, format)
    first, second = np.shape(numbers(x)), np.shape(numbers(y))
    rows = first if len(first) > 1 else (1, *first)
    columns = second if len(second) > 1 else (*second, 1)
    stack = np.broadcast_shapes(rows[:-2], columns[:-2])
    left = recorder.broadcast(recorder.reshaped(left, rows), (*stack, *rows[-2:]))
    right = recorder.broadcast(recorder.reshaped(right, columns), (*stack, *columns[-2:]))
    product = recorder.emit("dot", left, right, format=format)
    shape = (*stack, *rows[-2:-1][: len(first) > 1], *columns[-1:][: len(second) > 1])
    return recorder.reshaped(product, shape)


def _loop(*arrays: Any) -> str:
    return format_of(np.result_type(*(numbers(x) for x in arrays)))


def _dot(recorder: Recorder, x: Any, y: Any, out: Any = None) -> Any:
    """np.dot: a product by a number, or over the last axis of x and the last but one of y."""
    if np.ndim(x) == 0 or np.ndim(y) == 0:
        return np.multiply(x, y)
    return _tensordot(recorder, x, y, ((np.ndim(x) - 1,), (max(np.ndim(y) - 2, 0),)))


def _inner(recorder: Recorder, x: Any, y: Any) -> Any:
    if np.ndim(x) == 0 or np.ndim(y) == 0:
        return np.multiply(x, y)
    return _tensordot(recorder, x, y, ((np.ndim(x) - 1,), (np.ndim(y) - 1,)))


def _tensordot(recorder: Recorder, x: Any, y: Any, axes: Any = 2) -> Any:
    """Σ over pairs of axes, as one matrix product."""
    value = np.tensordot(numbers(x), numbers(y), axes)
    first, second = _paired(axes, np.ndim(x), np.ndim(y))
    format = _loop(x, y)
    kept_x = [axis for axis in range(np.ndim(x)) if axis not in first]
    kept_y = [axis for axis in range(np.ndim(y)) if axis not in second]
    left = _matrix(recorder, recorder.number(x, format), kept_x, first)
    right = _matrix(recorder, recorder.number(y, format), second, kept_y)
    product = recorder.emit("dot", left, right, format=format)
    return recorder.array(recorder.reshaped(product, value.shape), value)


def _paired(axes: Any, n: int, m: int) -> tuple[list[int], list[int]]:
    """Which axes of x go with which of y."""
    if isinstance(axes, (int, np.integer)):
        return list(range(n - int(axes), n)), list(range(int(axes)))
    first, second = (np.atleast_1d(part).tolist() for part in axes)
    return [axis % n for axis in first], [axis % m for axis in second]


def _matrix(recorder: Recorder, number: int, rows: Sequence[int], columns: Sequence[int]) -> int:
    """A value with these axes as rows and those as columns."""
    shape = recorder.builder.shape(number)
    sides = tuple(int(np.prod([shape[a] for a in axes], dtype=int)) for axes in (rows, columns))
    return recorder.reshaped(_ordered(recorder, number, [*rows, *columns]), sides)


def _ordered(recorder: Recorder, number: int, order: Sequence[int]) -> int:
    if list(order) == sorted(order):
        return number
    return recorder.emit("transpose", number, axes=tuple(order))


def _outer(recorder: Recorder, x: Any, y: Any, out: Any = None) -> Any:
    return np.multiply(np.reshape(x, (-1, 1)), np.reshape(y, (1, -1)))


def _kron(recorder: Recorder, x: Any, y: Any) -> Any:
    """Each entry of x times all of y."""
    dims = max(np.ndim(x), np.ndim(y))
    first = (1,) * (dims - np.ndim(x)) + np.shape(x)
    second = (1,) * (dims - np.ndim(y)) + np.shape(y)
    spread = tuple(n for side in first for n in (side, 1))
    repeated = tuple(n for side in second for n in (1, side))
    product = np.multiply(np.reshape(x, spread), np.reshape(y, repeated))
    return np.reshape(product, tuple(n * m for n, m in zip(first, second, strict=True)))


def _cross(recorder: Recorder, x: Any, y: Any, axis: int = -1) -> Any:
    """(y₁z₂ - z₁y₂, …) of vectors of three entries."""
    x, y = np.moveaxis(x, axis, -1), np.moveaxis(y, axis, -1)
    if np.shape(x)[-1] != 3 or np.shape(y)[-1] != 3:
        unread("np.cross of vectors of two entries", REFERENCE)
    after, before = [1, 2, 0], [2, 0, 1]
    product = x[..., after] * y[..., before] - x[..., before] * y[..., after]
    return np.moveaxis(product, -1, axis)


def _einsum(
    recorder: Recorder, subscripts: Any, *arrays: Any, optimize: Any = False, out: Any = None
) -> Any:
    """Two operands as a matrix product, more as one sum of products, as NumPy makes them."""
    if not isinstance(subscripts, str):
        unread("np.einsum with lists of axes", "give the subscripts as text")
    terms, result = _subscripts(subscripts, [np.ndim(x) for x in arrays])
    if optimize is not False and len(arrays) > 2:
        return _stepwise(terms, result, list(arrays), optimize)
    value = np.einsum(subscripts, *(numbers(x) for x in arrays))
    format = _loop(*arrays)
    parts = [
        _diagonal(recorder, recorder.number(x, format), term)
        for x, term in zip(arrays, terms, strict=True)
    ]
    if len(parts) == 2 and _is_product(parts[0][1], parts[1][1], result):
        number = _pairwise(recorder, parts[0], parts[1], result)
    else:
        number = _sum_of_products(recorder, parts, result)
    return recorder.array(number, value)


def _subscripts(subscripts: str, dims: Sequence[int]) -> tuple[list[str], str]:
    """Each operand's letters, and the result's; an ellipsis as letters of its own."""
    given, arrow, result = subscripts.replace(" ", "").partition("->")
    terms = given.split(",")
    letters = [chr(number) for number in range(ord("α"), ord("ω")) if number != ord("ς")]
    widths = [
        n - len(t.replace("...", "")) if "..." in t else 0 for t, n in zip(terms, dims, strict=True)
    ]
    most = max(widths, default=0)
    expanded = [
        term.replace("...", "".join(letters[most - width : most]))
        for term, width in zip(terms, widths, strict=True)
    ]
    spread = "".join(letters[:most])
    if arrow:
        return expanded, result.replace("...", spread)
    once = sorted({c for c in "".join(terms) if c != "." and "".join(terms).count(c) == 1})
    return expanded, spread + "".join(once)


def _stepwise(terms: list[str], result: str, arrays: list[Any], optimize: Any) -> Any:
    """Two operands at a time, in the order that NumPy takes."""
    text = ",".join(terms) + "->" + result
    if not text.isascii():
        unread("np.einsum with an ellipsis and optimize", "leave optimize out")
    path = np.einsum_path(text, *(numbers(x) for x in arrays), optimize=optimize)[0]
    for places in path[1:]:
        chosen = sorted(places, reverse=True)
        picked = [(arrays.pop(p), terms.pop(p)) for p in chosen]
        needed = set("".join(terms)) | set(result)
        inner = "".join(sorted({c for _, t in picked for c in t} & needed))
        kept = result if not terms else inner
        sub = ",".join(term for _, term in picked) + "->" + kept
        arrays.append(np.einsum(sub, *(array for array, _ in picked)))
        terms.append(kept)
    return arrays[0]


def _diagonal(recorder: Recorder, number: int, term: str) -> tuple[int, str]:
    """A value whose letters are each there once."""
    letters = "".join(dict.fromkeys(term))
    if letters == term:
        return number, term
    shape = recorder.builder.shape(number)
    names = {c: chr(ord("a") + place) for place, c in enumerate(letters)}
    plain = "".join(names[c] for c in term) + "->" + "".join(names[c] for c in letters)
    index = np.einsum(plain, np.arange(int(np.prod(shape))).reshape(shape))
    return recorder.rearranged([number], index), letters


def _is_product(x: str, y: str, result: str) -> bool:
    """Whether each letter that is summed is in both operands."""
    return all((c in x and c in y) for c in set(x + y) - set(result))


def _pairwise(recorder: Recorder, x: tuple[int, str], y: tuple[int, str], result: str) -> int:
    """Stacks of matrix products: letters in both and in the result are the stack's."""
    lengths = _lengths(recorder, [x, y])
    summed = [c for c in x[1] if c not in result]
    stack = [c for c in x[1] if c in y[1] and c in result]
    rows = [c for c in x[1] if c not in y[1]]
    columns = [c for c in y[1] if c not in x[1]]
    if not summed:
        return _sum_of_products(recorder, [x, y], result)
    left = _arranged(recorder, x, [stack, rows, summed], lengths)
    right = _arranged(recorder, y, [stack, summed, columns], lengths)
    product = recorder.emit("dot", left, right)
    letters = [*stack, *rows, *columns]
    full = recorder.reshaped(product, [lengths[c] for c in letters])
    return _ordered(recorder, full, [letters.index(c) for c in result])


def _lengths(recorder: Recorder, parts: Sequence[tuple[int, str]]) -> dict[str, int]:
    lengths: dict[str, int] = {}
    for number, letters in parts:
        for c, n in zip(letters, recorder.builder.shape(number), strict=True):
            lengths[c] = max(lengths.get(c, 1), n)
    return lengths


def _arranged(
    recorder: Recorder,
    part: tuple[int, str],
    groups: Sequence[Sequence[str]],
    lengths: Mapping[str, int],
) -> int:
    """A value with its axes in these groups, each but the first one axis."""
    number, letters = part
    shape = tuple(lengths[c] for c in letters)
    full = recorder.broadcast(number, shape)
    moved = _ordered(recorder, full, [letters.index(c) for group in groups for c in group])
    sides = [int(np.prod([lengths[c] for c in group], dtype=int)) for group in groups[1:]]
    return recorder.reshaped(moved, [*(lengths[c] for c in groups[0]), *sides])


def _sum_of_products(recorder: Recorder, parts: Sequence[tuple[int, str]], result: str) -> int:
    """All products, summed at once."""
    lengths = _lengths(recorder, parts)
    letters = [*result, *(c for c in lengths if c not in result)]
    product: int | None = None
    for number, own in parts:
        order = sorted(range(len(own)), key=lambda place: letters.index(own[place]))
        moved = _ordered(recorder, number, order)
        shape = recorder.builder.shape(moved)
        spread = dict(zip((own[place] for place in order), shape, strict=True))
        factor = recorder.reshaped(moved, [spread.get(c, 1) for c in letters])
        product = factor if product is None else recorder.emit("mul", product, factor)
    assert product is not None
    product = recorder.broadcast(product, [lengths[c] for c in letters])
    axes = tuple(range(len(result), len(letters)))
    return recorder.emit("sum", product, axes=axes) if axes else product


def _vdot(recorder: Recorder, x: Any, y: Any) -> Any:
    return np.dot(np.ravel(x), np.ravel(y))


def _norm(
    recorder: Recorder, x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False
) -> Any:
    """The 2-norm of vectors and Frobenius norm as a root of squares; 1 and ∞ of vectors."""
    single = isinstance(axis, (int, np.integer)) or (axis is None and np.ndim(x) == 1)
    if ord in (None, "fro") or (ord == 2 and single):
        return np.sqrt(np.sum(np.square(x), axis=axis, keepdims=keepdims))
    if single and ord == 1:
        return np.sum(np.abs(x), axis=axis, keepdims=keepdims)
    if single and ord in (np.inf, -np.inf):
        choose: Callable[..., Array] = np.max if ord > 0 else np.min
        return choose(np.abs(x), axis=axis, keepdims=keepdims)
    unread(f"np.linalg.norm with ord={ord}", REFERENCE)


FUNCTIONS: Mapping[Any, Callable[..., Any]] = {
    np.dot: _dot,
    np.inner: _inner,
    np.outer: _outer,
    np.tensordot: _tensordot,
    np.einsum: _einsum,
    np.vdot: _vdot,
    np.kron: _kron,
    np.cross: _cross,
    np.linalg.norm: _norm,
    np.linalg.vector_norm: lambda recorder, x, axis=None, keepdims=False, ord=2: _norm(
        recorder, np.ravel(x) if axis is None else x, ord, axis, keepdims
    ),
}
