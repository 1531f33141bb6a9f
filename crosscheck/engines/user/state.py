"""Whether a function gives the same gradient again, and how it differs where it does not."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from crosscheck.engines.interface import Engine, Malformed, require
from crosscheck.networks.network import Array, Case, Gradients

FURTHER_CALLS = 4
"""Calls beyond the second on which a change is told from another; they cost a changing one only."""

ACCUMULATES = (
    "it accumulates: each call on the same arrays adds the same again{twice}; are the gradients "
    "set to zero before each call?"
)
NOISY = (
    "it is noisy: calls on the same arrays differ this way and that; are random numbers drawn, "
    "as in dropout or when samples are shuffled?"
)
CHANGES = (
    "it changes its state: another call on the same arrays returns another gradient; is something "
    "updated or kept between calls, as weights, momentum or a cache?"
)


class Change(NamedTuple):
    """The gradient of a second call on the same arrays that was another, and how it changes."""

    gradients: Gradients
    sentence: str


def change(engine: Engine, case: Case, first: Gradients) -> Change | None:
    """Give the engine the case again; None where the same comes back, bit for bit.

    Whether a difference matters is for the bound to say: the order of a parallel sum may vary.

    Raises Malformed where the second call raises or returns no gradient of the case.
    """
    if not getattr(engine, "keeps_state", False):
        return None
    second = _again(engine, case)
    if _bits(second) == _bits(first):
        return None
    try:
        further = [_again(engine, case) for _ in range(FURTHER_CALLS)]
    except Malformed:
        return Change(second, CHANGES)
    return Change(second, kind([_numbers(g) for g in (first, second, *further)]))


def _again(engine: Engine, case: Case) -> Gradients:
    try:
        gradients = engine.gradients(case)
        require(case, gradients)
    except Malformed as error:
        raise Malformed(f"when it was called again with the same arrays: {error}") from error
    return gradients


def _bits(gradients: Gradients) -> list[bytes]:
    return [tensor.tobytes() for tensor in gradients.tensors()]


def _numbers(gradients: Gradients) -> Array:
    """All entries end to end."""
    return np.concatenate([np.asarray(t, np.float64).ravel() for t in gradients.tensors()])


def kind(calls: Sequence[Array]) -> str:
    """What the gradients of calls on the same arrays, one after the other, look like: a sentence.

    It names what is seen and decides nothing. What accumulates goes on by equal steps; noise
    turns round as often as not, so that neighbouring steps are opposed: their inner product is
    -1/2 of a step's square, expected, for independent calls. Anything else is state.
    """
    with np.errstate(all="ignore"):
        steps = np.diff(np.array(calls), axis=0)
        if not np.isfinite(steps).all():
            return CHANGES
        if _equal(steps, calls[-1]):
            twice = " (the second call returned twice the first)"
            return ACCUMULATES.format(twice=twice if (calls[1] == 2 * calls[0]).all() else "")
        opposed = sum(float(a @ b) for a, b in pairwise(steps))
        return CHANGES if _comes_back(calls) or not opposed < 0 else NOISY


def _comes_back(calls: Sequence[Array]) -> bool:
    """Whether it settles after the first call, or goes round by two or three."""
    return any(
        all((a == b).all() for a, b in zip(calls[begin:], calls[begin + period :], strict=False))
        for begin, period in ((1, 1), (0, 2), (0, 3))
    )


def _equal(steps: Array, last: Array) -> bool:
    """Whether all steps are the same, but for the rounding of what they were added to."""
    rounding = 2.0**-20 * np.abs(last).max()
    return bool(steps.any() and np.abs(steps - steps[0]).max() <= rounding)
