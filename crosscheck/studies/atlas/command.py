"""`crosscheck atlas`: the files it writes, what it says, and its exit status."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console

from crosscheck.arithmetic.formats import FORMATS
from crosscheck.reports import spreadsheet
from crosscheck.results.disk import files
from crosscheck.results.environment import versions
from crosscheck.runs.output.folder import require_writable
from crosscheck.studies.atlas import engines, rulings
from crosscheck.studies.atlas.definition import FRAMEWORKS
from crosscheck.studies.atlas.examine import Examined, Row
from crosscheck.studies.atlas.reports import markdown, page
from crosscheck.studies.atlas.run import AtlasOptions, run

OK, WORSE = 0, 1

COLUMNS = Row._fields


def main(asked: AtlasOptions, out: Path, compare: Path | None, name: str, console: Console) -> int:
    """Make the atlas, write out/name.{csv,parquet,md,html}; 1 where something is newly wrong.

    Raises ValueError for bad input, before anything is written.
    """
    unknown = [dtype for dtype in asked.dtypes if dtype not in FORMATS]
    if unknown:
        raise ValueError(f"unknown format {unknown[0]!r}: known are {', '.join(FORMATS)}")
    old = None if compare is None else read(compare)
    asked.calls()
    require_writable(out)
    absent = [f for f in FRAMEWORKS if not engines.installed(f) and asked.framework in (None, f)]
    for framework in absent:
        console.print(f"{framework} is not installed: not covered")
    examined = run(asked, out, lambda text: console.print(text, markup=False, highlight=False))
    new = frame(examined)
    atlas = content(asked, examined, absent)
    write(out, name, new, atlas)
    console.print(markdown.headline(atlas), markup=False, highlight=False, soft_wrap=True)
    return OK if old is None else _compared(old, new, console)


def frame(examined: Sequence[Examined]) -> pd.DataFrame:
    """The rows of the atlas: what was found, the worst first."""
    rows = [row for case in examined for row in case.rows]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    order = {name: k for k, name in enumerate(rulings.RULINGS)}
    ranks = table["ruling"].map(order)
    chosen = table.assign(rank=ranks, gone=-table["relative_error"].clip(upper=1))
    keys = ["rank", "gone", "function", "framework", "dtype", "mode", "at"]
    return chosen.sort_values(keys, kind="stable")[list(COLUMNS)].reset_index(drop=True)


def content(
    asked: AtlasOptions, examined: Sequence[Examined], absent: Sequence[str]
) -> dict[str, Any]:
    """What the reports show."""
    return {
        "cases": [case._asdict() | {"rows": [r._asdict() for r in case.rows]} for case in examined],
        "rulings": dict(rulings.RULINGS),
        "absent": list(absent),
        "versions": {k: v for k, v in versions().items() if v},
        "command": words(asked),
    }


def words(asked: AtlasOptions) -> str:
    """The line that makes the same atlas."""
    line = ["crosscheck atlas"]
    line += [f"--function {asked.function}"] if asked.function else []
    line += [f"--framework {asked.framework}"] if asked.framework else []
    line += [f"--dtype {','.join(asked.dtypes)}"] if asked.dtypes != AtlasOptions().dtypes else []
    line += [f"--{asked.density}"] if asked.density != AtlasOptions().density else []
    return " ".join(line)


def write(out: Path, name: str, table: pd.DataFrame, atlas: dict[str, Any]) -> None:
    """The four files, each whole. Raises ValueError where that cannot be done."""
    made: dict[str, str | bytes] = {
        "csv": spreadsheet.as_text(table).to_csv(index=False),
        "parquet": table.to_parquet(index=False),
        "md": markdown.text(atlas),
        "html": page.text(atlas),
    }
    try:
        for ending, text in made.items():
            files.write(out / f"{name}.{ending}", text)
    except OSError as error:
        raise ValueError(f"cannot write to {out}: {error.strerror}") from None


def read(path: Path) -> pd.DataFrame:
    """The rows of an earlier atlas. Raises ValueError where the file is none."""
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot read {path}: {error}") from None
    missing = [name for name in COLUMNS[:-1] if name not in table]
    if missing:
        raise ValueError(f"{path} is no atlas: it has no column {missing[0]!r}")
    return table


KEY = ["framework", "function", "argument", "mode", "dtype"]


def _compared(old: pd.DataFrame, new: pd.DataFrame, console: Console) -> int:
    """Tell what was broken and what was mended; WORSE where something is newly wrong."""
    broken, mended = _missing_in(old, new), _missing_in(new, old)
    for word, table in (("newly wrong", broken), ("mended", mended)):
        for row in table.itertuples():
            text = f"{word}: {row.function} ({row.dtype}, {row.mode}) at {row.at!r}"
            console.print(f"{text}: {row.got!r}, exact {row.exact!r}", markup=False)
    console.print(f"{len(broken)} newly wrong, {len(mended)} mended")
    return WORSE if len(broken) else OK


def _missing_in(reference: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Rows that are wrong and of which the reference knows nothing.

    A region that is wrong is known by its function and side of 0.
    """
    known = set(_regions(reference[reference["ruling"].isin(rulings.BAD)]))
    wrong = table[table["ruling"] == rulings.WRONG]
    return wrong[[region not in known for region in _regions(wrong)]]


def _regions(table: pd.DataFrame) -> list[tuple[object, ...]]:
    """What names the region of each row."""
    sides = np.sign(table["at"].to_numpy(float))
    return list(zip(*(table[key] for key in KEY), sides.tolist(), strict=True))
