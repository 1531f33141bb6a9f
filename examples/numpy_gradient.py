"""A loss in NumPy and its gradient by hand, in which the bias is averaged and not summed.

Prints:

DEFECT  loss, gradient by args[2] (1), numpy gradient, float64   (case g0-i0-float64)
The rule is wrong: it gives 0.333333 times the derivative (shown in exact arithmetic: no rounding is involved)
Mismatched entries: 1 / 1 (100.0%), the bound allows 1.2e-15
Greatest absolute difference: 0.6882 at args[2][0]: got 0.3440762, exact 1.032229 (0.3333 times)
First wrong operation: gradient, div (numpy_gradient.py:24): another derivative: it gives 0.333333 times the derivative; with the exact value in its place the gradient is right
"""  # noqa: E501

import numpy as np

import crosscheck


def loss(x, w, b):
    return np.sum(np.tanh(x @ w + b) ** 2)


def gradient(x, w, b):
    h = np.tanh(x @ w + b)
    delta = 2 * h * (1 - h * h)
    return delta @ w.T, x.T @ delta, delta.mean(axis=0)


x, w, b = np.arange(6.0).reshape(3, 2) / 4, np.array([[0.5], [-0.25]]), np.array([0.125])
print(crosscheck.gradcheck(loss, x, w, b, gradient=gradient).message())
