"""The audit from beginning to end: random architectures, every equation, every judge."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from crosscheck.arithmetic.conventions import READINGS
from crosscheck.audit import cancellation, findings, left_sides
from crosscheck.audit.composed import ROUTES, WholeTrial
from crosscheck.audit.findings import NOTES, finding, remedies, unprinted_entries
from crosscheck.audit.judges import table
from crosscheck.audit.judges.table import Jacobian
from crosscheck.audit.rows import Record, Row
from crosscheck.audit.symbols import Ingredients
from crosscheck.audit.trial import RivalSides, places, tried
from crosscheck.networks.distribution import Distribution
from crosscheck.networks.network import Case
from crosscheck.networks.sampling import draw
from crosscheck.paper.equation import Equation
from crosscheck.paper.equations import EQUATIONS
from crosscheck.paper.unprinted import UNPRINTED

SCHEMA_VERSION = 1
DEPTHS = range(2, 7)
"""N, in turn, so that every layer that a row speaks of is reached by a fifth of the networks."""

WIDTHS, SAMPLES = (1, 6), (1, 4)
LEAST = 15
"""Architectures below which some row would rest on special cases alone."""

DTYPES = ("float64", "float32")
THREADS = 2
AHEAD = 8
"""Architectures that the rivals may be ahead of the trials; memory holds no more."""

COLUMNS = ("equation", "reading", "layer")


@dataclass(frozen=True)
class AuditPlan:
    """How many architectures, from which seed, in which precision.

    Raises ValueError for fewer than 15 architectures, a negative seed, or another precision.
    """

    architectures: int = 50
    seed: int = 0
    dtype: str = "float64"

    def __post_init__(self) -> None:
        if self.architectures < LEAST:
            raise ValueError(f"an audit needs {LEAST} architectures to reach every layer")
        if self.seed < 0:
            raise ValueError("the seed must not be negative")
        if self.dtype not in DTYPES:
            raise ValueError(f"the audit knows {' and '.join(DTYPES)}, not {self.dtype}")

    def case(self, index: int, reading: str) -> Case:
        """The architecture of this index; the same numbers under both readings."""
        depth = DEPTHS[index % len(DEPTHS)]
        of = Distribution(layers=(depth, depth), widths=WIDTHS, samples=SAMPLES)
        return draw(of, self.seed, index, self.dtype, reading)


def audit(
    plan: AuditPlan,
    equations: Mapping[str, Equation] = EQUATIONS,
    judges: Sequence[Jacobian] | None = None,
) -> dict[str, Any]:
    """Everything the audit finds, as plain data: what audit.json holds.

    `judges` are the rivals; by default all that are installed. The same plan gives the same rows.
    """
    absent: dict[str, str] = {}
    if judges is None:
        judges, absent = table.load()
    printed, others, whole = Record(COLUMNS), Record(COLUMNS), WholeTrial(equations)
    unprinted = {id: u for id, u in UNPRINTED.items() if u.subject is not None}
    for case, sides in _sides(plan, judges):
        ingredients = Ingredients(case, left_sides.left_sides(case))
        _try_all(equations, ingredients, sides, printed)
        _try_all(unprinted, ingredients, sides, others)
        whole.add(case, ingredients.facts)
    order = list(equations)
    rows = sorted(printed.rows(), key=lambda row: _order(row, order))
    corrections, composed = others.rows(), whole.rows()
    return {
        "schema": SCHEMA_VERSION,
        "plan": {**vars(plan), "readings": list(READINGS), "samples": list(SAMPLES),
                 "layers": [DEPTHS[0], DEPTHS[-1]], "widths": list(WIDTHS)},
        "rivals": [judge.name for judge in judges],
        "absent": absent,
        "finding": finding(rows, composed),
        "differences": findings.differences(rows),
        "equations": [_described(equation) for equation in equations.values()],
        "rows": rows,
        "remedies": remedies(rows, corrections),
        "unprinted": unprinted_entries(corrections),
        "routes": ROUTES,
        "whole": composed,
        "weakness": cancellation.rows(),
        "notes": list(NOTES),
    }  # fmt: skip


def _sides(plan: AuditPlan, judges: Sequence[Jacobian]) -> Iterator[tuple[Case, list[RivalSides]]]:
    """Each case with what the rivals say of it, in order; they work ahead, in threads."""

    def of_both(judge: Jacobian, index: int) -> list[RivalSides]:
        return [table.sides(judge, plan.case(index, reading)) for reading in READINGS]

    pool = ThreadPoolExecutor(THREADS)
    pending: deque[list[Future[list[RivalSides]]]] = deque()
    try:
        for index in range(plan.architectures + AHEAD):
            if index < plan.architectures:
                pending.append([pool.submit(of_both, judge, index) for judge in judges])
            if index >= AHEAD:
                answers = [future.result() for future in pending.popleft()]
                for which, reading in enumerate(READINGS):
                    case = plan.case(index - AHEAD, reading)
                    yield case, [answer[which] for answer in answers]
    finally:
        # An interrupted audit ends at once, not when the rivals are through.
        pool.shutdown(cancel_futures=True)


def _try_all(
    equations: Mapping[str, Equation],
    ingredients: Ingredients,
    sides: list[RivalSides],
    record: Record,
) -> None:
    case = ingredients.case
    for equation in equations.values():
        if equation.subject is None:
            raise ValueError(f"equation {equation.id} does not say what its left side is")
        for place in places(equation.subject, ingredients.layers):
            outcomes = tried(equation, place, ingredients, sides)
            about = (equation.id, case.architecture.output, place.label)
            record.add(about, case, outcomes)


def _order(row: Row, ids: list[str]) -> tuple[int, int, int]:
    """By print order, reading, and from the output downwards."""
    layer = row["layer"] or "N"
    below = int(layer[2:]) if len(layer) > 1 else 0
    return ids.index(row["equation"]), READINGS.index(row["reading"]), below


def _described(equation: Equation) -> Row:
    return {
        "id": equation.id,
        "left": equation.left,
        "right": equation.right,
        "text": equation.summary,
        "defined_for": equation.defined_for,
    }
