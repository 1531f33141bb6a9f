"""check(): the public function, for a gradient that somebody wrote by hand."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from crosscheck import outcome, suite
from crosscheck.engines.callable import CallableEngine, UserFunction
from crosscheck.engines.interface import Engine, Unsupported
from crosscheck.reports import summaries
from crosscheck.values import Distribution


@dataclass(frozen=True)
class Report:
    """What a check found: `errors` and `cases` are frames with the columns of `rows`."""

    errors: pd.DataFrame
    cases: pd.DataFrame
    diagnosis: Any = None

    @property
    def ok(self) -> bool:
        """No DEFECT, no error, and something CONSISTENT."""
        return outcome.exit_status(self.errors, self.cases) == outcome.OK

    def summary(self) -> pd.DataFrame:
        """A line per engine and dtype."""
        return summaries.by_engine(self.errors, self.cases)

    def raise_if_defect(self) -> None:
        """Raises AssertionError with a readable message unless the report is ok."""
        if not self.ok:
            raise AssertionError(self.message())

    def message(self) -> str:
        """What is wrong, in the words of the worst case; empty where nothing is."""
        defects = self.errors[self.errors["verdict"] == "DEFECT"]
        if len(defects):
            return _defect(defects.sort_values("mismatched").iloc[-1])
        failed = summaries.not_covered(self.cases)
        if failed:
            return "\n".join(failed)
        return "" if self.ok else "INCONCLUSIVE  nothing could be confirmed"


def _defect(row: Any) -> str:
    share = row["mismatched"] / row["entries"]
    times = f" ({row['got'] / row['exact']:.4f} times)" if row["exact"] else ""
    return (
        f"DEFECT  {row['engine']}, {row['tensor']} of {row['widths']}, {row['output']} output, "
        f"D = {row['samples']}, {row['dtype']}   (case {row['case']})\n"
        f"Mismatched entries: {row['mismatched']} / {row['entries']} ({share:.1%}), "
        f"the bound allows {row['bound']:.2g}\n"
        f"Greatest absolute difference: {abs(row['got'] - row['exact']):.4g} at "
        f"{row['tensor']}{row['worst_index']}: got {row['got']:.4g}, "
        f"exact {row['exact']:.4g}{times}"
    )


def check(
    gradient: UserFunction,
    *,
    hidden: str = "sigmoid",
    output: str = "identity",
    cost: str = "squared_error",
    layers: tuple[int, int] = (2, 6),
    widths: tuple[int, int] = (1, 64),
    samples: tuple[int, int] = (1, 64),
    cases: int = 100,
    seed: int = 0,
    dtype: str = "float64",
    arrays: str = "numpy",
    against: Sequence[str] = (),
) -> Report:
    """Check gradient(weights, biases, inputs, targets) -> (weight gradients, bias gradients).

    It is called on `cases` random architectures with N in `layers`, n_l in `widths`, D in
    `samples`; weights[k] (n_{l-1}, n_l) and biases[k] (n_l,) for l = k + 2, inputs (D, n_1),
    targets (D, n_N), all of `dtype`. `against` names engines to judge beside it.

    Raises ValueError for an unknown activation, cost, dtype or engine, or an impossible range.
    """
    if arrays != "numpy":
        raise ValueError(f"arrays {arrays!r} is not known: known is numpy")
    distribution = Distribution(layers, widths, samples, output, hidden, cost)
    engine = CallableEngine(gradient)
    crew: dict[str, Engine | Unsupported] = {engine.name: engine, **suite.muster(against)}
    plan = suite.Plan(tuple(crew), (dtype,), cases, seed, distribution)
    frames = suite.run(plan, crew)
    return Report(frames.errors, frames.cases)
