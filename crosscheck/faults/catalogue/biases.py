"""Mistakes in the gradients of the biases alone."""

from typing import Any

import numpy as np

from crosscheck.faults.catalogue.fault import Fault, Needs
from crosscheck.faults.catalogue.places import HIDDEN, ONCE, misprint

GITHUB = "https://github.com/"
TWO_SAMPLES = Needs(samples=2)


def _bias(identity: str, wrong: Any, sentence: str, **more: Any) -> Fault:
    """A wrong G6."""
    more.setdefault("places", ONCE)
    return misprint(identity, "G6", wrong, sentence, family="bias", **more)


def ones_like(delta: Any) -> Any:
    """A row of ones as long as the layer is wide, plain numbers."""
    dtype = delta.dtype if isinstance(delta, np.ndarray) else np.float64
    return np.ones(delta.shape[1], dtype)


def _from_weights(a_previous: Any, delta: Any) -> Any:
    """The row sums of the weights' gradient."""
    return (a_previous.T @ delta).sum(0)


FAULTS: tuple[Fault, ...] = (
    _bias(
        "bias-mean",
        lambda delta: delta.sum(0) / len(delta),
        "the biases' gradient is a mean over the samples where a sum belongs (δ already holds 1/D)",
        needs=TWO_SAMPLES,
        seen=(
            GITHUB + "kvfrans/notes/issues/5",
            GITHUB + "deeplearning4j/deeplearning4j/pull/366",
        ),
    ),
    _bias(
        "bias-over-neurons",
        lambda delta: delta.sum(0).reshape(1, -1).sum(1) * ones_like(delta),
        "the biases' gradient is summed over the neurons too: one number for the whole layer",
        needs=Needs(least_width=2),
        seen=(GITHUB + "rasbt/stat453-deep-learning-ss21/issues/5",),
    ),
    _bias(
        "bias-shared",
        lambda delta: delta.sum(0).reshape(1, -1).sum(1) * ones_like(delta) / delta.shape[1],
        "all biases of a layer share one gradient, the neurons' mean",
        needs=Needs(least_width=2),
        seen=(GITHUB + "glouw/tinn/issues/30",),
    ),
    _bias(
        "bias-missing",
        lambda delta: delta.sum(0) * 0,
        "the biases' gradient is zero: it was forgotten {place}",
        places=("at every layer", "at the output", "at the first hidden layer"),
        seen=(GITHUB + "mattm/simple-neural-network/issues/5",),
    ),
    _bias(
        "bias-first-sample",
        lambda delta: delta[0],
        "the biases' gradient is that of the first sample alone",
        needs=TWO_SAMPLES,
        seen=(GITHUB + "mlpack/mlpack/pull/3679",),
    ),
    _bias(
        "bias-last-sample",
        lambda delta: delta[-1],
        "the biases' gradient is that of the last sample alone",
        needs=TWO_SAMPLES,
    ),
    _bias(
        "bias-of-next-layer",
        lambda delta_next: delta_next.sum(0),
        "the biases' gradient takes δ of the next layer {place}",
        places=HIDDEN,
        needs=Needs(layers=3, equal_from=1),
    ),
    _bias(
        "bias-before-slope",
        lambda pulled_back: pulled_back.sum(0),
        "the biases' gradient takes the error before σ′ is multiplied in {place}",
        places=("at every layer", "at the output", "at every layer but the last"),
        seen=(GITHUB + "dmelcaz/simple-backprop/pull/5",),
    ),
    _bias(
        "bias-from-weights",
        _from_weights,
        "the biases' gradient is the sum of the weights' gradient over its rows",
        seen=(
            GITHUB
            + "rust0258/Deeplearning.ai-Natural-Language-Processing-Specialization/issues/64",
        ),
    ),
    _bias(
        "bias-times-bias",
        lambda delta, b: delta.sum(0) * b,
        "the biases' gradient is multiplied by the biases",
    ),
    _bias(
        "bias-itself",
        lambda b: b,
        "the biases themselves stand in the place of their gradient",
        seen=(GITHUB + "apache/systemds/pull/2330",),
    ),
    _bias(
        "bias-negated",
        lambda delta: -delta.sum(0),
        "the biases' gradient has the wrong sign",
    ),
    _bias(
        "bias-twice",
        lambda delta: delta.sum(0) * 2,
        "the biases' gradient is counted twice",
        seen=(GITHUB + "nntrainer/nntrainer/pull/219",),
    ),
    _bias(
        "bias-from-activation",
        lambda a: a.sum(0),
        "the biases' gradient sums the activations instead of δ",
        seen=(GITHUB + "pytorch/pytorch/issues/2330",),
    ),
    _bias(
        "bias-over-width",
        lambda delta: delta.sum(0) / delta.shape[1],
        "the biases' gradient is divided by the width of the layer",
        needs=Needs(least_width=2),
    ),
)
