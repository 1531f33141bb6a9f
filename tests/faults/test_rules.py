"""The catalogue of mistakes in rules: the right rules are right, the others are not."""

import numpy as np
import pytest

from crosscheck.faults.catalogue import rules


@pytest.mark.parametrize("name", rules.OPERATIONS)
def test_the_right_rule_of_each_operation_is_its_derivative(name):
    """Against central differences in NumPy: no framework and no rule of ours takes part."""
    operation = rules.OPERATIONS[name]
    rng = np.random.default_rng(1)
    operands = [rng.normal(size=(5, 3)), *(rng.normal(size=s) for s in operation.others(3))]
    value = operation.forward(np, *operands)
    cotangent = rng.normal(size=value.shape)
    gradients = operation.backward(np, value, cotangent, *operands)
    for place, gradient in enumerate(gradients):
        direction = rng.normal(size=operands[place].shape)
        ends = []
        for step in (1e-5, -1e-5):
            moved = list(operands)
            moved[place] = moved[place] + step * direction
            ends.append((operation.forward(np, *moved) * cotangent).sum())
        quotient = (ends[0] - ends[1]) / 2e-5
        assert quotient == pytest.approx((gradient * direction).sum(), rel=1e-6, abs=1e-8)


def test_every_mistake_names_an_operation_and_says_something():
    assert len({mistake.name for mistake in rules.MISTAKES}) == len(rules.MISTAKES)
    for mistake in rules.MISTAKES:
        assert mistake.operation in rules.OPERATIONS
        assert mistake.sentence
    with pytest.raises(ValueError, match="unknown mistake 'nothing': known are factor-half"):
        rules.find("nothing")


@pytest.mark.parametrize("mistake", rules.MISTAKES, ids=lambda mistake: mistake.name)
def test_every_mistake_gives_another_gradient(mistake):
    """In NumPy, on cotangents of no structure; the smallest is 10⁻⁹ of one entry."""
    operation = rules.OPERATIONS[mistake.operation]
    rng = np.random.default_rng(2)
    operands = [rng.normal(size=(5, 3)), *(rng.normal(size=s) for s in operation.others(3))]
    value = operation.forward(np, *operands)
    cotangent = rng.normal(size=value.shape)
    right = operation.backward(np, value, cotangent, *operands)
    wrong = mistake.backward(np, value, cotangent, *operands)
    assert [g.shape for g in wrong] == [g.shape for g in right]
    assert any(np.max(np.abs(w - r)) > 1e-12 for w, r in zip(wrong, right, strict=True))
