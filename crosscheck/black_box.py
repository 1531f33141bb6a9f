"""What is said of an engine of which nothing is known but its gradient."""

from crosscheck.arithmetic import Arithmetic
from crosscheck.evidence import Evidence
from crosscheck.tensor_errors import TensorErrors
from crosscheck.values import Gradients
from crosscheck.verdict import judge


def arithmetic(dtype: str) -> Arithmetic:
    """The least that can be promised: any order of evaluation, subnormals perhaps flushed."""
    return Arithmetic(dtype, "either", flushes=True)


def caught(evidence: Evidence, gradients: Gradients, promised: Arithmetic | None = None) -> bool:
    """Whether any tensor is proved wrong: the verdict DEFECT, without the rest of the row."""
    promised = promised or arithmetic(evidence.case.dtype)
    if evidence.bound(promised).overflow:
        return False
    return any(
        # The wider bound is dear, and needed only beyond the strict one.
        _beyond(evidence, gradients, which, promised, absolute=False)
        and _beyond(evidence, gradients, which, promised, absolute=True)
        for which in range(len(gradients.tensors()))
    )


def _beyond(
    evidence: Evidence, gradients: Gradients, which: int, promised: Arithmetic, absolute: bool
) -> bool:
    """Whether an entry is beyond B, or beyond B of activations of absolute accuracy only."""
    allowed = evidence.bound(promised, absolute).tensors[which]
    got = gradients.tensors()[which]
    return bool(TensorErrors.of(got, evidence.enclosure, which, allowed).beyond.any())


def flagged(evidence: Evidence, gradients: Gradients, promised: Arithmetic | None = None) -> bool:
    """Whether any tensor is a DEFECT or a SUSPECT once the ℓ2 bound is tried, as check() does."""
    promised = promised or arithmetic(evidence.case.dtype)
    rows = judge(evidence, promised, gradients, deep=True)
    return any(row["verdict"] in ("DEFECT", "SUSPECT") for row in rows)
