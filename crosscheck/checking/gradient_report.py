"""What gradcheck() found: rows like those of a run, and the message for a person."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from crosscheck.arithmetic.formats import FORMATS
from crosscheck.checking.check import Report
from crosscheck.checking.gradient_message import described
from crosscheck.engines.user import function as user_engine
from crosscheck.programs.trial.judge import OPAQUE, Findings
from crosscheck.programs.trial.trial import JudgedMode, Trial
from crosscheck.results import rows
from crosscheck.verdicts.measures import measure_one


@dataclass(frozen=True, eq=False)
class Tried:
    """One set of arguments: its index, what kind of numbers it has, and what every mode gave."""

    index: int
    kind: str
    trial: Trial
    modes: Sequence[JudgedMode]

    @property
    def fails(self) -> bool:
        return any(one.status == "error" or _worst_of(one) == "DEFECT" for one in self.modes)

    @property
    def failure(self) -> tuple[str, str, str] | None:
        """The first thing that is wrong: (mode, leaf, kind of reason)."""
        for one in self.modes:
            for leaf in one.findings:
                if leaf.verdict == "DEFECT":
                    return one.mode, leaf.path, leaf.reason.partition(":")[0]
            if one.status == "error":
                return one.mode, "", one.message.partition(":")[0]
        return None

    @property
    def format(self) -> str:
        subject = self.trial.subject
        return subject.inputs[subject.wrt[0]].format

    @property
    def shapes(self) -> str:
        """The arguments' shapes, such as "args[0] 3x4, args[1] 4"."""
        return ", ".join(
            f"{leaf.path} {'x'.join(map(str, leaf.shape)) or 'scalar'}"
            for leaf in self.trial.subject.inputs
        )


def _worst_of(judged: JudgedMode) -> str:
    verdicts = {leaf.verdict for leaf in judged.findings}
    for verdict in ("DEFECT", "SUSPECT", "INCONCLUSIVE", "CONSISTENT"):
        if verdict in verdicts:
            return verdict
    return ""


@dataclass(frozen=True)
class GradientReport(Report):
    """The report of gradcheck(); `errors` has the columns of `rows.GRADIENTS`.

    `tried` are the sets of arguments, with all arrays; `smallest_arguments` the smallest shapes
    found on which the same thing is wrong. The frames are made when they are first asked for:
    they take longer than the verdict on a small function.
    """

    errors: pd.DataFrame = field(init=False, repr=False)
    cases: pd.DataFrame = field(init=False, repr=False)
    tried: tuple[Tried, ...] = ()
    smallest_arguments: Tried | None = None
    seed: int = 0

    def __getattr__(self, name: str) -> Any:
        """The frames, which no instance has before they are asked for."""
        if name not in FRAMES:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        frame = FRAMES[name](self.seed, self.tried)
        object.__setattr__(self, name, frame)
        return frame

    @property
    def ok(self) -> bool:
        """No DEFECT, no error, and something CONSISTENT."""
        judged = [one for tried in self.tried for one in tried.modes]
        verdicts = {leaf.verdict for one in judged for leaf in one.findings}
        failed = any(one.status == "error" for one in judged)
        return "CONSISTENT" in verdicts and "DEFECT" not in verdicts and not failed

    def message(self, full: bool = False) -> str:
        """What is wrong, in the words of the clearest leaf; empty where nothing is."""
        if self.ok:
            return ""
        parts = []
        shown = self._shown("DEFECT") or self._shown("SUSPECT")
        if shown is not None:
            one, judged, leaf = shown
            parts += described(one.trial, judged, leaf, case_id(self.seed, one))
        for one, judged in self._raised():
            mode = f", mode {judged.mode}" if judged.mode else ""
            parts.append(f"ERROR  {one.trial.subject.name}{mode}: {judged.message}")
            if judged.cause is not None:
                parts.append(user_engine.their_traceback(judged.cause, full))
            break
        parts = parts or [self._open()]
        if self.smallest_arguments is not None:
            parts.append(f"Smallest arguments that fail: {self.smallest_arguments.shapes}")
        parts += dict.fromkeys(self.notes)
        if self.line:
            parts.append(f"Reproduce: {self.line}")
        return "\n".join(parts)

    def _shown(self, verdict: str) -> tuple[Tried, JudgedMode, Findings] | None:
        """The leaf to show: a rule before numbers, and most of its entries wrong."""
        wrong = [
            (one, judged, leaf)
            for one in self.tried
            for judged in one.modes
            for leaf in judged.findings
            if leaf.verdict == verdict
        ]
        if not wrong:
            return None
        # Among equals the first: max keeps it.
        return max(wrong, key=lambda found: (found[2].is_rule, float(np.mean(found[2].beyond))))

    def _raised(self) -> list[tuple[Tried, JudgedMode]]:
        return [
            (one, judged) for one in self.tried for judged in one.modes if judged.status == "error"
        ]

    def _open(self) -> str:
        """Why nothing could be confirmed: each reason with the leaves that it holds for."""
        lines = ["INCONCLUSIVE  nothing could be confirmed"]
        unsure = self.errors[self.errors["verdict"] == "INCONCLUSIVE"]
        for reason, group in unsure.groupby("reason", sort=False):
            leaves = ", ".join(dict.fromkeys(group["tensor"]))
            lines.append(f"{leaves}: {reason}")
        return "\n".join(lines)

    @property
    def _judged(self) -> str:
        sets = len(self.tried)
        return "arrays" if sets == 1 else f"arrays on {sets} sets of arguments"


def of(seed: int, tried: Sequence[Tried]) -> GradientReport:
    """The report of these sets of arguments, drawn from this seed."""
    notes = [note for one in tried for judged in one.modes for note in judged.notes]
    notes += [
        f"not covered: mode {judged.mode}: {judged.message}"
        for one in tried
        for judged in one.modes
        if judged.status == "unsupported"
    ]
    causes = [judged.cause for one in tried for judged in one.modes if judged.cause is not None]
    return GradientReport(
        notes=tuple(dict.fromkeys(notes)),
        cause=next(iter(causes), None),
        seed=seed,
        tried=tuple(tried),
    )


def _errors(seed: int, tried: Sequence[Tried]) -> pd.DataFrame:
    """A row for each leaf of each mode."""
    lines = [
        _row(seed, one, judged, leaf)
        for one in tried
        for judged in one.modes
        for leaf in judged.findings
    ]
    return _frame(lines, rows.GRADIENTS)


def _cases(seed: int, tried: Sequence[Tried]) -> pd.DataFrame:
    """A row for each set of arguments."""
    name = tried[0].trial.subject.name
    return _frame([_case_row(seed, one, name) for one in tried], rows.case_columns([name]))


FRAMES: Mapping[str, Callable[[int, Sequence[Tried]], pd.DataFrame]] = {
    "errors": _errors,
    "cases": _cases,
}
"""How the frames of a report are made."""


EMPTY: dict[str, Any] = {"str": "", "int64": 0, "float64": float("nan")}
"""What stands in a column of which a row says nothing."""


def _frame(lines: Sequence[Mapping[str, Any]], columns: Mapping[str, rows.Column]) -> pd.DataFrame:
    """Rows as a frame with these columns, each of its type."""
    content = {}
    for name, column in columns.items():
        values = [line.get(name, EMPTY[column.dtype]) for line in lines]
        content[name] = pd.Series(values, dtype=column.dtype)
    return pd.DataFrame(content)


def case_id(seed: int, one: Tried) -> str:
    """The id of a set of arguments, such as g0-i17-float32."""
    return f"g{seed}-i{one.index}-{one.format}"


def _place(seed: int, one: Tried) -> dict[str, Any]:
    return {
        "case": case_id(seed, one),
        "index": one.index,
        "widths": one.shapes,
        "hidden": one.kind,
        "dtype": one.format,
    }


def _row(seed: int, one: Tried, judged: JudgedMode, leaf: Findings) -> dict[str, Any]:
    """The row of a leaf in a mode."""
    format = next(
        known.format for known in one.trial.leaves(judged.mode) if known.path == leaf.path
    )
    row: dict[str, Any] = {
        **_place(seed, one),
        "dtype": format,
        "engine": one.trial.subject.name,
        "tensor": leaf.path,
        "mode": judged.mode,
        "verdict": leaf.verdict,
        "reason": leaf.reason,
        "power": leaf.power,
        "l2_use": leaf.noise_use,
        "checks": _checks(leaf, judged),
        "first_wrong": str(judged.wrong[0]) if judged.wrong and leaf.verdict == "DEFECT" else "",
    }
    if leaf.got.size == 0:
        return {**row, "entries": 0, "mismatched": 0}
    got, exact, error, radius, allowed = (
        np.atleast_1d(x) for x in (leaf.got, leaf.exact, leaf.error, leaf.radius, leaf.allowed)
    )
    measured = measure_one(got, exact, error, radius, allowed, FORMATS[format])
    if leaf.got.ndim == 0:
        measured["worst_index"] = ""
    return {**row, **measured}


def _checks(leaf: Findings, judged: JudgedMode) -> str:
    """What was checked: the rule where it could be read, B, noise, operations by themselves."""
    checked = {
        "rule": leaf.rule != OPAQUE,
        "B": True,
        "ℓ2": not np.isnan(leaf.noise_use),
        "stages": leaf.by_stages or bool(judged.wrong),
    }
    return " ".join(name for name, done in checked.items() if done)


def _case_row(seed: int, one: Tried, name: str) -> dict[str, Any]:
    subject = one.trial.subject
    failed = [judged for judged in one.modes if judged.status != "ok"]
    status = next((judged.status for judged in failed if judged.status == "error"), "ok")
    if failed and len(failed) == len(one.modes) and status == "ok":
        status = failed[0].status
    message = failed[0].message if failed else ""
    times = [judged.seconds for judged in one.modes if judged.status == "ok"]
    return {
        **_place(seed, one),
        "seed": seed,
        "special": one.kind,
        "parameters": sum(int(np.prod(subject.inputs[p].shape)) for p in subject.wrt),
        "reference": one.trial.source,
        "reference_radius": _radius(one),
        "status": status,
        "seconds": sum(times),
        "message": message if status != "ok" else "",
        f"status:{name}": status,
        f"seconds:{name}": min(times, default=float("nan")),
        f"message:{name}": message if status != "ok" else "",
    }


def _radius(one: Tried) -> float:
    """The largest radius of what ruled, as a share of the bound, where there is one."""
    shares = [0.0]
    for judged in one.modes:
        for leaf in judged.findings:
            known = np.isfinite(leaf.radius) & np.isfinite(leaf.allowed) & (leaf.allowed > 0)
            with np.errstate(all="ignore"):
                shares.append(float(np.max(leaf.radius[known] / leaf.allowed[known], initial=0)))
    return max(shares)
