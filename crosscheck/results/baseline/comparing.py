"""A run against a baseline: what is worse, better, new, missing, changed; and the exit status."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from crosscheck.results import outcome, rows
from crosscheck.results.baseline import measured, shifts
from crosscheck.results.baseline.stored import Baseline
from crosscheck.results.finished import FinishedRun

RANK = {"CONSISTENT": 0, "SUSPECT": 1, "INCONCLUSIVE": 2, "DEFECT": 3}
"""A verdict that rises in this order has become worse."""

GROUPS = ["mark", "engine", "dtype", "group", "cases", "shift", "grown", "shrunk", "p"]
"""Columns of the comparison by group: shift in bits of log₂ error, its median over the cases."""

CHANGES = ["mark", "engine", "case", "tensor", "before", "now"]
"""Columns of the changes of verdict and status."""

ABSENT = ("unsupported", rows.NOT_SAMPLED)
"""Statuses of an engine that was not tried on a case."""

WORSE, BETTER, NOT_COMPARABLE = ("+", "!"), ("-", "*"), "x"


@dataclass
class Comparison:
    """What came of a comparison; frames have the columns GROUPS and CHANGES.

    `differs` names what of the environment differs: where nothing does, errors are compared
    exactly, and `exact` counts the tensors (compared, grown, shrunk). `new`, `missing` and
    `changed` are ids of cases; `lacking` sentences on what the run lacks.
    """

    groups: pd.DataFrame
    changes: pd.DataFrame
    differs: list[str]
    exact: dict[str, int]
    speed: pd.DataFrame
    new: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    lacking: list[str] = field(default_factory=list)

    def count(self, marks: tuple[str, ...]) -> int:
        """Groups and changes with one of these marks."""
        frames = (self.groups, self.changes, self.speed)
        return sum(int(frame["mark"].isin(marks).sum()) for frame in frames)

    def status(self, strict: bool = False) -> int:
        """1 for a regression (with `strict`, an improvement too); else 4 or 0."""
        if self.count(WORSE) or (strict and self.count(BETTER)):
            return outcome.DEFECT
        return outcome.NOT_COMPARABLE if self.lacking else outcome.OK


def compare(run: FinishedRun, baseline: Baseline, speed: bool = False) -> Comparison:
    """The run against the baseline; cases are paired by their definition.

    With `speed`, times are compared too, as ratios to the first engine of the same run; on
    another machine that cannot be, which counts as lacking.
    """
    now = measured.attempts(run)
    then = baseline.attempts
    pairs = then.merge(now, on=["definition", "engine"], suffixes=("_then", "_now"))
    differs = differences(
        baseline.header["environment"], measured.fingerprint(run.record["environment"])
    )
    moved = _paired_tensors(baseline, run)
    changes = pd.concat([_statuses(pairs), _verdicts(moved)], ignore_index=True)
    found = Comparison(_groups(moved, exact=not differs), changes, differs, {}, _no_speed())
    found.exact = _exact(pairs, moved)
    _name_cases(found, then, now)
    _name_lacking(found, then, now, pairs)
    if speed:
        _compare_speed(found, pairs)
    return found


def differences(then: dict[str, Any], now: dict[str, Any], prefix: str = "") -> list[str]:
    """A line for each entry of two fingerprints that is not the same."""
    found = []
    for name in sorted({*then, *now}):
        old, new = then.get(name), now.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            found += differences(old, new, f"{prefix}{name} ")
        elif old != new:
            found.append(f"{prefix}{name}: {_brief(old)}, now {_brief(new)}")
    return found


def _brief(value: Any) -> str:
    """A fingerprint's entry in a few words: a BLAS by version, kernel and threads."""
    if isinstance(value, list):
        return "; ".join(_brief(entry) for entry in value) or "none"
    if isinstance(value, dict):
        return " ".join(str(entry) for entry in value.values() if entry is not None)
    return "none" if value is None else str(value)


def _paired_tensors(baseline: Baseline, run: FinishedRun) -> pd.DataFrame:
    """A row per tensor that both have: verdicts and log₂ errors, then and now, and `shift`.

    The shift is NaN where one of the two is INCONCLUSIVE or no number.
    """
    on = ["definition", "engine", "tensor"]
    then = baseline.tensors[[*on, "verdict", "log2"]]
    both = measured.tensors(run).merge(then, on=on, suffixes=("_now", "_then"))
    compared = (both["verdict_now"] != "INCONCLUSIVE") & (both["verdict_then"] != "INCONCLUSIVE")
    with np.errstate(invalid="ignore"):
        shift = (both["log2_now"] - both["log2_then"]).to_numpy()
    both["shift"] = np.where(compared & np.isfinite(shift), shift, np.nan)
    return both


def _groups(moved: pd.DataFrame, exact: bool) -> pd.DataFrame:
    """A row per engine × dtype × group, and over all groups; ruled by shifts, or exactly."""
    usable = moved[moved["shift"].notna()]
    split = usable.assign(group=usable["output"] + " " + usable["kind"])
    both = pd.concat([usable.assign(group="all"), split])
    keys, found = [], []
    for key, group in both.groupby(["engine", "dtype", "group"], sort=True):
        keys.append(key)
        found.append(shifts.of_cases(group.groupby("definition")["shift"].mean().to_numpy()))
    frame = pd.DataFrame(keys, columns=["engine", "dtype", "group"])
    frame = pd.concat([frame, shifts.ruled(found)], axis=1)
    if exact:
        frame["mark"] = [_exact_mark(both, key) for key in keys]
    return frame[GROUPS]


def _exact_mark(tensors: pd.DataFrame, key: Any) -> str:
    """Where nothing that computes has changed, one error that grew is a regression."""
    engine, dtype, group = key
    mine = tensors[
        (tensors["engine"] == engine) & (tensors["dtype"] == dtype) & (tensors["group"] == group)
    ]
    if (mine["shift"] > 0).any():
        return "+"
    return "-" if (mine["shift"] < 0).any() else ""


def _exact(pairs: pd.DataFrame, moved: pd.DataFrame) -> dict[str, int]:
    return {
        "gradients": len(pairs),
        "identical": int((pairs["digest_then"] == pairs["digest_now"]).sum()),
        "tensors": len(moved),
        "grown": int((moved["shift"] > 0).sum()),
        "shrunk": int((moved["shift"] < 0).sum()),
    }


def _verdicts(moved: pd.DataFrame) -> pd.DataFrame:
    """The tensors whose verdict is another now."""
    differ = moved[moved["verdict_then"] != moved["verdict_now"]]
    lines = []
    for row in differ.to_dict("records"):
        before, now = row["verdict_then"], row["verdict_now"]
        if RANK[now] > RANK[before]:
            mark = "!" if now == "DEFECT" else "+"
        else:
            mark = "*" if before == "DEFECT" else "-"
        lines.append([mark, row["engine"], row["case"], row["tensor"], before, now])
    return pd.DataFrame(lines, columns=CHANGES)


def _statuses(pairs: pd.DataFrame) -> pd.DataFrame:
    """The engines that fail on a case and did not, or did and do not."""
    lines = []
    for row in pairs[pairs["status_then"] != pairs["status_now"]].to_dict("records"):
        before, now = row["status_then"], row["status_now"]
        if now in ABSENT:
            mark = "~" if before in ABSENT else NOT_COMPARABLE
        elif now == "ok":
            mark = "~" if before == rows.NOT_SAMPLED else "*"
        else:
            mark = "!" if before in ("ok", *ABSENT) else "~"
        lines.append([mark, row["engine"], row["case_now"], "", before, now])
    return pd.DataFrame(lines, columns=CHANGES)


def _name_cases(found: Comparison, then: pd.DataFrame, now: pd.DataFrame) -> None:
    """Which cases are new, missing or of another definition, in the order of the rows."""
    old = dict(zip(then["definition"], then["case"], strict=True))
    new = dict(zip(now["definition"], now["case"], strict=True))
    old_ids, new_ids = set(old.values()), set(new.values())
    gone = [case for definition, case in old.items() if definition not in new]
    found.changed = [case for case in gone if case in new_ids]
    found.missing = [case for case in gone if case not in new_ids]
    come = [case for definition, case in new.items() if definition not in old]
    found.new = [case for case in come if case not in old_ids]


def _name_lacking(
    found: Comparison, then: pd.DataFrame, now: pd.DataFrame, pairs: pd.DataFrame
) -> None:
    """What the baseline has and the run cannot be held to: never a pass."""
    if found.changed:
        found.lacking.append(f"the definition of {_some(found.changed)} has changed")
    if found.missing:
        found.lacking.append(f"the run lacks {_some(found.missing)}")
    absent = [name for name in dict.fromkeys(then["engine"]) if name not in set(now["engine"])]
    found.lacking += [f"the run lacks the engine {name}" for name in absent]
    not_now = pairs[~pairs["status_then"].isin(ABSENT) & pairs["status_now"].isin(ABSENT)]
    for name, cases in not_now.groupby("engine", sort=False):
        where = _some(list(cases["case_now"]))
        found.lacking.append(f"{name} does not run here any more on {where}")


def _some(cases: list[str]) -> str:
    """One case by name, or how many with the first three."""
    if len(cases) == 1:
        return cases[0]
    named = ", ".join(cases[:3])
    return f"{len(cases)} cases ({named}{', …' if len(cases) > 3 else ''})"


QUARTER_SLOWER = float(np.log2(1.25))
"""The least growth of a time that counts, in bits: a quarter."""


def _no_speed() -> pd.DataFrame:
    return pd.DataFrame(columns=["mark", "engine", "dtype", "cases", "times"])


def _compare_speed(found: Comparison, pairs: pd.DataFrame) -> None:
    """Times as ratios to the run's first engine, paired by case; only on one machine."""
    elsewhere = [line for line in found.differs if not line.startswith(("code", "own_code"))]
    if elsewhere:
        found.lacking.append(f"speed is compared on one machine only: {elsewhere[0]}")
        return
    lines = []
    with np.errstate(divide="ignore", invalid="ignore"):
        growth = np.log2(pairs["ratio_now"] / pairs["ratio_then"])
    usable = pairs.assign(growth=growth)[np.isfinite(growth)]
    for (engine, dtype), group in usable.groupby(["engine", "dtype_now"], sort=True):
        bits = group["growth"].to_numpy()
        shift = shifts.of_cases(bits)
        significant = min(shift.worse[0], shift.better[0]) < shifts.FAMILY
        mark = ""
        if significant and abs(shift.median) >= QUARTER_SLOWER:
            mark = "+" if shift.median > 0 else "-"
        lines.append([mark, engine, dtype, len(bits), 2.0**shift.median])
    found.speed = pd.DataFrame(lines, columns=_no_speed().columns)
