"""Engines on cases: what came of each, whatever they raise, return or do to their process."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from crosscheck.engines.interface import Engine, EngineFailed, Malformed, Unsupported, require
from crosscheck.engines.user.contained import described, sentence
from crosscheck.engines.user.state import Change, change
from crosscheck.networks.network import Array, Case, Gradients
from crosscheck.results import rows
from crosscheck.runs.plan import Plan


@dataclass(frozen=True)
class Attempt:
    """What came of one engine on one case; `seconds` is the time of one gradient.

    `change` is what came when the same case was given to it again, if that was another gradient.
    """

    engine: str
    status: str
    seconds: float = float("nan")
    message: str = ""
    gradients: Gradients | None = None
    stages: Mapping[str, Array] | None = None
    change: Change | None = None


NO_ATTEMPT = Attempt("", "ok")

JUDGE, DRAWING = "", "drawing the case"
"""In the place of an engine: the judging of a case, and the drawing of its numbers."""

Crew = Mapping[str, Engine | Unsupported]
"""Engines by name, or why one cannot run."""

Condemned = Mapping[tuple[int, str, str], tuple[str, str]]
"""(index, dtype, engine) to the (status, message) of an attempt that ended a process.

The engine may be JUDGE or DRAWING.
"""


class Overseer:
    """Is told what begins, so that a process that dies or hangs says of what.

    `condemned` attempts are not made again; the engines `alone` get one case at a time.
    """

    condemned: Condemned = MappingProxyType({})
    alone: frozenset[str] = frozenset()

    def begin(self, case: Case, engine: str, many: bool = False) -> None:
        """An engine begins on a case, or on `many` that begin with it; or the JUDGE does."""

    def begin_drawing(self, index: int, dtype: str) -> None:
        """The numbers of a case begin to be drawn."""


IN_PROCESS = Overseer()


def attempt_all(
    name: str, engine: Engine | Unsupported, cases: Sequence[Case], plan: Plan, overseer: Overseer
) -> list[Attempt]:
    """One engine on all these cases, one after the other or, where it can, at once.

    An engine that stays on its path through the program is faster than one that takes turns.
    """
    ready: list[Attempt | None] = [None] * len(cases)
    if hasattr(engine, "gradients_of") and name not in overseer.alone:
        ready = _attempt_together(name, engine, cases, plan, overseer)
    return [
        known or _attempt_one(name, engine, case, plan, overseer)
        for case, known in zip(cases, ready, strict=True)
    ]


def _attempt_one(
    name: str, engine: Engine | Unsupported, case: Case, plan: Plan, overseer: Overseer
) -> Attempt:
    """One engine on one case, if the plan has it and no process ended of it before."""
    if not plan.takes(name, case.index):
        return Attempt(name, rows.NOT_SAMPLED)
    if known := known_end(case, name, overseer):
        return known
    overseer.begin(case, name)
    return attempt(name, engine, case, plan.goes_deep(case.index), plan.repeats(case.index))


def attempt(
    name: str,
    engine: Engine | Unsupported,
    case: Case,
    deep: bool = False,
    twice: bool = False,
) -> Attempt:
    """Run one engine on one case; whatever it raises costs this case only.

    `deep` asks it for its intermediates as well, if it shows any; `twice` gives it the case once
    more, if it may keep state between calls.
    """
    if isinstance(engine, Unsupported):
        return Attempt(name, "unsupported", message=str(engine))
    try:
        if not engine.supports(case.architecture, case.dtype):
            return Attempt(name, "unsupported", message=f"does not take {_kind(case)}")
        started = time.perf_counter()
        gradients = engine.gradients(case)
        if getattr(engine, "compiles", False):
            started = time.perf_counter()
            gradients = engine.gradients(case)
        seconds = time.perf_counter() - started
        require(case, gradients)
        deep = deep and case.architecture.quick
        stages = engine.stages(case) if deep and hasattr(engine, "stages") else None
        changed = change(engine, case, gradients) if twice else None
    except Malformed as error:
        return Attempt(name, "error", message=sentence(str(error)))
    except EngineFailed as error:
        return Attempt(name, error.status, message=sentence(str(error)))
    except Exception as error:
        return Attempt(name, "error", message=described(error))
    return Attempt(name, "ok", seconds, gradients=gradients, stages=stages, change=changed)


def _kind(case: Case) -> str:
    a = case.architecture
    return f"{case.dtype} with {a.hidden} hidden layers, {a.output} output and {a.cost}"


def _attempt_together(
    name: str, engine: Any, cases: Sequence[Case], plan: Plan, overseer: Overseer
) -> list[Attempt | None]:
    """One engine on all cases that it takes, at once; None where it is to be tried alone.

    So it is where it shows its intermediates, and where it fails.
    """
    attempts: list[Attempt | None] = [None] * len(cases)
    taken = [
        place
        for place, case in enumerate(cases)
        if plan.takes(name, case.index)
        and not (plan.goes_deep(case.index) and hasattr(engine, "stages"))
        and (case.index, case.dtype, name) not in overseer.condemned
        and _supports(engine, case)
    ]
    if not taken:
        return attempts
    overseer.begin(cases[taken[0]], name, many=True)
    started = time.perf_counter()
    try:
        gradients = engine.gradients_of([cases[place] for place in taken])
    except Exception:
        return attempts
    seconds = (time.perf_counter() - started) / len(taken)
    for place, gradient in zip(taken, gradients, strict=True):
        attempts[place] = _conforming(Attempt(name, "ok", seconds, "", gradient), cases[place])
    return attempts


def _supports(engine: Any, case: Case) -> bool:
    """Whether it says that it takes the case; one that cannot say is asked again alone."""
    try:
        return bool(engine.supports(case.architecture, case.dtype))
    except Exception:
        return False


def _conforming(tried: Attempt, case: Case) -> Attempt:
    """The attempt, or an error where what came is no gradient of the case."""
    assert tried.gradients is not None
    try:
        require(case, tried.gradients)
    except Malformed as error:
        return Attempt(tried.engine, "error", message=sentence(str(error)))
    return tried


def known_end(case: Case, engine: str, overseer: Overseer) -> Attempt | None:
    """What is known of an attempt that ended a process before."""
    known = overseer.condemned.get((case.index, case.dtype, engine))
    return Attempt(engine, known[0], message=known[1]) if known else None
