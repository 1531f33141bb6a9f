r"""The paper's printed equations: one function each, in the order of printing.

*Back Propagation*, A. Filler and N. Menirav, August 2025. Its equations carry no numbers; the
ids are ours. Each function is the right side as printed, evaluated for all samples i and all
neurons at once; nothing is mended here, and some do not hold (see `unprinted`).

Symbols, wherever they occur:

========================  ======================  =======================================
in code                   shape                   in the paper
========================  ======================  =======================================
``w``                     (n_{l-1}, n_l)          w^l_(k,j), from neuron k to neuron j
``b``                     (n_l,)                  b^l_j
``a``                     (D, n_l)                a^l_(i,j)
``a_previous``            (D, n_{l-1})            a^{l-1}_(i,k)
``a_next``, ``w_next``    as a, w of layer l+1    a^{l+1}, w^{l+1}
``a_output``              (D, n_N)                a^N_(i,j)
``expected``              (D, n_N)                expected_(i,j)
``by_activation``         (D, n_N, n_l)           ∂a^N_(i,j)/∂a^l_(i,t)
========================  ======================  =======================================

A Jacobian's axes are (sample i, upper index, lower index): ∂a^N_(i,j)/∂a^l_(i,t) is entry
[i, j, t]. The functions use operators, `sum` and broadcasting alone, so they run on NumPy
arrays of floats, of double-doubles and of balls alike.
"""

from collections.abc import Callable
from typing import Any

from crosscheck.paper.equation import Equation, LeftSide, registrar

EQUATIONS: dict[str, Equation] = {}
"""The printed equations by id, in print order."""

equation = registrar(EQUATIONS)


@equation(
    "N1",
    r"\sigma^{-1}(a^l_{(i,j)})",
    r"\sum_{k=1}^{n_{l-1}} w^l_{(k,j)} a^{l-1}_{(i,k)} + b^l_j",
    "l = 2 … N",
    LeftSide("z"),
)
def preactivation(w: Any, a_previous: Any, b: Any) -> Any:
    r"""σ^{-1}(a^l_(i,j)) = Σ_k w^l_(k,j) a^{l-1}_(i,k) + b^l_j.

    Returns (D, n_l). We call it the pre-activation z^l: at a linear output σ^{-1} is a name only.

    >>> preactivation(np.array([[2.0], [3.0]]), np.array([[1.0, 10.0]]), np.array([0.5]))
    array([[32.5]])
    """
    return a_previous @ w + b


@equation(
    "N2",
    r"a^l_{(i,j)}",
    r"\sigma\left(\sum_{k=1}^{n_{l-1}} w^l_{(k,j)} a^{l-1}_{(i,k)} + b^l_j\right)",
    "l = 2 … N",
    LeftSide("a"),
)
def activation(sigma: Callable[[Any], Any], w: Any, a_previous: Any, b: Any) -> Any:
    r"""a^l_(i,j) = σ(Σ_k w^l_(k,j) a^{l-1}_(i,k) + b^l_j).

    `sigma` is σ, which the paper does not define. Returns (D, n_l).

    >>> one = np.array([[1.0]])
    >>> activation(lambda z: 1 / (1 + np.exp(-z)), one, 0 * one, np.array([0.0]))
    array([[0.5]])
    """
    return sigma(preactivation(w, a_previous, b))


@equation(
    "C1",
    r"cost(X)",
    r"\frac{1}{D}\sum_{i=1}^{D}\sum_{j=1}^{n_N} (a^N_{(i,j)} - expected_{(i,j)})^2",
    "the cost",
    LeftSide("cost", at=""),
)
def cost(a_output: Any, expected: Any) -> Any:
    """cost(X) = 1/D Σ_i Σ_j (a^N_(i,j) - expected_(i,j))².

    Returns a scalar.

    >>> float(cost(np.array([[1.0, 2.0]]), np.array([[0.0, 4.0]])))
    5.0
    """
    return ((a_output - expected) * (a_output - expected)).sum() / len(a_output)


@equation(
    "C2",
    r"\frac{\partial cost}{\partial b^l_m}",
    r"\frac{1}{D}\sum_{i=1}^{D}\sum_{j=1}^{n_N} 2 (a^N_{(i,j)} - expected_{(i,j)})"
    r"\frac{\partial a^N_{(i,j)}}{\partial b^l_m}",
    "l = 2 … N",
    LeftSide("cost", "b"),
)
def cost_by_bias(a_output: Any, expected: Any, output_by_bias: Any) -> Any:
    """∂cost/∂b^l_m = 1/D Σ_i Σ_j 2 (a^N_(i,j) - expected_(i,j)) ∂a^N_(i,j)/∂b^l_m.

    `output_by_bias` (D, n_N, n_l). Returns (n_l,).

    >>> cost_by_bias(np.array([[3.0]]), np.array([[1.0]]), np.array([[[10.0]]]))
    array([40.])
    """
    return _over_samples_and_outputs(a_output, expected, output_by_bias)


@equation(
    "C3",
    r"\frac{\partial cost}{\partial w^l_{(m,t)}}",
    r"\frac{1}{D}\sum_{i=1}^{D}\sum_{j=1}^{n_N} 2 (a^N_{(i,j)} - expected_{(i,j)})"
    r"\frac{\partial a^N_{(i,j)}}{\partial w^l_{(m,t)}}",
    "l = 2 … N",
    LeftSide("cost", "w"),
)
def cost_by_weight(a_output: Any, expected: Any, output_by_weight: Any) -> Any:
    """∂cost/∂w^l_(m,t) = 1/D Σ_i Σ_j 2 (a^N_(i,j) - expected_(i,j)) ∂a^N_(i,j)/∂w^l_(m,t).

    `output_by_weight` (D, n_N, n_{l-1}, n_l). Returns (n_{l-1}, n_l).

    >>> cost_by_weight(np.array([[3.0]]), np.array([[1.0]]), np.array([[[[10.0, 1.0]]]]))
    array([[40.,  4.]])
    """
    return _over_samples_and_outputs(a_output, expected, output_by_weight)


def _over_samples_and_outputs(a_output: Any, expected: Any, jacobian: Any) -> Any:
    """1/D Σ_i Σ_j 2 (a^N_(i,j) - expected_(i,j)) jacobian[i, j, …]: C2 and C3 alike."""
    inner = jacobian.shape[2:]
    residual = (2 * (a_output - expected)).reshape(1, -1)
    total = residual @ jacobian.reshape(residual.size, -1)
    return total.reshape(inner) / len(a_output)


@equation(
    "S1",
    r"\frac{\partial a^N_{(i,j)}}{\partial a^{N-1}_{(i,m)}}",
    r"w^N_{(m,j)}",
    "the output layer",
    LeftSide("output", "previous", at="N"),
)
def output_by_last_activation(w: Any) -> Any:
    """∂a^N_(i,j)/∂a^{N-1}_(i,m) = w^N_(m,j).

    `w` is w^N. Returns (1, n_N, n_{N-1}): the same for every sample.

    >>> output_by_last_activation(np.array([[1.0, 2.0]]))
    array([[[1.],
            [2.]]])
    """
    return w.T[None]


@equation(
    "S2",
    r"\frac{\partial a^N_{(i,j)}}{\partial w^N_{(m,j)}}",
    r"a^{N-1}_{(i,m)}",
    "the output layer",
    LeftSide("output", "w", at="N", diagonal=True),
)
def output_by_last_weight(a_previous: Any) -> Any:
    """∂a^N_(i,j)/∂w^N_(m,j) = a^{N-1}_(i,m).

    `a_previous` is a^{N-1}. Returns (D, n_{N-1}, 1), the same for every j.

    >>> output_by_last_weight(np.array([[7.0]]))
    array([[[7.]]])
    """
    return a_previous[:, :, None]


@equation(
    "S3",
    r"\frac{\partial a^N_{(i,j)}}{\partial b^N_j}",
    r"1",
    "the output layer",
    LeftSide("output", "b", at="N", diagonal=True),
)
def output_by_last_bias(a_output: Any) -> Any:
    """∂a^N_(i,j)/∂b^N_j = 1.

    Returns (D, n_N), ones in the number type of `a_output`, of which only that is used.

    >>> output_by_last_bias(np.array([[7.0, 8.0]]))
    array([[1., 1.]])
    """
    return 0 * a_output + 1


@equation(
    "S4",
    r"\frac{\partial a^l_{(i,t)}}{\partial w^l_{(m,t)}}",
    r"a^l_{(i,t)} (1 - a^l_{(i,t)}) a^{l-1}_{(i,m)}",
    "every l = 2 … N",
    LeftSide("a", "w", diagonal=True),
)
def activation_by_weight(a: Any, a_previous: Any) -> Any:
    """∂a^l_(i,t)/∂w^l_(m,t) = a^l_(i,t) (1 - a^l_(i,t)) a^{l-1}_(i,m).

    Returns (D, n_{l-1}, n_l), entry [i, m, t].

    >>> activation_by_weight(np.array([[0.5]]), np.array([[8.0]]))
    array([[[2.]]])
    """
    return (a * (1 - a))[:, None, :] * a_previous[:, :, None]


@equation(
    "S0",
    r"\frac{\partial \sigma(f(x))}{\partial x_i}",
    r"\sigma(f(x)) (1 - \sigma(f(x))) \frac{\partial f(x)}{\partial x_i}",
    "inline in S5",
    LeftSide("sigma", "previous", at=""),
)
def sigmoid_chain(sigma_of_f: Any, f_by_x: Any) -> Any:
    """∂σ(f(x))/∂x_i = σ(f(x)) (1 - σ(f(x))) ∂f(x)/∂x_i.

    Both of one shape, which is returned.

    >>> sigmoid_chain(np.array([0.5]), np.array([8.0]))
    array([2.])
    """
    return sigma_of_f * (1 - sigma_of_f) * f_by_x


@equation(
    "S5",
    r"\frac{\partial a^{l+1}_{(i,t)}}{\partial b^l_m}",
    r"a^{l+1}_{(i,t)} (1 - a^{l+1}_{(i,t)}) w^{l+1}_{(m,t)} a^l_{(i,m)} (1 - a^l_{(i,m)})",
    "every l = 2 … N-1",
    LeftSide("next", "b"),
)
def next_by_bias(a_next: Any, w_next: Any, a: Any) -> Any:
    """∂a^{l+1}_(i,t)/∂b^l_m = a^{l+1}_(i,t)(1-a^{l+1}_(i,t)) w^{l+1}_(m,t) a^l_(i,m)(1-a^l_(i,m)).

    Returns (D, n_{l+1}, n_l), entry [i, t, m].

    >>> next_by_bias(np.array([[0.5]]), np.array([[16.0]]), np.array([[0.5]]))
    array([[[1.]]])
    """
    return (a_next * (1 - a_next))[:, :, None] * w_next.T[None] * (a * (1 - a))[:, None, :]


@equation(
    "S6",
    r"\frac{\partial a^{l+1}_{(i,k)}}{\partial a^l_{(i,t)}}",
    r"a^{l+1}_{(i,k)} (1 - a^{l+1}_{(i,k)}) w^{l+1}_{(t,k)}",
    "every l = 1 … N-1",
    LeftSide("next", "a"),
)
def next_by_activation(a_next: Any, w_next: Any) -> Any:
    """∂a^{l+1}_(i,k)/∂a^l_(i,t) = a^{l+1}_(i,k) (1 - a^{l+1}_(i,k)) w^{l+1}_(t,k).

    Returns (D, n_{l+1}, n_l), entry [i, k, t].

    >>> next_by_activation(np.array([[0.5]]), np.array([[8.0]]))
    array([[[2.]]])
    """
    return (a_next * (1 - a_next))[:, :, None] * w_next.T[None]


@equation(
    "S7",
    r"\frac{\partial a^N_{(i,j)}}{\partial a^{l+1}_{(i,t)}}",
    r"\sum_{k=1}^{n_{l+2}} \frac{\partial a^N_{(i,j)}}{\partial a^{l+2}_{(i,k)}} \cdot"
    r"\frac{\partial a^{l+2}_{(i,k)}}{\partial a^{l+1}_{(i,t)}}",
    "l+1 = 1 … N-1",
    LeftSide("output", "a", at="l+1"),
)
def output_by_activation(by_activation_next: Any, next_by_activation: Any) -> Any:
    """∂a^N_(i,j)/∂a^{l+1}_(i,t) = Σ_k ∂a^N_(i,j)/∂a^{l+2}_(i,k) · ∂a^{l+2}_(i,k)/∂a^{l+1}_(i,t).

    `by_activation_next` (D, n_N, n_{l+2}), `next_by_activation` (D, n_{l+2}, n_{l+1}).
    Returns (D, n_N, n_{l+1}).

    >>> output_by_activation(np.array([[[2.0, 3.0]]]), np.array([[[10.0], [100.0]]]))
    array([[[320.]]])
    """
    return by_activation_next @ next_by_activation


@equation(
    "S8",
    r"\frac{\partial a^N_{(i,j)}}{\partial b^l_m}",
    r"\sum_{t=1}^{n_{l+1}} \frac{\partial a^N_{(i,j)}}{\partial a^{l+1}_{(i,t)}} \cdot"
    r"\frac{\partial a^{l+1}_{(i,t)}}{\partial b^l_m}",
    "l = 2 … N-1",
    LeftSide("output", "b"),
)
def output_by_bias(by_activation_next: Any, next_by_bias: Any) -> Any:
    """∂a^N_(i,j)/∂b^l_m = Σ_t ∂a^N_(i,j)/∂a^{l+1}_(i,t) · ∂a^{l+1}_(i,t)/∂b^l_m.

    `by_activation_next` (D, n_N, n_{l+1}), `next_by_bias` (D, n_{l+1}, n_l).
    Returns (D, n_N, n_l).

    >>> output_by_bias(np.array([[[2.0, 3.0]]]), np.array([[[10.0], [100.0]]]))
    array([[[320.]]])
    """
    return by_activation_next @ next_by_bias


@equation(
    "S9",
    r"\frac{\partial a^N_{(i,j)}}{\partial w^l_{(m,t)}}",
    r"\frac{\partial a^N_{(i,j)}}{\partial a^l_{(i,t)}} \cdot"
    r"\frac{\partial a^l_{(i,t)}}{\partial w^l_{(m,t)}}",
    "l = 2 … N",
    LeftSide("output", "w"),
)
def output_by_weight(by_activation: Any, activation_by_weight: Any) -> Any:
    """∂a^N_(i,j)/∂w^l_(m,t) = ∂a^N_(i,j)/∂a^l_(i,t) · ∂a^l_(i,t)/∂w^l_(m,t).

    `by_activation` (D, n_N, n_l), `activation_by_weight` (D, n_{l-1}, n_l).
    Returns (D, n_N, n_{l-1}, n_l), entry [i, j, m, t].

    >>> output_by_weight(np.array([[[2.0]]]), np.array([[[10.0], [100.0]]]))
    array([[[[ 20.],
             [200.]]]])
    """
    return by_activation[:, :, None, :] * activation_by_weight[:, None, :, :]
