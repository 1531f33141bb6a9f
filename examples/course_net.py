"""A two-layer relu and softmax net as courses teach it, checked: python examples/course_net.py"""

import numpy as np

import crosscheck

L2 = 0.001


def gradient(weights, biases, inputs, targets):
    """Scores, shifted exponentials, probabilities, and back; ½ λ ‖W‖² on the weights."""
    (W1, W2), (b1, b2), X, y = weights, biases, inputs, targets.argmax(1)
    num = len(X)
    hidden = np.maximum(0, X @ W1 + b1)
    scores = hidden @ W2 + b2
    probs = np.exp(scores - scores.max(axis=1, keepdims=True))
    probs /= probs.sum(axis=1, keepdims=True)
    dscores = probs
    dscores[range(num), y] -= 1
    dscores /= num
    dhidden = dscores @ W2.T
    dhidden[hidden <= 0] = 0
    dW1, dW2 = X.T @ dhidden + L2 * W1, hidden.T @ dscores + L2 * W2
    return [dW1, dW2], [dhidden.sum(axis=0), dscores.sum(axis=0)]


if __name__ == "__main__":
    report = crosscheck.check(
        gradient, hidden="relu", output="softmax", cost="cross_entropy", l2=L2, layers=3
    )
    report.raise_if_defect()
    print(report.summary().to_string())
