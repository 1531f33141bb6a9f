"""Mistakes made on the finished gradient: entries, columns, tensors in the wrong place."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from crosscheck.faults.catalogue.fault import Fault, Needs, Parameters, Setting, Tensors
from crosscheck.faults.catalogue.samples import typed
from crosscheck.faults.catalogue.scale import KNOWN_TO, doubtful
from crosscheck.networks.network import Array

GITHUB = "https://github.com/"


def _on_weights(identity: str, change: Any, sentence: str, **more: Any) -> Fault:
    """A change of every weights' gradient."""

    def compute(setting: Setting, _: Parameters) -> Tensors:
        return [change(t) if which % 2 == 0 else t for which, t in enumerate(setting.right)]

    return Fault(identity, "tensors", sentence, compute, **more)


def _reversed(setting: Setting, _: Parameters) -> Tensors:
    """The layers' gradients from the output to the input."""
    tensors = setting.right
    return [t for k in range(len(tensors) - 2, -1, -2) for t in tensors[k : k + 2]]


def _masked(tensor: Any, index: Any, factor: float) -> Any:
    """The entries at `index` times a factor."""
    mask = np.ones(tensor.shape)
    mask[index] = factor
    return tensor * typed(mask, tensor)


def _changed(tensors: Tensors, which: int, new: Any) -> Tensors:
    return [new if k == which else t for k, t in enumerate(tensors)]


def _zero_row(setting: Setting, _: Parameters) -> Tensors:
    """The first input's row of w2 is zero."""
    tensors = setting.right
    return _changed(tensors, 0, _masked(tensors[0], 0, 0.0))


def _frozen(which: int) -> Any:
    def compute(setting: Setting, _: Parameters) -> Tensors:
        tensors = list(setting.right)
        for k in (which, which + 1):
            tensors[k] = _masked(tensors[k], ..., 0.0)
        return tensors

    return compute


DECAY_RATES = (0.01, 0.0001)
"""What libraries take by default: Keras' regularizers.L2 and AdamW in PyTorch the first, alpha of
scikit-learn's MLPClassifier the second."""


def _decay(setting: Setting, parameters: Parameters) -> Tensors:
    """+ λ w on every weight."""
    tensors = list(setting.right)
    rate = doubtful(setting, parameters["rate"], parameters.get("doubt", 0.0))
    for k, w in enumerate(setting.network.weights):
        tensors[2 * k] = tensors[2 * k] + w * rate
    return tensors


def _fit_decay(setting: Setting, got: Sequence[Array]) -> Parameters | None:
    """λ at the weight where it is known best."""
    best: tuple[float, float] = (np.inf, 0.0)
    for k, w in enumerate(setting.network.weights):
        tensor, values = setting.right[2 * k], got[2 * k]
        u = tensor.rules.u
        with np.errstate(all="ignore"):
            spread = tensor.error + tensor.doubt + 2 * u * np.abs(values)
            doubts = spread / np.abs(w.middle)
            rates = (values - tensor.middle) / w.middle
        doubts[~np.isfinite(doubts)] = np.inf
        where = np.unravel_index(int(np.argmin(doubts)), doubts.shape)
        best = min(best, (float(doubts[where]), float(rates[where])))
    doubt, rate = best
    return {"rate": rate, "doubt": 2 * doubt} if 2 * doubt < KNOWN_TO * abs(rate) else None


def _pick(rng: np.random.Generator, setting: Setting) -> Parameters:
    """An entry, each of all entries as likely, among those that are not zero."""
    tensors = setting.right
    nonzero = [np.argwhere(np.asarray(t) != 0) for t in tensors]
    counts = np.array([len(entries) for entries in nonzero])
    if not counts.any():
        return {"which": 0, "index": (0, 0)}
    drawn = int(rng.integers(counts.sum()))
    which = int(np.searchsorted(np.cumsum(counts), drawn, side="right"))
    entry = nonzero[which][drawn - int(counts[:which].sum())]
    return {"which": which, "index": tuple(int(i) for i in entry)}


def beyond(tensor: Any, values: Array) -> Array:
    """Entries of an engine's tensor that are not within the bounds of an exact one."""
    with np.errstate(invalid="ignore"):
        within = np.abs(values - tensor.middle) <= tensor.error + tensor.doubt
    wrong: Array = ~within
    return wrong


def _lone_entry(setting: Setting, got: Sequence[Array]) -> tuple[int, tuple[int, ...]] | None:
    """The only entry that is beyond its bound, if there is exactly one."""
    found = [
        (which, tuple(int(i) for i in entry))
        for which, (tensor, values) in enumerate(zip(setting.right, got, strict=True))
        for entry in np.argwhere(beyond(tensor, values))
    ]
    return found[0] if len(found) == 1 else None


def _fit_zero(setting: Setting, got: Sequence[Array]) -> Parameters | None:
    lone = _lone_entry(setting, got)
    if lone is None or got[lone[0]][lone[1]] != 0:
        return None
    return {"which": lone[0], "index": lone[1]}


def _fit_entry(setting: Setting, got: Sequence[Array]) -> Parameters | None:
    """The lone wrong entry, if the net has others that vouch for the rest."""
    lone = _lone_entry(setting, got)
    if lone is None or sum(t.size for t in got) < 4:
        return None
    exact = float(setting.right[lone[0]].middle[lone[1]])
    if exact == 0 or not np.isfinite(got[lone[0]][lone[1]]):
        return None
    return {"which": lone[0], "index": lone[1], "factor": float(got[lone[0]][lone[1]]) / exact}


def _zero_entry(setting: Setting, parameters: Parameters) -> Tensors:
    which = parameters["which"]
    return _changed(setting.right, which, _masked(setting.right[which], parameters["index"], 0.0))


PERTURBATIONS = (1e-2, 1e-4, 1e-6, 1e-8, 1e-10, 1e-12)
"""Sizes ε of one wrong entry. None is natural: they show how small a mistake is still seen."""


def _scaled_entry(setting: Setting, parameters: Parameters) -> Tensors:
    which = parameters["which"]
    factor = parameters["factor"] if "factor" in parameters else 1 + parameters["epsilon"]
    return _changed(
        setting.right, which, _masked(setting.right[which], parameters["index"], factor)
    )


def _two_columns(rng: np.random.Generator, setting: Setting) -> Parameters:
    """Two neurons of one layer."""
    widths = setting.architecture.widths
    wide = [k for k, n in enumerate(widths[1:]) if n > 1]
    if not wide:
        return {"which": 0, "columns": (0, 0)}
    layer = wide[int(rng.integers(len(wide)))]
    columns = rng.choice(widths[layer + 1], 2, replace=False)
    return {"which": 2 * layer, "columns": tuple(sorted(int(c) for c in columns))}


def _fit_columns(setting: Setting, got: Sequence[Array]) -> Parameters | None:
    """The one weights' gradient with exactly two wrong columns."""
    found = []
    for which in range(0, len(got), 2):
        wrong = beyond(setting.right[which], got[which])
        columns = np.flatnonzero(wrong.any(0))
        if len(columns):
            found.append((which, tuple(int(c) for c in columns)))
    if len(found) != 1 or len(found[0][1]) != 2:
        return None
    return {"which": found[0][0], "columns": found[0][1]}


def _swapped_columns(setting: Setting, parameters: Parameters) -> Tensors:
    which, (one, other) = parameters["which"], parameters["columns"]
    tensor = setting.right[which]
    order = np.arange(tensor.shape[1])
    order[[one, other]] = order[[other, one]]
    return _changed(setting.right, which, tensor[:, order])


def _refilled(tensor: Any) -> Any:
    """The transposed numbers, row by row, in the right shape."""
    return tensor.T.reshape(*tensor.shape)


FAULTS: tuple[Fault, ...] = (
    _on_weights(
        "transposed",
        lambda t: t.T,
        "the weights' gradients are transposed",
        needs=Needs(equal_from=0, least_width=2),
        seen=(
            GITHUB + "iamtrask/Grokking-Deep-Learning/issues/23",
            GITHUB + "iamtrask/Grokking-Deep-Learning/pull/22",
        ),
        simplicity=0,
    ),
    _on_weights(
        "refilled-in-columns",
        _refilled,
        "the weights' gradients are filled in column by column where rows were meant",
        needs=Needs(least_width=2),
    ),
    _on_weights(
        "rows-shifted",
        lambda t: t[np.roll(np.arange(t.shape[0]), 1)],
        "the rows of the weights' gradients are off by one",
        needs=Needs(least_width=2),
    ),
    _on_weights(
        "columns-shifted",
        lambda t: t[:, np.roll(np.arange(t.shape[1]), 1)],
        "the columns of the weights' gradients are off by one",
        needs=Needs(least_width=2),
    ),
    _on_weights(
        "last-column-missing",
        lambda t: _masked(t, (slice(None), -1), 0.0),
        "the last column of the weights' gradients is zero: a loop ends one too early",
    ),
    _on_weights(
        "magnitude",
        lambda t: t * typed(np.sign(np.asarray(getattr(t, "middle", t), np.float64)), t),
        "the weights' gradients have lost their signs",
    ),
    _on_weights(
        "weights-negated",
        lambda t: -t,
        "the weights' gradients have the wrong sign, the biases' the right one",
    ),
    _on_weights(
        "weights-only-diagonal",
        lambda t: t * typed(np.eye(*t.shape), t),
        "only the diagonal of the weights' gradients is filled in",
        needs=Needs(least_width=2),
    ),
    Fault(
        "layers-reversed",
        "tensors",
        "the layers' gradients come in reversed order, the output's first",
        _reversed,
        needs=Needs(layers=3, equal_from=0),
        simplicity=0,
    ),
    Fault(
        "input-row-missing",
        "tensors",
        "the first input's row of the weights' gradient is zero",
        _zero_row,
    ),
    Fault(
        "all-zero",
        "tensors",
        "every gradient is zero",
        lambda setting, _: [_masked(t, ..., 0.0) for t in setting.right],
        seen=(GITHUB + "paiml/aprender/pull/2188",),
        simplicity=0,
    ),
    Fault(
        "first-layer-missing",
        "tensors",
        "the first layer's gradients are zero: the loop stops one layer too early",
        _frozen(0),
        needs=Needs(layers=3),
        seen=(GITHUB + "facebookresearch/fairseq/issues/3583",),
    ),
    Fault(
        "output-layer-missing",
        "tensors",
        "the output layer's gradients are zero",
        _frozen(-2),
        needs=Needs(layers=3),
        seen=(GITHUB + "dustinstansbury/medal/issues/4",),
    ),
    Fault(
        "weight-decay",
        "tensors",
        "{rate} times the weights is added: a regularisation that the cost does not have",
        _decay,
        variants=tuple({"rate": rate} for rate in DECAY_RATES),
        fit=_fit_decay,
        shared=("rate",),
        seen=(GITHUB + "andersbll/nnet/issues/4",),
        simplicity=2,
    ),
    Fault(
        "entry-zero",
        "tensors",
        "one entry is zero",
        _zero_entry,
        draw=_pick,
        fit=_fit_zero,
        simplicity=2,
    ),
    Fault(
        "entry-scaled",
        "tensors",
        "one entry is wrong, and only one",
        _scaled_entry,
        variants=tuple({"epsilon": epsilon} for epsilon in PERTURBATIONS),
        natural=(),
        draw=_pick,
        fit=_fit_entry,
        simplicity=4,
    ),
    Fault(
        "columns-swapped",
        "tensors",
        "two columns of a weights' gradient are swapped",
        _swapped_columns,
        draw=_two_columns,
        fit=_fit_columns,
        needs=Needs(least_width=2),
        simplicity=2,
    ),
)
