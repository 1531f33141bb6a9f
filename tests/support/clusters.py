"""A Dask cluster on loopback, with real processes."""

import os
import re
import subprocess
import sys
import threading
from contextlib import contextmanager


@contextmanager
def cluster(folder, workers=1, **environment):
    """(address, its workers' processes) of a scheduler and workers that run in this folder."""
    environment = {**os.environ, "PYTHONPATH": os.getcwd(), **environment}
    processes = []

    def start(*words):
        one = subprocess.Popen(
            [sys.executable, "-m", *words, "--no-dashboard"],
            cwd=folder,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(one)
        return one

    try:
        scheduler = start("distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0")
        lines = (re.search(r"tcp://127\.0\.0\.1:\d+", line) for line in scheduler.stderr)
        address = next(match.group() for match in lines if match)
        for _ in range(workers):
            start("distributed.cli.dask_worker", address, "--nthreads", "1")
        for one in processes:
            threading.Thread(target=one.stderr.read, daemon=True).start()
        yield address, processes[1:]
    finally:
        for one in reversed(processes):
            one.kill()
            one.wait()
