"""The rows between judging and showing: each column once, with its type and its meaning.

Everything after the verdict knows frames of these rows alone.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import pandas as pd

SCHEMA_VERSION = 1


class Column(NamedTuple):
    """A column's pandas dtype and what it says."""

    dtype: str
    meaning: str


_CASE: dict[str, Column] = {
    "case": Column("str", "the case's id, such as s0-i17-float32-sigmoid"),
    "index": Column("int64", "index of the case in its run"),
    "layers": Column("int64", "N, input and output included"),
    "widths": Column("str", "n_1 … n_N, such as 3-5-2"),
    "samples": Column("int64", "D"),
    "hidden": Column("str", "activation of layers 2 … N-1"),
    "output": Column("str", "activation of layer N: the paper's reading"),
    "scale": Column("float64", "the stratum: the factor on Xavier weights (20 saturates); 0: none"),
    "dtype": Column("str", "the precision"),
}

ERRORS: Mapping[str, Column] = {
    **_CASE,
    "engine": Column("str", "the engine's name"),
    "tensor": Column("str", "w2 … bN, with the paper's layer index"),
    "entries": Column("int64", "entries of the tensor"),
    "mismatched": Column("int64", "entries beyond their bound"),
    "max_abs_error": Column("float64", "largest |got - exact|"),
    "max_rel_error": Column("float64", "largest |got - exact| / |exact| where exact ≠ 0"),
    "max_ulp": Column("float64", "largest error in units in the last place at exact"),
    "median_ulp": Column("float64", "median of the same"),
    "effective_bits": Column("float64", "leading bits right in the worst entry, at most p"),
    "bound_use": Column("float64", "largest error / B; above 1 is a defect"),
    "l2_use": Column("float64", "largest error / ℓ2 bound; above 1 is suspect; empty: not tried"),
    "stage": Column("str", "first operation beyond its bound, else the one that uses most of it"),
    "stage_use": Column("float64", "its error / its bound; empty where no stage was checked"),
    "power": Column("float64", "median B / |g|, g ≠ 0: the least relative mistake sure to show"),
    "correct_digits": Column("float64", "right decimal digits in half of the entries, g ≠ 0"),
    "digits_lost": Column("float64", "decimal digits that the formula a(1 - a) may lose here"),
    "roundoff_bits": Column("float64", "estimated unit roundoff, as bits; see `roundoff`"),
    "checks": Column("str", "what was checked: B; ℓ2 and stages where they were"),
    "verdict": Column("str", "CONSISTENT, SUSPECT, DEFECT or INCONCLUSIVE"),
    "reason": Column("str", "why, where the verdict needs one"),
    "worst_index": Column("str", "entry of the greatest absolute error, such as [6, 1]"),
    "got": Column("float64", "the engine's value there"),
    "exact": Column("float64", "the exact value there, rounded to float64"),
    "bound": Column("float64", "B there"),
    "radius": Column("float64", "the true value there is within this of `exact`"),
    "got_hex": Column("str", "`got` as a hexadecimal float"),
    "exact_hex": Column("str", "`exact` as a hexadecimal float"),
}
"""One row per case × engine × tensor."""

GRADIENTS: Mapping[str, Column] = {
    **ERRORS,
    "mode": Column("str", "how the framework differentiated: reverse, forward, jit, backward, …"),
    "first_wrong": Column("str", "the first wrong operation or rule, with file:line; or empty"),
}
"""One row per set of arguments × mode × leaf of a function that gradcheck() was given.

`tensor` is the leaf's path, `widths` the shapes of the arguments, `hidden` their kind.
"""

CASES: Mapping[str, Column] = {
    **_CASE,
    "seed": Column("int64", "the run's seed"),
    "cost": Column("str", "the cost's convention"),
    "special": Column("str", "name of the special case, or empty"),
    "definition": Column("str", "digest of the architecture and of every bit of the numbers"),
    "parameters": Column("int64", "weights and biases together"),
    "reference": Column("str", "what ruled: float64, double-doubles, or balls at so many bits"),
    "reference_radius": Column("float64", "largest radius of the reference, relative to B"),
    "certificate": Column("str", "the oracle's: certified, in part, failed; empty: not tried"),
    "status": Column("str", "worst engine status: ok, unsupported, error, timeout or crash"),
    "seconds": Column("float64", "time of the whole case"),
    "message": Column("str", "first message of an engine that is not ok"),
}
"""One row per case; each engine adds `status:NAME`, `seconds:NAME` and `message:NAME`."""

PAIRS: Mapping[str, Column] = {
    "case": _CASE["case"],
    "dtype": _CASE["dtype"],
    "engine_a": Column("str", "one engine"),
    "engine_b": Column("str", "the other"),
    "max_abs_difference": Column("float64", "largest |a - b| over all entries"),
    "max_ulp_difference": Column("float64", "the same in units in the last place at exact"),
    "tensor": Column("str", "where the largest difference in ulps is"),
}
"""One row per case × pair of engines."""

NOT_SAMPLED = "not sampled"
"""The status of an engine that takes only a sample of the cases, on one that it does not take."""

VERDICTS = ("CONSISTENT", "SUSPECT", "DEFECT", "INCONCLUSIVE")
STATUSES = ("ok", "unsupported", "error", "timeout", "crash")


def engine_columns(engine: str) -> dict[str, Column]:
    """The columns that an engine adds to a case's row."""
    return {
        f"status:{engine}": Column("str", "ok, unsupported, error, timeout, crash, or not sampled"),
        f"seconds:{engine}": Column("float64", "time of one gradient"),
        f"message:{engine}": Column("str", "what went wrong"),
    }


def engine_names(cases: pd.DataFrame) -> list[str]:
    """The engines that a frame of cases speaks of, in their order."""
    return [name.removeprefix("status:") for name in cases.columns if name.startswith("status:")]


def case_columns(engines: Iterable[str]) -> dict[str, Column]:
    """The columns of a case's row in a run of these engines."""
    columns = dict(CASES)
    for name in engines:
        columns.update(engine_columns(name))
    return columns


def schema(columns: Mapping[str, Column]) -> Any:
    """The columns as a pyarrow schema."""
    import pyarrow as pa

    types = {"str": pa.string(), "int64": pa.int64(), "float64": pa.float64()}
    return pa.schema([(name, types[column.dtype]) for name, column in columns.items()])


def as_frame(table: Any, columns: Mapping[str, Column]) -> pd.DataFrame:
    """A pyarrow table with these columns as a frame of their types, even if empty."""
    types: dict[str, Any] = {name: column.dtype for name, column in columns.items()}
    found: pd.DataFrame = table.to_pandas().astype(types)
    return found
