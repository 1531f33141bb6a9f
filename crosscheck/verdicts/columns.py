"""The rows of some cases as tables: columns where they are judged together, else row by row."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from crosscheck.networks.network import Array, Case
from crosscheck.results import rows
from crosscheck.verdicts.measures import Ruler
from crosscheck.verdicts.verdict import UNTRIED, JudgedCases, TensorRuling


class Portion(NamedTuple):
    """The rows of some cases, in the order of cases, engines and tensors; columns as `rows`."""

    errors: pa.Table
    cases: pa.Table
    pairs: pa.Table

    @property
    def done(self) -> int:
        """The number of cases."""
        return int(self.cases.num_rows)


class Coded(NamedTuple):
    """A column of strings, few of which differ: their places in `names`."""

    places: Array
    names: Sequence[str]


class Ordered(NamedTuple):
    """Rows, and for each its place in the portion: (3, rows) of case, engine and tensor."""

    table: pa.Table
    places: Array


def assemble(ordered: Sequence[Ordered], columns: Mapping[str, rows.Column]) -> pa.Table:
    """All these rows in order."""
    if not ordered:
        return rows.schema(columns).empty_table()
    table = pa.concat_tables([one.table for one in ordered])
    case, engine, tensor = np.concatenate([one.places for one in ordered], axis=1)
    return table.take(np.lexsort((tensor, engine, case)))


def from_rows(
    found: Sequence[tuple[tuple[int, int, int], Mapping[str, Any]]],
    columns: Mapping[str, rows.Column],
) -> Ordered:
    """Rows with their places as dictionaries."""
    table = pa.Table.from_pylist([row for _, row in found], rows.schema(columns))
    places = np.array([place for place, _ in found], int).reshape(-1, 3).T
    return Ordered(table, places)


def place_of(case: Case) -> dict[str, Any]:
    """The columns that say which case a row is of."""
    architecture = case.architecture
    return {
        "case": case.id,
        "index": case.index,
        "layers": architecture.layers,
        "widths": architecture.label,
        "samples": case.samples,
        "hidden": architecture.hidden,
        "output": architecture.output,
        "scale": case.scale,
        "dtype": case.dtype,
    }


def errors(
    judged: JudgedCases, cases: Sequence[Case], numbers: Sequence[int], engine_names: Sequence[str]
) -> list[Ordered]:
    """The rows of cases that were judged together; `numbers` are their places in the portion."""
    found = [_cleared(judged, cases, np.array(numbers), engine_names)]
    others = []
    for (place, of), of_claim in judged.others.items():
        engine = judged.engines[place]
        where = {**place_of(cases[of]), "engine": engine_names[engine]}
        others += [
            ((numbers[of], engine, which), row | where) for which, row in enumerate(of_claim)
        ]
    return [*found, from_rows(others, rows.ERRORS)] if others else found


def _cleared(
    judged: JudgedCases, cases: Sequence[Case], numbers: Array, engine_names: Sequence[str]
) -> Ordered:
    """The rows of which the columns hold."""
    ruler, measures = judged.ruler, judged.measures
    case_of = np.repeat(np.arange(len(cases)), ruler.counts)
    place, which = np.nonzero(judged.cleared[:, case_of])
    of, engine = case_of[which], np.array(judged.engines, int)[place]
    names = [name for case in cases for name in case.architecture.tensor_names]
    rulings, said = judged.rulings[place, which], [ruling.said for ruling in TensorRuling]
    worst = zip(which.tolist(), measures.worst[place, which].tolist(), strict=True)
    columns: dict[str, Any] = {
        **_repeated([place_of(case) for case in cases], of),
        **{name: values[place, which] for name, values in measures.columns.items()},
        "engine": Coded(engine, engine_names),
        "tensor": Coded(which, names),
        "entries": ruler.sizes[which],
        "mismatched": np.zeros(len(which), int),
        "power": judged.powers[place, which],
        "worst_index": [ruler.index(tensor, entry) for tensor, entry in worst],
        "checks": Coded(np.zeros(len(which), int), ["B"]),
        "verdict": Coded(rulings, [verdict for verdict, _ in said]),
        "reason": Coded(rulings, [reason for _, reason in said]),
    }
    for name in ("got", "exact"):
        columns[f"{name}_hex"] = [value.hex() for value in columns[name].tolist()]
    for name, value in UNTRIED.items():
        columns[name] = Coded(np.zeros(len(which), int), [value])
    table = _table(columns, rows.ERRORS)
    return Ordered(table, np.stack([numbers[of], engine, which - ruler.first[of]]))


def _repeated(of_cases: Sequence[Mapping[str, Any]], of: Array) -> dict[str, Any]:
    """Columns of cases, at each place in `of`."""
    columns: dict[str, Any] = {}
    for name in of_cases[0]:
        values = [case[name] for case in of_cases]
        columns[name] = Coded(of, values) if isinstance(values[0], str) else np.array(values)[of]
    return columns


def _table(columns: Mapping[str, Any], described: Mapping[str, rows.Column]) -> pa.Table:
    schema = rows.schema(described)
    arrays = [_array(columns[field.name], field.type) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def _array(column: Any, kind: Any) -> pa.Array:
    if isinstance(column, Coded):
        names = pa.array(column.names, kind)
        return names.take(pa.array(column.places))
    return pa.array(column, kind)


def pairs(
    judged: JudgedCases, cases: Sequence[Case], numbers: Sequence[int], engine_names: Sequence[str]
) -> list[Ordered]:
    """The largest differences between each two engines that answered, case by case."""
    names = [name for case in cases for name in case.architecture.tensor_names]
    ids, dtypes = [case.id for case in cases], [case.dtype for case in cases]
    found = []
    for a, b, largest, in_ulps in judged.ruler.differences(judged.got):
        both = np.flatnonzero(judged.answered[a] & judged.answered[b])
        tops, worst = _first_largest(in_ulps, judged.ruler)
        one, other = judged.engines[a], judged.engines[b]
        columns = {
            "case": Coded(both, ids),
            "dtype": Coded(both, dtypes),
            "engine_a": Coded(np.full(len(both), one), engine_names),
            "engine_b": Coded(np.full(len(both), other), engine_names),
            "max_abs_difference": largest[both],
            "max_ulp_difference": tops[both],
            "tensor": Coded(worst[both], names),
        }
        order = [np.array(numbers)[both], np.full(len(both), one), np.full(len(both), other)]
        found.append(Ordered(_table(columns, rows.PAIRS), np.stack(order)))
    return found


def _first_largest(of_tensors: Array, ruler: Ruler) -> tuple[Array, Array]:
    """The largest number of each case's tensors, and the first tensor that has it."""
    tops = np.maximum.reduceat(of_tensors, ruler.first)
    places = np.where(
        of_tensors == np.repeat(tops, ruler.counts), np.arange(len(of_tensors)), len(of_tensors)
    )
    return tops, np.minimum.reduceat(places, ruler.first)
