"""The checker beside those that people use now, on the same mistakes and the same networks.

A checker catches a mistake if it says that the gradient is wrong.
"""

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from crosscheck.engines import registry
from crosscheck.faults.catalogue.table import FaultyEngine, variants
from crosscheck.networks import sampling
from crosscheck.networks.distribution import Distribution
from crosscheck.networks.network import Array, Case
from crosscheck.studies import other_checkers
from crosscheck.studies.other_checkers import Check
from crosscheck.studies.power.mistakes.viability import ExactGradient, viable

DTYPE = "float64"
"""The precision that gradient checkers are made for."""

SAMPLES, SCALES = (2, 6), (1.0, 5.0)
"""Small networks: a slow gradient check evaluates the cost twice per parameter."""


def networks(count: int, seed: int) -> Iterator[Case]:
    """Small networks that each checker in use takes."""
    for index in range(8, 8 + count):
        width = 2 + index % 4
        of = Distribution((3, 4), (width, width), SAMPLES, scales=SCALES)
        yield sampling.draw(of, seed, index, DTYPE)


def compare(count: int, seed: int) -> pd.DataFrame:
    """A line per checker and kind of mistake: networks where it shows, caught; false alarms.

    Mistakes count where they are viable.
    """
    checks = other_checkers.available()
    lines: list[dict[str, Any]] = []
    right = registry.load("paper-contracted")
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for case in networks(count, seed):
            exact, settings = right.gradients(case).tensors(), ExactGradient(case)
            lines += _judged(checks, case, exact, "no mistake: false alarms")
            for fault, parameters in variants():
                if fault.possible(case) and fault.repeatable and fault.needs.met_by(case):
                    got = FaultyEngine(fault, parameters).gradients(case).tensors()
                    if viable(fault, case, parameters, settings):
                        kind = (
                            fault.family if fault.id != "entry-scaled" else fault.label(parameters)
                        )
                        lines += _judged(checks, case, got, kind)
    frame = pd.DataFrame(lines)
    counts = frame.groupby(["kind", "checker"], sort=False)["caught"].agg(["sum", "size"])
    return counts.reset_index().rename(columns={"sum": "caught", "size": "of"})


def _judged(
    checks: Mapping[str, Check], case: Case, got: list[Array], kind: str
) -> list[dict[str, Any]]:
    return [
        {"kind": kind, "checker": name, "caught": not check(case, got)}
        for name, check in checks.items()
    ]
