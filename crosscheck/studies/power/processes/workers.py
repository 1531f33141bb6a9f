"""A function on many tasks, in processes of one thread each, or in this one."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

from crosscheck.runs.processes import worker

Task = TypeVar("Task")
Found = TypeVar("Found")


def each(
    function: Callable[[Task], Found], tasks: Sequence[Task], jobs: int = 1
) -> Iterator[Found]:
    """What the function finds for each task, in their order, whatever the number of jobs."""
    if jobs == 1 or len(tasks) < 2:
        yield from map(function, tasks)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, context, initializer=worker.limit_threads) as pool:
        yield from pool.map(function, tasks)
