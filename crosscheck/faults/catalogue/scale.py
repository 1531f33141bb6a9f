"""Mistakes of scale: the right gradient times a factor made of 2, D, n_N and the sign."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from crosscheck.arithmetic.costs import COSTS
from crosscheck.bounds.error_array import Bounded
from crosscheck.faults.catalogue.fault import Fault, Needs, Parameters, Setting, Tensors
from crosscheck.faults.catalogue.places import composed, replaced
from crosscheck.networks.network import Array, Case

GITHUB = "https://github.com/"

Exponents = tuple[int, int, int, int]
"""(sign, of 2, of D, of n_N): the factor is sign · 2^a · D^b · n_N^c."""

WHY = {
    (1, 1, 0, 0): "the cost's 2 counted twice, or the gradient of 2·cost",
    (1, -1, 0, 0): "the 2 of the square forgotten, or a cost with ½",
    (
        -1,
        0,
        0,
        0,
    ): "the sign: expected - a instead of a - expected, or the step instead of the gradient",
    (1, 0, 1, 0): "summed over the samples, not averaged",
    (1, 0, -1, 0): "averaged over the samples twice",
    (1, 0, 0, -1): "averaged over the outputs as well",
    (1, 0, 0, 1): "summed over the outputs once too often",
    (1, -1, 1, 0): "summed over the samples, and the 2 of the square forgotten",
    (1, -1, 0, -1): "averaged over the outputs, and the 2 of the square forgotten",
}
"""What usually brings a factor about."""

SEEN = {
    (1, -1, 0, 0): (GITHUB + "davisking/dlib/issues/1169",),
    (1, 1, 0, 0): (GITHUB + "kuleshov-group/aml-book/issues/17",),
    (-1, 0, 0, 0): (
        GITHUB + "dennybritz/nn-from-scratch/issues/11",
        GITHUB + "iamtrask/Grokking-Deep-Learning/issues/37",
    ),
    (1, 0, 1, 0): (
        GITHUB + "hunkim/DeepLearningZeroToAll/issues/173",
        GITHUB + "ageron/handson-ml/issues/73",
    ),
    (1, 0, -1, 0): (GITHUB + "apache/mxnet/issues/4761",),
    (1, 0, 0, -1): (GITHUB + "pytorch/pytorch/issues/3924",),
    (1, 0, 0, 1): (GITHUB + "apache/mxnet/issues/487",),
    (1, -1, 1, 0): (
        GITHUB + "snowkylin/tensorflow-handbook/issues/23",
        GITHUB + "aimacode/aima-python/pull/845",
    ),
    (1, -1, 1, 1): (GITHUB + "bfortuner/ml-glossary/issues/6",),
}

_POWERS = (
    [(1, a, b, c) for a in (-1, 0, 1) for b in (-1, 0, 1) for c in (-1, 0, 1) if a or b or c]
    + [(1, 2, 0, 0), (1, -2, 0, 0), (1, 0, 2, 0), (1, 0, -2, 0)]
    + [(-1, 0, 0, 0), (-1, 1, 0, 0), (-1, -1, 0, 0), (-1, 0, 1, 0), (-1, 0, -1, 0)]
)
SCALES: Sequence[Exponents] = sorted(_POWERS, key=lambda e: sum(map(abs, e[1:])) + (e[0] < 0))
"""The factors that are looked for, the simplest first."""


def name(exponents: Exponents) -> str:
    """As people write it: "2", "1/D", "-1", "2 n_N / D"."""
    sign, *powers = exponents
    symbols = ("2", "D", "n_N")
    above = [_power(s, p) for s, p in zip(symbols, powers, strict=True) if p > 0]
    below = [_power(s, -p) for s, p in zip(symbols, powers, strict=True) if p < 0]
    text = " ".join(above) or "1"
    if below:
        text += " / " + (f"({' '.join(below)})" if len(below) > 1 else below[0])
    return ("-" if sign < 0 else "") + text


def _power(symbol: str, power: int) -> str:
    if symbol == "2":
        return str(2**power)
    return symbol if power == 1 else f"{symbol}²"


def value(exponents: Exponents, case: Case) -> float:
    """The factor for a case, exact but for one rounding."""
    sign, twos, samples, outputs = exponents
    D, n = float(case.samples), float(case.architecture.widths[-1])
    above = 2.0 ** max(twos, 0) * D ** max(samples, 0) * n ** max(outputs, 0)
    below = 2.0 ** max(-twos, 0) * D ** max(-samples, 0) * n ** max(-outputs, 0)
    return sign * above / below


def reason(exponents: Exponents) -> str:
    """What usually brings the factor about, or nothing."""
    return WHY.get(exponents, "")


def convention(exponents: Exponents, cost: str) -> str | None:
    """The cost whose gradient this factor makes of the declared cost's, if there is one."""
    declared = COSTS[cost]
    for other, known in COSTS.items():
        powers = zip(known.exponents, declared.exponents, strict=True)
        alike = known.quick and known.slope is declared.slope and other != cost
        if alike and exponents == (1, *(x - y for x, y in powers)):
            return other
    return None


def times(tensors: Tensors, factor: float) -> Tensors:
    """Every tensor times a plain factor, in the tensor's own number type."""
    return [t * (t.dtype.type(factor) if isinstance(t, np.ndarray) else factor) for t in tensors]


def _scaled(exponents: Exponents) -> Fault:
    def compute(setting: Setting, _: Parameters) -> Tensors:
        return times(setting.right, value(exponents, setting.case))

    _, _, samples, outputs = exponents
    why = reason(exponents)
    return Fault(
        f"factor {name(exponents)}",
        "scale",
        f"factor {name(exponents)}" + (f" ({why})" if why else ""),
        compute,
        seen=SEEN.get(exponents, ()),
        needs=Needs(samples=1 + (samples != 0), outputs=1 + (outputs != 0)),
        simplicity=0,
    )


def _every_layer(
    identity: str, what: str, factor: Any, samples: int, seen: tuple[str, ...] = ()
) -> Fault:
    """δ scaled again at each layer that it is pulled back to."""

    def compute(setting: Setting, _: Parameters) -> Tensors:
        by = factor(setting.case)

        def pull_back(delta_next: Any, w_next: Any) -> Any:
            return times([delta_next @ w_next.T], by)[0]

        return composed(setting, replaced(setting, "G4", pull_back))

    needs = Needs(layers=3, samples=samples)
    return Fault(identity, "scale", what, compute, seen=seen, needs=needs)


def _times_cost(setting: Setting, _: Parameters) -> Tensors:
    """The gradient times the cost, which is that of half the cost's square."""
    error = setting.composed.activations[-1] - setting.network.expected
    total = (error * error).sum(0).reshape(1, -1).sum(1)
    powers = COSTS[setting.architecture.cost].exponents
    cost = times([total], value((1, *powers), setting.case))[0]
    return [t * cost for t in setting.right]


KNOWN_TO = 2.0**-10
"""A parameter that a gradient leaves open by more than this share is not read from it."""


def doubtful(setting: Setting, number: float, doubt: float) -> Any:
    """A parameter that was read from a gradient, in the setting's number type."""
    inputs = setting.network.inputs
    if isinstance(inputs, np.ndarray):
        return inputs.dtype.type(number)
    return Bounded(np.asarray(number), np.asarray(doubt), inputs.rules)


def _constant(setting: Setting, parameters: Parameters) -> Tensors:
    factor = doubtful(setting, parameters["factor"], parameters.get("doubt", 0.0))
    return [t * factor for t in setting.right]


def _fit_constant(setting: Setting, got: Sequence[Array]) -> Parameters | None:
    """The ratio at the entry that is known best."""
    best, ratio = np.inf, 0.0
    for tensor, values in zip(setting.right, got, strict=True):
        with np.errstate(all="ignore"):
            doubts = (tensor.error + tensor.doubt) / np.abs(tensor.middle)
        doubts[~np.isfinite(doubts)] = np.inf
        where = np.unravel_index(int(np.argmin(doubts)), doubts.shape)
        if doubts[where] < best:
            best, ratio = float(doubts[where]), float(values[where] / tensor.middle[where])
    if not ratio or not np.isfinite(ratio) or best > KNOWN_TO:
        return None
    return {"factor": ratio, "doubt": abs(ratio) * (2 * best + 4 * setting.right[0].rules.u)}


FAULTS: tuple[Fault, ...] = (
    *(_scaled(exponents) for exponents in SCALES),
    Fault(
        "factor D / (D - 1)",
        "scale",
        "divided by D - 1 instead of D",
        lambda setting, _: times(setting.right, setting.samples / max(1, setting.samples - 1)),
        needs=Needs(samples=3),
    ),
    Fault(
        "factor D / (D + 1)",
        "scale",
        "divided by D + 1 instead of D",
        lambda setting, _: times(setting.right, setting.samples / (setting.samples + 1)),
    ),
    _every_layer(
        "factor 2 at each layer",
        "the cost's 2 is multiplied in again at each layer that δ is pulled back to",
        lambda case: 2.0,
        1,
    ),
    _every_layer(
        "factor 1/D at each layer",
        "δ is divided by D again at each layer that it is pulled back to",
        lambda case: 1 / case.samples,
        2,
        seen=(
            "https://community.deeplearning.ai/t/course-1-week-3-planar-assignment-4-5-exercise-6-"
            "backward-propagation-error-for-dw1-values/63071",
        ),
    ),
    Fault(
        "factor of the cost",
        "scale",
        "multiplied by the cost itself, as loss.backward(loss) does",
        _times_cost,
        needs=Needs(squares=True),
        seen=(
            GITHUB + "sotte/pytorch_tutorial/issues/5",
            GITHUB + "tanelp/tiny-diffusion/issues/3",
        ),
    ),
    Fault(
        "factor constant",
        "scale",
        "factor {factor}, the same in every case (a learning rate left in?)",
        _constant,
        variants=({"factor": 0.01}, {"factor": -0.1}),
        fit=_fit_constant,
        shared=("factor",),
        seen=(GITHUB + "gpleiss/nnlr/issues/3",),
        simplicity=3,
    ),
)
