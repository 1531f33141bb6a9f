"""What errors are measured against beside B: the ℓ2 bound, and what the formula loses.

Accuracy is not correctness: an engine can be right, as its formula allows, and have no correct
digit where a (1 - a) cancels. Precision claimed is not precision seen: errors over their
sensitivities estimate the unit roundoff that an engine really works with.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from crosscheck import bound, probabilistic
from crosscheck.arithmetic import Arithmetic
from crosscheck.evaluation import Bound, Trace
from crosscheck.values import Array, Case

CALIBRATION_BITS = 2.4
"""How much smaller errors are than their sensitivities times u, in bits.

Sensitivities take each rounding at its largest. NumPy's plain float32 and float64, on 150 random
architectures each, show 2.4 bits less in the median; no verdict rests on this.
"""

LEAST_ENTRIES = 4
"""Errors that a tensor must have before it tells anything of the roundoff."""


class Parts(NamedTuple):
    """The contracted B, what of it stays when u vanishes, and the digits that a (1 - a) loses.

    They are the same in every order of evaluation.
    """

    plain: Bound
    floor: Bound
    digits_lost: list[float]

    @classmethod
    def of(cls, case: Case, trace: Trace, arithmetic: Arithmetic) -> "Parts":
        plain, floor, stable = bound.with_parts(case, trace, arithmetic)
        most = case.format.digits * np.log10(2)
        with np.errstate(all="ignore"):
            ratios = (b / s for b, s in zip(plain.tensors, stable.tensors, strict=True))
            return cls(plain, floor, [min(_digits(ratio), most) for ratio in ratios])


@dataclass(frozen=True)
class Sensitivities:
    """Tensor by tensor: the ℓ2 bound, standard deviations for u = 1, and lost digits."""

    l2: Sequence[Array]
    deviations: Sequence[Array]
    digits_lost: Sequence[float]

    @classmethod
    def of(
        cls,
        case: Case,
        trace: Trace,
        arithmetic: Arithmetic,
        limits: Sequence[Array],
        deviations: Sequence[Array] | None = None,
        parts: Parts | None = None,
    ) -> "Sensitivities":
        """`limits` is B in the engine's own order, by whose excess the ℓ2 bound is widened.

        `deviations` are what `standard_deviations` gives, and `parts` those of the arithmetic,
        where they are known already.
        """
        plain, floor, lost = parts or Parts.of(case, trace, arithmetic)
        with np.errstate(all="ignore"):
            deviations = deviations or standard_deviations(case, trace, arithmetic)
            factor = probabilistic.confidence(case.architecture.parameters)
            widened = [np.fmax(1.0, b / p) for b, p in zip(limits, plain.tensors, strict=True)]
            l2 = [
                np.nan_to_num((factor * s + least) * wide, nan=np.inf, posinf=np.inf)
                for s, least, wide in zip(deviations, floor.tensors, widened, strict=True)
            ]
        u = case.format.unit_roundoff
        return cls(l2, [s / u for s in deviations], lost)

    def measure(self, errors: Any, which: int) -> dict[str, float]:
        """The columns of a row that these give; `errors` are a tensor's TensorErrors."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            excess = errors.error - errors.radius
            use = np.where(excess <= 0, 0.0, excess / self.l2[which])
        return {
            "l2_use": float(np.fmax.reduce(use, axis=None)),
            "digits_lost": self.digits_lost[which],
            "roundoff_bits": self.roundoff_bits(errors, which),
        }

    def roundoff_bits(self, errors: Any, which: int) -> float:
        """-log₂ of the root mean square of errors over sensitivities; NaN where few tell."""
        deviations = self.deviations[which]
        told = (errors.error > errors.radius) & np.isfinite(deviations) & (deviations > 0)
        if told.sum() < LEAST_ENTRIES or not np.isfinite(errors.error[told]).all():
            return float("nan")
        with np.errstate(over="ignore", under="ignore"):
            ratio = errors.error[told] / deviations[told]
            mean = float(np.sqrt(np.mean(np.square(ratio))))
        return -float(np.log2(mean)) - CALIBRATION_BITS if 0 < mean < np.inf else float("nan")


def standard_deviations(case: Case, trace: Trace, arithmetic: Arithmetic) -> list[Array]:
    """Those of rounding alone: what underflow and flushing add is not random, and comes on top."""
    rounding = Arithmetic(arithmetic.dtype, accumulate=arithmetic.accumulate)
    with np.errstate(all="ignore"):
        return probabilistic.standard_deviations(case, trace, rounding)


def _digits(ratio: Array) -> float:
    """Decimal digits in the median of ratios of bounds; 0 where both bounds are ∞ throughout."""
    told = ratio[~np.isnan(ratio)]
    return float(np.log10(np.fmax(1.0, np.median(told)))) if told.size else 0.0
