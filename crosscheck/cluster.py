"""An existing Dask cluster as the place where spans are computed.

Each thread of a Dask worker keeps a pool of one process, so that limits and crashes are dealt
with there as they are here; the part comes back to this process, which alone writes.
"""

import multiprocessing
import threading
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from crosscheck import extras
from crosscheck.plan import Plan, Span
from crosscheck.pool import Limits, Pool

PER_THREAD = 3
"""Spans under way for each thread of the cluster: enough that none waits for the network."""

CONNECT_SECONDS = 5.0

_here = threading.local()


def compute(plan: Plan, limits: Limits, span: Span) -> list[tuple[Span, bytes]]:
    """The parts of a span, in a Dask worker."""
    # Dask starts its workers as daemons, which may have no children, lest these outlive them.
    # Ours end with their parent by themselves.
    multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined]
    pool = getattr(_here, "pool", None)
    if pool is None or (pool.plan, pool.limits) != (plan, limits):
        if pool is not None:
            pool.__exit__()
        pool = _here.pool = Pool(plan, limits)
    return list(pool.results([span]))


class Cluster:
    """The workers behind a Dask scheduler's address; used in a `with`.

    Raises ValueError where no scheduler answers there, or distributed is not installed.
    """

    def __init__(self, plan: Plan, limits: Limits, address: str) -> None:
        self.plan, self.address = plan, address
        self.limits = Limits(1, limits.timeout, limits.memory)
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
        return self.client.submit(compute, self.plan, self.limits, span, pure=False, retries=3)

    def _result(self, future: Any) -> list[tuple[Span, bytes]]:
        from distributed import CancelledError

        try:
            parts: list[tuple[Span, bytes]] = future.result()
        except CancelledError:
            raise ValueError(
                f"the Dask cluster at {self.address} was lost; --resume goes on"
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
