"""A function of one's own on trial against the mathematics that it is meant to be.

    import crosscheck.functions
    report = crosscheck.functions.check(my_gelu, definition="gelu")
    report.raise_if_wrong()

The definitions are those of the atlas; another package adds its own by the entry point group
`crosscheck.definitions`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from crosscheck.arithmetic.formats import FORMATS
from crosscheck.studies.atlas import catalogue, engines, rulings
from crosscheck.studies.atlas.definition import FRAMEWORKS, Definition, Own, PublicCall
from crosscheck.studies.atlas.examine import Examined, FunctionTrial, Row, Truth, examine
from crosscheck.studies.atlas.points import DENSITIES

AGAINST = (rulings.WRONG, rulings.INACCURATE, rulings.VALUE)


@dataclass(frozen=True)
class FunctionReport:
    """What was found of a function: a case for each format, with its rows as in the atlas."""

    cases: Sequence[Examined]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong or inaccurate, and something was judged."""
        judged = any(case.counts for case in self.cases)
        return judged and not any(row.ruling in AGAINST for row in self._rows())

    @property
    def errors(self) -> pd.DataFrame:
        """The places of which there is something to say, in the columns of the atlas."""
        return pd.DataFrame(self._rows(), columns=list(Row._fields))

    def _rows(self) -> list[Row]:
        return [row for case in self.cases for row in case.rows]

    def raise_if_wrong(self) -> None:
        """Raises AssertionError with the worst place in each format."""
        worst = [row for case in self.cases for row in case.rows[:1] if row.ruling in AGAINST]
        if worst:
            raise AssertionError("\n".join(_sentence(row) for row in worst))
        if not self.ok:
            said = {said for case in self.cases for said in case.failures.values()}
            raise AssertionError(f"nothing was judged: {'; '.join(sorted(said))}")

    def __str__(self) -> str:
        return "\n".join(_sentence(row) for row in self._rows()) or "nothing to say against it"


def _sentence(row: Row) -> str:
    return (
        f"{row.ruling}: the derivative of {row.function} at {row.at!r} in {row.dtype} ({row.mode}) "
        f"is {row.got!r}, exact {row.exact!r} (relative error {row.relative_error:.2g}, "
        f"condition {row.condition:.2g})"
    )


def check(
    f: Callable[[Any], Any],
    definition: str | Definition,
    *,
    gradient: Callable[[Any], Any] | None = None,
    dtypes: Sequence[str] = ("float64",),
    density: str = "default",
) -> FunctionReport:
    """Judge the derivative of f, a function of an array entry by entry, by a definition.

    Whether f takes tensors of PyTorch or arrays of JAX is tried out, and the framework's own
    differentiation is judged, custom rules included; with `gradient`, f and it take NumPy arrays.
    `definition` is a name of the atlas, such as "gelu", or a Definition. Raises ValueError for a
    name or a format that is not known, and where f takes no framework's arrays.
    """
    unknown = [dtype for dtype in dtypes if dtype not in FORMATS]
    if unknown:
        raise ValueError(f"unknown format {unknown[0]!r}: known are {', '.join(FORMATS)}")
    if density not in DENSITIES:
        raise ValueError(f"unknown density {density!r}: known are {', '.join(DENSITIES)}")
    known = definition if isinstance(definition, Definition) else catalogue.named(definition)
    name = getattr(f, "__qualname__", type(f).__name__)
    own = Own(name, f, gradient)
    framework = "numpy" if gradient is not None else _framework(f, known)
    truth = Truth(known)
    truth.certify()
    call = PublicCall(framework, name, own, known.name)
    return FunctionReport([examine(FunctionTrial(call, dtype, truth, density)) for dtype in dtypes])


def _framework(f: Callable[[Any], Any], definition: Definition) -> str:
    """The framework whose arrays f takes and returns."""
    low, high = (float(np.clip(end, -1, 1)) for end in definition.domain)
    points = np.linspace(low, high, 5)[1:-1]
    reasons = []
    for framework in filter(engines.installed, FRAMEWORKS):
        call = PublicCall(framework, "f", Own("f", f), definition.name)
        try:
            engines.engine(call, "float64", "reverse")(points)
        except engines.Unable as error:
            reasons.append(f"{framework}: {error}")
        else:
            return framework
    raise ValueError(f"the function takes no framework's arrays ({'; '.join(reasons)})")
