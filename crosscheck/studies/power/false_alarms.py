"""Engines that are right, judged on thousands of networks: how often they are accused."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import pandas as pd

from crosscheck.engines.interface import Unsupported
from crosscheck.networks import sampling
from crosscheck.networks.distribution import Distribution
from crosscheck.networks.network import Case, Gradients
from crosscheck.runs import evaluate
from crosscheck.studies.power import caught
from crosscheck.studies.power.extent import Examination
from crosscheck.studies.power.processes import workers
from crosscheck.verdicts.evidence import Evidence

CORRECT = ("paper", "paper-contracted", "paper-stable", "torch.backward", "jax.packed")
"""Correct engines that are cheap enough for thousands of shapes."""

DEAR = ("jax.grad",)
"""Correct engines that compile a program for each shape: they get SOME of the cases."""

SOME = 200
"""Cases on which the dear engines and the ℓ2 bound are tried, at most."""

BLOCK = 100
"""Cases that a process takes at a time."""


class CaseBlock(NamedTuple):
    """Cases of one dtype: the indices start … stop - 1, for these engines."""

    extent: Examination
    engines: tuple[str, ...]
    dtype: str
    start: int
    stop: int


def count(
    extent: Examination, engines: Sequence[str] = (*CORRECT, *DEAR), jobs: int = 1
) -> pd.DataFrame:
    """A line per engine and dtype: its cases and those judged DEFECT (false alarms), and, of
    those on which the ℓ2 bound and what follows it were tried, how many are SUSPECT."""
    blocks = [
        CaseBlock(extent, tuple(engines), dtype, start, min(start + BLOCK, extent.correct))
        for dtype in extent.dtypes
        for start in range(0, extent.correct, BLOCK)
    ]
    rows = [row for found in workers.each(_block, blocks, jobs) for row in found]
    keys, counted = ["engine", "dtype"], ["cases", "false alarms", "with ℓ2", "suspected"]
    frame = pd.DataFrame(rows, columns=[*keys, *counted])
    return frame.groupby(keys, sort=False)[counted].sum().reset_index().sort_values(keys)


def _block(block: CaseBlock) -> list[dict[str, Any]]:
    """The counts of each engine on the block's cases."""
    distribution = Distribution(widths=block.extent.widths)
    cases = [
        sampling.draw(distribution, block.extent.seed, index, block.dtype)
        for index in range(block.start, block.stop)
    ]
    evidence = [Evidence(case) for case in cases]
    return [row for name in block.engines for row in _judged(name, cases, evidence)]


def _judged(
    name: str, cases: Sequence[Case], evidence: Sequence[Evidence]
) -> Iterator[dict[str, Any]]:
    """One engine on cases; nothing where it cannot run."""
    engine: Any = evaluate.load(name)
    if isinstance(engine, Unsupported):
        return
    some = [n for n, case in enumerate(cases) if case.index < SOME]
    taken = some if name in DEAR else list(range(len(cases)))
    found = gradients(engine, [cases[n] for n in taken])
    promised = engine.arithmetic(cases[0].dtype)
    proved = [
        caught.caught(evidence[n], got, promised)
        for n, got in zip(taken, found, strict=True)
        if n not in some
    ]
    tried = [
        caught.outcome(evidence[n], got, promised)
        for n, got in zip(taken, found, strict=True)
        if n in some
    ]
    yield {
        "engine": name,
        "dtype": cases[0].dtype,
        "cases": len(taken),
        "false alarms": sum(proved) + sum(one.caught for one in tried),
        "with ℓ2": len(tried),
        "suspected": sum(one.flagged and not one.caught for one in tried),
    }


def gradients(engine: Any, cases: Sequence[Case]) -> list[Gradients]:
    """Of all cases, together where the engine takes many at a time."""
    if hasattr(engine, "gradients_of"):
        found: list[Gradients] = engine.gradients_of(cases)
        return found
    return [engine.gradients(case) for case in cases]
