"""A comparison in words, and as the content of comparison.json."""

from pathlib import Path
from typing import Any

from crosscheck.results import outcome
from crosscheck.results.baseline.comparing import BETTER, WORSE, Comparison
from crosscheck.results.baseline.stored import Baseline


def as_json(found: Comparison, baseline: Baseline, path: Path, strict: bool) -> dict[str, Any]:
    """The content of comparison.json: everything that a report shows of a comparison.

    `update` is the command that records the baseline again, where there is a reason to.
    """
    status = found.status(strict)
    moved = status != outcome.OK or found.count(BETTER) > 0
    return {
        "baseline": path.name,
        "exit_status": status,
        "sentence": sentence(found, path.name, strict),
        "differs": found.differs,
        "exact": found.exact,
        "groups": found.groups.to_dict("records"),
        "changes": found.changes.to_dict("records"),
        "speed": found.speed.to_dict("records"),
        "new": found.new,
        "missing": found.missing,
        "changed": found.changed,
        "lacking": found.lacking,
        "update": update_command(baseline, path) if moved else "",
    }


def update_command(baseline: Baseline, path: Path) -> str:
    """The exact command that records the baseline again."""
    command = baseline.header["command"]
    return f"{command} --out reports/latest && crosscheck baseline reports/latest --out {path}"


def sentence(found: Comparison, name: str, strict: bool) -> str:
    """One sentence: the outcome, and what it rests on."""
    status = found.status(strict)
    if status == outcome.DEFECT and found.count(WORSE):
        return f"REGRESSION against {name}: {_worse(found)}"
    if status == outcome.DEFECT:
        return f"BETTER than {name}, which --strict wants recorded: {_better(found)}"
    if status == outcome.NOT_COMPARABLE:
        return f"NOT COMPARABLE with {name}: {'; '.join(found.lacking)}"
    better = f"; {_better(found)}" if found.count(BETTER) else ""
    return f"No regression against {name}: {_basis(found)}{better}"


def _worse(found: Comparison) -> str:
    parts = []
    failing = int(found.changes["mark"].eq("!").sum())
    if failing:
        parts.append(f"{_several(failing, 'newly failing result')}")
    sunk = int(found.changes["mark"].eq("+").sum())
    if sunk:
        parts.append(f"{_several(sunk, 'verdict')} got worse")
    grown = int(found.groups["mark"].eq("+").sum())
    if grown:
        where = "" if found.differs else ", where machine and code are the same"
        parts.append(f"errors grew in {_several(grown, 'group')}{where}")
    slower = int(found.speed["mark"].eq("+").sum())
    if slower:
        parts.append(f"{_several(slower, 'engine')} became slower")
    return ", ".join(parts + found.lacking)


def _better(found: Comparison) -> str:
    count = found.count(BETTER)
    return f"{_several(count, 'improvement')} over the baseline"


def _basis(found: Comparison) -> str:
    compared, same = found.exact["gradients"], found.exact["identical"]
    if compared == same:
        return f"{_several(compared, 'gradient')}, all with the same errors to the bit"
    return (
        f"{_several(compared, 'gradient')}, of which {same} have the same errors to the bit; "
        f"no verdict got worse, and in no group did errors grow"
    )


def _several(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
