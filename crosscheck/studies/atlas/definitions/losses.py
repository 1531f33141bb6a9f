"""Losses, by the prediction or a parameter, and the loss of connectionist classification."""

from collections.abc import Iterator
from fractions import Fraction

from flint import arb

from crosscheck.studies.atlas.definition import Definition, Formula, define, number
from crosscheck.studies.atlas.definitions.several import on
from crosscheck.studies.atlas.mathematics import functions as e, jets as j
from crosscheck.studies.atlas.mathematics.jets import Jet, Number
from crosscheck.studies.atlas.mathematics.matrices import path_log_likelihood

INFINITE = float("inf")
UNIT = (0.0, 1.0)
POSITIVE = (0.0, INFINITE)
SATURATED = (0.0, 40.0, -40.0, 37.0, -37.0, 88.0, -88.0, 700.0, -700.0)


def huber(delta: Number) -> Formula:
    """d²/2, and δ (|d| - δ/2) beyond δ, d = x - ¼."""

    def formula(x: Jet) -> Jet:
        d = j.absolute(x - 0.25)
        return d**2 / 2 if j.less(d, delta) else delta * (d - j.jet(delta) / 2)

    return formula


def entropy(x: Jet) -> Jet:
    """-¼ log x - ¾ log(1 - x)."""
    return -(e.log(x) * 0.25 + e.log1p(-x) * 0.75)


def loss(
    name: str,
    formula: Formula,
    function: str,
    arguments: str,
    domain: tuple[float, float] = (-INFINITE, INFINITE),
    special: tuple[float, ...] = (0.25,),
    argument: str = "input",
) -> Definition:
    """A loss of torch, entry by entry; {0.25} in the arguments is that number in x's format."""
    dotted = f"torch.nn.functional.{function}"
    for value in (-1.0, 0.25, 0.5, 1.0, 2.0, 3.0):
        arguments = arguments.replace(f"{{{value}}}", number("torch", value))
    expression = f'{dotted}({arguments}, reduction="none")'
    return define(name, formula, expression, (), domain, (0, *special), argument)


def ctc(frames: int, argument: int) -> Formula:
    """-log likelihood of the label 1, the first frame's log-probabilities being (x, -1, -2)."""

    def formula(x: Jet) -> Jet:
        first = [x if k == argument else j.jet(-1.0 - 0.5 * k) for k in range(3)]
        others = [[j.jet(-1.0), j.jet(-0.5), j.jet(-2.0)] for _ in range(frames - 1)]
        return -path_log_likelihood([first, *others], (1,))

    return formula


def _ctc_expression(frames: int, argument: int) -> str:
    """torch.nn.functional.ctc_loss of one sequence a number of x."""
    first = ["x" if k == argument else number("torch", -1.0 - 0.5 * k) for k in range(3)]
    other = [number("torch", value) for value in (-1.0, -0.5, -2.0)]
    rows = [f"torch.stack(({', '.join(row)}), -1)" for row in (first, *[other] * (frames - 1))]
    lattice = f"torch.stack(({', '.join(rows)},), 0).reshape({frames}, -1, 3)"
    count = "torch.full((x.numel(),), {}, dtype=torch.long)"
    return (
        f"torch.nn.functional.ctc_loss({lattice}, "
        f"torch.ones((x.numel(), 1), dtype=torch.long), {count.format(frames)}, "
        f'{count.format(1)}, reduction="none").reshape(x.shape)'
    )


def _losses() -> Iterator[Definition]:
    """Losses of one number."""
    yield loss("mse_loss", lambda x: (x - 0.25) ** 2, "mse_loss", "x, {0.25}")
    yield loss("l1_loss", lambda x: j.absolute(x - 0.25), "l1_loss", "x, {0.25}")
    yield loss("huber_loss", huber(1), "huber_loss", "x, {0.25}", special=(0.25, 1.25, -0.75))
    yield loss(
        "smooth_l1_loss", huber(1), "smooth_l1_loss", "x, {0.25}", special=(0.25, 1.25, -0.75)
    )
    yield loss(
        "binary_cross_entropy",
        entropy,
        "binary_cross_entropy",
        "x, {0.25}",
        UNIT,
        (0.25, 0.5),
    )
    yield loss(
        "binary_cross_entropy_with_logits",
        lambda x: e.softplus(x) - x * 0.25,
        "binary_cross_entropy_with_logits",
        "x, {0.25}",
        special=SATURATED,
    )
    yield loss(
        "binary_cross_entropy_with_logits, target 1",
        lambda x: e.softplus(-x),
        "binary_cross_entropy_with_logits",
        "x, {1.0}",
        special=SATURATED,
        argument="input, with target = 1",
    )
    yield loss("kl_div, by the input", _kl, "kl_div", "x, {0.25}")
    yield loss(
        "kl_div, by the target",
        lambda x: x * (e.log(x) - 0.5),
        "kl_div",
        "{0.5}, x",
        POSITIVE,
        argument="target, with input = 0.5",
    )
    yield loss("poisson_nll_loss", lambda x: e.exp(x) - x * 2, "poisson_nll_loss", "x, {2.0}")
    yield loss(
        "gaussian_nll_loss, by the mean",
        lambda x: ((x - 0.25) ** 2 / 2 + arb(2).log()) / 2,
        "gaussian_nll_loss",
        "x, {0.25}, {2.0}",
    )
    yield loss(
        "gaussian_nll_loss, by the variance",
        lambda x: (arb(4) / x + e.log(x)) / 2,
        "gaussian_nll_loss",
        "{1.0}, {3.0}, x",
        (1e-5, INFINITE),
        (4.0,),
        argument="var, with input - target = -2",
    )
    yield loss(
        "hinge_embedding_loss",
        lambda x: j.maximum(1 - x, 0),
        "hinge_embedding_loss",
        "x, {-1.0}",
        special=(1.0,),
    )
    yield loss(
        "soft_margin_loss",
        lambda x: e.softplus(-x),
        "soft_margin_loss",
        "x, {1.0}",
        special=SATURATED,
    )
    yield loss(
        "margin_ranking_loss",
        lambda x: j.maximum(2 - x, 0),
        "margin_ranking_loss",
        "x, {2.0}, {1.0}",
        special=(2.0,),
    )


def _kl(x: Jet) -> Jet:
    return (arb(0.25).log() - x) * 0.25


def _rows_of_losses() -> Iterator[Definition]:
    """Losses of a vector of classes."""
    zeros = "torch.zeros(x.shape, dtype=torch.long)"
    yield on(
        "nll_loss",
        lambda v: -v[0],
        ("x", 1.0, 2.0),
        f"torch.nn.functional.nll_loss({{v}}.reshape(-1, 3), {zeros}.reshape(-1), "
        'reduction="none").reshape(x.shape)',
    )
    yield on(
        "multi_margin_loss",
        lambda v: (j.maximum(1 - v[0] + v[1], 0) + j.maximum(1 - v[0] + v[2], 0)) / 3,
        ("x", 1.0, 2.0),
        f"torch.nn.functional.multi_margin_loss({{v}}.reshape(-1, 3), {zeros}.reshape(-1), "
        'reduction="none").reshape(x.shape)',
        special=(2.0, 3.0),
    )
    yield on(
        "pairwise_distance",
        lambda v: e.norm(*(entry + Fraction(1, 10**6) for entry in v)),
        ("x", 4.0),
        "torch.nn.functional.pairwise_distance({v}, torch.zeros_like({v}))",
    )
    yield on(
        "label smoothing",
        _smoothed,
        ("x", 1.0, -2.0),
        f"torch.nn.functional.cross_entropy({{v}}.reshape(-1, 3), {zeros}.reshape(-1), "
        'reduction="none", label_smoothing=0.25).reshape(x.shape)',
        special=SATURATED,
    )


def _smoothed(v: list[Jet]) -> Jet:
    """Cross entropy with a quarter of the weight spread over all three classes."""
    total = e.logsumexp(*v)
    return total - v[0] * 0.75 - j.total(v) / 12


DEFINITIONS: tuple[Definition, ...] = (
    *_losses(),
    *_rows_of_losses(),
    *(
        define(
            f"ctc_loss over {frames} frames, by the label {argument}",
            ctc(frames, argument),
            _ctc_expression(frames, argument),
            special=(-1, -40, 40),
            argument=f"log_probs[0, {argument}] of {frames} frames",
        )
        for frames, argument in ((1, 1), (2, 0), (2, 1), (3, 1))
    ),
)
