"""The stagewise checks examined: one operation of an engine that shows all is done wrong.

One product in coarser operands, or one entry of a gradient off by a little, in networks of the
standard distribution. Where the change is no more than 4u of what was there it is unviable.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from crosscheck.bounds import stagewise
from crosscheck.bounds.error_array import narrowed
from crosscheck.engines import registry
from crosscheck.networks import sampling
from crosscheck.networks.distribution import Distribution
from crosscheck.networks.network import Array, Case, Gradients
from crosscheck.verdicts.evidence import Evidence
from crosscheck.verdicts.verdict import judge

Shown = dict[str, Array]
Spoil = Callable[[Case, Shown, np.random.Generator], str]
FIRST_INDEX = 8
"""The indices below are special cases in every run."""


class Kind(NamedTuple):
    """A mistake in one operation; `suspect` counts a SUSPECT as caught."""

    name: str
    dtype: str
    spoil: Spoil
    suspect: bool = False


def _coarse(operands: str) -> Spoil:
    """One matrix product, drawn among all, with its operands rounded to a coarser format."""

    def spoil(case: Case, shown: Shown, rng: np.random.Generator) -> str:
        products = [s for s in shown if s[0] in "zGw" and s != f"G{case.architecture.layers}"]
        stage = str(rng.choice(products))
        layer = int(stage[1:])
        before = shown.get(f"a{layer - 1}", case.inputs)
        left, right, bias = {
            "z": lambda: (before, case.weights[layer - 2], case.biases[layer - 2]),
            "G": lambda: (shown[f"d{layer + 1}"], case.weights[layer - 1].T, None),
            "w": lambda: (before.T, shown[f"d{layer}"], None),
        }[stage[0]]()
        coarse = narrowed(left, operands) @ narrowed(right, operands)
        shown[stage] = (coarse if bias is None else coarse + bias).astype(case.format.numpy)
        return stage

    return spoil


def scaled(epsilon: float) -> Spoil:
    """One entry of one gradient tensor, drawn among all, times 1 + ε."""

    def spoil(case: Case, shown: Shown, rng: np.random.Generator) -> str:
        stage = str(rng.choice(case.architecture.tensor_names))
        array = shown[stage].copy()
        place = int(rng.integers(array.size))
        array.flat[place] = array.dtype.type(float(array.flat[place]) * (1 + epsilon))
        shown[stage] = array
        return stage

    return spoil


KINDS = (
    Kind("one product with TF32 operands", "float32", _coarse("tf32")),
    Kind("one entry × (1 + 1e-4)", "float32", scaled(1e-4)),
    Kind("one product with float32 operands", "float64", _coarse("float32")),
    Kind("one entry × (1 + 1e-8)", "float64", scaled(1e-8)),
    Kind("one entry × (1 + 1e-12), SUSPECT or worse", "float64", scaled(1e-12), True),
)
"""A new mistake is one entry."""


def trials(cases: int, seed: int) -> pd.DataFrame:
    """A row per kind: viable networks of `cases`, caught, and the interval of the share."""
    engine: Any = registry.load("paper-contracted")
    lines = []
    for number, kind in enumerate(KINDS):
        outcomes = [
            outcome_of(kind, engine, case, np.random.default_rng([seed, number, case.index]))
            for case in networks(cases, seed, kind.dtype)
        ]
        said = [outcome for outcome in outcomes if outcome is not None]
        lines.append([kind.name, kind.dtype, len(said), sum(said)])
    return pd.DataFrame(lines, columns=["mistake", "dtype", "viable", "caught"])


def networks(cases: int, seed: int, dtype: str) -> Iterator[Case]:
    """The default cases from FIRST_INDEX on, in one precision."""
    for index in range(FIRST_INDEX, FIRST_INDEX + cases):
        yield sampling.draw(Distribution(), seed, index, dtype)


def outcome_of(kind: Kind, engine: Any, case: Case, rng: np.random.Generator) -> bool | None:
    """Whether it was caught, or None where it changes nothing to speak of."""
    right = engine.stages(case)
    shown = dict(right)
    stage = kind.spoil(case, shown, rng)
    change = np.abs(shown[stage].astype(float) - right[stage].astype(float))
    if not np.any(change > 4 * case.format.unit_roundoff * np.abs(right[stage].astype(float))):
        return None
    arithmetic = engine.arithmetic(case.dtype)
    if any(check.broken for check in stagewise.checks(case, shown, arithmetic)):
        return True
    return kind.suspect and _suspect(engine, case, shown)


def _suspect(engine: Any, case: Case, shown: Mapping[str, Array]) -> bool:
    weights, biases = (
        [shown[f"{kind}{layer}"] for layer in range(2, case.architecture.layers + 1)]
        for kind in "wb"
    )
    rows = judge(
        Evidence(case), engine.arithmetic(case.dtype), Gradients(None, weights, biases), deep=True
    )
    return any(row["verdict"] in ("SUSPECT", "DEFECT") for row in rows)


SLACK_LAYERS = 4
"""Slack is told for Xavier networks of at most so many layers."""


def slack(cases: int, seed: int) -> pd.DataFrame:
    """A row per dtype: median of bound over largest error, of B, ℓ2 and stages.

    Of the correct `paper-contracted`, tensor by tensor, on Xavier networks with N <= 4.
    """
    engine: Any = registry.load("paper-contracted")
    of = Distribution(layers=(2, SLACK_LAYERS), scales=(1.0,))
    lines = []
    for dtype in ("float32", "float64"):
        rows: list[dict[str, Any]] = []
        for index in range(FIRST_INDEX, FIRST_INDEX + cases):
            case = sampling.draw(of, seed, index, dtype)
            arithmetic = engine.arithmetic(dtype)
            gradients, stages = engine.gradients(case), engine.stages(case)
            rows += judge(Evidence(case), arithmetic, gradients, deep=True, stages=stages)
        frame = pd.DataFrame(rows)
        uses = [1 / frame[name].median() for name in ("bound_use", "l2_use", "stage_use")]
        lines.append([dtype, cases, *uses])
    return pd.DataFrame(lines, columns=["dtype", "networks", "B", "ℓ2", "stage by stage"])
