"""Mistakes in the samples: which of them count, how often, and against what."""

from typing import Any

import numpy as np

from crosscheck.faults.catalogue.fault import Fault, Needs, Parameters, Setting, Tensors
from crosscheck.faults.catalogue.places import composed, replaced
from crosscheck.faults.catalogue.right import equation
from crosscheck.networks.network import Array

GITHUB = "https://github.com/"
BATCH = 8
"""Size of the batches in the mistakes that have batches."""


def _weighted(identity: str, counts: Any, sentence: str, **more: Any) -> Fault:
    """The samples' residuals times `counts(D)`, which should be ones."""

    def compute(setting: Setting, _: Parameters) -> Tensors:
        right = setting.table["G1"]
        weights = np.asarray(counts(setting.samples), np.float64)[:, None]

        def residual(a_output: Any, expected: Any) -> Any:
            return right(a_output, expected) * typed(weights, a_output)

        return composed(setting, {"G1": equation("G1", residual)})

    more.setdefault("needs", Needs(samples=2))
    return Fault(identity, "samples", sentence, compute, **more)


def typed(array: Array, like: Any) -> Array:
    """Plain numbers in the dtype that goes with `like`."""
    return array.astype(like.dtype) if isinstance(like, np.ndarray) else array


def _one_hot(D: int, which: int, value: float = 1.0) -> Array:
    counts = np.zeros(D)
    counts[which] = value
    return counts


def _but(D: int, which: int, value: float, others: float = 1.0) -> Array:
    counts = np.full(D, others)
    counts[which] = value
    return counts


def _batch_means(D: int) -> Array:
    """The mean of the batches' means: samples of a short last batch weigh more."""
    batches = -(-D // BATCH)
    sizes = np.minimum(BATCH, D - BATCH * np.arange(batches))
    return D / (batches * np.repeat(sizes, sizes))


def _shuffled(setting: Setting, _: Parameters) -> Tensors:
    order = np.roll(np.arange(setting.samples), 1)
    right = setting.table["G1"]

    def residual(a_output: Any, expected: Any) -> Any:
        return right(a_output, expected[order])

    return composed(setting, {"G1": equation("G1", residual)})


def _stale_activation(setting: Setting, _: Parameters) -> Tensors:
    """The last sample's activations, left over from a loop, against everybody's δ."""
    last = np.full(setting.samples, setting.samples - 1)

    def gradient(a_previous: Any, delta: Any) -> Any:
        return a_previous[last].T @ delta

    return composed(setting, replaced(setting, "G5", gradient))


def _mean_residual(setting: Setting, _: Parameters) -> Tensors:
    """The residual averaged over the samples before it goes back."""
    right = setting.table["G1"]

    def residual(a_output: Any, expected: Any) -> Any:
        one = right(a_output, expected)
        ones = typed(np.ones((len(a_output), 1)), a_output)
        return one.sum(0).reshape(1, -1) * ones / len(a_output)

    return composed(setting, {"G1": equation("G1", residual)})


FAULTS: tuple[Fault, ...] = (
    _weighted(
        "last-sample-missing",
        lambda D: _but(D, -1, 0),
        "the last sample is left out (and D still divides)",
    ),
    _weighted(
        "last-sample-missing-from-mean",
        lambda D: _but(D, -1, 0, D / max(1, D - 1)),
        "the last sample is left out, and the mean is over the D - 1 others",
        seen=(
            GITHUB + "karpathy/minGPT/pull/31",
            GITHUB + "ageron/handson-ml2/issues/487",
        ),
    ),
    _weighted(
        "first-sample-missing",
        lambda D: _but(D, 0, 0),
        "the first sample is left out (and D still divides)",
    ),
    _weighted(
        "first-sample-twice",
        lambda D: _but(D, 0, 2),
        "the first sample is counted twice",
    ),
    _weighted(
        "last-sample-twice",
        lambda D: _but(D, -1, 2),
        "the last sample is counted twice",
    ),
    _weighted(
        "only-last-sample",
        lambda D: _one_hot(D, -1),
        "only the last sample counts: its gradient overwrites the others (and D still divides)",
        seen=(GITHUB + "karpathy/convnetjs/issues/17",),
    ),
    _weighted(
        "only-last-sample-undivided",
        lambda D: _one_hot(D, -1, D),
        "only the last sample counts, as if it were the only one",
        seen=(GITHUB + "karpathy/convnetjs/issues/17",),
    ),
    _weighted(
        "only-first-sample",
        lambda D: _one_hot(D, 0),
        "only the first sample counts (and D still divides)",
    ),
    _weighted(
        "only-first-sample-undivided",
        lambda D: _one_hot(D, 0, D),
        "only the first sample counts, as if it were the only one",
        seen=(GITHUB + "OuyangKun10/SpaceR/issues/25",),
    ),
    _weighted(
        "every-other-sample",
        lambda D: 1.0 * (np.arange(D) % 2 == 0),
        "every other sample is left out",
    ),
    _weighted(
        "remainder-missing",
        lambda D: 1.0 * (np.arange(D) < D // BATCH * BATCH),
        f"the samples after the last full batch of {BATCH} are left out",
        needs=Needs(samples=BATCH + 1),
        seen=(
            GITHUB + "NervanaSystems/neon/issues/9",
            GITHUB + "cleverhans-lab/cleverhans/pull/20",
        ),
    ),
    _weighted(
        "last-batch-missing",
        lambda D: 1.0 * (np.arange(D) < (D - 1) // BATCH * BATCH),
        f"the last batch of {BATCH} is left out, a full one too",
        needs=Needs(samples=BATCH + 1),
        seen=(
            GITHUB + "nlintz/TensorFlow-Tutorials/pull/49",
            GITHUB + "nagadomi/kaggle-cifar10-torch7/pull/6",
            GITHUB + "siddk/entity-network/issues/7",
        ),
    ),
    _weighted(
        "mean-of-batch-means",
        _batch_means,
        f"the means of batches of {BATCH} are averaged, so a short last batch weighs too much",
        needs=Needs(samples=BATCH + 1),
        seen=(
            GITHUB + "keras-team/keras/issues/20241",
            GITHUB + "OpenNMT/OpenNMT-py/issues/2209",
        ),
    ),
    Fault(
        "targets-shifted",
        "samples",
        "inputs and targets are out of step by one sample",
        _shuffled,
        needs=Needs(samples=2),
        seen=(GITHUB + "mlcommons/GaNDLF/pull/870",),
    ),
    Fault(
        "activation-of-last-sample",
        "samples",
        "the weights' gradient takes the last sample's activations for every sample",
        _stale_activation,
        needs=Needs(samples=2),
    ),
    Fault(
        "residual-averaged",
        "samples",
        "the output's error is averaged over the samples before it is pulled back",
        _mean_residual,
        needs=Needs(samples=2),
        seen=("https://stats.stackexchange.com/questions/436802",),
    ),
)
