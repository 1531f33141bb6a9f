"""The study of soundness: right functions are not accused, and it does count those that are."""

from pathlib import Path

import numpy as np
import pytest

from crosscheck.studies import soundness

ZOO = Path(__file__).parents[1] / "support" / "zoo"


@pytest.mark.parametrize("format", ["float64", "float32", "float16"])
@pytest.mark.parametrize("name", ["layer norm", "cosine similarity", "sorting loss"])
def test_handwritten_gradients_that_are_right_are_not_accused(name, format):
    zoo = soundness.load(ZOO / "numpy.py")
    entry = next(zoo[key] for key in zoo if name in key)
    rows = [
        row
        for index in range(4)
        for row in soundness.verdicts("numpy", name, entry, format, 0, index)
    ]
    assert {row["verdict"] for row in rows} <= {"CONSISTENT", "INCONCLUSIVE"}


@pytest.mark.parametrize("format", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", ["batch norm", "strided convolution", "transposed convolution"])
def test_kernels_that_round_every_step_in_16_bits_are_not_accused(name, format):
    """PyTorch's batch norm rounds each step where the cotangent is no contiguous array, its
    convolutions of float16 add windows up in float16 (col2im)."""
    pytest.importorskip("torch")
    zoo = soundness.load(ZOO / "torch.py")
    modes = ["backward", "expanded cotangents"]
    rows = soundness.verdicts("torch", name, zoo[name], format, 0, 1, modes)
    assert {row["verdict"] for row in rows} <= {"CONSISTENT", "INCONCLUSIVE"}


def test_an_accusation_is_counted():
    def twice_too_large(x):
        return 4 * x

    zoo = {
        "wrong": (
            lambda x: np.sum(x * x),
            lambda rng, dtype: (rng.normal(size=3),),
            twice_too_large,
        )
    }
    said: list[str] = []
    rows = soundness.study("numpy", zoo, ["float64"], 4, 0, say=said.append)
    counts = soundness.counted(rows)
    assert counts["DEFECT"].sum() == 2
    assert len(said) == 2


def test_what_cannot_be_judged_is_a_row_and_not_the_end():
    def raises(x):
        raise KeyError("mine")

    zoo = {"raises": (raises, lambda rng, dtype: (rng.normal(size=3),), raises)}
    rows = soundness.study("numpy", zoo, ["float64"], 1, 0)
    assert list(rows["verdict"]) == ["ERROR"]
    assert "mine" in rows["reason"][0]
