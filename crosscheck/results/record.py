"""What is said of a run as a whole, run.json and comparison.json: what it holds, and its seal.

The seal stands at the end, and is a digest of every byte before and behind it: a file that was
changed, cut off or put together from two is refused, even where it still reads as JSON.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crosscheck.networks.distribution import Distribution
from crosscheck.results import rows
from crosscheck.results.disk import files, shape

PLAN: shape.Shape = {
    "engines?": [str],
    "dtypes?": [str],
    "cases?": int,
    "seed?": int,
    "arrays?": str,
    "distribution?": dict,
}

RECORD: shape.Shape = {
    "schema_version": int,
    "command": str,
    "plan": PLAN,
    "environment": {"packages?": dict},
    "exit_status": int,
    "span?": [int],
    "asked_for?": [str],
    "specials_left_out?": [str],
    "counts?": {"*": int},
    "cases?": int,
    "diagnoses?": [{"engine": str, "dtype": (str, type(None)), "sentence": str}],
    "digests": {"*": str},
}
"""What run.json holds, of what others rely on."""

_NUMBER = (float, type(None))

COMPARISON: shape.Shape = {
    **dict.fromkeys(("baseline", "sentence", "update"), str),
    "exit_status": int,
    "exact": {"*": int},
    **{name: [str] for name in ("differs", "new", "missing", "changed", "lacking")},
    "groups": [
        dict.fromkeys(("mark", "engine", "dtype", "group"), str)
        | {"cases": int}
        | dict.fromkeys(("shift", "grown", "shrunk", "p"), _NUMBER)
    ],
    "changes": [dict.fromkeys(("mark", "engine", "case", "tensor", "before", "now"), str)],
    "speed": [dict.fromkeys(("mark", "engine", "dtype"), str) | {"cases": int, "times": float}],
}
"""What comparison.json holds."""

BLANK = b"0" * 32
SEAL = re.compile(rb'"seal": "([0-9a-f]{32})"\n}\n\Z')


def as_text(content: Mapping[str, Any]) -> str:
    """The content as JSON, to be read by people too."""
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def sealed(content: Mapping[str, Any]) -> bytes:
    """The content as JSON, with its seal."""
    unsealed = {name: value for name, value in content.items() if name != "seal"}
    text = as_text(unsealed | {"seal": BLANK.decode()}).encode("utf-8", "backslashreplace")
    before, _, behind = text.rpartition(BLANK)
    return before + files.digest_of(text).encode() + behind


def require_seal(text: bytes, path: Path) -> None:
    """Raises ValueError where there is no seal, or it is not that of this content."""
    seal = SEAL.search(text)
    if seal is None:
        raise ValueError(
            f"{path} is damaged, or an older version wrote it: it does not end with its seal"
        )
    blank = text[: seal.start(1)] + BLANK + text[seal.end(1) :]
    if files.digest_of(blank).encode() != seal[1]:
        raise ValueError(f"{path} is damaged: its seal is not that of its content")


def read(path: Path) -> dict[str, Any]:
    """The record in run.json.

    Raises ValueError where there is none, it was changed, or a newer version wrote it.
    """
    text, content = parsed(path)
    _require_known(content, path)
    require_seal(text, path)
    about = _shaped(content, RECORD, path)
    if "function" not in about["plan"]:
        _require_distribution(about["plan"], path)
    return about


def _require_distribution(plan: dict[str, Any], path: Path) -> None:
    """Raises ValueError unless the plan says what its cases are drawn from."""
    try:
        Distribution.from_json(plan["distribution"])
    except KeyError:
        raise ValueError(f"{path} is damaged: plan lacks distribution") from None
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged: plan.distribution: {error}") from None


def is_one(path: Path) -> bool:
    """Whether the file says of itself that it is a run's record, be it damaged or not."""
    try:
        _, content = parsed(path)
    except ValueError:
        return False
    return {"schema_version", "plan", "environment"} <= set(content)


def read_comparison(path: Path) -> dict[str, Any]:
    """What comparison.json says. Raises ValueError where it was changed or cannot be read."""
    text, content = parsed(path)
    require_seal(text, path)
    return _shaped(content, COMPARISON, path)


def parsed(path: Path) -> tuple[bytes, dict[str, Any]]:
    """The text and the JSON object of a file. Raises ValueError where it holds none."""
    try:
        text = files.read(path)
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} is damaged: it is no JSON object")
    return text, content


def _require_known(content: dict[str, Any], path: Path) -> None:
    version = content.get("schema_version")
    if "schema_version" not in content:
        raise ValueError(f"{path} is no record of a run: it lacks schema_version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ValueError(f"{path} is damaged: its schema version is {version!r}")
    if version > rows.SCHEMA_VERSION:
        raise ValueError(
            f"{path} has schema version {version}, and this crosscheck knows "
            f"{rows.SCHEMA_VERSION}: install a newer one"
        )


def _shaped(content: dict[str, Any], wanted: shape.Shape, path: Path) -> dict[str, Any]:
    """The content without its seal. Raises ValueError where it is of another shape."""
    try:
        shape.require(content, wanted, path.stem)
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from None
    return {name: value for name, value in content.items() if name != "seal"}
