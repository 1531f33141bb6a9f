"""A baseline as a text file: one line a group and a case, sorted, and a digest over all of it.

The first line names the format, its version and the digest of the bytes that follow. What was
cut off, changed by a hand or a merge, or written by a newer version is refused in one sentence.
"""

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from crosscheck.results import outcome, rows
from crosscheck.results.disk import files, shape

FORMAT = "crosscheck baseline"
SCHEMA_VERSION = 1

LETTERS = {verdict: verdict[0] for verdict in rows.VERDICTS}
"""A verdict's letter in the file: C, S, D, I."""


class NotComparable(ValueError):
    """A baseline that is missing, damaged, or of something else; the message says which."""

    exit_status = outcome.NOT_COMPARABLE


@dataclass(frozen=True)
class Baseline:
    """A recorded run.

    `header` has the command, the plan with its hash and the environment's fingerprint;
    `groups` a summary a line; `attempts` and `tensors` are frames as in `measured`.
    """

    header: dict[str, Any]
    groups: list[dict[str, Any]]
    attempts: pd.DataFrame
    tensors: pd.DataFrame


def write(path: Path, baseline: Baseline) -> None:
    """Put the baseline there, whole or not at all.

    Raises ValueError where the file cannot be written, or is there and is no baseline.
    """
    if path.exists() and not _is_ours(path):
        raise ValueError(f"{path} is there, and is no baseline: it is left as it is")
    body = "".join(_line(part) for part in _parts(baseline)).encode()
    head = {"format": FORMAT, "schema_version": SCHEMA_VERSION, "digest": digest_of(body)}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write(path, _line(head).encode() + body)
    except OSError as error:
        raise ValueError(f"cannot write to {path}: {error.strerror}") from None


def _is_ours(path: Path) -> bool:
    try:
        with files.opened(path) as file:
            return FORMAT.encode() in file.readline(1000)
    except OSError:
        return False


def _line(content: dict[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n"


def digest_of(body: bytes) -> str:
    """SHA-256 of what follows the first line, in hexadecimal."""
    return hashlib.sha256(body).hexdigest()


def _parts(baseline: Baseline) -> list[dict[str, Any]]:
    """The lines after the first: the header, the groups, the cases by id."""
    values = baseline.tensors.groupby(["definition", "engine"], sort=False)
    measured = {key: (list(t["verdict"]), list(t["log2"])) for key, t in values}
    cases: list[dict[str, Any]] = []
    for definition, tried in baseline.attempts.groupby("definition", sort=False):
        first = tried.iloc[0]
        place = {name: first[name] for name in ("case", "definition", "dtype", "output", "widths")}
        engines = {
            row["engine"]: _engine(row, *measured.get((definition, row["engine"]), ([], [])))
            for row in tried.sort_values("engine").to_dict("records")
        }
        cases.append({**place, "engines": engines})
    return [baseline.header, *baseline.groups, *sorted(cases, key=lambda case: _natural(case))]


def _natural(case: dict[str, Any]) -> tuple[Any, ...]:
    """Cases in the order of their numbers: i2 before i10."""
    words = str(case["case"]).split("-")
    return tuple((len(word), word) for word in words)


def _engine(row: Any, verdicts: list[str], log2: list[float]) -> list[Any]:
    ratio = None if math.isnan(row["ratio"]) else row["ratio"]
    letters = "".join(LETTERS[verdict] for verdict in verdicts)
    finite = [None if math.isinf(value) else value for value in log2]
    return [row["status"], row["digest"], ratio, letters, finite]


def read(path: Path) -> Baseline:
    """The baseline in this file.

    Raises NotComparable where it is missing, damaged, of another project or newer.
    """
    try:
        content = files.read(path)
    except FileNotFoundError:
        raise NotComparable(
            f"there is no baseline {path}: make one with crosscheck baseline RUN --out {path}"
        ) from None
    except OSError as error:
        raise NotComparable(f"cannot read the baseline {path}: {error.strerror}") from None
    first, newline, body = content.partition(b"\n")
    _require_head(path, first, body if newline else b"")
    try:
        return _baseline([json.loads(line) for line in body.split(b"\n") if line])
    except (ValueError, OverflowError, RecursionError) as error:
        raise NotComparable(f"the baseline {path} is damaged: {error}") from None


def _require_head(path: Path, first: bytes, body: bytes) -> None:
    """The format, then the version, then the digest: the first that is wrong is named."""
    try:
        head = json.loads(first)
        known = isinstance(head, dict) and head.get("format") == FORMAT
    except (ValueError, RecursionError):
        known = False
    if not known:
        raise NotComparable(f"{path} is no crosscheck baseline")
    version = head.get("schema_version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise NotComparable(f"the baseline {path} is damaged: schema version {version!r}")
    if version > SCHEMA_VERSION:
        raise NotComparable(
            f"the baseline {path} has schema version {version}, and this crosscheck knows "
            f"{SCHEMA_VERSION}: install a newer one, or record the baseline again"
        )
    if set(head) != {"format", "schema_version", "digest"} or head["digest"] != digest_of(body):
        raise NotComparable(
            f"the baseline {path} was cut off or changed: its digest is not that of its content"
        )


HEADER: shape.Shape = {
    "command": str,
    "plan": dict,
    "plan_hash": str,
    "environment": {"packages": dict},
}
"""What the second line holds; each of the others is a group's or a case's."""

CASE: shape.Shape = {
    **dict.fromkeys(("case", "definition", "dtype", "output", "widths"), str),
    "engines": {"*": list},
}
_NUMBER = (float, type(None))


def _baseline(lines: list[Any]) -> Baseline:
    """Raises ValueError where a line is not of its shape."""
    for number, line in enumerate(lines, start=2):
        shape.require(line, {}, f"line {number}")
        wanted = HEADER if number == 2 else CASE if "case" in line else {"group": str}
        shape.require(line, wanted, f"line {number}")
    if not lines:
        raise ValueError("there is no line but the first")
    header, *rest = lines
    groups = [line for line in rest if "group" in line]
    attempts, tensors = [], []
    words = {letter: verdict for verdict, letter in LETTERS.items()}
    for case in (line for line in rest if "case" in line):
        place = {name: case[name] for name in ("case", "definition", "dtype", "output", "widths")}
        for engine, line in case["engines"].items():
            status, digest, ratio, letters, log2 = _of_engine(line, f"{engine} on {case['case']}")
            here = {**place, "engine": engine}
            attempts.append(
                {**here, "status": status, "digest": digest, "ratio": _float(ratio, math.nan)}
            )
            for which, (letter, value) in enumerate(zip(letters, log2, strict=True)):
                kind, layer = "wb"[which % 2], which // 2 + 2
                tensors.append(
                    {
                        **here,
                        "tensor": f"{kind}{layer}",
                        "kind": ("weights", "biases")[which % 2],
                        "verdict": words[letter],
                        "log2": _float(value, math.inf),
                    }
                )
    columns = ["case", "definition", "dtype", "output", "widths", "engine"]
    return Baseline(
        header,
        groups,
        pd.DataFrame(attempts, columns=[*columns, "status", "digest", "ratio"]),
        pd.DataFrame(tensors, columns=[*columns, "tensor", "kind", "verdict", "log2"]),
    )


def _of_engine(line: list[Any], what: str) -> tuple[str, str, float | None, str, list[Any]]:
    """What a case's line says of an engine. Raises ValueError where it is of another shape."""
    if len(line) != 5:
        raise ValueError(f"{what} has {len(line)} entries, expected 5")
    status, digest, ratio, letters, log2 = line
    for text in (status, digest, letters):
        shape.require(text, str, what)
    shape.require(ratio, _NUMBER, what)
    shape.require(log2, [_NUMBER], what)
    if len(letters) != len(log2) or not set(letters) <= set(LETTERS.values()):
        raise ValueError(f"{what} has the verdicts {letters!r} of {len(log2)} tensors")
    return status, digest, ratio, letters, log2


def _float(value: float | None, missing: float) -> float:
    return missing if value is None else float(value)
