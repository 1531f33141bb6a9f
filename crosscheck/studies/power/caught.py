"""What is said of an engine of which nothing is known but its gradient, and perhaps its order."""

from typing import NamedTuple

from crosscheck.arithmetic.promise import Arithmetic
from crosscheck.networks.network import Array, Gradients
from crosscheck.verdicts.evidence import Evidence
from crosscheck.verdicts.measures import flat
from crosscheck.verdicts.verdict import judge


def arithmetic(dtype: str) -> Arithmetic:
    """The least that can be promised: any order of evaluation, subnormals perhaps flushed."""
    return Arithmetic(dtype, "either", flushes=True)


def of_order(dtype: str) -> Arithmetic:
    """The same of an engine that names its order of evaluation: δ carried backward."""
    return Arithmetic(dtype, "contracted", flushes=True)


def caught(evidence: Evidence, gradients: Gradients, promised: Arithmetic | None = None) -> bool:
    """Whether B proves any tensor wrong: the verdict DEFECT, without the rest of the row."""
    promised = promised or arithmetic(evidence.case.dtype)
    if evidence.bound(promised).overflow:
        return False
    # The wider bound is dear, and needed only beyond the strict one.
    strict = _beyond(evidence, gradients, promised, absolute=False)
    return bool(strict.any()) and bool(
        (strict & _beyond(evidence, gradients, promised, absolute=True)).any()
    )


class Detection(NamedTuple):
    """Whether a tensor is proved wrong, and whether one is at least suspicious."""

    caught: bool
    flagged: bool


def outcome(
    evidence: Evidence, gradients: Gradients, promised: Arithmetic | None = None
) -> Detection:
    """Whether any tensor is a DEFECT, and whether one is that or a SUSPECT, as check() has it.

    The ℓ2 bound, and what follows suspicion by it, is tried only where B proves nothing.
    """
    promised = promised or arithmetic(evidence.case.dtype)
    if caught(evidence, gradients, promised):
        return Detection(True, True)
    rows = judge(evidence, promised, gradients, deep=True)
    verdicts = {row["verdict"] for row in rows}
    return Detection("DEFECT" in verdicts, bool(verdicts & {"DEFECT", "SUSPECT"}))


def _beyond(
    evidence: Evidence, gradients: Gradients, promised: Arithmetic, absolute: bool
) -> Array:
    """The entries beyond B, or beyond B of activations of absolute accuracy only."""
    ruler, got = evidence.ruler, flat([[gradients.tensors()]])
    allowed = flat([[evidence.bound(promised, absolute).tensors]])
    return ruler.beyond(got, ruler.error(got), allowed)
