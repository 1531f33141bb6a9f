"""The row of a case: of one that was judged, that could not be, or that could not even be drawn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crosscheck.networks import sampling
from crosscheck.networks.network import Case
from crosscheck.networks.ranges import LARGEST
from crosscheck.results import rows
from crosscheck.runs.plan import Plan
from crosscheck.runs.processes.attempts import DRAWING, NO_ATTEMPT, Attempt
from crosscheck.verdicts.columns import place_of


@dataclass(frozen=True)
class Undrawn:
    """A case whose numbers could not be drawn, as `failed` says: too large, or it took too long."""

    index: int
    dtype: str
    failed: Attempt


def unreferenced(case: Case, attempts: Sequence[Attempt]) -> dict[str, Any]:
    """The row of a case, but for what the reference adds."""
    return {
        **place_of(case),
        "seed": case.seed,
        "cost": case.architecture.cost,
        "special": case.special,
        "definition": sampling.definition(case),
        "parameters": case.architecture.parameters,
        **_status_columns(attempts),
    }


def _status_columns(attempts: Sequence[Attempt]) -> dict[str, Any]:
    """What came of each engine, and the worst of it."""
    made = [tried for tried in attempts if tried.status != rows.NOT_SAMPLED]
    worst = max(made, key=lambda tried: rows.STATUSES.index(tried.status), default=NO_ATTEMPT)
    row = {"status": worst.status, "message": worst.message}
    for tried in attempts:
        row.update(_attempt_columns(tried))
    return row


def _attempt_columns(tried: Attempt) -> dict[str, Any]:
    return {
        f"status:{tried.engine}": tried.status,
        f"seconds:{tried.engine}": tried.seconds,
        f"message:{tried.engine}": tried.message,
    }


def unjudged(case: Case, attempts: Sequence[Attempt], failed: Attempt) -> dict[str, Any]:
    """The row of a case whose reference ended its process: no engine could be judged."""
    lost = [
        tried if tried.status == rows.NOT_SAMPLED else _lost(tried.engine, failed, "the reference")
        for tried in attempts
    ]
    return {**unreferenced(case, lost), **UNKNOWN}


def _lost(engine: str, failed: Attempt, what: str) -> Attempt:
    """What stands for an engine where something of ours failed before it could be judged."""
    return Attempt(engine, failed.status, message=f"{what}: {failed.message}")


UNKNOWN: Mapping[str, Any] = {
    "reference": "none",
    "reference_radius": float("nan"),
    "certificate": "",
    "seconds": float("nan"),
}
"""What the row of a case says of its reference where there is none."""


def undrawn(plan: Plan, engines: Sequence[str], case: Undrawn) -> dict[str, Any]:
    """The row of a case that has no numbers: its architecture, and that no engine had it."""
    of, index = plan.distribution, case.index
    output = sampling.output_of(of, plan.seed, index)
    attempts = [
        _lost(name, case.failed, DRAWING)
        if plan.takes(name, index)
        else Attempt(name, rows.NOT_SAMPLED)
        for name in engines
    ]
    return {
        "case": f"s{plan.seed}-i{index}-{case.dtype}-{output}",
        "index": index,
        "hidden": of.hidden,
        "output": output,
        "dtype": case.dtype,
        "seed": plan.seed,
        "cost": of.cost,
        "definition": "",
        **_outline_columns(plan, index),
        **_status_columns(attempts),
        **UNKNOWN,
    }


def _outline_columns(plan: Plan, index: int) -> dict[str, Any]:
    """The architecture of a case, as far as even that can be drawn."""
    try:
        architecture, samples, scale, special = sampling.outline(
            plan.distribution, plan.seed, index
        )
        widths, parameters = architecture.widths, architecture.parameters
    except Exception:
        widths, samples, scale, special, parameters = (), 0, sampling.NO_STRATUM, None, 0
    label = "-".join(map(str, widths[:LABELLED])) + ("-…" if len(widths) > LABELLED else "")
    return {
        "layers": len(widths),
        "widths": label,
        "samples": min(samples, LARGEST),
        "parameters": min(parameters, LARGEST),
        "scale": scale,
        "special": special.name if special else "",
    }


LABELLED = 100
"""Widths that the row of a case without numbers names."""
