r"""What the paper needs and does not print, in the form of its printed equations.

Ids ending in ′ are the correct equation where the printed one fails under a reading: S1′, S2′,
S3′ under `sigmoid`; N2′, S4′, S5′, S6′ at the output under `identity`. U1 to U3 are gaps of any
reading. G1 to G6 are C2, C3 and S4 to S9 with the cost's derivative multiplied in first, which
is the same sum in another order: δ^l_(i,j) = ∂cost/∂z^l_(i,j), with z^l = σ^{-1}(a^l).

Symbols and axes are those of `equations`; besides ``delta`` (D, n_l), ``delta_next``
(D, n_{l+1}), ``pulled_back`` (D, n_l) = ∂cost/∂a^l, and ``like``, an array of which only the
shape and the number type matter.
"""

from typing import Any

import numpy as np

from crosscheck.paper.equation import Equation, LeftSide, registrar
from crosscheck.paper.equations import EQUATIONS, preactivation

UNPRINTED: dict[str, Equation] = {}
"""The unprinted equations by id."""

unprinted = registrar(UNPRINTED)


@unprinted(
    "U1",
    r"\frac{\partial a^N_{(i,j)}}{\partial a^N_{(i,t)}}",
    r"1 \ \mathrm{if} \ j = t \ \mathrm{else} \ 0",
    "the start of the recursion",
    LeftSide("output", "a", at="N"),
)
def start(a_output: Any) -> Any:
    """∂a^N_(i,j)/∂a^N_(i,t) = 1 if j = t else 0.

    Returns (1, n_N, n_N) in the number type of `a_output`. S8 at l = N-1 cannot do without it.

    >>> start(np.array([[7.0, 8.0]]))
    array([[[1., 0.],
            [0., 1.]]])
    """
    return np.eye(a_output.shape[1], dtype=a_output.dtype)[None]


@unprinted(
    "U2",
    r"\frac{\partial a^N_{(i,j)}}{\partial w^N_{(m,t)}}",
    r"\frac{\partial a^N_{(i,j)}}{\partial w^N_{(m,j)}} \ \mathrm{if} \ t = j \ \mathrm{else} \ 0",
    "the output layer",
    LeftSide("output", "w", at="N"),
)
def zeros_off_the_diagonal_weight(start: Any, output_by_last_weight: Any) -> Any:
    """∂a^N_(i,j)/∂w^N_(m,t) = 0 for t ≠ j, where S2 prints t = j only.

    `output_by_last_weight` (D, n_{N-1}, n_N or 1). Returns (D, n_N, n_{N-1}, n_N).

    >>> zeros_off_the_diagonal_weight(np.eye(2)[None], np.array([[[3.0]]]))[0, :, 0, :]
    array([[3., 0.],
           [0., 3.]])
    """
    return start[:, :, None, :] * output_by_last_weight[:, None, :, :]


@unprinted(
    "U3",
    r"\frac{\partial a^N_{(i,j)}}{\partial b^N_m}",
    r"\frac{\partial a^N_{(i,j)}}{\partial b^N_j} \ \mathrm{if} \ m = j \ \mathrm{else} \ 0",
    "the output layer",
    LeftSide("output", "b", at="N"),
)
def zeros_off_the_diagonal_bias(start: Any, output_by_last_bias: Any) -> Any:
    """∂a^N_(i,j)/∂b^N_m = 0 for m ≠ j, where S3 prints m = j only.

    `output_by_last_bias` (D, n_N). Returns (D, n_N, n_N).

    >>> zeros_off_the_diagonal_bias(np.eye(2)[None], np.array([[1.0, 5.0]]))[0]
    array([[1., 0.],
           [0., 5.]])
    """
    return start * output_by_last_bias[:, None, :]


@unprinted(
    "N2′",
    r"a^N_{(i,j)}",
    r"\sum_{k=1}^{n_{N-1}} w^N_{(k,j)} a^{N-1}_{(i,k)} + b^N_j",
    "the output, identity",
    LeftSide("a", at="N"),
)
def linear_output(w: Any, a_previous: Any, b: Any) -> Any:
    """a^N_(i,j) = Σ_k w^N_(k,j) a^{N-1}_(i,k) + b^N_j: no σ on a linear output.

    >>> linear_output(np.array([[2.0]]), np.array([[3.0]]), np.array([1.0]))
    array([[7.]])
    """
    return preactivation(w, a_previous, b)


@unprinted(
    "S1′",
    r"\frac{\partial a^N_{(i,j)}}{\partial a^{N-1}_{(i,m)}}",
    r"a^N_{(i,j)} (1 - a^N_{(i,j)}) w^N_{(m,j)}",
    "the output layer, sigmoid",
    LeftSide("output", "previous", at="N"),
)
def sigmoid_output_by_last_activation(a_output: Any, w: Any) -> Any:
    """∂a^N_(i,j)/∂a^{N-1}_(i,m) = a^N_(i,j) (1 - a^N_(i,j)) w^N_(m,j): S6 at l + 1 = N.

    Returns (D, n_N, n_{N-1}).

    >>> sigmoid_output_by_last_activation(np.array([[0.5]]), np.array([[8.0]]))
    array([[[2.]]])
    """
    return EQUATIONS["S6"](a_output, w)


@unprinted(
    "S2′",
    r"\frac{\partial a^N_{(i,j)}}{\partial w^N_{(m,j)}}",
    r"a^N_{(i,j)} (1 - a^N_{(i,j)}) a^{N-1}_{(i,m)}",
    "the output layer, sigmoid",
    LeftSide("output", "w", at="N", diagonal=True),
)
def sigmoid_output_by_last_weight(a_output: Any, a_previous: Any) -> Any:
    """∂a^N_(i,j)/∂w^N_(m,j) = a^N_(i,j) (1 - a^N_(i,j)) a^{N-1}_(i,m): S4 at l = N.

    Returns (D, n_{N-1}, n_N).

    >>> sigmoid_output_by_last_weight(np.array([[0.5]]), np.array([[8.0]]))
    array([[[2.]]])
    """
    return EQUATIONS["S4"](a_output, a_previous)


@unprinted(
    "S3′",
    r"\frac{\partial a^N_{(i,j)}}{\partial b^N_j}",
    r"a^N_{(i,j)} (1 - a^N_{(i,j)})",
    "the output layer, sigmoid",
    LeftSide("output", "b", at="N", diagonal=True),
)
def sigmoid_output_by_last_bias(a_output: Any) -> Any:
    """∂a^N_(i,j)/∂b^N_j = a^N_(i,j) (1 - a^N_(i,j)).

    Returns (D, n_N).

    >>> sigmoid_output_by_last_bias(np.array([[0.5]]))
    array([[0.25]])
    """
    return a_output * (1 - a_output)


@unprinted(
    "S4′",
    r"\frac{\partial a^N_{(i,t)}}{\partial w^N_{(m,t)}}",
    r"a^{N-1}_{(i,m)}",
    "the output layer, identity",
    LeftSide("a", "w", at="N", diagonal=True),
)
def linear_activation_by_weight(a_previous: Any) -> Any:
    """∂a^N_(i,t)/∂w^N_(m,t) = a^{N-1}_(i,m): S2 in the place of S4 at l = N.

    Returns (D, n_{N-1}, 1).

    >>> linear_activation_by_weight(np.array([[7.0]]))
    array([[[7.]]])
    """
    return EQUATIONS["S2"](a_previous)


@unprinted(
    "S5′",
    r"\frac{\partial a^N_{(i,t)}}{\partial b^{N-1}_m}",
    r"w^N_{(m,t)} a^{N-1}_{(i,m)} (1 - a^{N-1}_{(i,m)})",
    "l + 1 = N, identity",
    LeftSide("next", "b", at="N-1"),
)
def linear_next_by_bias(w_next: Any, a: Any) -> Any:
    """∂a^N_(i,t)/∂b^{N-1}_m = w^N_(m,t) a^{N-1}_(i,m) (1 - a^{N-1}_(i,m)).

    Returns (D, n_N, n_{N-1}).

    >>> linear_next_by_bias(np.array([[8.0]]), np.array([[0.5]]))
    array([[[2.]]])
    """
    return w_next.T[None] * (a * (1 - a))[:, None, :]


@unprinted(
    "S6′",
    r"\frac{\partial a^N_{(i,k)}}{\partial a^{N-1}_{(i,t)}}",
    r"w^N_{(t,k)}",
    "l + 1 = N, identity",
    LeftSide("next", "a", at="N-1"),
)
def linear_next_by_activation(w_next: Any) -> Any:
    """∂a^N_(i,k)/∂a^{N-1}_(i,t) = w^N_(t,k): S1 in the place of S6 at l + 1 = N.

    Returns (1, n_N, n_{N-1}).

    >>> linear_next_by_activation(np.array([[8.0]]))
    array([[[8.]]])
    """
    return EQUATIONS["S1"](w_next)


@unprinted(
    "G1",
    r"\frac{\partial cost}{\partial a^N_{(i,j)}}",
    r"\frac{2}{D} (a^N_{(i,j)} - expected_{(i,j)})",
    "the output layer",
)
def residual(a_output: Any, expected: Any) -> Any:
    """∂cost/∂a^N_(i,j) = 2/D (a^N_(i,j) - expected_(i,j)).

    Returns (D, n_N).

    >>> residual(np.array([[3.0]]), np.array([[1.0]]))
    array([[4.]])
    """
    return (a_output - expected) * 2 / len(a_output)


@unprinted(
    "G2",
    r"\delta^l_{(i,j)}",
    r"\frac{\partial cost}{\partial a^l_{(i,j)}} a^l_{(i,j)} (1 - a^l_{(i,j)})",
    "every sigmoid layer",
)
def delta(pulled_back: Any, a: Any) -> Any:
    """δ^l_(i,j) = ∂cost/∂a^l_(i,j) · a^l_(i,j) (1 - a^l_(i,j)).

    Returns (D, n_l).

    >>> delta(np.array([[8.0]]), np.array([[0.5]]))
    array([[2.]])
    """
    return pulled_back * a * (1 - a)


@unprinted(
    "G3", r"\delta^N_{(i,j)}", r"\frac{\partial cost}{\partial a^N_{(i,j)}}", "a linear output"
)
def linear_delta(pulled_back: Any) -> Any:
    """δ^N_(i,j) = ∂cost/∂a^N_(i,j) where the output is linear.

    >>> linear_delta(np.array([[8.0]]))
    array([[8.]])
    """
    return pulled_back


@unprinted(
    "G4",
    r"\frac{\partial cost}{\partial a^l_{(i,t)}}",
    r"\sum_{k=1}^{n_{l+1}} \delta^{l+1}_{(i,k)} w^{l+1}_{(t,k)}",
    "l = 2 … N-1",
)
def pull_back(delta_next: Any, w_next: Any) -> Any:
    """∂cost/∂a^l_(i,t) = Σ_k δ^{l+1}_(i,k) w^{l+1}_(t,k).

    Returns (D, n_l).

    >>> pull_back(np.array([[2.0, 3.0]]), np.array([[10.0, 100.0]]))
    array([[320.]])
    """
    return delta_next @ w_next.T


@unprinted(
    "G5",
    r"\frac{\partial cost}{\partial w^l_{(m,t)}}",
    r"\sum_{i=1}^{D} a^{l-1}_{(i,m)} \delta^l_{(i,t)}",
    "l = 2 … N",
)
def weight_gradient(a_previous: Any, delta: Any) -> Any:
    """∂cost/∂w^l_(m,t) = Σ_i a^{l-1}_(i,m) δ^l_(i,t).

    Returns (n_{l-1}, n_l).

    >>> weight_gradient(np.array([[2.0], [3.0]]), np.array([[10.0], [100.0]]))
    array([[320.]])
    """
    return a_previous.T @ delta


@unprinted(
    "G6", r"\frac{\partial cost}{\partial b^l_m}", r"\sum_{i=1}^{D} \delta^l_{(i,m)}", "l = 2 … N"
)
def bias_gradient(delta: Any) -> Any:
    """∂cost/∂b^l_m = Σ_i δ^l_(i,m).

    Returns (n_l,).

    >>> bias_gradient(np.array([[10.0], [100.0]]))
    array([110.])
    """
    return delta.sum(0)


@unprinted(
    "G7",
    r"\delta^l_{(i,j)}",
    r"\frac{\partial cost}{\partial a^l_{(i,j)}} \sigma(z^l_{(i,j)}) \sigma(-z^l_{(i,j)})",
    "every sigmoid layer, without cancellation",
)
def stable_delta(pulled_back: Any, a: Any, w: Any, a_previous: Any, b: Any, sigma: Any) -> Any:
    """δ^l_(i,j) = ∂cost/∂a^l_(i,j) · σ(z^l_(i,j)) σ(-z^l_(i,j)), with z^l by N1.

    Returns (D, n_l). Equal to G2, but it keeps its digits where σ saturates.

    >>> one = np.array([[1.0]])
    >>> stable_delta(8 * one, one / 2, one, 0 * one, np.zeros(1), lambda z: 1 / (1 + np.exp(-z)))
    array([[2.]])
    """
    return pulled_back * a * sigma(-preactivation(w, a_previous, b))


CORRECTIONS: dict[str, dict[tuple[str, str], str]] = {
    "identity": {
        ("N2", "output"): "N2′",
        ("S4", "output"): "S4′",
        ("S5", "output"): "S5′",
        ("S6", "output"): "S6′",
    },
    "sigmoid": {
        ("S1", "output"): "S1′",
        ("S2", "output"): "S2′",
        ("S3", "output"): "S3′",
    },
}
"""Under each reading, which printed equation fails where, and what is right in its place."""


def printed_table(reading: str) -> dict[str, Equation]:
    """Everything as printed, and the unprinted where nothing is printed.

    The reading decides what the network computes, so at a linear output N2 gives way to N2′.
    """
    table = {**EQUATIONS, **UNPRINTED}
    if reading == "identity":
        table["N2 output"] = UNPRINTED["N2′"]
    return table


def corrected_table(reading: str) -> dict[str, Equation]:
    """The table that holds under `reading`: an entry "S5 output" overrides S5 where l + 1 = N."""
    table = printed_table(reading)
    for (failing, place), right in CORRECTIONS[reading].items():
        table[f"{failing} {place}"] = UNPRINTED[right]
    if reading == "identity":
        table["G2 output"] = UNPRINTED["G3"]
    return table
