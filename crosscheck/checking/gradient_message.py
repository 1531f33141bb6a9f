"""What gradcheck() says to a person of a leaf that is wrong, in the shape of assert_close's."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from crosscheck.programs.trial.judge import OPAQUE, Findings
from crosscheck.programs.trial.stages import Stage
from crosscheck.programs.trial.trial import JudgedMode, Trial

ALSO = 2
"""Further operations that are named, after the first."""


def described(trial: Trial, judged: JudgedMode, leaf: Findings, case: str) -> list[str]:
    """The lines: which leaf, what is wrong, how many entries, how far, and where it begins."""
    subject = trial.subject
    shape = "x".join(map(str, leaf.got.shape)) or "scalar"
    format = next(known.format for known in trial.leaves(judged.mode) if known.path == leaf.path)
    whose = "" if leaf.path == "value" else "gradient by "
    whose = "" if leaf.path.startswith("tangent") else whose
    return [
        f"{leaf.verdict}  {subject.name}, {whose}{leaf.path} ({shape}), {subject.framework} "
        f"{judged.mode}, {format}   (case {case})",
        _reason(leaf, format),
        *_extent(leaf),
        *_places(judged.wrong),
    ]


def _reason(leaf: Findings, format: str) -> str:
    """What is wrong, as a sentence that needs no knowledge of how it was found."""
    if leaf.is_rule and leaf.verdict == "DEFECT":
        return f"{_capital(leaf.reason)} (shown in exact arithmetic: no rounding is involved)"
    if not np.isfinite(leaf.got[leaf.beyond]).all():
        return f"Not finite where the derivative is, and nothing on the way there exceeds {format}"
    if leaf.verdict == "DEFECT" and leaf.rule == OPAQUE:
        return "The numbers are wrong: beyond what rounding may do to the reference"
    if leaf.verdict == "DEFECT":
        return f"The rule is right, its numbers are wrong: beyond what rounding in {format} may do"
    if leaf.rule == OPAQUE and leaf.beyond.any():
        return (
            "Beyond the bound of a plain evaluation, which proves nothing, as the rule cannot be "
            "read: pass reference=, a plain function that f promises to be no worse than"
        )
    return _capital(leaf.reason)


def _capital(sentence: str) -> str:
    return f"{sentence[:1].upper()}{sentence[1:]}"


def _extent(leaf: Findings) -> list[str]:
    """How many entries are beyond the bound, and the worst one."""
    beyond, entries, worst = int(leaf.beyond.sum()), leaf.got.size, leaf.worst
    bound = f"the bound allows {leaf.allowed[worst]:.2g}"
    if not beyond:
        return [f"Within the bound in every entry, {bound}", _greatest(leaf, worst)]
    return [
        f"Mismatched entries: {beyond} / {entries} ({beyond / entries:.1%}), {bound}",
        _greatest(leaf, worst),
    ]


def _greatest(leaf: Findings, worst: tuple[int, ...]) -> str:
    got, exact, radius = leaf.got[worst], leaf.exact[worst], leaf.radius[worst]
    where = f"{leaf.path}{list(worst) if worst else ''}"
    if not np.isfinite(got):
        return f"Worst entry: {where}: got {got}, exact {exact:.7g}{_interval(leaf, worst)}"
    digits = 7 if abs(got - exact) > 1e-5 * abs(exact) else 17
    return (
        f"Greatest absolute difference: {abs(got - exact):.4g} at {where}: got {got:.{digits}g}, "
        f"exact {exact:.{digits}g}{_in_proportion(got, exact, radius)}{_interval(leaf, worst)}"
    )


def _in_proportion(got: float, exact: float, radius: float) -> str:
    """How many times too large it is, or where that is about once, the relative error."""
    if not abs(exact) > radius or got == exact:
        return ""
    off = abs(got / exact - 1)
    if off >= 2.0**-7:
        return f" ({got / exact:.4f} times)"
    return f" (relative error 2^{np.log2(off):.1f})" if off else ""


def _interval(leaf: Findings, worst: tuple[int, ...]) -> str:
    exact, radius = leaf.exact[worst], leaf.radius[worst]
    if not radius > 2.0**-20 * abs(exact) or not np.isfinite(radius):
        return ""
    return f"; at this kink anything in [{exact - radius:.4g}, {exact + radius:.4g}] is right"


def _places(wrong: Sequence[Stage]) -> list[str]:
    lines = [f"First wrong operation: {_place(stage)}" for stage in wrong[:1]]
    return lines + [f"Also wrong: {_place(stage)}" for stage in wrong[1 : 1 + ALSO]]


def _place(stage: Stage) -> str:
    """The operation and its line; a file in the current folder without the way there."""
    here = f"{Path.cwd()}{os.sep}"
    return f"{stage._replace(source=stage.source.removeprefix(here))}: {stage.reason}"
