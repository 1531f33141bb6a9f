"""The atlas on request: which functions, in which processes, from the journal to the files."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import TimeoutError
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from crosscheck.results import environment
from crosscheck.results.disk import files
from crosscheck.studies.atlas import catalogue, engines
from crosscheck.studies.atlas.definition import FRAMEWORKS, PublicCall
from crosscheck.studies.atlas.examine import Examined, FunctionTrial, Row, Truth, examine

SECONDS = 600
"""The longest that one function may take before it is given up."""


COMPUTING = (
    "mathematics/*.py",
    *(f"{name}.py" for name in ("definition", "points", "engines", "rulings", "causes", "examine")),
)
"""Our files on which every case depends; the table of a definition is part of its case's name."""


@dataclass(frozen=True)
class AtlasOptions:
    """What is asked for; everything, where nothing is named."""

    function: str | None = None
    framework: str | None = None
    dtypes: tuple[str, ...] = ("float64", "float32")
    density: str = "default"
    jobs: int = 2

    def calls(self) -> dict[str, list[PublicCall]]:
        """By definition. Raises ValueError for what is not known."""
        if self.framework not in (None, *FRAMEWORKS):
            raise ValueError(f"unknown framework {self.framework!r}: known are torch, jax")
        return catalogue.chosen(self.function, self.framework)


class AtlasTask(NamedTuple):
    """One definition with its names in the frameworks: what a process does at once."""

    definition: str
    numbers: Sequence[int]
    asked: AtlasOptions
    journal: Path

    @property
    def calls(self) -> list[PublicCall]:
        """Its names, by their numbers: a definition's formula does not go between processes."""
        known = catalogue.all_definitions()[self.definition].calls
        return [known[number] for number in self.numbers]


def cases(task: AtlasTask) -> Iterator[tuple[PublicCall, str, Path]]:
    """(call, format, file of the journal)."""
    for call in task.calls:
        for dtype in task.asked.dtypes:
            table = catalogue.source(call.definition)
            name = "\0".join((call.framework, str(call.expression), call.definition, dtype, table))
            digest = hashlib.blake2b(name.encode(), digest_size=12).hexdigest()
            yield call, dtype, task.journal / f"{digest}.json"


def study(task: AtlasTask) -> None:
    """Examine what the journal does not have yet; each case is kept as soon as it is done."""
    truth = Truth(catalogue.all_definitions()[task.definition])
    truth.certify()
    for call, dtype, path in cases(task):
        if path.exists():
            continue
        begun = path.with_suffix(".begun")
        files.write(begun, "")
        modes = _modes(task, call, dtype)
        keep(path, examine(FunctionTrial(call, dtype, truth, task.asked.density), modes))
        begun.unlink()


def _modes(task: AtlasTask, call: PublicCall, dtype: str) -> Sequence[str]:
    """The first mode alone where the grid is coarse; all of them in the first format otherwise."""
    modes = engines.MODES[call.framework]
    every = {"quick": False, "default": dtype == task.asked.dtypes[0], "exhaustive": True}
    return modes if every[task.asked.density] else modes[:1]


def keep(path: Path, examined: Examined) -> None:
    """Write a case into the journal, whole."""
    content = examined._asdict() | {"rows": [row._asdict() for row in examined.rows]}
    files.write(path, json.dumps(content))


def kept(path: Path) -> Examined:
    """A case of the journal."""
    content = json.loads(files.read(path))
    rows = [Row(**row) for row in content.pop("rows")]
    return Examined(**content, rows=rows)


def run(asked: AtlasOptions, out: Path, tell: Callable[[str], None]) -> list[Examined]:
    """Examine all that is asked for, going on from an unfinished journal in `out`.

    Frameworks that are not installed are told of and not covered. Raises ValueError for bad input.
    """
    selected = asked.calls()
    present = {name for name in FRAMEWORKS if engines.installed(name)}
    journal = _journal(asked, out)
    tasks = [
        AtlasTask(name, numbers, asked, journal)
        for name, calls in selected.items()
        if (numbers := _numbers(name, calls, present))
    ]
    done = sum(path.exists() for task in tasks for *_, path in cases(task))
    if done:
        tell(f"going on: {done} cases are in the journal")
    for k, message in enumerate(_studied(tasks, asked.jobs), 1):
        if message:
            tell(message)
        if k % 20 == 0:
            tell(f"{k} of {len(tasks)} functions")
    return [kept(path) for task in tasks for *_, path in cases(task) if path.exists()]


def _numbers(definition: str, calls: Sequence[PublicCall], present: set[str]) -> tuple[int, ...]:
    """Which of a definition's calls are chosen and have their framework installed."""
    known = catalogue.all_definitions()[definition].calls
    return tuple(k for k, c in enumerate(known) if c in calls and c.framework in present)


def _journal(asked: AtlasOptions, out: Path) -> Path:
    """The journal's folder, named by all that its cases depend on."""
    source = Path(str(resources.files("crosscheck.studies.atlas")))
    digest = hashlib.blake2b(digest_size=8)
    for name in COMPUTING:
        for path in sorted(source.glob(name)):
            digest.update(path.read_bytes())
    digest.update(json.dumps([environment.versions(), asked.density]).encode())
    folder = out / ".atlas" / digest.hexdigest()
    folder.mkdir(parents=True, exist_ok=True)
    for begun in folder.glob("*.begun"):
        begun.unlink()
    return folder


def _studied(tasks: Sequence[AtlasTask], jobs: int) -> Iterator[str]:
    """A message of each task that is done: empty, or what went wrong with it."""
    if len(tasks) < 2 or jobs == 1:
        for task in tasks:
            study(task)
            yield ""
        return
    import multiprocessing

    from pebble import ProcessPool

    context = multiprocessing.get_context("spawn")
    with ProcessPool(jobs, context=context, initializer=_enter) as pool:
        futures = [(task, pool.schedule(study, (task,), timeout=SECONDS)) for task in tasks]
        for task, future in futures:
            yield _outcome(task, future, pool)


def _outcome(task: AtlasTask, future: Any, pool: Any) -> str:
    """Wait for a task; where its process ended, what it had begun is given up, the rest done."""
    from pebble import ProcessExpired

    while True:
        try:
            future.result()
            return ""
        except (TimeoutError, ProcessExpired) as error:
            reason = "took too long" if isinstance(error, TimeoutError) else "ended its process"
            if not _given_up(task, reason):
                return f"{task.definition}: {reason}"
            future = pool.schedule(study, (task,), timeout=SECONDS)


def _given_up(task: AtlasTask, reason: str) -> bool:
    """Keep the case that was begun as a failure; whether there was one."""
    for call, dtype, path in cases(task):
        if path.with_suffix(".begun").exists():
            argument = catalogue.all_definitions()[task.definition].argument
            names = (task.definition, call.framework, call.function, argument, dtype)
            keep(path, Examined(*names, {}, None, [], [], {"reverse": reason}))
            path.with_suffix(".begun").unlink()
            return True
    return False


def _enter() -> None:
    from crosscheck.runs.processes import worker

    worker.limit_threads()
