"""An existing Dask cluster as the place where spans are computed.

Each thread of a Dask worker keeps a pool of one process, so that limits and crashes are dealt
with there as they are here; the part comes back to this process, which alone writes.
"""

import multiprocessing
import threading
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any, NamedTuple

from crosscheck.results import extras
from crosscheck.runs.plan import Plan, Span
from crosscheck.runs.processes.pool import Limits, Pool
from crosscheck.runs.spread.shipping import Parcel, Unpacked, pack

PER_THREAD = 3
"""Spans under way for each thread of the cluster: enough that none waits for the network."""

CONNECT_SECONDS = 5.0


class Employed(NamedTuple):
    """A pool, what it was made for, and the sources of functions that it runs."""

    made_for: tuple[Plan, Limits, tuple[Parcel, ...]]
    pool: Pool
    sources: Unpacked

    def dismiss(self) -> None:
        """End its processes."""
        try:
            self.pool.__exit__()
        finally:
            self.sources.close()


class _Here(threading.local):
    employed: Employed | None = None


_here = _Here()


def compute(
    plan: Plan, limits: Limits, parcels: tuple[Parcel, ...], span: Span
) -> list[tuple[Span, bytes]]:
    """The parts of a span, in a Dask worker.

    Whatever fails costs the pool, so that nothing of it meets the next job, and never the
    worker's thread: what is no Exception comes back as a RuntimeError.

    Raises ValueError where a function's module is another here.
    """
    try:
        return list(_pool(plan, limits, parcels).results([span]))
    except BaseException as error:
        _dismiss()
        if isinstance(error, Exception):
            raise
        raise RuntimeError(f"a Dask worker's pool ended by {type(error).__name__}") from None


def _pool(plan: Plan, limits: Limits, parcels: tuple[Parcel, ...]) -> Pool:
    """This thread's pool, a new one for each run."""
    # Dask starts its workers as daemons, which may have no children, lest these outlive them.
    # Ours end with their parent by themselves.
    multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined]
    made_for = (plan, limits, parcels)
    if _here.employed is None or _here.employed.made_for != made_for:
        _dismiss()
        sources = Unpacked(parcels)
        pool = Pool(replace(plan, shipped=sources.addresses), limits)
        _here.employed = Employed(made_for, pool, sources)
    return _here.employed.pool


def _dismiss() -> None:
    if _here.employed is not None:
        employed, _here.employed = _here.employed, None
        employed.dismiss()


class Lost(Exception):
    """The cluster's workers died of the run; the message says what is kept."""

    exit_status = 3


class Cluster:
    """The workers behind a Dask scheduler's address; used in a `with`.

    Raises ValueError where no scheduler answers there, or distributed is not installed.
    """

    def __init__(self, plan: Plan, limits: Limits, address: str) -> None:
        self.plan, self.address = plan, address
        self.limits = Limits(1, limits.timeout, limits.memory)
        self.parcels = pack(plan.engines)
        self.client = _connect(address)

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def results(self, spans: Iterable[Span]) -> Iterator[tuple[Span, bytes]]:
        """(span, bytes of its part), as they are finished.

        What a lost worker had is computed again by another. Raises ValueError where the whole
        cluster is lost.
        """
        from distributed import as_completed

        waiting = iter(spans)
        threads = sum(self.client.nthreads().values()) or 1
        first = [self._submit(span) for span in islice(waiting, PER_THREAD * threads)]
        finished = as_completed(first)
        for future in finished:
            parts = self._result(future)
            for span in islice(waiting, 1):
                finished.add(self._submit(span))
            yield from parts

    def _submit(self, span: Span) -> Any:
        job = (compute, self.plan, self.limits, self.parcels, span)
        return self.client.submit(*job, pure=False, retries=3)

    def _result(self, future: Any) -> list[tuple[Span, bytes]]:
        from distributed import CancelledError
        from distributed.scheduler import KilledWorker

        try:
            parts: list[tuple[Span, bytes]] = future.result()
        except CancelledError:
            raise ValueError(
                f"the Dask cluster at {self.address} was lost; --resume goes on"
            ) from None
        except KilledWorker:
            raise Lost(
                f"workers of the Dask cluster at {self.address} died, one after the other, of the "
                "same cases; what is finished is kept, and --resume goes on"
            ) from None
        future.release()
        return parts


def _connect(address: str) -> Any:
    extras.require("--dask", "distributed")
    from distributed import Client

    try:
        return Client(address, timeout=CONNECT_SECONDS)
    except (OSError, ValueError, TimeoutError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"no Dask scheduler answers at {address}: {reason}") from None
